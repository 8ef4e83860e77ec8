"""Runs graphs as programs of the kernel, one at each port where frames come in (TCX). There is no process: what is pinned in
the BPF file system goes on by itself, and nothing of it is held open here. Blocking calls.

Frames have to come in whole: the senders at the other ends of veth pairs are made to compute checksums and to cut segments
themselves, since what a program puts in front of a frame would not be known to a receiver that has to do it for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import msgspec

from skerry.dataplane.ebpf.kernel import BPFFS, Link, Program, ensure_bpffs, used
from skerry.errors import ConflictError, DriverError, NotFoundError, UnsupportedError
from skerry.linux import namespaces, offload
from skerry.lvnf import wire
from skerry.lvnf.backend import Handler, HandlerKind, Place, Usage
from skerry.lvnf.backends.kernelstate import Memory
from skerry.lvnf.bytecode import handling, program, slots
from skerry.lvnf.bytecode.slots import Slots
from skerry.lvnf.graph import Graph
from skerry.lvnf.unparsing import flat_text, ports_text

ROOT = BPFFS / "skerry" / "lvnf"
NOTE, NEXT = "ebpf.json", "ebpf-next.json"
_VERSION = "2.1"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of a running function: its graph, where its elements keep what they remember, the number of its
    maps, the programs by device, and the interfaces whose other ends were made to send whole frames."""

    graph: msgspec.Raw
    places: dict[str, int]
    room: int
    generation: int
    programs: dict[str, int]
    switched: tuple[str, ...] = ()

    @property
    def slots(self) -> Slots:
        """As the programs were written."""
        return Slots(places=self.places, room=self.room)


class EbpfRunning:
    """A function in the kernel (fits `backend.Running`)."""

    def __init__(self, place: Place, note: Note, graph: Graph) -> None:
        self._place, self._note, self._graph = place, note, graph
        self._lock = threading.RLock()

    @property
    def graph(self) -> Graph:
        return self._graph

    # -- handlers ---------------------------------------------------------------------------------------------------------

    def handlers(self) -> Sequence[Handler]:
        found = [Handler(element="", name=name, kind=HandlerKind.READ) for name in _WHOLE]
        found.append(Handler(element="", name="stop", kind=HandlerKind.WRITE))
        for name in self._graph.elements:
            found += self._handlers_of(name)
        return found

    def _handlers_of(self, name: str) -> list[Handler]:
        generic = [Handler(element=name, name=one, kind=HandlerKind.READ) for one in _GENERIC]
        return generic + handling.handlers(self._graph.elements[name])

    def read(self, element: str, handler: str) -> str:
        handler = handler.partition(" ")[0]
        if element == "" and handler in _WHOLE:
            return self._whole(handler)
        one = self._graph.elements.get(element)
        if one is None:
            raise _missing(element, handler)
        if handler in _GENERIC:
            return self._generic(element, handler)
        read = handling.READS.get(one.class_name, {}).get(handler)
        if read is None:
            raise _missing(element, handler)
        with self._memory() as memory:
            return read(memory, one)

    def write(self, element: str, handler: str, value: str) -> None:
        if element == "" and handler == "stop":
            self.stop()
            return
        one = self._graph.elements.get(element)
        write = handling.WRITES.get(one.class_name, {}).get(handler) if one else None
        if one is None or write is None:
            raise _missing(element, handler)
        with self._memory() as memory:
            write(memory, one, value)

    def _whole(self, handler: str) -> str:
        elements = self._graph.elements
        if handler == "list":
            return f"{len(elements)}\n" + "".join(f"{name}\n" for name in elements)
        if handler == "handlers":
            return _handler_lines([one for one in self.handlers() if not one.element])
        return {
            "version": _VERSION,
            "classes": "".join(f"{name}\n" for name in program.WRITERS),
            "config": self._graph.text or flat_text(self._graph),
            "flatconfig": flat_text(self._graph),
            "requirements": "",
            "driver": "ebpf",
        }[handler]

    def _generic(self, name: str, handler: str) -> str:
        element = self._graph.elements[name]
        if handler == "handlers":
            return _handler_lines(self._handlers_of(name))
        if handler == "ports":
            return ports_text(self._graph, name)
        return {"name": name, "class": element.class_name, "config": element.text}[handler]

    @contextlib.contextmanager
    def _memory(self) -> Generator[Memory]:
        with self._lock:
            if not self.alive():
                raise ConflictError(
                    f"cannot ask {self._place.name}: it is not running", suggestion="start it, then ask again"
                )
            memory = Memory.open(_maps(self._place, self._note.generation), self._note.slots)
            try:
                yield memory
            finally:
                memory.close()

    # -- life -------------------------------------------------------------------------------------------------------------

    def alive(self) -> bool:
        try:
            return all(_ends(self._place, device) == (id, True) for device, id in self._note.programs.items())
        except DriverError:
            return False

    def usage(self) -> Usage:
        memory, nanoseconds = 0, 0
        with self._lock:
            for path in _maps(self._place, self._note.generation).glob("*"):
                memory += Memory.used(path)
            for id in self._note.programs.values():
                with contextlib.suppress(DriverError):
                    one = Program.numbered(id)
                    more, ran = used(one.fd)
                    one.close()
                    memory, nanoseconds = memory + more, nanoseconds + ran
        return Usage(memory_bytes=memory, cpu_seconds=nanoseconds / 1e9)

    def replace(self, graph: Graph) -> None:
        _refused(program.causes(graph))
        with self._lock:
            if not self.alive():
                raise ConflictError(
                    f"cannot change {self._place.name}: it is not running", suggestion="start it with the new graph"
                )
            self._note = _swapped(self._place, self._note, self._graph, graph)
            self._graph = graph

    def stop(self) -> None:
        with self._lock:
            _clear(self._place)

    def detach(self) -> None:
        """There is nothing to let go of: what is pinned is opened for each question."""


