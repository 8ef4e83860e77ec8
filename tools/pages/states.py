"""The reference page of states and its drawings, from the tables that the program itself obeys."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Set
from typing import TypeVar

from skerry.model import states as model
from skerry.vim.driver import TRANSITIONS, ComputeState
from tools.pages import code, page, prose, table
from tools.pages.drawing import drawing

S = TypeVar("S", bound=enum.StrEnum)

INTRODUCTION = """\
A state changes only along a table in the code; the store compares and sets, so that two writers can never both win. The
drawings and tables here are made from these tables.
"""


def states() -> str:
    """The page."""
    plain = [
        model.InstantiationState,
        model.VnfOperationalState,
        model.AppOperationalState,
        model.OnboardingState,
        model.OperationalState,
        model.UsageState,
        model.StepState,
    ]
    return page(
        "States",
        INTRODUCTION,
        "## Life-cycle operations",
        prose(model.OperationState.__doc__),
        "![States of an operation](../images/operation-states.svg)",
        _moves(model.OPERATION_MOVES),
        "## Compute resources",
        prose(ComputeState.__doc__),
        "![States of a compute resource](../images/compute-states.svg)",
        _moves(TRANSITIONS),
        "## Applications",
        "What may be done to an edge application in each of its states (MEC 010-2), and where that leads.",
        "![States of an application](../images/application-states.svg)",
        table(("State", "Tasks that it allows"), [_tasks(state) for state in model.APP_MOVES]),
        "## Other states",
        table(("Of", "Values", "From"), [_values(kind) for kind in plain]),
    )


def operation_states() -> str:
    """The drawing of an operation's states."""
    return drawing("States of an operation", model.OPERATION_MOVES)


def application_states() -> str:
    """The drawing of an application's states."""
    moves = {state: set(tasks.values()) - {state} for state, tasks in model.APP_MOVES.items()}
    return drawing("States of an application", moves)


def compute_states() -> str:
    """The drawing of a compute resource's states."""
    return drawing("States of a compute resource", TRANSITIONS)


def _moves(moves: Mapping[S, Set[S]]) -> str:
    order = list(moves)
    rows = [
        (code(state), ", ".join(code(end) for end in sorted(ends, key=order.index)) or "none: it is final")
        for state, ends in moves.items()
    ]
    return table(("State", "May become"), rows)


def _tasks(state: str) -> tuple[str, str]:
    tasks = model.APP_MOVES[state]
    return code(state), ", ".join(f"{task} → {code(end)}" for task, end in tasks.items()) or "none: it is final"


def _values(kind: type[enum.StrEnum]) -> tuple[str, ...]:
    return code(kind.__name__), ", ".join(code(value) for value in kind), prose(kind.__doc__)
