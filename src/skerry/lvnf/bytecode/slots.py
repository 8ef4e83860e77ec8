"""Where elements keep what they remember: a slot of 64 bytes in each of two maps, of one large value each.

`counts` has a value for each processor and is written by programs only. `control` is shared: its first words are what programs
obey and remember, the last ones what is taken off counts when they are shown, so that a reset races with nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from skerry.lvnf.graph import Graph

SLOT = 64
WORD = 8
PAGE = 4096
FIRST_SLOTS = PAGE // SLOT
_MOST_SLOTS = 8 * FIRST_SLOTS  # the largest value of a map for each processor is 32 KiB

SCRATCH = 0  # the first slot is nobody's

COUNTS, CONTROL, COPIES, TOLD, FRAMES = "counts", "control", "copies", "told", "frames"

# Words of a slot in `counts`. Counters keep averages of their rates behind these two.
PACKETS, BYTES = 0, 1
DROPS = 1
EPOCH = 2
PACKET_RATE, BYTE_RATE = 3, 5  # each the average, then what was counted in this epoch
LAST_SEEN = 2

# Words of a slot in `control`.
SETTING = 0
ACTIVE = 1
PROBABILITY = 2
LAST, LAST_INDEX = 1, 2
FIRST_SEEN = 0
METER_EPOCH, METER_RATE = 0, 1
FAILURES = 3
BASE = 4  # what is taken off word 0 of `counts`, and so on

STATELESS = frozenset(
    {
        "ARPResponder",
        "Classifier",
        "EtherEncap",
        "EtherMirror",
        "EtherRewrite",
        "ICMPPingResponder",
        "IPClassifier",
        "IPFilter",
        "Idle",
        "NSHEncap",
        "Null",
        "Strip",
        "Tee",
        "Unstrip",
        "VLANDecap",
        "VLANEncap",
    }
)


def flows(number: int) -> str:
    """The map of the flows of an IPRewriter, by its slot."""
    return f"flows{number}"


def ring(number: int) -> str:
    """The map with its next ports and the ring of its flows."""
    return f"ring{number}"


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """The slot of each element that remembers something, and how many there is room for."""

    places: Mapping[str, int]
    room: int = FIRST_SLOTS

    @property
    def size(self) -> int:
        """Bytes of each map's value."""
        return self.room * SLOT

    def at(self, name: str, word: int = 0) -> int:
        """Where a word of an element is."""
        return self.places[name] * SLOT + word * WORD


def stateful(graph: Graph) -> list[str]:
    """The elements that remember something."""
    return [name for name, one in graph.elements.items() if one.class_name not in STATELESS]


def fits(graph: Graph) -> bool:
    """Whether there can be a slot for each."""
    return len(stateful(graph)) < _MOST_SLOTS


def allotted(graph: Graph) -> Slots:
    """Slots of a function that is new."""
    return _with_room({name: at for at, name in enumerate(stateful(graph), 1)})


def reallotted(graph: Graph, slots: Slots, kept: Collection[str]) -> Slots:
    """Slots after a change: `kept` elements stay where they are, others get one that nobody had just before. If there is no
    room for that, all move to larger maps."""
    places = {name: slots.places[name] for name in stateful(graph) if name in kept and name in slots.places}
    taken = set(slots.places.values())
    free = (at for at in range(1, slots.room) if at not in taken)
    for name in stateful(graph):
        if name not in places:
            at = next(free, None)
            if at is None:
                return _with_room({one: at for at, one in enumerate(stateful(graph), 1)}, slots.room * 2)
            places[name] = at
    return Slots(places=places, room=slots.room)


def same(graph: Graph, before: Graph, name: str) -> bool:
    """Whether an element keeps its state over a change."""
    old = before.elements.get(name)
    return old is not None and name in graph.elements and old.class_name == graph.elements[name].class_name


def _with_room(places: dict[str, int], room: int = FIRST_SLOTS) -> Slots:
    room = min(room, _MOST_SLOTS)
    while room <= len(places):
        room *= 2
    return Slots(places=places, room=room)
