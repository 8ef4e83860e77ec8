"""What performance management of VNFs (SOL002 and SOL003 clause 6) and of NSs (SOL005 clause 7) have in common.

Version 1 is that of V2.6.1: no type of object, subscriptions instead of a callback in the job itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import subscriptions as shared
from skerry.api.paging import MARKER
from skerry.api.route import LIST_QUERY, Call, Endpoint, Handler, Query
from skerry.api.wire import Link, Wire
from skerry.errors import Fault, InvalidError
from skerry.model.performance import ObjectType, PmJob, Report, Threshold, Value
from skerry.model.time import stamp
from skerry.policy.performance import Callback

THRESHOLDS_QUERY = tuple(one for one in LIST_QUERY if one.name in ("filter", MARKER))
"""Lists of thresholds have no attribute selectors (SOL003 6.4.5.3.2)."""

INSTANCES: Mapping[str, str] = {"vnfpm": "/vnflcm/{v}/vnf_instances/", "nspm": "/nslcm/{v}/ns_instances/"}
DEFAULT: Mapping[str, ObjectType] = {"vnfpm": ObjectType.VNF, "nspm": ObjectType.NS}
"""What version 1 measures, which does not say it."""

Ids = Annotated[list[str], Meta(min_length=1)]
Seconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]
Moment = Annotated[datetime, Meta(tz=True)]


class PmJobCriteria(Wire, frozen=True, kw_only=True):
    """PmJobCriteria (SOL003 6.5.3.3)."""

    performance_metric: list[str] | None = None
    performance_metric_group: list[str] | None = None
    collection_period: Seconds
    reporting_period: Seconds
    reporting_boundary: Moment | None = None


class CreatePmJobRequestV1(Wire, frozen=True, kw_only=True):
    """CreatePmJobRequest (SOL003 V2.6.1 6.5.2.6)."""

    object_instance_ids: Ids
    criteria: PmJobCriteria


class CreatePmJobRequest(Wire, frozen=True, kw_only=True):
    """CreatePmJobRequest (SOL003 6.5.2.6)."""

    object_type: ObjectType
    object_instance_ids: Ids
    sub_object_instance_ids: list[str] | None = None
    criteria: PmJobCriteria
    callback_uri: shared.Uri
    authentication: shared.SubscriptionAuthentication | None = None


class ReportInfo(Wire, frozen=True, kw_only=True):
    """A report of a PM job."""

    href: str
    ready_time: str
    expiry_time: str
    file_size: int


class PmLinks(Wire, frozen=True, kw_only=True):
    """Links of a PM job."""

    self: Link
    objects: tuple[Link, ...] = ()


class PmJobShownV1(Wire, frozen=True, kw_only=True):
    """PmJob (SOL003 V2.6.1 6.5.2.7)."""

    id: str
    object_instance_ids: tuple[str, ...]
    criteria: PmJobCriteria
    links: PmLinks = msgspec.field(name="_links")
    reports: tuple[ReportInfo, ...] = ()


class PmJobShown(PmJobShownV1, frozen=True, kw_only=True):
    """PmJob (SOL003 6.5.2.7)."""

    object_type: ObjectType
    callback_uri: str
    sub_object_instance_ids: tuple[str, ...] = ()


class PmModifications(Wire, frozen=True, kw_only=True):
    """PmJobModifications and ThresholdModifications (SOL003 6.5.2.12 f.)."""

    callback_uri: shared.Uri | None = None
    authentication: shared.SubscriptionAuthentication | None = None

    def __post_init__(self) -> None:
        if self.callback_uri is None and self.authentication is None:
            raise ValueError("give callbackUri or authentication")


class PerformanceValue(Wire, frozen=True, kw_only=True):
    """A measured value with its time."""

    time_stamp: str
    value: float


class PerformanceEntry(Wire, frozen=True, kw_only=True):
    """The values of one metric of one object."""

    object_type: ObjectType
    object_instance_id: str
    performance_metric: str
    performance_values: tuple[PerformanceValue, ...]
    sub_object_instance_id: str | None = None


class PerformanceReport(Wire, frozen=True, kw_only=True):
    """PerformanceReport (SOL003 6.5.2.10)."""

    entries: tuple[PerformanceEntry, ...]


class SimpleThresholdDetails(Wire, frozen=True, kw_only=True):
    """Details of a threshold of type SIMPLE."""

    threshold_value: float
    hysteresis: float


class ThresholdCriteria(Wire, frozen=True, kw_only=True):
    """ThresholdCriteria (SOL003 6.5.3.4)."""

    performance_metric: str
    threshold_type: Literal["SIMPLE"]
    simple_threshold_details: SimpleThresholdDetails


class CreateThresholdRequestV1(Wire, frozen=True, kw_only=True):
    """CreateThresholdRequest (SOL003 V2.6.1 6.5.2.8)."""

    object_instance_id: str
    criteria: ThresholdCriteria


class CreateThresholdRequest(Wire, frozen=True, kw_only=True):
    """CreateThresholdRequest (SOL003 6.5.2.8). The official file of SOL005 has no callback here: without one, nobody is
    told, but the event log is."""

    object_type: ObjectType
    object_instance_id: str
    sub_object_instance_ids: list[str] | None = None
    criteria: ThresholdCriteria
    callback_uri: shared.Uri | None = None
    authentication: shared.SubscriptionAuthentication | None = None


class ThresholdLinks(Wire, frozen=True, kw_only=True):
    """Links of a threshold."""

    self: Link
    object: Link


class ThresholdShownV1(Wire, frozen=True, kw_only=True):
    """Threshold (SOL003 V2.6.1 6.5.2.9)."""

    id: str
    object_instance_id: str
    criteria: ThresholdCriteria
    links: ThresholdLinks = msgspec.field(name="_links")


class ThresholdShown(ThresholdShownV1, frozen=True, kw_only=True):
    """Threshold (SOL003 6.5.2.9)."""

    object_type: ObjectType
    callback_uri: str
    sub_object_instance_ids: tuple[str, ...] = ()


def _api(call: Call) -> str:
    return call.root.strip("/").partition("/")[0]


def _object(call: Call, api: str, id: str) -> Link:
    return Link(href=call.uri(INSTANCES[api].format(v=f"v{call.version}") + id))


def _callback(call: Call, uri: str | None, given: shared.SubscriptionAuthentication | None) -> Callback | None:
    if uri is None:
        return None
    version = str(call.request.scope["skerry.version"])
    return Callback(uri, version, shared.authentication_of(given), call.uri(""))


# -- jobs -------------------------------------------------------------------------------------------------------------


def render_job(call: Call, job: PmJob) -> PmJobShownV1:
    """The job on the wire."""
    boundary = datetime.fromisoformat(job.boundary.replace("Z", "+00:00")) if job.boundary else None
    criteria = PmJobCriteria(
        performance_metric=list(job.metrics) or None,
        performance_metric_group=list(job.groups) or None,
        collection_period=job.collection_s,
        reporting_period=job.reporting_s,
        reporting_boundary=boundary,
    )
    objects = tuple(_object(call, job.api, id) for id in job.objects)
    shared_part: dict[str, Any] = {
        "id": job.id,
        "object_instance_ids": job.objects,
        "criteria": criteria,
        "reports": tuple(_report(call, report) for report in call.services.performance.reports(job)),
        "links": PmLinks(self=Link(href=call.href(f"/pm_jobs/{job.id}")), objects=objects),
    }
    if call.version == 1:
        return PmJobShownV1(**shared_part)
    return PmJobShown(
        **shared_part,
        object_type=job.object_type,
        callback_uri=job.callback_uri,
        sub_object_instance_ids=job.sub_objects,
    )


def _report(call: Call, report: Report) -> ReportInfo:
    return ReportInfo(
        href=call.href(f"/pm_jobs/{report.job}/reports/{report.id}"),
        ready_time=report.ready_at,
        expiry_time=report.expires_at,
        file_size=report.size_bytes,
    )


def _job_of(call: Call) -> PmJob:
    return call.services.performance.job(call.path("pmJobId"), _api(call), tenant=call.tenant)


async def _create_job(call: Call, asked: CreatePmJobRequest | CreatePmJobRequestV1) -> Response:
    criteria, api = asked.criteria, _api(call)
    new = asked if isinstance(asked, CreatePmJobRequest) else None
    boundary = criteria.reporting_boundary
    wished = PmJob(
        id="",
        tenant=call.tenant,
        api=api,
        object_type=new.object_type if new else DEFAULT[api],
        objects=tuple(asked.object_instance_ids),
        sub_objects=tuple((new and new.sub_object_instance_ids) or ()),
        metrics=tuple(criteria.performance_metric or ()),
        groups=tuple(criteria.performance_metric_group or ()),
        collection_s=criteria.collection_period,
        reporting_s=criteria.reporting_period,
        boundary=stamp(boundary.astimezone(UTC)) if boundary else "",
    )
    callback = _callback(call, new.callback_uri, new.authentication) if new else None
    made = await call.services.performance.create_job(wished, callback)
    location = call.href(f"/pm_jobs/{made.id}")
    return call.show(render_job(call, made), rev=made.rev, status=201, location=location)


async def create_job_v1(call: Call) -> Response:
    """Measure something from now on, as V2.6.1 asks for it."""
    return await _create_job(call, await call.body(CreatePmJobRequestV1))


async def create_job(call: Call) -> Response:
    """Measure something from now on."""
    return await _create_job(call, await call.body(CreatePmJobRequest))


async def list_jobs(call: Call) -> Response:
    """The tenant's jobs."""
    found = call.services.performance.jobs(_api(call), tenant=call.tenant)
    return call.listed(found, partial(render_job, call), hide=("reports",))


