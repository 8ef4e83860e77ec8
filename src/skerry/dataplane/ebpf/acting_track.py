"""The code of looking up connections. What comes from the side that did not open one is translated back."""

from __future__ import annotations

from skerry.dataplane.connections import CLOSING_S, PARTS_S, PROTO_ICMP6, UNANSWERED_S
from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting_translate import translate_function
from skerry.dataplane.ebpf.assembler import R0, R1, R2, R3, R4, R5, R7, R8, R9, Alu, Jump, Label, Reg
from skerry.dataplane.ebpf.entries import (
    ANSWERED,
    BACK,
    BECOMES,
    CHANGES,
    CLOSING,
    DPORT,
    DST,
    ENDS,
    ENDS_SIZE,
    ERROR,
    FIRST,
    FLAGS,
    FRESH,
    IDLE,
    LATER,
    OPENER,
    OTHER,
    PART,
    PART_BECOMES,
    PART_SEEN,
    SEEN,
    SPORT,
    SRC,
    TRANSLATED,
    copy,
)
from skerry.dataplane.ebpf.layout import BUFFER, CONN_BECOMES, CONN_FOUND, CONN_KEY, HEADERS, KEY, L3, SLOT, Has, Helper
from skerry.dataplane.ebpf.shapes import Step
from skerry.dataplane.ebpf.writing import Writer
from skerry.dataplane.flows import PROTO_ICMP, PROTO_TCP, PROTO_UDP, Conn, Field, Reason

_SECOND = 1_000_000_000
_SYN, _SYN_ACK = 2, 18
ECHO = {PROTO_ICMP: (8, 0), PROTO_ICMP6: (128, 129)}
_ERRORS = {PROTO_ICMP: (3, 4, 5, 11, 12), PROTO_ICMP6: (1, 2, 3, 4)}


def track(writer: Writer, _: Step, __: bool) -> None:
    """Parameter: the zone."""
    asm = writer.asm
    writer.read()
    asm.load(4, R1, R7, writer.at)
    asm.store(4, R9, layout.CONN_ZONE, R1)
    writer.call("track", track_function)
    asm.jump_if(Jump.NE, R0, 0, writer.dropped(Reason.FAILED))
    writer.fresh = False


def track_function(writer: Writer, label: Label) -> None:
    """`r0 = track(frame, scratch)`: what is found to CONN_FOUND and the slot of CONN; frames of the other side translated."""
    asm = writer.asm
    none, invalid, unknown, done = (asm.label(name) for name in ("none", "invalid", "unknown", "tracked"))
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    asm.store(4, R9, CONN_FOUND, 0)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.NONE))
    _key(writer, none, invalid)
    asm.call(Helper.KTIME_COARSE)
    asm.store(8, R9, layout.NOW, R0)
    complete = asm.label("complete")
    asm.load(4, R1, R9, CONN_FOUND)
    asm.jump_if(Jump.NE, R1, PART, complete)
    _part(writer, invalid)
    asm.jump(done)
    asm.place(complete)
    writer.lookup("conns", CONN_KEY)
    asm.jump_if(Jump.EQ, R0, 0, unknown)
    _known(writer, unknown)
    keep_part(writer)
    asm.jump(done)
    asm.place(unknown)
    _unknown(writer, invalid)
    asm.place(done)
    plain = asm.label("as_it_is")
    asm.load(4, R1, R9, CONN_FOUND)
    asm.and_(R1, OTHER | CHANGES)
    asm.jump_if(Jump.NE, R1, OTHER | CHANGES, plain)
    writer.call("translate", translate_function)
    asm.exit()
    asm.place(invalid)
    asm.store(4, R9, CONN_FOUND, 0)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.INVALID))
    asm.place(plain)
    asm.place(none)
    asm.mov(R0, 0)
    asm.exit()


def _key(writer: Writer, none: Label, invalid: Label) -> None:
    """What the frame is looked up by, to CONN_KEY; for an error CONN_FOUND is ERROR."""
    asm, six, read = writer.asm, writer.asm.label("key_v6"), writer.asm.label("key_read")
    writer.unless(Has.IP, none)
    asm.load(4, R1, R9, layout.CONN_ZONE)
    asm.store(2, R9, CONN_KEY, R1)
    asm.load(1, R5, R9, SLOT[Field.IP_PROTO])
    asm.store(1, R9, CONN_KEY + 2, R5)
    writer.unless(Has.V4, six)
    _key_of_version(writer, 4, PROTO_ICMP, none, invalid, read)
    asm.place(six)
    _key_of_version(writer, 6, PROTO_ICMP6, none, invalid, read)
    asm.place(read)


