"""From events to notifications: pure functions. `Scene` is all that they may know beside the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.model.configuration import shown
from skerry.model.notifications import Message, Subscription
from skerry.model.ns import NsInstance
from skerry.model.operations import Event, Operation
from skerry.model.states import OperationState, lcm_operation_type
from skerry.model.vnf import VnfInstance
from skerry.notifications import affected, applications, filters

UNDER_WAY = (OperationState.STARTING, OperationState.PROCESSING, OperationState.ROLLING_BACK)
BROKEN = (OperationState.FAILED_TEMP, OperationState.FAILED, OperationState.ROLLED_BACK)
CHANGE_STATUS: Mapping[OperationState, str] = {
    OperationState.STARTING: "START",
    OperationState.COMPLETED: "COMPLETED",
    OperationState.PARTIALLY_COMPLETED: "PARTIALLY_COMPLETED",
    OperationState.FAILED: "FAILED",
    OperationState.ROLLED_BACK: "ROLLED_BACK",
}
"""Operation state -> LcmOpOccStatusForChangeNotificationType (SOL005 6.5.4.7): the others are not told."""

INFO = ("vnfInstanceName", "vnfInstanceDescription", "vnfConfigurableProperties", "metadata", "extensions")
VERBOSE = frozenset({filters.VNF_OPERATION, filters.NS_OPERATION})
PACKAGE_STATES = ("ENABLED", "DISABLED")
NSD_TYPES: Mapping[str, str] = {
    "ONBOARDED": filters.NSD_ONBOARDING,
    "ERROR": filters.NSD_FAILURE,
    "ENABLED": filters.NSD_CHANGE,
    "DISABLED": filters.NSD_CHANGE,
    "DELETED": filters.NSD_DELETION,
}


PNFD_TYPES: Mapping[str, str] = {
    "ONBOARDED": filters.PNFD_ONBOARDING,
    "ERROR": filters.PNFD_FAILURE,
    "DELETED": filters.PNFD_DELETION,
}


@dataclass(frozen=True)
class Scene:
    """What is recorded of an event's subject. `facts` are what filters look at (`notifications.facts`); `begun` are the
    resources of the operation's steps that began; `vnfs` the members of an NS."""

    facts: Mapping[str, Any]
    operation: Operation | None = None
    vnf: VnfInstance | None = None
    ns: NsInstance | None = None
    begun: frozenset[str] = frozenset()
    vnfs: Mapping[str, VnfInstance] = field(default_factory=dict[str, VnfInstance])


def messages(event: Event, scene: Scene, id: str) -> list[Message]:
    """The notifications that an event is worth: none, one, or one in each of two APIs. `id` is fresh."""
    if event.kind == "operation" and scene.operation is not None:
        if event.name.startswith("vnf."):
            return [_vnf_operation(event, scene, scene.operation, id), *_ns_change(event, scene, id)]
        if event.name.startswith("app."):
            return applications.of_operation(event, scene.facts, id, scene.operation)
        return _ns_operation(event, scene, scene.operation, id) if event.name.startswith("ns.") else []
    if event.kind == "resource":
        if event.name == "app":
            return applications.of_identifier(event, scene.facts, id)
        return _identifier(event, scene, id)
    if event.kind == "package":
        if event.name == applications.PACKAGE:
            return applications.of_package(event, scene.facts, id)
        return _package(event, scene, id)
    return []


def _message(
    event: Event,
    scene: Scene,
    id: str,
    api: str,
    type: str,
    *,
    body: Mapping[str, Any],
    links: Mapping[str, str],
    also: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    resource: str = "",
) -> Message:
    """`also` is what filters look at beside the facts; `resource` what it is about, if not the event's subject."""
    known = {key: value for key, value in scene.facts.items() if key != "tenant"}
    return Message(
        id=id,
        api=api,
        type=type,
        time=event.time,
        resource=resource or event.subject,
        tenant=str(scene.facts.get("tenant", "")),
        event=event.seq,
        subject={**known, **(also or {})},
        body=body,
        detail=detail or {},
        links=links,
    )


def _status(state: OperationState) -> str:
    return "START" if state in UNDER_WAY else "RESULT"


def _error(event: Event, state: OperationState) -> dict[str, Any]:
    """ProblemDetails of what went wrong."""
    if state not in BROKEN:
        return {}
    return {"error": {"title": "Operation failed", "status": 500, "detail": event.detail or "the operation failed"}}


def _is_automatic(operation: Operation) -> bool:
    return operation.automatic or bool(operation.parent)


