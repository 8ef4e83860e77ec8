"""The code that finds out what a flow asks for: it reads the first data of a TCP connection, as `skerry.dataplane.naming` does.

Names are kept turned round, so that the longest end that fits is the longest prefix: `gro.elpmaxe.` for all below
`example.org`, `gro.elpmaxe` and a zero for itself.
"""

from __future__ import annotations

from skerry.dataplane import naming
from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting_flow import flow
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Alu, Jump, Label
from skerry.dataplane.ebpf.layout import BUFFER, FLOW, SCRATCH, SLOT, Has, Helper
from skerry.dataplane.ebpf.writing import Writer
from skerry.dataplane.flows import PROTO_TCP, Field

NAME_SIZE = 104
"""Bytes of a name in a key, which has its length in bits before it."""
_DATA = SCRATCH + 64
_KEY = _DATA + 4096 + 256
ASKED_SIZE = 16
"""Bytes of what is known of a flow: the number, big-endian; place of the next segment, bytes to skip, extensions left."""
_VALUE = 340  # numbers of the scratch, between slots and keys
_SEQ, _SKIP, _LEFT = _VALUE + 4, _VALUE + 8, _VALUE + 12
_LENGTH, _HERE = 356, 360  # bytes of data, its place in the stream
_STATE, _END, _SIZE, _COUNT = 408, 412, 416, 420
_HOST = int.from_bytes(b"\r\nhost:", "little")
_HOST_LENGTH = 7
_SYN, _SYN_ACK = 2, 18


def key_of(name: str) -> bytes:
    """The key of a name that rules ask for."""
    whole = name.removeprefix("*").encode()[::-1]
    part = whole if name.startswith("*") else whole + b"\0"
    return (8 * len(part)).to_bytes(4, "little") + part.ljust(NAME_SIZE, b"\0")


def named(writer: Writer) -> None:
    """What the flow of a frame that entered asks for, into the slot of NAME."""
    asm, none, first, known = (
        writer.asm,
        *(writer.asm.label(name) for name in ("unnamed", "first_data", "asked_before")),
    )
    asm.store(4, R9, SLOT[Field.NAME], 0)
    asm.store(4, R9, _LEFT, 0)
    flow(writer, none)
    writer.lookup("asked", FLOW)
    asm.jump_if(Jump.EQ, R0, 0, first)
    asm.store(8, FP, -8, R0)
    writer.call("opens", opens_function)
    asm.mov(R1, R0)
    asm.load(8, R0, FP, -8)
    asm.jump_if(Jump.EQ, R1, 0, known)
    if not writer.probe:
        asm.map(R1, "asked")
        writer.scratch(R2, FLOW)
        asm.call(Helper.MAP_DELETE)
    asm.jump(none)
    asm.place(known)
    for at in range(0, ASKED_SIZE, 4):
        asm.load(4, R1, R0, at)
        asm.store(4, R9, _VALUE + at, R1)
    asm.jump_if(Jump.NE, R1, 0, first)
    asm.load(4, R1, R9, _VALUE)
    asm.store(4, R9, SLOT[Field.NAME], R1)
    asm.jump(none)
    asm.place(first)
    writer.call("ask", ask_function)
    if not writer.probe:
        asm.jump_if(Jump.EQ, R0, 0, none)
        writer.update("asked", FLOW, _VALUE)
    asm.place(none)


def opens_function(writer: Writer, label: Label) -> None:
    """`r0 = opens(frame, scratch)`: 1 for a SYN of TCP without ACK, of the inner packet where one is."""
    asm, outer, read, no = writer.asm, *(writer.asm.label(name) for name in ("outer_tcp", "tcp_at", "opens_nothing"))
    told = asm.label("opens_told")
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    writer.unless(Has.INNER, outer)
    writer.unless(Has.INNER_PORTS, no)
    asm.load(1, R1, R9, SLOT[Field.INNER_PROTO])
    asm.load(4, R2, R9, layout.INNER_L4)
    asm.jump(read)
    asm.place(outer)
    writer.unless(Has.PORTS, no)
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    asm.load(4, R2, R9, layout.L4)
    asm.place(read)
    asm.jump_if(Jump.NE, R1, PROTO_TCP, no)
    asm.mov(R1, R2)
    asm.add(R1, 20)
    asm.load(4, R3, R9, layout.CAP)
    asm.jump_if(Jump.GT, R1, R3, no)
    asm.and_(R2, 511)
    asm.add(R2, R9)
    asm.load(1, R1, R2, BUFFER + 13)
    asm.and_(R1, _SYN_ACK)
    asm.mov(R0, 1)
    asm.jump_if(Jump.EQ, R1, _SYN, told)
    asm.place(no)
    asm.mov(R0, 0)
    asm.place(told)
    asm.exit()


