"""A generation in the kernel: the maps of a plan, its program, and the note from which a restart reads all of it again."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.dataplane.driver import Counted, Emitted, Probed
from skerry.dataplane.ebpf import layout, program
from skerry.dataplane.ebpf.acting_name import NAME_SIZE, key_of
from skerry.dataplane.ebpf.classify import Reader
from skerry.dataplane.ebpf.kernel import Map, MapKind, Program
from skerry.dataplane.ebpf.program import RECORD_HEAD, Plan
from skerry.dataplane.ebpf.ring import Ring
from skerry.dataplane.ebpf.shapes import Shape, decode
from skerry.dataplane.flows import Actions, Domain, Field, Group, Match, Meter, Named, Rule, Term

TOLD_ROOM = 1 << 18
_U32 = struct.Struct("<I")


class Look(msgspec.Struct, frozen=True):
    """How the rules of a tuple are read back: what they have in common, what differs, the record where nothing does."""

    table: int
    fixed: tuple[Term, ...]
    keyed: tuple[tuple[int, int], ...]
    record: int


class Note(msgspec.Struct, frozen=True):
    """What a generation says of itself, kept in the kernel beside it."""

    revision: int
    looks: tuple[Look, ...]
    shapes: tuple[Shape, ...]
    rules: int
    groups: tuple[Group, ...]
    meters: tuple[Meter, ...]
    domains: tuple[Domain, ...]
    names: tuple[Named, ...] = ()


class Generation:
    """Maps and program, pinned in one folder."""

    def __init__(self, folder: Path, note: Note, maps: Mapping[str, Map], main: Program, plan: Plan | None) -> None:
        self.folder, self.note, self.maps, self.main = folder, note, maps, main
        self._plan = plan
        self._probe: tuple[Program, Map] | None = None

    @classmethod
    def make(cls, folder: Path, plan: Plan, revision: int, shared: Mapping[str, Map]) -> Generation:
        """All of a plan into the kernel. Nothing is in effect yet; on failure nothing stays."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note = _note(plan, revision)
        maps: dict[str, Map] = {}
        try:
            _fill(plan, maps)
            maps["note"] = note_map(msgspec.json.encode(note))
            code = program.main(plan).assemble({name: one.fd for name, one in {**shared, **maps}.items()})
            main = Program.load(code, "skerry")
        except BaseException:
            for one in maps.values():
                one.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for name, one in maps.items():
            one.pin(folder / name)
        main.pin(folder / "main")
        return cls(folder, note, maps, main, plan)

    @classmethod
    def open(cls, folder: Path) -> Generation:
        """The generation that an earlier process made."""
        maps = {path.name: Map.open(path) for path in folder.iterdir() if path.name != "main"}
        note = msgspec.json.decode(note_text(maps["note"]), type=Note)
        return cls(folder, note, maps, Program.open(folder / "main"), None)

    def close(self) -> None:
        """Let go; what is pinned stays."""
        for one in (*self.maps.values(), self.main):
            one.close()
        if self._probe:
            self._probe[0].close()
            self._probe[1].close()
            self._probe = None

    def remove(self) -> None:
        """Forget it in the kernel too."""
        self.close()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

    def counted(self, counters: Map) -> list[tuple[Counted, int]]:
        """Every rule, read from the maps, with the place of its counter, in the order in which they were put."""
        records = self.maps["rules"].items()
        counts = _counts(counters, records, self.note.rules)
        found: list[tuple[int, Counted, int]] = []
        decoder = _Decoder(self.note.shapes)
        for at, look in enumerate(self.note.looks):
            keys = [(b"", look.record)] if not look.keyed else self._keys(at)
            reader = Reader(look.fixed, look.keyed)
            for key, record in keys:
                rule, counter = decoder.rule(reader.match(key), records[record][1])
                found.append((record, _counted(rule, counts.get(_U32.pack(counter), b"")), counter))
        return [(counted, counter) for _, counted, counter in sorted(found, key=lambda one: one[0])]

    def _keys(self, at: int) -> list[tuple[bytes, int]]:
        return [(key, struct.unpack_from("<I", value, 4)[0]) for key, value in self.maps[f"t{at}"].items()]

    def probe(self, plan: Plan, shared: Mapping[str, Map], port: int, frame: bytes) -> Probed:
        """Run a frame through a program that tells instead of sending."""
        if self._probe is None:
            told = Map.create(MapKind.RINGBUF, 0, 0, TOLD_ROOM, "told")
            known = {name: one.fd for name, one in {**shared, **self.maps, "told": told}.items()}
            self._probe = (Program.load(program.main(plan, probe=True).assemble(known), "skerry_probe"), told)
        ring = Ring(self._probe[1])
        try:
            self._probe[0].run(frame, cb=(port,))
            return _probed(list(ring.records()))
        finally:
            ring.close()


