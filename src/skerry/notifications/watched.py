"""From events about what is watched over (alarms, measurements, indicators, quotas) to notifications: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.engine.children import derive
from skerry.model.alarms import Alarm, Scope
from skerry.model.notifications import Message
from skerry.model.operations import Event
from skerry.notifications import filters

Facts = Mapping[str, Any]
"""What filters look at, as `notifications.facts` makes it."""

INSTANCES: Mapping[str, str] = {
    "vnffm": "/vnflcm/v1/vnf_instances/",
    "vnfpm": "/vnflcm/v2/vnf_instances/",
    "vnfind": "/vnflcm/v1/vnf_instances/",
    "nsfm": "/nslcm/v1/ns_instances/",
    "nspm": "/nslcm/v2/ns_instances/",
}
"""API -> where the instances are that its notifications are about."""


def _message(event: Event, facts: Facts, id: str, api: str, type: str, resource: str, **parts: Any) -> Message:
    """`also` among the parts is what filters look at beside the facts."""
    known = {key: value for key, value in facts.items() if key != "tenant"}
    also = parts.pop("also", {})
    return Message(
        id=id,
        api=api,
        type=type,
        time=event.time,
        resource=resource,
        tenant=str(facts.get("tenant", "")),
        event=event.seq,
        subject={**known, **also},
        **parts,
    )


# -- alarms -----------------------------------------------------------------------------------------------------------


def alarm(event: Event, shown: Alarm, facts: Facts, id: str) -> Message:
    """AlarmNotification or AlarmClearedNotification (SOL003 7.5.2.5 f., SOL005 8.5.2.5 f.) of one alarm."""
    api = "vnffm" if shown.scope is Scope.VNF else "nsfm"
    cause = shown.cause
    also = {
        **({"faultyResourceType": "COMPUTE"} if shown.faulty.resource_id else {}),
        "perceivedSeverity": shown.rated.value,
        "eventType": cause.event_type.value,
        "probableCause": cause.probable_cause,
    }
    if event.state == "CLEARED":
        body: dict[str, Any] = {"alarmId": shown.id, "alarmClearedTime": shown.cleared_at or event.time}
        links = {"alarm": f"/alarms/{shown.id}"}
        type = filters.ALARM_CLEARED
        return _message(event, facts, id, api, type, shown.id, body=body, links=links, also=also)
    body = {"alarm": alarm_body(shown, vim_id=api == "nsfm")}
    return _message(event, facts, id, api, filters.ALARM, shown.id, body=body, also=also)


def rebuilt(event: Event, id: str) -> Message:
    """AlarmListRebuiltNotification (SOL003 7.5.2.7, SOL005 8.5.2.7): all alarms of a tenant in one API are to be read again."""
    api = "vnffm" if event.name == Scope.VNF else "nsfm"
    facts, links = {"tenant": event.data["tenant"]}, {"alarms": "/alarms"}
    return _message(event, facts, id, api, filters.ALARMS_REBUILT, "alarms", body={}, links=links)


def alarm_body(shown: Alarm, *, vim_id: bool) -> dict[str, Any]:
    """Alarm on the wire (SOL003 7.5.2.4, SOL005 8.5.2.4) as it was while it stood; its links are still paths."""
    api = "nsfm" if shown.scope is Scope.NS else "vnffm"
    handle = {"resourceId": shown.faulty.resource_id}
    if shown.faulty.vim:
        handle["vimId" if vim_id else "vimConnectionId"] = shown.faulty.vim
    vnfc = shown.faulty.key.partition(":")[2]
    resource = {"faultyResource": handle, "faultyResourceType": "COMPUTE"} if shown.faulty.resource_id else None
    told = {
        "id": shown.id,
        "managedObjectId": shown.managed_object,
        "vnfcInstanceIds": None if vim_id or not vnfc else [vnfc],
        "rootCauseFaultyComponent": _component(shown) if vim_id else None,
        "rootCauseFaultyResource": resource,
        "alarmRaisedTime": shown.raised_at,
        "alarmChangedTime": shown.changed_at,
        "alarmAcknowledgedTime": shown.acknowledged_at,
        "ackState": shown.ack_state.value,
        "perceivedSeverity": shown.rated.value,
        "eventTime": shown.event_at,
        "eventType": shown.cause.event_type.value,
        "faultType": shown.cause.fault_type,
        "probableCause": shown.cause.probable_cause,
        "correlatedAlarmIds": list(shown.correlated),
        "faultDetails": list(shown.details),
    }
    links = {
        "self": {"href": f"/{api}/v1/alarms/{shown.id}"},
        "objectInstance": {"href": f"{INSTANCES[api]}{shown.managed_object}"},
    }
    return {**{key: value for key, value in told.items() if value}, "isRootCause": not shown.root, "_links": links}


def _component(shown: Alarm) -> dict[str, str]:
    """FaultyComponentInfo (SOL005 8.5.3.4): the member that is affected."""
    return {"faultyNestedNsInstanceId": shown.nested} if shown.nested else {"faultyVnfInstanceId": shown.faulty.vnf_id}


# -- measurements -----------------------------------------------------------------------------------------------------


def report(event: Event, facts: Mapping[str, Facts], id: str) -> list[Message]:
    """PerformanceInformationAvailableNotification (SOL003 6.5.2.5, SOL005 7.5.2.5) for each object of a report. `facts`
    are those of each object that still exists."""
    data = event.data
    api, job = str(data["api"]), event.subject
    made: list[Message] = []
    for object in data["objects"]:
        body: dict[str, Any] = {
            "pmJobId": job,
            "objectType": data["objectType"],
            "objectInstanceId": object,
            "subObjectInstanceIds": data["subObjects"],
        }
        body = {name: value for name, value in body.items() if value}
        links = {"pmJob": f"/pm_jobs/{job}", "performanceReport": f"/pm_jobs/{job}/reports/{event.name}"}
        of = {**facts.get(object, {}), "tenant": data["tenant"]}
        also = {"pmJobId": job, "objectInstanceId": object}
        elsewhere = {"objectInstance": INSTANCES[api] + object}
        own, type = derive(id, object), filters.REPORT_AVAILABLE
        made.append(_message(event, of, own, api, type, job, body=body, links=links, elsewhere=elsewhere, also=also))
    return made


def crossing(event: Event, facts: Facts, id: str) -> Message:
    """ThresholdCrossedNotification (SOL003 6.5.2.6, SOL005 7.5.2.6)."""
    data = event.data
    api, threshold, object = str(data["api"]), event.subject, str(data["object"])
    body: dict[str, Any] = {
        "thresholdId": threshold,
        "crossingDirection": event.state,
        "objectType": data["objectType"],
        "objectInstanceId": object,
        "performanceMetric": data["metric"],
        "performanceValue": data["value"],
    }
    if data.get("subObject"):
        body["subObjectInstanceId"] = data["subObject"]
    also = {"thresholdId": threshold, "objectInstanceId": object}
    return _message(
        event,
        {**facts, "tenant": data["tenant"]},
        id,
        api,
        filters.THRESHOLD_CROSSED,
        threshold,
        body=body,
        links={"threshold": f"/thresholds/{threshold}"},
        elsewhere={"objectInstance": INSTANCES[api] + object},
        also=also,
    )


# -- indicators and quotas --------------------------------------------------------------------------------------------


def indicator(event: Event, facts: Facts, id: str) -> Message:
    """VnfIndicatorValueChangeNotification (SOL003 8.5.2.5)."""
    body = {"vnfIndicatorId": event.name, "value": event.data["value"], "vnfInstanceId": event.subject}
    if event.data.get("name"):
        body["name"] = event.data["name"]
    return _indicators(event, facts, id, filters.INDICATOR_VALUE, body, event.name)


def supported(event: Event, facts: Facts, id: str) -> Message:
    """SupportedIndicatorsChangeNotification (SOL003 8.5.2.6)."""
    body = {"vnfInstanceId": event.subject, "supportedIndicators": list(event.data["supported"])}
    ids = [entry["vnfIndicatorId"] for entry in event.data["supported"]]
    return _indicators(event, facts, id, filters.INDICATORS_SUPPORTED, body, ids)


def _indicators(event: Event, facts: Facts, id: str, type: str, body: Mapping[str, Any], ids: Any) -> Message:
    elsewhere = {"vnfInstance": INSTANCES["vnfind"] + event.subject}
    also = {"vnfIndicatorId": ids}
    return _message(event, facts, id, "vnfind", type, event.subject, body=body, elsewhere=elsewhere, also=also)


def quota(event: Event, id: str) -> Message:
    """VrQuotaAvailNotification (SOL003 11.5.2.4): a VIM, or the quota of the tenant, has room again for what was refused."""
    where = {"vimId": event.subject} if event.subject else {}
    body = {**where, "resourceType": event.state, "resourceGroupId": str(event.data["group"])}
    facts = {"tenant": event.data["tenant"]}
    return _message(event, facts, id, "vrqan", filters.QUOTA_AVAILABLE, event.subject, body=body, also=body)


def capacity(event: Event, id: str) -> Message:
    """CapacityShortageNotification (SOL005 10.5.2.10): a capacity crossed a threshold, down or up again."""
    one, vim = event.data["measurement"], str(event.data["vim"])
    unit = {"unit": one["unit"]} if one.get("unit") else {}
    amounts = {"total": one["total"], "allocated": one["allocated"], "available": one["total"] - one["allocated"]}
    information = {
        "resourceType": one["type"],
        "capacityMeasurementName": one["name"],
        **{f"{name}Capacity": {"value": value, **unit} for name, value in amounts.items()},
    }
    body = {
        "thresholdId": event.subject,
        "objectInstanceId": vim,
        "direction": event.state,
        "capacityInformation": information,
    }
    links = {"threshold": f"/capacity_thresholds/{event.subject}", "objectInstance": f"/nfvi_capacity_infos/{vim}"}
    facts, also = {"tenant": event.data["tenant"]}, {"thresholdId": event.subject}
    type = filters.CAPACITY_SHORTAGE
    return _message(event, facts, id, "nfvici", type, event.subject, body=body, links=links, also=also)
