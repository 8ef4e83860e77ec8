"""The code of actions on Ethernet, VLAN, IP, ports and NSH; of copying."""

from __future__ import annotations

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Jump, Label
from skerry.dataplane.ebpf.layout import BUFFER, SAVED, SLOT, Has, Helper, Skb, big
from skerry.dataplane.ebpf.shapes import Step
from skerry.dataplane.ebpf.writing import Writer, fix_v4_function
from skerry.dataplane.flows import PROTO_SCTP, PROTO_TCP, PROTO_UDP, Field, Reason

_MAC_ROOM = 1
_FIXED_GSO = 1
_PSEUDO, _MAY_BE_ZERO = 0x10, 0x20
_REGISTERS = (Field.REG0, Field.REG1, Field.REG2, Field.REG3)
_NSH_AT = {Field.NSH_SI: (21, 1), Field.NSH_SPI: (18, 3)} | {Field(Field.NSH_C1 + i): (22 + 4 * i, 4) for i in range(4)}
_ADDRESS_AT = {
    Field.IPV4_SRC: (26, 4),
    Field.IPV4_DST: (30, 4),
    Field.IPV6_SRC: (22, 16),
    Field.IPV6_DST: (38, 16),
}
NSH_HEADERS = 38
_MOST_TAGS = 4


def goto(writer: Writer, step: Step, _: bool) -> None:
    """The next table reads what the frame is then."""
    if writer.needs.any:
        writer.read()
    writer.asm.jump(writer.tables.get(step.static) or writer.dropped(Reason.NO_MATCH))


def shrink(writer: Writer, flags: int = 0) -> None:
    """Take r2 bytes out behind the Ethernet addresses and type."""
    writer.asm.neg(R2)
    resize(writer, flags)


def resize(writer: Writer, flags: int = 0) -> None:
    """Put r2 bytes in behind the Ethernet addresses and type of an IP packet, or take them out."""
    asm = writer.asm
    asm.mov(R1, R6)
    asm.mov(R3, _MAC_ROOM)
    asm.mov(R4, _FIXED_GSO | flags)
    asm.call(Helper.ADJUST_ROOM)
    writer.checked()
    writer.fresh = False


# -- VLAN -----------------------------------------------------------------------------------------------------------------


def _tagged_or(writer: Writer) -> None:
    """What follows is for frames with an 802.1Q tag; others stay as they are."""
    asm = writer.asm
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.EQ, R1, 0, writer.skip)
    asm.load(4, R1, R6, Skb.VLAN_PROTO)
    asm.jump_if(Jump.NE, R1, big(0x8100), writer.skip)


def _push(writer: Writer) -> None:
    """A tag of TCI r3."""
    asm = writer.asm
    asm.mov(R1, R6)
    asm.mov(R2, big(0x8100))
    asm.call(Helper.VLAN_PUSH)
    writer.checked()
    writer.fresh = False


def push_vlan(writer: Writer, _: Step, __: bool) -> None:
    """Parameter: id."""
    writer.asm.load(4, R3, R7, writer.at)
    _push(writer)


def pop_vlan(writer: Writer, _: Step, __: bool) -> None:
    """Frames without a tag stay as they are."""
    _tagged_or(writer)
    writer.asm.mov(R1, R6)
    writer.asm.call(Helper.VLAN_POP)
    writer.checked()
    writer.fresh = False


# -- fields ---------------------------------------------------------------------------------------------------------------


def set_field(writer: Writer, step: Step, _: bool) -> None:
    """Parameter: the value as in a slot."""
    field = Field(step.static)
    if field in _REGISTERS:
        writer.asm.load(4, R1, R7, writer.at)
        writer.asm.store(4, R9, SLOT[field], R1)
    elif field in (Field.ETH_DST, Field.ETH_SRC):
        _store_parameter(writer, 0 if field is Field.ETH_DST else 6, 6)
    elif field is Field.VLAN_VID:
        _set_vid(writer)
    elif field in _NSH_AT:
        writer.read()
        writer.unless(layout.NEEDED[field], writer.skip)
        _store_parameter(writer, *_NSH_AT[field])
    elif field is Field.GTP_TEID:
        _set_teid(writer)
    elif field is Field.IP_DSCP:
        _set_dscp(writer)
    elif field in _ADDRESS_AT:
        _set_address(writer, field)
    else:
        _set_port(writer, field)


def _store_parameter(writer: Writer, at: int, size: int) -> None:
    asm = writer.asm
    asm.mov(R2, at)
    writer.parameter(R3, writer.at)
    asm.mov(R4, size)
    writer.stored()


