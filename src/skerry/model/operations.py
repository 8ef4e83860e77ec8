"""Operations, their plans and steps: the engine's own vocabulary (it knows no ETSI)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.states import OperationState, StepState


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One idempotent step. `key` is its identity in the journal; `action` names the handler, `undo` its inverse ("" = none)
    with `undo_args`.

    `resource` is the key in the instance's resource graph that it makes, changes or removes. `attempts` counts tries of
    transient failures; `timeout_s` is the deadline of one try.
    """

    key: str
    action: str
    note: str = ""
    resource: str = ""
    args: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    undo: str = ""
    undo_args: Mapping[str, Any] = {}
    timeout_s: float = 300.0
    attempts: int = 3


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a plan for people: what happens to a resource. `effect` is create, update, replace, delete, reuse, run."""

    resource: str
    effect: str
    detail: str = ""
    disrupts: bool = False


class Constraint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that placement asked of a site: what, how much is needed and how much is free (whole vCPUs, bytes, counts)."""

    name: str
    needed: float
    free: float
    holds: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a site was taken or not: `reason` in words, `constraints` one by one, `load` the share of its scarcest resource
    that would be used with these demands there."""

    site: str
    fits: bool
    reason: str
    chosen: bool = False
    load: float = 0.0
    constraints: tuple[Constraint, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Steps as a graph, and what they mean."""

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    outcome: Mapping[str, Any] = {}  # what the record becomes when every step is done; read by the operation's kind


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal knows of a step. Times are RFC 3339."""

    key: str
    state: StepState = StepState.PENDING
    attempt: int = 0
    started_at: str = ""
    ended_at: str = ""
    result: Mapping[str, Any] = {}
    error: str = ""
    suggestion: str = ""
    call: str = ""
    answer: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A life-cycle operation occurrence. `kind` is such as `vnf.instantiate`; `subject` the instance that it holds.

    `params` is the request body. `parent` is the operation that started this one. `cancel` is "", GRACEFUL or FORCEFUL.
    """

    id: str
    kind: str
    subject: str
    tenant: str = ""
    parent: str = ""
    params: Mapping[str, Any] = {}
    state: OperationState = OperationState.STARTING
    started_at: str = ""
    state_entered_at: str = ""
    automatic: bool = False
    cancel: str = ""
    plan: Plan | None = None
    error: str = ""
    suggestion: str = ""
    rev: int = 0


EVENT_KINDS = (
    "operation",
    "step",
    "grant",
    "resource",
    "package",
    "alarm",
    "alarms",
    "performance",
    "indicator",
    "capacity",
    "quota",
    "vim",
    "mec",
    "lvnf-agent",
    "subscription",
    "audit",
)
"""What an event can be about."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the node's ordered, durable event log. `seq` grows without end.

    `kind` is one of `EVENT_KINDS`; `subject` the instance; `operation` the occurrence.
    """

    seq: int
    time: str
    kind: str
    subject: str = ""
    operation: str = ""
    name: str = ""
    state: str = ""
    detail: str = ""
    data: Mapping[str, Any] = {}