def _vnf_operation(event: Event, scene: Scene, operation: Operation, id: str) -> Message:
    """VnfLcmOperationOccurrenceNotification (SOL003 5.5.2.17)."""
    state = OperationState(event.state)
    verb = lcm_operation_type(operation.kind)
    body = {
        "notificationStatus": _status(state),
        "operationState": state.value,
        "vnfInstanceId": event.subject,
        "operation": verb,
        "isAutomaticInvocation": _is_automatic(operation),
        "vnfLcmOpOccId": operation.id,
        **_error(event, state),
    }
    detail: dict[str, Any] = {}
    if state not in UNDER_WAY:
        detail = affected.of_vnf(operation, scene.vnf, scene.begun)
        changed = shown({key: operation.params[key] for key in INFO if key in operation.params})
        if operation.kind == "vnf.modify" and changed and state is OperationState.COMPLETED:
            detail["changedInfo"] = changed
    return _message(
        event,
        scene,
        id,
        "vnflcm",
        filters.VNF_OPERATION,
        body=body,
        detail=detail,
        also={"operation": verb, "operationState": state.value},
        links=_vnf_links(event.subject, operation.id),
    )


def _vnf_links(instance: str, operation: str = "") -> dict[str, str]:
    links = {"vnfInstance": f"/vnf_instances/{instance}"}
    return {**links, "vnfLcmOpOcc": f"/vnf_lcm_op_occs/{operation}"} if operation else links


def _ns_links(instance: str, operation: str = "") -> dict[str, str]:
    """The official file writes `nslcmOpOcc` what the text calls `nsLcmOpOcc`: both are there."""
    links = {"nsInstance": f"/ns_instances/{instance}"}
    target = f"/ns_lcm_op_occs/{operation}"
    return {**links, "nsLcmOpOcc": target, "nslcmOpOcc": target} if operation else links


def _ns_operation(event: Event, scene: Scene, operation: Operation, id: str) -> list[Message]:
    """NsLcmOperationOccurrenceNotification (SOL005 6.5.2.5). SOL005 has no STARTING: it is told as PROCESSING, and the
    way from the one to the other is not."""
    state = OperationState(event.state)
    if state is OperationState.STARTING:
        state = OperationState.PROCESSING
    elif state is OperationState.PROCESSING and event.data.get("from") == OperationState.STARTING:
        return []
    verb = lcm_operation_type(operation.kind)
    body = {
        "nsInstanceId": event.subject,
        "nsLcmOpOccId": operation.id,
        "operation": verb,
        "notificationStatus": _status(state),
        "operationState": state.value,
        "isAutomaticInvocation": _is_automatic(operation),
        **_error(event, state),
    }
    detail = {} if state in UNDER_WAY else affected.of_ns(operation, state, scene.ns, scene.vnfs)
    also = {"operation": verb, "operationState": state.value}
    links = _ns_links(event.subject, operation.id)
    return [_message(event, scene, id, "nslcm", filters.NS_OPERATION, body=body, detail=detail, also=also, links=links)]


def _ns_change(event: Event, scene: Scene, id: str) -> list[Message]:
    """NsChangeNotification (SOL005 6.5.2.19): an operation on a VNF of an NS begins or is over."""
    status = CHANGE_STATUS.get(OperationState(event.state))
    ns = str(scene.facts.get("nsInstanceId", ""))
    if not status or scene.ns is None:
        return []
    about = {
        "nsComponentType": "VNF",
        "lcmOpNameImpactingNsComponent": f"VNF_{lcm_operation_type(event.name)}",
        "lcmOpOccStatusImpactingNsComponent": status,
    }
    body = {
        "nsInstanceId": ns,
        "nsComponentId": event.subject,
        "lcmOpOccIdImpactingNsComponent": event.operation,
        **about,
        **_error(event, OperationState(event.state)),
    }
    vnfds = [scene.facts["vnfdId"]] if scene.facts.get("vnfdId") else []
    also = {**about, "nsInstanceName": scene.ns.ns_instance_name, "nsdId": scene.ns.nsd_id, "vnfdIds": vnfds}
    return [
        _message(event, scene, id, "nslcm", filters.NS_CHANGE, body=body, also=also, links=_ns_links(ns), resource=ns)
    ]


IDENTIFIERS: Mapping[tuple[str, str], tuple[str, str, str]] = {
    ("vnf", "CREATED"): ("vnflcm", filters.VNF_CREATION, "vnfInstanceId"),
    ("vnf", "DELETED"): ("vnflcm", filters.VNF_DELETION, "vnfInstanceId"),
    ("ns", "CREATED"): ("nslcm", filters.NS_CREATION, "nsInstanceId"),
    ("ns", "DELETED"): ("nslcm", filters.NS_DELETION, "nsInstanceId"),
}


def _identifier(event: Event, scene: Scene, id: str) -> list[Message]:
    """Vnf/NsIdentifierCreation/DeletionNotification (SOL003 5.5.2.18 f., SOL005 6.5.2.6 f.)."""
    found = IDENTIFIERS.get((event.name, event.state))
    if found is None:
        return []
    api, type, attribute = found
    links = _vnf_links(event.subject) if api == "vnflcm" else _ns_links(event.subject)
    return [_message(event, scene, id, api, type, body={attribute: event.subject}, links=links)]


def _package(event: Event, scene: Scene, id: str) -> list[Message]:
    make = {"NSD": _nsd, "PNFD": _pnfd}.get(event.name, _vnf_package)
    made = make(event, scene, id)
    return [made] if made else []


