"""Our own API: performance management for people, and what is used now. A job or threshold needs no callback here."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from skerry.api.own.types import Asked
from skerry.api.route import Call, Endpoint
from skerry.client.views import JobView, MeasuredView, ThresholdView
from skerry.errors import NotFoundError
from skerry.model.performance import ObjectType, PmJob, Threshold, Usage

APIS = ("vnfpm", "nspm")
CHEAP = ("VCpuUsageMeanVnf", "VMemoryUsageMeanVnf")
"""What is measured where nothing is named."""

OF_NS = (ObjectType.NS, ObjectType.SAP)


class JobRequest(Asked, frozen=True, kw_only=True):
    """What to measure. The default is processor and memory."""

    object_type: ObjectType
    objects: Annotated[list[str], Meta(min_length=1)]
    parts: list[str] = []
    metrics: list[str] = []
    groups: list[str] = []
    collection_s: Annotated[int, Meta(ge=1)] = 60
    reporting_s: Annotated[int, Meta(ge=1)] = 300


class ThresholdRequest(Asked, frozen=True, kw_only=True):
    """What to compare with which value."""

    object_type: ObjectType
    object: str
    parts: list[str] = []
    metric: str
    value: float
    hysteresis: Annotated[float, Meta(ge=0)] = 0.0


def _api(object_type: ObjectType) -> str:
    return "nspm" if object_type in OF_NS else "vnfpm"


def _name(call: Call, api: str, id: str) -> str:
    """What people call a measured object; its id where it is gone."""
    try:
        if api == "vnfpm":
            vnf = call.services.vnfm.instance(id, tenant=call.tenant)
            return vnf.vnf_instance_name or vnf.vnf_product_name
        return call.services.nfvo.instance(id, tenant=call.tenant).ns_instance_name or id
    except NotFoundError:
        return id


def job_view(call: Call, job: PmJob) -> JobView:
    """A job for people."""
    return JobView(
        id=job.id,
        name=", ".join(_name(call, job.api, id) for id in job.objects),
        object_type=job.object_type,
        objects=list(job.objects),
        parts=list(job.sub_objects),
        metrics=[*job.metrics, *job.groups],
        collection_s=job.collection_s,
        reporting_s=job.reporting_s,
        boundary=job.boundary,
        callback_uri=job.callback_uri,
        reports=len(call.services.performance.reports(job)),
    )


def threshold_view(call: Call, one: Threshold) -> ThresholdView:
    """A threshold for people."""
    return ThresholdView(
        id=one.id,
        name=_name(call, one.api, one.object),
        object_type=one.object_type,
        object=one.object,
        parts=list(one.sub_objects),
        metric=one.metric,
        value=one.value,
        hysteresis=one.hysteresis,
        callback_uri=one.callback_uri,
    )


async def usage(call: Call) -> Response:
    """What every VNFC used by now."""
    return call.listed(await call.services.performance.usage(tenant=call.tenant), lambda one: one)


async def jobs(call: Call) -> Response:
    """The PM jobs of VNFs and NSs."""
    found = [job for api in APIS for job in call.services.performance.jobs(api, tenant=call.tenant)]
    return call.listed(found, lambda job: job_view(call, job))


async def create_job(call: Call) -> Response:
    """Measure from now on."""
    asked = await call.body(JobRequest)
    wished = PmJob(
        id="",
        tenant=call.tenant,
        api=_api(asked.object_type),
        object_type=asked.object_type,
        objects=tuple(asked.objects),
        sub_objects=tuple(asked.parts),
        metrics=tuple(asked.metrics or (() if asked.groups else CHEAP)),
        groups=tuple(asked.groups),
        collection_s=asked.collection_s,
        reporting_s=asked.reporting_s,
    )
    made = await call.services.performance.create_job(wished, None)
    return call.show(job_view(call, made), status=201, location=call.href(f"/performance/jobs/{made.id}"))


def _job(call: Call) -> PmJob:
    """The job of the path, of whichever API."""
    id = call.path("jobId")
    found = (job for api in APIS for job in call.services.performance.jobs(api, tenant=call.tenant) if job.id == id)
    if (job := next(found, None)) is None:
        raise NotFoundError(f"cannot find PM job {id}", suggestion="list the PM jobs to see which there are")
    return job


def _threshold(call: Call) -> Threshold:
    """The threshold of the path, of whichever API."""
    id, listed = call.path("thresholdId"), call.services.performance.thresholds
    found = (one for api in APIS for one in listed(api, tenant=call.tenant) if one.id == id)
    if (threshold := next(found, None)) is None:
        raise NotFoundError(f"cannot find threshold {id}", suggestion="list the thresholds to see which there are")
    return threshold


async def show_job(call: Call) -> Response:
    """One job."""
    return call.show(job_view(call, _job(call)))


async def values(call: Call) -> Response:
    """What the reports of a job say, oldest first."""
    job, service = _job(call), call.services.performance
    found = [
        MeasuredView(
            report=report.id,
            at=value.at,
            object=value.object,
            part=value.sub_object,
            metric=value.metric,
            value=value.value,
        )
        for report in service.reports(job)
        for value in service.report(job, report.id)
    ]
    return call.show(found)


async def delete_job(call: Call) -> Response:
    """Measure no more."""
    job = _job(call)
    await call.services.performance.delete_job(job.id, job.api, tenant=call.tenant)
    return call.done()


async def thresholds(call: Call) -> Response:
    """The thresholds of VNFs and NSs."""
    found = [one for api in APIS for one in call.services.performance.thresholds(api, tenant=call.tenant)]
    return call.listed(found, lambda one: threshold_view(call, one))


async def create_threshold(call: Call) -> Response:
    """Compare from now on."""
    asked = await call.body(ThresholdRequest)
    wished = Threshold(
        id="",
        tenant=call.tenant,
        api=_api(asked.object_type),
        object_type=asked.object_type,
        object=asked.object,
        sub_objects=tuple(asked.parts),
        metric=asked.metric,
        value=asked.value,
        hysteresis=asked.hysteresis,
    )
    made = await call.services.performance.create_threshold(wished, None)
    return call.show(threshold_view(call, made), status=201, location=call.href(f"/performance/thresholds/{made.id}"))


async def show_threshold(call: Call) -> Response:
    """One threshold."""
    return call.show(threshold_view(call, _threshold(call)))


async def delete_threshold(call: Call) -> Response:
    """Compare no more."""
    threshold = _threshold(call)
    await call.services.performance.delete_threshold(threshold.id, threshold.api, tenant=call.tenant)
    return call.done()


JOBS, JOB = "/performance/jobs", "/performance/jobs/{jobId}"
THRESHOLDS, THRESHOLD = "/performance/thresholds", "/performance/thresholds/{thresholdId}"
ROUTES = (
    Endpoint("GET", "/performance/usage", usage, "What every VNFC used by now", answer=list[Usage]),
    Endpoint("GET", JOBS, jobs, "List PM jobs", answer=list[JobView]),
    Endpoint("POST", JOBS, create_job, "Measure VNFs or NSs", JobRequest, JobView, 201),
    Endpoint("GET", JOB, show_job, "Read a PM job", answer=JobView),
    Endpoint("DELETE", JOB, delete_job, "Delete a PM job", status=204),
    Endpoint("GET", f"{JOB}/values", values, "What a PM job measured", answer=list[MeasuredView]),
    Endpoint("GET", THRESHOLDS, thresholds, "List thresholds", answer=list[ThresholdView]),
    Endpoint("POST", THRESHOLDS, create_threshold, "Watch a VNF or NS", ThresholdRequest, ThresholdView, 201),
    Endpoint("GET", THRESHOLD, show_threshold, "Read a threshold", answer=ThresholdView),
    Endpoint("DELETE", THRESHOLD, delete_threshold, "Delete a threshold", status=204),
)
