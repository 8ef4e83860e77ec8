"""The engine `ebpf`: programs at the interfaces themselves (TCX), written as bytecode by this process. No switch, no daemon."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

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
    resource_name,
)
from skerry.dataplane.ebpf import layout, sessions
from skerry.dataplane.ebpf.device import Device
from skerry.dataplane.ebpf.kernel import BPFFS, SYS_BPF, ensure_bpffs
from skerry.dataplane.ebpf.ring import Ring
from skerry.dataplane.ebpf.watching import LinkWatch, Told
from skerry.dataplane.flows import Action, Change, Field, PortState, Session
from skerry.errors import DriverError, NotFoundError, SkerryError, UnavailableError
from skerry.linux.frames import Tap

T = TypeVar("T")
_KERNEL = (6, 6)
_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}
_LIMITS = (
    f"headers are read as far as they are within the first {layout.WINDOW} bytes of a frame",
    "ports of SCTP are not rewritten: such frames are dropped",
    "a broadcast domain has at most 64 ports",
    "a copy of a frame cannot be answered, only the frame itself",
    "a tagged frame, or one that is no IP, of less than 100 bytes may be lost after a copy of it was put into NSH",
    "a frame of less than 34 bytes inside NSH is dropped where NSH is taken off",
    "a SYN that leaves GTP-U is told a segment size that leaves room for the tunnel back",
    f"probes tell frames of at most {layout.FRAME_ROOM} bytes",
    "packets that leave or enter a tunnel pass by the near end of a veth pair: what listens there misses them",
)
_TOLD = {1: EventKind.NO_SESSION, 2: EventKind.SESSION}


class Driver:
    """The engine. A device is a set of interfaces with one program in common."""

    type: ClassVar[str] = "ebpf"

    def __init__(self, context: EngineContext) -> None:
        self._node = context.node
        self._folder = BPFFS / "skerry" / resource_name(context.node, "")
        self._devices: dict[str, Device] = {}
        self._listeners: list[asyncio.Queue[EngineEvent]] = []
        self._turn = asyncio.Lock()
        self._watches: dict[str, LinkWatch] = {}
        self._down: set[tuple[str, int]] = set()
        self._mending: set[asyncio.Task[None]] = set()
        self._straightening: set[asyncio.Task[None]] = set()

    def capabilities(self) -> Capabilities:
        """Everything of the contract, with narrower limits."""
        actions = frozenset(str(kind.__struct_config__.tag) for kind in Action.__subclasses__())
        return Capabilities(
            fields=frozenset(Field), actions=actions, missing=_missing(), limits=_LIMITS, gtp_extensions=True
        )

    async def open(self) -> None:
        """Adopt the devices of this node that run."""
        if missing := _missing():
            raise UnavailableError(f"cannot use the engine ebpf: {missing}", suggestion="use another engine")
        await asyncio.to_thread(ensure_bpffs)
        for folder in sorted(self._folder.glob("*")):
            if (folder / "spec").exists():
                device = await asyncio.to_thread(Device.adopt, folder)
                self._devices[device.spec.name] = device
                with contextlib.suppress(DriverError):
                    await self._watch(device)

    async def close(self) -> None:
        """Let go of the kernel's objects; they stay."""
        for name in list(self._devices):
            self._unwatch(self._devices[name])
            self._devices.pop(name).close()

    async def devices(self) -> Sequence[DeviceSpec]:
        """Every device of this node."""
        return [device.spec for device in self._devices.values()]

    async def prepare(self, spec: DeviceSpec) -> None:
        """Make the device or adopt it."""
        async with self._turn:
            if spec.name not in self._devices:
                folder = self._folder / resource_name(self._node, spec.name)
                self._devices[spec.name] = await asyncio.to_thread(Device.prepare, folder, spec)
                self._hear()
            known = self._devices[spec.name]
            if spec.name not in self._watches:
                await self._watch(known)
                await asyncio.to_thread(known.mend)

    async def teardown(self, device: str) -> None:
        """Remove it."""
        async with self._turn:
            found = self._devices.pop(device, None)
            if found:
                self._unwatch(found)
                await asyncio.to_thread(found.remove)
                with contextlib.suppress(OSError):
                    self._folder.rmdir()

    def _get(self, device: str) -> Device:
        found = self._devices.get(device)
        if found is None:
            raise NotFoundError(f"cannot find the device {device}", suggestion="prepare it first")
        return found

    async def _inside(self, device: Device, work: Callable[[], T]) -> T:
        """Do something in the namespace of a device, one thing at a time."""

        def there() -> T:
            with device.inside():
                return work()

        async with self._turn:
            return await asyncio.to_thread(there)

    async def attach(self, device: str, port: PortState) -> None:
        """Add a port."""
        found = self._get(device)
        await self._inside(found, lambda: found.attach(port))
        self._tell(EngineEvent(device=device, kind=EventKind.PORT_UP, port=port.number))

    async def detach(self, device: str, port: int) -> None:
        """Remove a port."""
        found = self._get(device)
        await self._inside(found, lambda: found.detach(port))
        self._tell(EngineEvent(device=device, kind=EventKind.PORT_DOWN, port=port))

    async def apply(self, change: Change) -> None:
        """Do all of a change or nothing."""
        found = self._get(change.device)
        async with self._turn:
            await asyncio.to_thread(found.apply, change)

    async def read_back(self, device: str) -> Effective:
        """What the maps in effect say."""
        found = self._get(device)
        async with self._turn:
            return await asyncio.to_thread(found.read_back)

    async def put_sessions(self, device: str, sessions: Sequence[Session], gone: Sequence[str] = ()) -> None:
        """Snooped sessions; static ones stay."""
        found = self._get(device)
        async with self._turn:
            await asyncio.to_thread(found.put_sessions, sessions, gone)

    async def connections(self, device: str) -> Sequence[Remembered]:
        """Those of the kernel's map."""
        found = self._get(device)
        async with self._turn:
            return await asyncio.to_thread(found.connections)

    async def probe(self, device: str, port: int, frame: bytes) -> Probed:
        """Run a frame through a program that reads the same maps, and sends and remembers nothing."""
        found = self._get(device)
        async with self._turn:
            return await asyncio.to_thread(found.probe, port, frame)

    async def inject(self, device: str, port: int, frame: bytes) -> None:
        """Let a frame come in."""
        found = self._get(device)
        await self._inside(found, lambda: found.inject(port, frame))

    @asynccontextmanager
    async def observe(self, device: str, ports: Sequence[int]) -> AsyncGenerator[AsyncIterator[Emitted]]:
        """What leaves at ports, seen at their interfaces."""
        found = self._get(device)
        names = {number: found.port(number).interface for number in ports}
        taps = await self._inside(found, lambda: _taps(found, names))
        queue: asyncio.Queue[Emitted] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def seen(number: int, tap: Tap) -> None:
            for left, frame in tap.frames():
                if left:
                    queue.put_nowait(Emitted(port=number, frame=frame))

        for number, tap in taps.items():
            loop.add_reader(tap.socket, seen, number, tap)
        try:
            yield _drain(queue)
        finally:
            for tap in taps.values():
                loop.remove_reader(tap.socket)
                tap.close()
            with contextlib.suppress(DriverError):  # its namespace is gone, and the ports with it
                await self._inside(found, lambda: found.unwatch(ports))

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What the programs tell, and ports that come and go."""
        queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._listeners.append(queue)
        self._hear()
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)
            if not self._listeners:
                for device in self._devices.values():
                    self._deaf(device)

    async def _watch(self, device: Device) -> None:
        """Follow the interfaces of its namespace."""

        def there() -> LinkWatch:
            with device.inside():
                return LinkWatch()

        watch = self._watches[device.spec.name] = await asyncio.to_thread(there)
        asyncio.get_running_loop().add_reader(watch.socket, self._links_changed, device, watch)

    def _unwatch(self, device: Device) -> None:
        self._deaf(device)
        watch = self._watches.pop(device.spec.name, None)
        if watch:
            asyncio.get_running_loop().remove_reader(watch.socket)
            watch.close()

    def _links_changed(self, device: Device, watch: LinkWatch) -> None:
        ports = {one.interface: one for one in device.ports.values()}
        for told in watch.news():
            if told.shaped:
                self._shaped(device, told.index)
                continue
            one = ports.get(told.name)
            if one is None:
                continue
            if told.index != one.ifindex and not told.gone:
                task = asyncio.get_running_loop().create_task(self._mend(device))
                self._mending.add(task)
                task.add_done_callback(self._mending.discard)
            elif told.index == one.ifindex and not (told.works and self._mending):
                self._carrier(device, one.port.number, told)

    def _shaped(self, device: Device, index: int) -> None:
        """What leaves at an interface is shaped from now on, or no longer."""
        for number in [number for number, one in device.ports.items() if one.ifindex == index]:
            task = asyncio.get_running_loop().create_task(self._straighten(device, number))
            self._straightening.add(task)
            task.add_done_callback(self._straightening.discard)

    async def _straighten(self, device: Device, number: int) -> None:
        with contextlib.suppress(SkerryError):  # where the port is gone, there is nothing to do
            await self._inside(device, lambda: device.straighten(number))

    def _carrier(self, device: Device, port: int, told: Told) -> None:
        """Tell that a port went down or came up again, once."""
        name = device.spec.name
        if told.works == ((name, port) not in self._down):
            return
        kind = EventKind.PORT_UP if told.works else EventKind.PORT_DOWN
        (self._down.discard if told.works else self._down.add)((name, port))
        self._tell(EngineEvent(device=name, kind=kind, port=port, detail="gone" if told.gone else ""))

    async def _mend(self, device: Device) -> None:
        """Interfaces that were made anew get their programs again."""
        try:
            for port in await self._inside(device, device.mend_links):
                self._down.discard((device.spec.name, port))
                self._tell(EngineEvent(device=device.spec.name, kind=EventKind.PORT_UP, port=port))
        except SkerryError as error:
            self._tell(EngineEvent(device=device.spec.name, kind=EventKind.LOST, detail=error.detail))

    def _hear(self) -> None:
        if self._listeners:
            loop = asyncio.get_running_loop()
            for device in self._devices.values():
                loop.add_reader(device.shared["events"].fd, self._told, device)

    def _deaf(self, device: Device) -> None:
        asyncio.get_running_loop().remove_reader(device.shared["events"].fd)

    def _told(self, device: Device) -> None:
        ring = Ring(device.shared["events"])
        try:
            for record in ring.records():
                kind = _TOLD[int.from_bytes(record[:4], "little")]
                port = int.from_bytes(record[4:8], "little")
                self._tell(EngineEvent(device=device.spec.name, kind=kind, port=port, detail=sessions.ue(record[8:])))
        finally:
            ring.close()

    def _tell(self, event: EngineEvent) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)


def _taps(device: Device, names: Mapping[int, str]) -> dict[int, Tap]:
    device.watch(list(names))
    return {number: Tap(name) for number, name in names.items()}


async def _drain(queue: asyncio.Queue[Emitted]) -> AsyncIterator[Emitted]:
    while True:
        yield await queue.get()


def _missing() -> str:
    """What the machine lacks, "" for nothing."""
    if platform.machine() not in SYS_BPF:
        return f"it knows no {platform.machine()}"
    version = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if version < _KERNEL:
        return f"needs Linux {'.'.join(map(str, _KERNEL))} or newer, this is {platform.release()}"
    if not BPFFS.is_dir():
        return f"there is no {BPFFS}: the kernel has no BPF file system"
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    lacking = [name for bit, name in _CAPABILITIES.items() if not effective >> bit & 1]
    return f"needs {' and '.join(lacking)} (run Skerry as root)" if lacking else ""