def _vnf_package(event: Event, scene: Scene, id: str) -> Message | None:
    """VnfPackageOnboardingNotification and VnfPackageChangeNotification (SOL005 9.5.2.8 f.). A package that was never
    onboarded has no VNFD, which both must name: nobody is told of it."""
    vnfd = scene.facts.get("vnfdId")
    if not vnfd or event.state not in ("ONBOARDED", "DELETED", *PACKAGE_STATES):
        return None
    body: dict[str, Any] = {"vnfPkgId": event.subject, "vnfdId": vnfd}
    links = {"vnfPackage": f"/vnf_packages/{event.subject}"}
    if event.state == "ONBOARDED":
        body["vnfmInfo"] = scene.facts.get("vnfmInfo", [])
        return _message(event, scene, id, "vnfpkgm", filters.PACKAGE_ONBOARDING, body=body, links=links)
    if event.state == "DELETED":
        body["changeType"] = "PKG_DELETE"
        return _message(event, scene, id, "vnfpkgm", filters.PACKAGE_CHANGE, body=body, links=links)
    also = {"operationalState": event.state}
    body |= {"changeType": "OP_STATE_CHANGE", **also}
    return _message(event, scene, id, "vnfpkgm", filters.PACKAGE_CHANGE, body=body, links=links, also=also)


def _nsd(event: Event, scene: Scene, id: str) -> Message | None:
    """NsdOnBoarding, NsdOnboardingFailure, NsdChange and NsdDeletionNotification (SOL005 5.5.2.10 ff.)."""
    type = NSD_TYPES.get(event.state)
    nsd = scene.facts.get("nsdId")
    if type is None or (not nsd and type != filters.NSD_FAILURE):
        return None
    body: dict[str, Any] = {"nsdInfoId": event.subject}
    also: dict[str, Any] = {}
    if nsd:
        body["nsdId"] = nsd
    if type == filters.NSD_FAILURE:
        body["onboardingFailureDetails"] = _failure(event)
    elif type == filters.NSD_CHANGE:
        also = {"nsdOperationalState": event.state}
        body |= also
    links = {"nsdInfo": f"/ns_descriptors/{event.subject}"}
    return _message(event, scene, id, "nsd", type, body=body, links=links, also=also)


def _pnfd(event: Event, scene: Scene, id: str) -> Message | None:
    """PnfdOnBoarding, PnfdOnBoardingFailure and PnfdDeletionNotification (SOL005 5.5.2.14 ff.)."""
    type = PNFD_TYPES.get(event.state)
    pnfd = scene.facts.get("pnfdId")
    if type is None or (not pnfd and type != filters.PNFD_FAILURE):
        return None
    body: dict[str, Any] = {"pnfdInfoId": event.subject, **({"pnfdId": pnfd} if pnfd else {})}
    if type == filters.PNFD_FAILURE:
        body["onboardingFailureDetails"] = _failure(event)
    return _message(event, scene, id, "nsd", type, body=body, links={"pnfdInfo": f"/pnf_descriptors/{event.subject}"})


def _failure(event: Event) -> dict[str, Any]:
    detail = event.detail or "the archive was refused"
    return {"title": "Onboarding failed", "status": 422, "detail": detail}


def notification(message: Message, subscription: Subscription) -> dict[str, Any]:
    """The body for one subscriber. SOL005 writes `timestamp` in NS life-cycle management, everything else `timeStamp`."""
    base = f"{subscription.root}/{subscription.api}/v{subscription.major}"
    verbose = {"verbosity": subscription.verbosity} if message.type in VERBOSE else {}
    named = {} if subscription.source else {"subscription": f"{subscription.place}/subscriptions/{subscription.id}"}
    links = {name: base + path for name, path in {**named, **message.links}.items()}
    links |= {name: subscription.root + path for name, path in message.elsewhere.items()}
    return {
        "id": message.id,
        "notificationType": message.type,
        **({} if subscription.source else {"subscriptionId": subscription.id}),
        "timestamp" if message.api == "nslcm" else "timeStamp": message.time,
        **message.body,
        **_rooted(message, subscription.root),
        **_referring(message, base),
        **verbose,
        **(message.detail if subscription.verbosity == "FULL" else {}),
        "_links": {name: {"href": target} for name, target in links.items()},
    }


def _rooted(message: Message, root: str) -> dict[str, Any]:
    """The alarm that a notification carries has links of its own."""
    alarm = message.body.get("alarm")
    if not alarm:
        return {}
    links = {name: {"href": root + link["href"]} for name, link in alarm["_links"].items()}
    return {"alarm": {**alarm, "_links": links}}


def _referring(message: Message, base: str) -> dict[str, Any]:
    """The services that a notification refers to are reached below the root of the subscriber's API (MEC 011 8.1.4.2)."""
    references = message.body.get("serviceReferences")
    if not references:
        return {}
    plain = [{name: value for name, value in one.items() if name != "path"} for one in references]
    links = [{"link": {"href": base + one["path"]}} if "path" in one else {} for one in references]
    return {"serviceReferences": [{**link, **one} for link, one in zip(links, plain, strict=True)]}
