"""The function of a program that reads a frame into the scratch: `r0 = parse(frame, scratch)`, what the frame has (`Has`).

It is the same reading as `skerry.dataplane.packets`, bounded by the window. Only what rules and actions need is read.
"""

from __future__ import annotations

import msgspec

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.assembler import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Alu, Assembler, Jump, Label, Reg
from skerry.dataplane.ebpf.layout import BUFFER, CAP, SLOT, Has, Helper, Skb, big, slot_size
from skerry.dataplane.flows import ETH_IPV4, ETH_IPV6, ETH_NSH, GTPU_PORT, PROTO_SCTP, PROTO_TCP, PROTO_UDP, Field

_MOST_EXTENSIONS = 8
_PDU_SESSION_CONTAINER = 0x85
_V6_SKIPPED = (0, 43, 60)
_V6_FRAGMENT = 44


class Needs(msgspec.Struct, frozen=True):
    """What has to be read: fields whose slots are compared, and how deep beyond them."""

    fields: frozenset[Field] = frozenset()
    ip: bool = False
    gtp: bool = False
    nsh: bool = False

    @property
    def any(self) -> bool:
        """Whether a frame has to be read at all."""
        return self.ip or self.gtp or self.nsh or bool(self.fields - {Field.IN_PORT, Field.PIN})


class _Ip(msgspec.Struct, frozen=True):
    """The fields of one of the two IP packets of a frame."""

    proto: Field
    dscp: Field
    v4: tuple[Field, Field]
    v6: tuple[Field, Field]
    ports: tuple[Field, Field]
    has: tuple[Has, Has, Has, Has, Has]  # IP, V4, V6, PORTS, LATER
    l4: int
    end: int


_OUTER = _Ip(
    Field.IP_PROTO,
    Field.IP_DSCP,
    (Field.IPV4_SRC, Field.IPV4_DST),
    (Field.IPV6_SRC, Field.IPV6_DST),
    (Field.L4_SRC, Field.L4_DST),
    (Has.IP, Has.V4, Has.V6, Has.PORTS, Has.LATER),
    layout.L4,
    layout.IP_END,
)
_INNER = _Ip(
    Field.INNER_PROTO,
    Field.INNER_DSCP,
    (Field.INNER_IPV4_SRC, Field.INNER_IPV4_DST),
    (Field.INNER_IPV6_SRC, Field.INNER_IPV6_DST),
    (Field.INNER_L4_SRC, Field.INNER_L4_DST),
    (Has.INNER, Has.INNER_V4, Has.INNER_V6, Has.INNER_PORTS, Has.INNER_LATER),
    layout.INNER_L4,
    layout.INNER_END,
)


def emit_parse(asm: Assembler, start: Label, needs: Needs) -> None:
    """Write the function."""
    _Parser(asm, needs).write(start)


