"""A small typed assembler of eBPF (RFC 9669): instructions with labels to bytecode, and bytecode back to readable text. Pure.

Operands that are a `Reg` are registers, other integers are immediates. Widths are bytes: 1, 2, 4, 8 for memory; 4 or 8 for
arithmetic and comparisons. What cannot be encoded is refused where it is written, with `InvalidError`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from skerry.errors import InvalidError

MOST_INSTRUCTIONS = 1_000_000


class Reg(enum.IntEnum):
    """Registers: r0 results, r1 to r5 arguments (lost over calls), r6 to r9 kept over calls, r10 the frame pointer."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    FP = 10


R0, R1, R2, R3, R4, R5 = Reg.R0, Reg.R1, Reg.R2, Reg.R3, Reg.R4, Reg.R5
R6, R7, R8, R9, FP = Reg.R6, Reg.R7, Reg.R8, Reg.R9, Reg.FP


class Alu(enum.IntEnum):
    """Arithmetic, unsigned where it matters."""

    ADD = 0x00
    SUB = 0x10
    MUL = 0x20
    DIV = 0x30
    OR = 0x40
    AND = 0x50
    LSH = 0x60
    RSH = 0x70
    NEG = 0x80
    MOD = 0x90
    XOR = 0xA0
    MOV = 0xB0
    ARSH = 0xC0
    END = 0xD0


class Jump(enum.IntEnum):
    """Conditions; those with S compare signed, SET tests `dst & src`."""

    ALWAYS = 0x00
    EQ = 0x10
    GT = 0x20
    GE = 0x30
    SET = 0x40
    NE = 0x50
    SGT = 0x60
    SGE = 0x70
    LT = 0xA0
    LE = 0xB0
    SLT = 0xC0
    SLE = 0xD0


class Atomic(enum.IntEnum):
    """Atomic operations on memory; FETCH returns the old value in the source register (CMPXCHG compares with and returns
    in r0)."""

    ADD = 0x00
    OR = 0x40
    AND = 0x50
    XOR = 0xA0
    FETCH_ADD = 0x01
    FETCH_OR = 0x41
    FETCH_AND = 0x51
    FETCH_XOR = 0xA1
    XCHG = 0xE1
    CMPXCHG = 0xF1


_LD, _LDX, _ST, _STX, _ALU, _JMP, _JMP32, _ALU64 = range(8)
_SIZES = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
_WIDTHS = {code: width for width, code in _SIZES.items()}
_IMM64, _MEM, _ATOMIC = 0x18, 0x60, 0xC0
_CALL, _EXIT = 0x85, 0x95
_PSEUDO_MAP_FD, _PSEUDO_MAP_VALUE, _PSEUDO_CALL = 1, 2, 1


class Label(NamedTuple):
    """A place in the program. `number` makes it unique, `name` is for people."""

    number: int
    name: str


class _Instruction(NamedTuple):
    code: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0
    target: Label | None = None
    map: str = ""
    note: str = ""