def _set_vid(writer: Writer) -> None:
    asm = writer.asm
    _tagged_or(writer)
    asm.load(4, R1, R6, Skb.VLAN_TCI)
    asm.and_(R1, 0xF000)
    asm.load(2, R2, R7, writer.at)
    asm.to_big(R2, 16)
    asm.or_(R1, R2)
    asm.store(4, R9, layout.TEMP, R1)
    asm.mov(R1, R6)
    asm.call(Helper.VLAN_POP)
    writer.checked()
    asm.load(4, R3, R9, layout.TEMP)
    _push(writer)


def _set_teid(writer: Writer) -> None:
    asm = writer.asm
    writer.read()
    writer.unless(Has.GTP, writer.skip)
    asm.load(4, R2, R9, layout.GTP)
    asm.and_(R2, 1023)
    asm.mov(R1, R9)
    asm.add(R1, R2)
    asm.load(4, R1, R1, BUFFER + 4)
    asm.store(4, FP, -8, R1)
    asm.add(R2, 4)
    writer.parameter(R3, writer.at)
    asm.mov(R4, 4)
    writer.stored()
    asm.load(4, R3, FP, -8)
    asm.load(4, R4, R7, writer.at)
    asm.mov(R5, 4 | _MAY_BE_ZERO)
    asm.load(4, R2, R9, layout.L4)
    asm.add(R2, 6)
    _replace_checksum(writer)


def _replace_checksum(writer: Writer) -> None:
    """A checksum at r2 for r3 that became r4; one that is not in the frame stays away."""
    writer.asm.mov(R1, R6)
    writer.asm.call(Helper.L4_CSUM_REPLACE)
    writer.fresh = False


def _set_dscp(writer: Writer) -> None:
    asm, six, done = writer.asm, writer.asm.label("ipv6"), writer.asm.label("dscp_set")
    writer.read()
    writer.unless(Has.IP, writer.skip)
    asm.load(1, R3, R7, writer.at)
    writer.unless(Has.V4, six)
    asm.load(1, R2, R9, BUFFER + 15)
    asm.and_(R2, 3)
    asm.lsh(R3, 2)
    asm.or_(R2, R3)
    asm.store(1, R9, BUFFER + 15, R2)
    fix_v4(writer)
    asm.jump(done)
    asm.place(six)
    asm.load(2, R2, R9, BUFFER + 14)
    asm.to_big(R2, 16)
    asm.and_(R2, 0xF03F)
    asm.lsh(R3, 6)
    asm.or_(R2, R3)
    asm.to_big(R2, 16)
    asm.store(2, R9, BUFFER + 14, R2)
    writer.store_bytes(14, BUFFER + 14, 2)
    asm.place(done)


def fix_v4(writer: Writer) -> None:
    """The IPv4 header of the window into the frame, with its checksum."""
    writer.call("fix_v4", fix_v4_function)
    writer.checked()
    writer.fresh = False


def _set_address(writer: Writer, field: Field) -> None:
    asm = writer.asm
    at, size = _ADDRESS_AT[field]
    writer.read()
    writer.unless(layout.NEEDED[field], writer.skip)
    writer.scratch(R1, BUFFER + at)
    asm.mov(R2, size)
    writer.parameter(R3, writer.at)
    asm.mov(R4, size)
    asm.mov(R5, 0)
    asm.call(Helper.CSUM_DIFF)
    asm.store(8, FP, -8, R0)
    for part in range(0, size, 4):
        asm.load(4, R1, R7, writer.at + part)
        asm.store(4, R9, BUFFER + at + part, R1)
    if size == 4:
        fix_v4(writer)
    else:
        writer.store_bytes(at, BUFFER + at, size)
    _address_checksum(writer)


def _address_checksum(writer: Writer) -> None:
    """The checksum of TCP or UDP for the difference at the top of the stack."""
    asm, tcp, found = writer.asm, writer.asm.label("tcp"), writer.asm.label("checksum_found")
    asm.load(4, R2, R9, layout.L4)
    asm.jump_if(Jump.EQ, R2, 0, writer.skip)
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    asm.mov(R5, _PSEUDO | _MAY_BE_ZERO)
    asm.jump_if(Jump.EQ, R1, PROTO_TCP, tcp)
    asm.jump_if(Jump.NE, R1, PROTO_UDP, writer.skip)
    asm.add(R2, 6)
    asm.jump(found)
    asm.place(tcp)
    asm.add(R2, 16)
    asm.mov(R5, _PSEUDO)
    asm.place(found)
    asm.mov(R3, 0)
    asm.load(8, R4, FP, -8)
    _replace_checksum(writer)