def ask_function(writer: Writer, label: Label) -> None:
    """`r0 = ask(frame, scratch)`: 1 if the frame says more of its flow than is known: to _VALUE, and to the slot of NAME."""
    asm = writer.asm
    undecided, decided, hello, found = (asm.label(name) for name in ("undecided", "decided", "hello", "name_found"))
    extensions, begun, told = (asm.label(name) for name in ("extensions", "conversation_begins", "told"))
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    _data(writer, undecided)
    asm.load(4, R1, R9, _LEFT)
    asm.jump_if(Jump.EQ, R1, 0, begun)
    asm.load(4, R1, R9, _SEQ)
    asm.load(4, R2, R9, _HERE)
    asm.jump_if(Jump.NE, R1, R2, undecided)
    asm.load(4, R7, R9, _SKIP)
    asm.jump(extensions)
    asm.place(begun)
    asm.load(1, R1, R9, _DATA)
    asm.jump_if(Jump.EQ, R1, 22, hello)
    asm.jump_if(Jump.LT, R1, 65, decided)
    asm.jump_if(Jump.GT, R1, 90, decided)
    _host(writer, decided)
    asm.jump(found)
    asm.place(hello)
    _hello(writer, decided)
    asm.place(extensions)
    _server_name(writer, decided, told)
    asm.place(found)
    _look_up(writer, decided)
    asm.place(decided)
    asm.load(4, R1, R9, SLOT[Field.NAME])
    asm.store(4, R9, _VALUE, R1)
    asm.store(4, R9, _LEFT, 0)
    asm.place(told)
    asm.mov(R0, 1)
    asm.exit()
    asm.place(undecided)
    asm.mov(R0, 0)
    asm.exit()


def _data(writer: Writer, none: Label) -> None:
    """The data of TCP, of the inner packet where one is, to _DATA; how much to _SIZE."""
    asm, outer, read, short = writer.asm, *(writer.asm.label(name) for name in ("outer_data", "data_at", "short_data"))
    writer.unless(Has.INNER, outer)
    writer.unless(Has.INNER_PORTS, none)
    _data_of(writer, Field.INNER_PROTO, layout.INNER_L4, layout.INNER_END, none)
    asm.jump(read)
    asm.place(outer)
    writer.unless(Has.PORTS, none)
    _data_of(writer, Field.IP_PROTO, layout.L4, layout.IP_END, none)
    asm.place(read)
    asm.store(4, R9, _LENGTH, R5)
    asm.jump_if(Jump.LE, R5, naming.HELLO_WINDOW, short)
    asm.mov(R5, naming.HELLO_WINDOW)
    asm.place(short)
    asm.jump_if(Jump.LT, R5, 1, none)
    asm.store(4, R9, _SIZE, R5)
    asm.mov(R1, R6)
    writer.scratch(R3, _DATA)
    asm.mov(R4, R5)
    asm.call(Helper.LOAD_BYTES)
    asm.jump_if(Jump.NE, R0, 0, none)


def _data_of(writer: Writer, proto: Field, at: int, end: int, none: Label) -> None:
    """r2 = where the data begins, r5 = how much there is."""
    asm = writer.asm
    asm.load(1, R1, R9, SLOT[proto])
    asm.jump_if(Jump.NE, R1, PROTO_TCP, none)
    asm.load(4, R2, R9, at)
    asm.mov(R1, R2)
    asm.add(R1, 20)
    asm.load(4, R3, R9, layout.CAP)
    asm.jump_if(Jump.GT, R1, R3, none)
    asm.and_(R2, 511)
    asm.mov(R3, R9)
    asm.add(R3, R2)
    asm.load(4, R1, R3, BUFFER + 4)
    asm.to_big(R1, 32)
    asm.store(4, R9, _HERE, R1)
    asm.load(1, R1, R3, BUFFER + 12)
    asm.rsh(R1, 4)
    asm.lsh(R1, 2)
    asm.add(R2, R1)
    asm.load(4, R5, R9, end)
    asm.jump_if(Jump.LE, R5, R2, none)
    asm.sub(R5, R2)


def _lowered(writer: Writer) -> None:
    """r1, a byte, in lower case."""
    asm, low = writer.asm, writer.asm.label("lower")
    asm.jump_if(Jump.LT, R1, 65, low)
    asm.jump_if(Jump.GT, R1, 90, low)
    asm.or_(R1, 32)
    asm.place(low)


