"""The assembler alone, and what the kernel makes of its bytecode."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, Alu, Assembler, Atomic, Jump, disassemble
from skerry.dataplane.ebpf.kernel import Map, MapKind, Program
from skerry.errors import DriverError, InvalidError

pytestmark = pytest.mark.feature("E43")
FRAME = bytes(12) + b"\x08\0" + b"\x45" + bytes(45)


def counting() -> Assembler:
    asm = Assembler("counting")
    none = asm.label("none")
    asm.store(4, FP, -4, 0)
    asm.map(R1, "counters")
    asm.mov(R2, FP)
    asm.add(R2, -4)
    asm.call(1)
    asm.jump_if(Jump.EQ, R0, 0, none)
    asm.note("one more")
    asm.mov(R1, 1)
    asm.atomic(Atomic.FETCH_ADD, 8, R0, 0, R1)
    asm.mov(R0, R1)
    asm.exit()
    asm.place(none)
    asm.mov(R0, 0)
    asm.exit()
    return asm


def test_instructions_are_encoded_as_rfc_9669_says() -> None:
    asm = Assembler()
    asm.mov(R0, -1)
    asm.alu(Alu.ADD, R0, R3, width=4)
    asm.load(2, R1, FP, -8)
    asm.constant(R2, 0x1122334455667788)
    asm.exit()
    assert asm.assemble().hex(" ", 8).split() == [
        "b7000000ffffffff",
        "0c30000000000000",
        "69a1f8ff00000000",
        "1802000088776655",
        "0000000044332211",
        "9500000000000000",
    ]


def test_a_listing_is_readable() -> None:
    text = counting().listing()
    assert "r1 = map counters" in text
    assert "if r0 == 0 goto none.1" in text
    assert "; one more" in text
    lines = disassemble(counting().assemble({"counters": 3}))
    assert (lines[0], lines[1], lines[-1]) == ("u32[r10 - 4] = 0", "r1 = map fd 3", "exit")


def test_what_no_way_leads_to_is_left_out() -> None:
    asm = Assembler()
    end = asm.label("end")
    asm.mov(R0, 1)
    asm.jump(end)
    asm.mov(R0, 2)
    asm.place(end)
    asm.exit()
    assert disassemble(asm.assemble()) == ["r0 = 1", "goto 2", "exit"]


def finished(asm: Assembler, write: Callable[[Assembler], None]) -> bytes:
    write(asm)
    asm.exit()
    return asm.assemble()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda asm: asm.alu(Alu.ADD, R0, 1 << 40),
        lambda asm: asm.load(3, R0, R1),
        lambda asm: asm.store(4, FP, 1 << 20, 0),
        lambda asm: asm.atomic(Atomic.ADD, 2, R0, 0, R1),
        lambda asm: asm.jump(asm.label("nowhere")),
        lambda asm: asm.map(R1, "unknown"),
        lambda asm: asm.to_big(R0, 24),
    ],
)
def test_what_cannot_be_encoded_is_refused(wrong: Callable[[Assembler], None]) -> None:
    asm = Assembler("refused")
    with pytest.raises(InvalidError, match="cannot assemble refused"):
        finished(asm, wrong)


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_kernel_runs_it_and_says_why_it_refuses() -> None:
    counters = Map.create(MapKind.ARRAY, 4, 8, 1, "counters")
    program = Program.load(counting().assemble({"counters": counters.fd}), "counting")
    assert [program.run(FRAME)[0] for _ in range(3)] == [0, 1, 2]
    assert counters.get(bytes(4)) == (3).to_bytes(8, "little")
    bad = Assembler("bad")
    bad.load(4, R0, R3)
    bad.exit()
    with pytest.raises(DriverError, match="cannot load the program bad") as refused:
        Program.load(bad.assemble(), "bad")
    assert "R3 !read_ok" in refused.value.answer
    assert "r0 = u32[r3 + 0]" in refused.value.answer
    program.close()
    counters.close()


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("kind", [MapKind.HASH, MapKind.LRU_HASH, MapKind.ARRAY, MapKind.LPM_TRIE])
def test_maps_hold_many_entries(kind: MapKind) -> None:
    def key(number: int) -> bytes:
        return (
            (32).to_bytes(4, "little") + number.to_bytes(4, "big")
            if kind is MapKind.LPM_TRIE
            else number.to_bytes(4, "little")
        )

    found = Map.create(kind, len(key(0)), 8, 16384, "many")
    items = {key(number): number.to_bytes(8, "little") for number in range(5000)}
    found.put_many(items)
    assert items.items() <= dict(found.items()).items()
    assert found.get(key(77)) == (77).to_bytes(8, "little")
    found.close()
