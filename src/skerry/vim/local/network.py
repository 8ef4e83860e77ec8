"""Networks of one edge host: a network namespace that holds a bridge per network, and one namespace per instance.

The functions block for some milliseconds and change the namespace of the calling thread meanwhile: call them in a worker
thread. Names are derived, so everything can be repeated after a crash: what is half made is removed and made anew.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skerry.errors import DriverError
from skerry.linux import namespaces, netlink, offload, syscalls
from skerry.vim import ipam
from skerry.vim.driver import Network, Nic, NicSpec, Tap

BRIDGE, PORT = "skb", "skv"
OURS = (BRIDGE, PORT)
"""How the names of interfaces begin that are made here."""


_MUTE = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}


class Plug(msgspec.Struct, frozen=True):
    """One interface to be made: what was asked, what was allocated, where it goes."""

    nic: Nic
    spec: NicSpec
    network: Network


class EdgeNetwork:
    """The kernel's side of one edge host's networks. `tag` makes its names unique on the machine."""

    def __init__(self, tag: str, host: str) -> None:
        self.tag = tag
        self.namespace = f"skerry-{tag}-{host}"
        self._path = namespaces.FOLDER / self.namespace

    def bridge(self, network: str) -> str:
        """The name of the bridge that carries a network."""
        return ipam.interface_name(BRIDGE, self.tag, network)

    def instance_namespace(self, instance: str) -> str:
        """The name of an instance's network namespace (as in `ip netns`)."""
        return f"skerry-{self.tag}-{instance}"

    def instance_path(self, instance: str) -> Path:
        return namespaces.FOLDER / self.instance_namespace(instance)

    def ensure(self, network: Network) -> None:
        """Make the bridge of a network and, first, the edge host's namespace; what is there stays."""
        if not namespaces.pinned(self._path):
            namespaces.pin_new(self._path, {"net/ipv4/ip_forward": "0", "net/ipv6/conf/default/disable_ipv6": "1"})
        name = self.bridge(network.name)
        made = netlink.bridge(name, mac=ipam.mac_address(self.tag, network.name), mtu=network.mtu)
        note = netlink.alias(name, f"skerry {network.owner} {network.name}")
        prefix = ipaddress.ip_network(network.cidr).prefixlen
        with namespaces.inside(self._path), netlink.Netlink() as kernel:
            kernel.run([netlink.link_up("lo"), made, note])
            if ":" in network.cidr:
                namespaces.sysctl({f"net/ipv6/conf/{name}/disable_ipv6": "0"})
            kernel.run([netlink.address(socket.if_nametoindex(name), network.gateway, prefix)])

    def remove(self, network: str) -> None:
        """Delete a network's bridge."""
        self.unlink(self.bridge(network))

    def unlink(self, name: str) -> None:
        """Delete an interface of the edge host's namespace; one that is gone is no error."""
        if not namespaces.pinned(self._path):
            return
        with namespaces.inside(self._path), netlink.Netlink() as kernel:
            kernel.run([netlink.link_gone(name)])

    def links(self) -> list[netlink.Link]:
        """Every interface in the edge host's namespace, from the kernel."""
        if not namespaces.pinned(self._path):
            return []
        with namespaces.inside(self._path), netlink.Netlink() as kernel:
            return kernel.links()

    def listening(self, address: str, port: int) -> socket.socket:
        """A non-blocking socket that listens on an address of one of the networks."""
        made = self.socket(socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.listen(128)
        except OSError:
            made.close()
            raise
        return made

    def socket(self, kind: int) -> socket.socket:
        """A non-blocking socket of the edge host's namespace, from which every network's instances can be reached."""
        with namespaces.inside(self._path):
            return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def release(self) -> None:
        """Give the edge host's namespace back. Call when no network is left. Where others have interfaces in it, it stays."""
        if all(link.name == "lo" or link.name.startswith(OURS) for link in self.links()):
            namespaces.unpin(self._path)

    def wired(self, instance: str) -> bool:
        """True when the instance's namespace exists."""
        return namespaces.pinned(self.instance_path(instance))

    def wire(self, instance: str, plugs: Sequence[Plug], *, bare: bool = False) -> None:
        """Make the instance's namespace with its interfaces in order, from scratch. In a `bare` one the kernel itself takes no
        part: no addresses, and whole frames with their checksums."""
        path = self.instance_path(instance)
        namespaces.unpin(path)
        with syscalls.network_kept():
            namespaces.pin_new(path, _MUTE if bare else {"net/ipv4/conf/all/arp_notify": "1"}, stay=True)
            inside = syscalls.own_network()
            try:
                if plugs:
                    self._plug(instance, plugs, inside)
                    if bare:
                        self._whole(instance, plugs)
                syscalls.enter_network(inside)
                (_bring_up if bare else _configure)(plugs)
            finally:
                os.close(inside)
        self._limit(instance, plugs)

    def _whole(self, instance: str, plugs: Sequence[Plug]) -> None:
        """Let this host finish checksums and segments before it hands frames over: nobody behind the interfaces does. The
        calling thread is in the edge host's namespace."""
        for index in range(len(plugs)):
            offload.set_transmit_checksums(self.port(instance, index), False)

    def _plug(self, instance: str, plugs: Sequence[Plug], inside: int) -> None:
        namespaces.enter(self._path)
        messages: list[netlink.Message] = []
        for index, plug in enumerate(plugs):
            name = self.port(instance, index)
            messages.append(netlink.link_gone(name))
            messages.append(
                netlink.veth(
                    name,
                    peer=plug.nic.device,
                    peer_namespace=inside,
                    peer_mac=plug.nic.mac,
                    master=0 if plug.spec.steered else socket.if_nametoindex(self.bridge(plug.network.name)),
                    mtu=plug.network.mtu,
                )
            )
        with netlink.Netlink() as kernel:
            kernel.run(messages)

    def port(self, instance: str, index: int) -> str:
        """The edge host's end of an instance's interface."""
        return ipam.interface_name(PORT, self.tag, instance, str(index))

    def carry(self, instance: str, devices: Sequence[str], on: bool) -> None:
        """Let an instance's interfaces carry frames, or none."""
        with namespaces.inside(self.instance_path(instance)), netlink.Netlink() as kernel:
            kernel.run([netlink.link_up(device) if on else netlink.link_down(device) for device in devices])

    def counters(self, instance: str) -> list[str]:
        """The counters of an instance's interfaces, in the lines of /proc/net/dev."""
        with namespaces.inside(self.instance_path(instance)):
            return Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]

    def taps(self, instance: str, nics: Sequence[Nic]) -> list[Tap]:
        """Where a data plane finds the instance's traffic."""
        return [
            Tap(
                network=nic.network,
                interface=self.port(instance, index),
                namespace=self.namespace,
                mac=nic.mac,
                ip=nic.ip,
            )
            for index, nic in enumerate(nics)
        ]

    def _limit(self, instance: str, plugs: Sequence[Plug]) -> None:
        """Cap bandwidths: what the instance receives at the bridge's end of the pair, what it sends at its own end."""
        receive = [
            _shape(self.port(instance, index), plug.spec.ingress_bps)
            for index, plug in enumerate(plugs)
            if plug.spec.ingress_bps
        ]
        send = [_shape(plug.nic.device, plug.spec.egress_bps) for plug in plugs if plug.spec.egress_bps]
        for namespace, lines in ((self.namespace, receive), (self.instance_namespace(instance), send)):
            if lines:
                _traffic_control(namespace, lines)

    def unwire(self, instance: str, interfaces: int) -> None:
        """Delete the instance's interfaces, then its namespace (which alone would free them later)."""
        if interfaces and namespaces.pinned(self._path):
            with namespaces.inside(self._path), netlink.Netlink() as kernel:
                kernel.run([netlink.link_gone(self.port(instance, index)) for index in range(interfaces)])
        namespaces.unpin(self.instance_path(instance))