def _key_of_version(writer: Writer, version: int, icmp: int, none: Label, invalid: Label, read: Label) -> None:
    """r5 is the protocol."""
    asm, echoes, error, ported = writer.asm, *(writer.asm.label(name) for name in ("echoes", "icmp_error", "ported"))
    asm.store(1, R9, CONN_KEY + 3, version)
    tracked, whole = asm.label("tracked_protocol"), asm.label("whole")
    for proto in (PROTO_TCP, PROTO_UDP, icmp):
        asm.jump_if(Jump.EQ, R5, proto, tracked)
    asm.jump(none)
    asm.place(tracked)
    asm.mov(R3, R9)
    asm.add(R3, L3)
    _ends(writer, R3, version, turned=False)
    asm.load(1, R1, R9, SLOT[Field.IP_FRAG])
    asm.jump_if(Jump.NE, R1, LATER, whole)
    _identified(writer, CONN_KEY, version)
    asm.store(4, R9, CONN_FOUND, PART)
    asm.jump(read)
    asm.place(whole)
    _within(writer, layout.L4, 8, invalid)
    asm.load(4, R7, R9, layout.L4)
    asm.and_(R7, 511)
    asm.add(R7, R9)
    asm.jump_if(Jump.EQ, R5, icmp, echoes)
    asm.place(ported)
    _ports(writer, turned=False)
    asm.jump(read)
    asm.place(echoes)
    asm.load(1, R1, R7, BUFFER)
    for kind in _ERRORS[icmp]:
        asm.jump_if(Jump.EQ, R1, kind, error)
    _echo_ports(writer, icmp, turned=False, invalid=invalid)
    asm.jump(read)
    asm.place(error)
    _error_key(writer, version, icmp, invalid)
    asm.jump(read)


def _identified(writer: Writer, key: int, version: int) -> None:
    """The identification of a fragment in the place of the ports of a key."""
    if version == 4:
        writer.asm.load(2, R1, R9, BUFFER + L3 + 4)
    else:
        writer.asm.load(4, R1, R9, layout.FRAG_ID)
    writer.asm.store(4, R9, key + ENDS + SPORT, R1)


def _part(writer: Writer, invalid: Label) -> None:
    """A later fragment is what the first one was."""
    asm = writer.asm
    writer.lookup("parts", CONN_KEY)
    asm.jump_if(Jump.EQ, R0, 0, invalid)
    asm.load(8, R1, R9, layout.NOW)
    asm.load(8, R2, R0, PART_SEEN)
    asm.sub(R1, R2)
    asm.constant(R2, PARTS_S * _SECOND)
    asm.jump_if(Jump.SGT, R1, R2, invalid)
    asm.load(4, R1, R0, 0)
    asm.or_(R1, PART)
    asm.store(4, R9, CONN_FOUND, R1)
    asm.load(4, R1, R0, 4)
    asm.store(4, R9, SLOT[Field.CONN], R1)
    for word in range(0, 32, 4):
        asm.load(4, R1, R0, PART_BECOMES + word)
        asm.store(4, R9, CONN_BECOMES + word, R1)


def keep_part(writer: Writer) -> None:
    """What was found of a first fragment is kept for those that follow."""
    if writer.probe:
        return
    asm, whole, four, six = writer.asm, *(writer.asm.label(name) for name in ("not_in_parts", "part_v4", "part_told"))
    asm.load(1, R1, R9, SLOT[Field.IP_FRAG])
    asm.jump_if(Jump.NE, R1, FIRST, whole)
    copy(writer, CONN_KEY, KEY, ENDS + SPORT)
    asm.load(1, R1, R9, CONN_KEY + 3)
    asm.jump_if(Jump.EQ, R1, 4, four)
    _identified(writer, KEY, 6)
    asm.jump(six)
    asm.place(four)
    _identified(writer, KEY, 4)
    asm.place(six)
    asm.load(4, R1, R9, CONN_FOUND)
    asm.store(4, R9, HEADERS, R1)
    asm.load(4, R1, R9, SLOT[Field.CONN])
    asm.store(4, R9, HEADERS + 4, R1)
    asm.load(8, R1, R9, layout.NOW)
    asm.store(8, R9, HEADERS + PART_SEEN, R1)
    copy(writer, CONN_BECOMES, HEADERS + PART_BECOMES, 32)
    writer.update("parts", KEY, HEADERS)
    asm.place(whole)


