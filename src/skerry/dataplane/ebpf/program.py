"""The state of a device as programs and the contents of maps. Pure: `Plan` says all that the kernel is to be told.

A generation is one main program with its maps of rules; the entry programs at the ports jump into it through one map entry,
so that another generation takes over at one moment for all ports. What is learned (sessions, pins, MAC addresses) is in
maps that all generations share.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

import msgspec

from skerry.dataplane.ebpf import (
    acting,
    acting_connect,
    acting_flow,
    acting_gtp,
    acting_learn,
    acting_name,
    acting_send,
    acting_track,
    layout,
)
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R6, R7, R8, R9, Assembler, Jump, Label
from skerry.dataplane.ebpf.classify import Tuple, comparisons, tuples
from skerry.dataplane.ebpf.layout import SLOT, Has, Helper, Skb, big
from skerry.dataplane.ebpf.parse import Needs
from skerry.dataplane.ebpf.shapes import Numbers, Shape, Step, encode, size_of
from skerry.dataplane.ebpf.writing import DROP, PARAMETERS, Writer
from skerry.dataplane.flows import Actions, ArpReply, Copy, DeviceState, Domain, Field, GtpReply, Reason, Rule
from skerry.errors import UnsupportedError

_WITHOUT_READING = {"output", "pushvlan", "popvlan", "pushnsh", "police", "goto"}
_GTP_STEPS = {"gtpdecap", "gtplearn", "gtpreply"}
_TUNNEL_STEPS = {"gtpdecap", "gtpencap"}
_NSH_STEPS = {"popnsh", "decnshttl"}
_FLOW_STEPS = {"pin", "select", "seen"}
_CONN_STEPS = {"track", "connect"}
_L4_FIELDS = {Field.IPV4_SRC, Field.IPV4_DST, Field.IPV6_SRC, Field.IPV6_DST, Field.L4_SRC, Field.L4_DST}
RECORD_HEAD = struct.Struct("<IIQII")  # priority, shape, cookie, counter, table
NO_RULE = 0xFFFFFFFF


class Plan(msgspec.Struct, frozen=True):
    """A generation: records of rules and buckets, tuples, shapes, contents of small maps."""

    state: DeviceState
    records: list[bytes]
    record_size: int
    tuples: list[Tuple]
    shapes: list[Shape]
    rule_shapes: dict[int, list[int]]  # table -> shapes of its rules
    bucket_shapes: list[int]
    slots: list[int]
    meters: list[bytes]
    domains: list[bytes]
    members: int
    needs: Needs
    pins: bool
    mtu: int

    @property
    def later(self) -> frozenset[str]:
        """The maps of the device that only some rules need."""
        found = {"drops"} | ({"conns", "parts"} if _tracks(self.shapes) else set())
        return frozenset(found | ({"asked"} if Field.NAME in self.needs.fields else set()))

    def map_name(self, at: int) -> str:
        """The name of the map of a tuple."""
        return f"t{at}"


def plan(state: DeviceState, interfaces: dict[int, int], counters: Sequence[int], mtu: int = 1500) -> Plan:
    """All of a generation. `counters` gives the place of the counter of each rule. `UnsupportedError` for what cannot be."""
    _refuse(state)
    groups, buckets = _groups(state)
    numbers = Numbers(
        interfaces,
        {meter.id: at for at, meter in enumerate(state.meters)},
        {domain.id: at for at, domain in enumerate(state.domains)},
        groups,
    )
    known: dict[Shape, int] = {}
    records: list[bytes] = []
    rule_shapes: dict[int, set[int]] = {}
    encoded: dict[tuple[bool, tuple[Actions, ...]], tuple[int, bytes]] = {}
    for rule, counter in zip(state.rules, counters, strict=True):
        key = (_matches_pin(rule), rule.actions)
        if key not in encoded:
            shape, data = encode(rule.actions, numbers)
            shape = (Step("seen"), *shape) if key[0] else shape
            encoded[key] = (known.setdefault(shape, len(known)), data)
        number, data = encoded[key]
        rule_shapes.setdefault(rule.table, set()).add(number)
        records.append(RECORD_HEAD.pack(rule.priority, number, rule.cookie, counter, rule.table) + data)
    bucket_shapes: set[int] = set()
    for actions in buckets:
        shape, data = encode(actions, numbers)
        number = known.setdefault(shape, len(known))
        bucket_shapes.add(number)
        records.append(RECORD_HEAD.pack(0, number, 0, 0, 0) + data)
    size = max((len(record) for record in records), default=PARAMETERS) + 7 & ~7
    found = tuples(state.rules)
    members = max((len(domain.members) for domain in state.domains), default=0)
    shapes = list(known)
    return Plan(
        state=state,
        records=[record.ljust(size, b"\0") for record in records],
        record_size=size,
        tuples=found,
        shapes=shapes,
        rule_shapes={table: sorted(numbers) for table, numbers in rule_shapes.items()},
        bucket_shapes=sorted(bucket_shapes),
        slots=_slots(state),
        meters=[struct.pack("<QQQ", 0, m.rate_bps, m.burst_bits * 10**9 // m.rate_bps) for m in state.meters],
        domains=[_domain(one, interfaces, members) for one in state.domains],
        members=members,
        needs=_needs(found, shapes),
        pins=_pins(found),
        mtu=mtu,
    )


def _matches_pin(rule: Rule) -> bool:
    """Terms are in order: only the port can stand before the pin."""
    return any(term[0] is Field.PIN for term in rule.match[:2])


def _refuse(state: DeviceState) -> None:
    for domain in state.domains:
        if len(domain.members) > acting_flow.MOST_MEMBERS:
            raise UnsupportedError(
                f"cannot have {len(domain.members)} ports in domain {domain.id} of {state.device}",
                suggestion=f"at most {acting_flow.MOST_MEMBERS}; divide it, or use the engine ovs",
            )
    inside = (
        one for rule in state.rules for action in rule.actions if isinstance(action, Copy) for one in action.actions
    )
    if any(isinstance(one, GtpReply | ArpReply) for one in inside):
        raise UnsupportedError("cannot answer with a copy of a frame", suggestion="answer in a rule of its own")


def _groups(state: DeviceState) -> tuple[dict[int, tuple[int, int]], list[Sequence[Actions]]]:
    """First slot and number of slots of each group, and the actions of all buckets."""
    groups: dict[int, tuple[int, int]] = {}
    at = 0
    for group in state.groups:
        total = sum(bucket.weight for bucket in group.buckets)
        groups[group.id] = (at, total)
        at += total
    return groups, [bucket.actions for group in state.groups for bucket in group.buckets]


def _slots(state: DeviceState) -> list[int]:
    """The record of the bucket of each slot."""
    found: list[int] = []
    record = len(state.rules)
    for group in state.groups:
        for bucket in group.buckets:
            found += [record] * bucket.weight
            record += 1
    return found


def _domain(domain: Domain, interfaces: dict[int, int], members: int) -> bytes:
    data = struct.pack("<IIII", len(domain.members), domain.id, domain.age_s, 0)
    for member in domain.members:
        data += struct.pack("<IIII", member.port, interfaces.get(member.port, 0), member.vlan, 0)
    return data.ljust(acting_flow.DOMAIN_HEAD + members * acting_flow.MEMBER_SIZE, b"\0")


def _steps(shapes: Iterable[Shape]) -> Iterable[Step]:
    for shape in shapes:
        for step in shape:
            yield step
            yield from _steps([step.inside])


def _needs(found: Sequence[Tuple], shapes: Sequence[Shape]) -> Needs:
    fields = {term.field for one in found for term in one.fixed} | {field for one in found for field, _ in one.keyed}
    steps = set(_steps(shapes))
    names = {step.do for step in steps}
    written = {Field(step.static) for step in steps if step.do == "setfield"}
    flows = bool(names & _FLOW_STEPS) or Field.PIN in fields or Field.NAME in fields
    has = Has(0)
    for field in fields | written:
        has |= layout.NEEDED.get(field, Has(0))
    gtp = flows or bool(names & _GTP_STEPS) or bool(has & (Has.GTP | Has.QFI | Has.INNER | Has.INNER_V4 | Has.INNER_V6))
    gtp = gtp or bool(has & Has.INNER_PORTS)
    nsh = bool(names & _NSH_STEPS or has & (Has.NSH | Has.CONTEXT))
    ip = gtp or bool(names & {"decttl", "gtpencap", *_CONN_STEPS} or has & (Has.IP | Has.V4 | Has.V6 | Has.PORTS))
    extra = {Field.IP_PROTO} if written & _L4_FIELDS or flows else set[Field]()
    extra |= {Field.IP_PROTO, Field.IP_FRAG} if names & _CONN_STEPS else set()
    extra |= {Field.INNER_PROTO} if flows or "gtpdecap" in names else set()
    extra |= written & {Field.L4_SRC, Field.L4_DST}
    extra |= {Field.ETH_TYPE} if names - _WITHOUT_READING - {"setfield", "seen"} else set()
    return Needs(frozenset(fields | extra), ip, gtp, nsh)


def _tracks(shapes: Iterable[Shape]) -> bool:
    """Whether connections are looked up."""
    return any(step.do in _CONN_STEPS for step in _steps(shapes))


def _pins(found: Sequence[Tuple]) -> bool:
    looked = {term.field for one in found for term in one.fixed} | {field for one in found for field, _ in one.keyed}
    return Field.PIN in looked


# -- the programs ---------------------------------------------------------------------------------------------------------


def entry(port: int) -> Assembler:
    """The program at a port: remember the port and go on in the generation that is in effect; drop while there is none."""
    asm = Assembler(f"port {port}")
    asm.store(4, R1, Skb.CB0, port)
    asm.map(R2, "dispatch")
    asm.mov(R3, 0)
    asm.call(Helper.TAIL_CALL)
    asm.mov(R0, DROP)
    asm.exit()
    return asm


def main(given: Plan, *, probe: bool = False) -> Assembler:
    """The main program of a generation, or the one that probes run in."""
    asm = Assembler("probe" if probe else "main")
    writer = Writer(asm, given.needs, probe=probe, mtu=given.mtu)
    _start(writer, given)
    tables = sorted(given.rule_shapes)
    writer.tables = {table: asm.label(f"table{table}") for table in tables}
    asm.jump(writer.tables.get(0) or writer.dropped(Reason.NO_MATCH))
    for table in tables:
        asm.place(writer.tables[table])
        _table(writer, given, table)
    asm.place(writer.buckets)
    _dispatch(writer, given, given.bucket_shapes)
    writer.reasons()
    asm.place(writer.drop)
    asm.mov(R0, DROP)
    asm.exit()
    writer.functions()
    return asm


def _start(writer: Writer, given: Plan) -> None:
    asm = writer.asm
    asm.mov(R6, R1)
    asm.store(4, FP, -4, 0)
    asm.map(R1, "scratch")
    asm.mov(R2, FP)
    asm.add(R2, -4)
    asm.call(Helper.MAP_LOOKUP)
    asm.jump_if(Jump.EQ, R0, 0, writer.drop)
    asm.mov(R9, R0)
    asm.load(4, R1, R6, Skb.CB0)
    asm.store(4, R9, layout.IN_PORT, R1)
    fields = given.needs.fields
    if Field.IN_PORT in fields:
        asm.to_big(R1, 16)
        asm.store(4, R9, SLOT[Field.IN_PORT], R1)
    for field in (Field.REG0, Field.REG1, Field.REG2, Field.REG3, Field.CONN):
        if field in fields:
            asm.store(4, R9, SLOT[field], 0)
    if _tracks(given.shapes):
        asm.store(4, R9, layout.CONN_FOUND, 0)
    if writer.probe:
        _tag_beside(writer)
    if given.needs.any:
        writer.fresh = False
        writer.read()
        asm.jump_if(Jump.EQ, R8, 0, writer.drop)
    else:
        asm.mov(R8, int(Has.FRAME))
    if given.pins:
        acting_flow.pinned(writer)
    if Field.NAME in fields:
        acting_name.named(writer)


def _tag_beside(writer: Writer) -> None:
    """A frame that never came in over an interface still has its tag inside: put it beside, as the kernel does."""
    asm, right = writer.asm, writer.asm.label("tag_beside")
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.NE, R1, 0, right)
    asm.load(4, R1, R6, Skb.PROTOCOL)
    asm.jump_if(Jump.NE, R1, big(0x8100), right)
    asm.mov(R1, R6)
    asm.mov(R2, 14)
    writer.scratch(R3, layout.TEMP)
    asm.mov(R4, 2)
    asm.call(Helper.LOAD_BYTES)
    writer.checked()
    asm.mov(R1, R6)
    asm.call(Helper.VLAN_POP)
    writer.checked()
    asm.load(2, R3, R9, layout.TEMP)
    asm.to_big(R3, 16)
    asm.mov(R1, R6)
    asm.mov(R2, big(0x8100))
    asm.call(Helper.VLAN_PUSH)
    writer.checked()
    asm.place(right)


def _table(writer: Writer, given: Plan, table: int) -> None:
    asm, decided = writer.asm, writer.asm.label("decided")
    here = [(at, one) for at, one in enumerate(given.tuples) if one.table == table]
    asm.store(4, R9, layout.BEST_RULE, NO_RULE)
    for place, (at, one) in enumerate(here):
        below = max((later.high for _, later in here[place + 1 :]), default=-1)
        _tuple(writer, given.map_name(at), one, below, decided)
    asm.place(decided)
    writer.lookup("rules", layout.BEST_RULE)
    asm.jump_if(Jump.EQ, R0, 0, writer.dropped(Reason.NO_MATCH))
    asm.mov(R7, R0)
    _count(writer)
    _dispatch(writer, given, given.rule_shapes[table])


def _tuple(writer: Writer, name: str, one: Tuple, below: int, decided: Label) -> None:
    """Look a frame up in one tuple. What is found is the best so far if its priority is higher than that of the best."""
    asm, following = writer.asm, writer.asm.label("next_tuple")
    writer.fresh = True
    needs = one.needs & ~Has.FRAME
    if needs:
        writer.unless(needs, following)
    for term in one.fixed:
        for at, mask, value in comparisons(term):
            asm.load(4, R1, R9, at)
            if mask is not None:
                asm.and_(R1, mask, width=4)
            asm.jump_if(Jump.NE, R1, value, following, width=4)
    if one.keyed:
        _keyed(writer, name, one, following)
        asm.load(4, R1, R0, 0)
        asm.load(4, R2, R0, 4)
    else:
        asm.mov(R1, one.high)
        asm.mov(R2, next(iter(one.rules.values())))
    best = asm.label("best")
    asm.load(4, R3, R9, layout.BEST_RULE)
    asm.jump_if(Jump.EQ, R3, NO_RULE, best, width=4)
    asm.load(4, R3, R9, layout.BEST_PRIORITY)
    asm.jump_if(Jump.LE, R1, R3, following)
    asm.place(best)
    asm.store(4, R9, layout.BEST_RULE, R2)
    asm.store(4, R9, layout.BEST_PRIORITY, R1)
    asm.jump_if(Jump.SGE, R1, below, decided)
    asm.place(following)


def _keyed(writer: Writer, name: str, one: Tuple, missing: Label) -> None:
    asm, at = writer.asm, layout.KEY
    for field, mask in one.keyed:
        for part, word in enumerate(layout.words(field, mask)):
            asm.load(4, R1, R9, SLOT[field] + 4 * part)
            if word != 0xFFFFFFFF:
                asm.and_(R1, word, width=4)
            asm.store(4, R9, at, R1)
            at += 4
    writer.lookup(name, layout.KEY)
    asm.jump_if(Jump.EQ, R0, 0, missing)


def _count(writer: Writer) -> None:
    """Packets and bytes of the rule; a probe tells the rule instead."""
    asm, uncounted, untagged = writer.asm, writer.asm.label("uncounted"), writer.asm.label("count_untagged")
    if writer.probe:
        _tell_rule(writer)
        return
    asm.load(4, R1, R7, 16)
    asm.store(4, R9, layout.TEMP, R1)
    writer.lookup("counters", layout.TEMP)
    asm.jump_if(Jump.EQ, R0, 0, uncounted)
    asm.load(4, R2, R6, Skb.LEN)
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.EQ, R1, 0, untagged)
    asm.add(R2, 4)
    asm.place(untagged)
    asm.load(8, R1, R0, 8)
    asm.add(R1, R2)
    asm.store(8, R0, 8, R1)
    asm.load(8, R1, R0, 0)
    asm.add(R1, 1)
    asm.store(8, R0, 0, R1)
    asm.place(uncounted)


def _tell_rule(writer: Writer) -> None:
    asm = writer.asm
    asm.store(4, R9, layout.EMITTED, 2)
    asm.store(4, R9, layout.EMITTED + 4, 0)
    asm.load(8, R1, R7, 8)
    asm.store(8, R9, layout.EMITTED + 8, R1)
    asm.map(R1, "told")
    writer.scratch(R2, layout.EMITTED)
    asm.mov(R3, 16)
    asm.mov(R4, 0)
    asm.call(Helper.RINGBUF_OUTPUT)


def _dispatch(writer: Writer, given: Plan, numbers: Sequence[int]) -> None:
    """Go to the code of the record's shape, and write that code."""
    asm = writer.asm
    labels = {number: asm.label(f"shape{number}") for number in numbers}
    asm.load(4, R1, R7, 4)
    _choose(asm, list(labels.items()), writer.drop)
    for number, label in labels.items():
        asm.place(label)
        writer.fresh, writer.at = given.needs.any, PARAMETERS
        _actions(writer, given, given.shapes[number])
        says_so = all(step.do == "seen" for step in given.shapes[number])
        asm.jump(writer.dropped(Reason.POLICY) if says_so else writer.drop)


