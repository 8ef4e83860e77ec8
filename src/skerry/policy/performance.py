"""Performance management: PM jobs and thresholds as others call them (SOL003 clause 6, SOL005 clause 7).

Both are records; the collector measures for them. What it measures for a job waits in the store for the job's next report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from skerry.engine.children import derive
from skerry.engine.events import EventLog
from skerry.errors import Fault, InvalidError, NotFoundError
from skerry.model.notifications import Authentication
from skerry.model.performance import ObjectType, PmJob, Report, Threshold, Usage, Value
from skerry.model.time import Clock, Ids, stamp
from skerry.policy import measures, objects, thresholds
from skerry.policy.collecting import Collector, Watch
from skerry.policy.sampling import Sampler
from skerry.store import aggregates
from skerry.store import performance as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection, Revs

VNFPM, NSPM = "vnfpm", "nspm"
TYPES: Mapping[str, tuple[ObjectType, ...]] = {
    VNFPM: (ObjectType.VNF, ObjectType.VNFC, ObjectType.INT_CP, ObjectType.EXT_CP),
    NSPM: (ObjectType.NS, ObjectType.SAP),
}
"""What each API measures."""

SHORTEST_S = 1
MOST_COLLECTIONS = 20_000
"""What one report holds at most: it is in memory while it is made and read."""

R = TypeVar("R", PmJob, Threshold)


class Callback(NamedTuple):
    """Who is told of a job or threshold: the address, how to say who we are there, the version of the API that it was named
    through, and the node's address as the caller sees it."""

    uri: str
    version: str
    authentication: Authentication = Authentication()
    root: str = ""


