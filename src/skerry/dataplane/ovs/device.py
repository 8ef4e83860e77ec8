"""One device: a bridge of an instance, its rules, its ports."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from skerry.dataplane import state
from skerry.dataplane.driver import (
    Counted,
    DeviceSpec,
    Effective,
    Emitted,
    Probed,
    Remembered,
    labels,
    resource_name,
)
from skerry.dataplane.flows import Change, DeviceState, Domain, Dropped, Group, Meter, PortKind, PortState, Reason, Rule
from skerry.dataplane.ovs import actions as act
from skerry.dataplane.ovs import drops, openflow, oxm, pipeline, ports, tracking
from skerry.dataplane.ovs.channel import Channel
from skerry.dataplane.ovs.instance import Instance
from skerry.dataplane.ovs.ovsdb import BridgeRow, Database, Interface
from skerry.errors import ConflictError, DriverError, UnsupportedError
from skerry.linux.frames import Tap

_COOKIE = re.compile(r"cookie (0x[0-9a-f]+)")
_MANY = 500
_PORT, _RESTORE = "skerry.port", "skerry.restore"


class Attached(msgspec.Struct, frozen=True):
    """A port as the switch has it: what was asked for, its interface, what has to go back."""

    port: PortState
    interface: str
    restore: tuple[str, ...] = ()


class Device:
    """The live half of a device. Changes run one after the other."""

    def __init__(self, node: str, spec: DeviceSpec, instance: Instance, database: Database) -> None:
        self.spec, self._node = spec, node
        self.bridge = resource_name(node, spec.name)
        self.ports: dict[int, Attached] = {}
        self._instance, self._database = instance, database
        self._channel: Channel | None = None
        self._table = pipeline.Table()
        self._service: Mapping[Reason, int] = {}
        self._zones: dict[int, Mapping[str, int]] = {}
        self._turn = asyncio.Lock()

    async def make(self, lost: Callable[[], None]) -> None:
        """Make the bridge, or take up the one that is there with all that it has; `lost` is called when it dies."""
        row = await self._row()
        if row is None:
            mac = (
                f"02:{self.bridge[2:4]}:{self.bridge[4:6]}:{self.bridge[6:8]}:{self.bridge[8:10]}:{self.bridge[10:12]}"
            )
            named = dict(labels(self._node, self.spec.name, self.spec.owner))
            await self._database.add_bridge(self.bridge, named, mac=mac)
        else:
            self.ports = {one.port.number: one for one in map(_attached, row.interfaces) if one}
        self._channel = await Channel.open(self._instance.management(self.bridge), self.spec.name)
        self._channel.lost = lost
        async with self._turn:
            await self._read()
            missing = [
                flow for flow in pipeline.ingress_flows() if self._table.installed.get(flow.key) != flow.instructions
            ]
            await self._channel.commit(
                [
                    openflow.flow_add(one.table, one.priority, one.cookie, oxm.framed(one.match), one.instructions)
                    for one in missing
                ]
            )
            self._table.installed.update({flow.key: flow.instructions for flow in missing})

    async def unmake(self) -> None:
        """Delete the bridge; its interfaces go back as they were."""
        await self.close()
        row = await self._row()
        found = [one for one in map(_attached, row.interfaces) if one] if row else []
        await self._database.delete_bridge(self.bridge)
        await self._forget_zones()
        for one in found:
            await self._give_back(one)
        await asyncio.to_thread(ports.sweep, self._instance, self._note)
        self.ports = {}

    @property
    def _note(self) -> str:
        return ports.note(self._node, self.spec.name)

    async def close(self) -> None:
        """Hang up."""
        if self._channel:
            await self._channel.close()
            self._channel = None

    @property
    def alive(self) -> bool:
        """Whether the bridge answers."""
        return self._channel is not None and self._channel.alive and self._database.alive

    @property
    def channel(self) -> Channel:
        """The connection to the bridge. `DriverError` when it is lost."""
        if self._channel is None or not self._channel.alive:
            raise DriverError(
                f"cannot reach the device {self.spec.name}", transient=True, suggestion="prepare the device again"
            )
        return self._channel

    # -- ports --------------------------------------------------------------------------------------------------------

    async def attach(self, port: PortState) -> None:
        """Add a port; one that is there already stays as it is, unless its interface was made anew."""
        async with self._turn:
            there = self.ports.get(port.number)
            if there is not None:
                if there.port == port:
                    await self._renew(there)
                    return
                raise ConflictError(
                    f"cannot attach {port.name} to {self.spec.name}: number {port.number} is {there.port.name}",
                    suggestion="take another number, or detach that port first",
                )
            name = ports.interface(self._node, self.spec.name, port)
            changed: tuple[str, ...] = ()
            if port.kind is not PortKind.INTERNAL:
                changed = await asyncio.to_thread(ports.make_ready, self._instance, name, port, self._note)
            self.ports[port.number] = await self._attach(port, name, changed)

    async def _renew(self, one: Attached) -> None:
        """An interface that has to be made ready again is another one, which the switch has to open; so is one that the switch
        could not open."""
        if one.port.kind is not PortKind.INTERFACE:
            return
        changed = await asyncio.to_thread(ports.make_ready, self._instance, one.interface, one.port, self._note)
        if changed or await self._database.number(one.interface) != one.port.number:
            changed = changed or one.restore
            await self._database.delete_port(self.bridge, one.interface)
            self.ports[one.port.number] = await self._attach(one.port, one.interface, changed)

    async def _attach(self, port: PortState, name: str, changed: tuple[str, ...]) -> Attached:
        named = {
            **labels(self._node, self.spec.name, port.owner),
            _PORT: msgspec.json.encode(port).decode(),
            _RESTORE: " ".join(changed),
        }
        try:
            await self._database.add_port(
                self.bridge,
                name,
                number=port.number,
                labels=named,
                type="internal" if port.kind is PortKind.INTERNAL else "",
                mac=_mac(port.mac) if port.kind is PortKind.INTERNAL and port.mac else "",
            )
        except DriverError:
            await asyncio.to_thread(ports.give_back, self._instance, name, port, changed)
            raise
        if port.kind is PortKind.INTERNAL:
            await asyncio.to_thread(ports.set_up, self._instance, name)
        return Attached(port, name, changed)

    async def detach(self, number: int) -> None:
        """Remove a port; one that is gone is no error."""
        async with self._turn:
            there = self.ports.pop(number, None)
            if there is not None:
                await self._database.delete_port(self.bridge, there.interface)
                await self._give_back(there)

    async def _give_back(self, one: Attached) -> None:
        await asyncio.to_thread(ports.give_back, self._instance, one.interface, one.port, one.restore)

    # -- rules --------------------------------------------------------------------------------------------------------

    async def apply(self, change: Change) -> None:
        """Do a change, all of it or nothing."""
        if change.put_sessions:
            raise UnsupportedError(
                "cannot keep tunnel sessions with Open vSwitch", suggestion="use the engine ebpf for this device"
            )
        async with self._turn:
            self._check(change)
            table = self._table.copy()
            plan = await _planned(table, change)
            made = await self._put_meters(plan.meters)
            await self._put_zones(change)
            try:
                await self.channel.commit(plan.bundle)
            except DriverError:
                with contextlib.suppress(DriverError):
                    await self.channel.send(made)
                raise
            self._table = table
            # Frames of flows that are cached would go the old way for some milliseconds more.
            await self._forget_cached()
            await self.channel.send([openflow.meter_delete(one) for one in plan.gone_meters])

    async def _put_zones(self, change: Change) -> None:
        """Ends of connections, which no bundle takes; what is new in a zone counts from now on."""
        known = dict(labels(self._node, self.spec.name))
        for zone, idle in tracking.zones_of(change.put_rules).items():
            if self._zones.get(zone) != idle:
                await self._database.put_zone(zone, idle, known)
                self._zones[zone] = idle

    async def _forget_zones(self) -> None:
        mine = [
            zone
            for zone, known in (await self._database.zones()).items()
            if known == labels(self._node, self.spec.name)
        ]
        await self._database.delete_zones(mine)

    async def _forget_cached(self) -> None:
        """Make the switch look up its rules anew; counters of what was cached are added to the rules."""
        await self._instance.command("revalidator/purge")

    def _check(self, change: Change) -> None:
        """Only what is new is looked at, unless something goes that others may name."""
        known = [value for value in self._table.values.values() if not isinstance(value, Rule)]
        whole = change.drop_groups or change.drop_meters or change.drop_domains
        rules = [value for value in self._table.values.values() if isinstance(value, Rule)] if whole else []
        before = DeviceState(
            device=self.spec.name,
            ports=tuple(one.port for one in self.ports.values()),
            rules=tuple(rules),
            groups=tuple(one for one in known if isinstance(one, Group)),
            meters=tuple(one for one in known if isinstance(one, Meter)),
            domains=tuple(one for one in known if isinstance(one, Domain)),
        )
        state.check(state.changed(before, change))

    async def _put_meters(self, meters: Sequence[Meter]) -> Sequence[bytes]:
        """Make or change meters, which no bundle takes; what undoes it."""
        undo: list[bytes] = []
        for meter in meters:
            before = self._table.values.get(("meter", meter.id))
            config = pipeline.meter_config(meter)
            if isinstance(before, Meter):
                undo.append(openflow.meter_modify(pipeline.meter_config(before)))
                await self.channel.send([openflow.meter_modify(config)])
            else:
                undo.append(openflow.meter_delete(meter.id))
                # One may be left from a change that was cut off before its bundle.
                await self.channel.send([openflow.meter_delete(meter.id), openflow.meter_add(config)])
        return undo

    async def _dropped(self, found: Sequence[pipeline.Found]) -> tuple[Dropped, ...]:
        tables = [
            one for part in await self.channel.ask(openflow.tables_request()) for one in openflow.tables_missed(part)
        ]
        meters = [
            one for part in await self.channel.ask(openflow.meter_stats_request()) for one in openflow.metered(part)
        ]
        rules = ((one.rule, one.packets) for one in found)
        return drops.dropped(rules, self._service, dict(tables), sum(count for _, count in meters))

    async def _read(self) -> tuple[int, list[pipeline.Found]]:
        answer = await self.channel.ask(openflow.flows_request())
        known = self._table

        def read() -> tuple[pipeline.Table, int, list[pipeline.Found]]:
            stats = [one for part in answer for one in openflow.flows(part)]
            self._service = drops.of_service(stats)
            return pipeline.read(stats, known)

        many = len(known.installed) >= _MANY
        self._table, revision, found = await asyncio.to_thread(read) if many else read()
        return revision, found

    async def read_back(self) -> Effective:
        """What the switch has, with counters that include all frames so far."""
        async with self._turn:
            await self._forget_cached()
            revision, found = await self._read()
            configs = {
                one.id: one
                for part in await self.channel.ask(openflow.meters_request())
                for one in openflow.meters(part)
            }
            dropped = await self._dropped(found)
        intact = [one for key, one in self._table.values.items() if self._table.intact(key)]
        meters = [one for one in intact if isinstance(one, Meter)]
        return Effective(
            device=self.spec.name,
            revision=revision,
            ports=tuple(self.ports[number].port for number in sorted(self.ports)),
            rules=tuple(Counted(rule=one.rule, packets=one.packets, bytes=one.bytes) for one in found),
            groups=tuple(one for one in intact if isinstance(one, Group)),
            meters=tuple(one for one in meters if configs.get(one.id) == pipeline.meter_config(one)),
            domains=tuple(one for one in intact if isinstance(one, Domain)),
            dropped=dropped,
        )

    async def connections(self) -> list[Remembered]:
        """What the switch remembers in the zones of the device."""
        zones = tracking.zones_of(value for value in self._table.values.values() if isinstance(value, Rule))
        told = await self._instance.command("dpctl/dump-conntrack") if zones else ""
        found = (tracking.remembered(line) for line in told.splitlines())
        return [one for one in found if one is not None and one.zone in zones]

    # -- frames -------------------------------------------------------------------------------------------------------

    async def inject(self, port: int, frame: bytes) -> None:
        """Process a frame as if it had come in at a port; done when this returns."""
        await self.channel.send([openflow.packet_out(port, act.output(act.TABLE), frame)])

    async def probe(self, port: int, frame: bytes) -> Probed:
        """Send a frame and see where it leaves."""
        passed = await self._instance.command("ofproto/trace", self.bridge, f"in_port={port}", frame.hex())
        taps = await asyncio.to_thread(self.taps, sorted(self.ports))
        try:
            await self.inject(port, frame)
            outputs = tuple(emitted for number, tap in taps.items() for emitted in self.emitted(number, tap))
        finally:
            for tap in taps.values():
                tap.close()
        mine = {value.cookie for value in self._table.values.values() if isinstance(value, Rule)}
        cookies = (int(one, 16) for one in _COOKIE.findall(passed))
        return Probed(outputs=outputs, cookies=tuple(one for one in cookies if one in mine), dry=False)

    def taps(self, numbers: Sequence[int]) -> Mapping[int, Tap]:
        """Taps on ports, for the worker thread that opens them."""
        found: dict[int, Tap] = {}
        with self._instance.enter():
            for number in numbers:
                found[number] = Tap(self.ports[number].interface)
        return found

    def emitted(self, number: int, tap: Tap) -> Sequence[Emitted]:
        """What left at a port since the last look. The kernel sees what leaves at an internal port as coming in."""
        leaves = self.ports[number].port.kind is not PortKind.INTERNAL
        return [Emitted(port=number, frame=frame) for left, frame in tap.frames() if left is leaves]

    async def _row(self) -> BridgeRow | None:
        return next((one for one in await self._database.bridges() if one.name == self.bridge), None)


async def _planned(table: pipeline.Table, change: Change) -> pipeline.Plan:
    """Many rules take a while: then in a thread, so that the node goes on meanwhile."""
    if len(change.put_rules) + len(change.drop_rules) < _MANY:
        return pipeline.plan(table, change)
    return await asyncio.to_thread(pipeline.plan, table, change)


def _attached(one: Interface) -> Attached | None:
    text = one.labels.get(_PORT)
    if text is None:
        return None
    port = msgspec.json.decode(text, type=PortState)
    return Attached(port, one.name, tuple(one.labels.get(_RESTORE, "").split()))


def _mac(number: int) -> str:
    return ":".join(f"{number:012x}"[at : at + 2] for at in range(0, 12, 2))
