"""NFVI capacity information (SOL005 clause 10)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.responses import Response

from skerry.api import subscriptions as shared
from skerry.api.paging import MARKER
from skerry.api.route import LIST_QUERY, Api, Call, Endpoint
from skerry.api.wire import Links, Wire, links
from skerry.model.capacity import CapacityInfo, CapacityThreshold, Measurement
from skerry.policy.performance import Callback

ResourceType = Literal["VR_COMPUTE", "VR_NETWORK", "VR_STORAGE", "HOST_COMPUTE"]


class NfviCapacityMeasurement(Wire, frozen=True, kw_only=True):
    """NfviCapacityMeasurement (10.5.2.6). The standard leaves open what is in its objects: `value`, and `unit` if any."""

    resource_type: str
    capacity_measurement_name: str
    total_capacity: dict[str, Any]
    allocated_capacity: dict[str, Any]
    available_capacity: dict[str, Any]


class NfviCapacityInfoPerZone(Wire, frozen=True, kw_only=True):
    """NfviCapacityInfoPerZone (10.5.2.5)."""

    capacity_measurements: list[NfviCapacityMeasurement]
    resource_zone_id: str | None = None


class TimeInterval(Wire, frozen=True, kw_only=True):
    """TimeInterval (10.5.3.3)."""

    a_time: str


class NfviCapacityInfo(Wire, frozen=True, kw_only=True):
    """NfviCapacityInfo (10.5.2.4)."""

    id: str
    vim_id: str
    capacity_info_per_zone: list[NfviCapacityInfoPerZone]
    time_interval: TimeInterval


class CapacityMetric(Wire, frozen=True, kw_only=True):
    """Which capacity (10.5.3.2)."""

    resource_type: ResourceType
    capacity_measurement_name: str
    capacity_type: Literal["TOTAL", "ALLOCATED", "RESERVED", "AVAILABLE"]


class SimpleThresholdDetails(Wire, frozen=True, kw_only=True):
    """Details of a threshold of type SIMPLE."""

    threshold_value: float
    hysteresis: float


class CapacityThresholdCriteria(Wire, frozen=True, kw_only=True):
    """CapacityThresholdCriteria (10.5.3.2). The official file lists the details, of which there is one."""

    capacity_metric: CapacityMetric
    threshold_type: Literal["SIMPLE"]
    simple_threshold_details: list[SimpleThresholdDetails]

    def __post_init__(self) -> None:
        if len(self.simple_threshold_details) != 1 or self.simple_threshold_details[0].hysteresis < 0:
            raise ValueError("simpleThresholdDetails is one entry, whose hysteresis is not negative")


class CreateCapacityThresholdRequest(Wire, frozen=True, kw_only=True):
    """CreateCapacityThresholdRequest (10.5.2.8)."""

    object_instance_id: str
    criteria: CapacityThresholdCriteria
    callback_uri: shared.Uri
    authentication: shared.SubscriptionAuthentication | None = None
    sub_object_instance_ids: list[str] | None = None


class CapacityThresholdShown(Wire, frozen=True, kw_only=True):
    """CapacityThreshold (10.5.2.7)."""

    id: str
    object_instance_id: str
    criteria: CapacityThresholdCriteria
    callback_uri: str
    links: Links = msgspec.field(name="_links")


class CapacityThresholdModifications(Wire, frozen=True, kw_only=True):
    """CapacityThresholdModifications (10.5.2.9)."""

    callback_uri: shared.Uri | None = None
    authentication: shared.SubscriptionAuthentication | None = None

    def __post_init__(self) -> None:
        if self.callback_uri is None and self.authentication is None:
            raise ValueError("give callbackUri or authentication")


class CapacityThresholdModified(Wire, frozen=True, kw_only=True):
    """What was modified; nothing of how the node says who it is."""

    callback_uri: str | None = None


def render(info: CapacityInfo) -> NfviCapacityInfo:
    """The capacity of a VIM on the wire."""
    zone = NfviCapacityInfoPerZone(
        resource_zone_id=info.zone or None, capacity_measurements=[_measurement(one) for one in info.measurements]
    )
    return NfviCapacityInfo(
        id=info.id,
        vim_id=info.id,
        capacity_info_per_zone=[zone],
        time_interval=TimeInterval(a_time=info.created_at),
    )


def _measurement(one: Measurement) -> NfviCapacityMeasurement:
    def amount(value: float) -> dict[str, Any]:
        return {"value": value, **({"unit": one.unit} if one.unit else {})}

    return NfviCapacityMeasurement(
        resource_type=one.type,
        capacity_measurement_name=one.name,
        total_capacity=amount(one.total),
        allocated_capacity=amount(one.allocated),
        available_capacity=amount(one.available),
    )


def shown(call: Call, record: CapacityThreshold) -> CapacityThresholdShown:
    """A threshold on the wire."""
    return CapacityThresholdShown(
        id=record.id,
        object_instance_id=record.vim,
        criteria=CapacityThresholdCriteria(
            capacity_metric=CapacityMetric(
                resource_type=record.type,  # type: ignore[arg-type]  # checked when it was made
                capacity_measurement_name=record.name,
                capacity_type=record.kind,  # type: ignore[arg-type]  # likewise
            ),
            threshold_type="SIMPLE",
            simple_threshold_details=[
                SimpleThresholdDetails(threshold_value=record.value, hysteresis=record.hysteresis)
            ],
        ),
        callback_uri=record.callback_uri,
        links=links(
            self_=call.href(f"/capacity_thresholds/{record.id}"),
            object=call.href(f"/nfvi_capacity_infos/{record.vim}"),
        ),
    )


async def infos(call: Call) -> Response:
    """The capacity of every VIM that answers."""
    return call.listed(await call.services.capacities.infos(), render)


async def info(call: Call) -> Response:
    """The capacity of one VIM, measured now."""
    return call.show(render(await call.services.capacities.info(call.path("vimId"))))


async def create(call: Call) -> Response:
    """Tell the callback when a capacity crosses a value."""
    asked = await call.body(CreateCapacityThresholdRequest)
    metric, details = asked.criteria.capacity_metric, asked.criteria.simple_threshold_details[0]
    wished = CapacityThreshold(
        id="",
        tenant=call.tenant,
        vim=asked.object_instance_id,
        type=metric.resource_type,
        name=metric.capacity_measurement_name,
        kind=metric.capacity_type,
        value=details.threshold_value,
        hysteresis=details.hysteresis,
        callback_uri=asked.callback_uri,
    )
    callback = Callback(
        uri=asked.callback_uri,
        version=API.versions[call.version],
        authentication=shared.authentication_of(asked.authentication),
        root=str(call.request.base_url).rstrip("/"),
    )
    record = await call.services.capacities.create(wished, callback)
    made = shown(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All thresholds of the tenant."""
    return call.listed(call.services.capacities.thresholds(tenant=call.tenant), lambda one: shown(call, one))


