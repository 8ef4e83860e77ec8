"""The kernel's side of ports: what an interface needs before a userspace switch reads its raw frames, and how it goes back.

The functions enter the device's namespace in the calling thread: call them in a worker thread.
"""

from __future__ import annotations

from pathlib import Path

from skerry.dataplane.driver import resource_name
from skerry.dataplane.flows import PortKind, PortState
from skerry.dataplane.ovs.instance import Instance
from skerry.errors import DriverError, NotFoundError
from skerry.linux import namespaces, netlink, offload

VXLAN_PORT = 4789
_VXLAN_MTU = 9000
"""Frames grow by chains; what does not fit the path between hosts travels in fragments."""
CHECKSUMS, IPV6, MASTER = "checksums", "ipv6", "master="


def interface(node: str, device: str, port: PortState) -> str:
    """The name of the interface behind a port."""
    if port.kind is PortKind.INTERFACE or port.interface:
        return port.interface
    return resource_name(node, f"{device}/{port.number}", "v" if port.kind is PortKind.VXLAN else "i")


def note(node: str, device: str) -> str:
    """What an interface that was made for a device says of its owner."""
    return f"skerry {node} {device}"


def make_ready(instance: Instance, name: str, port: PortState, owner: str) -> tuple[str, ...]:
    """Make a tunnel's interface, or prepare one that is there; what has to go back later."""
    with instance.enter(), netlink.Netlink() as kernel:
        there = any(link.name == name for link in kernel.links())
        if port.kind is PortKind.VXLAN and not there:
            tunnel = netlink.vxlan(
                name, vni=port.vni, local=port.local, remote=port.remote, port=VXLAN_PORT, mtu=_VXLAN_MTU
            )
            _run(kernel, [tunnel, netlink.alias(name, owner)], f"cannot make the tunnel of port {port.number}")
        elif not there:
            raise NotFoundError(f"cannot find the interface {name}", suggestion="make it before it is attached")
        changed = [IPV6] if _quiet(name, quiet=True) else []
        _run(kernel, [netlink.link_up(name)], f"cannot set {name} up")
        if port.kind is PortKind.INTERFACE:
            changed += _freed(kernel, name)
        if port.kind is PortKind.INTERFACE and offload.set_peer_checksums(name, on=False):
            changed.append(CHECKSUMS)
    return tuple(changed)


def set_up(instance: Instance, name: str) -> None:
    """Set an interface up that the switch made."""
    with instance.enter(), netlink.Netlink() as kernel:
        _run(kernel, [netlink.link_up(name)], f"cannot set {name} up")


def give_back(instance: Instance, name: str, port: PortState, changed: tuple[str, ...]) -> None:
    """Delete a tunnel's interface; leave any other as it was. One that is gone is no error."""
    try:
        with instance.enter(), netlink.Netlink() as kernel:
            if port.kind is PortKind.VXLAN:
                _run(kernel, [netlink.link_gone(name)], f"cannot delete {name}")
            _bound(kernel, name, changed)
            if IPV6 in changed:
                _quiet(name, quiet=False)
            if CHECKSUMS in changed:
                offload.set_peer_checksums(name, on=True)
    except NotFoundError:
        return  # the namespace is gone, and its interfaces with it


def _freed(kernel: netlink.Netlink, name: str) -> list[str]:
    """Take an interface out of its bridge, which would forward beside the switch."""
    links = {link.index: link for link in kernel.links()}
    bridge = next((links[link.master].name for link in links.values() if link.name == name and link.master), "")
    if not bridge:
        return []
    _run(kernel, [netlink.enslave(name, 0)], f"cannot take {name} out of the bridge {bridge}")
    return [f"{MASTER}{bridge}"]


def _bound(kernel: netlink.Netlink, name: str, changed: tuple[str, ...]) -> None:
    """Put an interface back into the bridge that it was in; what of the two is gone stays gone."""
    bridge = next((one.removeprefix(MASTER) for one in changed if one.startswith(MASTER)), "")
    index = {link.name: link.index for link in kernel.links()} if bridge else {}
    if bridge in index and name in index:
        _run(kernel, [netlink.enslave(name, index[bridge])], f"cannot put {name} back into the bridge {bridge}")


def sweep(instance: Instance, owner: str) -> None:
    """Delete what was made for a device and never became a port, because Skerry was killed in between."""
    try:
        with instance.enter(), netlink.Netlink() as kernel:
            rests = [netlink.link_gone(link.name) for link in kernel.links() if link.alias == owner]
            _run(kernel, rests, "cannot delete what is left of a device")
    except NotFoundError:
        return


def _quiet(name: str, *, quiet: bool) -> bool:
    """Let the kernel speak no IPv6 of its own on an interface that belongs to the switch. True when that is a change."""
    setting = f"net/ipv6/conf/{name}/disable_ipv6"
    try:
        before = Path("/proc/sys", setting).read_text().strip() == "1"
    except FileNotFoundError:
        return False
    namespaces.sysctl({setting: "1" if quiet else "0"})
    return before != quiet


def _run(kernel: netlink.Netlink, messages: list[netlink.Message], what: str) -> None:
    try:
        kernel.run(messages)
    except OSError as error:
        raise DriverError(f"{what}: {error.strerror}", answer=str(error)) from error