async def show_job(call: Call) -> Response:
    """One job with its reports."""
    job = _job_of(call)
    return call.show(render_job(call, job), rev=job.rev)


async def delete_job(call: Call) -> Response:
    """Measure no more."""
    id = call.path("pmJobId")
    await call.services.performance.delete_job(id, _api(call), match=call.match, tenant=call.tenant)
    return call.done()


async def modify_job(call: Call) -> Response:
    """Tell another address."""
    return await _redirect(call, _job_of(call))


async def _redirect(call: Call, record: PmJob | Threshold) -> Response:
    asked = await call.body(PmModifications)
    given = shared.authentication_of(asked.authentication) if asked.authentication else None
    changed = await call.services.performance.redirect(record, asked.callback_uri, given, match=call.match)
    shown: dict[str, Any] = {"callbackUri": changed.callback_uri} if asked.callback_uri else {}
    if asked.authentication and not asked.callback_uri:
        shown["authentication"] = {"authType": asked.authentication.auth_type}  # never what is secret
    return call.show(shown, rev=changed.rev)


async def show_report(call: Call) -> Response:
    """One report."""
    job = _job_of(call)
    return call.show(report_of(call.services.performance.report(job, call.path("reportId"))))


def report_of(values: Sequence[Value]) -> PerformanceReport:
    """Values as a report: one entry for each object, part and metric."""
    grouped: dict[tuple[ObjectType, str, str, str], list[PerformanceValue]] = {}
    for one in values:
        key = (one.object_type, one.object, one.sub_object, one.metric)
        grouped.setdefault(key, []).append(PerformanceValue(time_stamp=one.at, value=one.value))
    entries = tuple(
        PerformanceEntry(
            object_type=type,
            object_instance_id=object,
            sub_object_instance_id=sub or None,
            performance_metric=metric,
            performance_values=tuple(measured),
        )
        for (type, object, sub, metric), measured in grouped.items()
    )
    return PerformanceReport(entries=entries)


