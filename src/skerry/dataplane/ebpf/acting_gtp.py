"""The code of actions on GTP-U (TS 29.281): taking packets out of tunnels, putting them in, learning tunnels, answering."""

from __future__ import annotations

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting import resize, shrink
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Alu, Jump, Label, Reg
from skerry.dataplane.ebpf.layout import BUFFER, HEADERS, KEY, SLOT, Has, Helper, Skb, big
from skerry.dataplane.ebpf.shapes import TUNNEL_SIZE, Step
from skerry.dataplane.ebpf.writing import Writer, event
from skerry.dataplane.flows import PROTO_TCP, Field, Reason

ORIGIN, IDLE, SEEN, VALID, TUNNELS = 0, 4, 8, 16, 24
SESSION_SIZE = TUNNELS + 2 * TUNNEL_SIZE
TEID_KEY = 40  # way, TEID, source, destination
LEARNED, EVENT_NO_SESSION, EVENT_LEARNED = 2, 1, 2
LEARNED_IDLE_S = 600
_DECAP_V4, _DECAP_V6 = 1 << 7, 1 << 8
_ECHO_REQUEST, _G_PDU = 1, 255
MAPPED = 0xFFFF0000  # ::ffff:0:0/96, as the third word of an address
_CHUNKS = 40
_HEADERS_AT, _PLAIN_V4, _LONG_V4 = 8, 50, 58


# -- out of a tunnel ------------------------------------------------------------------------------------------------------


def decap(writer: Writer, _: Step, __: bool) -> None:
    """Parameters: destination and source of the new Ethernet header."""
    asm, six, typed, other = writer.asm, writer.asm.label("ipv6"), writer.asm.label("typed"), writer.asm.label("mixed")
    writer.require(Has.INNER, reason=Reason.GTP)
    unclamped = asm.label("unclamped")
    asm.load(1, R1, R9, SLOT[Field.INNER_PROTO])
    asm.jump_if(Jump.NE, R1, PROTO_TCP, unclamped)
    writer.call("clamp", clamp_function)
    asm.place(unclamped)
    writer.tail(layout.IP_END)
    for part in range(0, 12, 4):
        asm.load(4, R1, R7, writer.at + part)
        asm.store(4, R9, layout.TEMP + part, R1)
    asm.load(4, R2, R9, layout.INNER)
    asm.sub(R2, layout.L3)
    asm.mov(R1, R8)
    asm.and_(R1, int(Has.V6 | Has.INNER_V6))
    asm.store(2, R9, layout.TEMP + 12, big(0x0800))
    asm.jump_if(Jump.EQ, R1, int(Has.V6), other)
    asm.jump_if(Jump.NE, R1, 0, six)
    shrink(writer)
    asm.jump(typed)
    asm.place(other)
    shrink(writer, _DECAP_V4)
    asm.jump(typed)
    asm.place(six)
    asm.store(2, R9, layout.TEMP + 12, big(0x86DD))
    shrink(writer, _DECAP_V6)
    asm.place(typed)
    writer.untag()
    writer.store_bytes(0, layout.TEMP, 14)


def clamp_function(writer: Writer, label: Label) -> None:
    """`clamp(frame, scratch)`: a SYN inside that offers longer segments than the way back, into a tunnel, has room for."""
    asm, out = writer.asm, writer.asm.label("out")
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    writer.unless(Has.INNER_PORTS, out)
    asm.load(1, R1, R9, SLOT[Field.INNER_PROTO])
    asm.jump_if(Jump.NE, R1, PROTO_TCP, out)
    asm.load(4, R7, R9, layout.INNER_L4)
    asm.load(4, R1, R9, layout.CAP)
    asm.jump_if(Jump.GT, R7, layout.WINDOW, out)
    asm.mov(R2, R7)
    asm.add(R2, 24)
    asm.jump_if(Jump.GT, R2, R1, out)
    asm.mov(R3, R9)
    asm.add(R3, R7)
    asm.load(1, R1, R3, BUFFER + 13)
    asm.and_(R1, 2)
    asm.jump_if(Jump.EQ, R1, 0, out)
    asm.load(2, R1, R3, BUFFER + 20)
    asm.jump_if(Jump.NE, R1, big(0x0204), out)
    asm.load(2, R1, R3, BUFFER + 22)
    asm.to_big(R1, 16)
    _most_segment(writer)
    asm.jump_if(Jump.LE, R1, R2, out)
    _lowered(writer)
    asm.place(out)
    asm.mov(R0, 0)
    asm.exit()


