"""The data plane of a node: keeps what is asked for, compiles, proves, applies, reads back, probes; carries on after a restart.

A change is a set of additions and removals that takes effect as a whole: compiled with everything else, proven, kept durably,
then applied in an order that loses no frame. What cannot be is refused before anything happened, with a witness frame.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from skerry.dataplane import records
from skerry.dataplane.compile import Network, Retired, pin_value
from skerry.dataplane.driver import Effective, EngineEvent, EventKind
from skerry.dataplane.flows import Change, DeviceState, Field, mac
from skerry.dataplane.gtp.tracker import Sides
from skerry.dataplane.hosting import Hosting, Place, missing
from skerry.dataplane.intents import Intents, Link, Port, Steering, Topology, Wire
from skerry.dataplane.interpreter import Memory
from skerry.dataplane.order import changes
from skerry.dataplane.parts import Part, numbered, put_hardware
from skerry.dataplane.planning import Planner
from skerry.dataplane.privacy import Veil
from skerry.dataplane.proofs import MOST_PROBES, Proofs, Waiting
from skerry.dataplane.records import DeviceRecord, IntentRecord, Ledger, Wishes
from skerry.dataplane.refusals import shared_by
from skerry.dataplane.trace import Trace, trace
from skerry.dataplane.views import ConnectionView, DeviceView, RuleView, connection_of, zones_of
from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError, SkerryError
from skerry.model.time import Clock, stamp

log = logging.getLogger(__name__)

Tell = Callable[[str, str, Mapping[str, Any]], Any]
BREAK_S = 0.01
REPEAT_S = 5.0


class DataPlane:
    """The service. `tell` is called with what happens: kind, subject, data."""

    def __init__(
        self,
        ledger: Ledger,
        hosting: Hosting,
        clock: Clock,
        *,
        tell: Tell | None = None,
        planner: Planner | None = None,
    ) -> None:
        self._ledger, self._hosting, self._clock = ledger, hosting, clock
        self._tell: Tell = tell or (lambda *_: None)
        self._wishes = Wishes()
        self._network = Network(topology=self._wishes.topology, states={})
        self._applied: dict[str, DeviceState] = {}
        self._trouble: dict[str, str] = {}
        self._planner = planner or Planner()
        self._proofs = Proofs(hosting, clock)
        self._keeping = False
        self._turn = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        hosting.told = self._event

    # -- life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was asked for before: adopt what runs, apply what is missing. Without devices nothing is loaded."""
        kept = self._ledger.load()
        self._wishes = records.wishes_of(kept)
        self._proofs.proven.load(kept)
        if self._wishes.devices:
            async with self._turn:
                try:
                    self._network = self._planner.compiled(self._wishes)
                    await self._reconcile()
                except SkerryError as error:  # what runs goes on; a change that is right mends it
                    self._in_trouble("", error)
        self._age_later()

    async def stop(self) -> None:
        """Let go; forwarding goes on."""
        if self._timer:
            self._timer.cancel()
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._keep()
        await self._hosting.close()

    async def reconcile(self) -> None:
        """Compare every device with what it shall do, and mend it."""
        async with self._turn:
            await self._reconcile()

    async def _reconcile(self) -> None:
        self._trouble.clear()
        for device, state in self._network.states.items():
            try:
                await self._mend(device, state)
            except SkerryError as error:
                self._in_trouble(device, error)
        await self._hosting.remove_strays()
        try:
            await self._hosting.listen(self._snooped())
        except SkerryError as error:
            self._in_trouble("", error)
        if self._trouble:
            self._later(REPEAT_S, self.reconcile)

    async def _mend(self, device: str, state: DeviceState) -> None:
        record = self._wishes.devices[device]
        engine = await self._hosting.choose(record.device, state, record.engine)
        await self._hosting.serve(record.device, engine)
        effective = await self._hosting.attach(device, state.ports)
        change = missing(effective, state, record.revision)
        if not change.empty:
            await self._hosting.apply(change)
            self._proofs.proven.keep(device, ())  # what was seen, was seen of another state
        await self._hosting.detach_others(device, state.ports)
        self._applied[device] = state
        if any(rule.owner and not self._proofs.proven.since(device, rule.cookie) for rule in state.rules):
            self._later(0, lambda: self._probe_again(device))

    def _in_trouble(self, device: str, error: SkerryError) -> None:
        log.warning("the device %s is not as it shall be: %s", device, error.detail)
        self._trouble[device] = error.detail
        self._tell("dataplane.trouble", device, {"detail": error.detail})

    # -- changes ----------------------------------------------------------------------------------------------------------

    async def put(self, *intents: Intents, tenant: str | None = None, all_seen: bool = False) -> None:
        """Add intents, or replace those of their ids. `ConflictError` for an id of another tenant's. `all_seen`: who asks may
        read of all tenants what is in the way."""
        self._mine(intents, tenant)
        with self._veiled(intents, all_seen=all_seen):
            async with self.changing() as draft:
                for intent in intents:
                    self._put(draft, intent)

    @contextmanager
    def _veiled(self, intents: Iterable[Intents], *, all_seen: bool) -> Generator[None]:
        """A refusal says nothing of others to the one tenant that these intents belong to."""
        try:
            yield
        except (InvalidError, ConflictError) as error:
            tenants = {intent.tenant for intent in intents}
            if all_seen or len(tenants) != 1 or tenants == {""}:
                raise
            raise self._veil(tenants.pop(), intents).error(error) from None

    def _veil(self, tenant: str, said: Iterable[Intents] = ()) -> Veil:
        return Veil(tenant, self._wishes.ports.values(), self.intents(), said)

    def _mine(self, intents: Sequence[Intents], tenant: str | None) -> None:
        for intent in intents:
            known = self._wishes.intents.get(intent.id)
            if known is not None and known.intent.tenant != intent.tenant:
                raise ConflictError(f"cannot put the intent {intent.id}: the id is taken", suggestion="take another id")
            if tenant is not None and intent.tenant != tenant:
                raise InvalidError(f"cannot put an intent of the tenant {intent.tenant} for {tenant}")

    def _put(self, draft: Wishes, intent: Intents) -> None:
        known = draft.intents.get(intent.id)
        rev = known.intent.rev + 1 if known else 1
        new = replace(intent, rev=rev)
        if known is not None and replace(known.intent, rev=rev) == new:
            return
        self._retire(draft, known)
        draft.intents[intent.id] = IntentRecord(intent=new, changed_at=stamp(self._clock.now()))

    def shared(self, intents: Sequence[Intents]) -> list[str]:
        """What these intents concern that all tenants share, in words: nothing a single tenant may decide about."""
        return shared_by(self._wishes.topology, self.intents(), intents)

    async def remove(self, *ids: str, tenant: str | None = None, all_seen: bool = False) -> None:
        """Remove intents. `NotFoundError` for one that is not there."""
        given = [self.intent(id, tenant=tenant) for id in ids]
        with self._veiled(given, all_seen=all_seen):
            async with self.changing() as draft:
                for id in ids:
                    self._retire(draft, draft.intents.pop(id))

    async def replace_owner(
        self, owner: str, intents: Sequence[Intents], *, tenant: str | None = None, all_seen: bool = False
    ) -> None:
        """Make exactly these the intents of an owner, in one change. Without any: nothing of the owner stays. `tenant`: only
        its own are replaced."""
        self._mine(intents, tenant)
        if tenant is not None:
            others = [one for one in self.intents(owner=owner) if one.tenant != tenant]
            intents = [*others, *intents]
        with self._veiled(intents, all_seen=all_seen):
            async with self.changing() as draft:
                self._put_owner(draft, owner, intents)

    async def replace_part(self, owner: str, part: Part) -> None:
        """Make exactly these the ports and intents of an owner, in one change; an empty part removes all of it."""
        with self._veiled(part.intents, all_seen=False):
            async with self.changing() as draft:
                self._put_owner(draft, owner, part.intents)
                put_hardware(draft, owner, part)

    async def renew(self, owner: str) -> None:
        """Attach the ports of an owner again where their interfaces are others now, behind the same names."""
        async with self._turn:
            for port in self._wishes.ports.values():
                if port.id.startswith(f"{owner}:") and port.device in self._hosting.served():
                    await self._hosting.renew(port.device, port.number, self._network.states[port.device].ports)

    def _put_owner(self, draft: Wishes, owner: str, intents: Sequence[Intents]) -> None:
        kept = {intent.id for intent in intents}
        for id in [id for id, one in draft.intents.items() if one.intent.owner == owner and id not in kept]:
            self._retire(draft, draft.intents.pop(id))
        for intent in intents:
            self._put(draft, replace(intent, owner=owner))

    def _retire(self, draft: Wishes, known: IntentRecord | None) -> None:
        """Flows of a sticky steering that goes may go on."""
        if known is not None and isinstance(known.intent, Steering) and known.intent.sticky_s:
            value = str(pin_value(known.intent))
            draft.retired[value] = Retired(steering=known.intent, until=self._time() + known.intent.sticky_s)

    async def put_topology(self, topology: Topology) -> None:
        """Add devices, ports and links, or change them, all in one change. Ports without a number keep theirs or get one. A
        link that is not `up` may leave things without a way."""
        async with self.changing(failing=any(not link.up for link in topology.links)) as draft:
            for device in topology.devices:
                known = draft.devices.get(device.id) or DeviceRecord(device=device)
                draft.devices[device.id] = replace(known, device=device)
            for port in topology.ports:
                draft.ports[port.id] = numbered(draft, port)
            draft.links.update((link.id, link) for link in topology.links)

    async def remove_device(self, id: str) -> None:
        """Remove a device that has no ports. It is torn down."""
        self._need(self._wishes.devices, id, "device")
        async with self.changing() as draft:
            del draft.devices[id]

    async def remove_port(self, id: str) -> None:
        """Remove a port that no intent names."""
        self._need(self._wishes.ports, id, "port")
        async with self.changing() as draft:
            del draft.ports[id]

    async def remove_link(self, id: str) -> None:
        """Remove a link."""
        self._need(self._wishes.links, id, "link")
        async with self.changing() as draft:
            del draft.links[id]

    @asynccontextmanager
    async def changing(self, *, failing: bool = False) -> AsyncGenerator[Wishes]:
        """Change whatever of the wishes inside the block; at its end all of it is compiled, proven, kept and applied, or
        nothing is. `failing`: the change is a failure of a link, which may leave things without a way."""
        async with self._turn:
            draft = records.copied(self._wishes)
            yield draft
            network, plan = await self._planner.plan(self._wishes, draft, self._network, failing=failing)
            await self._commit(draft, network, plan)

    async def _commit(self, draft: Wishes, network: Network, plan: Sequence[Change] | None) -> None:
        """Choose engines, keep the wishes, apply. `plan` is what there is to do, where that is known."""
        before, served = self._wishes, self._hosting.served()
        if plan is None or any(self._applied.get(id) is not state for id, state in self._network.states.items()):
            asked, plan = network.states, None
        else:
            news = {change.device: change.put_rules for change in plan}
            asked = {id: replace(state, rules=news.get(id, ())) for id, state in network.states.items()}
        chosen = {
            id: await self._hosting.choose(record.device, asked[id], record.engine)
            for id, record in draft.devices.items()
            if network.states[id].ports or record.engine
        }
        for id in [id for id, engine in chosen.items() if served.get(id, engine) != engine]:
            self._applied.pop(id, None)  # another engine begins with nothing
        if plan is None:
            plan = changes(self._applied, network, 0)
        touched = {change.device for change in plan}
        for id, record in draft.devices.items():
            revision = record.revision + (id in touched)
            draft.devices[id] = replace(record, engine=chosen.get(id, record.engine), revision=revision)
        put, drop = records.difference(before, draft)
        for change in plan:
            self._proofs.proven.drop(change.device, (one.cookie for one in (*change.put_rules, *change.drop_rules)))
        self._proofs.proven.gone(draft.devices)
        seen, unseen = self._proofs.proven.news()
        await self._ledger.save([*put, *seen], [*drop, *unseen])
        old_network, self._wishes, self._network = self._network, draft, network
        try:
            await self._apply(plan)
        except SkerryError as error:
            if not getattr(error, "transient", False):
                await self._undo(before, old_network, put, drop)
                raise
            self._in_trouble("", error)
            self._later(REPEAT_S, self.reconcile)
        self._age_later()

    async def _undo(self, before: Wishes, network: Network, put: Sequence[records.Record], drop: Sequence[str]) -> None:
        """Back to what was asked for before, after a change that an engine refused."""
        old = before.records()
        restored = [old[id] for id in (*(record.id for record in put), *drop) if id in old]
        await self._ledger.save(restored, [record.id for record in put if record.id not in old])
        self._wishes, self._network = before, network
        self._applied.clear()
        await self._reconcile()

    async def _apply(self, plan: Sequence[Change]) -> None:
        for id, record in self._wishes.devices.items():
            if record.engine:
                await self._hosting.serve(record.device, record.engine)
                if id not in self._applied or self._applied[id].ports != self._network.states[id].ports:
                    await self._hosting.attach(id, self._network.states[id].ports)
        # A device without ports is served by nobody yet.
        plan = [change for change in plan if change.device in self._hosting.served()]
        for change in plan:
            revision = self._wishes.devices[change.device].revision
            await self._hosting.apply(replace(change, revision=revision))
        for id, state in self._network.states.items():
            if id in self._hosting.served():
                if id in self._applied and self._applied[id].ports != state.ports:
                    await self._hosting.detach_others(id, state.ports)
                self._applied[id] = state
        for id in [id for id in self._hosting.served() if id not in self._wishes.devices]:
            await self._hosting.teardown(id)
            self._applied.pop(id, None)
        await self._hosting.listen(self._snooped())
        await self._probe_new(plan)

    def _snooped(self) -> dict[Place, Sides]:
        """Where the control plane is to be read."""
        found: dict[Place, Sides] = {}
        for record in self._wishes.intents.values():
            wire = record.intent
            if isinstance(wire, Wire) and wire.snoop_gtp:
                ran, core = self._wishes.ports[wire.a], self._wishes.ports[wire.b]
                namespace = self._wishes.devices[ran.device].device.namespace
                if ran.device in self._hosting.served():
                    place = Place(ran.device, namespace, ran.interface)
                    found[place] = Sides(ran=mac(ran.mac), core=mac(core.mac))
        return found

    # -- proof ------------------------------------------------------------------------------------------------------------

    async def _probe_new(self, plan: Sequence[Change]) -> None:
        """Read every changed device back and probe its new rules, as many as can be done at once."""
        for device in {change.device for change in plan}:
            new = {rule.cookie for change in plan if change.device == device for rule in change.put_rules}
            tables = self._planner.tables(self._network, device)
            self._probe_later(await self._proofs.show(self._network.states[device], new, tables=tables))
        self._keep_later()

    def _probe_later(self, waiting: Waiting | None) -> None:
        if waiting:
            self._later(0, lambda: self._probe_others(waiting))

    async def _probe_again(self, device: str) -> None:
        """What nobody has seen work, of a device that was taken up or mended."""
        async with self._turn:
            if device in self._hosting.served() and device in self._network.states:
                self._probe_later(await self._proofs.show(self._network.states[device], set(), others=True))
        self._keep_later()

    async def _probe_others(self, waiting: Waiting) -> None:
        """The rest of many rules, in the breaks between changes; the next change takes up what it interrupts."""
        prover, rules = waiting
        for start in range(0, len(rules), MOST_PROBES):
            await asyncio.sleep(BREAK_S)
            async with self._turn:
                if self._network.states.get(prover.state.device) is not prover.state:
                    return
                await self._proofs.probe(prover, rules[start : start + MOST_PROBES])
        self._keep_later()

    def _keep_later(self) -> None:
        """What was seen is kept beside, since it can be seen again."""
        if not self._keeping:
            self._keeping = True
            self._later(0, self._keep)

    async def _keep(self) -> None:
        self._keeping = False
        put, drop = self._proofs.proven.news()
        if put or drop:
            await self._ledger.save(put, drop)

    async def rules(self, *, tenant: str | None = None, device: str = "", owner: str = "") -> list[RuleView]:
        """Every rule with its three states: requested, effective (read from the engine now), verified (a probe or real
        frames have shown it)."""
        read = await self.effective(device)
        found = [view for one in read for view in self._proofs.views(self._network.states[one.device], one, owner)]
        return [view for view in found if tenant is None or view.rule.tenant in ("", tenant)]

    async def effective(self, device: str = "") -> list[Effective]:
        """What devices have in effect and have counted, read from the engines now."""
        if device:
            self._need(self._wishes.devices, device, "device")
        return [await self._effective(id) for id in ([device] if device else list(self._wishes.devices))]

    async def _effective(self, device: str) -> Effective:
        if device not in self._hosting.served():
            return Effective(device=device)
        return await self._hosting.engine_of(device).read_back(device)

    # -- looking ----------------------------------------------------------------------------------------------------------

    async def drops(self) -> dict[str, int]:
        """MAC of who is behind a port -> frames that came in there and were dropped, since the device was made."""
        behind = {(port.device, port.number): port.mac.lower() for port in self.ports() if port.mac}
        found = dict.fromkeys(behind.values(), 0)
        for one in await self.effective() if behind else ():
            for drop in one.dropped:
                if mac := behind.get((one.device, drop.port)):
                    found[mac] += drop.packets
        return found

    def intents(self, *, tenant: str | None = None, owner: str = "") -> list[Intents]:
        """What was asked for."""
        found = [record.intent for record in self._wishes.intents.values()]
        return [one for one in found if (tenant is None or one.tenant in ("", tenant)) and owner in ("", one.owner)]

    def intent(self, id: str, *, tenant: str | None = None) -> Intents:
        """One intent. `NotFoundError` also for another tenant's."""
        record = self._wishes.intents.get(id)
        if record is None or (tenant is not None and record.intent.tenant != tenant):
            raise NotFoundError(f"cannot find the intent {id}", suggestion="list the intents to see which there are")
        return record.intent

    def ports(self, *, tenant: str | None = None) -> list[Port]:
        """Ports, with their numbers."""
        return [port for port in self._wishes.ports.values() if tenant is None or port.tenant in ("", tenant)]

    def port(self, id: str, *, tenant: str | None = None) -> Port:
        """One port. `NotFoundError` also for another tenant's."""
        port = self._wishes.ports.get(id)
        if port is None or (tenant is not None and port.tenant not in ("", tenant)):
            raise NotFoundError(f"cannot find the port {id}", suggestion="list the ports to see which there are")
        return port

    def devices(self) -> list[DeviceView]:
        """Devices and how they are."""
        served = self._hosting.served()
        return [
            DeviceView(
                device=record.device,
                engine=served.get(id, record.engine),
                revision=record.revision,
                served=id in served,
                trouble=self._trouble.get(id, ""),
            )
            for id, record in self._wishes.devices.items()
        ]

    def links(self) -> list[Link]:
        """Links."""
        return list(self._wishes.links.values())

    @property
    def unreachable(self) -> tuple[Fault, ...]:
        """What has no way now."""
        return self._network.unreachable

    @property
    def network(self) -> Network:
        """The compiled network, with the chains as they are laid out."""
        return self._network

    async def connections(self, *, tenant: str | None = None, device: str = "") -> list[ConnectionView]:
        """The connections that devices remember, with the intent of their zone."""
        found: list[ConnectionView] = []
        for id in self._hosting.served():
            zones = zones_of(self._network.states[id]) if device in ("", id) else {}
            known = await self._hosting.engine_of(id).connections(id) if zones else ()
            found += [
                ConnectionView(device=id, zone=zones[one.zone].owner, connection=one)
                for one in known
                if one.zone in zones and (tenant is None or zones[one.zone].tenant == tenant)
            ]
        return found

    async def trace(self, port: str, frame: bytes, *, tenant: str | None = None) -> Trace:
        """Where a frame goes that comes in at a port, with what the devices know now; what is not the tenant's is not told."""
        self.port(port, tenant=tenant)
        memories: dict[str, Memory] = {}
        for device in self._hosting.served():
            effective = await self._effective(device)
            memories[device] = Memory(sessions={session.ue: session for session in effective.sessions})
            for one in await self._hosting.engine_of(device).connections(device):
                memories[device].connections.put(connection_of(one, self._clock.monotonic()))
        found = trace(self._network, port, frame, memories=memories, now=self._clock.monotonic())
        return found if tenant is None else self._veil(tenant).trace(found)

    @staticmethod
    def _need(known: Mapping[str, Any], id: str, word: str) -> None:
        if id not in known:
            raise NotFoundError(f"cannot find the {word} {id}", suggestion=f"list the {word}s to see which there are")

    # -- what happens -----------------------------------------------------------------------------------------------------

    def _event(self, event: EngineEvent) -> None:
        self._tell(f"dataplane.{event.kind}", event.device, {"port": event.port, "detail": event.detail})
        if event.kind in (EventKind.PORT_DOWN, EventKind.PORT_UP):
            self._later(0, lambda: self._link_event(event))
        elif event.kind is EventKind.LOST:
            self._later(0, self.reconcile)

    async def _link_event(self, event: EngineEvent) -> None:
        """Lead everything around a link whose end is down, and back when it is up."""
        up = event.kind is EventKind.PORT_UP
        ends = {
            id for id, port in self._wishes.ports.items() if (port.device, port.number) == (event.device, event.port)
        }
        for link in list(self._wishes.links.values()):
            if ends & {link.a, link.b} and link.up != up:
                await self.put_topology(Topology(links=(replace(link, up=up),)))

    def _later(self, seconds: float, do: Callable[[], Any]) -> None:
        async def work() -> None:
            await asyncio.sleep(seconds)
            try:
                await do()
            except SkerryError as error:
                log.warning("the data plane could not follow an event: %s", error.detail)

        task = asyncio.get_running_loop().create_task(work())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _time(self) -> float:
        return self._clock.now().timestamp()

    def _age_later(self) -> None:
        """Look at retired steerings when the next of them may have ended."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = min((one.until for one in self._wishes.retired.values()), default=None)
        if due is not None:
            wait = max(due - self._time(), 0.0) + 0.05
            self._timer = asyncio.get_running_loop().call_later(wait, lambda: self._later(0, self.age))

    async def age(self) -> None:
        """Let go of former steerings whose flows have ended."""
        now = self._time()
        due = {value: one for value, one in self._wishes.retired.items() if one.until <= now}
        if not due:
            self._age_later()
            return
        busy = await self._busy(set(due))
        async with self.changing() as draft:
            for value, one in due.items():
                if value in busy:
                    until = (self._clock.now() + timedelta(seconds=one.steering.sticky_s)).timestamp()
                    draft.retired[value] = replace(one, until=until, seen=busy[value])
                else:
                    del draft.retired[value]

    async def _busy(self, values: set[str]) -> dict[str, int]:
        """Which pinned steerings have passed frames since they were looked at, and how many in all."""
        totals: dict[str, int] = {}
        for device in self._hosting.served():
            for one in (await self._effective(device)).rules:
                for term in one.rule.match:
                    if term.field is Field.PIN and str(term.value) in values:
                        totals[str(term.value)] = totals.get(str(term.value), 0) + one.packets
        return {value: total for value, total in totals.items() if total > self._wishes.retired[value].seen}