def _within(writer: Writer, at: int, size: int, otherwise: Label) -> None:
    """Go on at a label unless `size` bytes behind a place (a number in the scratch) are in the window."""
    asm = writer.asm
    asm.load(4, R1, R9, at)
    asm.jump_if(Jump.EQ, R1, 0, otherwise)
    asm.add(R1, size)
    asm.load(4, R2, R9, layout.CAP)
    asm.jump_if(Jump.GT, R1, R2, otherwise)


def _ends(writer: Writer, packet: Reg, version: int, *, turned: bool) -> None:
    """The addresses of the packet at a register (+ BUFFER) to CONN_KEY, source first, or destination first."""
    asm = writer.asm
    places = (DST, SRC) if turned else (SRC, DST)
    for part, place in enumerate(places):
        to = CONN_KEY + ENDS + place
        if version == 4:
            asm.load(4, R1, packet, BUFFER + 12 + 4 * part)
            asm.store(4, R9, to, R1)
            for more in (4, 8, 12):
                asm.store(4, R9, to + more, 0)
        else:
            for word in range(0, 16, 4):
                asm.load(4, R1, packet, BUFFER + 8 + 16 * part + word)
                asm.store(4, R9, to + word, R1)


def _ports(writer: Writer, *, turned: bool) -> None:
    """The ports of the header at r7 to CONN_KEY."""
    asm = writer.asm
    for part, place in enumerate((DPORT, SPORT) if turned else (SPORT, DPORT)):
        asm.load(2, R1, R7, BUFFER + 2 * part)
        asm.store(2, R9, CONN_KEY + ENDS + place, R1)


def _echo_ports(writer: Writer, icmp: int, *, turned: bool, invalid: Label) -> None:
    """The identifier of the echo at r7, whose type is r1, to CONN_KEY, as the port of who asks."""
    asm, asks, done = writer.asm, writer.asm.label("asks"), writer.asm.label("echo_read")
    asm.load(2, R2, R7, BUFFER + 4)
    asm.jump_if(Jump.EQ, R1, ECHO[icmp][0], asks)
    asm.jump_if(Jump.NE, R1, ECHO[icmp][1], invalid)
    mine, others = (SPORT, DPORT) if turned else (DPORT, SPORT)
    asm.store(2, R9, CONN_KEY + ENDS + mine, R2)
    asm.store(2, R9, CONN_KEY + ENDS + others, 0)
    asm.jump(done)
    asm.place(asks)
    asm.store(2, R9, CONN_KEY + ENDS + others, R2)
    asm.store(2, R9, CONN_KEY + ENDS + mine, 0)
    asm.place(done)


def _error_key(writer: Writer, version: int, icmp: int, invalid: Label) -> None:
    """The ends of the packet that the error at r7 is about, turned round: so it belongs to the side that sent the error."""
    asm, echo, ported, done = writer.asm, *(writer.asm.label(name) for name in ("about_echo", "about_ports", "about"))
    asm.load(4, R1, R9, layout.L4)
    asm.add(R1, 8)
    asm.store(4, R9, layout.ABOUT, R1)
    _within(writer, layout.ABOUT, 20 if version == 4 else 40, invalid)
    asm.load(4, R3, R9, layout.ABOUT)
    asm.and_(R3, 511)
    asm.add(R3, R9)
    _about_header(writer, version, invalid)
    asm.store(4, R9, layout.ABOUT_L4, R2)
    asm.store(4, R9, layout.TEMP, R5)
    _within(writer, layout.ABOUT_L4, 8, invalid)
    asm.load(4, R5, R9, layout.TEMP)
    asm.store(1, R9, CONN_KEY + 2, R5)
    _ends(writer, R3, version, turned=True)
    asm.load(4, R7, R9, layout.ABOUT_L4)
    asm.and_(R7, 511)
    asm.add(R7, R9)
    for proto in (PROTO_TCP, PROTO_UDP):
        asm.jump_if(Jump.EQ, R5, proto, ported)
    asm.jump_if(Jump.NE, R5, icmp, invalid)
    asm.place(echo)
    asm.load(1, R1, R7, BUFFER)
    _echo_ports(writer, icmp, turned=True, invalid=invalid)
    asm.jump(done)
    asm.place(ported)
    _ports(writer, turned=True)
    asm.place(done)
    asm.store(4, R9, CONN_FOUND, ERROR)


