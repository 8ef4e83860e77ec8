"""A device in the kernel: maps that all generations share, the generation in effect, a link at each port. Blocking calls.

All of it is pinned in one folder of the BPF file system, so that forwarding goes on without us and another process finds it.
What a change makes is complete before one map entry puts it in effect.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from skerry.dataplane.driver import DeviceSpec, Effective, Probed, Remembered
from skerry.dataplane.ebpf import acting_flow, acting_gtp, entries, peers, program, remembering, sessions
from skerry.dataplane.ebpf.acting_name import ASKED_SIZE
from skerry.dataplane.ebpf.assembler import R0, R1, R2, R3, Assembler
from skerry.dataplane.ebpf.generation import Generation, note_map, note_text, scratch_map, write_note
from skerry.dataplane.ebpf.kernel import NO_PREALLOC, Link, Map, MapKind, Program
from skerry.dataplane.ebpf.layout import Helper, Skb
from skerry.dataplane.ebpf.peers import MOST_STRAIGHT, STRAIGHT
from skerry.dataplane.ebpf.program import Plan
from skerry.dataplane.ebpf.shapes import TUNNEL_SIZE
from skerry.dataplane.ebpf.writing import REASONS
from skerry.dataplane.flows import Change, DeviceState, Dropped, Origin, PortKind, PortState, Session
from skerry.dataplane.state import changed, check
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError
from skerry.linux import namespaces, netlink, offload, syscalls

MOST_SESSIONS, MOST_PINS, MOST_MACS = 1 << 16, 1 << 15, 1 << 14
COUNTERS = 1024
MOST_CONNS, MOST_PARTS, MOST_DROPS = 1 << 16, 1 << 12, 1 << 12
SPEC_ROOM = 1 << 18
EVENTS_ROOM = 1 << 16
VXLAN_PORT = 4789
_U32 = struct.Struct("<I")
_INGRESS = 1
_GET_MTU = 0x8921


class Attached(msgspec.Struct, frozen=True):
    """A port as it was attached: its interface's number, whether the checksums at its far end were switched off by us,
    whether we made the interface, and its MTU."""

    port: PortState
    ifindex: int
    interface: str
    switched: bool = False
    made: bool = False
    mtu: int = 1500


class _Kept(msgspec.Struct, frozen=True):
    spec: DeviceSpec
    ports: tuple[Attached, ...] = ()


class Device:
    """One device."""

    def __init__(self, folder: Path, kept: _Kept, shared: dict[str, Map]) -> None:
        self.folder, self.spec = folder, kept.spec
        self.ports = {one.port.number: one for one in kept.ports}
        self.shared = shared
        self._generation: Generation | None = None
        self._plan: Plan | None = None
        self._state = DeviceState(device=kept.spec.name)
        self._counters: dict[Any, int] = {}
        self._number = 0
        self._watched: Counter[int] = Counter()

    # -- life -------------------------------------------------------------------------------------------------------------

    @classmethod
    def prepare(cls, folder: Path, spec: DeviceSpec) -> Device:
        """Make it, or adopt what is there."""
        if (folder / "spec").exists():
            return cls.adopt(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        shared = _shared()
        shared["spec"] = note_map(msgspec.json.encode(_Kept(spec)), SPEC_ROOM)
        for name, one in shared.items():
            one.pin(folder / name)
        return cls(folder, _Kept(spec), shared)

    @classmethod
    def adopt(cls, folder: Path) -> Device:
        """What an earlier process made, with everything that is in effect; what it did not finish is removed."""
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith("link-")]
        shared = {path.name: Map.open(path) for path in files}
        if "straight" not in shared:
            shared["straight"] = _straight_map()
            shared["straight"].pin(folder / "straight")
        kept = msgspec.json.decode(note_text(shared["spec"]), type=_Kept)
        device = cls(folder, kept, shared)
        device._find_generation()
        # Without its namespace a device can only be torn down, or prepared anew when that is back.
        with contextlib.suppress(DriverError), device.inside():
            device.mend_links()
            for number in device.ports:
                device.straighten(number)
        return device

    def _find_generation(self) -> None:
        current = self._current()
        for path in sorted(self.folder.glob("gen-*")):
            try:
                found = Generation.open(path)
            except (DriverError, KeyError, msgspec.DecodeError):
                shutil.rmtree(path, ignore_errors=True)
                continue
            if found.main.id != current:
                found.remove()
                continue
            self._generation, self._number = found, int(path.name.removeprefix("gen-"))
        if self._generation:
            counted = self._generation.counted(self.shared["counters"])
            self._counters = {one.rule.key: counter for one, counter in counted}
            self._state = self.read_back().state()

    def _current(self) -> int:
        """The number of the program that is in effect, 0 for none."""
        found = self.shared["dispatch"].get(bytes(4))
        return int(_U32.unpack(found)[0]) if found else 0

    def mend_links(self) -> list[int]:
        """A port whose interface was made anew, or that was never finished, is attached again; these. Call it inside the
        namespace."""
        mended: list[int] = []
        for number, one in list(self.ports.items()):
            path = self.folder / f"link-{number}"
            there = _index(one.interface)
            if not there or (path.exists() and _linked(path, there)):
                continue
            self.attach(one.port)
            mended.append(number)
        return mended

    def mend(self) -> list[int]:
        """`mend_links`, inside the namespace."""
        with self.inside():
            return self.mend_links()

    def close(self) -> None:
        """Let go; forwarding goes on."""
        if self._generation:
            self._generation.close()
        for one in self.shared.values():
            one.close()

    def remove(self) -> None:
        """Nothing of it stays."""
        with contextlib.suppress(OSError, DriverError), self.inside():
            for number in list(self.ports):
                self.detach(number)
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def inside(self) -> Generator[None]:
        """The calling thread is in the device's namespace. `DriverError` if there is no such namespace."""
        if not self.spec.namespace:
            yield
            return
        place = namespaces.place(self.spec.namespace)
        if not namespaces.pinned(place):
            raise DriverError(
                f"cannot enter the network namespace {self.spec.namespace} of {self.spec.name}: it is not there",
                suggestion="make it, or mend the topology",
            )
        with namespaces.inside(place):
            yield

    # -- ports ------------------------------------------------------------------------------------------------------------

    def attach(self, port: PortState) -> None:
        """Add a port or make it whole again. Call it inside the namespace."""
        same = self.ports.get(port.number)
        if same and (same.port.name, same.port.interface, same.port.kind) != (port.name, port.interface, port.kind):
            raise ConflictError(
                f"cannot attach {port.name} to {self.spec.name}: number {port.number} is {same.port.name}",
                suggestion="take another number, or detach that port first",
            )
        made = port.kind is not PortKind.INTERFACE
        interface = self._interface(port) if made else port.interface
        index = _index(interface)
        if not index:
            raise DriverError(
                f"cannot attach {port.name} to {self.spec.name}: there is no interface {interface}",
                suggestion="make the interface first, or mend the port",
            )
        switched = offload.set_peer_checksums(interface, False) or bool(same and same.switched)
        self.ports[port.number] = Attached(port, index, interface, switched, made, _mtu(interface))
        self._write_spec()
        self._link(port.number, index)
        self.straighten(port.number)
        if same and same.ifindex != index and self._state.rules:
            self._install(self._state, self._revision)

    def watch(self, numbers: Sequence[int]) -> None:
        """Let frames for these ports pass their interfaces, where they can be seen, until `unwatch`."""
        self._watched.update(numbers)
        for number in numbers:
            self._put_straight(number, STRAIGHT.pack(0, 0, b""))

    def unwatch(self, numbers: Sequence[int]) -> None:
        """That is over. Call it inside the namespace."""
        self._watched.subtract(numbers)
        for number in numbers:
            self.straighten(number)

    def straighten(self, number: int) -> None:
        """Let frames for who is at the other end of a port's pair go right there, where nothing at the near end shapes or
        watches them. Call it inside the namespace."""
        one = self.ports.get(number)
        if one is not None and not self._watched[number]:
            self._put_straight(number, peers.straight(one.interface))

    def _put_straight(self, number: int, value: bytes) -> None:
        if number < self.shared["straight"].entries:
            self.shared["straight"].put(_U32.pack(number), value)

    def _interface(self, port: PortState) -> str:
        """The interface of a port that is not there yet; the device's end of it."""
        name = f"sk{self.folder.name[2:9]}{port.number:x}"[:15]
        if _index(name):
            return name
        with netlink.Netlink() as kernel:
            if port.kind is PortKind.VXLAN:
                ends = {"local": port.local, "remote": port.remote}
                kernel.run([netlink.vxlan(name, vni=port.vni, port=VXLAN_PORT, mtu=1500, **ends)])
                return name
            home = syscalls.own_network()
            try:
                mac = (port.mac or 0x020000000000 | port.number).to_bytes(6, "big").hex(":")
                kernel.run(
                    [netlink.veth(name, peer=port.interface, peer_namespace=home, peer_mac=mac, master=0, mtu=1500)]
                )
                kernel.run([netlink.link_up(port.interface)])
            finally:
                os.close(home)
        return name

    def _link(self, number: int, index: int) -> None:
        path = self.folder / f"link-{number}"
        asm = program.entry(number)
        entry = Program.load(asm.assemble({"dispatch": self.shared["dispatch"].fd}), f"skerry_p{number}")
        try:
            if path.exists() and _linked(path, index):
                link = Link.open(path)
                link.replace(entry)
            else:
                path.unlink(missing_ok=True)
                link = Link.attach(entry, index)
                link.pin(path)
            link.close()
        finally:
            entry.close()

    def detach(self, number: int) -> None:
        """Remove a port. Call it inside the namespace."""
        found = self.ports.pop(number, None)
        if found is None:
            return
        (self.folder / f"link-{number}").unlink(missing_ok=True)
        self._put_straight(number, STRAIGHT.pack(0, 0, b""))
        if found.switched:
            with contextlib.suppress(OSError):
                offload.set_peer_checksums(found.interface, True)
        if found.made:
            with contextlib.suppress(OSError), netlink.Netlink() as kernel:
                kernel.run([netlink.link_gone(found.interface)])
        self._write_spec()

    def _write_spec(self) -> None:
        write_note(self.shared["spec"], msgspec.json.encode(_Kept(self.spec, tuple(self.ports.values()))))

    def port(self, number: int) -> Attached:
        """A port. `NotFoundError` if there is none."""
        found = self.ports.get(number)
        if found is None:
            raise NotFoundError(f"cannot find port {number} of {self.spec.name}", suggestion="attach it first")
        return found

    # -- state ------------------------------------------------------------------------------------------------------------

    @property
    def _revision(self) -> int:
        return self._generation.note.revision if self._generation else 0

    def apply(self, change: Change) -> None:
        """All of a change at one moment."""
        ports = tuple(one.port for one in self.ports.values())
        state = msgspec.structs.replace(changed(self._state, change), ports=ports)
        check(state)
        now = time.monotonic_ns()
        news = {_session_key(one): sessions.value(one, now) for one in change.put_sessions}
        gone = [sessions.key(ue) for ue in change.drop_sessions]
        self._install(state, change.revision, news)
        for key in gone:
            if key not in news:
                self.shared["sessions"].delete(key)

    def _install(self, state: DeviceState, revision: int, news: Mapping[bytes, bytes] | None = None) -> None:
        """Make the next generation, put its sessions and then itself in effect, forget the one before."""
        counters = self._allotted(state)
        interfaces = {number: one.ifindex for number, one in self.ports.items()}
        mtu = min((one.mtu for one in self.ports.values()), default=1500)
        plan = program.plan(state, interfaces, [counters[rule.key] for rule in state.rules], mtu)
        self._more_maps(plan)
        self._number += 1
        made = Generation.make(self.folder / f"gen-{self._number}", plan, revision, self.shared)
        try:
            self.shared["sessions"].put_many(news or {})
            self.shared["dispatch"].put(bytes(4), _U32.pack(made.main.fd))
        except DriverError:
            made.remove()
            raise
        before, self._generation, self._plan = self._generation, made, plan
        self._state, self._counters = state, counters
        if before:
            before.remove()

    def _more_maps(self, plan: Plan) -> None:
        """What only some rules need is made when the first of them comes, and stays."""
        for name, make in _LATER.items():
            if name not in self.shared and name in plan.later:
                self.shared[name] = make()
                self.shared[name].pin(self.folder / name)

    def _allotted(self, state: DeviceState) -> dict[Any, int]:
        """A place for the counter of each rule: its old one, or a free one that is 0."""
        found = {rule.key: self._counters[rule.key] for rule in state.rules if rule.key in self._counters}
        new = [rule.key for rule in state.rules if rule.key not in found]
        if len(state.rules) > self.shared["counters"].entries:
            self._more_counters(len(state.rules))
        taken = set(found.values())
        free = (at for at in range(self.shared["counters"].entries) if at not in taken)
        used_before = set(self._counters.values())
        for key in new:
            at = found[key] = next(free)
            if at in used_before or self._generation:
                self.shared["counters"].put(_U32.pack(at), bytes(16))
        return found

    def _more_counters(self, wanted: int) -> None:
        """Larger counters, with what was counted so far."""
        old = self.shared["counters"]
        size = old.entries
        while size < wanted:
            size *= 4
        new = Map.create(MapKind.PERCPU_ARRAY, 4, 16, size, "counters")
        for at in self._counters.values():
            data = old.get(_U32.pack(at)) or b""
            values = struct.unpack(f"<{len(data) // 8}Q", data)
            new.put_each(_U32.pack(at), struct.pack("<QQ", sum(values[::2]), sum(values[1::2])))
        path = self.folder / "counters"
        path.unlink(missing_ok=True)
        new.pin(path)
        self.shared["counters"] = new
        old.close()

    def read_back(self) -> Effective:
        """What is in effect, from the kernel's maps."""
        ports = tuple(one.port for one in self.ports.values())
        known = self._sessions()
        if self._generation is None:
            return Effective(device=self.spec.name, ports=ports, sessions=known)
        note = self._generation.note
        return Effective(
            device=self.spec.name,
            revision=note.revision,
            ports=ports,
            rules=tuple(one for one, _ in self._generation.counted(self.shared["counters"])),
            groups=note.groups,
            meters=note.meters,
            domains=note.domains,
            sessions=known,
            names=note.names,
            dropped=self._dropped(),
        )

    def _dropped(self) -> tuple[Dropped, ...]:
        counted = self.shared["drops"].items() if "drops" in self.shared else []
        found = [(_U32.unpack(key)[0], int.from_bytes(value, "little")) for key, value in counted]
        return tuple(
            Dropped(port=key >> 8, reason=REASONS[key & 0xFF], packets=packets) for key, packets in sorted(found)
        )

    def _sessions(self) -> tuple[Session, ...]:
        now = time.monotonic_ns()
        found = [sessions.session(key, value, now) for key, value in self.shared["sessions"].items()]
        return tuple(one for one in found if one is not None)

    def put_sessions(self, new: Sequence[Session], gone: Sequence[str]) -> None:
        """Snooped sessions; static ones stay as they are. Tunnels that are over are forgotten on the way."""
        known, now = self.shared["sessions"], time.monotonic_ns()
        static = {key for key, value in known.items() if sessions.origin(value) is Origin.STATIC}
        for ue in gone:
            if (key := sessions.key(ue)) not in static:
                known.delete(key)
        put = {key: sessions.value(one, now) for one in new if (key := _session_key(one)) not in static}
        known.put_many(put)
        self.sweep(now)

    def connections(self) -> list[Remembered]:
        """What is remembered and not over."""
        known, now = self.shared.get("conns"), time.monotonic_ns()
        found = (remembering.connection(key, value, now) for key, value in (known.items() if known else ()))
        return [one for one in found if one is not None]

    def sweep(self, now: int) -> None:
        """Forget learned sessions that were idle for too long, and the TEIDs that led to them."""
        known, teids = self.shared["sessions"], self.shared["teids"]
        over = {key for key, value in known.items() if sessions.session(key, value, now) is None}
        for key in over:
            known.delete(key)
        for teid, ue in teids.items() if over else ():
            if ue[:16] in over:
                teids.delete(teid)

    # -- frames -----------------------------------------------------------------------------------------------------------

    def probe(self, number: int, frame: bytes) -> Probed:
        """What would leave, from the maps in effect, without a trace."""
        self.port(number)
        if self._generation is None:
            return Probed()
        if self._plan is None:
            self._install(self._state, self._revision)
        assert self._plan is not None  # noqa: S101 - made just now
        return self._generation.probe(self._plan, self.shared, number, frame)

    def inject(self, number: int, frame: bytes) -> None:
        """Let a frame come in at a port. Call it inside the namespace."""
        index = self.port(number).ifindex
        asm = Assembler("inject")
        asm.load(4, R2, R1, Skb.CB0)
        asm.mov(R3, _INGRESS)
        asm.call(Helper.CLONE_REDIRECT)
        asm.mov(R0, 0)
        asm.exit()
        found = Program.load(asm.assemble(), "skerry_inject")
        try:
            found.run(frame, cb=(index,))
        finally:
            found.close()


