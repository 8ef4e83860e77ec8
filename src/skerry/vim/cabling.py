"""The part of the drivers' contract about physical ports: how machines that nobody deploys come into networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.vim import ipam
from skerry.vim.driver import Network, Tap, Value


class PlugSpec(Value, frozen=True, kw_only=True):
    """A machine joined with a network: `port` is the physical port that it is cabled to, `name` what it is. No instance
    gets one of its addresses `ips`. One that is `steered` is not connected: a data plane alone brings and takes its frames."""

    port: str
    network: str
    name: str
    owner: str
    mac: str = ""
    ips: tuple[str, ...] = ()
    steered: bool = False


@runtime_checkable
class Cabled(Protocol):
    """Has physical ports that lead to machines of the site, and joins them with its networks."""

    def physical_ports(self) -> Sequence[str]:
        """Their names, as who runs the site gave them."""
        ...

    async def plug_port(self, spec: PlugSpec) -> Tap:
        """Frames go between the port and the network from now on. Again with other addresses changes these.

        `NotFoundError` for an unknown port, `InvalidError` for a network or address that cannot be, `ConflictError` where
        the port or an address is taken. A network that is deleted lets go of its ports.
        """
        ...

    async def unplug_port(self, port: str, owner: str) -> None:
        """The port leads nowhere; nothing happens where this owner has not plugged it."""
        ...

    async def list_plugged(self) -> Sequence[PlugSpec]:
        """Every port that is plugged, of whatever owner."""
        ...


def check(spec: PlugSpec, network: Network | None, plugged: Sequence[PlugSpec], taken: Collection[str]) -> None:
    """Whether a port can be plugged so, where others are plugged and instances have the addresses `taken`. Pure."""
    if network is None:
        raise InvalidError(f"cannot plug {spec.port}: there is no network {spec.network}")
    there = next((one for one in plugged if one.port == spec.port), None)
    if there and (there.network, there.owner) != (spec.network, spec.owner):
        raise ConflictError(
            f"cannot plug {spec.port}: it is plugged into {there.network}", suggestion="unplug it there first"
        )
    others = {ip for one in plugged if one.network == spec.network and one.port != spec.port for ip in one.ips}
    version = ipaddress.ip_network(network.cidr).version
    for ip in spec.ips:
        if (":" in ip) == (version == 6) and (fault := ipam.address_fault(ip, network, {*taken, *others})):
            kind = ConflictError if ip in {*taken, *others} else InvalidError
            raise kind(f"cannot plug {spec.port}: {fault}", faults=[Fault(message=fault, code="address")])
