"""The networks of one edge host: their records and, by `EdgeNetwork`, their bridges. Call in a worker thread, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.errors import ConflictError
from skerry.vim import ipam
from skerry.vim.driver import Network, NetworkSpec
from skerry.vim.local import records
from skerry.vim.local.network import EdgeNetwork


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A network as recorded: what was asked and what it became."""

    spec: NetworkSpec
    network: Network


class Links:
    """The records are in `folder`; automatic subnets come from `pool`."""

    def __init__(self, folder: Path, edge: EdgeNetwork, pool: str) -> None:
        self._folder, self._edge, self._pool = folder, edge, pool
        # replaced as a whole, never changed: the event loop reads while a worker thread makes the next network
        self._known: Mapping[str, Link] = {}

    def load(self) -> None:
        """Read the records and make bridges again that are missing, e.g. after a reboot."""
        records.prepare(self._folder)
        found = [records.read(file, Link) for file in sorted(self._folder.glob("*.json"))]
        self._known = {link.spec.name: link for link in found if link}
        for link in self._known.values():
            self._edge.ensure(link.network)

    def get(self, name: str) -> Network | None:
        """A network by name."""
        link = self._known.get(name)
        return link.network if link else None

    def all(self) -> dict[str, Network]:
        """Every recorded network by name."""
        return {name: link.network for name, link in self._known.items()}

    def present(self) -> list[Network]:
        """The networks whose bridges the kernel has, by name."""
        bridges = {link.name for link in self._edge.links()}
        return [link.network for _, link in sorted(self._known.items()) if link.network.id in bridges]

    def create(self, spec: NetworkSpec) -> tuple[Network, bool]:
        """Make a network, and whether it is new; `ConflictError` when one of this name is otherwise."""
        known = self._known.get(spec.name)
        if known and known.spec != spec:
            raise ConflictError(
                f"cannot create the network {spec.name}: it exists with other properties ({known.network.cidr})",
                suggestion="delete it first or choose another name",
            )
        link = known or self._new(spec)
        records.write(self._file(spec.name), link)
        self._edge.ensure(link.network)
        self._known = {**self._known, spec.name: link}
        return link.network, known is None

    def _new(self, spec: NetworkSpec) -> Link:
        cidr, gateway = ipam.subnet(spec, self._pool, [link.network.cidr for link in self._known.values()])
        network = Network(
            id=self._edge.bridge(spec.name),
            name=spec.name,
            owner=spec.owner,
            cidr=cidr,
            gateway=gateway,
            mtu=spec.mtu,
            labels=spec.labels,
        )
        return Link(spec=spec, network=network)

    def delete(self, name: str) -> bool:
        """Remove a network, and the edge host's namespace with the last one; False when there was none."""
        self._edge.remove(name)
        self._file(name).unlink(missing_ok=True)
        known = self._known.get(name)
        self._known = {other: link for other, link in self._known.items() if other != name}
        if not self._known:
            self._edge.release()
        return known is not None

    def _file(self, name: str) -> Path:
        return self._folder / f"{self._edge.bridge(name)}.json"