class Callbacks(Protocol):
    """What notifies the callbacks that resources name themselves."""

    async def attach(
        self, source: str, api: str, filter: Mapping[str, Any], callback: Callback, *, tenant: str
    ) -> None: ...
    async def redirect(
        self,
        source: str,
        uri: str | None,
        authentication: Authentication | None,
        record: Callable[[Transaction], Any],
    ) -> None: ...
    async def detach(self, source: str) -> None: ...
    def attached(self, *apis: str) -> set[str]: ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`threshold_s`: how often thresholds are compared; `keep_hours`: how long a report is kept; `keep`: the most reports of
    a job."""

    threshold_s: float = 10.0
    keep_hours: float = 24.0
    keep: int = 1000


class Performance:
    """Takes jobs and thresholds, has them measured, keeps reports."""

    def __init__(
        self,
        database: Database,
        events: EventLog,
        clock: Clock,
        ids: Ids,
        sampler: Sampler,
        callbacks: Callbacks,
        rules: Rules | None = None,
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._ids = ids
        self._sampler = sampler
        self._callbacks = callbacks
        self._rules = rules or Rules()
        self.collector = Collector(database, sampler, clock)

    async def start(self) -> None:
        """Go on where the node stopped."""
        known: set[str] = set()
        for job in store.jobs.select(self._database):
            known.add(job.id)
            if not self._watch_job(job):
                await self._close(job)
        for threshold in store.thresholds.select(self._database):
            known.add(threshold.id)
            self._watch_threshold(threshold)
        for source in self._callbacks.attached(*TYPES) - known:  # its job was never recorded, or is deleted
            await self._callbacks.detach(source)
        self.collector.start()

    async def stop(self) -> None:
        """Let go of everything."""
        await self.collector.stop()

    async def prune(self) -> int:
        """Keep the store bounded; the answer is how many reports were removed."""
        now = stamp(self._clock.now())
        return await self._database.write(lambda tx: store.prune(tx, now=now, keep=self._rules.keep))

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def create_job(self, wished: PmJob, callback: Callback | None) -> PmJob:
        """Measure from now on. `InvalidError` names everything that is wrong with the request."""
        self._check(wished, wished.objects, "/objectInstanceIds", self._period_faults(wished))
        measures.chosen(wished.object_type, wished.metrics, wished.groups)
        job = await self._create(store.jobs, wished, callback, "pmJobId")
        self._watch_job(job)
        return job

    def jobs(self, api: str, *, tenant: str) -> Sequence[PmJob]:
        """All of an API."""
        return store.jobs.select(self._database, api=api, tenant=tenant)

    def job(self, id: str, api: str, *, tenant: str) -> PmJob:
        """One."""
        return self._of(store.jobs, store.jobs.get(self._database, id, tenant=tenant), api)

    async def delete_job(self, id: str, api: str, *, match: Revs = None, tenant: str) -> None:
        """Measure no more; its reports go with it. `PreconditionError` where it is in none of the revisions `match`."""
        await self._end(store.jobs, store.remove_job, id, api, match, tenant)

    def reports(self, job: PmJob) -> Sequence[Report]:
        """Its reports that are not over, oldest first."""
        now = stamp(self._clock.now())
        return [report for report in store.reports(self._database, job.id) if report.expires_at > now]

    def report(self, job: PmJob, id: str) -> Sequence[Value]:
        """The values of one report."""
        values = store.report(self._database, job.id, id)
        if values is None or id not in {report.id for report in self.reports(job)}:
            raise NotFoundError(
                f"cannot find the report {id} of PM job {job.id}", suggestion="read the job to see its reports"
            )
        return values

    # -- thresholds ---------------------------------------------------------------------------------------------------

    async def create_threshold(self, wished: Threshold, callback: Callback | None) -> Threshold:
        """Compare from now on. `InvalidError` names everything that is wrong with the request."""
        faults: list[Fault] = []
        if wished.hysteresis < 0:
            path = "/criteria/simpleThresholdDetails/hysteresis"
            faults.append(Fault(message="the hysteresis is negative", path=path, fix="give 0 or more"))
        self._check(wished, (wished.object,), "/objectInstanceId", faults)
        measures.chosen(wished.object_type, (wished.metric,), ())
        threshold = await self._create(store.thresholds, wished, callback, "thresholdId")
        self._watch_threshold(threshold)
        return threshold

    def thresholds(self, api: str, *, tenant: str) -> Sequence[Threshold]:
        """All of an API."""
        return store.thresholds.select(self._database, api=api, tenant=tenant)

    def threshold(self, id: str, api: str, *, tenant: str) -> Threshold:
        """One."""
        return self._of(store.thresholds, store.thresholds.get(self._database, id, tenant=tenant), api)

    async def delete_threshold(self, id: str, api: str, *, match: Revs = None, tenant: str) -> None:
        """Compare no more. `PreconditionError` where it is in none of the revisions `match`."""
        await self._end(store.thresholds, store.remove_threshold, id, api, match, tenant)

    async def redirect(
        self,
        record: PmJob | Threshold,
        uri: str | None,
        authentication: Authentication | None,
        *,
        match: Revs = None,
    ) -> PmJob | Threshold:
        """Tell somebody else from now on (PmJobModifications, ThresholdModifications). `PreconditionError` where the record
        is in none of the revisions `match`."""
        where: Collection[Any] = store.jobs if isinstance(record, PmJob) else store.thresholds
        made: list[PmJob | Threshold] = []

        def work(tx: Transaction) -> None:
            known = where.matching(tx, record.id, record.tenant, match)
            made[:] = [where.put(tx, msgspec.structs.replace(known, callback_uri=uri or known.callback_uri))]

        await self._callbacks.redirect(record.id, uri, authentication, work)
        return made[0]

    # -- now ----------------------------------------------------------------------------------------------------------

    async def usage(self, *, tenant: str) -> Sequence[Usage]:
        """What every VNFC used by now."""
        vnfs = aggregates.vnf_instances.select(self._database, tenant=tenant)
        targets = [(vnf, target) for vnf in vnfs for target in objects.targets(vnf)]
        samples = await self._sampler.take(target for _, target in targets)
        found: list[Usage] = []
        for vnf, target in targets:
            sample = samples.get(target.key)
            found.append(
                Usage(
                    id=f"{target.vnf}:{target.vnfc}",
                    vnf=vnf.id,
                    vnf_name=vnf.vnf_instance_name or vnf.vnf_product_name,
                    vnfc=target.vnfc,
                    vim=target.vim,
                    at=sample.at if sample else self._clock.monotonic(),
                    vcpus=target.vcpus,
                    memory_bytes=target.memory_bytes,
                    storage_bytes=target.storage_bytes,
                    counters=_counters(sample) if sample else None,
                )
            )
        return found

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _end(
        self,
        where: Collection[R],
        remove: Callable[[Transaction, str], None],
        id: str,
        api: str,
        match: Revs,
        tenant: str,
    ) -> None:
        def work(tx: Transaction) -> None:
            self._of(where, where.matching(tx, id, tenant, match), api)
            remove(tx, id)

        await self._database.write(work)
        self.collector.forget(id)
        await self._callbacks.detach(id)

    def _of(self, collection: Collection[R], record: R, api: str) -> R:
        if record.api != api:
            raise collection.missing(record.id)
        return record

    def _check(self, wished: PmJob | Threshold, named: Sequence[str], path: str, faults: list[Fault]) -> None:
        if wished.object_type not in TYPES[wished.api]:
            fix = f"known are {', '.join(TYPES[wished.api])}"
            faults.append(Fault(message=f"{wished.object_type} is not measured here", path="/objectType", fix=fix))
        known = aggregates.vnf_instances if wished.api == VNFPM else aggregates.ns_instances
        for index, id in enumerate(named):
            record = known.find(self._database, id)
            if record is None or record.tenant != wished.tenant:
                faults.append(Fault(message=f"there is no {known.word} {id}", path=f"{path}/{index}"))
        if not named:
            faults.append(Fault(message="no object is named", path=path, fix="name at least one"))
        if faults:
            told = "; ".join(str(fault) for fault in faults[:3])
            raise InvalidError(
                f"cannot measure this: {told}", faults=faults, suggestion="correct every place named in faults"
            )

    def _period_faults(self, wished: PmJob) -> list[Fault]:
        faults: list[Fault] = []
        if wished.collection_s < SHORTEST_S:
            faults.append(
                Fault(
                    message=f"{wished.collection_s} s is too short", path="/criteria/collectionPeriod", fix="1 or more"
                )
            )
        if wished.reporting_s < wished.collection_s:
            fix = "a multiple of collectionPeriod"
            faults.append(Fault(message="shorter than collectionPeriod", path="/criteria/reportingPeriod", fix=fix))
        if wished.reporting_s > wished.collection_s * MOST_COLLECTIONS:
            message = f"a report would hold more than {MOST_COLLECTIONS} collections"
            fix = "collect less often, or report more often"
            faults.append(Fault(message=message, path="/criteria/reportingPeriod", fix=fix))
        if wished.boundary and _moment(wished.boundary) <= self._clock.now():
            faults.append(Fault(message="it is over already", path="/criteria/reportingBoundary", fix="a later time"))
        return faults

    async def _create(self, collection: Collection[R], wished: R, callback: Callback | None, filter: str) -> R:
        """Who is told is recorded first: a crash between leaves a callback of nothing, which the next start removes."""
        new = msgspec.structs.replace(
            wished,
            id=self._ids.new(),
            created_at=stamp(self._clock.now()),
            callback_uri=callback.uri if callback else "",
        )
        if callback:
            await self._callbacks.attach(new.id, new.api, {filter: new.id}, callback, tenant=new.tenant)
        return await self._database.write(lambda tx: collection.insert(tx, new))

    async def _close(self, job: PmJob) -> None:
        """Report what waits for a report that the end of the job has passed."""
        end = _moment(job.boundary).timestamp()
        await self._database.write(lambda tx: self._report(tx, job, end))

    def _watch_job(self, job: PmJob) -> bool:
        """Have it measured; False where that is over."""
        until = _moment(job.boundary).timestamp() if job.boundary else None
        if until is not None and until <= self._clock.now().timestamp():
            return False
        wanted = measures.chosen(job.object_type, job.metrics, job.groups)

        def emit(tx: Transaction, end: float, values: Sequence[Value]) -> None:
            if store.jobs.find(tx, job.id) is None:
                return
            if values:
                store.collect(tx, job.id, values)
            before = end - job.collection_s
            over = thresholds.last(end, job.collection_s, until)
            if over or thresholds.boundary(before, job.reporting_s) <= end + thresholds.EPSILON:
                self._report(tx, job, end)

        self.collector.watch(
            Watch(
                job.id,
                job.object_type,
                job.objects,
                wanted,
                float(job.collection_s),
                emit,
                job.sub_objects,
                until=until,
            )
        )
        return True

    def _report(self, tx: Transaction, job: PmJob, end: float) -> None:
        """Make a report of what was collected, if anything was."""
        values = store.collected(tx, job.id)
        if not values:
            return
        ready = datetime.fromtimestamp(end, UTC)
        id, expires = derive(job.id, stamp(ready)), ready + timedelta(hours=self._rules.keep_hours)
        store.add_report(tx, id, job.id, stamp(ready), stamp(expires), values)
        data: dict[str, Any] = {
            "tenant": job.tenant,
            "api": job.api,
            "objectType": job.object_type.value,
            "objects": [object for object in job.objects if any(value.object == object for value in values)],
            "subObjects": list(job.sub_objects),
        }
        self._events.add(tx, "performance", subject=job.id, name=id, state="REPORT", data=data)

    def _watch_threshold(self, threshold: Threshold) -> None:
        wanted = measures.chosen(threshold.object_type, (threshold.metric,), ())

        def emit(tx: Transaction, _end: float, values: Sequence[Value]) -> None:
            if store.thresholds.find(tx, threshold.id) is None:
                return
            before = store.crossings(tx, threshold.id)
            for value in values:
                was = before.get(value.sub_object)
                way = thresholds.crossing(value.value, threshold.value, threshold.hysteresis, was)
                if way is not None:
                    store.put_crossings(tx, threshold.id, [(value.sub_object, way)])
                    self._cross(tx, threshold, value, way.value)

        period = self._rules.threshold_s
        named = (threshold.object,)
        self.collector.watch(
            Watch(threshold.id, threshold.object_type, named, wanted, period, emit, threshold.sub_objects)
        )

    def _cross(self, tx: Transaction, threshold: Threshold, value: Value, way: str) -> None:
        data: dict[str, Any] = {
            "tenant": threshold.tenant,
            "api": threshold.api,
            "objectType": threshold.object_type.value,
            "object": threshold.object,
            "subObject": value.sub_object,
            "metric": threshold.metric,
            "value": value.value,
        }
        detail = f"{threshold.metric} is {value.value:g}, the threshold {threshold.value:g}"
        self._events.add(
            tx, "performance", subject=threshold.id, name=threshold.metric, state=way, detail=detail, data=data
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _counters(sample: measures.Sample) -> dict[str, Any]:
    """What a sample counted, for whoever takes another one later."""
    traffic = {way: sum(devices.values()) for way, devices in sample.traffic.items()}
    return {"cpu_seconds": sample.cpu_seconds, "memory_bytes": sample.memory_bytes, **traffic}