def _set_port(writer: Writer, field: Field) -> None:
    """SCTP's checksum covers all of a packet: such frames end, see the limits of the engine."""
    asm, tcp, found = writer.asm, writer.asm.label("tcp"), writer.asm.label("checksum_found")
    writer.read()
    writer.unless(Has.PORTS, writer.skip)
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    asm.jump_if(Jump.EQ, R1, PROTO_SCTP, writer.drop)
    asm.load(4, R2, R9, layout.L4)
    if field is Field.L4_DST:
        asm.add(R2, 2)
    asm.load(4, R1, R9, SLOT[field])
    asm.store(4, FP, -8, R1)
    _store_at_r2(writer, 2)
    asm.load(4, R2, R9, layout.L4)
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    asm.mov(R5, 2 | _MAY_BE_ZERO)
    asm.jump_if(Jump.EQ, R1, PROTO_TCP, tcp)
    asm.add(R2, 6)
    asm.jump(found)
    asm.place(tcp)
    asm.add(R2, 16)
    asm.mov(R5, 2)
    asm.place(found)
    asm.load(4, R3, FP, -8)
    asm.load(4, R4, R7, writer.at)
    _replace_checksum(writer)


def _store_at_r2(writer: Writer, size: int) -> None:
    writer.parameter(R3, writer.at)
    writer.asm.mov(R4, size)
    writer.stored()


def dec_ttl(writer: Writer, _: Step, __: bool) -> None:
    """Of IPv4 or IPv6; what has neither stays as it is."""
    asm, six, done = writer.asm, writer.asm.label("ipv6"), writer.asm.label("ttl_less")
    writer.read()
    writer.unless(Has.IP, writer.skip)
    writer.unless(Has.V4, six)
    _less(writer, 22)
    fix_v4(writer)
    asm.jump(done)
    asm.place(six)
    _less(writer, 21)
    writer.store_bytes(21, BUFFER + 21, 1)
    asm.place(done)


def _less(writer: Writer, at: int) -> None:
    asm = writer.asm
    asm.load(1, R1, R9, BUFFER + at)
    asm.jump_if(Jump.LE, R1, 1, writer.dropped(Reason.TTL))
    asm.sub(R1, 1)
    asm.store(1, R9, BUFFER + at, R1)


# -- NSH ------------------------------------------------------------------------------------------------------------------


def push_nsh(writer: Writer, _: Step, __: bool) -> None:
    """Parameters: the outer Ethernet and NSH headers. The tag that the kernel keeps beside the frame becomes part of it."""
    asm, tagged, done = writer.asm, writer.asm.label("tagged"), writer.asm.label("nsh_pushed")
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.NE, R1, 0, tagged)
    _grow(writer, NSH_HEADERS)
    _store_parameter(writer, 0, NSH_HEADERS)
    writer.store_bytes(NSH_HEADERS, layout.TEMP + 8, 14)
    asm.jump(done)
    asm.place(tagged)
    _push_nsh_tagged(writer)
    asm.place(done)


def _push_nsh_tagged(writer: Writer) -> None:
    """Another tag pushes the one beside the frame into it. To get rid of that other one, a tag is written into the new
    header, which the kernel takes out when the other one leaves; then that leaves too."""
    asm = writer.asm
    asm.mov(R3, 1)
    _push(writer)
    _grow(writer, NSH_HEADERS + 4)
    _store_parameter(writer, 0, 12)
    asm.store(4, R9, layout.TEMP, big(0x81000001, 4))
    writer.store_bytes(12, layout.TEMP, 4)
    asm.mov(R2, 16)
    writer.parameter(R3, writer.at + 12)
    asm.mov(R4, NSH_HEADERS - 12)
    writer.stored()
    writer.store_bytes(NSH_HEADERS + 4, layout.TEMP + 8, 14)
    for _ in range(2):
        asm.mov(R1, R6)
        asm.call(Helper.VLAN_POP)
        writer.checked()


def _grow(writer: Writer, size: int) -> None:
    """Room for a header before the frame; its Ethernet header goes to TEMP + 8 and has to be written anew. What the kernel
    takes for an IP packet grows behind its Ethernet header, so that the kernel still knows where its IP header is."""
    asm, grown = writer.asm, writer.asm.label("grown")
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    writer.scratch(R3, layout.TEMP + 8)
    asm.mov(R4, 14)
    asm.call(Helper.LOAD_BYTES)
    writer.checked()
    asm.mov(R1, R6)
    asm.mov(R2, size)
    asm.mov(R3, _MAC_ROOM)
    asm.mov(R4, _FIXED_GSO)
    asm.call(Helper.ADJUST_ROOM)
    asm.jump_if(Jump.EQ, R0, 0, grown)
    asm.mov(R1, R6)
    asm.mov(R2, size)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_HEAD)
    writer.checked()
    asm.place(grown)
    writer.fresh = False


