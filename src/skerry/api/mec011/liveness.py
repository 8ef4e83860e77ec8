"""Signs of life of services (MEC 011 8.2.10): the resource that the platform allocates for a service with an interval."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from starlette.responses import Response

from skerry.api.mec011.calls import app_of, strict
from skerry.api.route import MERGE_PATCH, Call, Endpoint
from skerry.errors import NotFoundError, PreconditionError
from skerry.model.mec import Mec, Service, ServiceState

PATH = "/applications/{appInstanceId}/services/{serviceId}/liveness"


class TimeStamp(Mec, frozen=True, kw_only=True):
    """TimeStamp (MEC 011 8.1.2.4): when the last sign came."""

    seconds: int
    nano_seconds: int


class ServiceLivenessInfo(Mec, frozen=True, kw_only=True):
    """ServiceLivenessInfo (MEC 011 8.1.2.4). `interval` in seconds."""

    state: ServiceState
    time_stamp: TimeStamp
    interval: int


class ServiceLivenessUpdate(Mec, frozen=True, kw_only=True):
    """ServiceLivenessUpdate (MEC 011 8.1.2.5)."""

    state: Literal["ACTIVE"]


def _watched(call: Call) -> tuple[Service, int]:
    app = app_of(call)
    service = call.services.mep.services.get(call.path("serviceId"), tenant=call.tenant, app_id=app.id)
    interval = service.info.liveness_interval
    if not interval:
        raise NotFoundError(
            f"cannot find signs of life of the service {service.id}: none are expected",
            suggestion="register the service with livenessInterval",
        )
    return service, interval


def _told(call: Call, service: Service, interval: int) -> Response:
    heard = call.services.mep.services.liveness.heard(service.id) or datetime.fromisoformat(service.created_at)
    moment = TimeStamp(seconds=int(heard.timestamp()), nano_seconds=heard.microsecond * 1000)
    return call.show(ServiceLivenessInfo(state=service.info.state, time_stamp=moment, interval=interval))


async def show(call: Call) -> Response:
    """When the service was heard."""
    return _told(call, *_watched(call))


async def beat(call: Call) -> Response:
    """The service lives."""
    service, interval = _watched(call)
    await call.body(ServiceLivenessUpdate)
    if service.info.state is ServiceState.INACTIVE:
        raise PreconditionError(
            f"cannot take a sign of life of the service {service.id}: it is INACTIVE",
            suggestion="activate the service with PUT first",
        )
    return _told(call, await call.services.mep.services.beat(service), interval)


ROUTES = (
    Endpoint("GET", PATH, show, "Read when a service was heard", answer=ServiceLivenessInfo),
    Endpoint(
        "PATCH",
        PATH,
        strict(beat),
        "Send a sign of life",
        ServiceLivenessUpdate,
        ServiceLivenessInfo,
        accepts=("application/json", MERGE_PATCH),
    ),
)