def _most_segment(writer: Writer) -> None:
    """r2 = the longest segment that fits: less by the headers of both IP packets, of UDP, GTP-U with a container, and TCP."""
    asm = writer.asm
    asm.mov(R2, writer.mtu - 20 - 8 - 16 - 20 - 20)
    for has in (Has.V4, Has.INNER_V4):
        four = asm.label("four")
        asm.jump_if(Jump.SET, R8, int(has), four)
        asm.sub(R2, 20)
        asm.place(four)


def _lowered(writer: Writer) -> None:
    """The option at the TCP header r7 becomes r2 instead of r1, with its checksum."""
    asm = writer.asm
    asm.to_big(R1, 16)
    asm.to_big(R2, 16)
    asm.store(8, FP, -8, R1)
    asm.store(8, FP, -16, R2)
    asm.mov(R1, R6)
    asm.mov(R2, R7)
    asm.add(R2, 22)
    asm.mov(R3, FP)
    asm.add(R3, -16)
    asm.mov(R4, 2)
    asm.mov(R5, 0)
    asm.call(Helper.STORE_BYTES)
    asm.mov(R1, R6)
    asm.mov(R2, R7)
    asm.add(R2, 16)
    asm.load(8, R3, FP, -8)
    asm.load(8, R4, FP, -16)
    asm.mov(R5, 2)
    asm.call(Helper.L4_CSUM_REPLACE)


# -- into a tunnel --------------------------------------------------------------------------------------------------------


def encap(writer: Writer, step: Step, _: bool) -> None:
    """`static`: 0 the session's tunnel up, 1 down, 2 the tunnel in the parameters."""
    asm, six, made = writer.asm, writer.asm.label("outer_ipv6"), writer.asm.label("made")
    long = asm.label("with_container")
    writer.require(Has.IP, reason=Reason.NO_SESSION)
    if step.static == 2:
        writer.parameter(R0, writer.at)
    else:
        _session_tunnel(writer, step.static)
    asm.store(8, FP, -16, R0)
    writer.tail(layout.IP_END)
    writer.untag()
    asm.load(8, R1, FP, -16)
    asm.load(2, R2, R1, _HEADERS_AT + 12)
    asm.jump_if(Jump.EQ, R2, big(0x86DD), six)
    asm.load(4, R2, R1, 0)
    asm.jump_if(Jump.NE, R2, _PLAIN_V4, long)
    _prepend_v4(writer, _PLAIN_V4)
    asm.jump(made)
    asm.place(long)
    asm.jump_if(Jump.NE, R2, _LONG_V4, writer.drop)
    _prepend_v4(writer, _LONG_V4)
    asm.jump(made)
    asm.place(six)
    asm.mov(R0, R1)
    _template(writer)
    asm.load(4, R4, R9, layout.IP_END)
    asm.sub(R4, layout.L3)
    _inner_dscp(writer)
    _outer_v6(writer)
    _prepend(writer)
    writer.call("udp_checksum", udp_checksum_function)
    writer.checked()
    asm.place(made)
    writer.fresh = False


def _session_tunnel(writer: Writer, down: int) -> None:
    """r0 = the tunnel of the packet's UE; without one the frame ends, and that is told."""
    asm, found, unknown = writer.asm, writer.asm.label("session"), writer.asm.label("no_session")
    fresh_session = asm.label("fresh_session")
    ue_key(writer, outer=True, source=not down)
    writer.lookup("sessions", KEY)
    asm.jump_if(Jump.EQ, R0, 0, unknown)
    asm.load(4, R1, R0, VALID + 4 * down)
    asm.jump_if(Jump.EQ, R1, 0, unknown)
    asm.load(4, R1, R0, IDLE)
    asm.jump_if(Jump.EQ, R1, 0, found)
    asm.store(8, FP, -16, R0)
    asm.call(Helper.KTIME_COARSE)
    asm.load(8, R1, FP, -16)
    asm.load(8, R2, R1, SEEN)
    asm.mov(R3, R0)
    asm.sub(R3, R2)
    asm.load(4, R4, R1, IDLE)
    asm.alu(Alu.MUL, R4, 1_000_000_000)
    asm.jump_if(Jump.SLE, R3, R4, fresh_session)
    asm.place(unknown)
    event(writer, EVENT_NO_SESSION, KEY)
    asm.jump(writer.dropped(Reason.NO_SESSION))
    asm.place(fresh_session)
    if not writer.probe:
        asm.store(8, R1, SEEN, R0)
    asm.mov(R0, R1)
    asm.place(found)
    asm.add(R0, TUNNELS + TUNNEL_SIZE * down)


