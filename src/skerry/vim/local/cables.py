"""Physical ports of one edge host: network interfaces of the machine that lead to machines of the site.

One that is plugged into a network is a port of its bridge, in the edge host's namespace; else it is the machine's own. Call
in a worker thread, one at a time.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError, NotFoundError
from skerry.linux import namespaces, netlink
from skerry.vim import ipam
from skerry.vim.cabling import PlugSpec, check
from skerry.vim.driver import Network, Tap
from skerry.vim.local import records
from skerry.vim.local.network import EdgeNetwork

log = logging.getLogger(__name__)

PLUGGED = "skerry pnf "
"""How the notes on interfaces begin that are plugged."""


class Cable(msgspec.Struct, frozen=True, kw_only=True):
    """A plugged port as recorded, with the interface that it is."""

    spec: PlugSpec
    interface: str


class Cables:
    """The records are in `folder`; `ports` is name → interface."""

    def __init__(self, folder: Path, edge: EdgeNetwork, ports: Mapping[str, str]) -> None:
        self._folder, self._edge, self.ports = folder, edge, ports
        # replaced as a whole, never changed: the event loop reads while a worker thread plugs the next one
        self._known: Mapping[str, Cable] = {}

    def load(self, networks: Mapping[str, Network]) -> None:
        """Read the records, and plug again what a restart of the machine took out. A port that is not there is logged."""
        records.prepare(self._folder)
        found = [records.read(file, Cable) for file in sorted(self._folder.glob("*.json"))]
        self._known = {cable.spec.port: cable for cable in found if cable}
        for cable in self._known.values():
            if cable.spec.network not in networks:
                continue
            try:
                self._join(cable)
            except (DriverError, ConflictError, OSError) as error:
                log.warning("the port %s is not plugged: %s", cable.spec.port, error)

    def all(self) -> list[PlugSpec]:
        """What is plugged, by port."""
        return [cable.spec for _, cable in sorted(self._known.items())]

    def taken(self, network: str) -> set[str]:
        """The addresses of machines on a network."""
        return {ip for spec in self.all() if spec.network == network for ip in spec.ips}

    def plug(self, spec: PlugSpec, network: Network | None, taken: Collection[str]) -> Tap:
        """Join a port with a network where these addresses are taken by instances."""
        interface = self.ports.get(spec.port)
        if interface is None:
            known = ", ".join(self.ports) or "none"
            raise NotFoundError(f"cannot plug {spec.port}: no such port", suggestion=f"the ports are: {known}")
        check(spec, network, self.all(), taken)
        cable = Cable(spec=spec, interface=interface)
        records.write(self._file(spec.port), cable)
        self._known = {**self._known, spec.port: cable}
        self._join(cable)
        return Tap(
            network=spec.network,
            interface=interface,
            namespace=self._edge.namespace,
            mac=spec.mac,
            ip=spec.ips[0] if spec.ips else "",
        )

    def unplug(self, port: str, owner: str) -> None:
        """Give a port back to the machine, if it is this owner's."""
        cable = self._known.get(port)
        if cable is None or cable.spec.owner != owner:
            return
        self._part(cable.interface)
        self._file(port).unlink(missing_ok=True)
        self._known = {other: one for other, one in self._known.items() if other != port}

    def leave(self, network: str) -> None:
        """Give all ports back that are on a network."""
        for spec in self.all():
            if spec.network == network:
                self.unplug(spec.port, spec.owner)

    def _file(self, port: str) -> Path:
        return self._folder / f"{ipam.digest(port)}.json"

    def _join(self, cable: Cable) -> None:
        """The note on the interface comes last: with it, all is done. A data plane that took it since keeps it."""
        path, name = namespaces.place(self._edge.namespace), cable.interface
        note = f"{PLUGGED}{cable.spec.owner} {cable.spec.port}"
        there = next((link for link in self._edge.links() if link.name == name), None)
        if there and there.alias == note:
            return
        if there is None:
            _fetch(path, name, cable.spec.port)
        with namespaces.inside(path), netlink.Netlink() as kernel:
            bridge = 0 if cable.spec.steered else socket.if_nametoindex(self._edge.bridge(cable.spec.network))
            kernel.run([netlink.enslave(name, bridge), netlink.link_up(name), netlink.alias(name, note)])

    def _part(self, name: str) -> None:
        path = namespaces.place(self._edge.namespace)
        if name not in {link.name for link in self._edge.links()}:
            return
        with namespaces.inside(path) as home, netlink.Netlink() as kernel:
            kernel.run([netlink.enslave(name, 0), netlink.alias(name, ""), netlink.moved(name, home)])


def _fetch(path: Path, name: str, port: str) -> None:
    """Bring an interface of the machine into the namespace at `path`, unless the machine uses it itself."""
    with netlink.Netlink() as kernel:
        found = next((link for link in kernel.links() if link.name == name), None)
        if found is None:
            raise DriverError(
                f"cannot plug {port}: this machine has no interface {name}",
                suggestion="connect it, or correct the settings",
            )
        if found.master or _in_use(name):
            raise ConflictError(
                f"cannot plug {port}: the machine itself uses {name}",
                suggestion="take its addresses away, or name another interface in the settings",
            )
        inside = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.run([netlink.moved(name, inside)])
        finally:
            os.close(inside)


def _in_use(name: str) -> bool:
    """Whether routes or global addresses of the machine are on an interface."""
    routes = [line.split() for line in Path("/proc/thread-self/net/route").read_text().splitlines()[1:]]
    try:
        addresses = [line.split() for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines()]
    except FileNotFoundError:
        addresses = []
    return any(parts[0] == name for parts in routes) or any(
        parts[5] == name and parts[3] == "00" for parts in addresses
    )