def _host(writer: Writer, none: Label) -> None:
    """Where the host of a request begins and ends, to _STATE and _END. What is matched so far is kept in memory, so that the
    kernel need not follow each way through it."""
    asm, loop, begun = writer.asm, writer.asm.label("next_byte"), writer.asm.label("host_begins")
    again, first = asm.label("no_match"), asm.label("return")
    asm.store(4, R9, _STATE, 0)
    asm.mov(R7, 0)
    asm.place(loop)
    asm.jump_if(Jump.GE, R7, naming.HTTP_WINDOW, none)
    asm.load(4, R2, R9, _SIZE)
    asm.jump_if(Jump.GE, R7, R2, none)
    asm.mov(R3, R9)
    asm.add(R3, R7)
    asm.load(1, R1, R3, _DATA)
    asm.add(R7, 1)
    _lowered(writer)
    asm.load(4, R2, R9, _STATE)
    asm.mov(R3, R2)
    asm.lsh(R3, 3)
    asm.and_(R3, 63)
    asm.constant(R4, _HOST)
    asm.alu(Alu.RSH, R4, R3)
    asm.and_(R4, 255)
    asm.jump_if(Jump.NE, R1, R4, again)
    asm.add(R2, 1)
    asm.store(4, R9, _STATE, R2)
    asm.jump_if(Jump.EQ, R2, _HOST_LENGTH, begun)
    asm.jump(loop)
    asm.place(again)
    asm.store(4, R9, _STATE, 0)
    asm.jump_if(Jump.NE, R1, 13, first)
    asm.store(4, R9, _STATE, 1)
    asm.place(first)
    asm.jump(loop)
    asm.place(begun)
    _host_end(writer, none)


def _host_end(writer: Writer, none: Label) -> None:
    """r7 is behind the colon: one space is passed over; the name ends at a return, a space or a colon."""
    asm, loop, ended, bare = writer.asm, *(writer.asm.label(name) for name in ("host_goes_on", "host_ends", "bare"))
    asm.mov(R3, R9)
    asm.add(R3, R7)
    asm.load(1, R1, R3, _DATA)
    asm.jump_if(Jump.NE, R1, 32, bare)
    asm.add(R7, 1)
    asm.place(bare)
    asm.store(4, R9, _COUNT, R7)
    asm.load(4, R7, R9, _COUNT)
    asm.mov(R8, 0)
    asm.place(loop)
    asm.jump_if(Jump.GT, R8, naming.MOST_NAME, none)
    asm.mov(R2, R7)
    asm.add(R2, R8)
    asm.jump_if(Jump.GE, R2, naming.HTTP_WINDOW, none)
    asm.load(4, R3, R9, _SIZE)
    asm.jump_if(Jump.GE, R2, R3, none)
    asm.mov(R3, R9)
    asm.add(R3, R2)
    asm.load(1, R1, R3, _DATA)
    for byte in (13, 32, 58):
        asm.jump_if(Jump.EQ, R1, byte, ended)
    asm.jump_if(Jump.LT, R1, 33, none)
    asm.jump_if(Jump.GT, R1, 126, none)
    asm.add(R8, 1)
    asm.jump(loop)
    asm.place(ended)
    asm.store(4, R9, _END, R2)
    asm.store(4, R9, _COUNT, R8)


def _need(writer: Writer, size: int, none: Label) -> None:
    """r7 and `size` bytes behind it are in the data; r3 points there."""
    asm = writer.asm
    asm.mov(R1, R7)
    asm.add(R1, size)
    asm.load(4, R2, R9, _SIZE)
    asm.jump_if(Jump.GT, R1, R2, none)
    asm.jump_if(Jump.GT, R7, naming.HELLO_WINDOW, none)
    asm.mov(R3, R9)
    asm.add(R3, R7)


def _hello(writer: Writer, none: Label) -> None:
    """r7 = where the extensions of a ClientHello begin, how many bytes they are to _LEFT."""
    asm = writer.asm
    asm.load(4, R2, R9, _SIZE)
    asm.jump_if(Jump.LT, R2, 44, none)
    asm.load(1, R1, R9, _DATA + 5)
    asm.jump_if(Jump.NE, R1, 1, none)
    asm.load(1, R7, R9, _DATA + 43)
    asm.add(R7, 44)
    _need(writer, 2, none)
    asm.load(2, R1, R3, _DATA)
    asm.to_big(R1, 16)
    asm.add(R7, R1)
    asm.add(R7, 2)
    _need(writer, 1, none)
    asm.load(1, R1, R3, _DATA)
    asm.add(R7, R1)
    asm.add(R7, 1)
    _need(writer, 2, none)
    asm.load(2, R1, R3, _DATA)
    asm.to_big(R1, 16)
    asm.store(4, R9, _LEFT, R1)
    asm.add(R7, 2)


