"""The engines of a node and the devices that they serve: which engine is taken, attached ports, application, reading back.

Engines are loaded when the first device needs one, so a node without a data plane holds none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from skerry.dataplane import catalogue
from skerry.dataplane.driver import DeviceSpec, Driver, Effective, EngineContext, EngineEvent
from skerry.dataplane.flows import Change, DeviceState, PortState, Session
from skerry.dataplane.intents import Device
from skerry.dataplane.state import difference
from skerry.errors import DriverError, NotFoundError, SkerryError, UnsupportedError
from skerry.model.time import Clock

if TYPE_CHECKING:
    from skerry.dataplane.gtp.snooping import Snooper
    from skerry.dataplane.gtp.tracker import Changes, Sides

log = logging.getLogger(__name__)

Told = Callable[[EngineEvent], None]
Users = Callable[[str, Sequence[str], Sequence[str]], None]
"""Told of the users of a device that a control plane spoke of: those who came or moved, and those who went."""

OWNER = "dataplane"


class Place(NamedTuple):
    """Where a control plane is read."""

    device: str
    namespace: str
    interface: str


class Hosting:
    """Engines by name, devices by the engine that serves them."""

    def __init__(self, node: str, folder: Path, clock: Clock, preferred: str = "") -> None:
        self._node, self._folder, self._clock, self._preferred = node, folder, clock, preferred
        self._engines: dict[str, Driver] = {}
        self._of: dict[str, str] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._snoopers: dict[Place, Snooper] = {}
        self.told: Told = lambda _: None
        self.users: Users = lambda *_: None

    async def close(self) -> None:
        """Let go; forwarding goes on."""
        await self.listen({})
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for engine in self._engines.values():
            await engine.close()
        self._engines.clear()

    def engine_of(self, device: str) -> Driver:
        """The engine that serves a device. `NotFoundError` if none does."""
        name = self._of.get(device)
        if name is None:
            raise NotFoundError(f"cannot find the device {device}", suggestion="see which devices there are")
        return self._engines[name]

    def served(self) -> Mapping[str, str]:
        """The engine of every device that is served."""
        return dict(self._of)

    async def choose(self, device: Device, state: DeviceState, current: str) -> str:
        """The engine for a device that shall do `state`: the one named, else the current one, else the best that can.
        `UnsupportedError` says what each of them lacks."""
        if device.engine:
            names: Sequence[str] = (device.engine,)
        else:
            ordered = catalogue.rank(catalogue.engine_types(), self._preferred)
            names = [current, *(name for name in ordered if name != current)] if current else ordered
        reasons: list[str] = []
        for name in names:
            missing = self._lacks(name, state)
            if not missing:
                return name
            reasons.append(f"{name} {missing[0]}")
        raise UnsupportedError(
            f"cannot put this on the device {device.id}: {'; '.join(reasons)}",
            suggestion="name an engine that can, or ask for less; `skerry doctor` says what to install",
        )

    def _lacks(self, name: str, state: DeviceState) -> list[str]:
        try:
            engine = self._engines.get(name) or catalogue.load(name)(self._context(name))
        except DriverError as error:
            return [error.detail]
        return catalogue.lacks(engine.capabilities(), state)

    def _context(self, name: str) -> EngineContext:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return EngineContext(node=self._node, data_dir=folder, clock=self._clock)

    async def serve(self, device: Device, engine: str) -> None:
        """Have an engine serve a device, another one no longer."""
        before = self._of.get(device.id)
        if before == engine:
            return
        if before is not None:
            await self._engines[before].teardown(device.id)
        driver = await self._opened(engine)
        await driver.prepare(DeviceSpec(name=device.id, namespace=device.namespace, owner=OWNER))
        self._of[device.id] = engine

    async def _opened(self, name: str) -> Driver:
        engine = self._engines.get(name)
        if engine is None:
            engine = catalogue.load(name)(self._context(name))
            await engine.open()
            self._engines[name] = engine
            self._listening.append(asyncio.get_running_loop().create_task(self._listen(name, engine)))
            await asyncio.sleep(0)  # it listens before anything happens
        return engine

    async def _listen(self, name: str, engine: Driver) -> None:
        try:
            async for event in engine.events():
                self.told(event)
        except SkerryError as error:
            log.warning("the data-plane engine %s tells no more: %s", name, error.detail)

    async def attach(self, device: str, wanted: Sequence[PortState]) -> Effective:
        """Attach what is missing; the device as it is then."""
        engine = self.engine_of(device)
        known = {port.number: port for port in (await engine.read_back(device)).ports}
        for port in wanted:
            have = known.get(port.number)
            if have is not None and (have.name, have.interface) != (port.name, port.interface):
                await engine.detach(device, port.number)
                have = None
            if have is None:
                await engine.attach(device, port)
        return await engine.read_back(device)

    async def renew(self, device: str, number: int, wanted: Sequence[PortState]) -> None:
        """Make one port whole again."""
        for port in wanted:
            if port.number == number:
                await self.engine_of(device).attach(device, port)

    async def detach_others(self, device: str, wanted: Sequence[PortState]) -> None:
        """Detach ports that are no longer wanted; their rules are gone by then."""
        engine = self.engine_of(device)
        numbers = {port.number for port in wanted}
        for port in (await engine.read_back(device)).ports:
            if port.number not in numbers:
                await engine.detach(device, port.number)

    async def apply(self, change: Change) -> None:
        """Do a change on its device."""
        await self.engine_of(change.device).apply(change)

    async def teardown(self, device: str) -> None:
        """Remove a device from its engine."""
        name = self._of.pop(device, None)
        if name is not None:
            await self._engines[name].teardown(device)

    async def listen(self, wanted: Mapping[Place, Sides]) -> None:
        """Read the control plane at these places and at no others; what it says are sessions of the device."""
        for place in [place for place in self._snoopers if place not in wanted]:
            await self._snoopers.pop(place).stop()
        for place in [place for place in wanted if place not in self._snoopers]:
            from skerry.dataplane.gtp.snooping import Snooper  # noqa: PLC0415 - few nodes need it

            snooper = Snooper(self.engine_of(place.device), place.device, wanted[place], self._clock)
            snooper.told = partial(self._spoken_of, place.device)
            try:
                await snooper.start(place.namespace, place.interface)
            except OSError as error:
                raise DriverError(
                    f"cannot read the control plane at {place.interface}: {error.strerror}",
                    suggestion="see that it is up",
                ) from error
            self._snoopers[place] = snooper

    def _spoken_of(self, device: str, changes: Changes) -> None:
        self.users(device, sorted(changes.put), sorted(changes.gone - changes.put.keys()))

    async def strays(self) -> list[tuple[str, str]]:
        """Devices that engines serve for this node and nobody knows: (engine, device)."""
        found: list[tuple[str, str]] = []
        for name, engine in self._engines.items():
            found += [(name, spec.name) for spec in await engine.devices() if self._of.get(spec.name) != name]
        return found

    async def remove_strays(self) -> None:
        """Tear down what a crash left behind."""
        for name, device in await self.strays():
            await self._engines[name].teardown(device)


def missing(effective: Effective, state: DeviceState, revision: int) -> Change:
    """What brings a device as it is to the state it shall have. Learned sessions, owners and tenants do not count."""
    change = difference(_plain(effective.state()), _plain(state), revision)
    whole = {rule.key: rule for rule in state.rules}
    return replace(change, put_rules=tuple(whole[rule.key] for rule in change.put_rules))


def _plain(state: DeviceState) -> DeviceState:
    rules = tuple(replace(rule, owner="", tenant="") for rule in state.rules)
    static: tuple[Session, ...] = tuple(one for one in state.sessions if one.origin == "static")
    return replace(
        state,
        rules=rules,
        groups=tuple(replace(group, owner="") for group in state.groups),
        meters=tuple(replace(meter, owner="") for meter in state.meters),
        domains=tuple(replace(domain, owner="") for domain in state.domains),
        sessions=tuple(replace(session, owner="") for session in static),
    )