def _counts(counters: Map, records: list[tuple[bytes, bytes]], rules: int) -> Mapping[bytes, bytes]:
    """The counters of the rules: all of the map with few calls, or one by one where they are few of many."""
    if rules * 8 > counters.entries:
        return dict(counters.items())
    places = (record[16:20] for _, record in records[:rules])
    return {place: counters.get(place) or b"" for place in places}


def _probed(records: list[bytes]) -> Probed:
    outputs: list[Emitted] = []
    cookies: list[int] = []
    for record in records:
        kind, port = struct.unpack_from("<II", record)
        if kind == 2:
            cookies.append(struct.unpack_from("<Q", record, 8)[0])
            continue
        size, tag = struct.unpack_from("<II", record, 8)
        frame = record[16 : 16 + size]
        if tag:
            frame = frame[:12] + struct.pack("<H", tag >> 16) + struct.pack(">H", tag & 0xFFFF) + frame[12:]
        outputs.append(Emitted(port=port, frame=frame))
    return Probed(outputs=tuple(outputs), cookies=tuple(cookies), dry=True)


class _Decoder:
    """Reads records; rules of the same actions share them."""

    def __init__(self, shapes: tuple[Shape, ...]) -> None:
        self._shapes = [tuple(step for step in shape if step.do != "seen") for shape in shapes]
        self._known: dict[tuple[int, bytes], tuple[Actions, ...]] = {}

    def rule(self, match: Match, record: bytes) -> tuple[Rule, int]:
        """The rule of a match and a record, and the place of its counter."""
        priority, number, cookie, counter, table = RECORD_HEAD.unpack_from(record)
        data = record[RECORD_HEAD.size :]
        actions = self._known.get((number, data))
        if actions is None:
            actions = self._known[number, data] = decode(self._shapes[number], data)
        return Rule(table=table, priority=priority, match=match, actions=actions, cookie=cookie), counter


def _counted(rule: Rule, data: bytes) -> Counted:
    """A rule with what all processors have counted."""
    values = struct.unpack(f"<{len(data) // 8}Q", data)
    return Counted(rule=rule, packets=sum(values[::2]), bytes=sum(values[1::2]))


def _note(plan: Plan, revision: int) -> Note:
    looks = tuple(
        Look(
            one.table,
            one.fixed,
            tuple((int(field), mask) for field, mask in one.keyed),
            -1 if one.keyed else next(iter(one.rules.values())),
        )
        for one in plan.tuples
    )
    state = plan.state
    return Note(
        revision,
        looks,
        tuple(plan.shapes),
        len(state.rules),
        state.groups,
        state.meters,
        state.domains,
        state.names,
    )


def note_map(text: bytes, room: int = 0) -> Map:
    """A map that holds a text; with `room`, also longer ones later."""
    found = Map.create(MapKind.ARRAY, 4, max(room, len(text) + 4 + 4095 & ~4095), 1, "note")
    write_note(found, text)
    return found


def write_note(target: Map, text: bytes) -> None:
    """Another text into a `note_map`."""
    target.put(bytes(4), (_U32.pack(len(text)) + text).ljust(target.value_size, b"\0"))


def note_text(source: Map) -> bytes:
    """What `note_map` holds."""
    data = source.get(bytes(4)) or bytes(4)
    return data[4 : 4 + _U32.unpack_from(data)[0]]


def _fill(plan: Plan, maps: dict[str, Map]) -> None:
    """The maps of a plan, each put into `maps` as soon as it is there."""
    _array(maps, "rules", plan.records, plan.record_size)
    _array(maps, "slots", [_U32.pack(one) for one in plan.slots], 4)
    _array(maps, "meters", plan.meters, 24)
    _array(maps, "domains", plan.domains, 16 + 16 * plan.members)
    if Field.NAME in plan.needs.fields:
        names = plan.state.names
        found = maps["names"] = Map.create(MapKind.LPM_TRIE, 4 + NAME_SIZE, 4, max(len(names), 1), "names")
        found.put_many({key_of(one.name): one.id.to_bytes(4, "big") for one in names})
    priorities = [rule.priority for rule in plan.state.rules]
    for at, one in enumerate(plan.tuples):
        if one.keyed:
            found = maps[f"t{at}"] = Map.create(MapKind.HASH, one.key_size, 8, len(one.rules), f"t{at}")
            found.put_many({key: struct.pack("<II", priorities[rule], rule) for key, rule in one.rules.items()})


def _array(maps: dict[str, Map], name: str, values: list[bytes], size: int) -> None:
    found = maps[name] = Map.create(MapKind.ARRAY, 4, max(size, 8), max(len(values), 1), name)
    found.put_many({_U32.pack(at): value.ljust(max(size, 8), b"\0") for at, value in enumerate(values)})


def scratch_map() -> Map:
    """The scratch of the programs, with room for what a probe tells."""
    return Map.create(MapKind.PERCPU_ARRAY, 4, layout.SCRATCH + 16 + layout.FRAME_ROOM, 1, "scratch")
