"""A graph as programs of the kernel, one for each port where frames come in; and why a graph cannot be one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R6, R8, R9, Assembler, Jump
from skerry.dataplane.ebpf.layout import Helper, Skb, big
from skerry.lvnf import configs
from skerry.lvnf.bytecode import conditions, counting, framing, headers, internet, rewriting, slots, steering, tunnels
from skerry.lvnf.bytecode.coder import DEEPEST, GROWN, LENGTH, PAINT, SPACE, Coder, Context, Write, growth
from skerry.lvnf.bytecode.slots import Slots
from skerry.lvnf.graph import Graph, Processing

WRITERS: Mapping[str, Write] = {
    **steering.WRITERS,
    **counting.WRITERS,
    **headers.WRITERS,
    **internet.WRITERS,
    **tunnels.WRITERS,
    **conditions.WRITERS,
    **rewriting.WRITERS,
}
"""What writes the code of each class."""

LONGEST = 30_000
"""Instructions of a program: jumps reach 32,767 of them."""

_CAUSES: Mapping[str, str] = {
    "Queue": "keeps packets for later",
    "Unqueue": "acts by itself",
    "RatedUnqueue": "acts by itself",
    "Shaper": "keeps packets for later",
    "BandwidthShaper": "keeps packets for later",
    "Script": "acts by itself",
    "Print": "writes a log",
}


def sources(graph: Graph) -> Mapping[str, Sequence[str]]:
    """The devices where frames come in, each with the elements that take them."""
    found: dict[str, list[str]] = {}
    for name, one in graph.elements.items():
        if isinstance(one.config, configs.FromDevice):
            found.setdefault(one.config.device, []).append(name)
    return found


def program(graph: Graph, device: str, allotted: Slots, ports: Mapping[str, int], *, probe: bool = False) -> Assembler:
    """What happens to a frame that comes in at a device. `ports` are the interface numbers of devices; a `probe` tells what it
    would send."""
    asm = Assembler(f"the function's program at {device}")
    unstrips = any(one.class_name == "Unstrip" for one in graph.elements.values())
    coder = Coder(asm, graph, allotted, ports, framing.grow_zeroed if unstrips else framing.grow, probe=probe)
    asm.mov(R6, R1)
    asm.store(4, FP, -4, 0)
    asm.map(R1, slots.COUNTS)
    asm.mov(R2, FP)
    asm.add(R2, -4)
    asm.call(Helper.MAP_LOOKUP)
    asm.jump_if(Jump.EQ, R0, 0, coder.drop)
    asm.mov(R9, R0)
    asm.mov(R8, 0)
    asm.store(8, FP, PAINT, 0)
    asm.store(8, FP, GROWN, 0)
    _whole(coder)
    names = sources(graph)[device]
    ways = [lambda context, name=name: coder.block(name, 0, context) for name in names]
    coder.context = Context()
    steering.copies(coder, ways, [coder.changes(name, 0) for name in names])
    coder.write_blocks(WRITERS)
    coder.finish()
    return asm


def _whole(coder: Coder) -> None:
    """Tags are where they were on the wire, room can be made, and all of the frame can be read directly."""
    asm = coder.asm
    untagged, known, linear = asm.label("untagged"), asm.label("known"), asm.label("linear")
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.store(8, FP, LENGTH, 0)
    asm.jump_if(Jump.EQ, R1, 0, untagged)
    asm.store(8, FP, SPACE, 0)
    asm.store(8, FP, SPACE + 8, 0)
    asm.mov(R1, R6)
    asm.mov(R2, FP)
    asm.add(R2, SPACE)
    coder.call("take_tags", framing.take_tags)
    asm.jump_if(Jump.SLT, R0, 0, coder.drop)
    asm.store(8, FP, LENGTH, R0)
    asm.place(untagged)
    if not coder.shifted:
        asm.load(8, R1, FP, LENGTH)
        asm.jump_if(Jump.EQ, R1, 0, known)
    asm.load(4, R1, R6, Skb.PROTOCOL)
    for protocol in (0x0800, 0x86DD):
        asm.jump_if(Jump.EQ, R1, big(protocol), known)
    asm.mov(R1, R6)
    coder.call("disguise", framing.disguise)
    coder.checked()
    asm.place(known)
    _retagged(coder)
    asm.load(4, R1, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    asm.load(4, R3, R6, Skb.LEN)
    asm.sub(R2, R1)
    asm.jump_if(Jump.GE, R2, R3, linear)
    asm.mov(R1, R6)
    asm.mov(R2, R3)
    asm.call(Helper.PULL_DATA)
    coder.checked()
    asm.place(linear)


def _retagged(coder: Coder) -> None:
    """LENGTH bytes of tags from the stack into the frame."""
    asm, untagged = coder.asm, coder.asm.label("no_tags")
    asm.load(8, R3, FP, LENGTH)
    asm.jump_if(Jump.EQ, R3, 0, untagged)
    asm.mov(R1, R6)
    asm.mov(R2, FP)
    asm.add(R2, SPACE)
    coder.call("put_tags", framing.put_tags)
    coder.checked()
    asm.place(untagged)


# -- what cannot be expressed ---------------------------------------------------------------------------------------------


def refusals(graph: Graph) -> list[str]:
    """Why a graph cannot be programs, a sentence for each cause; empty when it can."""
    return causes(graph) or _long(graph)


def causes(graph: Graph) -> list[str]:
    """The same but for programs that are too long, which `too_long` tells of one that is written."""
    found = [*_elements(graph), *_pulled(graph), *_loops(graph)]
    if not sources(graph):
        found.append("There is no FromDevice: a program in the kernel runs only when a frame comes in.")
    if not slots.fits(graph):
        found.append("It has more elements that remember something than one map of the kernel has room for.")
    return found or [*_deep(graph), *_mixed(graph), *_wide(graph)]


def too_long(asm: Assembler, device: str) -> list[str]:
    """Why a program cannot be loaded, if it cannot."""
    return [f"Its program at {device} would have {len(asm)} instructions, more than {LONGEST}."] * (len(asm) > LONGEST)


def _where(graph: Graph, name: str) -> str:
    one = graph.elements[name]
    return f"{name} ({one.class_name}, line {one.line})" if one.line else f"{name} ({one.class_name})"


def _elements(graph: Graph) -> list[str]:
    return [
        f"{_where(graph, name)} {_CAUSES[one.class_name]}, which a program in the kernel cannot do."
        if one.class_name in _CAUSES
        else f"{_where(graph, name)} runs in a process only."
        for name, one in graph.elements.items()
        if one.class_name not in WRITERS
    ]


def _pulled(graph: Graph) -> list[str]:
    return [
        f"{_where(graph, one.target)} pulls from {one.source}, but a program in the kernel only pushes."
        for one in graph.connections
        if one.processing is Processing.PULL and one.source in graph.elements
        if {graph.elements[one.source].class_name, graph.elements[one.target].class_name} <= WRITERS.keys() - {"Idle"}
    ]


def _order(graph: Graph) -> tuple[list[str], set[str]]:
    """The elements, each after all that lead to it; and those that lead to themselves, or come after such."""
    before = {name: {one.source for one in graph.connections if one.target == name} for name in graph.elements}
    done: list[str] = []
    ready = [name for name, sources in before.items() if not sources]
    while ready:
        name = ready.pop()
        done.append(name)
        del before[name]
        for other, leading in before.items():
            if name in leading:
                leading.discard(name)
                if not leading:
                    ready.append(other)
    return done, set(before)


def _loops(graph: Graph) -> list[str]:
    left = _order(graph)[1]
    if not left:
        return []
    name = next(one for one in graph.elements if one in left)
    return [f"Packets can come back to {_where(graph, name)}, but a program in the kernel must come to an end."]


def _deep(graph: Graph) -> list[str]:
    levels: dict[str, int] = {}
    for name in _order(graph)[0]:
        for one in graph.connections:
            if one.source == name:
                own = levels.get(name, 0) + (graph.elements[name].class_name == "Tee")
                levels[one.target] = max(levels.get(one.target, 0), own)
    tees = [name for name, level in levels.items() if graph.elements[name].class_name == "Tee" and level >= DEEPEST - 1]
    return [
        f"{_where(graph, name)} comes after {DEEPEST - 1} others of its kind, more than are supported." for name in tees
    ]


def _mixed(graph: Graph) -> list[str]:
    """Bytes that VLANDecap takes out of the middle are no more before the packet."""
    classes = {one.class_name for one in graph.elements.values()}
    if {"Unstrip", "VLANDecap"} <= classes:
        return ["Unstrip would put back other bytes than were there: VLANDecap moves what is before a packet."]
    return []


def _wide(graph: Graph) -> list[str]:
    more = sum(max(growth(one), 0) for one in graph.elements.values())
    if more <= framing.MOST_ZEROED:
        return []
    return [f"It would put up to {more} bytes in front of a packet, more than {framing.MOST_ZEROED}."]


def _long(graph: Graph) -> list[str]:
    allotted = slots.allotted(graph)
    ports = dict.fromkeys(graph.devices, 1)
    return [why for device in sources(graph) for why in too_long(program(graph, device, allotted, ports), device)]