def pop_nsh(writer: Writer, _: Step, __: bool) -> None:
    """The frame inside, its tag beside it."""
    asm = writer.asm
    writer.require(Has.NSH, reason=Reason.NSH)
    asm.load(4, R1, R9, layout.NSH_NEXT)
    asm.jump_if(Jump.NE, R1, 3, writer.dropped(Reason.NSH))
    asm.load(4, R1, R9, layout.NSH_LEN)
    asm.and_(R1, 255)
    asm.add(R1, layout.L3)
    _inner_ethernet(writer)
    writer.untag()
    take_for_ip(writer)
    asm.load(4, R2, R9, layout.NEW_LEN)
    shrink(writer)
    writer.store_bytes(0, layout.TEMP, 14)
    untagged = asm.label("inside_untagged")
    asm.load(4, R3, R9, layout.TEMP + 24)
    asm.jump_if(Jump.EQ, R3, 0, untagged)
    asm.and_(R3, 0xFFFF)
    _push(writer)
    asm.place(untagged)


def take_for_ip(writer: Writer) -> None:
    """Let the kernel take the frame for an IP packet, since it takes bytes out of those only. What it takes a frame for is
    set anew when a tag leaves the frame: so two tags are put on and taken off again after the type was overwritten."""
    asm = writer.asm
    asm.store(2, R9, layout.TEMP + 20, big(0x0800))
    writer.store_bytes(12, layout.TEMP + 20, 2)
    for _ in range(2):
        asm.mov(R3, 1)
        _push(writer)
    for _ in range(2):
        asm.mov(R1, R6)
        asm.call(Helper.VLAN_POP)
        writer.checked()


def _inner_ethernet(writer: Writer) -> None:
    """The Ethernet header at r1 to TEMP, its tag (or 0) to TEMP + 24, the bytes before it and of the tag to NEW_LEN."""
    asm, untagged = writer.asm, writer.asm.label("inner_untagged")
    asm.mov(R2, R1)
    asm.add(R2, 14)
    asm.load(4, R3, R9, layout.CAP)
    asm.jump_if(Jump.GT, R2, R3, writer.drop)
    asm.store(4, R9, layout.NEW_LEN, R1)
    asm.mov(R3, R9)
    asm.add(R3, R1)
    for part in range(0, 12, 4):
        asm.load(4, R2, R3, BUFFER + part)
        asm.store(4, R9, layout.TEMP + part, R2)
    asm.store(4, R9, layout.TEMP + 24, 0)
    asm.load(2, R2, R3, BUFFER + 12)
    asm.store(2, R9, layout.TEMP + 12, R2)
    asm.jump_if(Jump.NE, R2, big(0x8100), untagged)
    asm.load(2, R2, R3, BUFFER + 14)
    asm.to_big(R2, 16)
    asm.or_(R2, 1 << 16)
    asm.store(4, R9, layout.TEMP + 24, R2)
    asm.load(2, R2, R3, BUFFER + 16)
    asm.store(2, R9, layout.TEMP + 12, R2)
    asm.add(R1, 4)
    asm.store(4, R9, layout.NEW_LEN, R1)
    asm.place(untagged)


def dec_nsh_ttl(writer: Writer, _: Step, __: bool) -> None:
    """What has no NSH header stays as it is."""
    asm = writer.asm
    writer.read()
    writer.unless(Has.NSH, writer.skip)
    asm.load(2, R1, R9, BUFFER + 14)
    asm.to_big(R1, 16)
    asm.mov(R2, R1)
    asm.rsh(R2, 6)
    asm.and_(R2, 63)
    asm.jump_if(Jump.LE, R2, 1, writer.dropped(Reason.TTL))
    asm.sub(R1, 1 << 6)
    asm.to_big(R1, 16)
    asm.store(2, R9, BUFFER + 14, R1)
    writer.store_bytes(14, BUFFER + 14, 2)


# -- copies ---------------------------------------------------------------------------------------------------------------


