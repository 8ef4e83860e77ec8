"""The code of learning tunnels from user data, and of forgetting them at an End Marker or when a TEID is given anew."""

from __future__ import annotations

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting_gtp import (
    EVENT_LEARNED,
    IDLE,
    LEARNED,
    LEARNED_IDLE_S,
    MAPPED,
    ORIGIN,
    SEEN,
    SESSION_SIZE,
    TUNNELS,
    VALID,
    address_key,
    gtp_header,
    ue_key,
)
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R9, Jump, Label
from skerry.dataplane.ebpf.layout import BUFFER, HEADERS, KEY, SAVED, SLOT, Has, Helper, big
from skerry.dataplane.ebpf.shapes import TUNNEL_SIZE, Step
from skerry.dataplane.ebpf.writing import Writer, event
from skerry.dataplane.flows import Field

_END_MARKER = 254


def learn(writer: Writer, step: Step, _: bool) -> None:
    """`static`: 0 up, 1 down."""
    if writer.probe:
        return
    asm, ended = writer.asm, writer.asm.label("no_end")
    writer.read()
    writer.unless(Has.GTP, writer.skip)
    _teid_key(writer, step.static)
    gtp_header(writer, R2)
    asm.load(1, R1, R2, 1)
    asm.jump_if(Jump.NE, R1, _END_MARKER, ended)
    _end_of_tunnel(writer, step.static)
    asm.jump(writer.skip)
    asm.place(ended)
    writer.unless(Has.INNER, writer.skip)
    known, changed = asm.label("known"), asm.label("changed")
    ue_key(writer, outer=False, source=step.static == 0)
    _headers(writer, step.static)
    writer.lookup("sessions", KEY)
    asm.jump_if(Jump.NE, R0, 0, known)
    for part in range(0, SESSION_SIZE, 8):
        asm.store(8, R9, SAVED + part, 0)
    asm.store(4, R9, SAVED + ORIGIN, LEARNED)
    asm.store(4, R9, SAVED + IDLE, LEARNED_IDLE_S)
    asm.jump(changed)
    asm.place(known)
    _known_session(writer, step.static, changed)
    asm.place(changed)
    _new_session(writer, step.static)


def _teid_key(writer: Writer, way: int) -> None:
    """Way, TEID and outer addresses of the frame behind KEY."""
    asm = writer.asm
    gtp_header(writer, R2)
    asm.store(4, R9, KEY + 16, way)
    asm.load(4, R1, R2, 4)
    asm.store(4, R9, KEY + 20, R1)
    address_key(writer, KEY + 24, None, Has.V4, (12, 8))
    address_key(writer, KEY + 40, None, Has.V4, (16, 24))


def _end_of_tunnel(writer: Writer, way: int) -> None:
    """Forget a learned tunnel whose TEID and addresses these are, if it is still its UE's."""
    asm = writer.asm
    writer.lookup("teids", KEY + 16)
    asm.jump_if(Jump.EQ, R0, 0, writer.skip)
    for part in (0, 8):
        asm.load(8, R1, R0, part)
        asm.store(8, R9, KEY + part, R1)
    asm.map(R1, "teids")
    writer.scratch(R2, KEY + 16)
    asm.call(Helper.MAP_DELETE)
    writer.lookup("sessions", KEY)
    asm.jump_if(Jump.EQ, R0, 0, writer.skip)
    asm.load(4, R1, R0, ORIGIN)
    asm.jump_if(Jump.NE, R1, LEARNED, writer.skip)
    asm.store(4, R0, VALID + 4 * way, 0)
    event(writer, EVENT_LEARNED, KEY)


