"""Addresses of virtual links: which subnet, which address, which MAC, which interface name. Pure functions.

Drivers without an address management of their own (`local`, and `docker` for what the Engine cannot know before the
start) call these with what is taken; nothing is remembered here, so nothing can leak.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from skerry.errors import Fault, InvalidError, RejectedError
from skerry.vim.driver import Network, NetworkSpec, Nic, NicSpec

_AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def digest(*names: str, length: int = 12) -> str:
    """The first `length` hexadecimal digits that stand for these names; ("a", "b") differs from ("ab",)."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:length]


def interface_name(prefix: str, *names: str) -> str:
    """A kernel interface name (at most 15 characters) derived from longer names."""
    return prefix + digest(*names, length=15 - len(prefix))


def mac_address(*names: str) -> str:
    """A unicast, locally administered MAC derived from names, so that a re-created interface keeps it."""
    tail = digest("mac", *names, length=10)
    return "02:" + ":".join(tail[i : i + 2] for i in range(0, 10, 2))


@lru_cache(maxsize=1 << 14)
def _bounds(cidr: str) -> tuple[int, int, int]:
    """Version, first and last address of a network; remembered, because every new network looks at all that there are."""
    net = ipaddress.ip_network(cidr)
    return net.version, int(net.network_address), int(net.broadcast_address)


def free_subnet(pool: str, taken: Iterable[str], prefix: int = 24) -> str:
    """The first subnet of `pool` of that length that overlaps none of `taken`; `RejectedError` if none is left."""
    space = ipaddress.ip_network(pool)
    step = 1 << (space.max_prefixlen - max(prefix, space.prefixlen))
    at, end = int(space.network_address), int(space.broadcast_address)
    blocked = sorted((low, high) for version, low, high in map(_bounds, taken) if version == space.version)
    for low, high in blocked:
        if high < at:
            continue
        if low > at + step - 1:
            break
        at = (high // step + 1) * step
    if at + step - 1 > end:
        raise RejectedError(
            f"cannot find a free /{prefix} subnet in {pool}: {len(blocked)} subnets are taken",
            suggestion="delete unused networks, give the network a CIDR, or enlarge the driver's address pool",
        )
    return f"{ipaddress.ip_address(at)}/{max(prefix, space.prefixlen)}"


def subnet(spec: NetworkSpec, pool: str, taken: Collection[str]) -> tuple[str, str]:
    """CIDR and gateway of a new network, checked; `InvalidError` names what is wrong.

    Networks are isolated from each other, so a CIDR that is asked for may be one that another network has too;
    an automatic one never is.
    """
    cidr = spec.cidr or free_subnet(pool, taken)
    try:
        net = ipaddress.ip_network(cidr, strict=False)
    except ValueError as wrong:
        raise InvalidError(
            f"cannot create the network {spec.name}: {cidr} is no CIDR", suggestion="write it as 10.0.0.0/24"
        ) from wrong
    if net.num_addresses < 4:
        raise InvalidError(
            f"cannot create the network {spec.name}: {net} has no room for a gateway and an instance",
            suggestion="use a prefix of /30 or shorter",
        )
    return str(net), _gateway(spec, net)


def _gateway(spec: NetworkSpec, net: _AnyNetwork) -> str:
    if not spec.gateway:
        return str(net[1])
    try:
        gateway = ipaddress.ip_address(spec.gateway)
    except ValueError as wrong:
        raise InvalidError(f"cannot create the network {spec.name}: gateway {spec.gateway} is no address") from wrong
    if gateway not in net:
        raise InvalidError(
            f"cannot create the network {spec.name}: the gateway {gateway} is outside {net}",
            suggestion="choose a gateway inside the subnet, or leave it out",
        )
    return str(gateway)


def free_address(cidr: str, gateway: str, taken: Collection[str]) -> str:
    """The lowest address of `cidr` that is neither the gateway, nor taken, nor the network's or broadcast address."""
    net = ipaddress.ip_network(cidr)
    used = {int(ipaddress.ip_address(address)) for address in taken} | {int(ipaddress.ip_address(gateway))}
    first, last = int(net.network_address) + 1, int(net.broadcast_address) - 1
    for value in range(first, last + 1):
        if value not in used:
            return str(type(net.network_address)(value))
    raise RejectedError(
        f"cannot allocate an address in {cidr}: all {last - first + 1} are taken",
        suggestion="delete instances or use a network with a larger subnet",
    )


def allocate(
    owner: str,
    name: str,
    nics: Sequence[NicSpec],
    networks: Mapping[str, Network],
    taken: Mapping[str, Collection[str]],
) -> tuple[Nic, ...]:
    """Devices, addresses and MACs for an instance's interfaces, in their order.

    `networks` maps the names of existing networks, `taken` their addresses in use. `InvalidError` names every fault
    of the request at once; `RejectedError` when a network is full.
    """
    faults: list[Fault] = []
    given: dict[str, set[str]] = {nic.network: set(taken.get(nic.network, ())) for nic in nics}
    for nic in nics:
        given[nic.network].update(nic.avoid)
    for index, nic in enumerate(nics):
        fault = _nic_fault(nic, networks, given)
        if fault:
            faults.append(Fault(message=fault, code="nic", path=f"nics/{index}"))
        elif nic.ip:
            given.setdefault(nic.network, set()).add(_plain(nic.ip))
    if faults:
        raise InvalidError(f"cannot connect the instance {name}: {faults[0].message}", faults=faults)
    made: list[Nic] = []
    for index, nic in enumerate(nics):
        used = given.setdefault(nic.network, set())
        network = networks[nic.network]
        address = _plain(nic.ip) or free_address(network.cidr, network.gateway, used)
        used.add(address)
        mac = nic.mac.lower() or mac_address(owner, name, nic.network, str(index))
        made.append(Nic(network=nic.network, device=f"eth{index}", ip=address, mac=mac))
    return tuple(made)


def _nic_fault(nic: NicSpec, networks: Mapping[str, Network], given: Mapping[str, Collection[str]]) -> str:
    network = networks.get(nic.network)
    if network is None:
        return f"there is no network {nic.network}"
    if nic.mac and (not _MAC.fullmatch(nic.mac.lower()) or int(nic.mac[:2], 16) & 1):
        return f"{nic.mac} is no unicast MAC address"
    if not nic.ip:
        return ""
    return address_fault(nic.ip, network, given.get(nic.network, ()))


def address_fault(text: str, network: Network, taken: Collection[str]) -> str:
    """Why this cannot be the address of a host of the network; "" where it can."""
    try:
        address = ipaddress.ip_address(_plain(text))
    except ValueError:
        return f"{text} is no address"
    net = ipaddress.ip_network(network.cidr)
    if address not in net or address in (net.network_address, net.broadcast_address):
        return f"{address} is no host address of {network.cidr} ({network.name})"
    if str(address) == network.gateway:
        return f"{address} is the gateway of {network.name}"
    return f"{address} is taken in {network.name}" if str(address) in taken else ""


def _plain(address: str) -> str:
    return address.split("/", 1)[0].strip().lower()
