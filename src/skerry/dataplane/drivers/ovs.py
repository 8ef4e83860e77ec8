"""The engine `ovs`: Open vSwitch's userspace switch, private to this node, without kernel module and without DPDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from skerry.dataplane.driver import (
    Capabilities,
    DeviceSpec,
    Effective,
    Emitted,
    EngineContext,
    EngineEvent,
    EventKind,
    Probed,
    Remembered,
)
from skerry.dataplane.flows import Change, PortState, Session
from skerry.dataplane.ovs import instance, matches, translate
from skerry.dataplane.ovs.device import Device
from skerry.dataplane.ovs.instance import Instance
from skerry.dataplane.ovs.ovsdb import Database
from skerry.errors import ConflictError, DriverError, NotFoundError, UnavailableError, UnsupportedError

_DYING_S = 0.2
_LIMITS = (
    "GTP-U is forwarded as any UDP: its headers are neither matched nor changed",
    "a second VLAN tag is looked at only after the frame left the device and came back",
    "a copy that is given a service header has to leave at a port other than the one the frame came from",
    "fragments of connections are put together and cut again; those of IPv6, and of less than 1200 bytes, are not connected",
    "identifiers of echoes are not translated",
    "addresses of later fragments of UDP and TCP cannot be rewritten",
    "each direction of a pinned flow is forgotten by itself when it is idle",
    "rates of meters are multiples of 1 kbit/s, their bursts of 1 kbit",
    "probes are really sent, and counted",
)


class _Host:
    """What is shared by the devices of a namespace."""

    def __init__(self, place: Instance, database: Database) -> None:
        self.instance, self.database = place, database


class Driver:
    """The engine. One private Open vSwitch serves all devices of a network namespace; a device is a bridge."""

    type: ClassVar[str] = "ovs"

    def __init__(self, context: EngineContext) -> None:
        self._node = context.node
        self._hosts: dict[str, _Host] = {}
        self._devices: dict[str, Device] = {}
        self._listeners: list[asyncio.Queue[EngineEvent]] = []
        self._turn = asyncio.Lock()

    def capabilities(self) -> Capabilities:
        """All but GTP-U."""
        actions = frozenset(kind.__name__.lower() for kind in translate.SUPPORTED)
        return Capabilities(fields=matches.SUPPORTED, actions=actions, missing=instance.missing(), limits=_LIMITS)

    async def open(self) -> None:
        """Nothing is started before a device is prepared."""
        lacks = instance.missing()
        if lacks:
            raise UnavailableError(
                f"cannot use Open vSwitch: {lacks}", suggestion="apt-get install openvswitch-switch, and run as root"
            )

    async def close(self) -> None:
        """Hang up; the switches go on."""
        for device in self._devices.values():
            await device.close()
        for host in self._hosts.values():
            await host.database.close()
        self._devices, self._hosts = {}, {}

    async def devices(self) -> Sequence[DeviceSpec]:
        """Every device of this node, read from the databases of the switches that run."""
        async with self._turn:
            return [spec for spec, _ in await self._known()]

    async def _known(self) -> list[tuple[DeviceSpec, _Host]]:
        found: list[tuple[DeviceSpec, _Host]] = []
        for place in instance.instances(self._node):
            try:
                host = await self._host(place.owner.namespace)
            except NotFoundError:
                await place.stop()  # the namespace is gone, and with it what the switch served
                continue
            found += [
                (DeviceSpec(name=name, namespace=place.owner.namespace, owner=row.labels["skerry.owner"]), host)
                for row in await host.database.bridges()
                if (name := row.labels.get("skerry.device", ""))
            ]
        return found

    async def prepare(self, spec: DeviceSpec) -> None:
        """Make the device or adopt it."""
        async with self._turn:
            device = self._devices.get(spec.name)
            if device is not None and device.alive and device.spec.namespace == spec.namespace:
                return
            for known, _ in await self._known():
                if known.name == spec.name and known.namespace != spec.namespace:
                    raise ConflictError(
                        f"cannot make the device {spec.name}: it is in the namespace {known.namespace or 'of the node'}",
                        suggestion="tear it down first",
                    )
            if device is not None:
                await device.close()
            host = await self._host(spec.namespace)
            device = Device(self._node, spec, host.instance, host.database)
            await device.make(lambda: self._lost(spec.name))
            self._devices[spec.name] = device

    async def _host(self, namespace: str) -> _Host:
        """The switch of a namespace, started where it does not run."""
        host = self._hosts.get(namespace)
        if host is not None and host.database.alive and host.instance.running:
            return host
        if host is not None:
            await host.database.close()
        place = Instance(self._node, namespace)
        host = self._hosts[namespace] = _Host(place, await self._connected(place))
        host.database.changed = lambda interface, up: self._link(namespace, interface, up=up)
        host.database.lost = lambda: self._stopped(namespace)
        return host

    @staticmethod
    async def _connected(place: Instance) -> Database:
        """The switch's database. One that is just dying still takes a connection: then once more."""
        await place.ensure()
        try:
            return await Database.open(place.database)
        except (DriverError, UnavailableError):
            await asyncio.sleep(_DYING_S)
            await place.ensure()
            return await Database.open(place.database)

    async def teardown(self, device: str) -> None:
        """Remove the device; with the last one of a namespace, its switch."""
        async with self._turn:
            gone = self._devices.pop(device, None)
            if gone is not None:
                await gone.close()
            for spec, host in await self._known():
                if spec.name == device:
                    await self._remove(spec, host)

    async def _remove(self, spec: DeviceSpec, host: _Host) -> None:
        await Device(self._node, spec, host.instance, host.database).unmake()
        if not await host.database.bridges():
            await host.database.close()
            await host.instance.stop()
            self._hosts.pop(spec.namespace, None)

    def _get(self, device: str) -> Device:
        found = self._devices.get(device)
        if found is None:
            raise NotFoundError(f"cannot find the device {device}", suggestion="prepare it first")
        return found

    async def attach(self, device: str, port: PortState) -> None:
        """Add a port."""
        found = await self._again(device)
        await found.attach(port)
        self._tell(EngineEvent(device=device, kind=EventKind.PORT_UP, port=port.number))

    async def detach(self, device: str, port: int) -> None:
        """Remove a port."""
        await self._get(device).detach(port)
        self._tell(EngineEvent(device=device, kind=EventKind.PORT_DOWN, port=port))

    async def apply(self, change: Change) -> None:
        """Do a change in one bundle."""
        await self._get(change.device).apply(change)

    async def read_back(self, device: str) -> Effective:
        """What the switch has. One that died is started again first, with its ports and without rules."""
        found = await self._again(device)
        return await found.read_back()

    async def _again(self, device: str) -> Device:
        """The device, prepared again where its switch was lost. A change is not done this way: the one before is gone."""
        found = self._get(device)
        if not found.alive:
            await self.prepare(found.spec)
        return self._get(device)

    async def put_sessions(self, device: str, sessions: Sequence[Session], gone: Sequence[str] = ()) -> None:
        """There are no sessions here: forgetting one succeeds, putting one is refused."""
        self._get(device)
        if sessions:
            raise UnsupportedError(
                "cannot keep tunnel sessions with Open vSwitch", suggestion="use the engine ebpf for this device"
            )

    async def connections(self, device: str) -> Sequence[Remembered]:
        """Those of the switch, in the zones of the device."""
        return await self._get(device).connections()

    async def probe(self, device: str, port: int, frame: bytes) -> Probed:
        """Send a frame through, and see what leaves."""
        return await self._with_port(device, port).probe(port, frame)

    async def inject(self, device: str, port: int, frame: bytes) -> None:
        """Process a frame."""
        await self._with_port(device, port).inject(port, frame)

    def _with_port(self, device: str, port: int) -> Device:
        found = self._get(device)
        if port not in found.ports:
            raise NotFoundError(f"cannot find port {port} of {device}", suggestion="attach it first")
        return found

    @asynccontextmanager
    async def observe(self, device: str, ports: Sequence[int]) -> AsyncGenerator[AsyncIterator[Emitted]]:
        """What leaves at ports, from their interfaces."""
        found = self._get(device)
        for port in ports:
            self._with_port(device, port)
        taps = await asyncio.to_thread(found.taps, ports)
        queue: asyncio.Queue[Emitted] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read(number: int) -> None:
            for emitted in found.emitted(number, taps[number]):
                queue.put_nowait(emitted)

        for number, tap in taps.items():
            loop.add_reader(tap.socket, read, number)
        try:
            yield _drain(queue)
        finally:
            for tap in taps.values():
                loop.remove_reader(tap.socket)
                tap.close()

    async def events(self) -> AsyncIterator[EngineEvent]:
        """Links that go up and down, switches that die."""
        queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def _tell(self, event: EngineEvent) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)

    def _link(self, namespace: str, interface: str, *, up: bool) -> None:
        kind = EventKind.PORT_UP if up else EventKind.PORT_DOWN
        for device in self._devices.values():
            for number, one in device.ports.items():
                if one.interface == interface and device.spec.namespace == namespace:
                    self._tell(EngineEvent(device=device.spec.name, kind=kind, port=number))

    def _stopped(self, namespace: str) -> None:
        """Without its database, the switch forwards nothing either."""
        for device in self._devices.values():
            if device.spec.namespace == namespace:
                self._lost(device.spec.name)

    def _lost(self, device: str) -> None:
        self._tell(EngineEvent(device=device, kind=EventKind.LOST, detail="its switch hung up"))


async def _drain(queue: asyncio.Queue[Emitted]) -> AsyncIterator[Emitted]:
    while True:
        yield await queue.get()
