"""What the VNFM's operations and steps work with: the store, the VIMs' drivers, package files and the granter."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from skerry.errors import ConflictError
from skerry.model.descriptors import DeploymentFlavour, Vnfd
from skerry.model.time import Clock
from skerry.model.vnf import VnfInstance, VnfPkgInfo
from skerry.policy.alarms import AlarmBook
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.vim.connections import Vims
from skerry.vnfm.goal import flavour_of
from skerry.vnfm.grants import Granter


class ImageFile(NamedTuple):
    """The content of an image: where it is, its SHA-256 in lower-case hex."""

    path: Path
    checksum: str


def _no_image(_name: str, _tenant: str) -> ImageFile | None:
    return None


def _this_node(_infos: Sequence[str]) -> str:
    return ""


async def _no_package(_vnfd_id: str, _tenant: str) -> None:
    return None


async def _nothing(_vnf: VnfInstance) -> Mapping[str, str]:
    return {}


@dataclass
class Desk:
    """`archive` finds a package's file; `scratch` holds extracted images. `told` is what VNFCs find in their
    environment besides what the descriptor says, and nowhere else: it may hold secrets. `stored` finds the content of an
    image that a descriptor only names, among those that its tenant uploaded. `manager_of` says which VNF manager has VNFs of
    a kind ("" = this one), `fetch` brings the package of a VNFD that is not here where an NFVO has it."""

    database: Database
    vims: Vims
    granter: Granter
    clock: Clock
    alarms: AlarmBook
    archive: Callable[[str], Path]
    scratch: Path
    told: Callable[[VnfInstance], Awaitable[Mapping[str, str]]] = _nothing
    stored: Callable[[str, str], ImageFile | None] = _no_image
    manager_of: Callable[[Sequence[str]], str] = _this_node
    fetch: Callable[[str, str], Awaitable[None]] = _no_package
    _bound: dict[tuple[str, int, str], Vnfd] = field(default_factory=dict[tuple[str, int, str], Vnfd])
    _extracting: threading.Lock = field(default_factory=threading.Lock)

    def instance(self, id: str) -> VnfInstance:
        return aggregates.vnf_instances.get(self.database, id)

    def descriptor(self, package_id: str, inputs: Mapping[str, Any]) -> Vnfd:
        """The VNFD, bound to the inputs of a request. `InvalidError` lists inputs that are missing, unknown or wrong."""
        info = aggregates.vnf_packages.get(self.database, package_id)
        if info.package is None:
            raise ConflictError(
                f"cannot use VNF package {package_id}: it is not onboarded", suggestion="upload its content"
            )
        if not inputs:
            return info.package.vnfd
        mark = hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()
        key = (package_id, info.rev, mark)
        if key not in self._bound:
            from skerry.packages import bind_vnfd  # noqa: PLC0415 - YAML readers load on first use only

            self._bound.clear()
            self._bound[key] = bind_vnfd(info.package.templates, inputs)
        return self._bound[key]

    def flavour(self, instance: VnfInstance) -> DeploymentFlavour:
        return flavour_of(self.descriptor(instance.vnf_pkg_id, instance.inputs), instance.flavour_id)

    def artifact(self, package_id: str, path: str) -> bytes:
        """A file of the package."""
        from skerry.packages import open_artifact  # noqa: PLC0415 - as above

        return open_artifact(self.archive(package_id), path)

    def extracted(self, info: VnfPkgInfo, path: str) -> Path:
        """A file of the package on disk, for drivers that read images from files; made once."""
        from skerry.packages import extract_artifact  # noqa: PLC0415 - as above

        target = self.scratch / hashlib.sha256(f"{info.checksum}/{path}".encode()).hexdigest() / Path(path).name
        with self._extracting:  # many operations of one package ask for it at once, in threads
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_suffix(target.suffix + ".part")
                extract_artifact(self.archive(info.id), path, partial)
                partial.rename(target)
        return target


def change(tx: Transaction, id: str, **fields: Any) -> VnfInstance:
    """Replace fields of a VNF's record inside a transaction."""
    return aggregates.vnf_instances.change(tx, id, lambda doc: msgspec.structs.replace(doc, **fields))
