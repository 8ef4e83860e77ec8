"""What others made on this machine beside the embedded driver: containers of the OCI runtime in its own folder or in the
runtime's default one, and interfaces in the namespace of this edge host. The functions block: call them in a worker thread."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from skerry.errors import DriverError
from skerry.vim.driver import Stranger
from skerry.vim.local.cables import PLUGGED
from skerry.vim.local.network import EdgeNetwork
from skerry.vim.local.supervise import Runner

DEFAULT_ROOTS = (Path("/run/runc"), Path("/run/crun"))
OWN = ("lo", "sk", "ovs")
"""How the names of interfaces begin that the system, this driver or its switch makes."""


class Listed(msgspec.Struct, frozen=True):
    """What `runc list` says of a container."""

    id: str
    status: str = ""


def find(runner: Runner, network: EdgeNetwork, known: Collection[str]) -> Sequence[Stranger]:
    """All strangers; `known` are the containers that this driver made."""
    found = [
        Stranger(kind="compute", name=one.id, id=f"{root}/{one.id}", state=one.status)
        for root in (runner.state, *DEFAULT_ROOTS)
        if root.is_dir()
        for one in _listed(runner.runtime, root)
        if one.id not in known
    ]
    found += [
        Stranger(kind="network", name=link.name, id=str(link.index), state="up" if link.up else "down")
        for link in network.links()
        if not link.name.startswith(OWN) and not link.alias.startswith(PLUGGED)
    ]
    return sorted(found, key=lambda one: (one.kind, one.name))


def _listed(runtime: str, root: Path) -> list[Listed]:
    call = [runtime, f"--root={root}", "list", "--format", "json"]
    done = subprocess.run(call, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DriverError(f"cannot list the containers in {root}: {said}", call=" ".join(call), answer=said)
    return msgspec.json.decode(done.stdout or b"null", type=list[Listed] | None) or []


def delete(runner: Runner, network: EdgeNetwork, stranger: Stranger) -> None:
    """Remove it with the runtime, or the interface from the edge host's namespace."""
    if stranger.kind == "network":
        network.unlink(stranger.name)
        return
    root = Path(stranger.id).parent
    call = [runner.runtime, f"--root={root}", "delete", "--force", stranger.name]
    done = subprocess.run(call, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DriverError(f"cannot delete {stranger.name}: {said}", call=" ".join(call), answer=said)
