"""The simulated engine: a flow table that really runs frames through the rules, in this process.

What it holds belongs to a world that outlives the driver object, as a kernel outlives Skerry; the world is found by the
folder that the engine was given.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec

from skerry.dataplane.connections import tell
from skerry.dataplane.driver import (
    Capabilities,
    Counted,
    DeviceSpec,
    Effective,
    Emitted,
    EngineContext,
    EngineEvent,
    EventKind,
    Probed,
    Remembered,
)
from skerry.dataplane.flows import (
    Action,
    Change,
    DeviceState,
    Dropped,
    Field,
    Origin,
    PortState,
    Reason,
    Rule,
    Session,
)
from skerry.dataplane.interpreter import Index, Memory, Outcome, Run
from skerry.dataplane.state import changed, check, check_change
from skerry.errors import ConflictError, NotFoundError


class _Device:
    """A device of a world."""

    def __init__(self, spec: DeviceSpec) -> None:
        self.spec = spec
        self.index = Index(DeviceState(device=spec.name))
        self.memory = Memory()
        self.revision = 0
        self.dropped: Counter[tuple[int, Reason]] = Counter()
        self.counters: dict[tuple[Any, ...], list[int]] = {}
        self.sent: list[tuple[int, bytes]] = []
        self.watchers: list[tuple[frozenset[int], asyncio.Queue[Emitted]]] = []

    def install(self, state: DeviceState) -> None:
        """Another state, with the counters of the rules that stay."""
        self.index = Index(state)
        known = {rule.key for rule in state.rules}
        self.counters = {key: counted for key, counted in self.counters.items() if key in known}

    def count(self, outcome: Outcome) -> None:
        for rule, size in outcome.rules:
            counted = self.counters.setdefault(rule.key, [0, 0])
            counted[0] += 1
            counted[1] += size


class World:
    """Devices that outlive a driver object, and what connects them: `wires` lead from a port to a port, both ways."""

    def __init__(self) -> None:
        self.devices: dict[str, _Device] = {}
        self.wires: dict[tuple[str, int], tuple[str, int]] = {}
        self.events: list[asyncio.Queue[EngineEvent]] = []

    def connect(self, a: tuple[str, int], b: tuple[str, int]) -> None:
        """Put a wire between two ports."""
        self.wires[a], self.wires[b] = b, a

    def tell(self, event: EngineEvent) -> None:
        """An event for all who listen."""
        for queue in self.events:
            queue.put_nowait(event)

    def send(self, device: str, port: int, frame: bytes, now: float, *, limit: int = 1000) -> list[tuple[str, Emitted]]:
        """Let a frame come in and run it, over wires too, until every copy left at a port without a wire: these."""
        left: list[tuple[str, Emitted]] = []
        waiting = [(device, port, frame)]
        for _ in range(limit):
            if not waiting:
                return left
            name, at, data = waiting.pop(0)
            for out, sent in self._step(name, at, data, now):
                beyond = self.wires.get((name, out))
                if beyond:
                    waiting.append((*beyond, sent))
                else:
                    left.append((name, Emitted(port=out, frame=sent)))
        raise RuntimeError("frames go round in circles")

    def _step(self, name: str, port: int, frame: bytes, now: float) -> list[tuple[int, bytes]]:
        device = self.devices.get(name)
        if device is None or port not in device.index.ports:
            return []
        outcome = Run(device.index, device.memory, port, frame, now).go()
        device.count(outcome)
        device.dropped.update((port, reason) for reason in outcome.dropped)
        for out, sent in outcome.outputs:
            for ports, queue in device.watchers:
                if out in ports:
                    queue.put_nowait(Emitted(port=out, frame=sent))
        for ue in outcome.unknown_ues:
            self.tell(EngineEvent(device=name, kind=EventKind.NO_SESSION, port=port, detail=ue))
        return outcome.outputs


_WORLDS: dict[str, World] = {}


def world(data_dir: object) -> World:
    """The world of an engine's folder."""
    return _WORLDS.setdefault(str(data_dir), World())


