"""What fault management of VNFs (SOL003 clause 7) and of NSs (SOL005 clause 8) have in common."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.responses import Response

from skerry.api import subscriptions as shared
from skerry.api.paging import MARKER
from skerry.api.route import LIST_QUERY, Call
from skerry.api.wire import Links, ResourceHandle, Wire
from skerry.model.alarms import AckState, Alarm, EventType, Faulty, Scope, Severity

QUERY = tuple(one for one in LIST_QUERY if one.name in ("filter", MARKER))
"""Lists of alarms have no attribute selectors (SOL003 7.4.2.3.2)."""


class FaultyResourceInfo(Wire, frozen=True, kw_only=True):
    """FaultyResourceInfo (SOL003 7.5.3.3)."""

    faulty_resource: ResourceHandle
    faulty_resource_type: str


class AlarmModifications(Wire, frozen=True, kw_only=True):
    """AlarmModifications (SOL003 7.5.2.8)."""

    ack_state: AckState


NotificationType = Literal["AlarmNotification", "AlarmClearedNotification", "AlarmListRebuiltNotification"]


class FmNotificationsFilter(Wire, frozen=True, kw_only=True):
    """What FmNotificationsFilter has in both specifications (SOL003 7.5.3.2, SOL005 8.5.3.2)."""

    notification_types: list[NotificationType] | None = None
    faulty_resource_types: list[Literal["COMPUTE", "STORAGE", "NETWORK"]] | None = None
    perceived_severities: list[Severity] | None = None
    event_types: list[EventType] | None = None
    probable_causes: shared.Strings | None = None

    def __post_init__(self) -> None:
        about = ("faulty_resource_types", "perceived_severities", "event_types", "probable_causes")
        shared.only_with(self, "AlarmNotification", *about)


class AnyAlarm(Wire, frozen=True, kw_only=True):
    """What an Alarm has in both specifications."""

    id: str
    managed_object_id: str
    alarm_raised_time: str
    ack_state: AckState
    perceived_severity: Severity
    event_time: str
    event_type: EventType
    probable_cause: str
    is_root_cause: bool
    root_cause_faulty_resource: FaultyResourceInfo | None = None  # where a resource is what is broken
    alarm_changed_time: str | None = None
    alarm_cleared_time: str | None = None
    alarm_acknowledged_time: str | None = None
    fault_type: str | None = None
    correlated_alarm_ids: tuple[str, ...] = ()
    fault_details: tuple[str, ...] = ()
    links: Links = msgspec.field(name="_links")


def attributes(alarm: Alarm, handle: ResourceHandle) -> dict[str, Any]:
    """The common part of an alarm on the wire, without links."""
    return {
        "id": alarm.id,
        "managed_object_id": alarm.managed_object,
        "alarm_raised_time": alarm.raised_at,
        "alarm_changed_time": alarm.changed_at or None,
        "alarm_cleared_time": alarm.cleared_at or None,
        "alarm_acknowledged_time": alarm.acknowledged_at or None,
        "ack_state": alarm.ack_state,
        "perceived_severity": alarm.severity,
        "event_time": alarm.event_at,
        "event_type": alarm.cause.event_type,
        "fault_type": alarm.cause.fault_type,
        "probable_cause": alarm.cause.probable_cause,
        "is_root_cause": not alarm.root,
        "root_cause_faulty_resource": FaultyResourceInfo(faulty_resource=handle, faulty_resource_type="COMPUTE")
        if handle.resource_id
        else None,
        "correlated_alarm_ids": alarm.correlated,
        "fault_details": alarm.details,
    }


def handle(faulty: Faulty, *, vim_id: bool) -> ResourceHandle:
    """The broken resource; SOL005 calls `vimId` what SOL003 calls `vimConnectionId`."""
    vim = faulty.vim or None
    if vim_id:
        return ResourceHandle(resource_id=faulty.resource_id, vim_id=vim)
    return ResourceHandle(resource_id=faulty.resource_id, vim_connection_id=vim)


def find(call: Call, scope: Scope) -> Alarm:
    """The alarm of the path."""
    return call.services.alarms.alarm(call.path("alarmId"), scope, tenant=call.tenant)


async def acknowledge(call: Call, scope: Scope) -> Response:
    """Set the ackState of the alarm of the path, obeying `If-Match`."""
    asked = await call.body(AlarmModifications)
    alarm = find(call, scope)
    changed = await call.services.alarms.acknowledge(
        alarm.id, scope, asked.ack_state, match=call.match, tenant=call.tenant
    )
    return call.show(AlarmModifications(ack_state=changed.ack_state), rev=changed.rev)