def _server_name(writer: Writer, none: Label, told: Label) -> None:
    """Where the server name ends among the extensions at r7, and how long it is, to _END and _COUNT; `told` where they go on in
    the next segment."""
    asm, loop, found, later = (
        writer.asm,
        *(writer.asm.label(name) for name in ("next_extension", "name_there", "later")),
    )
    asm.mov(R8, 0)
    asm.place(loop)
    # Out of memory, a value is unknown to the verifier, so that it looks at each turn once.
    asm.store(4, R9, _STATE, R7)
    asm.load(4, R7, R9, _STATE)
    asm.jump_if(Jump.GE, R8, naming.MOST_EXTENSIONS, none)
    asm.add(R8, 1)
    asm.load(4, R1, R9, _LEFT)
    asm.jump_if(Jump.LT, R1, 4, none)
    asm.load(4, R2, R9, _LENGTH)
    asm.jump_if(Jump.GE, R7, R2, later)
    _need(writer, 4, none)
    asm.load(2, R1, R3, _DATA)
    asm.jump_if(Jump.EQ, R1, 0, found)
    asm.load(2, R1, R3, _DATA + 2)
    asm.to_big(R1, 16)
    asm.add(R1, 4)
    asm.add(R7, R1)
    asm.load(4, R2, R9, _LEFT)
    asm.jump_if(Jump.GT, R1, R2, none)
    asm.sub(R2, R1)
    asm.store(4, R9, _LEFT, R2)
    asm.jump(loop)
    asm.place(later)
    asm.sub(R7, R2)
    asm.store(4, R9, _SKIP, R7)
    asm.load(4, R1, R9, _HERE)
    asm.add(R1, R2)
    asm.store(4, R9, _SEQ, R1)
    asm.store(4, R9, _VALUE, 0)
    asm.jump(told)
    asm.place(found)
    _need(writer, 9, none)
    asm.load(1, R1, R3, _DATA + 6)
    asm.jump_if(Jump.NE, R1, 0, none)
    asm.load(2, R1, R3, _DATA + 7)
    asm.to_big(R1, 16)
    asm.store(4, R9, _COUNT, R1)
    asm.add(R7, 9)
    asm.add(R7, R1)
    asm.load(4, R2, R9, _SIZE)
    asm.jump_if(Jump.GT, R7, R2, none)
    asm.store(4, R9, _END, R7)


def _look_up(writer: Writer, none: Label) -> None:
    """The name that ends at _END, of _COUNT bytes, turned round and in lower case, among those that rules ask for."""
    asm, loop, copied, dotted = writer.asm, *(writer.asm.label(name) for name in ("turn", "turned", "no_dot"))
    for at in range(0, NAME_SIZE + 4, 4):
        asm.store(4, R9, _KEY + at, 8 * NAME_SIZE if at == 0 else 0)
    asm.load(4, R8, R9, _COUNT)
    asm.load(4, R7, R9, _END)
    asm.jump_if(Jump.LT, R8, 1, none)
    asm.jump_if(Jump.GT, R8, naming.MOST_NAME, none)
    asm.jump_if(Jump.LT, R7, 1, none)
    asm.jump_if(Jump.GT, R7, naming.HELLO_WINDOW, none)
    asm.mov(R3, R9)
    asm.add(R3, R7)
    asm.load(1, R1, R3, _DATA - 1)
    asm.jump_if(Jump.NE, R1, 46, dotted)
    asm.sub(R7, 1)
    asm.sub(R8, 1)
    asm.place(dotted)
    asm.store(4, R9, _COUNT, R8)
    asm.store(4, R9, _END, R7)
    asm.mov(R8, 0)
    asm.place(loop)
    asm.jump_if(Jump.GE, R8, naming.MOST_NAME, copied)
    asm.load(4, R1, R9, _COUNT)
    asm.jump_if(Jump.GE, R8, R1, copied)
    asm.load(4, R7, R9, _END)
    asm.and_(R7, 4095)
    asm.mov(R3, R9)
    asm.add(R3, R7)
    asm.mov(R2, R9)
    asm.add(R2, R8)
    asm.add(R8, 1)
    asm.sub(R7, 1)
    asm.store(4, R9, _END, R7)
    asm.load(1, R1, R3, _DATA - 1)
    _lowered(writer)
    asm.store(1, R2, _KEY + 4, R1)
    asm.jump(loop)
    asm.place(copied)
    writer.lookup("names", _KEY)
    asm.jump_if(Jump.EQ, R0, 0, none)
    asm.load(4, R1, R0, 0)
    asm.store(4, R9, SLOT[Field.NAME], R1)