def _known_session(writer: Writer, way: int, changed: Label) -> None:
    """The session at r0 is a newer one only if its tunnel differs: then a copy of it goes to SAVED."""
    asm, differs = writer.asm, writer.asm.label("differs")
    at = TUNNELS + TUNNEL_SIZE * way
    asm.load(4, R1, R0, ORIGIN)
    asm.jump_if(Jump.NE, R1, LEARNED, writer.skip)
    asm.store(8, FP, -16, R0)
    asm.load(4, R1, R0, VALID + 4 * way)
    asm.jump_if(Jump.EQ, R1, 0, differs)
    for part in range(8, TUNNEL_SIZE, 8):
        asm.load(8, R1, R0, at + part)
        asm.load(8, R2, R9, HEADERS - 8 + part)
        asm.jump_if(Jump.NE, R1, R2, differs)
    asm.call(Helper.KTIME_COARSE)
    asm.load(8, R1, FP, -16)
    asm.store(8, R1, SEEN, R0)
    asm.jump(writer.skip)
    asm.place(differs)
    _forget_teid(writer, way, at)
    asm.load(8, R0, FP, -16)
    for part in range(0, SESSION_SIZE, 8):
        asm.load(8, R1, R0, part)
        asm.store(8, R9, SAVED + part, R1)
    asm.jump(changed)


def _forget_teid(writer: Writer, way: int, at: int) -> None:
    """The tunnel that is replaced shall no longer be found by its TEID: another UE may get that."""
    asm, six, done = writer.asm, writer.asm.label("old_ipv6"), writer.asm.label("old")
    to = KEY + 64
    asm.load(8, R0, FP, -16)
    asm.store(4, R9, to, way)
    asm.load(2, R1, R0, at + 8 + 12)
    asm.jump_if(Jump.EQ, R1, big(0x86DD), six)
    asm.load(4, R1, R0, at + 8 + 46)
    asm.store(4, R9, to + 4, R1)
    for address, place in ((8, 26), (24, 30)):
        asm.store(8, R9, to + address, 0)
        asm.store(4, R9, to + address + 8, MAPPED)
        asm.load(4, R1, R0, at + 8 + place)
        asm.store(4, R9, to + address + 12, R1)
    asm.jump(done)
    asm.place(six)
    asm.load(4, R1, R0, at + 8 + 66)
    asm.store(4, R9, to + 4, R1)
    for part in range(0, 32, 4):
        asm.load(4, R1, R0, at + 8 + 22 + part)
        asm.store(4, R9, to + 8 + part, R1)
    asm.place(done)
    asm.map(R1, "teids")
    writer.scratch(R2, to)
    asm.call(Helper.MAP_DELETE)


def _new_session(writer: Writer, way: int) -> None:
    """Put the session in SAVED with the tunnel in HEADERS."""
    asm = writer.asm
    at = SAVED + TUNNELS + TUNNEL_SIZE * way
    _taken_over(writer, way)
    asm.call(Helper.KTIME_COARSE)
    asm.store(8, R9, SAVED + SEEN, R0)
    asm.store(4, R9, SAVED + VALID + 4 * way, 1)
    asm.load(4, R1, R9, layout.NEW_LEN)
    asm.store(4, R9, at, R1)
    asm.load(4, R1, R9, layout.TEMP)
    asm.store(4, R9, at + 4, R1)
    for part in range(8, TUNNEL_SIZE, 8):
        asm.load(8, R1, R9, HEADERS - 8 + part)
        asm.store(8, R9, at + part, R1)
    writer.update("sessions", KEY, SAVED)
    writer.update("teids", KEY + 16, KEY)
    event(writer, EVENT_LEARNED, KEY)


def _taken_over(writer: Writer, way: int) -> None:
    """A TEID that was given to another UE leads no longer to the one before. A UE has one IPv4 address, but may have many of
    IPv6, and both at once: only what was IPv4 and is IPv4 tells."""
    asm, other = writer.asm, writer.asm.label("not_taken_over")
    before = KEY + 64
    writer.lookup("teids", KEY + 16)
    asm.jump_if(Jump.EQ, R0, 0, other)
    for part in (0, 8):
        asm.load(8, R1, R0, part)
        asm.store(8, R9, before + part, R1)
    for key in (KEY, before):
        asm.load(4, R1, R9, key + 8)
        asm.jump_if(Jump.NE, R1, MAPPED, other, width=4)
    asm.load(4, R1, R9, KEY + 12)
    asm.load(4, R2, R9, before + 12)
    asm.jump_if(Jump.EQ, R1, R2, other)
    writer.lookup("sessions", before)
    asm.jump_if(Jump.EQ, R0, 0, other)
    asm.load(4, R1, R0, ORIGIN)
    asm.jump_if(Jump.NE, R1, LEARNED, other)
    asm.store(4, R0, VALID + 4 * way, 0)
    asm.place(other)