# -- thresholds -------------------------------------------------------------------------------------------------------


def render_threshold(call: Call, threshold: Threshold) -> ThresholdShownV1:
    """The threshold on the wire."""
    details = SimpleThresholdDetails(threshold_value=threshold.value, hysteresis=threshold.hysteresis)
    criteria = ThresholdCriteria(
        performance_metric=threshold.metric, threshold_type="SIMPLE", simple_threshold_details=details
    )
    link = Link(href=call.href(f"/thresholds/{threshold.id}"))
    shared_part: dict[str, Any] = {
        "id": threshold.id,
        "object_instance_id": threshold.object,
        "criteria": criteria,
        "links": ThresholdLinks(self=link, object=_object(call, threshold.api, threshold.object)),
    }
    if call.version == 1:
        return ThresholdShownV1(**shared_part)
    return ThresholdShown(
        **shared_part,
        object_type=threshold.object_type,
        callback_uri=threshold.callback_uri,
        sub_object_instance_ids=threshold.sub_objects,
    )


def _threshold_of(call: Call) -> Threshold:
    return call.services.performance.threshold(call.path("thresholdId"), _api(call), tenant=call.tenant)


async def _create_threshold(call: Call, asked: CreateThresholdRequest | CreateThresholdRequestV1) -> Response:
    api, details = _api(call), asked.criteria.simple_threshold_details
    new = asked if isinstance(asked, CreateThresholdRequest) else None
    if new and new.callback_uri is None and api == "vnfpm":
        fault = Fault(message="callbackUri is missing", code="missing", path="/callbackUri", fix="add callbackUri")
        raise InvalidError(f"cannot accept the body: {fault}", faults=[fault], suggestion="name who is to be told")
    wished = Threshold(
        id="",
        tenant=call.tenant,
        api=api,
        object_type=new.object_type if new else DEFAULT[api],
        object=asked.object_instance_id,
        sub_objects=tuple((new and new.sub_object_instance_ids) or ()),
        metric=asked.criteria.performance_metric,
        value=details.threshold_value,
        hysteresis=details.hysteresis,
    )
    callback = _callback(call, new.callback_uri, new.authentication) if new else None
    made = await call.services.performance.create_threshold(wished, callback)
    location = call.href(f"/thresholds/{made.id}")
    return call.show(render_threshold(call, made), rev=made.rev, status=201, location=location)


