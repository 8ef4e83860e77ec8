"""Intents and topology -> the exact state of every device. Pure: the same set gives the same states, in whatever order it came.

What is wrong with a set is reported all at once; what only lacks a way (a link that is down) is compiled to a drop and named in
`Network.unreachable`, since links fail while intents stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import TypeVar

import msgspec

from skerry.dataplane import chains, matching, sheets, zones
from skerry.dataplane.flows import (
    ETH_ARP,
    ETH_NSH,
    VLAN_PRESENT,
    Actions,
    ArpReply,
    Bridge,
    Copy,
    DecTtl,
    DeviceState,
    Domain,
    Field,
    GtpDecap,
    GtpEncap,
    GtpLearn,
    Member,
    Meter,
    Output,
    Pin,
    Police,
    PopVlan,
    PushNsh,
    PushVlan,
    Session,
    SetField,
    Term,
    Tunnel,
    Way,
    mac,
    match,
)
from skerry.dataplane.intents import (
    DECIDING,
    Chain,
    Classifier,
    Connect,
    Drop,
    Duplicate,
    Forward,
    Intents,
    NextHop,
    Port,
    RateLimit,
    Reinsert,
    Rewrite,
    Route,
    Side,
    Steer,
    Steering,
    Topology,
    UserTunnel,
    VirtualLink,
    Wire,
    Zone,
)
from skerry.dataplane.paths import Edge, Ways
from skerry.dataplane.refusals import Look, faults_of
from skerry.dataplane.sheets import (
    ARRIVE,
    BRIDGE,
    CLASSIFY,
    FORWARD,
    PATH,
    PINNED,
    Candidate,
    Ports,
    Sheet,
    derived_mac,
    digest,
    gateway_mac,
    goto,
)
from skerry.errors import Fault, InvalidError

FIRST_LEVEL, LEVELS = 100, 32
DELIVERIES = (0x400000, 0x7FFFFF)
BROADCAST = (0x010000000000, 0x010000000000)
Kind = TypeVar("Kind", bound=Intents)


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A former version of a sticky steering whose flows may go on. `until` is when it is looked at again (seconds);
    `seen` how many frames of them there were at the last look."""

    steering: Steering
    until: float = 0.0
    seen: int = 0


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """The compiled network. For proof: `ways` are the chains as they were laid out, `entries` the chains that each steering
    leads into, `taps` the ports (device, number) that get copies. `unreachable` is what has no way now."""

    topology: Topology
    states: Mapping[str, DeviceState]
    ways: Mapping[str, chains.Layout] = {}
    entries: Mapping[str, frozenset[str]] = {}
    taps: frozenset[tuple[str, int]] = frozenset()
    unreachable: tuple[Fault, ...] = ()


def pin_value(steering: Steering) -> int:
    """What flows of this version of a steering are pinned to."""
    same = msgspec.structs.replace(steering, rev=0, owner="")
    return digest(msgspec.json.encode(same).decode(), 4) >> 1 or 1


def compile_network(topology: Topology, intents: Iterable[Intents], retired: Sequence[Retired] = ()) -> Network:
    """The states that do what the intents say. `InvalidError` names everything that cannot be."""
    return compile_sheets(topology, intents, retired)[0]


def compile_sheets(
    topology: Topology, intents: Iterable[Intents], retired: Sequence[Retired] = ()
) -> tuple[Network, Mapping[str, Sheet]]:
    """The same, and what the devices' rules were made of."""
    known = sorted(intents, key=lambda intent: intent.id)
    faults = faults_of(topology, known)
    if faults:
        raise InvalidError("cannot compile these intents", faults=faults[:200], suggestion="mend what is named")
    look = Look(topology, known)
    possible = [one for one in retired if not any(look.at(one.steering))]
    compiler = Compiler(topology, known, possible)
    network = compiler.run()
    if compiler.faults:
        raise InvalidError(
            "cannot compile these intents", faults=compiler.faults[:200], suggestion="mend what is named"
        )
    return network, compiler.sheets