def ue_key(writer: Writer, *, outer: bool, source: bool) -> None:
    """An address of the packet, as IPv6, to KEY."""
    base, v4 = (None, Has.V4) if outer else (layout.INNER, Has.INNER_V4)
    address_key(writer, KEY, base, v4, (12, 8) if source else (16, 24))


def address_key(writer: Writer, to: int, base: int | None, v4: Has, at: tuple[int, int]) -> None:
    """An address of a packet, of IPv4 at `at[0]` and of IPv6 at `at[1]`, as IPv6 to a place of the scratch."""
    asm, six, done = writer.asm, writer.asm.label("key_ipv6"), writer.asm.label("key")
    if base is None:
        writer.scratch(R3, BUFFER + layout.L3)
    else:
        asm.load(4, R2, R9, base)
        asm.and_(R2, 511)
        writer.scratch(R3, BUFFER)
        asm.add(R3, R2)
    writer.unless(v4, six)
    asm.store(8, R9, to, 0)
    asm.store(4, R9, to + 8, MAPPED)
    asm.load(4, R1, R3, at[0])
    asm.store(4, R9, to + 12, R1)
    asm.jump(done)
    asm.place(six)
    for part in range(0, 16, 4):
        asm.load(4, R1, R3, at[1] + part)
        asm.store(4, R9, to + part, R1)
    asm.place(done)


def _template(writer: Writer) -> None:
    """The headers of the tunnel at r0 to HEADERS, their length to NEW_LEN."""
    asm = writer.asm
    asm.load(4, R1, R0, 0)
    asm.store(4, R9, layout.NEW_LEN, R1)
    for part in range(0, TUNNEL_SIZE - 8, 8):
        asm.load(8, R1, R0, 8 + part)
        asm.store(8, R9, HEADERS + part, R1)


def _inner_dscp(writer: Writer) -> None:
    """r3 = the DSCP of the packet."""
    asm, six, done = writer.asm, writer.asm.label("dscp_ipv6"), writer.asm.label("dscp")
    writer.unless(Has.V4, six)
    asm.load(1, R3, R9, BUFFER + 15)
    asm.rsh(R3, 2)
    asm.jump(done)
    asm.place(six)
    asm.load(2, R3, R9, BUFFER + 14)
    asm.to_big(R3, 16)
    asm.rsh(R3, 6)
    asm.and_(R3, 63)
    asm.place(done)


def _length(writer: Writer, at: int, without: int) -> None:
    """A length field: what follows `without` bytes of the headers. r4 is the length of the packet."""
    asm = writer.asm
    asm.load(4, R5, R9, layout.NEW_LEN)
    asm.add(R5, R4)
    asm.sub(R5, without)
    asm.to_big(R5, 16)
    asm.store(2, R9, HEADERS + at, R5)


def _prepend_v4(writer: Writer, size: int) -> None:
    """Headers of `size` bytes of the tunnel whose address is on the stack, with their lengths and checksum, right into the
    frame."""
    asm = writer.asm
    asm.mov(R2, size - 14)
    resize(writer)
    _inner_dscp(writer)
    asm.lsh(R3, 2)
    asm.mov(R4, R3)
    writer.opened(size)
    asm.load(8, R1, FP, -16)
    for part in range(0, size - 2, 8):
        asm.load(8, R3, R1, _HEADERS_AT + part)
        asm.store(8, R2, part, R3)
    asm.load(2, R3, R1, _HEADERS_AT + size - 2)
    asm.store(2, R2, size - 2, R3)
    asm.store(1, R2, 15, R4)
    asm.lsh(R4, 8)
    asm.load(4, R0, R1, 4)
    asm.add(R0, R4)
    asm.load(4, R4, R9, layout.IP_END)
    asm.sub(R4, layout.L3)
    for at, more in ((38, size - 34), (44, size - 50), (16, size - 14)):
        asm.mov(R3, R4)
        asm.add(R3, more)
        asm.to_big(R3, 16)
        asm.store(2, R2, at, R3)
    asm.add(R0, R3)
    writer.checksum_folded()
    asm.store(2, R2, 24, R0)
    writer.fresh = False


