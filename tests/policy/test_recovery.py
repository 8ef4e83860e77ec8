"""What is done about the alarms of a VNF, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skerry.model.alarms import Alarm, Cause, EventType, Faulty, Scope, Severity
from skerry.model.time import stamp
from skerry.policy.recovery import SERVICE, Decision, Remedy, Situation, decide, is_down

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = {"vnfcInstanceId": ["a-0"], "cause": "found broken"}
SCRIPTS = {"cause": "serviceDown", "additionalParams": {"replace": False}}
ANEW = {"cause": "serviceDown"}


def at(second: float) -> datetime:
    return ZERO + timedelta(seconds=second)


def alarm(
    key: str = SERVICE, raised: float = 0, cleared: float | None = None, severity: Severity = Severity.CRITICAL
) -> Alarm:
    cause = Cause(event_type=EventType.PROCESSING_ERROR_ALARM, fault_type="X", probable_cause="x", severity=severity)
    return Alarm(
        id=key,
        created_at=stamp(at(raised)),
        scope=Scope.VNF,
        managed_object="v",
        faulty=Faulty(vnf_id="v", key=key),
        cause=cause,
        raised_at=stamp(at(raised)),
        event_at=stamp(at(raised)),
        cleared_at="" if cleared is None else stamp(at(cleared)),
    )


def seen(*, heals_itself: bool = True, **fields: Any) -> Situation:
    return Situation(heals_itself=heals_itself, **fields)


def decided(remedy: Remedy, params: dict[str, Any], wait_s: float = 0) -> Decision:
    return Decision(remedy=remedy, params=params, wait_s=wait_s)


DOWN = (alarm(),)
CASES: dict[str, tuple[Situation, float, Decision | None]] = {
    "all is well": (seen(), 0, None),
    "a VNFC is broken": (seen(broken=("a-0",)), 0, decided(Remedy.HEAL, BROKEN)),
    "it does not heal itself": (seen(broken=("a-0",), heals_itself=False), 0, None),
    "a standby stands in at once": (
        seen(broken=("a-0", "b-0"), covered=("a-0",), heals_itself=False),
        0,
        decided(Remedy.SWITCH, BROKEN),
    ),
    "a VNFC goes before the service": (seen(broken=("a-0",), alarms=DOWN), 99, decided(Remedy.HEAL, BROKEN)),
    "the service is down for 10 s": (seen(alarms=DOWN), 10, decided(Remedy.REPLACE, ANEW, 20)),
    "the service is down for 30 s": (seen(alarms=DOWN), 30, decided(Remedy.REPLACE, ANEW)),
    "the package can repair": (seen(alarms=DOWN, repairs=True), 30, decided(Remedy.REPAIR, SCRIPTS)),
    "the repair did not help yet": (
        seen(alarms=DOWN, repairs=True, tried=(at(31),)),
        41,
        decided(Remedy.REPLACE, ANEW, 20),
    ),
    "the repair did not help": (seen(alarms=DOWN, repairs=True, tried=(at(31),)), 61, decided(Remedy.REPLACE, ANEW)),
    "nothing helped": (seen(alarms=DOWN, repairs=True, tried=(at(31), at(62))), 999, None),
    "replacing did not help": (seen(alarms=DOWN, tried=(at(31),)), 999, None),
    "the service is not down for all": (seen(alarms=(alarm(severity=Severity.MAJOR),)), 99, None),
    "it is up again": (seen(alarms=(alarm(cleared=10),)), 99, None),
    "down, but nobody asked for healing": (seen(alarms=DOWN, heals_itself=False), 99, None),
    "a resource was alarmed within the 30 s": (
        seen(alarms=(*DOWN, alarm("compute:a-0", 5, 12))),
        30,
        decided(Remedy.REPLACE, ANEW, 12),
    ),
    "a resource was alarmed long ago": (
        seen(alarms=(alarm("compute:a-0", -99, -90), *DOWN)),
        30,
        decided(Remedy.REPLACE, ANEW),
    ),
}


@pytest.mark.feature("A106")
@pytest.mark.parametrize("case", CASES)
def test_decisions(case: str) -> None:
    situation, second, expected = CASES[case]
    assert decide(situation, at(second), 30) == expected


@pytest.mark.feature("A106")
def test_words_for_down() -> None:
    assert [value for value in ("down", "Down ", False, 0, "0", "up", True, 1, "", None) if is_down(value)] == [
        "down",
        "Down ",
        False,
        0,
        "0",
    ]