class Compiler:
    """One compilation. `chains.Chains` does the chains with what is offered here."""

    def __init__(self, topology: Topology, intents: Sequence[Intents], retired: Sequence[Retired]) -> None:
        self.topology = topology
        self.ports = Ports(topology)
        self.ways = Ways(topology)
        self.faults: list[Fault] = []
        self.unreachable: dict[str, Fault] = {}
        self.sheets = {device.id: Sheet(device.id, self.faults) for device in topology.devices}
        self._intents = intents
        self._pins = {f"{one.steering.id}~{pin_value(one.steering):08x}": pin_value(one.steering) for one in retired}
        former = (one.steering for one in retired)
        self._retired = [msgspec.structs.replace(one, id=id) for id, one in zip(self._pins, former, strict=True)]
        self._names = zones.names_of([*self._intents, *self._retired])
        self.steerings = [*self.every(Steering), *self._retired]
        self.zones = zones.Zones(self, self.every(Zone), self.steerings)
        self.chains = chains.Chains(self, self.every(Chain))
        numbers = {f"chain {chain.id}": spi for chain, spi in self.chains.explicit()}
        deliveries = (f"port {port.id}" for port in topology.ports)
        self._deliveries = sheets.allot(deliveries, *DELIVERIES, numbers)
        self._tags = sheets.allot((link.id for link in self.every(VirtualLink)), 1, 4094)
        self._domains = sheets.allot((link.id for link in self.every(VirtualLink)), 1, (1 << 24) - 1)

    def every(self, kind: type[Kind]) -> list[Kind]:
        """The intents of a kind."""
        return [intent for intent in self._intents if isinstance(intent, kind)]

    def run(self) -> Network:
        """All of it."""
        sticky = any(one.sticky_s for one in self.steerings)
        for sheet in self.sheets.values():
            sheet.add(ARRIVE, 0, (), goto(PINNED if sticky else CLASSIFY))
            sheet.add(CLASSIFY, 0, (), goto(FORWARD))
            if sticky:
                sheet.add(PINNED, 0, (), goto(CLASSIFY))
        self.zones.lay_out(PINNED if sticky else CLASSIFY)
        self._each(Steering, self._steering)
        for steering in self._retired:
            self._at_ports(steering, pinned_only=True)
        self._each(NextHop, self._next_hop)
        self._each(VirtualLink, self._virtual_link)
        self._each(Wire, self._wire)
        self._each(Route, self._route)
        self._each(UserTunnel, self._user_tunnel)
        try:
            self.chains.lay_out()
        except ValueError as why:
            self.fault("chains", str(why))
        self._arrivals()
        of = {
            device.id: [port for port in self.topology.ports if port.device == device.id]
            for device in self.topology.devices
        }
        return Network(
            topology=self.topology,
            states={name: self._finished(sheet, of[name]) for name, sheet in self.sheets.items()},
            ways=self.chains.layouts(),
            entries=self.chains.entries(),
            taps=frozenset((self.ports[id].device, self.ports[id].number) for id in self._tapped()),
            unreachable=tuple(self.unreachable[key] for key in sorted(self.unreachable)),
        )

    def offered(self) -> Mapping[str, Sequence[Candidate]] | None:
        """What steerings and next hops offer to each device, where that is all that they do; else None."""
        self._each(Steering, self._steering)
        self._each(NextHop, self._next_hop)
        alone = not self.faults and not self.unreachable and all(sheet.offers_only for sheet in self.sheets.values())
        return {name: sheet.candidates for name, sheet in self.sheets.items() if sheet.candidates} if alone else None

    def _finished(self, sheet: Sheet, ports: Sequence[Port]) -> DeviceState:
        """The state of a device, with the names that its rules ask for."""
        state = sheet.finish(ports)
        wanted = {term.value for rule in state.rules for term in rule.match[:4] if term.field is Field.NAME}
        names = tuple(one for one in self._names if one.id in wanted)
        return msgspec.structs.replace(state, names=names) if names else state

    def _tapped(self) -> set[str]:
        copies = {port for chain in self.every(Chain) for hop in chain.hops for port in hop.copies}
        return copies | {one.port for each in self.steerings for one in each.actions if isinstance(one, Duplicate)}

    def _each(self, kind: type[Kind], do: Callable[[Kind], None]) -> None:
        for intent in self.every(kind):
            try:
                do(intent)
            except ValueError as why:
                self.fault(intent.id, str(why))

    def fault(self, path: str, message: str, fix: str = "") -> None:
        """Note that an intent cannot be."""
        self.faults.append(Fault(message=message, code="intent", path=path, fix=fix))

    def cut_off(self, owner: str, source: str, target: str) -> tuple[Actions, ...]:
        """Note that there is no way; drop."""
        message = f"there is no way from {source} to {target} for {owner}"
        self.unreachable[message] = Fault(message=message, code="unreachable", path=owner, fix="bring a link up")
        return ()

    # -- steering ---------------------------------------------------------------------------------------------------------

    def _steering(self, steering: Steering) -> None:
        self._at_ports(steering, pinned_only=False)

    def _at_ports(self, steering: Steering, *, pinned_only: bool) -> None:
        named = [self.ports[id] for id in steering.classifier.ports]
        for port in named or self.ports.seen_by(steering.tenant):
            matches = matching.matches(steering.classifier, port.number, ue_is_source=ue_is_source(port))
            connects = any(isinstance(action, Connect) for action in steering.actions)
            actions = () if connects else self._actions(steering, port, ())
            for one in self.zones.of_family(steering, matches):
                mine = self._actions(steering, port, one) if connects else actions
                self._put(steering, port, one, mine, pinned_only=pinned_only)

    def _put(
        self, steering: Steering, port: Port, one: tuple[Term, ...], actions: tuple[Actions, ...], *, pinned_only: bool
    ) -> None:
        sheet = self.sheets[port.device]
        if steering.sticky_s:
            value = self._pins.get(steering.id) or pin_value(steering)
            actions = (Pin(value=value, idle_s=steering.sticky_s), *actions)
            pinned = tuple(sorted((*one, Term(Field.PIN, value, 0xFFFFFFFF))))
            sheet.add(PINNED, 1000, pinned, actions, steering.id, steering.tenant)
        if not pinned_only:
            self.offer(port.device, CLASSIFY, steering.priority * 2 + 1, steering, one, actions)

    def offer(
        self, device: str, table: int, rank: int, intent: Intents, one: tuple[Term, ...], actions: tuple[Actions, ...]
    ) -> None:
        """A rule with the rank of its intent; what it overlaps decides the rest."""
        base = FIRST_LEVEL + rank * LEVELS
        self.sheets[device].offer(Candidate(table, base, LEVELS, intent.id, one, actions, intent.id, intent.tenant))

    def _next_hop(self, hop: NextHop) -> None:
        port = self.ports[hop.port]
        actions = self.deliver(port.device, hop.next, hop.id)
        for one in matching.matches(hop.classifier, port.number, ue_is_source=ue_is_source(port)):
            self.offer(port.device, CLASSIFY, hop.priority * 2, hop, one, actions)

    def _actions(self, steering: Steering, port: Port, one: tuple[Term, ...]) -> tuple[Actions, ...]:
        found: list[Actions] = []
        deciding = False
        for place, action in enumerate(steering.actions):
            deciding = isinstance(action, DECIDING)
            if isinstance(action, Connect):
                found += self._connect(steering, action, one)
            elif deciding and any(isinstance(done, GtpDecap) for done in found):
                found += self._decide(steering, port, msgspec.structs.replace(action, decapsulated=False))
            else:
                found += (
                    self._decide(steering, port, action) if deciding else self._prepare(steering, port, action, place)
                )
        return (*found, *(() if deciding else goto(FORWARD)))

    def _connect(self, steering: Steering, action: Connect, one: tuple[Term, ...]) -> tuple[Actions, ...]:
        """Connect frames, out of GTP-U where they are in it; answer for the addresses that others see of them."""
        wired = {end for wire in self.every(Wire) for end in (wire.a, wire.b)}
        for id in self.zones.asked_at(steering, action):
            if id not in wired:
                self._answer_arp(self.ports[id])
        last = steering.actions[-1]
        out: tuple[Actions, ...] = ()
        if steering.classifier.gtp is not None and isinstance(last, Forward):
            out = self.decap(last.port)
        elif steering.classifier.gtp is not None and isinstance(last, Steer):
            out = self.chains.decap(last.chain)
        return (*out, *self.zones.connect(steering, action, one))

    def _prepare(self, steering: Steering, port: Port, action: object, place: int) -> tuple[Actions, ...]:
        match action:
            case Duplicate():
                return self.copy_to(port.device, action.port, steering.id, decapsulated=action.decapsulated)
            case Rewrite():
                return rewrites(action, steering.classifier)
            case RateLimit():
                return (Police(meter=self._meter(steering, port.device, action, place)),)
            case _:
                return ()

    def _decide(self, steering: Steering, port: Port, action: object) -> tuple[Actions, ...]:
        match action:
            case Drop():
                return ()
            case Forward():
                before = self.decap(action.port) if action.decapsulated else ()
                return (
                    *before,
                    *tagging(action.vlan, steering.classifier),
                    *self.deliver(port.device, action.port, steering.id),
                )
            case Reinsert():
                return self.deliver(port.device, action.port, steering.id, way=Way(action.way.lower()))
            case Steer():
                before = self.chains.decap(action.chain) if action.decapsulated else ()
                return (*before, *self.chains.enter(action.chain, port.device))
            case _:
                return goto(FORWARD)

    def _meter(self, steering: Steering, device: str, limit: RateLimit, place: int) -> int:
        meters = self.sheets[device].meters
        number = 1 + digest(f"{steering.id}/{place}") % 65535
        while number in meters and meters[number].owner != steering.id:
            number = 1 + number % 65535
        burst = limit.burst_bits or max(limit.rate_bps // 10, 8 * 1600)
        meters[number] = Meter(id=number, rate_bps=limit.rate_bps, burst_bits=burst, owner=steering.id)
        return number

    # -- towards a port ---------------------------------------------------------------------------------------------------

    def decap(self, port_id: str) -> tuple[Actions, ...]:
        """Out of GTP-U, addressed to who is behind a port."""
        port = self.ports[port_id]
        self._answer_arp(port)
        return (GtpDecap(eth_src=gateway_mac(port), eth_dst=mac(port.mac)),)

    def wired(self, port_id: str) -> str | None:
        """The other end of the wire at a port."""
        for wire in self.every(Wire):
            if port_id in (wire.a, wire.b):
                return wire.b if port_id == wire.a else wire.a
        return None

    def deliver(self, device: str, port_id: str, owner: str, *, way: Way | None = None) -> tuple[Actions, ...]:
        """A plain frame out of a port on any device; into the tunnel of its UE before, with `way`."""
        port = self.ports[port_id]
        encap: tuple[Actions, ...] = (GtpEncap(way=way),) if way else ()
        if port.device == device:
            return (*encap, Output(port=port.number))
        spi = self._deliveries[f"port {port_id}"]
        si = {None: 255, Way.UP: 254, Way.DOWN: 253}[way]
        last = (*chains.POP, *encap, Output(port=port.number))
        edge = self.lay_path(match(nsh_spi=spi, nsh_si=si), device, port.device, last, owner)
        if edge is None:
            return self.cut_off(owner, device, port_id)
        return (self.nsh(device, edge, spi, si), Output(port=edge.port.number))

    def nsh(
        self, device: str, edge: Edge | None, spi: int, si: int, context: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> PushNsh:
        """The encapsulation of frames that a device sends over a link, or to a function."""
        far = derived_mac(f"device/{edge.far.device}") if edge else derived_mac("function")
        return PushNsh(spi=spi, si=si, eth_src=derived_mac(f"device/{device}"), eth_dst=far, context=context)

    def lay_path(
        self, one: tuple[Term, ...], source: str, target: str, last: tuple[Actions, ...], owner: str
    ) -> Edge | None:
        """Rules on all devices from `source` (without it) to `target` for NSH frames of a path; its first edge."""
        route = self.ways.route(source, target)
        if not route:
            return None
        self.sheets[target].add(PATH, 100, one, last, owner)
        for edge in route[1:]:
            self.sheets[edge.port.device].add(PATH, 100, one, (*chains.AGE, Output(port=edge.port.number)), owner)
        return route[0]

    def copy_to(
        self, device: str, port_id: str, owner: str, *, decapsulated: bool = False, inside: bool = False
    ) -> tuple[Actions, ...]:
        """A copy out of a port. `inside`: the frame is in NSH."""
        before = (*(chains.POP if inside else ()), *(self.decap(port_id) if decapsulated else ()))
        sent = self.deliver(device, port_id, owner)
        return sent if not before and len(sent) == 1 else (Copy(actions=(*before, *sent)),)

    # -- forwarding -------------------------------------------------------------------------------------------------------

    def _wire(self, wire: Wire) -> None:
        for here, there, way in ((wire.a, wire.b, Way.UP), (wire.b, wire.a, Way.DOWN)):
            port = self.ports[here]
            sheet = self.sheets[port.device]
            sheet.add(
                FORWARD, 10, match(in_port=port.number), self.deliver(port.device, there, wire.id), wire.id, wire.tenant
            )
            if wire.learn_gtp:
                following = GtpLearn(way=way), *goto(PINNED if self._sticky else CLASSIFY)
                for kind in (255, 254):
                    one = match(in_port=port.number, gtp_type=kind)
                    sheet.add(ARRIVE, 100, one, following, wire.id, wire.tenant)

    @property
    def _sticky(self) -> bool:
        return any(one.sticky_s for one in self.steerings)

    def _route(self, route: Route) -> None:
        target = self.ports[route.port]
        named = [self.ports[id] for id in route.ports]
        prefix = ip_network(route.prefix)
        change = (
            DecTtl(),
            SetField(field=Field.ETH_SRC, value=gateway_mac(target)),
            SetField(field=Field.ETH_DST, value=mac(route.via)),
        )
        same = [
            port for port in self.ports.seen_by(route.tenant) if port.device == target.device and port.id != target.id
        ]
        for port in named or same:
            own = {"eth_dst": gateway_mac(port)} if port.gateway_mac else {}
            key = f"ipv{prefix.version}_dst"
            one = match(in_port=port.number, **own, **{key: str(prefix)})
            actions = (*change, *self.deliver(port.device, route.port, route.id))
            self.sheets[port.device].add(FORWARD, 100 + prefix.prefixlen, one, actions, route.id, route.tenant)
            self._answer_arp(port)

    def _answer_arp(self, port: Port) -> None:
        """Be the router of who is behind a port, unless it is on a virtual link."""
        if any(member.port == port.id for link in self.every(VirtualLink) for member in link.members):
            return
        one = match(in_port=port.number, eth_type=ETH_ARP)
        self.sheets[port.device].add(FORWARD, 300, one, (ArpReply(mac=gateway_mac(port)),))

    def _user_tunnel(self, tunnel: UserTunnel) -> None:
        ran, core = mac(tunnel.ran_mac), mac(tunnel.core_mac)
        up = Tunnel(
            teid=tunnel.teid_up,
            src=tunnel.ran_address,
            dst=tunnel.core_address,
            eth_src=ran,
            eth_dst=core,
            qfi=tunnel.qfi,
        )
        down = Tunnel(
            teid=tunnel.teid_down,
            src=tunnel.core_address,
            dst=tunnel.ran_address,
            eth_src=core,
            eth_dst=ran,
            qfi=tunnel.qfi,
        )
        sessions = self.sheets[tunnel.device].sessions
        if tunnel.ue in sessions:
            raise ValueError(f"the UE {tunnel.ue} has two tunnels on {tunnel.device}")
        sessions[tunnel.ue] = Session(ue=tunnel.ue, up=up, down=down, owner=tunnel.id)

    # -- virtual links ----------------------------------------------------------------------------------------------------

    def _virtual_link(self, link: VirtualLink) -> None:
        members = [(self.ports[member.port], member.vlan) for member in link.members]
        edges = self.ways.tree(port.device for port, _ in members)
        if edges is None:
            devices = sorted({port.device for port, _ in members})
            self.cut_off(link.id, devices[0], ", ".join(devices[1:]))
            edges = []
        trunks = [port for edge in edges for port in (edge.port, edge.far)]
        tag = self._tags[link.id]
        joined = [*members, *((port, tag) for port in trunks)]
        for device in sorted({port.device for port, _ in joined}):
            self._bridge(link, device, [(port, vlan) for port, vlan in joined if port.device == device])

    def _bridge(self, link: VirtualLink, device: str, joined: list[tuple[Port, int]]) -> None:
        sheet, domain = self.sheets[device], self._domains[link.id]
        for port, vlan in joined:
            one = match(in_port=port.number, vlan_vid=VLAN_PRESENT | vlan if vlan else 0)
            entering = (*((PopVlan(),) if vlan else ()), SetField(field=Field.REG1, value=domain), *goto(BRIDGE))
            table, priority = (ARRIVE, 300) if port.side is Side.LINK else (FORWARD, 50)
            sheet.add(table, priority, one, entering, link.id, link.tenant)
        for known in link.known:
            self._known(link, device, joined, known.mac, self.ports[known.port])
        members = tuple(Member(port=port.number, vlan=vlan) for port, vlan in joined)
        if link.learning:
            sheet.domains[domain] = Domain(id=domain, members=members, owner=link.id)
            sheet.add(BRIDGE, 10, match(reg1=domain), (Bridge(domain=domain),), link.id, link.tenant)
        else:
            sheet.add(BRIDGE, 20, match(reg1=domain, eth_dst=BROADCAST), flood(members), link.id, link.tenant)
            sheet.add(BRIDGE, 10, match(reg1=domain), (), link.id, link.tenant)

    def _known(self, link: VirtualLink, device: str, joined: list[tuple[Port, int]], address: str, port: Port) -> None:
        out, vlan = next(((one, vlan) for one, vlan in joined if one.id == port.id), (port, 0))
        if port.device != device:
            route = self.ways.route(device, port.device)
            first = route[0].port if route else None
            if first is None or all(one.id != first.id for one, _ in joined):
                return
            out, vlan = first, self._tags[link.id]
        actions = (*((PushVlan(vid=vlan),) if vlan else ()), Output(port=out.number))
        one = match(reg1=self._domains[link.id], eth_dst=mac(address))
        self.sheets[device].add(BRIDGE, 30, one, actions, link.id, link.tenant)

    def _arrivals(self) -> None:
        """NSH frames from other devices go on their paths."""
        for port in self.topology.ports:
            if port.side is Side.LINK:
                one = match(in_port=port.number, eth_type=ETH_NSH, vlan_vid=0)
                self.sheets[port.device].add(ARRIVE, 400, one, goto(PATH))


def ue_is_source(port: Port) -> bool:
    """Whether a UE in a classifier is the source of what enters here."""
    return port.side not in (Side.CORE, Side.UPLINK)


def flood(members: Sequence[Member]) -> tuple[Actions, ...]:
    """Out of every member, each with its tag."""
    found: list[Actions] = []
    tagged = False
    for member in sorted(members, key=lambda member: (member.vlan, member.port)):
        if member.vlan:
            found.append(SetField(field=Field.VLAN_VID, value=member.vlan) if tagged else PushVlan(vid=member.vlan))
            tagged = True
        found.append(Output(port=member.port))
    return tuple(found)


def tagging(vlan: int | None, classifier: Classifier) -> tuple[Actions, ...]:
    """Leave with this tag: the existing one keeps its priority bits where there surely is one."""
    if vlan is None:
        return ()
    if not vlan:
        return (PopVlan(),)
    if classifier.vlan:
        return (SetField(field=Field.VLAN_VID, value=vlan),)
    return (PushVlan(vid=vlan),) if classifier.vlan == 0 else (PopVlan(), PushVlan(vid=vlan))


def rewrites(action: Rewrite, classifier: Classifier) -> tuple[Actions, ...]:
    """One SetField for each changed field."""
    wanted: list[tuple[Field, int]] = []
    for text, field in ((action.eth_src, Field.ETH_SRC), (action.eth_dst, Field.ETH_DST)):
        if text:
            wanted.append((field, mac(text)))
    for text, v4, v6 in (
        (action.ip_src, Field.IPV4_SRC, Field.IPV6_SRC),
        (action.ip_dst, Field.IPV4_DST, Field.IPV6_DST),
    ):
        if text:
            wanted.append((v6 if ":" in text else v4, matching.address(text)))
    for number, field in (
        (action.dscp, Field.IP_DSCP),
        (action.src_port, Field.L4_SRC),
        (action.dst_port, Field.L4_DST),
    ):
        if number is not None:
            wanted.append((field, number))
    return (*(SetField(field=field, value=value) for field, value in wanted), *tagging(action.vlan, classifier))