class Assembler:
    """Collects instructions; `assemble` makes the bytecode once, with the descriptors of the maps that it names."""

    def __init__(self, name: str = "program") -> None:
        self.name = name
        self._code: list[_Instruction] = []
        self._places: dict[Label, int] = {}
        self._labels = 0
        self._note = ""

    def __len__(self) -> int:
        return len(self._code)

    def note(self, text: str) -> None:
        """A remark on the next instruction, shown by `listing`."""
        self._note = text

    def label(self, name: str = "l") -> Label:
        """A new label, not yet placed."""
        self._labels += 1
        return Label(self._labels, name)

    def place(self, label: Label) -> None:
        """Make a label stand for the next instruction."""
        if label in self._places:
            raise self._refused(f"the label {label.name} is placed twice")
        self._places[label] = len(self._code)

    # -- arithmetic -------------------------------------------------------------------------------------------------------

    def alu(self, op: Alu, dst: Reg, operand: int, *, width: int = 8) -> None:
        """`dst = dst op operand`. With 4 bytes the upper half of `dst` becomes 0."""
        kind = {4: _ALU, 8: _ALU64}.get(width)
        if kind is None or dst is FP:
            raise self._refused(f"{op.name} of {width} bytes to {dst.name}")
        if isinstance(operand, Reg):
            self._emit(kind | 0x08 | op, dst, operand)
        else:
            self._emit(kind | op, dst, imm=self._immediate(operand, width))

    def mov(self, dst: Reg, operand: int, *, width: int = 8) -> None:
        """`dst = operand`; a constant of any 64 bits."""
        if isinstance(operand, Reg) or -(1 << 31) <= operand < 1 << 31:
            self.alu(Alu.MOV, dst, operand, width=width)
        elif 0 <= operand < 1 << 32:
            self.alu(Alu.MOV, dst, operand, width=4)
        else:
            self.constant(dst, operand)

    def add(self, dst: Reg, operand: int) -> None:
        """`dst += operand`."""
        self.alu(Alu.ADD, dst, operand)

    def sub(self, dst: Reg, operand: int) -> None:
        """`dst -= operand`."""
        self.alu(Alu.SUB, dst, operand)

    def and_(self, dst: Reg, operand: int, *, width: int = 8) -> None:
        """`dst &= operand`."""
        self.alu(Alu.AND, dst, operand, width=width)

    def or_(self, dst: Reg, operand: int) -> None:
        """`dst |= operand`."""
        self.alu(Alu.OR, dst, operand)

    def lsh(self, dst: Reg, operand: int) -> None:
        """`dst <<= operand`."""
        self.alu(Alu.LSH, dst, operand)

    def rsh(self, dst: Reg, operand: int) -> None:
        """`dst >>= operand`, unsigned."""
        self.alu(Alu.RSH, dst, operand)

    def neg(self, dst: Reg) -> None:
        """`dst = -dst`."""
        self._emit(_ALU64 | Alu.NEG, dst)

    def to_big(self, dst: Reg, bits: int) -> None:
        """Between the machine's order and big-endian, 16, 32 or 64 bits (both ways; upper bits become 0)."""
        if bits not in (16, 32, 64):
            raise self._refused(f"a change of byte order of {bits} bits")
        self._emit(_ALU | 0x08 | Alu.END, dst, imm=bits)

    def constant(self, dst: Reg, value: int) -> None:
        """`dst =` 64 bits."""
        if not -(1 << 63) <= value < 1 << 64:
            raise self._refused(f"the constant {value}")
        low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
        self._emit(_LD | _IMM64, dst, imm=_signed(low))
        self._emit(0, imm=_signed(high))

    # -- maps and memory --------------------------------------------------------------------------------------------------

    def map(self, dst: Reg, name: str) -> None:
        """`dst =` the map of this name."""
        self._map(dst, name, _PSEUDO_MAP_FD, 0)

    def map_value(self, dst: Reg, name: str, offset: int = 0) -> None:
        """`dst =` the address of a byte in the only value of an array map (not per CPU)."""
        self._map(dst, name, _PSEUDO_MAP_VALUE, offset)

    def _map(self, dst: Reg, name: str, pseudo: int, offset: int) -> None:
        self._code.append(_Instruction(_LD | _IMM64, dst, pseudo, map=name, note=self._take_note()))
        self._emit(0, imm=offset)

    def load(self, width: int, dst: Reg, base: Reg, offset: int = 0) -> None:
        """`dst =` memory at `base + offset`, zero-extended."""
        self._emit(_LDX | _MEM | self._size(width), dst, base, offset)

    def store(self, width: int, base: Reg, offset: int, operand: int) -> None:
        """Memory at `base + offset` = operand (constants of 8 bytes are sign-extended from 32 bits)."""
        if isinstance(operand, Reg):
            self._emit(_STX | _MEM | self._size(width), base, operand, offset)
        else:
            self._emit(
                _ST | _MEM | self._size(width), base, 0, offset, self._immediate(operand, min(width + 3 & ~3, 8))
            )

    def atomic(self, op: Atomic, width: int, base: Reg, offset: int, src: Reg) -> None:
        """An atomic operation on memory of 4 or 8 bytes."""
        if width not in (4, 8):
            raise self._refused(f"an atomic operation of {width} bytes")
        self._emit(_STX | _ATOMIC | self._size(width), base, src, offset, op)

    # -- flow -------------------------------------------------------------------------------------------------------------

    def jump(self, target: Label) -> None:
        """Go on at a label."""
        self._emit(_JMP | Jump.ALWAYS, target=target)

    def jump_if(self, condition: Jump, dst: Reg, operand: int, target: Label, *, width: int = 8) -> None:
        """Go on at a label if `dst condition operand`; otherwise with the next instruction."""
        kind = {4: _JMP32, 8: _JMP}.get(width)
        if kind is None:
            raise self._refused(f"a comparison of {width} bytes")
        if isinstance(operand, Reg):
            self._emit(kind | 0x08 | condition, dst, operand, target=target)
        else:
            self._emit(kind | condition, dst, imm=self._immediate(operand, width), target=target)

    def call(self, helper: int) -> None:
        """Call a helper of the kernel: arguments in r1 to r5, result in r0."""
        self._emit(_CALL, imm=helper)

    def call_local(self, target: Label) -> None:
        """Call a function of this program; it has a stack frame of its own and keeps r6 to r9."""
        self._emit(_CALL, src=_PSEUDO_CALL, target=target)

    def exit(self) -> None:
        """Return r0."""
        self._emit(_EXIT)

    # -- output -----------------------------------------------------------------------------------------------------------

    def assemble(self, maps: Mapping[str, int] | None = None) -> bytes:
        """The bytecode, without what no way leads to (the kernel refuses that). `maps` gives the descriptor of each map that
        is named."""
        if not self._code or len(self._code) > MOST_INSTRUCTIONS:
            raise self._refused(f"{len(self._code)} instructions")
        self._drop_unreachable()
        known = maps or {}
        return b"".join([self._encoded(at, one, known) for at, one in enumerate(self._code)])

    def _drop_unreachable(self) -> None:
        kept = self._reachable()
        if len(kept) == len(self._code):
            return
        order = sorted(kept)
        renumbered = {old: new for new, old in enumerate(order)}
        self._places = {label: renumbered[at] for label, at in self._places.items() if at in renumbered}
        self._code = [self._code[at] for at in order]

    def _reachable(self) -> set[int]:
        found: set[int] = set()
        waiting = [0]
        while waiting:
            at = waiting.pop()
            while at < len(self._code) and at not in found:
                found.add(at)
                one = self._code[at]
                if one.target is not None:
                    waiting.append(at + 1 + self._distance(at, one.target))
                if one.code in (_EXIT, _JMP | Jump.ALWAYS):
                    break
                at += 1
        return found

    def _encoded(self, at: int, one: _Instruction, maps: Mapping[str, int]) -> bytes:
        offset, imm = one.offset, one.imm
        if one.map:
            if one.map not in maps:
                raise self._refused(f"the map {one.map}, which it was not given")
            imm = maps[one.map]
        if one.target is not None:
            distance = self._distance(at, one.target)
            offset, imm = (offset, distance) if one.code == _CALL else (self._near(distance, one.target), imm)
        return struct.pack("<BBhi", one.code, one.dst | one.src << 4, offset, imm)

    def _distance(self, at: int, target: Label) -> int:
        if target not in self._places:
            raise self._refused(f"a jump to the label {target.name}, which is nowhere")
        return self._places[target] - at - 1

    def _near(self, distance: int, target: Label) -> int:
        if not -(1 << 15) <= distance < 1 << 15:
            raise self._refused(f"a jump of {distance} instructions to {target.name}")
        return distance

    def maps(self) -> frozenset[str]:
        """The names of the maps that it uses."""
        return frozenset(one.map for one in self._code if one.map)

    def listing(self) -> str:
        """Readable text with labels, names of maps and remarks."""
        there: dict[int, list[str]] = {}
        for label, at in self._places.items():
            there.setdefault(at, []).append(f"{label.name}.{label.number}:")
        lines: list[str] = []
        wide = False
        for at, one in enumerate(self._code):
            lines += there.get(at, [])
            if wide:
                wide = False
                continue
            wide = one.code == _LD | _IMM64
            lines.append(f"{at:5}  {self._line(one)}" + (f"  ; {one.note}" if one.note else ""))
        return "\n".join(lines)

    def _line(self, one: _Instruction) -> str:
        target = f"{one.target.name}.{one.target.number}" if one.target else ""
        text = _text(one.code, one.dst, one.src, one.offset, one.imm, target)
        return f"r{one.dst} = map {one.map}" if one.map else text

    # -- checks -----------------------------------------------------------------------------------------------------------

    def _emit(
        self, code: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0, target: Label | None = None
    ) -> None:
        if not -(1 << 15) <= offset < 1 << 15:
            raise self._refused(f"the offset {offset}")
        self._code.append(_Instruction(code, dst, src, offset, imm, target, note=self._take_note()))

    def _take_note(self) -> str:
        note, self._note = self._note, ""
        return note

    def _immediate(self, value: int, width: int) -> int:
        most = 1 << 32 if width <= 4 else 1 << 31
        if not -(1 << 31) <= value < most:
            raise self._refused(f"the constant {value} in an instruction of {width} bytes")
        return _signed(value & 0xFFFFFFFF)

    def _size(self, width: int) -> int:
        if width not in _SIZES:
            raise self._refused(f"memory of {width} bytes")
        return _SIZES[width]

    def _refused(self, what: str) -> InvalidError:
        return InvalidError(
            f"cannot assemble {self.name}: {what} at instruction {len(self._code)}",
            suggestion="this is a fault of the program that writes the bytecode; please report it",
        )


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