def _headers(writer: Writer, way: int) -> None:
    """The tunnel of the frame as it would be put before a packet: to HEADERS; length to NEW_LEN, sum to TEMP."""
    asm, six, done = writer.asm, writer.asm.label("template_ipv6"), writer.asm.label("template")
    for part in range(0, TUNNEL_SIZE - 8, 8):
        asm.store(8, R9, HEADERS + part, 0)
    asm.store(4, R9, layout.TEMP, 0)
    for part in range(0, 12, 4):
        asm.load(4, R1, R9, BUFFER + part)
        asm.store(4, R9, HEADERS + part, R1)
    writer.unless(Has.V4, six)
    _headers_v4(writer)
    _gtp_template(writer, way, 34)
    asm.jump(done)
    asm.place(six)
    _headers_v6(writer)
    _gtp_template(writer, way, 54)
    asm.place(done)


def _headers_v4(writer: Writer) -> None:
    asm = writer.asm
    asm.store(2, R9, HEADERS + 12, big(0x0800))
    for at, value in ((14, 0x45), (20, 0x40), (22, 64), (23, 17)):
        asm.store(1, R9, HEADERS + at, value)
    for part in (0, 2, 4, 6):
        asm.load(2, R1, R9, BUFFER + 26 + part)
        asm.store(2, R9, HEADERS + 26 + part, R1)
    asm.mov(R0, 0)
    for part in range(14, 34, 2):
        asm.load(2, R1, R9, HEADERS + part)
        asm.add(R0, R1)
    asm.store(4, R9, layout.TEMP, R0)


def _headers_v6(writer: Writer) -> None:
    asm = writer.asm
    asm.store(2, R9, HEADERS + 12, big(0x86DD))
    for at, value in ((14, 0x60), (20, 17), (21, 64)):
        asm.store(1, R9, HEADERS + at, value)
    for part in range(0, 32, 2):
        asm.load(2, R1, R9, BUFFER + 22 + part)
        asm.store(2, R9, HEADERS + 22 + part, R1)


def _gtp_template(writer: Writer, way: int, udp: int) -> None:
    """UDP and GTP-U at a place of the headers."""
    asm, plain = writer.asm, writer.asm.label("no_qfi")
    gtp = udp + 8
    asm.store(2, R9, HEADERS + udp, big(2152))
    asm.store(2, R9, HEADERS + udp + 2, big(2152))
    asm.store(1, R9, HEADERS + gtp, 0x30)
    asm.store(1, R9, HEADERS + gtp + 1, 255)
    gtp_header(writer, R2)
    for part in (4, 6):
        asm.load(2, R1, R2, part)
        asm.store(2, R9, HEADERS + gtp + part, R1)
    asm.store(4, R9, layout.NEW_LEN, gtp + 8)
    writer.unless(Has.QFI, plain)
    asm.store(1, R9, HEADERS + gtp, 0x34)
    asm.store(1, R9, HEADERS + gtp + 11, 0x85)
    asm.store(1, R9, HEADERS + gtp + 12, 1)
    asm.store(1, R9, HEADERS + gtp + 13, 0 if way else 16)
    asm.load(1, R1, R9, SLOT[Field.GTP_QFI])
    asm.store(1, R9, HEADERS + gtp + 14, R1)
    asm.store(4, R9, layout.NEW_LEN, gtp + 16)
    asm.place(plain)
