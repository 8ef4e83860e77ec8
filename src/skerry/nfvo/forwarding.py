"""Forwarding graphs of an NS as intents of the data plane: a pure function from paths and attachments.

A path begins where its traffic comes from. Its rules classify what enters there and lead it through the functions of the
positions in between, in order, and out at the last one. What no rule concerns goes on over the virtual links as before.
Interfaces of functions carry the traffic of their paths only: a function that bridges two interfaces would turn a virtual
link that both are on into a loop.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

import msgspec

from skerry.dataplane.intents import (
    Chain,
    Classifier,
    Device,
    Function,
    Hop,
    Intents,
    LinkMember,
    Port,
    PortRange,
    Side,
    Steer,
    Steering,
    VirtualLink,
)
from skerry.dataplane.parts import NS, Part
from skerry.errors import ConflictError, Fault, InvalidError
from skerry.mep import translate
from skerry.model.descriptors import PROTOCOLS, Nfp, NfpElement, NfpPosition, NfpRule, Sap, Vnffg
from skerry.model.mec import App, AppInfo, RuleState, TrafficRule
from skerry.vim.driver import Tap

_ETHER_TYPES = {"ipv4": 0x0800, "ipv6": 0x86DD}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]{0,126}[A-Za-z0-9])?")


VIM = "vim"
"""How the ids of devices begin that are made for the interfaces of a VIM."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """An interface of a member VNF, or the port of a PNF, on a virtual link of the NS. `names` are those that the NSD may
    use for its external connection point."""

    profile: str
    vnfc: str  # unique in the NS
    names: tuple[str, ...]
    link: str
    vim: str
    tap: Tap


def owner_of(ns_id: str) -> str:
    """The owner of an NS's intents; its ports are named after it."""
    return f"{NS}{ns_id}"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What paths are laid over: the NS's interfaces, those of them that the data plane alone serves (`steered`), and what the
    data plane has besides: devices of its zones, and ports on them that the NS's tenant may use."""

    attachments: Sequence[Attachment]
    steered: Sequence[Attachment] = ()
    devices: Sequence[Device] = ()
    ports: Sequence[Port] = ()

    def device_of(self, one: Attachment) -> Device:
        """The device that an interface is attached to: the one that somebody declared where it is, else the VIM's own."""
        tap = one.tap
        for device in self.devices:
            here = device.namespace == tap.namespace and bool(tap.namespace or tap.engine)
            if here and tap.engine in ("", device.engine) and not device.id.startswith(f"{VIM}:"):
                return device
        return Device(id=_named(VIM, one.vim, tap.namespace), engine=tap.engine, namespace=tap.namespace)


