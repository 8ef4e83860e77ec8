"""The symbolic walk of `verify`: classes of frames through tables, devices and functions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from skerry.dataplane import making
from skerry.dataplane.chains import Layout, Stop
from skerry.dataplane.compile import Network
from skerry.dataplane.flows import (
    ETH_IPV4,
    ETH_IPV6,
    ETH_NSH,
    VLAN_PRESENT,
    Actions,
    ArpReply,
    Bridge,
    Conn,
    Connect,
    Copy,
    Field,
    Goto,
    GtpDecap,
    GtpEncap,
    GtpReply,
    Match,
    Output,
    PopNsh,
    PopVlan,
    PushNsh,
    PushVlan,
    Rule,
    Select,
    SetField,
    Term,
    Track,
    full,
)
from skerry.dataplane.headers import SHADOW, Cube, narrowed, point, shadow
from skerry.dataplane.intents import Port, Side
from skerry.dataplane.proof import Problem, Tables, Violation, Witness, edge_ports

_OUT_OF_TUNNEL = {
    Field.IP_PROTO: Field.INNER_PROTO,
    Field.IP_DSCP: Field.INNER_DSCP,
    Field.IPV4_SRC: Field.INNER_IPV4_SRC,
    Field.IPV4_DST: Field.INNER_IPV4_DST,
    Field.IPV6_SRC: Field.INNER_IPV6_SRC,
    Field.IPV6_DST: Field.INNER_IPV6_DST,
    Field.L4_SRC: Field.INNER_L4_SRC,
    Field.L4_DST: Field.INNER_L4_DST,
}
_FEW = 64
_CONTEXT = (Field.NSH_C1, Field.NSH_C2, Field.NSH_C3, Field.NSH_C4)
_FULL = {field: full(field) for field in Field}
_REGISTERS = (Field.REG0, Field.REG1, Field.REG2, Field.REG3)
_SOURCE = (Field.IPV4_SRC, Field.IPV6_SRC, Field.L4_SRC)
_TARGET = (Field.IPV4_DST, Field.IPV6_DST, Field.L4_DST)


class Header(msgspec.Struct):
    """What the frame is now, in terms of what it was: fields of known value, fields that come from another field of the
    original, and whether all others are still their own. `under` is the frame inside NSH."""

    known: dict[Field, int]
    moved: dict[Field, Field] = {}
    own: bool = True
    under: Header | None = None

    def copy(self) -> Header:
        """One to be changed."""
        return Header(dict(self.known), dict(self.moved), self.own, self.under)

    def origin(self, field: Field) -> Field | None:
        """The original field that a field of unknown value is; None where the frame has no such field."""
        return self.moved.get(field) or (field if self.own else None)

    def key(self) -> tuple[object, ...]:
        """What tells two headers of one original apart."""
        under = self.under.key() if self.under else ()
        return (frozenset(self.known.items()), frozenset(self.moved.items()), self.own, under)


class Progress(msgspec.Struct, frozen=True):
    """How far a frame is in a chain: the functions of its hops in this direction, and how many were visited."""

    chain: str
    hops: tuple[tuple[Stop, ...], ...]
    done: int


class Class(msgspec.Struct):
    """Some frames on their way."""

    device: str
    port: int
    cube: Cube
    excluded: tuple[Match, ...]
    header: Header
    tenant: str
    entry: tuple[str, int]
    trail: tuple[tuple[object, ...], ...] = ()
    rules: tuple[Rule, ...] = ()
    progress: Progress | None = None
    due: frozenset[str] = frozenset()

    def branch(self) -> Class:
        """A copy whose header may be changed."""
        new = msgspec.structs.replace(self)
        new.header = self.header.copy()
        return new


class Walker:
    """All walks of a network."""

    def __init__(self, network: Network, tables: Mapping[str, Tables]) -> None:
        self._network, self._tables = network, tables
        self._ports = {(port.device, port.number): port for port in network.topology.ports}
        ids = {port.id: port for port in network.topology.ports}
        self._links: dict[tuple[str, int], tuple[str, int]] = {}
        for link in network.topology.links:
            if link.up and link.a in ids and link.b in ids:
                a, b = ids[link.a], ids[link.b]
                self._links[(a.device, a.number)] = (b.device, b.number)
                self._links[(b.device, b.number)] = (a.device, a.number)
        self._found: list[Violation] = []
        self._waiting: list[Class] = []

    def violations(self) -> Iterator[Violation]:
        """Everything that is found, as it is found."""
        for port in edge_ports(self._network):
            yield from self.from_port((port.device, port.number), ())

    def from_port(self, entry: tuple[str, int], match: Match) -> Iterator[Violation]:
        """What is found of the frames of a match that come in at a port."""
        device, number = entry
        cube = narrowed({}, (term for term in match if term[0] is not Field.IN_PORT))
        self._waiting.append(Class(device, number, cube or {}, (), Header({}), self._ports[entry].tenant, entry))
        while self._waiting:
            self._enter(self._waiting.pop())
            yield from self._found
            self._found.clear()

    # -- one device -------------------------------------------------------------------------------------------------------

    def _enter(self, now: Class) -> None:
        header = now.header
        header.known[Field.IN_PORT] = now.port
        header.known.update(dict.fromkeys((*_REGISTERS, Field.CONN), 0))
        if now.trail:
            header.known[Field.PIN] = 0
        state = (now.device, now.port, header.key())
        if state in now.trail:
            self._tell(Problem.LOOP, now, "frames go round in circles")
            return
        now.trail = (*now.trail, state)
        self._table(now, 0)

    def _table(self, now: Class, table: int) -> None:
        tables = self._tables[now.device]
        index = tables.index.get(table)
        taken: list[Match] = []
        found = [rule for _, rule in index.find(self._question(now))] if index else []
        for rule in found:
            mine = self._original(now, rule.match)
            if mine is None:
                continue
            taken.append(mine)
            # Of few rules that fit at all, those above are found sooner among them than among all.
            few = len(found) < min(len(tables.higher[id(rule)]), _FEW)
            higher = [one for one in found if one.priority > rule.priority] if few else tables.higher[id(rule)]
            above = [self._original(now, other.match) for other in higher]
            excluded = (*now.excluded, *(match for match in above if match is not None))
            cube = narrowed(now.cube, mine) if mine else now.cube
            if cube is None or () in excluded or (excluded and point(cube, excluded) is None):
                continue
            after = now.branch()
            after.cube, after.excluded, after.rules = cube, excluded, (*now.rules, rule)
            self._taken_on(after, rule)
            self._actions(after, rule.actions, rule.table)
        if () not in taken and point(now.cube, (*now.excluded, *taken)) is not None:
            self._missed(now, (*now.excluded, *taken))

    @staticmethod
    def _question(now: Class) -> Match:
        """What is known of the frame, to find the rules that may fit."""
        header = now.header
        known = [Term(field, value, _FULL[field]) for field, value in header.known.items()]
        if header.own:
            same = ((f, v, m) for f, (v, m) in now.cube.items() if f not in header.known and f not in header.moved)
            known += [Term(field, value, mask) for field, value, mask in same]
        known += [Term(field, *now.cube[origin]) for field, origin in header.moved.items() if origin in now.cube]
        return tuple(sorted(known))

    @staticmethod
    def _original(now: Class, match: Match) -> Match | None:
        """A match in terms of the frame as it came in; None if the frame cannot fit."""
        found: list[Term] = []
        header = now.header
        for field, value, mask in match:
            known = header.known.get(field)
            if known is not None:
                if known & mask != value:
                    return None
                continue
            origin = header.origin(field)
            if origin is None:
                return None
            found.append(Term(origin, value, mask))
        return tuple(found)

    def _taken_on(self, now: Class, rule: Rule) -> None:
        entered = self._network.entries.get(rule.owner)
        if entered and not now.progress:
            now.due = entered

    def _missed(self, now: Class, excluded: tuple[Match, ...]) -> None:
        """No rule fits: right for frames that nobody asked for, wrong for those that were taken on."""
        unfinished = now.progress is not None and now.progress.done < len(now.progress.hops)
        travelled = now.header.under is not None or (now.device, now.port) in self._links
        if unfinished or travelled:
            lost = now.branch()
            lost.excluded = excluded
            self._tell(Problem.BLACK_HOLE, lost, f"frames are lost on {now.device}: no rule fits")

    # -- actions ----------------------------------------------------------------------------------------------------------

    def _actions(self, now: Class, actions: Sequence[Actions], table: int) -> None:
        for place, action in enumerate(actions):
            if isinstance(action, Track):
                # What comes from the side that did not open a connection may be translated to anything; what else comes is
                # as it was.
                for conn in (Conn.REPLY, Conn.RELATED):
                    back = _renewed(now.branch(), (*_SOURCE, *_TARGET))
                    back.header.known[Field.CONN] = int(conn)
                    self._actions(back, actions[place + 1 :], table)
                now.header.known.pop(Field.CONN, None)
                now = _renewed(now, (Field.CONN,))
                continue
            if isinstance(action, Connect) and (action.source or action.targets):
                # A connection keeps the translation that it had, so anything is possible.
                now = _renewed(now, _SOURCE if action.source else _TARGET)
                continue
            if not self._act(now, action, table):
                return
        if not actions and now.due and not now.progress and table > 2:
            self._tell(Problem.BLACK_HOLE, now, f"frames are dropped on {now.device} before their chain")

    def _act(self, now: Class, action: Actions, table: int) -> bool:
        """Whether the list goes on."""
        match action:
            case Output():
                self._output(now, action)
            case Goto():
                self._table(now, action.table)
                return False
            case Copy():
                self._actions(now.branch(), action.actions, table)
            case Bridge():
                for member in self._tables[now.device].domains[action.domain].members:
                    copy = now.branch()
                    if member.vlan:
                        copy.header.known[Field.VLAN_VID] = VLAN_PRESENT | member.vlan
                    self._output(copy, Output(port=member.port))
                return False
            case Select():
                for bucket in self._tables[now.device].groups[action.group].buckets:
                    self._actions(now.branch(), bucket.actions, table)
                return False
            case GtpReply() | ArpReply():
                return False
            case _:
                return _rewrite(now, action)
        return True

    def _output(self, now: Class, action: Output) -> None:
        place = (now.device, action.port)
        if action.port == now.port and not action.hairpin:
            return
        port = self._ports.get(place)
        if port is None or action.port not in self._tables[now.device].ports:
            self._tell(
                Problem.BLACK_HOLE, now, f"frames are sent to port {action.port} of {now.device}, which is not there"
            )
        elif port.side is Side.LINK:
            self._cross(now, place)
        else:
            self._leave(now, port)

    def _cross(self, now: Class, place: tuple[str, int]) -> None:
        beyond = self._links.get(place)
        if beyond is None:
            self._tell(
                Problem.BLACK_HOLE, now, f"frames are sent over port {place[1]} of {place[0]}, where no link is up"
            )
            return
        self._go(now, beyond, now.progress)

    def _go(self, now: Class, place: tuple[str, int], progress: Progress | None) -> None:
        after = now.branch()
        after.device, after.port = place
        after.progress = progress
        self._waiting.append(after)

    def _leave(self, now: Class, port: Port) -> None:
        """Out of the network, or into a function that returns it."""
        if now.tenant and port.tenant and port.tenant != now.tenant:
            self._tell(Problem.LEAK, now, f"frames of {now.tenant} reach the port {port.id} of {port.tenant}")
            return
        place = (port.device, port.number)
        stop, progress = self._visit(now, place)
        if stop is not None:
            back = now.branch()
            if stop.aware and Field.NSH_SI in back.header.known:
                back.header.known[Field.NSH_SI] -= 1
            self._go(back, stop.leave, progress)
        elif self._reflects(port):
            self._go(now, place, now.progress)
        elif place not in self._network.taps:
            self._finished(now, port)

    def _visit(self, now: Class, place: tuple[str, int]) -> tuple[Stop | None, Progress | None]:
        """The function at a port, if the frame is due there."""
        for progress in self._expected(now):
            if progress.done < len(progress.hops):
                for stop in progress.hops[progress.done]:
                    if stop.entry == place:
                        return stop, msgspec.structs.replace(progress, done=progress.done + 1)
        return None, None

    def _expected(self, now: Class) -> Iterator[Progress]:
        ways = self._network.ways
        if now.progress is not None:
            yield now.progress
            layout = ways.get(now.progress.chain)
            for branch in sorted(layout.branches) if layout else ():
                yield Progress(branch, ways[branch].stops, 0)
            return
        for chain in sorted(now.due):
            yield from _starts(ways[chain])

    def _finished(self, now: Class, port: Port) -> None:
        progress = now.progress
        if progress is not None and progress.done < len(progress.hops):
            left = f"{progress.done} of {len(progress.hops)} hops"
            self._tell(Problem.ORDER, now, f"frames leave at {port.id} after {left} of the chain {progress.chain}")
        elif progress is None and now.due and all(self._network.ways[chain].stops for chain in now.due):
            chains = ", ".join(sorted(now.due))
            self._tell(Problem.ORDER, now, f"frames leave at {port.id} without the chain {chains}")

    def _reflects(self, port: Port) -> bool:
        """Whether a light function sends on what it gets, by a next hop of its own."""
        state = self._network.states[port.device]
        return port.side is Side.LVNF and any(
            rule.match and rule.match[0] == Term(Field.IN_PORT, port.number, _FULL[Field.IN_PORT]) and rule.owner
            for rule in state.rules
        )

    # -- telling ----------------------------------------------------------------------------------------------------------

    def _tell(self, problem: Problem, now: Class, message: str) -> None:
        found = point(now.cube, now.excluded) or {}
        values = {field: value for field, value in found.items() if field < SHADOW}
        device, port = now.entry
        self._found.append(
            Violation(
                problem=problem,
                message=message,
                witness=Witness(device=device, port=port, frame=making.frame(values), pin=values.get(Field.PIN, 0)),
                owners=tuple(sorted({rule.owner for rule in now.rules if rule.owner})),
                trail=tuple(f"{step[0]}:{step[1]}" for step in now.trail),
            )
        )


def _starts(layout: Layout) -> Iterator[Progress]:
    for hops in (layout.stops, layout.back):
        if hops:
            yield Progress(layout.chain, hops, 0)


def _rewrite(now: Class, action: Actions) -> bool:
    """Change the header. False: the frame is dropped."""
    header = now.header
    match action:
        case SetField():
            vid = VLAN_PRESENT if action.field is Field.VLAN_VID else 0
            header.known[action.field] = action.value | vid
        case PushVlan():
            header.known[Field.VLAN_VID] = VLAN_PRESENT | action.vid
        case PopVlan():
            header.known[Field.VLAN_VID] = 0
        case PushNsh():
            now.header = _in_nsh(header, action)
        case PopNsh():
            if header.under is None:
                return False
            now.header = Header(
                {**header.under.known, **_kept(header)}, header.under.moved, header.under.own, header.under.under
            )
        case GtpDecap():
            now.header = _out_of_tunnel(now, action)
        case GtpEncap():
            now.header = Header({**_kept(header), Field.ETH_TYPE: ETH_IPV4, Field.GTP_TYPE: 255}, own=False)
        case _:
            pass
    return True


def _renewed(now: Class, fields: Iterable[Field]) -> Class:
    """These fields have any value from now on: that of a field of its own, which nothing is known of."""
    header, fresh = now.header, {shadow(field) for field in fields}
    now.cube = {field: one for field, one in now.cube.items() if field not in fresh}
    now.excluded = tuple(match for match in now.excluded if all(term.field not in fresh for term in match))
    for field in fields:
        # A field that the frame has not got stays away: its prerequisites are fields of their own.
        header.known.pop(field, None)
        header.moved[field] = shadow(field)
    return now


def _kept(header: Header) -> dict[Field, int]:
    """What belongs to the device, not to the frame."""
    return {field: value for field, value in header.known.items() if field < Field.ETH_DST}


def _in_nsh(header: Header, action: PushNsh) -> Header:
    known = _kept(header) | {
        Field.ETH_DST: action.eth_dst,
        Field.ETH_SRC: action.eth_src,
        Field.ETH_TYPE: ETH_NSH,
        Field.VLAN_VID: 0,
        Field.NSH_SPI: action.spi,
        Field.NSH_SI: action.si,
    }
    known.update(zip(_CONTEXT, action.context, strict=True))
    return Header(known, {}, own=False, under=header)


def _out_of_tunnel(now: Class, action: GtpDecap) -> Header:
    v6 = Field.INNER_IPV6_SRC in now.cube or Field.INNER_IPV6_DST in now.cube
    known = _kept(now.header) | {
        Field.ETH_DST: action.eth_dst,
        Field.ETH_SRC: action.eth_src,
        Field.ETH_TYPE: ETH_IPV6 if v6 else ETH_IPV4,
        Field.VLAN_VID: 0,
    }
    return Header(known, dict(_OUT_OF_TUNNEL), own=False)