def _session_key(session: Session) -> bytes:
    try:
        return sessions.key(session.ue)
    except ValueError:
        raise InvalidError(
            f"cannot keep a session of {session.ue!r}: that is no address", suggestion="give the UE's IP address"
        ) from None


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0


def _mtu(interface: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _GET_MTU, struct.pack("16si12x", interface.encode(), 0))
    return int(struct.unpack("16si12x", answer)[1])


def _linked(path: Path, index: int) -> bool:
    link = Link.open(path)
    try:
        return link.serves(index)
    finally:
        link.close()


_LATER: Mapping[str, Callable[[], Map]] = {
    "drops": lambda: Map.create(MapKind.HASH, 4, 8, MOST_DROPS, "drops", NO_PREALLOC),
    "asked": lambda: Map.create(MapKind.LRU_HASH, acting_flow.FLOW_SIZE, ASKED_SIZE, MOST_PINS, "asked"),
    "parts": lambda: Map.create(MapKind.LRU_HASH, entries.KEY_SIZE, entries.PART_SIZE, MOST_PARTS, "parts"),
    "conns": lambda: Map.create(MapKind.LRU_HASH, entries.KEY_SIZE, entries.VALUE_SIZE, MOST_CONNS, "conns"),
}


def _shared() -> dict[str, Map]:
    make = Map.create
    return {
        "dispatch": make(MapKind.PROG_ARRAY, 4, 4, 1, "dispatch"),
        "scratch": scratch_map(),
        "sessions": make(MapKind.HASH, 16, 24 + 2 * TUNNEL_SIZE, MOST_SESSIONS, "sessions", NO_PREALLOC),
        "teids": make(MapKind.HASH, acting_gtp.TEID_KEY, 16, 2 * MOST_SESSIONS, "teids", NO_PREALLOC),
        "pins": make(MapKind.LRU_HASH, acting_flow.FLOW_SIZE, 16, MOST_PINS, "pins"),
        "macs": make(MapKind.LRU_HASH, acting_flow.MAC_KEY, acting_flow.MAC_VALUE, MOST_MACS, "macs"),
        "events": make(MapKind.RINGBUF, 0, 0, EVENTS_ROOM, "events"),
        "counters": make(MapKind.PERCPU_ARRAY, 4, 16, COUNTERS, "counters"),
        "straight": _straight_map(),
    }


def _straight_map() -> Map:
    return Map.create(MapKind.ARRAY, 4, STRAIGHT.size, MOST_STRAIGHT, "straight")