def _bring_up(plugs: Sequence[Plug]) -> None:
    """Inside the namespace of an instance that does everything itself."""
    with netlink.Netlink() as kernel:
        kernel.run([netlink.link_up(plug.nic.device) for plug in plugs])


def _configure(plugs: Sequence[Plug]) -> None:
    """Inside the instance's namespace: addresses first, then up, so that `arp_notify` announces them."""
    messages = [netlink.link_up("lo")]
    for plug in plugs:
        prefix = ipaddress.ip_network(plug.network.cidr).prefixlen
        messages.append(netlink.address(socket.if_nametoindex(plug.nic.device), plug.nic.ip, prefix))
    messages += [netlink.link_up(plug.nic.device) for plug in plugs]
    if plugs:
        first = next((plug for plug in plugs if not plug.spec.steered), plugs[0])
        messages.append(netlink.default_route(first.network.gateway, socket.if_nametoindex(first.nic.device)))
    with netlink.Netlink() as kernel:
        kernel.run(messages)


def _shape(device: str, bits_per_second: int) -> str:
    """A token bucket: 10 ms of the rate, but room for three full frames; longer than 100 ms in the queue is dropped."""
    burst = max(bits_per_second // 800, 5000)
    return f"qdisc replace dev {device} root tbf rate {bits_per_second}bit burst {burst} latency 100ms"


def _traffic_control(namespace: str, lines: Sequence[str]) -> None:
    call = ["tc", "-n", namespace, "-batch", "-"]
    done = subprocess.run(call, input="\n".join(lines).encode(), capture_output=True, check=False)
    if done.returncode:
        answer = done.stderr.decode(errors="replace").strip()
        raise DriverError(f"cannot limit the bandwidth in {namespace}: {answer}", call=" ".join(call), answer=answer)