def _about_header(writer: Writer, version: int, invalid: Label) -> None:
    """Of the packet at r3: r5 = its protocol, r2 = where its payload begins."""
    asm = writer.asm
    asm.load(1, R1, R3, BUFFER)
    asm.mov(R2, R1)
    asm.rsh(R2, 4)
    asm.jump_if(Jump.NE, R2, version, invalid)
    asm.load(4, R2, R9, layout.ABOUT)
    if version == 6:
        asm.add(R2, 40)
        asm.load(1, R5, R3, BUFFER + 6)
        return
    asm.and_(R1, 15)
    asm.lsh(R1, 2)
    asm.jump_if(Jump.LT, R1, 20, invalid)
    asm.add(R2, R1)
    asm.load(2, R1, R3, BUFFER + 6)
    asm.to_big(R1, 16)
    asm.and_(R1, 0x1FFF)
    asm.jump_if(Jump.NE, R1, 0, invalid)
    asm.load(1, R5, R3, BUFFER + 9)


def _known(writer: Writer, unknown: Label) -> None:
    """The entry at r0: what the frame becomes to CONN_BECOMES, the state of the connection renewed; `unknown` if it is over."""
    asm, opener, other = writer.asm, writer.asm.label("opener"), writer.asm.label("other_side")
    asm.mov(R7, R0)
    for at in range(0, ENDS_SIZE, 4):
        asm.load(4, R1, R7, BECOMES + at)
        asm.store(4, R9, CONN_BECOMES + at, R1)
    asm.load(4, R8, R7, FLAGS)
    asm.jump_if(Jump.SET, R8, BACK, other)
    asm.store(4, R9, layout.TEMP, OPENER)
    asm.jump(opener)
    asm.place(other)
    asm.store(4, R9, layout.TEMP, OTHER)
    turned_key(writer, KEY, CONN_BECOMES)
    writer.lookup("conns", KEY)
    asm.jump_if(Jump.EQ, R0, 0, unknown)
    asm.mov(R7, R0)
    asm.place(opener)
    unless_over(writer, R7, unknown)
    _found(writer, unknown)


def _found(writer: Writer, unknown: Label) -> None:
    """r7 the entry that has the state, TEMP the side."""
    asm, plain, told, renewed = (
        writer.asm,
        *(writer.asm.label(name) for name in ("no_error", "conn_told", "renewed")),
    )
    changes = asm.label("unchanged_ends")
    asm.load(4, R8, R7, FLAGS)
    asm.load(4, R2, R9, layout.TEMP)
    asm.mov(R1, R8)
    asm.and_(R1, TRANSLATED)
    asm.jump_if(Jump.EQ, R1, 0, changes)
    asm.or_(R2, CHANGES)
    asm.place(changes)
    asm.load(4, R3, R9, CONN_FOUND)
    asm.jump_if(Jump.NE, R3, ERROR, plain)
    asm.or_(R2, ERROR)
    asm.store(4, R9, CONN_FOUND, R2)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.RELATED))
    asm.jump(told)
    asm.place(plain)
    _tcp_flags(writer, renewed, unknown)
    asm.place(renewed)
    asm.store(4, R9, CONN_FOUND, R2)
    _renew(writer)
    asm.place(told)


def _tcp_flags(writer: Writer, renewed: Label, unknown: Label) -> None:
    """Of TCP: a SYN opens a connection that is being closed anew; FIN and RST close it (r8 are the flags of the entry)."""
    asm, open_, going = writer.asm, writer.asm.label("not_closed"), writer.asm.label("goes_on")
    asm.load(1, R1, R9, CONN_KEY + 2)
    asm.jump_if(Jump.NE, R1, PROTO_TCP, renewed)
    asm.load(4, R1, R9, layout.L4)
    asm.and_(R1, 511)
    asm.add(R1, R9)
    asm.load(1, R1, R1, BUFFER + 13)
    asm.mov(R3, R8)
    asm.and_(R3, CLOSING)
    asm.jump_if(Jump.EQ, R3, 0, open_)
    asm.mov(R3, R1)
    asm.and_(R3, _SYN_ACK)
    asm.jump_if(Jump.EQ, R3, _SYN, unknown)
    asm.place(open_)
    asm.and_(R1, 5)
    asm.jump_if(Jump.EQ, R1, 0, going)
    asm.or_(R8, CLOSING)
    asm.place(going)