def _choose(asm: Assembler, labels: list[tuple[int, Label]], otherwise: Label) -> None:
    """A jump by the number in r1."""
    if len(labels) <= 4:
        for number, label in labels:
            asm.jump_if(Jump.EQ, R1, number, label)
        asm.jump(otherwise)
        return
    middle, upper = len(labels) // 2, asm.label("upper")
    asm.jump_if(Jump.GE, R1, labels[middle][0], upper)
    _choose(asm, labels[:middle], otherwise)
    asm.place(upper)
    _choose(asm, labels[middle:], otherwise)


def _actions(writer: Writer, given: Plan, shape: Shape) -> None:
    for at, step in enumerate(shape):
        last = at == len(shape) - 1
        writer.tunnelled = any(one.do in _TUNNEL_STEPS for one in shape[:at])
        writer.skip = writer.asm.label("skip")
        if step.do == "copy":
            _copy(writer, given, step, last)
            continue
        if step.do == "bridge":
            acting_flow.bridge(writer, step, last, given.members)
        else:
            _WRITE[step.do](writer, step, last)
        writer.asm.place(writer.skip)
        writer.at += size_of(step)


def _copy(writer: Writer, given: Plan, step: Step, last: bool) -> None:
    """Actions on a copy. Where they only send, the frame itself stays as it is anyway."""
    sends = all(one.do == "output" for one in step.inside)
    if not sends and not last:
        acting.save(writer)
    outside, writer.drop, writer.copying = writer.drop, writer.asm.label("copied"), True
    _actions(writer, given, step.inside)
    writer.asm.place(writer.drop)
    writer.drop, writer.copying = outside, False
    if not sends and not last:
        acting.restore(writer)


_WRITE: dict[str, Callable[[Writer, Step, bool], None]] = {
    "output": acting_send.output,
    "goto": acting.goto,
    "setfield": acting.set_field,
    "pushvlan": acting.push_vlan,
    "popvlan": acting.pop_vlan,
    "decttl": acting.dec_ttl,
    "pushnsh": acting.push_nsh,
    "popnsh": acting.pop_nsh,
    "decnshttl": acting.dec_nsh_ttl,
    "gtpdecap": acting_gtp.decap,
    "gtpencap": acting_gtp.encap,
    "gtplearn": acting_learn.learn,
    "gtpreply": acting_gtp.reply,
    "arpreply": acting_flow.arp_reply,
    "police": acting_flow.police,
    "pin": acting_flow.pin,
    "seen": acting_flow.seen,
    "select": acting_flow.select,
    "track": acting_track.track,
    "connect": acting_connect.connect,
}
