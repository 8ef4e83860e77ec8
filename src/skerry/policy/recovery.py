"""What is done about alarms of a VNF: one decision from what stands, what was tried and what time it is. Pure.

| What is wrong | Decision |
|---|---|
| a VNFC is broken that a standby can stand in for | switch to the standby, at once |
| a VNFC is broken, the VNF heals itself | heal that VNFC |
| the service is down, an alarm of a resource is not `grace_s` old | wait: it may be what brought the service down |
| the service is down for `grace_s`, the VNF heals itself, its package has a `heal` script | heal: run the scripts |
| that did not help, or there is no script | heal: replace its VNFCs |
| that did not help either; or the alarm is not CRITICAL | nothing: it stands for people |
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from skerry.model.alarms import Alarm, Severity

SERVICE = "service"
"""The key of the alarm that tells that a VNF's service is down, and the indicator that raises and clears it."""

SERVICE_DOWN = "serviceDown"
FOUND_BROKEN = "found broken"
_DOWN = frozenset({"down", "false", "0"})


class Remedy(enum.StrEnum):
    """What is done."""

    SWITCH = "SWITCH"
    HEAL = "HEAL"
    REPAIR = "REPAIR"
    REPLACE = "REPLACE"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one VNF. `alarms` are its own, over or not; `broken` the VNFCs recorded as failed, `covered` those of
    them that a standby can stand in for; `tried` when each healing of its service ended since the alarm was raised."""

    alarms: Sequence[Alarm] = ()
    broken: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    heals_itself: bool = False
    repairs: bool = False  # its package has a script for the event `heal`
    tried: tuple[datetime, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`params` are those of the healing (HealVnfRequest); it is due after `wait_s`."""

    remedy: Remedy
    params: dict[str, Any]
    wait_s: float = 0.0


def decide(seen: Situation, now: datetime, grace_s: float) -> Decision | None:
    """The one thing to do next; None where there is nothing to do, or nothing more."""
    if seen.covered:
        return Decision(remedy=Remedy.SWITCH, params=_broken(seen.covered))
    if seen.broken:
        return Decision(remedy=Remedy.HEAL, params=_broken(seen.broken)) if seen.heals_itself else None
    down = service_alarm(seen.alarms)
    if down is None or down.severity is not Severity.CRITICAL or not seen.heals_itself:
        return None
    remedies = [Remedy.REPAIR, Remedy.REPLACE] if seen.repairs else [Remedy.REPLACE]
    if len(seen.tried) >= len(remedies):
        return None
    remedy = remedies[len(seen.tried)]
    own = {"additionalParams": {"replace": False}} if remedy is Remedy.REPAIR else {}
    since = max([_time(down.raised_at), *seen.tried, *_resource_alarms(seen.alarms)])
    wait_s = max(0.0, grace_s - (now - since).total_seconds())
    return Decision(remedy=remedy, params={"cause": SERVICE_DOWN, **own}, wait_s=wait_s)


def service_alarm(alarms: Sequence[Alarm]) -> Alarm | None:
    """The standing alarm that the service is down."""
    return next((alarm for alarm in alarms if alarm.faulty.key == SERVICE and alarm.standing), None)


def is_down(value: Any) -> bool:
    """Whether a value of the indicator `service` says that it is down: down, false or 0."""
    return str(value).strip().lower() in _DOWN


def _broken(vnfcs: tuple[str, ...]) -> dict[str, Any]:
    return {"vnfcInstanceId": list(vnfcs), "cause": FOUND_BROKEN}


def _resource_alarms(alarms: Sequence[Alarm]) -> list[datetime]:
    """When each alarm of a resource was raised and cleared."""
    told = [(alarm.raised_at, alarm.cleared_at) for alarm in alarms if alarm.faulty.key != SERVICE]
    return [_time(moment) for pair in told for moment in pair if moment]


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