def _renew(writer: Writer) -> None:
    """The state of the connection at r7 (flags r8, side r2), and the slot of CONN."""
    asm, opener, told, answered = (
        writer.asm,
        *(writer.asm.label(name) for name in ("from_opener", "side_told", "was_answered")),
    )
    asm.mov(R1, R2)
    asm.and_(R1, OTHER)
    asm.jump_if(Jump.EQ, R1, 0, opener)
    asm.or_(R8, ANSWERED)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.REPLY))
    asm.jump(told)
    asm.place(opener)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.ESTABLISHED))
    asm.jump_if(Jump.SET, R8, ANSWERED, answered)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.NEW))
    asm.place(answered)
    asm.place(told)
    if not writer.probe:
        asm.store(4, R7, FLAGS, R8)
        asm.load(8, R1, R9, layout.NOW)
        asm.store(8, R7, SEEN, R1)


def _unknown(writer: Writer, invalid: Label) -> None:
    """A frame of no connection: one that may open one is NEW."""
    asm, tcp, opens, ack = writer.asm, *(writer.asm.label(name) for name in ("opens_tcp", "opens", "acknowledges"))
    asm.load(4, R1, R9, CONN_FOUND)
    asm.jump_if(Jump.NE, R1, 0, invalid)
    asm.load(1, R1, R9, CONN_KEY + 2)
    asm.jump_if(Jump.EQ, R1, PROTO_UDP, opens)
    asm.jump_if(Jump.EQ, R1, PROTO_TCP, tcp)
    asm.load(4, R2, R9, layout.L4)
    asm.and_(R2, 511)
    asm.add(R2, R9)
    asm.load(1, R2, R2, BUFFER)
    asm.jump_if(Jump.EQ, R2, ECHO[PROTO_ICMP][0], opens)
    asm.jump_if(Jump.EQ, R2, ECHO[PROTO_ICMP6][0], opens)
    asm.jump(invalid)
    asm.place(tcp)
    asm.load(4, R2, R9, layout.L4)
    asm.and_(R2, 511)
    asm.add(R2, R9)
    asm.load(1, R2, R2, BUFFER + 13)
    asm.mov(R1, R2)
    asm.and_(R1, _SYN)
    asm.jump_if(Jump.EQ, R1, 0, ack)
    asm.and_(R2, 1 | 4 | 16)
    asm.jump_if(Jump.NE, R2, 0, invalid)
    asm.jump(opens)
    asm.place(ack)
    asm.mov(R1, R2)
    asm.and_(R1, 16)
    asm.jump_if(Jump.NE, R1, 0, opens)
    asm.and_(R2, 1 | 4 | 8 | 32)
    asm.jump_if(Jump.NE, R2, 4, invalid)
    asm.place(opens)
    asm.store(4, R9, CONN_FOUND, FRESH)
    asm.store(4, R9, SLOT[Field.CONN], int(Conn.NEW))


def turned_key(writer: Writer, to: int, ends: int) -> None:
    """The key of the side that gets frames of some ends."""
    asm = writer.asm
    asm.load(4, R1, R9, CONN_KEY)
    asm.store(4, R9, to, R1)
    for source, target in ((SRC, DST), (DST, SRC)):
        for word in range(0, 16, 4):
            asm.load(4, R1, R9, ends + source + word)
            asm.store(4, R9, to + ENDS + target + word, R1)
    for source, target in ((SPORT, DPORT), (DPORT, SPORT)):
        asm.load(2, R1, R9, ends + source)
        asm.store(2, R9, to + ENDS + target, R1)


def unless_over(writer: Writer, entry: Reg, over: Label) -> None:
    """Go on at a label if a connection was idle for too long."""
    asm, closing, answered = writer.asm, writer.asm.label("not_closing"), writer.asm.label("answered")
    asm.load(4, R1, entry, FLAGS)
    asm.load(4, R2, entry, IDLE)
    asm.jump_if(Jump.SET, R1, CLOSING, closing)
    asm.jump_if(Jump.SET, R1, ANSWERED, answered)
    asm.jump_if(Jump.LE, R2, UNANSWERED_S, answered)
    asm.mov(R2, UNANSWERED_S)
    asm.jump(answered)
    asm.place(closing)
    asm.mov(R2, CLOSING_S)
    asm.place(answered)
    asm.alu(Alu.MUL, R2, _SECOND)
    asm.load(8, R3, R9, layout.NOW)
    asm.load(8, R4, entry, SEEN)
    asm.sub(R3, R4)
    asm.jump_if(Jump.SGT, R3, R2, over)