def find(call: Call) -> CapacityThreshold:
    """The threshold of the path."""
    return call.services.capacities.threshold(call.path("capacityThresholdId"), tenant=call.tenant)


async def show(call: Call) -> Response:
    """One threshold."""
    record = find(call)
    return call.show(shown(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Tell another address, or say otherwise who the node is."""
    asked = await call.body(CapacityThresholdModifications)
    record = find(call)
    authentication = shared.authentication_of(asked.authentication) if asked.authentication else None
    changed = await call.services.capacities.modify(
        record.id, asked.callback_uri, authentication, match=call.match, tenant=call.tenant
    )
    return call.show(CapacityThresholdModified(callback_uri=asked.callback_uri), rev=changed.rev)


async def delete(call: Call) -> Response:
    """Compare no longer."""
    await call.services.capacities.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


ALL, ONE = "/capacity_thresholds", "/capacity_thresholds/{capacityThresholdId}"
FILTERED = tuple(one for one in LIST_QUERY if one.name in ("filter", MARKER))

API = Api(
    "nfvici",
    "SOL005 NFVI capacity information",
    {1: "1.1.0"},
    (
        Endpoint(
            "GET", "/nfvi_capacity_infos", infos, "Read all capacities", answer=list[NfviCapacityInfo], query=LIST_QUERY
        ),
        Endpoint("GET", "/nfvi_capacity_infos/{vimId}", info, "Read the capacity of a VIM", answer=NfviCapacityInfo),
        Endpoint(
            "POST", ALL, create, "Create a threshold", CreateCapacityThresholdRequest, CapacityThresholdShown, 201
        ),
        Endpoint("GET", ALL, listing, "List thresholds", answer=list[CapacityThresholdShown], query=FILTERED),
        Endpoint("GET", ONE, show, "Read a threshold", answer=CapacityThresholdShown),
        Endpoint("PATCH", ONE, modify, "Modify a threshold", CapacityThresholdModifications, CapacityThresholdModified),
        Endpoint("DELETE", ONE, delete, "Delete a threshold", status=204),
    ),
)
