"""NS fault management (SOL005 clause 8): the alarms that follow for an NS from those of its VNFs."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api import alarms
from skerry.api import subscriptions as shared
from skerry.api.route import Api, Call, Endpoint
from skerry.api.sol005.subscriptions import NsInstanceSubscriptionFilter
from skerry.api.wire import Wire, links
from skerry.model.alarms import Alarm, Scope


class FaultyComponentInfo(Wire, frozen=True, kw_only=True):
    """FaultyComponentInfo (SOL005 8.5.3.4): the member that is affected."""

    faulty_vnf_instance_id: str | None = None
    faulty_nested_ns_instance_id: str | None = None


class NsAlarm(alarms.AnyAlarm, frozen=True, kw_only=True):
    """Alarm (SOL005 8.5.2.4)."""

    root_cause_faulty_component: FaultyComponentInfo


class FmNotificationsFilter(alarms.FmNotificationsFilter, frozen=True, kw_only=True):
    """FmNotificationsFilter (SOL005 8.5.3.2)."""

    ns_instance_subscription_filter: NsInstanceSubscriptionFilter | None = None


class FmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """FmSubscriptionRequest (SOL005 8.5.2.2)."""

    callback_uri: shared.Uri
    filter: FmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


def render(call: Call, alarm: Alarm) -> NsAlarm:
    """The alarm on the wire."""
    shared = alarms.attributes(alarm, alarms.handle(alarm.faulty, vim_id=True))
    instance = call.uri(f"/nslcm/v1/ns_instances/{alarm.managed_object}")
    return NsAlarm(
        **shared,
        links=links(self_=call.href(f"/alarms/{alarm.id}"), objectInstance=instance),
        root_cause_faulty_component=FaultyComponentInfo(
            faulty_vnf_instance_id=None if alarm.nested else alarm.faulty.vnf_id,
            faulty_nested_ns_instance_id=alarm.nested or None,
        ),
    )


async def listing(call: Call) -> Response:
    """All alarms of NSs of the tenant."""
    found = call.services.alarms.alarms(Scope.NS, tenant=call.tenant)
    return call.listed(found, lambda alarm: render(call, alarm))


async def show(call: Call) -> Response:
    """One alarm."""
    alarm = alarms.find(call, Scope.NS)
    return call.show(render(call, alarm), rev=alarm.rev)


async def modify(call: Call) -> Response:
    """Acknowledge an alarm, or take that back."""
    return await alarms.acknowledge(call, Scope.NS)


ONE = "/alarms/{alarmId}"
API = Api(
    "nsfm",
    "SOL005 NS fault management",
    {1: "1.3.0"},
    (
        Endpoint("GET", "/alarms", listing, "List alarms of NSs", answer=list[NsAlarm], query=alarms.QUERY),
        Endpoint("GET", ONE, show, "Read an alarm of an NS", answer=NsAlarm),
        Endpoint(
            "PATCH", ONE, modify, "Acknowledge an alarm of an NS", alarms.AlarmModifications, alarms.AlarmModifications
        ),
        *shared.routes("nsfm", FmSubscriptionRequest),
    ),
)
