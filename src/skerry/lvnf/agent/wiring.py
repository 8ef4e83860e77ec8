"""The network of an agent's functions: a namespace for each, and a veth pair for each of its ports.

One end has the device's name in the function's namespace. The other is a port of the bridge, or an interface of the machine
itself under the name that was asked for: what Click's KernelTap gives, without a process that carries the frames. Everything
is labelled with its owner and found by name, so that doing it again mends what a crash left.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from pathlib import Path

from skerry.errors import ConflictError, DriverError, InvalidError
from skerry.linux import namespaces, netlink, offload
from skerry.lvnf.agent.messages import FunctionSpec, PortKind, PortSpec, PortStatus
from skerry.lvnf.agent.switch import Switch

_MTU = 1500
_PLAIN = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"}
"""Functions speak for themselves: the kernel of their namespace says nothing by itself."""


class Wiring:
    """Wires functions of one agent. All calls block."""

    def __init__(self, agent: str, switch: Switch | None) -> None:
        self._agent = agent
        self._switch = switch
        self._known_as = switch.started() if switch else ""

    def forgotten(self) -> bool:
        """Whether the switch has been started anew since the last call."""
        started = self._switch.started() if self._switch else ""
        before, self._known_as = self._known_as, started or self._known_as
        return bool(started) and started != before

    def id(self, function: str) -> str:
        """A short name that is the same each time, and another for each agent and function."""
        return "lv" + hashlib.blake2s(f"{self._agent}/{function}".encode(), digest_size=4).hexdigest()

    def namespace(self, function: str) -> Path:
        """Where the function's namespace is."""
        return namespaces.place(self.id(function))

    def interface(self, function: str, index: int, port: PortSpec) -> str:
        """The end on the machine of a port."""
        return port.name if port.kind is PortKind.TAP else f"{self.id(function)}p{index}"

    def refuse(self, spec: FunctionSpec) -> None:
        """`InvalidError` for ports that this agent cannot make."""
        for port in spec.ports:
            if port.kind is PortKind.BRIDGE and self._switch is None:
                raise InvalidError(
                    f"cannot wire {port.device} to a bridge: this agent has none",
                    suggestion="start the agent with --bridge, or ask for a tap",
                )
            try:
                ipaddress.ip_interface(port.address or "0.0.0.0/0")
            except ValueError as error:
                raise InvalidError(
                    f"cannot use the address of {port.device}: {error}", suggestion="write it as 10.0.0.1/24"
                ) from error

    def wire(self, spec: FunctionSpec) -> tuple[PortStatus, ...]:
        """Make what is missing; the ports as they are then."""
        place = self.namespace(spec.name)
        if not namespaces.pinned(place):
            namespaces.unpin(place)
            namespaces.pin_new(place, _PLAIN)
        return tuple(self._port(spec.name, index, port, place) for index, port in enumerate(spec.ports))

    def _port(self, function: str, index: int, port: PortSpec, place: Path) -> PortStatus:
        near = self.interface(function, index, port)
        mac = port.mac or _mac(f"{self._agent}/{function}/{port.device}")
        try:
            self._pair(function, near, port, mac, place)
        except OSError as error:
            raise DriverError(f"cannot wire {port.device} of {function}: {error.strerror or error}") from error
        quiet = False
        if port.kind is PortKind.BRIDGE and self._switch is not None:
            quiet = self._switch.attach(near, self.label(function))
        return PortStatus(device=port.device, kind=port.kind, interface=near, mac=mac, no_flood=quiet)

    def label(self, function: str) -> str:
        """Whose an interface is."""
        return f"{self._agent}/{function}"

    def _pair(self, function: str, near: str, port: PortSpec, mac: str, place: Path) -> None:
        label = f"skerry-lvnf {self.label(function)}"
        with netlink.Netlink() as kernel:
            found = next((link for link in kernel.links() if link.name == near), None)
            if found is not None and found.alias != label:
                raise ConflictError(
                    f"cannot make the interface {near}: there is one that is not ours", suggestion="choose another name"
                )
            if found is not None and _has(place, port.device):
                return
            inside = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            try:
                made = netlink.veth(near, peer=port.device, peer_namespace=inside, peer_mac=mac, master=0, mtu=_MTU)
                kernel.run([netlink.link_gone(near), made, netlink.alias(near, label)])
            finally:
                os.close(inside)
            offload.set_transmit_checksums(near, False)
            if port.address:
                given = ipaddress.ip_interface(port.address)
                index = next(link.index for link in kernel.links() if link.name == near)
                kernel.run([netlink.address(index, str(given.ip), given.network.prefixlen)])
        with namespaces.inside(place), netlink.Netlink() as kernel:
            kernel.run([netlink.link_up("lo"), netlink.link_up(port.device)])

    def unwire(self, spec: FunctionSpec) -> None:
        """Take all of it away; what is gone is no error."""
        label = f"skerry-lvnf {self.label(spec.name)}"
        with netlink.Netlink() as kernel:
            ours = {link.name for link in kernel.links() if link.alias == label}
            for index, port in enumerate(spec.ports):
                near = self.interface(spec.name, index, port)
                if port.kind is PortKind.BRIDGE and self._switch is not None:
                    self._switch.detach(near)
                if near in ours:
                    kernel.run([netlink.link_gone(near)])
        namespaces.unpin(self.namespace(spec.name))


def _has(place: Path, device: str) -> bool:
    with namespaces.inside(place), netlink.Netlink() as kernel:
        return any(link.name == device for link in kernel.links())


def _mac(seed: str) -> str:
    """A locally administered address made of a name."""
    return "02:" + hashlib.blake2s(seed.encode(), digest_size=5).digest().hex(":")
