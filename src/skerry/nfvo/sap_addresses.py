"""The addresses of whoever is connected at a service access point (CpProtocolData, SOL005 6.5.3.10).

They are addresses of the virtual link that the access point leads to. No instance gets one of them, and a path that begins
at the access point leads what comes from them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import Fault, RejectedError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.ns import NsInstance
from skerry.model.saps import AccessPoint
from skerry.nfvo.desk import NsDesk
from skerry.store import aggregates
from skerry.vim import ipam
from skerry.vim.driver import Network, NetworkSpec

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MOST = 256  # addresses of one access point


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual link: the networks that it is, and their addresses that instances have."""

    networks: tuple[Network, ...] = ()
    taken: frozenset[str] = frozenset()


Links = Callable[[str], Ground]
"""Virtual link -> what is known of it now."""


def links_of(desk: NsDesk, instance: NsInstance, flavour: NsDeploymentFlavour) -> Links:
    """The virtual links of an NS: networks that there are, else what its NSD says of them."""

    def ground(link: str) -> Ground:
        made = [one for key, one in instance.resources.items() if key.startswith(f"network:{link}@") and one.outputs]
        if not made:
            return _described(flavour, link)
        networks = msgspec.convert([one.outputs for one in made], tuple[Network, ...])
        names = {one.name for one in networks}
        vnfs = (aggregates.vnf_instances.find(desk.database, one.vnf_instance_id) for one in instance.members.values())
        nics = [nic for vnf in vnfs if vnf for one in vnf.resources.values() for nic in one.outputs.get("nics", ())]
        return Ground(networks=networks, taken=frozenset(nic["ip"] for nic in nics if nic["network"] in names))

    return ground


def _described(flavour: NsDeploymentFlavour, link: str) -> Ground:
    """A virtual link that is not made yet. One without a subnet gets that from the infrastructure."""
    found = flavour.virtual_links.get(link)
    if found is None or not found.cidr:
        return Ground()
    cidr, gateway = ipam.subnet(NetworkSpec(name=link, owner="", cidr=found.cidr, gateway=found.gateway), "", ())
    return Ground(networks=(Network(id="", name=link, owner="", cidr=cidr, gateway=gateway),))


def addressed(
    point: AccessPoint,
    told: Sequence[Mapping[str, Any]],
    link: str,
    links: Links,
    taken: Collection[str],
    at: str,
) -> tuple[AccessPoint, list[Fault]]:
    """The access point with the addresses that CpProtocolData asks for. `taken` are those of others at the same link."""
    if not told:
        return point, []
    if len(told) > 1:
        return point, [Fault(message="one protocol at a SAP is enough", path=f"{at}/1", code="protocol")]
    wished, at = told[0].get("ipOverEthernet") or {}, f"{at}/0/ipOverEthernet"
    faults = [
        Fault(message="traffic at a SAP has no segments", path=f"{at}/{name}", code="segment", fix="leave it out")
        for name in ("segmentationId", "segmentationType")
        if wished.get(name)
    ]
    mac = str(wished.get("macAddress") or "").lower()
    if mac and (not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1):
        faults.append(Fault(message=f"{mac} is no unicast MAC address", path=f"{at}/macAddress", code="mac"))
    choice = _Choice(links(link) if wished.get("ipAddresses") else Ground(), link, set(taken))
    for number, entry in enumerate(wished.get("ipAddresses") or ()):
        choice.take(entry, f"{at}/ipAddresses/{number}")
    made = msgspec.structs.replace(
        point,
        virtual_link=link if choice.chosen else "",
        addresses=tuple(choice.chosen),
        dynamic=choice.dynamic,
        mac=mac,
    )
    return made, [*faults, *choice.faults]


class _Choice:
    """Addresses of one link, one entry of `ipAddresses` after the other."""

    def __init__(self, ground: Ground, link: str, taken: set[str]) -> None:
        self.ground, self.link = ground, link
        self.taken = taken | ground.taken
        self.chosen: list[str] = []
        self.faults: list[Fault] = []
        self.dynamic = False

    def take(self, entry: Mapping[str, Any], at: str) -> None:
        """Fixed addresses, some of a range, or as many free ones as asked for."""
        version = 6 if entry["type"] == "IPV6" else 4
        fitting = [one for one in self.ground.networks if ipaddress.ip_network(one.cidr).version == version]
        if entry.get("subnetId"):
            fix = "leave it out: a virtual link has one subnet of a kind"
            self._fault("a SAP is in the subnet of its virtual link", f"{at}/subnetId", fix=fix)
        elif not fitting:
            told = f"the virtual link {self.link} has no {entry['type']} subnet that is known"
            fix = "give it one in the NSD, or add the SAP once the NS runs"
            self._fault(told, f"{at}/type", fix=fix)
        elif entry.get("fixedAddresses"):
            for number, text in enumerate(entry["fixedAddresses"]):
                self._fixed(fitting, text, f"{at}/fixedAddresses/{number}")
        elif entry.get("addressRange"):
            self._ranged(fitting, entry["addressRange"], f"{at}/addressRange")
        else:
            self._dynamic(fitting[0], entry.get("numDynamicAddresses") or 0, f"{at}/numDynamicAddresses")

    def _fixed(self, networks: Sequence[Network], text: str, at: str) -> None:
        troubles = [ipam.address_fault(text, network, self.taken) for network in networks]
        if all(troubles):
            self._fault(troubles[0], at)
            return
        self._add(str(ipaddress.ip_address(text)))

    def _ranged(self, networks: Sequence[Network], bounds: Mapping[str, str], at: str) -> None:
        try:
            low, high = (ipaddress.ip_address(bounds[name]) for name in ("minAddress", "maxAddress"))
        except ValueError as wrong:
            self._fault(str(wrong), at)
            return
        count = int(high) - int(low) + 1
        if low.version != high.version or not 0 < count <= _MOST:
            self._fault(f"a range goes up and has at most {_MOST} addresses", at)
            return
        for number in range(count):
            self._fixed(networks, str(low + number), at)

    def _dynamic(self, network: Network, count: int, at: str) -> None:
        if not 0 < count <= _MOST:
            self._fault(f"a SAP has 1 to {_MOST} dynamic addresses", at)
            return
        self.dynamic = True
        try:
            for _ in range(count):
                self._add(ipam.free_address(network.cidr, network.gateway, self.taken))
        except RejectedError as full:
            self._fault(full.detail, at)

    def _add(self, address: str) -> None:
        self.chosen.append(address)
        self.taken.add(address)

    def _fault(self, message: str, at: str, *, fix: str = "") -> None:
        self.faults.append(Fault(message=message, path=at, code="address", fix=fix))