class Driver:
    """The simulated engine."""

    type: ClassVar[str] = "simulated"

    def __init__(self, context: EngineContext) -> None:
        self._clock = context.clock
        self.world = world(context.data_dir)

    def capabilities(self) -> Capabilities:
        """Everything."""
        actions = frozenset(str(kind.__struct_config__.tag) for kind in Action.__subclasses__())
        return Capabilities(fields=frozenset(Field), actions=actions, gtp_extensions=True)

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """The world goes on."""

    async def devices(self) -> Sequence[DeviceSpec]:
        """Every device of the world."""
        return [device.spec for device in self.world.devices.values()]

    async def prepare(self, spec: DeviceSpec) -> None:
        """Make the device or adopt it."""
        self.world.devices.setdefault(spec.name, _Device(spec))

    async def teardown(self, device: str) -> None:
        """Remove it."""
        self.world.devices.pop(device, None)

    def _get(self, device: str) -> _Device:
        found = self.world.devices.get(device)
        if found is None:
            raise NotFoundError(f"cannot find the device {device}", suggestion="prepare it first")
        return found

    async def attach(self, device: str, port: PortState) -> None:
        """Add a port."""
        found = self._get(device)
        state = found.index.state
        same = next((one for one in state.ports if one.number == port.number), None)
        if same and (same.name, same.interface) != (port.name, port.interface):
            raise ConflictError(
                f"cannot attach {port.name} to {device}: number {port.number} is {same.name}",
                suggestion="take another number, or detach that port first",
            )
        ports = (*(one for one in state.ports if one.number != port.number), port)
        found.install(msgspec.structs.replace(state, ports=ports))
        self.world.tell(EngineEvent(device=device, kind=EventKind.PORT_UP, port=port.number))

    async def detach(self, device: str, port: int) -> None:
        """Remove a port."""
        found = self._get(device)
        state = found.index.state
        ports = tuple(one for one in state.ports if one.number != port)
        found.install(msgspec.structs.replace(state, ports=ports))
        self.world.tell(EngineEvent(device=device, kind=EventKind.PORT_DOWN, port=port))

    async def apply(self, change: Change) -> None:
        """Do all of a change or nothing."""
        found = self._get(change.device)
        check_change(change)
        state = changed(found.index.state, change)
        check(state)
        for ue in change.drop_sessions:
            found.memory.sessions.pop(ue, None)
        for session in change.put_sessions:
            found.memory.sessions[session.ue] = session
        found.memory.meters.clear()
        found.install(state)
        found.revision = change.revision

    async def read_back(self, device: str) -> Effective:
        """The state with its counters and sessions."""
        found = self._get(device)
        state = found.index.state
        return Effective(
            device=device,
            revision=found.revision,
            ports=state.ports,
            rules=tuple(self._counted(found, rule) for rule in state.rules),
            groups=state.groups,
            meters=state.meters,
            domains=state.domains,
            sessions=tuple(found.memory.sessions.values()),
            names=state.names,
            dropped=tuple(
                Dropped(port=port, reason=reason, packets=count) for (port, reason), count in found.dropped.items()
            ),
        )

    @staticmethod
    def _counted(device: _Device, rule: Rule) -> Counted:
        seen, size = device.counters.get(rule.key, (0, 0))
        return Counted(rule=rule, packets=seen, bytes=size)

    async def put_sessions(self, device: str, sessions: Sequence[Session], gone: Sequence[str] = ()) -> None:
        """Snooped sessions; static ones stay."""
        known = self._get(device).memory.sessions
        for ue in gone:
            if ue in known and known[ue].origin is not Origin.STATIC:
                del known[ue]
        for session in sessions:
            if session.ue not in known or known[session.ue].origin is not Origin.STATIC:
                known[session.ue] = session

    async def connections(self, device: str) -> Sequence[Remembered]:
        """Those of the world."""
        known = self._get(device).memory.connections.every(self._clock.monotonic())
        return [
            Remembered(
                zone=one.zone,
                proto=one.opened.proto,
                opened=tell(one.opened),
                onward=tell(one.onward),
                answered=one.answered,
            )
            for one in known
        ]

    async def probe(self, device: str, port: int, frame: bytes) -> Probed:
        """Run a frame without leaving a trace."""
        found = self._get(device)
        outcome = Run(found.index, found.memory.copy(), port, frame, self._clock.monotonic()).go()
        return Probed(
            outputs=tuple(Emitted(port=out, frame=sent) for out, sent in outcome.outputs),
            cookies=tuple(rule.cookie for rule, _ in outcome.rules),
        )

    async def inject(self, device: str, port: int, frame: bytes) -> None:
        """Let a frame come in, and go on over the wires of the world."""
        self._get(device)
        self.world.send(device, port, frame, self._clock.monotonic())

    @asynccontextmanager
    async def observe(self, device: str, ports: Sequence[int]) -> AsyncGenerator[AsyncIterator[Emitted]]:
        """What leaves at ports."""
        queue: asyncio.Queue[Emitted] = asyncio.Queue()
        watcher = (frozenset(ports), queue)
        self._get(device).watchers.append(watcher)
        try:
            yield _drain(queue)
        finally:
            self._get(device).watchers.remove(watcher)

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What happens in the world."""
        queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self.world.events.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.world.events.remove(queue)


async def _drain(queue: asyncio.Queue[Emitted]) -> AsyncIterator[Emitted]:
    while True:
        yield await queue.get()
