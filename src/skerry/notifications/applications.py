"""Notifications of MEC 010-2 (clauses 6.2.2 and 6.2.3): from events about applications and their packages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from skerry.model.notifications import Message
from skerry.model.operations import Event, Operation
from skerry.model.states import APP_OPERATION_STATES, OperationState, lcm_operation_type

PACKAGE = "application package"
CHANGED = "AppInstanceStateChangeSubscription"
OPERATION = "AppLcmOpOccStateChangeSubscription"
CREATED = "AppIdentifierCreationSubscription"
DELETED = "AppIdentifierDeletionSubscription"
PACKAGES: Mapping[str, tuple[str, str]] = {
    "ONBOARDED": ("AppPackageOnBoardingSubscription", "AppPackageOnBoarded"),
    "ENABLED": ("AppPackageChangeSubscription", "AppPackageEnabled"),
    "DISABLED": ("AppPackageChangeSubscription", "AppPackageDisabled"),
    "DELETED": ("AppPackageDeletionSubscription", "AppPackageDeleted"),
}
"""State of a package's event -> type of subscription that is told, type of its notification."""

IDENTIFIERS: Mapping[str, tuple[str, str]] = {
    "CREATED": (CREATED, "AppInstanceIdentifierCreationNotification"),
    "DELETED": (DELETED, "AppInstanceIdentifierDeletionNotification"),
}

REACHED: Mapping[str, str] = {"INSTANTIATE": "STARTED", "TERMINATE": "NOT_INSTANTIATED"}
"""State of an application once such an operation completed; OPERATE says it itself, others change none."""


def time_stamp(text: str) -> dict[str, int]:
    """An RFC 3339 time as MEC writes it (TimeStamp)."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return {"seconds": int(moment.timestamp()), "nanoSeconds": moment.microsecond * 1000}


def _message(
    event: Event, facts: Mapping[str, Any], id: str, api: str, type: str, body: Mapping[str, Any], **also: Any
) -> Message:
    """`type` is the type of subscription that is told; `body` has the notification's own type."""
    links = also.pop("links")
    return Message(
        id=id,
        api=api,
        type=type,
        time=event.time,
        resource=event.subject,
        tenant=str(facts.get("tenant", "")),
        event=event.seq,
        subject={**{key: value for key, value in facts.items() if key != "tenant"}, **also},
        body={"timeStamp": time_stamp(event.time), **body},
        links=links,
    )


def of_package(event: Event, facts: Mapping[str, Any], id: str) -> list[Message]:
    """AppPkgNotification (6.2.3.6): nothing for a package that was never onboarded."""
    found = PACKAGES.get(event.state)
    if found is None or "appDId" not in facts:
        return []
    type, told = found
    state = event.state if event.state in ("ENABLED", "DISABLED") else str(facts["operationalState"])
    body = {
        "notificationType": told,
        "appPkgId": event.subject,
        "appDId": facts["appDId"],
        "operationalState": state,
    }
    return [_message(event, facts, id, "app_pkgm", type, body, operationalState=state, links={})]


def of_identifier(event: Event, facts: Mapping[str, Any], id: str) -> list[Message]:
    """AppInstanceIdentifierCreation- and DeletionNotification."""
    found = IDENTIFIERS.get(event.state)
    if found is None:
        return []
    type, told = found
    body = {"notificationType": told, "appInstanceId": event.subject}
    links = {"appInstance": f"/app_instances/{event.subject}"}
    return [_message(event, facts, id, "app_lcm", type, body, links=links)]


def of_operation(event: Event, facts: Mapping[str, Any], id: str, operation: Operation) -> list[Message]:
    """AppLcmOpOccNotification, and AppInstNotification where the operation brought the application into another state."""
    state = OperationState(event.state)
    shown = APP_OPERATION_STATES[state]
    verb = lcm_operation_type(event.name)
    links = {
        "appInstance": f"/app_instances/{event.subject}",
        "appLcmOpOcc": f"/app_lcm_op_occs/{event.operation}",
    }
    body = {
        "notificationType": "AppLcmOpOccNotification",
        "operationType": verb,
        "operationState": shown,
        "appLcmOpOccId": event.operation,
        "appInstanceId": event.subject,
    }
    told = [_message(event, facts, id, "app_lcm", OPERATION, body, operation=verb, operationState=shown, links=links)]
    reached = REACHED.get(verb) or str(operation.params.get("changeStateTo", ""))
    if state is OperationState.COMPLETED and reached:
        told.append(_state_change(event, facts, id, reached))
    return told


def _state_change(event: Event, facts: Mapping[str, Any], id: str, state: str) -> Message:
    body = {
        "notificationType": CHANGED,
        "appInstanceState": state,
        "appInstanceId": event.subject,
        "appPkgId": facts.get("appPkgId", ""),
        "appDId": facts.get("appDId", ""),
    }
    return _message(event, facts, f"{id}-s", "app_lcm", CHANGED, body, appInstanceState=state, links={})
