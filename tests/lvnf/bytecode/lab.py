"""Functions in the kernel without interfaces: programs run on single frames and tell what they would send."""

from __future__ import annotations

import shutil
import struct
import uuid
from types import TracebackType

from skerry.dataplane.ebpf.kernel import Map, MapKind, Program, ensure_bpffs
from skerry.dataplane.ebpf.ring import Ring
from skerry.lvnf.backends.ebpf import ROOT
from skerry.lvnf.backends.kernelstate import Memory
from skerry.lvnf.bytecode import framing, handling, program, slots
from skerry.lvnf.checking import read
from skerry.lvnf.graph import Graph

Sent = list[tuple[str, bytes]]


class Lab:
    """A graph as probes."""

    def __init__(self, text: str | Graph) -> None:
        ensure_bpffs()
        self.graph = read(text) if isinstance(text, str) else text
        assert program.refusals(self.graph) == []
        self._folder = ROOT / f"lab-{uuid.uuid4().hex}"
        allotted = slots.allotted(self.graph)
        self._memory = Memory.make(self._folder, self.graph, allotted)
        self._told = Map.create(MapKind.RINGBUF, 0, 0, 1 << 18, "told")
        self._frames = Map.create(MapKind.PERCPU_ARRAY, 4, framing.COPY_ROOM, 1, "frames")
        maps = {**self._memory.descriptors(), slots.TOLD: self._told.fd, slots.FRAMES: self._frames.fd}
        self._programs: dict[str, Program] = {}
        try:
            for device in program.sources(self.graph):
                asm = program.program(self.graph, device, allotted, {}, probe=True)
                self._programs[device] = Program.load(asm.assemble(maps), "lab")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for one in (*self._programs.values(), self._told, self._frames):
            one.close()
        self._memory.close()
        shutil.rmtree(self._folder)

    def run(self, frame: bytes, device: str = "eth0") -> Sent:
        """What leaves when this comes in."""
        self._programs[device].run(frame)
        ring = Ring(self._told)
        try:
            found = list(ring.records())
        finally:
            ring.close()
        return [(self.graph.devices[struct.unpack_from("<I", one)[0]], one[8:]) for one in found]

    def send(self, frame: bytes, device: str = "eth0") -> list[bytes]:
        """The same without the devices."""
        return [sent for _, sent in self.run(frame, device)]

    def read(self, element: str, handler: str) -> str:
        """A handler's value."""
        one = self.graph.elements[element]
        return handling.READS[one.class_name][handler](self._memory, one)

    def write(self, element: str, handler: str, value: str = "") -> None:
        """Write a handler."""
        one = self.graph.elements[element]
        handling.WRITES[one.class_name][handler](self._memory, one, value)