class EbpfBackend:
    """Runs graphs in the kernel (fits `backend.Backend`)."""

    name = "ebpf"

    def __init__(self) -> None:
        self._swept = False

    def refusals(self, graph: Graph) -> Sequence[str]:
        return program.refusals(graph)

    def start(self, graph: Graph, place: Place) -> EbpfRunning:
        _refused(program.causes(graph))
        ensure_bpffs()
        if not self._swept:
            self._swept = True
            _sweep()
        _clear(place)
        place.folder.mkdir(parents=True, exist_ok=True)
        allotted = slots.allotted(graph)
        try:
            with _inside(place):
                note = _begun(place, graph, allotted)
        except BaseException:
            _clear(place)
            raise
        return EbpfRunning(place, note, graph)

    def adopt(self, place: Place) -> EbpfRunning | None:
        """What a crash left half changed is changed wholly; a function that lost a port is none."""
        notes = [note for name in (NEXT, NOTE) if (note := _read(place.folder / name))]
        for note in notes:
            running = EbpfRunning(place, note, wire.unpacked(bytes(note.graph)))
            if running.alive():
                _settle(place, note)
                return running
        if len(notes) < 2:
            return None
        return _mended(place, *notes)


def _begun(place: Place, graph: Graph, allotted: Slots) -> Note:
    """Maps, programs, the note, and then the links: frames move. Inside the namespace."""
    ports = _ports(place, graph)
    folder = _maps(place, 1)
    memory = Memory.make(folder, graph, allotted)
    try:
        programs = _loaded(graph, allotted, ports, memory)
    finally:
        memory.close()
    try:
        switched = tuple(
            one for one in (_interface(place, device) for device in programs) if offload.set_peer_checksums(one, False)
        )
        note = _note(graph, allotted, 1, programs, switched)
        _write(place.folder / NOTE, note)
        for device, one in programs.items():
            _link(place, device, one, ports[device])
    finally:
        for one in programs.values():
            one.close()
    return note