def _outer_v6(writer: Writer) -> None:
    asm = writer.asm
    asm.lsh(R3, 6)
    asm.or_(R3, 0x6000)
    asm.to_big(R3, 16)
    asm.store(2, R9, HEADERS + 14, R3)
    _length(writer, 18, 54)
    _length(writer, 58, 54)
    _length(writer, 64, 70)


def _prepend(writer: Writer) -> None:
    """HEADERS instead of the Ethernet header."""
    asm = writer.asm
    asm.load(4, R2, R9, layout.NEW_LEN)
    asm.sub(R2, 14)
    resize(writer)
    asm.load(4, R4, R9, layout.NEW_LEN)
    asm.jump_if(Jump.GT, R4, TUNNEL_SIZE - 8, writer.drop)
    asm.jump_if(Jump.LT, R4, 14, writer.drop)
    asm.mov(R2, 0)
    writer.scratch(R3, HEADERS)
    writer.stored()


def udp_checksum_function(writer: Writer, label: Label) -> None:
    """`r0 = udp_checksum(frame, scratch)`: of UDP over IPv6 right after Ethernet, summed up in pieces of the window."""
    asm = writer.asm
    again, out, last, done = (asm.label(name) for name in ("again", "out", "last", "done"))
    writer.frame_start(label)
    asm.load(4, R1, R6, Skb.LEN)
    asm.sub(R1, 54)
    asm.to_big(R1, 16)
    asm.add(R1, big(17))
    asm.store(8, FP, -8, R1)
    asm.mov(R8, 22)
    asm.mov(R7, 0)
    asm.place(again)
    asm.load(4, R4, R6, Skb.LEN)
    asm.sub(R4, R8)
    asm.jump_if(Jump.SLE, R4, 0, done)
    asm.jump_if(Jump.LT, R4, layout.WINDOW, last)
    asm.mov(R4, layout.WINDOW)
    asm.place(last)
    for part in range(0, layout.WINDOW, 8):
        asm.store(8, R9, BUFFER + part, 0)
    asm.mov(R1, R6)
    asm.mov(R2, R8)
    writer.scratch(R3, BUFFER)
    asm.call(Helper.LOAD_BYTES)
    asm.jump_if(Jump.NE, R0, 0, out)
    asm.mov(R1, 0)
    asm.mov(R2, 0)
    writer.scratch(R3, BUFFER)
    asm.mov(R4, layout.WINDOW)
    asm.load(8, R5, FP, -8)
    asm.call(Helper.CSUM_DIFF)
    asm.and_(R0, -1, width=4)
    asm.store(8, FP, -8, R0)
    asm.add(R8, layout.WINDOW)
    asm.add(R7, 1)
    asm.jump_if(Jump.LT, R7, _CHUNKS, again)
    asm.mov(R0, 1)
    asm.exit()
    asm.place(done)
    asm.load(8, R0, FP, -8)
    writer.checksum_folded()
    _stored_checksum(writer)
    asm.place(out)
    asm.exit()


def _stored_checksum(writer: Writer) -> None:
    asm, right = writer.asm, writer.asm.label("not_zero")
    asm.jump_if(Jump.NE, R0, 0, right)
    asm.mov(R0, 0xFFFF)
    asm.place(right)
    asm.store(2, R9, layout.TEMP, R0)
    asm.mov(R1, R6)
    asm.mov(R2, 60)
    writer.scratch(R3, layout.TEMP)
    asm.mov(R4, 2)
    asm.mov(R5, 0)
    asm.call(Helper.STORE_BYTES)


def gtp_header(writer: Writer, register: Reg) -> None:
    """A register = the address of the GTP-U header in the window."""
    asm = writer.asm
    asm.load(4, register, R9, layout.GTP)
    asm.and_(register, 511)
    asm.add(register, R9)
    asm.add(register, BUFFER)


# -- answering ------------------------------------------------------------------------------------------------------------


def reply(writer: Writer, step: Step, _: bool) -> None:
    """`static`: 0 Echo Response, 1 Error Indication."""
    asm, six = writer.asm, writer.asm.label("reply_ipv6")
    writer.require(Has.GTP)
    gtp_header(writer, R2)
    asm.load(1, R1, R2, 1)
    asm.jump_if(Jump.NE, R1, _G_PDU if step.static else _ECHO_REQUEST, writer.drop)
    for part in range(0, TUNNEL_SIZE, 8):
        asm.store(8, R9, HEADERS + part, 0)
    for part in (0, 2, 4):
        asm.load(2, R1, R9, BUFFER + 6 + part)
        asm.store(2, R9, HEADERS + part, R1)
        asm.load(2, R1, R9, BUFFER + part)
        asm.store(2, R9, HEADERS + 6 + part, R1)
    writer.unless(Has.V4, six)
    _reply_v4(writer, step.static)
    asm.jump(writer.drop)
    asm.place(six)
    _reply_v6(writer, step.static)
    asm.jump(writer.drop)


