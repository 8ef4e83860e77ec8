"""Where notifications may go: an address that a subscriber names must not turn the node against its own network.

A host name is resolved by the node, every address is judged, and the connection is made to the address that was judged:
a name that answers differently the next moment changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import msgspec

from skerry.errors import Fault, InvalidError, UnavailableError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host."""

LONGEST_URI = 2048
WEB = ("http", "https")
BROKERS = ("amqp", "amqps")
NAT64 = ip_network("64:ff9b::/96")
COMPATIBLE = ip_network("::/96")
PRIVATE = "private"
"""Word of the policy for every private network (RFC 1918, RFC 4193)."""

_PRIVATE = tuple(ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_CLEAN = re.compile(r"[!-~]+")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`allowed` are networks (CIDR), host names and the word `private`; `loopback` allows this machine itself."""

    allowed: tuple[str, ...] = ()
    loopback: bool = False


def check_form(uri: str, name: str = "callbackUri", schemes: Sequence[str] = WEB) -> None:
    """Refuse what is no plain URI of these schemes. `InvalidError` says what is wrong with it."""
    trouble = _trouble(uri, schemes)
    if trouble:
        fault = Fault(message=trouble, code="uri", path=f"/{name}", fix=f"write {schemes[0]}(s)://host[:port]/path")
        raise InvalidError(f"cannot notify this address: {trouble}", faults=[fault])


def is_clean(text: str) -> bool:
    """Whether it has nothing but visible ASCII characters."""
    return bool(_CLEAN.fullmatch(text))


def _trouble(uri: str, schemes: Sequence[str]) -> str:
    if len(uri) > LONGEST_URI or not is_clean(uri):
        return f"it is longer than {LONGEST_URI} characters or has some that need quoting"
    try:
        parts = urlsplit(uri)
        port, host = parts.port, parts.hostname
    except ValueError:
        return "it is no URI"
    if parts.scheme.lower() not in schemes:
        return f"its scheme is not {' or '.join(schemes)}"
    if not host or port == 0:
        return "it names no host or port 0"
    if "@" in parts.netloc:
        return "it holds a user name"
    return "it has a fragment" if parts.fragment else ""


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (mapped, compatible, 6to4, NAT64), or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):  # :: and ::1 are what they are
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def refusal(address: Address, host: str, policy: Policy) -> str:
    """Why the policy forbids an address; "" when it does not."""
    real = plain(address)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "it names an interface of this machine"
    if host.lower() in policy.allowed or any(real in net for net in _networks(policy)):
        return ""
    if real.is_loopback:
        return "" if policy.loopback else "it is this machine itself"
    if real.is_link_local:
        return "it is link-local, as services of the infrastructure are"
    if real.is_multicast or real.is_unspecified:
        return "it is no address of one machine"
    return "" if real.is_global else "it is private or reserved"


def _networks(policy: Policy) -> list[IPv4Network | IPv6Network]:
    found: list[IPv4Network | IPv6Network] = []
    for entry in policy.allowed:
        if entry == PRIVATE:
            found += _PRIVATE
        elif network := _network(entry):
            found.append(network)
    return found


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses of a host as the machine's resolver knows them."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: what can be no name (RFC 3490)
        raise UnavailableError(f"cannot find the address of {host[:255]}", suggestion="check the name") from error
    return [str(entry[4][0]) for entry in found]


async def choose(host: str, port: int, policy: Policy, resolve: Resolve = system_resolve) -> str:
    """The address to connect to: the first that the policy allows. `InvalidError` says why there is none."""
    named = _literal(host)
    addresses = [named] if named else [ip_address(text.partition("%")[0]) for text in await resolve(host, port)]
    reasons = [refusal(address, host, policy) for address in addresses]
    for address, reason in zip(addresses, reasons, strict=True):
        if not reason:
            return str(address)
    why = next(iter(reasons), "it has no address")
    fault = Fault(message=f"{host}: {why}", code="target", path="/callbackUri", fix="use an address that is allowed")
    raise InvalidError(
        f"cannot notify {host}: {why}",
        faults=[fault],
        suggestion="the setting notification_targets lists what is allowed beside public addresses",
    )


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
