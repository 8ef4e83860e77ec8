"""Operations that shall begin later (startTime, scaleTime, updateTime, terminationTime of SOL005 6.5.2): they wait first.

The NS is held from the request on, and what is planned then is done at that time; until then its record is what it was. A
cancel ends the waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError
from skerry.model.operations import Operation, Step
from skerry.model.states import StepState
from skerry.model.time import stamp
from skerry.nfvo.desk import NsDesk
from skerry.store import journal
from skerry.store.database import Transaction

TIMES = ("startTime", "scaleTime", "updateTime", "terminationTime")
"""The attribute of a request that says when it shall begin."""

KEY = "wait"
ACTION = "ns.wait"
_OVER = (StepState.DONE, StepState.UNDOING, StepState.UNDONE)
_LOOK_S = 1.0
_MARGIN_S = 300.0


def due(params: Mapping[str, Any]) -> datetime | None:
    """When an operation shall begin; None: now."""
    told = next((params[name] for name in TIMES if params.get(name)), None)
    if told is None:
        return None
    moment = datetime.fromisoformat(str(told).upper())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def delayed(steps: Sequence[Step], params: Mapping[str, Any], now: datetime) -> tuple[Step, ...]:
    """The steps, after one that waits where the request wants that. Pure."""
    moment = due(params)
    if moment is None or moment <= now:
        return tuple(steps)
    wait = Step(
        key=KEY,
        action=ACTION,
        note=f"wait until {stamp(moment)}",
        args={"until": stamp(moment)},
        timeout_s=(moment - now).total_seconds() + _MARGIN_S,
        attempts=1,
    )
    return (wait, *(msgspec.structs.replace(step, needs=step.needs or (KEY,)) for step in steps))


def early(tx: Transaction, operation: Operation) -> bool:
    """Whether the time of an operation has not come: nothing was done yet."""
    if operation.plan is None or not any(step.action == ACTION for step in operation.plan.steps):
        return False
    return not any(one.key == KEY and one.state in _OVER for one in journal.steps(tx, operation.id))


class WaitingSteps:
    """The step handler."""

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        engine.add_handler(ACTION, self.wait, waits=True)

    async def wait(self, context: StepContext) -> None:
        """Until its time has come. `ConflictError` where the operation is cancelled meanwhile."""
        until = datetime.fromisoformat(context.args["until"])
        while (left := (until - self.desk.clock.now()).total_seconds()) > 0:
            operation = journal.operations.find(self.desk.database, context.operation.id)
            if operation is None or operation.cancel:
                raise ConflictError("cannot wait any longer: the operation is cancelled", suggestion="roll it back")
            await asyncio.sleep(min(left, _LOOK_S))