class _Parser:
    """r6 the frame, r9 the scratch, r8 what it has, r7 the place of a header, r4 how much of the frame there is."""

    def __init__(self, asm: Assembler, needs: Needs) -> None:
        self._asm, self._needs = asm, needs
        self._end = asm.label("parsed")

    def write(self, start: Label) -> None:
        asm = self._asm
        asm.place(start)
        asm.mov(R6, R1)
        asm.mov(R9, R2)
        asm.mov(R8, 0)
        self._window()
        asm.mov(R8, int(Has.FRAME))
        self._ethernet()
        self._network()
        asm.place(self._end)
        # Out of memory, a value is unknown to the verifier, so that all ways through a frame are one afterwards.
        asm.store(4, R9, layout.FLAGS, R8)
        asm.load(4, R0, R9, layout.FLAGS)
        asm.exit()

    def _window(self) -> None:
        asm, short = self._asm, self._asm.label("short")
        asm.load(4, R4, R6, Skb.LEN)
        asm.store(4, R9, layout.LEN, R4)
        asm.jump_if(Jump.LE, R4, layout.WINDOW, short)
        asm.mov(R4, layout.WINDOW)
        asm.place(short)
        asm.store(4, R9, CAP, R4)
        asm.jump_if(Jump.LT, R4, 14, self._end)
        asm.mov(R1, R6)
        asm.mov(R2, 0)
        asm.mov(R3, R9)
        asm.add(R3, BUFFER)
        asm.call(Helper.LOAD_BYTES)
        asm.jump_if(Jump.NE, R0, 0, self._end)

    def _ethernet(self) -> None:
        asm, fields = self._asm, self._needs.fields
        for field, at in ((Field.ETH_DST, 0), (Field.ETH_SRC, 6)):
            if field in fields:
                for width, part in ((4, 0), (2, 4)):
                    asm.load(width, R1, R9, BUFFER + at + part)
                    asm.store(width, R9, SLOT[field] + part, R1)
        untagged = asm.label("untagged")
        if Field.VLAN_VID in fields:
            asm.store(4, R9, SLOT[Field.VLAN_VID], 0)
        asm.load(2, R5, R9, BUFFER + 12)
        asm.load(4, R1, R6, Skb.VLAN_PRESENT)
        asm.jump_if(Jump.EQ, R1, 0, untagged)
        service, tagged = asm.label("service_tag"), asm.label("tagged")
        asm.load(4, R1, R6, Skb.VLAN_PROTO)
        asm.jump_if(Jump.NE, R1, big(0x8100), service)
        if Field.VLAN_VID in fields:
            asm.load(4, R1, R6, Skb.VLAN_TCI)
            asm.and_(R1, 0xFFF)
            asm.or_(R1, 0x1000)
            asm.to_big(R1, 16)
            asm.store(4, R9, SLOT[Field.VLAN_VID], R1)
        asm.jump(tagged)
        asm.place(service)
        asm.mov(R5, R1)
        asm.place(tagged)
        asm.place(untagged)
        if Field.ETH_TYPE in fields:
            asm.store(4, R9, SLOT[Field.ETH_TYPE], R5)

    def _network(self) -> None:
        asm, needs = self._asm, self._needs
        # Bounded anew, since the verifier forgets what it knew of r4 over the call.
        asm.load(4, R4, R9, CAP)
        asm.jump_if(Jump.GT, R4, layout.WINDOW, self._end)
        asm.mov(R7, layout.L3)
        if needs.nsh:
            other = asm.label("no_nsh")
            asm.jump_if(Jump.NE, R5, big(ETH_NSH), other)
            self._nsh()
            asm.jump(self._end)
            asm.place(other)
        if not needs.ip and not needs.gtp:
            return
        six, read = asm.label("ipv6"), asm.label("ip_read")
        asm.jump_if(Jump.EQ, R5, big(ETH_IPV6), six)
        asm.jump_if(Jump.NE, R5, big(ETH_IPV4), self._end)
        self._v4(_OUTER, read, self._end)
        asm.place(six)
        self._v6(_OUTER, read, self._end)
        asm.place(read)
        if needs.gtp:
            self._gtp()

    # -- IP ---------------------------------------------------------------------------------------------------------------

    def _copy(self, field: Field, at: int, width: int) -> None:
        """A field at `r3 + at` to its slot, if that is needed."""
        if field in self._needs.fields:
            size = min(width, 8)
            for part in range(0, width, size):
                self._asm.load(size, R0, R3, BUFFER + at + part)
                self._asm.store(max(size, min(4, slot_size(field))), R9, SLOT[field] + part, R0)

    def _v4(self, ip: _Ip, done: Label, failed: Label) -> None:
        """The packet at r7; jumps to `done`, or to `failed` when it is none."""
        asm = self._asm
        asm.mov(R1, R7)
        asm.add(R1, 20)
        asm.jump_if(Jump.GT, R1, R4, failed)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R1, R3, BUFFER)
        asm.mov(R2, R1)
        asm.rsh(R2, 4)
        asm.jump_if(Jump.NE, R2, 4, failed)
        asm.and_(R1, 15)
        asm.lsh(R1, 2)
        asm.jump_if(Jump.LT, R1, 20, failed)
        asm.mov(R5, R7)
        asm.add(R5, R1)
        asm.jump_if(Jump.GT, R5, R4, failed)
        self._v4_end(ip)
        self._copy(ip.proto, 9, 1)
        self._v4_dscp(ip)
        self._copy(ip.v4[0], 12, 4)
        self._copy(ip.v4[1], 16, 4)
        asm.alu(Alu.OR, R8, int(ip.has[0] | ip.has[1]))
        asm.load(1, R2, R3, BUFFER + 9)
        self._v4_fragment(ip, done)
        self._ports(ip, done)

    def _v4_end(self, ip: _Ip) -> None:
        """r1 is the length of the header."""
        asm = self._asm
        enough, whole = asm.label("total"), asm.label("whole")
        asm.load(2, R2, R3, BUFFER + 2)
        asm.to_big(R2, 16)
        asm.jump_if(Jump.GE, R2, R1, enough)
        asm.mov(R2, R1)
        asm.place(enough)
        asm.add(R2, R7)
        asm.load(4, R0, R9, layout.LEN)
        asm.jump_if(Jump.LE, R2, R0, whole)
        asm.mov(R2, R0)
        asm.place(whole)
        asm.store(4, R9, ip.end, R2)

    def _v4_dscp(self, ip: _Ip) -> None:
        if ip.dscp in self._needs.fields:
            self._asm.load(1, R0, R3, BUFFER + 1)
            self._asm.rsh(R0, 2)
            self._asm.store(4, R9, SLOT[ip.dscp], R0)

    def _v4_fragment(self, ip: _Ip, done: Label) -> None:
        """Later fragments end here; r5 is where the payload begins."""
        asm = self._asm
        whole, first = asm.label("whole"), asm.label("first")
        asm.load(2, R0, R3, BUFFER + 6)
        asm.to_big(R0, 16)
        asm.and_(R0, 0x3FFF)
        asm.jump_if(Jump.EQ, R0, 0, whole)
        asm.and_(R0, 0x1FFF)
        asm.jump_if(Jump.EQ, R0, 0, first)
        self._frag(ip, 2)
        asm.store(4, R9, ip.l4, 0)
        asm.or_(R8, int(ip.has[4]))
        asm.jump(done)
        asm.place(first)
        self._frag(ip, 1)
        asm.store(4, R9, layout.TEMP, 1)
        fragment_read = asm.label("fragment_read")
        asm.jump(fragment_read)
        asm.place(whole)
        self._frag(ip, 0)
        asm.store(4, R9, layout.TEMP, 0)
        asm.place(fragment_read)
        asm.store(4, R9, ip.l4, R5)

    def _frag(self, ip: _Ip, value: int) -> None:
        if ip is _OUTER and Field.IP_FRAG in self._needs.fields:
            self._asm.store(4, R9, SLOT[Field.IP_FRAG], value)

    def _v6(self, ip: _Ip, done: Label, failed: Label) -> None:
        asm = self._asm
        asm.mov(R1, R7)
        asm.add(R1, 40)
        asm.jump_if(Jump.GT, R1, R4, failed)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R2, R3, BUFFER)
        asm.rsh(R2, 4)
        asm.jump_if(Jump.NE, R2, 6, failed)
        self._v6_fixed(ip)
        asm.mov(R5, R1)
        asm.store(4, R9, layout.TEMP, 0)
        self._frag(ip, 0)
        self._v6_extensions(ip, done)
        if ip.proto in self._needs.fields:
            asm.store(4, R9, SLOT[ip.proto], R2)
        # The verifier shall see one state here, whatever extensions there were.
        asm.store(4, R9, ip.l4, R5)
        asm.load(4, R5, R9, ip.l4)
        asm.store(4, R9, layout.TEMP + 4, R2)
        asm.load(4, R2, R9, layout.TEMP + 4)
        self._ports(ip, done)

    def _v6_fixed(self, ip: _Ip) -> None:
        """End, DSCP, addresses; r2 = next header. r1 is where the payload begins."""
        asm = self._asm
        asm.load(2, R2, R3, BUFFER + 4)
        asm.to_big(R2, 16)
        asm.add(R2, R1)
        asm.load(4, R0, R9, layout.LEN)
        whole = asm.label("whole")
        asm.jump_if(Jump.LE, R2, R0, whole)
        asm.mov(R2, R0)
        asm.place(whole)
        asm.store(4, R9, ip.end, R2)
        if ip.dscp in self._needs.fields:
            asm.load(2, R0, R3, BUFFER)
            asm.to_big(R0, 16)
            asm.rsh(R0, 6)
            asm.and_(R0, 63)
            asm.store(4, R9, SLOT[ip.dscp], R0)
        self._copy(ip.v6[0], 8, 16)
        self._copy(ip.v6[1], 24, 16)
        asm.or_(R8, int(ip.has[0] | ip.has[2]))
        asm.load(1, R2, R3, BUFFER + 6)

    def _v6_extensions(self, ip: _Ip, done: Label) -> None:
        """r2 the protocol and r5 the place of a header, until one that is no extension."""
        asm, ended = self._asm, self._asm.label("extensions_read")
        for _ in range(_MOST_EXTENSIONS):
            skipped, fragment, following = asm.label("skipped"), asm.label("fragment"), asm.label("following")
            asm.mov(R1, R5)
            asm.add(R1, 8)
            asm.jump_if(Jump.GT, R1, R4, ended)
            asm.mov(R3, R9)
            asm.add(R3, R5)
            for proto in _V6_SKIPPED:
                asm.jump_if(Jump.EQ, R2, proto, skipped)
            asm.jump_if(Jump.EQ, R2, _V6_FRAGMENT, fragment)
            asm.jump(ended)
            asm.place(fragment)
            self._v6_fragment(ip, done)
            asm.jump(following)
            asm.place(skipped)
            asm.load(1, R0, R3, BUFFER + 1)
            asm.add(R0, 1)
            asm.lsh(R0, 3)
            asm.load(1, R2, R3, BUFFER)
            asm.add(R5, R0)
            asm.place(following)
            asm.store(4, R9, layout.TEMP + 4, R5)
            asm.load(4, R5, R9, layout.TEMP + 4)
            asm.jump_if(Jump.GT, R5, 4095, ended)
        asm.place(ended)

    def _v6_fragment(self, ip: _Ip, done: Label) -> None:
        asm = self._asm
        if ip is _OUTER and Field.IP_FRAG in self._needs.fields:
            asm.load(4, R0, R3, BUFFER + 4)
            asm.store(4, R9, layout.FRAG_ID, R0)
        asm.load(1, R2, R3, BUFFER)
        asm.add(R5, 8)
        asm.load(2, R0, R3, BUFFER + 2)
        asm.to_big(R0, 16)
        first, plain = asm.label("first"), asm.label("plain")
        asm.mov(R1, R0)
        asm.rsh(R1, 3)
        asm.jump_if(Jump.EQ, R1, 0, first)
        self._frag(ip, 2)
        if ip.proto in self._needs.fields:
            asm.store(4, R9, SLOT[ip.proto], R2)
        asm.store(4, R9, ip.l4, 0)
        asm.or_(R8, int(ip.has[4]))
        asm.jump(done)
        asm.place(first)
        self._frag(ip, 0)
        asm.store(4, R9, layout.TEMP, 0)
        asm.and_(R0, 1)
        asm.jump_if(Jump.EQ, R0, 0, plain)
        self._frag(ip, 1)
        asm.store(4, R9, layout.TEMP, 1)
        asm.place(plain)

    def _ports(self, ip: _Ip, done: Label) -> None:
        """r2 the protocol, r5 the place of the L4 header; jumps to `done`."""
        asm, ported = self._asm, self._asm.label("ported")
        for proto in (PROTO_UDP, PROTO_TCP):
            asm.jump_if(Jump.EQ, R2, proto, ported)
        asm.jump_if(Jump.NE, R2, PROTO_SCTP, done)
        asm.place(ported)
        asm.mov(R1, R5)
        asm.add(R1, 4)
        asm.jump_if(Jump.GT, R1, R4, done)
        asm.mov(R3, R9)
        asm.add(R3, R5)
        self._copy(ip.ports[0], 0, 2)
        self._copy(ip.ports[1], 2, 2)
        asm.or_(R8, int(ip.has[3]))
        asm.jump(done)

    # -- GTP-U ------------------------------------------------------------------------------------------------------------

    def _gtp(self) -> None:
        """UDP to port 2152, not fragmented (TEMP is 1 for a first fragment)."""
        asm, end = self._asm, self._end
        asm.jump_if(Jump.SET, R8, int(Has.LATER), end)
        asm.mov(R1, R8)
        asm.and_(R1, int(Has.PORTS))
        asm.jump_if(Jump.EQ, R1, 0, end)
        asm.jump_if(Jump.NE, R2, PROTO_UDP, end)
        asm.load(4, R1, R9, layout.TEMP)
        asm.jump_if(Jump.NE, R1, 0, end)
        asm.load(2, R1, R3, BUFFER + 2)
        asm.jump_if(Jump.NE, R1, big(GTPU_PORT), end)
        self._gtp_end()
        asm.load(4, R7, R9, layout.L4)
        asm.add(R7, 8)
        asm.mov(R1, R7)
        asm.add(R1, 8)
        asm.jump_if(Jump.GT, R1, R4, end)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R2, R3, BUFFER)
        asm.mov(R1, R2)
        asm.rsh(R1, 4)
        asm.jump_if(Jump.NE, R1, 3, end)
        asm.store(4, R9, layout.GTP, R7)
        self._copy(Field.GTP_TYPE, 1, 1)
        self._copy(Field.GTP_TEID, 4, 4)
        asm.or_(R8, int(Has.GTP))
        asm.load(1, R1, R3, BUFFER + 1)
        asm.store(4, R9, layout.TEMP, R1)
        asm.add(R7, 8)
        plain = asm.label("no_options")
        asm.and_(R2, 7)
        asm.jump_if(Jump.EQ, R2, 0, plain)
        self._options()
        asm.place(plain)
        self._inner()

    def _gtp_end(self) -> None:
        """r4: the frame ends where its IP packet ends."""
        asm, inside = self._asm, self._asm.label("inside")
        asm.load(4, R1, R9, layout.IP_END)
        asm.jump_if(Jump.GE, R1, R4, inside)
        asm.mov(R4, R1)
        asm.place(inside)

    def _options(self) -> None:
        """r2 the flags, r7 where the four bytes of options begin; afterwards behind all extension headers."""
        asm, end, ended = self._asm, self._end, self._asm.label("gtp_extensions_read")
        asm.add(R7, 4)
        asm.jump_if(Jump.GT, R7, R4, end)
        asm.and_(R2, 4)
        asm.jump_if(Jump.EQ, R2, 0, ended)
        asm.load(1, R2, R3, BUFFER + 11)
        for _ in range(_MOST_EXTENSIONS):
            asm.jump_if(Jump.EQ, R2, 0, ended)
            self._extension()
        asm.jump_if(Jump.NE, R2, 0, end)
        asm.place(ended)
        asm.store(4, R9, layout.INNER, R7)
        asm.load(4, R7, R9, layout.INNER)
        asm.jump_if(Jump.GT, R7, layout.WINDOW, end)

    def _extension(self) -> None:
        asm, end, other = self._asm, self._end, self._asm.label("other")
        asm.jump_if(Jump.GE, R7, R4, end)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R1, R3, BUFFER)
        asm.lsh(R1, 2)
        asm.jump_if(Jump.EQ, R1, 0, end)
        asm.add(R7, R1)
        asm.jump_if(Jump.GT, R7, R4, end)
        asm.jump_if(Jump.NE, R2, _PDU_SESSION_CONTAINER, other)
        asm.load(1, R0, R3, BUFFER + 2)
        asm.and_(R0, 63)
        asm.store(4, R9, SLOT[Field.GTP_QFI], R0)
        asm.or_(R8, int(Has.QFI))
        asm.place(other)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R2, R3, BUFFER - 1)

    def _inner(self) -> None:
        """The packet at r7, of a G-PDU."""
        asm, end = self._asm, self._end
        asm.load(4, R1, R9, layout.TEMP)
        asm.jump_if(Jump.NE, R1, 255, end)
        asm.store(4, R9, layout.INNER, R7)
        asm.load(4, R4, R9, CAP)
        asm.jump_if(Jump.GT, R4, layout.WINDOW, end)
        asm.jump_if(Jump.GE, R7, R4, end)
        asm.mov(R3, R9)
        asm.add(R3, R7)
        asm.load(1, R1, R3, BUFFER)
        asm.rsh(R1, 4)
        six = asm.label("inner_ipv6")
        asm.jump_if(Jump.EQ, R1, 6, six)
        self._v4(_INNER, end, end)
        asm.place(six)
        self._v6(_INNER, end, end)

    # -- NSH --------------------------------------------------------------------------------------------------------------

    def _nsh(self) -> None:
        asm, end, kinds = self._asm, self._end, self._asm.label("md_type_2")
        fields = self._needs.fields
        asm.jump_if(Jump.LT, R4, layout.L3 + 8, end)
        asm.load(2, R1, R9, BUFFER + 14)
        asm.to_big(R1, 16)
        asm.mov(R2, R1)
        asm.rsh(R2, 14)
        asm.jump_if(Jump.NE, R2, 0, end)
        asm.and_(R1, 63)
        asm.lsh(R1, 2)
        asm.jump_if(Jump.LT, R1, 8, end)
        asm.mov(R2, R1)
        asm.add(R2, layout.L3)
        asm.jump_if(Jump.GT, R2, R4, end)
        asm.load(1, R2, R9, BUFFER + 16)
        asm.and_(R2, 15)
        asm.store(4, R9, layout.NSH_LEN, R1)
        asm.load(1, R3, R9, BUFFER + 17)
        asm.store(4, R9, layout.NSH_NEXT, R3)
        asm.jump_if(Jump.EQ, R2, 2, kinds)
        asm.jump_if(Jump.NE, R2, 1, end)
        asm.jump_if(Jump.NE, R1, 24, end)
        for index, field in enumerate((Field.NSH_C1, Field.NSH_C2, Field.NSH_C3, Field.NSH_C4)):
            if field in fields:
                self._word(field, 22 + 4 * index, 4)
        asm.or_(R8, int(Has.CONTEXT))
        asm.place(kinds)
        if Field.NSH_SPI in fields:
            asm.load(4, R1, R9, BUFFER + 18)
            asm.and_(R1, 0xFFFFFF)
            asm.store(4, R9, SLOT[Field.NSH_SPI], R1)
        if Field.NSH_SI in fields:
            self._word(Field.NSH_SI, 21, 1)
        asm.or_(R8, int(Has.NSH))

    def _word(self, field: Field, at: int, width: int, register: Reg = R1) -> None:
        self._asm.load(width, register, R9, BUFFER + at)
        self._asm.store(4, R9, SLOT[field], register)
