"""The maps in which a function in the kernel remembers: made, opened, read and written, and carried over a change."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from skerry.dataplane.ebpf.kernel import MMAPABLE, NO_PREALLOC, Map, MapKind, used
from skerry.lvnf.bytecode import framing, handling, rewriting, slots
from skerry.lvnf.bytecode.slots import Slots
from skerry.lvnf.graph import Graph

_KEY = bytes(4)
_WORDS = 1 << 64
_SET = 4  # words of `control` that are no bases
_COUNTED = 2  # words of `counts` that have a base


class Memory:
    """The maps of a function, and where in them its elements are (fits `handling.State`)."""

    def __init__(self, folder: Path, maps: dict[str, Map], allotted: Slots) -> None:
        self._folder, self._maps, self._slots = folder, maps, allotted
        self._control: mmap.mmap | None = None
        self._closed = False

    @classmethod
    def make(cls, folder: Path, graph: Graph, allotted: Slots) -> Memory:
        """New maps, with what handlers set at first."""
        folder.mkdir(parents=True, mode=0o700)
        found = cls(folder, {}, allotted)
        found._add_flows(graph, graph.elements)
        found._add(slots.COUNTS, MapKind.PERCPU_ARRAY, allotted.size, 1)
        found._add(slots.CONTROL, MapKind.ARRAY, allotted.size, 1, MMAPABLE)
        found._add_copies(graph)
        found.begin(graph, graph.elements)
        return found

    @classmethod
    def open(cls, folder: Path, allotted: Slots) -> Memory:
        """The maps that an earlier call made."""
        return cls(folder, {path.name: Map.open(path) for path in folder.iterdir()}, allotted)

    @staticmethod
    def used(path: Path) -> int:
        """Bytes that a pinned map takes."""
        one = Map.open(path)
        try:
            return used(one.fd)[0]
        finally:
            one.close()

    def again(self, graph: Graph, allotted: Slots) -> Memory:
        """The same maps for a changed graph."""
        found = Memory(self._folder, self._maps, allotted)
        found._control = self._mapped()
        found._add_copies(graph)
        return found

    def _add(self, name: str, kind: MapKind, size: int, entries: int, flags: int = 0) -> None:
        one = self._maps[name] = Map.create(kind, 4, size, entries, name, flags)
        one.pin(self._folder / name)

    def _add_copies(self, graph: Graph) -> None:
        """Room for frames that are moved, and for one on each level of copies."""
        levels, known = framing.copies_needed(graph), self._maps.get(slots.COPIES)
        if known is not None and known.entries < levels:
            known.close()
            (self._folder / slots.COPIES).unlink()
        if levels and (known is None or known.entries < levels):
            self._add(slots.COPIES, MapKind.PERCPU_ARRAY, framing.COPY_ROOM, levels)

    def _add_flows(self, graph: Graph, names: Collection[str]) -> None:
        """Maps for those of these elements that know flows."""
        for name in names:
            if graph.elements[name].class_name == "IPRewriter":
                number = self._slots.places[name]
                self._replace(slots.flows(number), rewriting.KEY, rewriting.VALUE, 2 * rewriting.MOST_FLOWS)
                self._replace(slots.ring(number), 4, rewriting.ROOM, 1)

    def _replace(self, name: str, key: int, value: int, entries: int) -> None:
        """A map of this name that is empty."""
        kind, flags = (MapKind.ARRAY, 0) if entries == 1 else (MapKind.HASH, NO_PREALLOC)
        if name in self._maps:
            self._maps.pop(name).close()
            (self._folder / name).unlink()
        one = self._maps[name] = Map.create(kind, key, value, entries, name, flags)
        one.pin(self._folder / name)

    def flows(self, name: str) -> dict[bytes, bytes]:
        """The flows that an element knows."""
        return dict(self._maps[slots.flows(self._slots.places[name])].items())

    def forget(self, name: str) -> None:
        """It knows none any more."""
        one = self._maps[slots.flows(self._slots.places[name])]
        for key in self.flows(name):
            one.delete(key)

    def descriptors(self) -> Mapping[str, int]:
        """The maps as programs are loaded with them."""
        return {name: one.fd for name, one in self._maps.items()}

    def close(self) -> None:
        """Let go of the maps."""
        if self._control is not None and not self._control.closed:
            self._control.close()
        for one in self._maps.values():
            one.close()

    # -- words ------------------------------------------------------------------------------------------------------------

    def counts(self, name: str, word: int) -> list[int]:
        """A word of `counts`, of each processor."""
        data = self._maps[slots.COUNTS].get(_KEY) or b""
        at, size = self._slots.at(name, word), self._slots.size
        return [struct.unpack_from("<Q", data, start + at)[0] for start in range(0, len(data), size)]

    def control(self, name: str, word: int) -> int:
        """A word of `control`."""
        return int(struct.unpack_from("<Q", self._mapped(), self._slots.at(name, word))[0])

    def set(self, name: str, word: int, value: int) -> None:
        """Another value for a word of `control`; programs see it at once."""
        struct.pack_into("<Q", self._mapped(), self._slots.at(name, word), value % _WORDS)

    def now(self) -> int:
        """The time that programs see."""
        return time.monotonic_ns()

    def _mapped(self) -> mmap.mmap:
        if self._control is None:
            one = self._maps[slots.CONTROL]
            size = -(-one.value_size // mmap.PAGESIZE) * mmap.PAGESIZE
            self._control = mmap.mmap(one.fd, size)
        return self._control

    # -- over a change ----------------------------------------------------------------------------------------------------

    def begin(self, graph: Graph, names: Collection[str]) -> None:
        """Elements that are new: their words are as at first, and what others counted there does not count."""
        for name in self._slots.places.keys() & names:
            first = handling.initial(graph.elements[name])
            for word in range(slots.SLOT // slots.WORD):
                self.set(name, word, first.get(word, 0))
            for word in range(_COUNTED):
                self.set(name, slots.BASE + word, sum(self.counts(name, word)))

    def carry(self, before: Memory, graph: Graph, old: Graph, stays: Collection[str], *, moved: bool) -> None:
        """What is remembered, before the programs change: new words for those that do not stay; in new maps, the old words of
        those that do."""
        fresh = [name for name in graph.elements if moved or name not in stays]
        self.begin(graph, fresh)
        self._add_flows(graph, [name for name in fresh if not moved])
        for name in _both(graph, old, self._slots, before._slots):
            if moved and name in stays:
                self._inherit(before, name)
                for word in range(_SET):
                    self.set(name, word, before.control(name, word))

    def _inherit(self, before: Memory, name: str) -> None:
        """Other maps for its state, the same flows."""
        for kind in (slots.flows, slots.ring):
            known = before._maps.get(kind(before._slots.places[name]))
            if known is not None:
                mine = kind(self._slots.places[name])
                self._maps.pop(mine).close()
                (self._folder / mine).unlink()
                known.pin(self._folder / mine)
                self._maps[mine] = Map.open(self._folder / mine)

    def add_counts(self, before: Memory, graph: Graph, old: Graph, stays: Collection[str], *, moved: bool) -> None:
        """What was counted by the programs before, now that they run no more."""
        for name in _both(graph, old, self._slots, before._slots):
            if moved or name not in stays:
                for word in range(_COUNTED):
                    more = handling.total(before, name, word)
                    self.set(name, slots.BASE + word, self.control(name, slots.BASE + word) - more)


def _both(graph: Graph, old: Graph, new_slots: Slots, old_slots: Slots) -> Iterator[str]:
    """Elements that were and are, with the same class."""
    for name in new_slots.places:
        if name in old_slots.places and slots.same(graph, old, name):
            yield name