async def create_threshold_v1(call: Call) -> Response:
    """Compare something from now on, as V2.6.1 asks for it."""
    return await _create_threshold(call, await call.body(CreateThresholdRequestV1))


async def create_threshold(call: Call) -> Response:
    """Compare something from now on."""
    return await _create_threshold(call, await call.body(CreateThresholdRequest))


async def list_thresholds(call: Call) -> Response:
    """The tenant's thresholds."""
    found = call.services.performance.thresholds(_api(call), tenant=call.tenant)
    return call.listed(found, partial(render_threshold, call))


async def show_threshold(call: Call) -> Response:
    """One threshold."""
    threshold = _threshold_of(call)
    return call.show(render_threshold(call, threshold), rev=threshold.rev)


async def delete_threshold(call: Call) -> Response:
    """Compare no more."""
    id = call.path("thresholdId")
    await call.services.performance.delete_threshold(id, _api(call), match=call.match, tenant=call.tenant)
    return call.done()


async def modify_threshold(call: Call) -> Response:
    """Tell another address."""
    return await _redirect(call, _threshold_of(call))


JOB, THRESHOLD = "/pm_jobs/{pmJobId}", "/thresholds/{thresholdId}"
REPORT = f"{JOB}/reports/{{reportId}}"


def routes(of: str) -> tuple[Endpoint, ...]:
    """The resources of an API that measures `of` (in words), but for subscriptions."""
    change = PmModifications
    return (
        *_shown(1, 1, of, (create_job_v1, CreatePmJobRequestV1, PmJobShownV1), JOBS),
        *_shown(2, 99, of, (create_job, CreatePmJobRequest, PmJobShown), JOBS),
        Endpoint("PATCH", JOB, modify_job, "Change who is told of a PM job", change, change, since=2),
        Endpoint("DELETE", JOB, delete_job, "Delete a PM job", status=204),
        Endpoint("GET", REPORT, show_report, "Read a report", answer=PerformanceReport),
        *_shown(1, 1, of, (create_threshold_v1, CreateThresholdRequestV1, ThresholdShownV1), THRESHOLDS),
        *_shown(2, 99, of, (create_threshold, CreateThresholdRequest, ThresholdShown), THRESHOLDS),
        Endpoint("PATCH", THRESHOLD, modify_threshold, "Change who is told of a threshold", change, change, since=2),
        Endpoint("DELETE", THRESHOLD, delete_threshold, "Delete a threshold", status=204),
    )


class Resources(NamedTuple):
    """Jobs or thresholds: where they are, how they are read, what people call them."""

    path: str
    one: str
    list: Handler
    show: Handler
    word: str
    verb: str
    query: tuple[Query, ...]


JOBS = Resources("/pm_jobs", JOB, list_jobs, show_job, "PM job", "Measure", LIST_QUERY)
THRESHOLDS = Resources(
    "/thresholds", THRESHOLD, list_thresholds, show_threshold, "threshold", "Watch", THRESHOLDS_QUERY
)


def _shown(since: int, until: int, of: str, how: tuple[Handler, Any, Any], all: Resources) -> tuple[Endpoint, ...]:
    """Making and reading, which differ between the versions."""
    create, request, shown = how
    made = (
        Endpoint("POST", all.path, create, f"{all.verb} {of}", request, shown, 201),
        Endpoint("GET", all.path, all.list, f"List {all.word}s", answer=GenericAlias(list, (shown,)), query=all.query),
        Endpoint("GET", all.one, all.show, f"Read a {all.word}", answer=shown),
    )
    return tuple(endpoint._replace(since=since, until=until) for endpoint in made)


NotificationType = Literal["ThresholdCrossedNotification", "PerformanceInformationAvailableNotification"]