def save(writer: Writer) -> None:
    """Keep what the actions on a copy may change: the window, the length, the tag."""
    asm = writer.asm
    writer.read()
    asm.store(4, R9, layout.SAVED_FLAGS, R8)
    asm.store(4, R9, layout.TRIMMED, 0)
    asm.load(4, R1, R9, layout.LEN)
    asm.store(4, R9, layout.SAVED_LEN, R1)
    for part in range(0, layout.WINDOW, 8):
        asm.load(8, R1, R9, BUFFER + part)
        asm.store(8, R9, SAVED + part, R1)
    untagged = asm.label("untagged")
    asm.mov(R2, 0)
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.EQ, R1, 0, untagged)
    asm.load(4, R2, R6, Skb.VLAN_TCI)
    asm.or_(R2, 1 << 16)
    asm.load(4, R1, R6, Skb.VLAN_PROTO)
    asm.store(4, R9, layout.SAVED_PROTO, R1)
    asm.place(untagged)
    asm.store(4, R9, layout.SAVED_TAG, R2)


def restore(writer: Writer) -> None:
    """Make the frame again what it was."""
    writer.call("restore", restore_function)
    writer.checked()
    writer.asm.load(4, R8, R9, layout.SAVED_FLAGS)
    writer.fresh = False


def restore_function(writer: Writer, label: Label) -> None:
    """`r0 = restore(frame, scratch)`: the length, the window, the tag."""
    asm, out, long, whole = writer.asm, writer.asm.label("out"), writer.asm.label("long"), writer.asm.label("whole")
    outside, writer.drop = writer.drop, out
    writer.frame_start(label)
    for _ in range(_MOST_TAGS):
        writer.untag()
    _padded(writer)
    asm.load(4, R2, R9, layout.SAVED_LEN)
    asm.load(4, R1, R6, Skb.LEN)
    asm.jump_if(Jump.EQ, R1, R2, whole)
    asm.jump_if(Jump.GT, R1, R2, long)
    _restored_room(writer, whole)
    asm.jump_if(Jump.EQ, R0, 0, whole)
    asm.load(4, R2, R9, layout.SAVED_LEN)
    asm.load(4, R1, R6, Skb.LEN)
    asm.sub(R2, R1)
    asm.mov(R1, R6)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_HEAD)
    writer.checked()
    asm.jump(whole)
    asm.place(long)
    take_for_ip(writer)
    _restored_room(writer, whole)
    asm.jump_if(Jump.EQ, R0, 0, whole)
    asm.load(4, R2, R9, layout.SAVED_LEN)
    asm.mov(R0, 1)
    asm.jump_if(Jump.GT, R2, layout.WINDOW, out)
    asm.mov(R1, R6)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    writer.checked()
    asm.place(whole)
    _saved_window(writer)
    asm.load(4, R3, R9, layout.SAVED_TAG)
    asm.mov(R0, 0)
    asm.jump_if(Jump.EQ, R3, 0, out)
    asm.and_(R3, 0xFFFF)
    asm.load(4, R2, R9, layout.SAVED_PROTO)
    asm.mov(R1, R6)
    asm.call(Helper.VLAN_PUSH)
    asm.place(out)
    asm.exit()
    writer.drop = outside


def _restored_room(writer: Writer, whole: Label) -> None:
    """As many bytes in or out behind the Ethernet header as make the length what it was; the kernel may refuse."""
    asm = writer.asm
    asm.load(4, R2, R9, layout.SAVED_LEN)
    asm.load(4, R1, R6, Skb.LEN)
    asm.sub(R2, R1)
    asm.jump_if(Jump.EQ, R2, 0, whole)
    asm.mov(R1, R6)
    asm.mov(R3, _MAC_ROOM)
    asm.mov(R4, _FIXED_GSO)
    asm.call(Helper.ADJUST_ROOM)


def _padded(writer: Writer) -> None:
    """Put back the bytes behind the IP packet that were taken off: padding, zeros."""
    asm, none = writer.asm, writer.asm.label("none_trimmed")
    asm.load(4, R2, R9, layout.TRIMMED)
    asm.jump_if(Jump.EQ, R2, 0, none)
    asm.load(4, R1, R6, Skb.LEN)
    asm.add(R2, R1)
    asm.mov(R1, R6)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    writer.checked()
    asm.place(none)


def _saved_window(writer: Writer) -> None:
    asm, short = writer.asm, writer.asm.label("short")
    asm.load(4, R4, R9, layout.SAVED_LEN)
    asm.jump_if(Jump.LE, R4, layout.WINDOW, short)
    asm.mov(R4, layout.WINDOW)
    asm.place(short)
    asm.mov(R0, 1)
    asm.jump_if(Jump.LT, R4, 14, writer.drop)
    asm.mov(R2, 0)
    writer.scratch(R3, SAVED)
    writer.stored()