# -- the way back ---------------------------------------------------------------------------------------------------------

_SIGNS = {
    Alu.ADD: "+=", Alu.SUB: "-=", Alu.MUL: "*=", Alu.DIV: "/=", Alu.OR: "|=", Alu.AND: "&=", Alu.LSH: "<<=",
    Alu.RSH: ">>=", Alu.MOD: "%=", Alu.XOR: "^=", Alu.MOV: "=", Alu.ARSH: "s>>=",
}  # fmt: skip
_CONDITIONS = {
    Jump.EQ: "==", Jump.GT: ">", Jump.GE: ">=", Jump.SET: "&", Jump.NE: "!=", Jump.SGT: "s>", Jump.SGE: "s>=",
    Jump.LT: "<", Jump.LE: "<=", Jump.SLT: "s<", Jump.SLE: "s<=",
}  # fmt: skip


def disassemble(code: bytes) -> list[str]:
    """Bytecode as text, a line for each slot of 8 bytes."""
    lines: list[str] = []
    for at in range(0, len(code) - 7, 8):
        op, registers, offset, imm = struct.unpack_from("<BBhi", code, at)
        number = at // 8
        target = str(number + 1 + (imm if op == _CALL else offset))
        lines.append(_text(op, registers & 15, registers >> 4, offset, imm, target))
    return lines


