"""The one loop that measures: it sleeps while nothing is asked for, and takes each sample once for all that want it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from skerry.errors import SkerryError
from skerry.model.descriptors import DeploymentFlavour
from skerry.model.ns import NsInstance
from skerry.model.performance import ObjectType, Value
from skerry.model.time import Clock, stamp
from skerry.model.versions import standing
from skerry.model.vnf import VnfInstance
from skerry.policy import measures, objects, thresholds
from skerry.policy.measures import Asked, Member, Sample
from skerry.policy.objects import Key, Parts, Share
from skerry.policy.sampling import Sampler
from skerry.store import aggregates
from skerry.store.database import Database, Transaction

log = logging.getLogger(__name__)

SLACK_S = 0.05
KNOWN_FLAVOURS = 64
OF_NS = (ObjectType.NS, ObjectType.SAP)

Emit = Callable[[Transaction, float, Sequence[Value]], None]
"""What happens with the values of a period that ended at a time, in the transaction of the whole sweep. It may be called
again for the same values."""


@dataclass
class Watch:
    """Something that wants values each `period` seconds, until a time if any is named. `sub_objects` empty: the whole, or
    every part where there is no whole."""

    id: str
    object_type: ObjectType
    objects: Sequence[str]
    wanted: Sequence[Asked]
    period: float
    emit: Emit
    sub_objects: Sequence[str] = ()
    until: float | None = None
    step: float = field(init=False)
    end: float = field(init=False, default=0.0)
    next_at: float = field(init=False, default=0.0)
    samples: dict[Key, list[Sample]] = field(init=False, default_factory=dict[Key, "list[Sample]"])

    def __post_init__(self) -> None:
        self.step = thresholds.interval(self.period, more=measures.needs_more_samples(self.wanted))

    def take(self, fresh: Mapping[Key, Sample], parts: Mapping[str, Parts]) -> None:
        """Keep the samples that concern this one."""
        for share in _shares(parts):
            key = share.target.key
            if key in fresh and (key not in self.samples or self.samples[key][-1] is not fresh[key]):
                self.samples.setdefault(key, []).append(fresh[key])

    def values(self, parts: Mapping[str, Parts]) -> list[Value]:
        """What the samples of the period say. The last of each begins the next period."""
        at = stamp(datetime.fromtimestamp(self.end, UTC))
        found = [
            Value(self.object_type, object, sub, one.name, at, value)
            for object, its in parts.items()
            for one in self.wanted
            for sub, shares in self._measured(its, one, object)
            if (value := measures.value(one.metric, [self._member(share) for share in shares])) is not None
        ]
        self.samples = {key: samples[-1:] for key, samples in self.samples.items() if len(samples) > 1}
        return found

    def _measured(self, parts: Parts, one: Asked, object: str) -> Iterable[tuple[str, Sequence[Share]]]:
        """The parts of an object that a metric is wanted of."""
        if one.part and one.part != object:
            named: Sequence[str] = (one.part,)
        else:
            named = self.sub_objects or (("",) if "" in parts else tuple(parts))
        return ((sub, parts[sub]) for sub in named if sub in parts)

    def _member(self, share: Share) -> Member:
        return Member(samples=self.samples.get(share.target.key, ()), devices=share.devices)


def _shares(parts: Mapping[str, Parts]) -> Iterable[Share]:
    return (share for its in parts.values() for shares in its.values() for share in shares)


class Collector:
    """Measures for everybody who watches."""

    def __init__(self, database: Database, sampler: Sampler, clock: Clock) -> None:
        self._database = database
        self._sampler = sampler
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._flavours: dict[str, Mapping[str, DeploymentFlavour]] = {}

    def watch(self, watch: Watch) -> None:
        """Measure for this one from now on, in place of one of the same name."""
        now = self._now()
        watch.end = thresholds.first_boundary(now, watch.period)
        if watch.until is not None and watch.end > watch.until:  # so short a time has one value, of less than a period
            watch.end = watch.until
        watch.next_at = now
        self._watches[watch.id] = watch
        self._news.set()

    def forget(self, id: str) -> None:
        """Measure no more for it."""
        self._watches.pop(id, None)

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; what was sampled since the last period is lost."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            self._news.clear()
            due = min((watch.next_at for watch in self._watches.values()), default=None)
            if due is None:
                await self._news.wait()
            elif (pause := due - self._now()) > 0:
                try:
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                except TimeoutError:
                    continue
            else:
                await self._safely()

    async def _safely(self) -> None:
        try:
            await self.sweep()
        except SkerryError as error:
            log.warning("cannot record measurements: %s", error.detail)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def sweep(self) -> int:
        """Sample what is due, once for all, and record what is measured; the answer is how many VNFCs were sampled."""
        now = self._now()
        due = [watch for watch in self._watches.values() if watch.next_at <= now + SLACK_S]
        parts = {watch.id: self._parts(watch) for watch in due}
        wanted = {share.target.key: share.target for its in parts.values() for share in _shares(its)}
        written = {
            share.target.key
            for watch in due
            if measures.needs_storage(watch.wanted)
            for share in _shares(parts[watch.id])
        }
        for watch in due:  # also where recording fails: the next period is not this one
            watch.next_at = watch.end + watch.step
        dropped = any(measures.needs_drops(watch.wanted) for watch in due)
        fresh = await self._sampler.take(wanted.values(), frozenset(written), dropped=dropped)
        emits = [made for watch in due if (made := self._measured(watch, fresh, parts[watch.id], now))]
        if emits:
            await self._database.write(lambda tx: [emit(tx, end, values) for emit, end, values in emits])
        return len(fresh)

    def _measured(
        self, watch: Watch, fresh: Mapping[Key, Sample], parts: Mapping[str, Parts], now: float
    ) -> tuple[Emit, float, Sequence[Value]] | None:
        """Hand samples to one that wants them; at the end of its period, what is to be recorded."""
        watch.take(fresh, parts)
        if now + SLACK_S < watch.end:
            watch.next_at = thresholds.next_sample(now, watch.end, watch.step)
            return None
        end, values = watch.end, watch.values(parts)
        watch.end = thresholds.boundary(max(now, end), watch.period)
        watch.next_at = thresholds.next_sample(max(now, end), watch.end, watch.step)
        if thresholds.last(end, watch.period, watch.until):
            self._watches.pop(watch.id, None)
        return watch.emit, end, values

    # -- what is measured ---------------------------------------------------------------------------------------------

    def _parts(self, watch: Watch) -> dict[str, Parts]:
        """The parts of the objects that exist."""
        if watch.object_type in OF_NS:
            services = (aggregates.ns_instances.find(self._database, id) for id in watch.objects)
            return {ns.id: self._of_ns(ns, watch.object_type) for ns in services if ns}
        vnfs = (aggregates.vnf_instances.find(self._database, id) for id in watch.objects)
        return {vnf.id: objects.of_vnf(vnf, self.flavour(vnf), watch.object_type) for vnf in vnfs if vnf}

    def _of_ns(self, ns: NsInstance, type: ObjectType) -> Parts:
        nsd = aggregates.nsds.find(self._database, ns.nsd_info_id)
        flavour = nsd.package.nsd.flavours.get(ns.flavour_id) if nsd and nsd.package else None
        flavour = standing(flavour, ns.kept, ns.resources) if flavour else None
        return objects.of_ns(ns, flavour, [(vnf, self.flavour(vnf)) for vnf in self._vnfs(ns, {ns.id})], type)

    def _vnfs(self, ns: NsInstance, seen: set[str]) -> Iterable[VnfInstance]:
        """The VNFs of an NS, and those of the NSs inside it."""
        for member in ns.members.values():
            if vnf := aggregates.vnf_instances.find(self._database, member.vnf_instance_id):
                yield vnf
        for nested in ns.nested.values():
            inner = aggregates.ns_instances.find(self._database, nested.ns_instance_id)
            if inner and inner.id not in seen:
                seen.add(inner.id)
                yield from self._vnfs(inner, seen)

    def flavour(self, vnf: VnfInstance) -> DeploymentFlavour | None:
        """The deployment flavour of a VNF as its descriptor says it; None while the package is not known."""
        known = self._flavours.get(vnf.vnf_pkg_id)
        if known is None:
            info = aggregates.vnf_packages.find(self._database, vnf.vnf_pkg_id)
            if info is None or info.package is None:
                return None
            if len(self._flavours) >= KNOWN_FLAVOURS:
                self._flavours.clear()
            known = self._flavours[vnf.vnf_pkg_id] = info.package.vnfd.flavours
        return known.get(vnf.flavour_id)
