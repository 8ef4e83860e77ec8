"""What is wrong with a topology and a set of intents before anything is compiled: all of it at once. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from skerry.dataplane import matching
from skerry.dataplane.flows import PROTO_TCP
from skerry.dataplane.intents import (
    DECIDING,
    Actions,
    Chain,
    Classifier,
    Connect,
    Duplicate,
    Encapsulation,
    Forward,
    Hop,
    Intents,
    NextHop,
    Port,
    Reinsert,
    Rewrite,
    Route,
    Side,
    Source,
    Steer,
    Steering,
    Topology,
    UserTunnel,
    VirtualLink,
    Wire,
    Zone,
)
from skerry.errors import Fault


def faults_of(topology: Topology, intents: Sequence[Intents]) -> list[Fault]:
    """Every fault that can be seen without compiling."""
    found = [*_of_topology(topology)]
    found += [
        Fault(message=f"{name} is there twice", code="id", path=name)
        for name, count in Counter(intent.id for intent in intents).items()
        if count > 1
    ]
    look = Look(topology, intents)
    for intent in intents:
        found += [Fault(message=message, code="intent", path=intent.id) for message in look.at(intent)]
    return found


def _of_topology(topology: Topology) -> Iterator[Fault]:
    for word, named in (("device", topology.devices), ("port", topology.ports), ("link", topology.links)):
        for name, count in Counter(one.id for one in named).items():
            if count > 1:
                yield Fault(message=f"the {word} {name} is there twice", code="topology", path=name)
    devices = {device.id for device in topology.devices}
    numbers = Counter((port.device, port.number) for port in topology.ports)
    for port in topology.ports:
        if port.device not in devices:
            yield Fault(message=f"there is no device {port.device}", code="topology", path=port.id)
        if not port.number:
            yield Fault(message="it has no number", code="topology", path=port.id)
        elif numbers[(port.device, port.number)] > 1:
            yield Fault(message=f"number {port.number} of {port.device} is taken twice", code="topology", path=port.id)
        for message in _of_addresses(port):
            yield Fault(message=message, code="topology", path=port.id)
    yield from _of_links(topology)


def _of_addresses(port: Port) -> Iterator[str]:
    """What is wrong with the addresses of a port."""
    versions: set[int] = set()
    for text in (port.vxlan.local, port.vxlan.remote) if port.vxlan else ():
        try:
            versions.add(ip_address(text).version)
        except ValueError:
            yield f"{text!r} is no address for an end of a tunnel"
    if len(versions) > 1:
        yield "the ends of its tunnel are of different families"
    for text in port.ips:
        try:
            ip_network(text, strict=False)
        except ValueError:
            yield f"{text!r} is no address"


def _of_links(topology: Topology) -> Iterator[Fault]:
    ports = {port.id: port for port in topology.ports}
    ends = Counter(end for link in topology.links for end in (link.a, link.b))
    for link in topology.links:
        for end in (link.a, link.b):
            port = ports.get(end)
            if port is None or port.side is not Side.LINK:
                yield Fault(message=f"{end} is no port of side LINK", code="topology", path=link.id)
            elif ends[end] > 1:
                yield Fault(message=f"{end} is an end of two links", code="topology", path=link.id)


def shared_by(topology: Topology, known: Iterable[Intents], intents: Iterable[Intents]) -> list[str]:
    """What these intents concern that all tenants share, in words."""
    asked = list(intents)
    look = Look(topology, [*known, *asked])
    for intent in asked:
        deque(look.at(intent), maxlen=0)
    return sorted(look.shared)


class Look:
    """Looks at intents one by one, knowing all."""

    def __init__(self, topology: Topology, intents: Iterable[Intents]) -> None:
        self._devices = {device.id for device in topology.devices}
        self._ports = {port.id: port for port in topology.ports}
        known = list(intents)
        self._chains = {intent.id: intent for intent in known if isinstance(intent, Chain)}
        self._zones = {intent.id: intent for intent in known if isinstance(intent, Zone)}
        self._tracked = {port for zone in self._zones.values() for port in zone.ports}
        self.shared: set[str] = set()  # what intents concern that all tenants share, as far as it was looked at

    def at(self, intent: Intents) -> Iterator[str]:
        """What is wrong with an intent."""
        match intent:
            case Steering():
                yield from self._classifier(intent.classifier, intent.tenant)
                yield from self._actions(intent)
            case Chain():
                yield from self._chain(intent)
            case NextHop():
                yield from self._next_hop(intent)
            case Wire():
                yield from self._named((intent.a, intent.b), intent.tenant)
                if intent.a == intent.b:
                    yield "a wire has two different ends"
                yield from self._snooped(intent)
            case VirtualLink():
                yield from self._virtual_link(intent)
            case Route():
                yield from self._named((intent.port, *intent.ports), intent.tenant)
                yield from _prefixes(intent.prefix)
                yield from () if intent.via else ("a route needs the MAC that it goes to",)
            case Zone():
                yield from self._zone(intent)
            case UserTunnel():
                yield from self._user_tunnel(intent)

    def _named(self, ids: Iterable[str], tenant: str) -> Iterator[str]:
        for id in ids:
            port = self._ports.get(id)
            if port is None:
                yield f"there is no port {id}"
            elif port.side is Side.LINK:
                yield f"the port {id} is the end of a link between devices"
            elif not port.tenant:
                self.shared.add(f"the port {id}")
            elif port.tenant != tenant:
                yield f"the port {id} belongs to another tenant"

    def _classifier(self, classifier: Classifier, tenant: str) -> Iterator[str]:
        yield from self._named(classifier.ports, tenant)
        if len(set(classifier.ports)) != len(classifier.ports):
            yield "its classifier names a port twice"
        if classifier.connection and not self._tracked.issuperset(classifier.ports):
            yield "connections are known at ports of a zone: name such ports, and put a zone over them"
        if classifier.hosts and not _may_be_tcp(classifier):
            yield "a host is asked for in TCP"
        gtp = classifier.gtp
        inner = (gtp.inner_src, gtp.inner_dst) if gtp else ()
        wrong = [*_prefixes(classifier.ip_src, classifier.ip_dst, classifier.ue, *inner)]
        yield from wrong
        if not wrong:
            yield from _contradictions(classifier)

    def _actions(self, steering: Steering) -> Iterator[str]:
        tunnelled = steering.classifier.gtp is not None
        for place, action in enumerate(steering.actions):
            if isinstance(action, DECIDING) and place != len(steering.actions) - 1:
                yield f"{type(action).__name__} decides, so it must be the last action"
            yield from self._action(action, steering, tunnelled)

    def _action(self, action: Actions, steering: Steering, tunnelled: bool) -> Iterator[str]:
        if isinstance(action, (Forward, Duplicate, Steer)) and action.decapsulated and not tunnelled:
            yield "only what the classifier finds in GTP-U (gtp) can be decapsulated"
        match action:
            case Forward() | Duplicate():
                yield from self._named((action.port,), steering.tenant)
                port = self._ports.get(action.port)
                if action.decapsulated and port is not None and not port.mac:
                    yield f"the port {action.port} needs the MAC of who is behind it, for decapsulated frames"
            case Reinsert():
                yield from self._named((action.port,), steering.tenant)
                if tunnelled:
                    yield "what is in GTP-U already cannot be re-inserted"
            case Steer():
                yield from self._chain_named(action.chain, steering.tenant)
            case Rewrite():
                yield from _addresses(action.ip_src, action.ip_dst)
            case Connect():
                yield from self._connect(action, steering)
            case _:
                pass

    def _connect(self, action: Connect, steering: Steering) -> Iterator[str]:
        zone = self._zones.get(action.zone)
        if zone is None or zone.tenant != steering.tenant:
            yield f"there is no zone {action.zone}"
            return
        if action.source is not None and action.targets:
            yield "a connection is translated at one end: its source, or its target"
        yield from self._connected_at(zone, steering, targeted=bool(action.targets))
        for target in action.targets:
            yield from _addresses(target.address)
        if action.source is not None:
            yield from self._source(action.source, steering.tenant)
        if sum(isinstance(one, Connect) for one in steering.actions) > 1:
            yield "a connection is remembered once"

    def _connected_at(self, zone: Zone, steering: Steering, *, targeted: bool) -> Iterator[str]:
        """Frames are connected on the device of the zone; where they enter at its ports, or leave GTP-U."""
        entered = steering.classifier.ports
        there = {port.device for id in zone.ports if (port := self._ports.get(id))}
        if steering.classifier.gtp is None and not (entered and set(entered) <= set(zone.ports)):
            yield f"its classifier names ports of the zone {zone.id}"
        elif not entered or {port.device for id in entered if (port := self._ports.get(id))} - there:
            yield f"its classifier names ports of the device of the zone {zone.id}"
        for id in entered:
            if not targeted and sum(id in one.ports for one in self._zones.values()) > 1:
                yield f"the port {id} is in several zones: connections are opened at ports of one"
        last = steering.actions[-1]
        if steering.classifier.gtp is not None and not getattr(last, "decapsulated", False):
            yield "what is in GTP-U is connected as it leaves it: the last action has to take it out (decapsulated)"

    def _source(self, source: Source, tenant: str) -> Iterator[str]:
        if bool(source.address) == bool(source.behind):
            yield "a source is an address, or those behind a port"
        elif source.behind:
            yield from self._named((source.behind,), tenant)
            port = self._ports.get(source.behind)
            if port is not None and not port.ips:
                yield f"the port {source.behind} needs the addresses of who is behind it"
        else:
            yield from _prefixes(source.address)
        if not 0 < source.ports.low <= source.ports.high:
            yield f"the ports {source.ports.low}-{source.ports.high} are none"

    def _zone(self, zone: Zone) -> Iterator[str]:
        yield from self._named(zone.ports, zone.tenant)
        if len(set(zone.ports)) != len(zone.ports):
            yield "a port is named twice"
        known = [port for id in zone.ports if (port := self._ports.get(id))]
        if len({port.device for port in known}) > 1:
            yield "the ports of a zone are of one device"
        for port in known:
            others = [one.id for one in self._zones.values() if port.id in one.ports and one.id != zone.id]
            if others and port.tenant:
                yield f"the port {port.id} is in the zone {others[0]} too"

    def _chain_named(self, id: str, tenant: str) -> Iterator[str]:
        chain = self._chains.get(id)
        if chain is None:
            yield f"there is no chain {id}"
        elif chain.tenant not in ("", tenant):
            yield f"the chain {id} belongs to another tenant"

    def _chain(self, chain: Chain) -> Iterator[str]:
        functions = [function for hop in chain.hops for function in hop.functions]
        ports = [port for one in functions for port in {one.ingress, one.way_out}]
        yield from self._named(ports, chain.tenant)
        if chain.exit:
            yield from self._named((chain.exit,), chain.tenant)
        for port, count in Counter(ports).items():
            if count > 1:
                yield f"the port {port} is used by two functions of the chain"
        if chain.exit_way is not None and not chain.exit:
            yield "a chain that re-inserts (exit_way) needs an exit"
        if any(one.spi == chain.spi and one.id < chain.id for one in self._chains.values() if chain.spi):
            yield f"its service path identifier {chain.spi} is taken"
        for hop in chain.hops:
            yield from self._hop(hop, chain)

    def _hop(self, hop: Hop, chain: Chain) -> Iterator[str]:
        yield from self._named(hop.copies, chain.tenant)
        aware = {function.encapsulation is Encapsulation.NSH for function in hop.functions}
        for function in hop.functions:
            ends = [self._ports.get(port) for port in (function.ingress, function.way_out)]
            if all(ends) and len({port.device for port in ends if port}) > 1:
                yield f"the ports of the function {function.id} are on different devices"
        for branch in hop.branches:
            yield from self._chain_named(branch.chain, chain.tenant)
            if True in aware and (branch.context is None or branch.classifier is not None):
                yield "after a function that knows NSH, a branch is chosen by its context"
            if False in aware and branch.context is not None:
                yield "after a function that does not know NSH, a branch is chosen by a classifier"
            if branch.classifier is not None:
                yield from self._classifier(branch.classifier, chain.tenant)

    def _next_hop(self, hop: NextHop) -> Iterator[str]:
        yield from self._named((hop.port, hop.next), hop.tenant)
        yield from self._classifier(hop.classifier, hop.tenant)
        if hop.port == hop.next:
            yield "the next hop of a port is another port"
        if hop.classifier.ports:
            yield "the classifier of a next hop names no ports: the port is given"

    def _snooped(self, wire: Wire) -> Iterator[str]:
        for id in (wire.a, wire.b) if wire.snoop_gtp else ():
            port = self._ports.get(id)
            if port is not None and not (port.mac and port.interface):
                yield f"to read the control plane, the port {id} needs an interface and the MAC of who is behind it"

    def _virtual_link(self, link: VirtualLink) -> Iterator[str]:
        yield from self._named((member.port for member in link.members), link.tenant)
        names = {member.port for member in link.members}
        if len(names) != len(link.members):
            yield "a port is a member twice"
        for known in link.known:
            if known.port not in names:
                yield f"the known address {known.mac} is behind {known.port}, which is no member"

    def _user_tunnel(self, tunnel: UserTunnel) -> Iterator[str]:
        self.shared.add(f"the tunnels of {tunnel.device}")
        if tunnel.device not in self._devices:
            yield f"there is no device {tunnel.device}"
        yield from _addresses(tunnel.ue, tunnel.ran_address, tunnel.core_address)
        if not tunnel.ran_mac or not tunnel.core_mac:
            yield "a tunnel needs the MACs of both ends"


def _may_be_tcp(classifier: Classifier) -> bool:
    proto = classifier.gtp.inner_proto if classifier.gtp else classifier.proto
    return proto in (None, PROTO_TCP)


def _contradictions(classifier: Classifier) -> Iterator[str]:
    """What fits in neither direction of a UE's traffic."""
    found: list[str] = []
    for ue_is_source in (True, False):
        try:
            matching.matches(classifier, None, ue_is_source=ue_is_source)
        except ValueError as why:
            found.append(str(why))
    if len(found) == 2:
        yield found[0]


def _prefixes(*prefixes: str) -> Iterator[str]:
    for prefix in prefixes:
        try:
            if prefix:
                ip_network(prefix)
        except ValueError as why:
            yield str(why)


def _addresses(*addresses: str) -> Iterator[str]:
    for address in addresses:
        try:
            if address:
                ip_address(address)
        except ValueError as why:
            yield str(why)