def _swapped(writer: Writer, first: int, size: int) -> None:
    """The addresses of the window at `first`, the other way round."""
    asm = writer.asm
    for part in range(0, size, 2):
        asm.load(2, R1, R9, BUFFER + first + part)
        asm.store(2, R9, HEADERS + first + size + part, R1)
        asm.load(2, R1, R9, BUFFER + first + size + part)
        asm.store(2, R9, HEADERS + first + part, R1)


def _reply_v4(writer: Writer, error: int) -> None:
    asm, gtp = writer.asm, 42
    size = 24 if error else 14
    asm.store(2, R9, HEADERS + 12, big(0x0800))
    for at, value in ((14, 0x45), (20, 0x40), (22, 64), (23, 17)):
        asm.store(1, R9, HEADERS + at, value)
    asm.store(2, R9, HEADERS + 16, big(28 + size))
    _swapped(writer, 26, 4)
    asm.mov(R0, 0)
    for part in range(14, 34, 2):
        asm.load(2, R1, R9, HEADERS + part)
        asm.add(R0, R1)
    writer.checksum_folded()
    asm.store(2, R9, HEADERS + 24, R0)
    _reply_udp(writer, 34, size)
    _reply_gtp(writer, gtp, error, 4, 30)
    _answer(writer, gtp + size)


def _reply_v6(writer: Writer, error: int) -> None:
    asm, gtp = writer.asm, 62
    size = 36 if error else 14
    asm.store(2, R9, HEADERS + 12, big(0x86DD))
    for at, value in ((14, 0x60), (20, 17), (21, 64)):
        asm.store(1, R9, HEADERS + at, value)
    asm.store(2, R9, HEADERS + 18, big(8 + size))
    _swapped(writer, 22, 16)
    _reply_udp(writer, 54, size)
    _reply_gtp(writer, gtp, error, 16, 38)
    _answer(writer, gtp + size, checksum=True)


def _reply_udp(writer: Writer, at: int, size: int) -> None:
    for part, value in ((0, 2152), (2, 2152), (4, 8 + size)):
        writer.asm.store(2, R9, HEADERS + at + part, big(value))


def _reply_gtp(writer: Writer, at: int, error: int, octets: int, own: int) -> None:
    """The message; `own` is where our address is in the window."""
    asm, plain = writer.asm, writer.asm.label("no_sequence")
    asm.store(1, R9, HEADERS + at, 0x32)
    asm.store(1, R9, HEADERS + at + 1, 26 if error else 2)
    asm.store(2, R9, HEADERS + at + 2, big(12 + octets if error else 6))
    gtp_header(writer, R2)
    if not error:
        asm.store(1, R9, HEADERS + at + 12, 0x0E)
        asm.load(1, R1, R2, 0)
        asm.and_(R1, 2)
        asm.jump_if(Jump.EQ, R1, 0, plain)
        asm.load(4, R1, R9, layout.GTP)
        asm.load(4, R3, R9, layout.CAP)
        asm.add(R1, 12)
        asm.jump_if(Jump.GT, R1, R3, plain)
        asm.load(2, R1, R2, 8)
        asm.store(2, R9, HEADERS + at + 8, R1)
        asm.place(plain)
        return
    asm.store(1, R9, HEADERS + at + 12, 0x10)
    for part in range(4):
        asm.load(1, R1, R2, 4 + part)
        asm.store(1, R9, HEADERS + at + 13 + part, R1)
    asm.store(1, R9, HEADERS + at + 17, 0x85)
    asm.store(1, R9, HEADERS + at + 19, octets)
    for part in range(octets):
        asm.load(1, R1, R9, BUFFER + own + part)
        asm.store(1, R9, HEADERS + at + 20 + part, R1)


def _answer(writer: Writer, size: int, *, checksum: bool = False) -> None:
    """The frame becomes HEADERS and leaves where it came in."""
    writer.asm.store(4, R9, layout.NEW_LEN, size)
    writer.tail(layout.NEW_LEN)
    writer.store_bytes(0, HEADERS, size)
    if checksum:
        writer.call("udp_checksum", udp_checksum_function)
        writer.checked()
    writer.back()