def _swapped(place: Place, before: Note, old: Graph, graph: Graph) -> Note:
    """Everything is made, then the links lead to it, one call each; what counted on until then is added at the end."""
    stays = {
        name
        for name in before.places
        if slots.same(graph, old, name) and handling.stays(graph.elements[name], old.elements[name])
    }
    allotted = slots.reallotted(graph, before.slots, stays)
    moved = allotted.room != before.room
    generation = before.generation + 1 if moved else before.generation
    with _inside(place):
        ports = _ports(place, graph)
        shared = Memory.open(_maps(place, before.generation), before.slots)
        memory = Memory.make(_maps(place, generation), graph, allotted) if moved else shared.again(graph, allotted)
        programs: dict[str, Program] = {}
        try:
            memory.carry(shared, graph, old, stays, moved=moved)
            programs = _loaded(graph, allotted, ports, memory)
            switched = _switch_more(place, before, programs)
            note = _note(graph, allotted, generation, programs, switched)
            _write(place.folder / NEXT, note)
            _relink(place, before, programs, ports)
            memory.add_counts(shared, graph, old, stays, moved=moved)
        finally:
            for one in programs.values():
                one.close()
            memory.close()
            shared.close()
    _settle(place, note)
    return note


def _switch_more(place: Place, before: Note, programs: Mapping[str, Program]) -> tuple[str, ...]:
    new = [_interface(place, device) for device in programs if device not in before.programs]
    return before.switched + tuple(one for one in new if offload.set_peer_checksums(one, False))


def _relink(place: Place, before: Note, programs: Mapping[str, Program], ports: Mapping[str, int]) -> None:
    for device, one in programs.items():
        path = _pin(place, device)
        if path.exists():
            link = Link.open(path)
            try:
                link.replace(one)
            finally:
                link.close()
        else:
            _link(place, device, one, ports[device])
    for device in before.programs.keys() - programs.keys():
        _unlink(_pin(place, device))


def _mended(place: Place, wanted: Note, before: Note) -> EbpfRunning | None:
    """Some links lead to the new programs, some to the old ones."""
    there = [_ends(place, device) for device in before.programs]
    if not all(alive for _, alive in there):
        return None
    graph, old = wire.unpacked(bytes(wanted.graph)), wire.unpacked(bytes(before.graph))
    note = _swapped(place, before, old, graph)
    return EbpfRunning(place, note, graph)


def _loaded(graph: Graph, allotted: Slots, ports: Mapping[str, int], memory: Memory) -> dict[str, Program]:
    found: dict[str, Program] = {}
    try:
        for device in program.sources(graph):
            asm = program.program(graph, device, allotted, ports)
            _refused(program.too_long(asm, device))
            found[device] = Program.load(asm.assemble(memory.descriptors()), "skerry_lvnf")
    except BaseException:
        for one in found.values():
            one.close()
        raise
    return found


def _refused(causes: Sequence[str]) -> None:
    if causes:
        raise UnsupportedError(
            f"cannot run this configuration in the kernel: {causes[0]}",
            suggestion="let it run as a process, or change the configuration",
        )


# -- what is written down ---------------------------------------------------------------------------------------------------


def _note(
    graph: Graph, allotted: Slots, generation: int, programs: Mapping[str, Program], switched: tuple[str, ...]
) -> Note:
    return Note(
        graph=msgspec.Raw(wire.packed(graph)),
        places=dict(allotted.places),
        room=allotted.room,
        generation=generation,
        programs={device: one.id for device, one in programs.items()},
        switched=switched,
    )


def _write(path: Path, note: Note) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(note))
    fresh.replace(path)