class Laid(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the data plane, and the intents that each traffic rule became, by its path. One that another rule of the same
    NS overrules is in none of them."""

    part: Part
    rules: Mapping[str, tuple[Steering | Chain, ...]] = {}


def lay(ns_id: str, tenant: str, vnffgs: Iterable[Vnffg], saps: Mapping[str, Sap], ground: Ground) -> Laid:
    """Everything that the data plane shall do for an NS. `InvalidError` and `ConflictError` name what paths lack."""
    attachments = ground.attachments
    nfps = [nfp for vnffg in vnffgs for nfp in vnffg.nfps.values()]
    paths = [_Path(nfp, saps, attachments) for nfp in nfps if not nfp.traffic]
    if faults := [fault for path in paths for fault in path.faults]:
        raise InvalidError("cannot lay the forwarding paths", faults=faults)
    touched = {one.link for path in paths for one in path.attachments}
    alone = {id(one) for one in ground.steered}
    on = [one for one in attachments if one.link in touched or id(one) in alone]
    devices = {device.id: device for device in (ground.device_of(one) for one in on)}
    functions = {id(one) for path in paths for one in path.functions} | alone
    intents: list[Intents] = [
        VirtualLink(
            id=_named(owner_of(ns_id), "vl", link),
            tenant=tenant,
            members=tuple(
                LinkMember(port=port_id(ns_id, one)) for one in on if one.link == link and id(one) not in functions
            ),
        )
        for link in sorted(touched)
    ]
    for path in paths:
        intents += path.intents(ns_id, tenant)
    ports = tuple(_port(ns_id, tenant, one, ground) for one in on)
    own = tuple(port_id(ns_id, one) for one in ground.steered)
    app = App(id=ns_id, tenant=tenant, info=AppInfo(app_name=ns_id), ports=own)
    rules = _ruled(app, [nfp for nfp in nfps if nfp.traffic], (*ports, *ground.ports))
    intents += translate.deciding([intent for several in rules.values() for intent in several])
    return Laid(part=Part(devices=tuple(devices.values()), ports=ports, intents=tuple(intents)), rules=rules)


def _ruled(app: App, nfps: Iterable[Nfp], ports: Sequence[Port]) -> dict[str, tuple[Steering | Chain, ...]]:
    """The intents of paths that are traffic rules of an application. A rule that is INACTIVE has none."""
    rules = {nfp.id: msgspec.convert(nfp.traffic, TrafficRule) for nfp in nfps}
    active = {id: rule for id, rule in rules.items() if rule.state is RuleState.ACTIVE}
    return {id: translate.intents(rule, app, ports) for id, rule in active.items()}


def port_id(ns_id: str, attachment: Attachment) -> str:
    """The port of an attachment."""
    return _named(owner_of(ns_id), attachment.vnfc, attachment.tap.interface)


def _port(ns_id: str, tenant: str, one: Attachment, ground: Ground) -> Port:
    return Port(
        id=port_id(ns_id, one),
        device=ground.device_of(one).id,
        side=Side.VNFC,
        interface=one.tap.interface,
        mac=one.tap.mac,
        ips=(one.tap.ip,) if one.tap.ip else (),
        tenant=tenant,
    )


class _Path:
    """One NFP with the attachments that its positions mean."""

    def __init__(self, nfp: Nfp, saps: Mapping[str, Sap], attachments: Sequence[Attachment]) -> None:
        self.nfp, self.faults = nfp, list[Fault]()
        self._saps, self._all = saps, attachments
        first, *between, last = nfp.positions
        self.hops = [self._pairs(position) for position in between]
        self.functions = [end for pairs in self.hops for pair in pairs for end in pair]
        self.sources = [(self._end(element), self._known(element)) for element in first.elements]
        self.targets = [one for element in last.elements for one in self._end(element)]

    @property
    def attachments(self) -> list[Attachment]:
        return [*(one for found, _ in self.sources for one in found), *self.functions, *self.targets]

    def _end(self, element: NfpElement) -> list[Attachment]:
        """Where the path begins or ends: connection points, or all that is on the link of a SAP."""
        if not element.is_sap:
            return self._of(element, element.ingress)
        functions = {id(one) for one in self.functions}
        link = self._saps[element.profile].virtual_link
        return [one for one in self._all if one.link == link and id(one) not in functions]

    def _known(self, element: NfpElement) -> Sap | None:
        """The SAP of an end of which it is known who is connected there: others on its link are not meant."""
        sap = self._saps[element.profile] if element.is_sap else None
        if sap is None or not (sap.mac or sap.addresses):
            return None
        if not any(sent_by(rule, sap) for rule in self.nfp.rules or (NfpRule(id="all"),)):
            self._fault(f"no rule is about what comes from {sap.mac or ', '.join(sap.addresses)} at {sap.id}", element)
        return sap

    def _pairs(self, position: NfpPosition) -> list[tuple[Attachment, Attachment]]:
        """The instances of functions at a position: the way in and the way out of each."""
        found: list[tuple[Attachment, Attachment]] = []
        for element in position.elements:
            if element.is_sap:
                self._fault(f"the SAP {element.profile} is between functions", element)
                continue
            outs = {one.vnfc: one for one in self._of(element, element.egress)}
            found += [(one, outs[one.vnfc]) for one in self._of(element, element.ingress) if one.vnfc in outs]
        if not found:
            self._fault(f"nothing serves the position {position.id}", position.elements[0])
        return found

    def _of(self, element: NfpElement, point: str) -> list[Attachment]:
        own = [one for one in self._all if one.profile == element.profile]
        found = [one for one in own if point in one.names] if point else own
        if not found:
            known = ", ".join(sorted({name for one in own for name in one.names})) or "none"
            self._fault(f"{element.profile} has no connection point {point!r} on a link; there are: {known}", element)
        elif not point and len({one.names for one in own}) > 1:
            self._fault(f"{element.profile} has several connection points; name the one that is meant", element)
        return found

    def _fault(self, message: str, element: NfpElement) -> None:
        self.faults.append(Fault(message=message, code="path", path=f"{self.nfp.id}/{element.id}"))

    def intents(self, ns_id: str, tenant: str) -> list[Intents]:
        """The chain, and a steering for each rule."""
        name = _named(owner_of(ns_id), "nfp", self.nfp.id)
        chain = Chain(
            id=name,
            tenant=tenant,
            hops=tuple(
                self._hop(ns_id, position, pairs)
                for position, pairs in zip(self.nfp.positions[1:-1], self.hops, strict=True)
            ),
            exit=port_id(ns_id, self.targets[0]) if len(self.targets) == 1 else "",
        )
        return [
            chain,
            *(
                Steering(
                    id=_named(name, rule.id),
                    tenant=tenant,
                    classifier=classifier(rule, ports),
                    actions=(Steer(chain=name),),
                )
                for rule, ports in self._rules(ns_id)
            ),
        ]

    def _rules(self, ns_id: str) -> list[tuple[NfpRule, tuple[str, ...]]]:
        """Every rule with the ports that its traffic comes from; of a SAP only what who is connected there sends."""
        rules = self.nfp.rules or (NfpRule(id="all"),)
        open_to_all = tuple(port_id(ns_id, one) for found, sap in self.sources if sap is None for one in found)
        made = [(rule, open_to_all) for rule in rules if open_to_all]
        for found, sap in self.sources:
            if sap is not None:
                ports = tuple(port_id(ns_id, one) for one in found)
                made += [(narrow, ports) for rule in rules for narrow in sent_by(rule, sap)]
        return made

    def _hop(self, ns_id: str, position: NfpPosition, pairs: list[tuple[Attachment, Attachment]]) -> Hop:
        functions = tuple(
            Function(
                id=_named(self.nfp.id, position.id, there.vnfc),
                ingress=port_id(ns_id, there),
                egress=port_id(ns_id, back) if back is not there else "",
            )
            for there, back in pairs
        )
        if position.forwarding_behaviour == "lb":
            return Hop(functions=functions)
        rest = functions[1:] if position.forwarding_behaviour == "all" else ()
        return Hop(functions=functions[:1], copies=tuple(function.ingress for function in rest))


def sent_by(rule: NfpRule, sap: Sap) -> list[NfpRule]:
    """A rule for what who is connected at a SAP sends: from its MAC address, or from one of its addresses."""
    if sap.mac:
        same = rule.ether_source_address.lower() in ("", sap.mac)
        return [msgspec.structs.replace(rule, id=f"{rule.id}-{sap.id}", ether_source_address=sap.mac)] if same else []
    within = ip_network(rule.source_ip_address_prefix, strict=False) if rule.source_ip_address_prefix else None
    found: list[NfpRule] = []
    for number, address in enumerate(map(ip_address, sap.addresses)):
        kind = f"ipv{address.version}"
        if rule.ether_type in ("", kind) and (within is None or address in within):
            prefix = f"{address}/{address.max_prefixlen}"
            id = f"{rule.id}-{sap.id}-{number}"
            found.append(msgspec.structs.replace(rule, id=id, ether_type=kind, source_ip_address_prefix=prefix))
    return found


def classifier(rule: NfpRule, ports: tuple[str, ...]) -> Classifier:
    """An NfpRule as the data plane says it, for frames that enter at these ports."""
    return Classifier(
        ports=ports,
        eth_src=rule.ether_source_address,
        eth_dst=rule.ether_destination_address,
        eth_type=_ETHER_TYPES.get(rule.ether_type),
        vlan=rule.vlan_tag if rule.vlan_tag >= 0 else None,
        ip_src=rule.source_ip_address_prefix,
        ip_dst=rule.destination_ip_address_prefix,
        proto=_number(rule.protocol),
        dscp=rule.dscp if rule.dscp >= 0 else None,
        src_ports=_range(rule.source_port_range),
        dst_ports=_range(rule.destination_port_range),
    )


def _number(protocol: str) -> int | None:
    if not protocol:
        return None
    return int(protocol) if protocol.isdecimal() else PROTOCOLS[protocol]


def _range(bounds: tuple[int, int] | None) -> tuple[PortRange, ...]:
    return (PortRange(low=bounds[0], high=bounds[1]),) if bounds else ()


def _named(*parts: str) -> str:
    """A name that the data plane takes; where the parts do not make one, their digest stands for them."""
    text = ":".join(part for part in parts if part)
    if _NAME.fullmatch(text):
        return text
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.:-]', '-', text)[:80]}-{digest}".lstrip("_.:-")


def unsteerable(vim: str) -> ConflictError:
    """A VIM whose instances cannot be reached by a data plane."""
    return ConflictError(
        f"cannot lay a forwarding path over {vim}: its driver does not say where the traffic of instances is",
        suggestion="place the VNFs of the path on the embedded driver",
    )