def _text(code: int, dst: int, src: int, offset: int, imm: int, target: str) -> str:
    if code == _EXIT:
        return "exit"
    if code == _CALL:
        return f"call {target}" if src == _PSEUDO_CALL else f"call helper {imm}"
    return _TEXTS[code & 7](code, dst, src, offset, imm, target)


def _alu_text(code: int, dst: int, src: int, _: int, imm: int, __: str) -> str:
    op, letter = code & 0xF0, "r" if code & 7 == _ALU64 else "w"
    if op == Alu.NEG:
        return f"{letter}{dst} = -{letter}{dst}"
    if op == Alu.END:
        return f"r{dst} = be{imm} r{dst}"
    return f"{letter}{dst} {_SIGNS[Alu(op)]} {f'{letter}{src}' if code & 8 else imm}"


def _jump_text(code: int, dst: int, src: int, _: int, imm: int, target: str) -> str:
    if code == _JMP | Jump.ALWAYS:
        return f"goto {target}"
    letter = "r" if code & 7 == _JMP else "w"
    return f"if {letter}{dst} {_CONDITIONS[Jump(code & 0xF0)]} {f'{letter}{src}' if code & 8 else imm} goto {target}"


def _place(code: int, base: int, offset: int) -> str:
    return f"u{_WIDTHS[code & 0x18] * 8}[r{base} {'-' if offset < 0 else '+'} {abs(offset)}]"


def _load_text(code: int, dst: int, src: int, offset: int, _: int, __: str) -> str:
    return f"r{dst} = {_place(code, src, offset)}"


def _store_text(code: int, dst: int, src: int, offset: int, imm: int, _: str) -> str:
    if code & 0xE0 == _ATOMIC:
        return f"atomic {Atomic(imm & 0xFF).name.lower()} {_place(code, dst, offset)}, r{src}"
    return f"{_place(code, dst, offset)} = {f'r{src}' if code & 7 == _STX else imm}"


def _wide_text(code: int, dst: int, src: int, _: int, imm: int, __: str) -> str:
    if code != _LD | _IMM64:
        return f"(upper half {imm:#x})"
    return f"r{dst} = map fd {imm}" if src == _PSEUDO_MAP_FD else f"r{dst} = {imm:#x} ll"


_TEXTS: Mapping[int, Callable[[int, int, int, int, int, str], str]] = {
    _LD: _wide_text,
    _LDX: _load_text,
    _ST: _store_text,
    _STX: _store_text,
    _ALU: _alu_text,
    _ALU64: _alu_text,
    _JMP: _jump_text,
    _JMP32: _jump_text,
}
