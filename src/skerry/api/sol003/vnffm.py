"""VNF fault management (SOL003 clause 7; the escalation is SOL002 7.4.4)."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api import alarms
from skerry.api import subscriptions as shared
from skerry.api.route import Api, Call, Endpoint
from skerry.api.sol003.subscriptions import VnfInstanceSubscriptionFilter
from skerry.api.wire import Wire, links
from skerry.model.alarms import Alarm, Scope, Severity


class VnfAlarm(alarms.AnyAlarm, frozen=True, kw_only=True):
    """Alarm (SOL003 7.5.2.4)."""

    vnfc_instance_ids: tuple[str, ...] = ()


class PerceivedSeverityRequest(Wire, frozen=True, kw_only=True):
    """PerceivedSeverityRequest (SOL002 7.5.2.8)."""

    proposed_perceived_severity: Severity


class FmNotificationsFilter(alarms.FmNotificationsFilter, frozen=True, kw_only=True):
    """FmNotificationsFilter (SOL003 7.5.3.2)."""

    vnf_instance_subscription_filter: VnfInstanceSubscriptionFilter | None = None


class FmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """FmSubscriptionRequest (SOL003 7.5.2.2)."""

    callback_uri: shared.Uri
    filter: FmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


def render(call: Call, alarm: Alarm) -> VnfAlarm:
    """The alarm on the wire."""
    shared = alarms.attributes(alarm, alarms.handle(alarm.faulty, vim_id=False))
    instance = call.uri(f"/vnflcm/v1/vnf_instances/{alarm.managed_object}")
    vnfc = alarm.faulty.key.partition(":")[2]
    return VnfAlarm(
        **shared,
        links=links(self_=call.href(f"/alarms/{alarm.id}"), objectInstance=instance),
        vnfc_instance_ids=(vnfc,) if vnfc else (),
    )


async def listing(call: Call) -> Response:
    """All alarms of VNFs of the tenant."""
    found = call.services.alarms.alarms(Scope.VNF, tenant=call.tenant)
    return call.listed(found, lambda alarm: render(call, alarm))


async def show(call: Call) -> Response:
    """One alarm."""
    alarm = alarms.find(call, Scope.VNF)
    return call.show(render(call, alarm), rev=alarm.rev)


async def modify(call: Call) -> Response:
    """Acknowledge an alarm, or take that back."""
    return await alarms.acknowledge(call, Scope.VNF)


async def escalate(call: Call) -> Response:
    """Take over the severity that an element manager proposes."""
    asked = await call.body(PerceivedSeverityRequest)
    alarm = alarms.find(call, Scope.VNF)
    await call.services.alarms.escalate(alarm.id, asked.proposed_perceived_severity, tenant=call.tenant)
    return call.done()


ONE = "/alarms/{alarmId}"
API = Api(
    "vnffm",
    "SOL003 VNF fault management",
    {1: "1.5.0"},
    (
        Endpoint("GET", "/alarms", listing, "List alarms of VNFs", answer=list[VnfAlarm], query=alarms.QUERY),
        Endpoint("GET", ONE, show, "Read an alarm of a VNF", answer=VnfAlarm),
        Endpoint(
            "PATCH", ONE, modify, "Acknowledge an alarm of a VNF", alarms.AlarmModifications, alarms.AlarmModifications
        ),
        Endpoint(
            "POST", f"{ONE}/escalate", escalate, "Escalate an alarm of a VNF", PerceivedSeverityRequest, status=204
        ),
        *shared.routes("vnffm", FmSubscriptionRequest),
    ),
)