def _read(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _settle(place: Place, note: Note) -> None:
    """This note is what runs; maps of others go."""
    _write(place.folder / NOTE, note)
    (place.folder / NEXT).unlink(missing_ok=True)
    for folder in _home(place).glob("maps-*"):
        if folder != _maps(place, note.generation):
            shutil.rmtree(folder, ignore_errors=True)


# -- the kernel -------------------------------------------------------------------------------------------------------------


def _home(place: Place) -> Path:
    """Where everything of a function is pinned; names of that file system have no dots."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", place.name)[:64]
    return ROOT / f"{plain}-{hashlib.sha256(str(place.folder.resolve()).encode()).hexdigest()[:12]}"


def _maps(place: Place, generation: int) -> Path:
    return _home(place) / f"maps-{generation}"


def _pin(place: Place, device: str) -> Path:
    return _home(place) / f"link-{device.encode().hex()}"


def _interface(place: Place, device: str) -> str:
    return place.devices.get(device, device)


def _ports(place: Place, graph: Graph) -> dict[str, int]:
    found: dict[str, int] = {}
    for device in graph.devices:
        try:
            found[device] = socket.if_nametoindex(_interface(place, device))
        except OSError:
            raise DriverError(
                f"cannot run {place.name}: there is no interface {_interface(place, device)} for its port {device}",
                suggestion="make the interface first, or name another one for this port",
            ) from None
    return found


@contextlib.contextmanager
def _inside(place: Place) -> Generator[None]:
    if place.namespace is None:
        yield
        return
    if not place.namespace.exists():
        raise DriverError(
            f"cannot run {place.name}: there is no network namespace at {place.namespace}", suggestion="make it first"
        )
    with namespaces.inside(place.namespace):
        yield


def _link(place: Place, device: str, one: Program, index: int) -> None:
    link = Link.attach(one, index)
    try:
        link.pin(_pin(place, device))
    finally:
        link.close()


def _unlink(path: Path) -> None:
    """Detached at once, not only when the kernel gets to it."""
    with contextlib.suppress(DriverError):
        link = Link.open(path)
        with contextlib.suppress(DriverError):
            link.detach()
        link.close()
    path.unlink(missing_ok=True)


def _ends(place: Place, device: str) -> tuple[int, bool]:
    """The program at a port, and whether the port is still there. `DriverError` if it has no link."""
    link = Link.open(_pin(place, device))
    try:
        id, index = link.ends
    finally:
        link.close()
    return id, bool(index)


def _clear(place: Place) -> None:
    """Nothing of a function stays."""
    home = _home(place)
    note = _read(place.folder / NEXT) or _read(place.folder / NOTE)
    for path in home.glob("link-*"):
        _unlink(path)
    shutil.rmtree(home, ignore_errors=True)
    if note and note.switched:
        with contextlib.suppress(OSError, DriverError), _inside(place):
            for interface in note.switched:
                offload.set_peer_checksums(interface, True)
    for name in (NOTE, NEXT):
        (place.folder / name).unlink(missing_ok=True)


def _sweep() -> None:
    """What is left of functions whose ports are gone, of whatever node: they can never run again, and may have lost the folder
    by which they would be found."""
    for home in ROOT.glob("*"):
        links = list(home.glob("link-*"))
        if links and not any(_leads_somewhere(path) for path in links):
            for path in links:
                _unlink(path)
            shutil.rmtree(home, ignore_errors=True)


def _leads_somewhere(path: Path) -> bool:
    """Whether a link's port is there; in doubt, it is."""
    try:
        link = Link.open(path)
    except DriverError:
        return True
    try:
        return bool(link.ends[1])
    finally:
        link.close()


_WHOLE = ("version", "list", "classes", "config", "flatconfig", "requirements", "driver", "handlers")
_GENERIC = ("name", "class", "config", "ports", "handlers")
_LETTERS = {HandlerKind.READ: "r", HandlerKind.WRITE: "w", HandlerKind.BOTH: "rw"}


def _handler_lines(found: Sequence[Handler]) -> str:
    return "".join(f"{one.name}\t{_LETTERS[one.kind]}\n" for one in found)


def _missing(element: str, handler: str) -> NotFoundError:
    return NotFoundError(
        f"cannot find the handler {handler[:80]!r} of {element[:80] or 'the function'!r}",
        suggestion="read the handler list for those there are",
    )
