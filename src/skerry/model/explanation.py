"""An operation explained, and what may be shown of its inputs: values that could be secrets are masked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.operations import Plan, Verdict

WORDS = ("password", "passwd", "passphrase", "token", "secret", "credential", "private", "apikey")
"""A value is masked whose name holds one of these words, or is or ends with "key"."""

MASK = "***"


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step that is under way, failed, or held up. `until` is when its try is given up (RFC 3339)."""

    step: str
    state: str
    note: str
    since: str = ""
    until: str = ""
    waits_for: tuple[str, ...] = ()
    attempt: int = 0
    error: str = ""
    suggestion: str = ""
    call: str = ""
    input: Mapping[str, Any] = {}  # what the failed step was given, secrets masked
    answer: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation explained. `options` is what the operator may do now; `done` of `total` steps are complete; `verdicts`
    say why its VIM was chosen and why no other one; `children` are its operations on members that did not complete."""

    operation: str
    kind: str
    subject: str
    state: str
    since: str
    done: int
    total: int
    summary: str
    suggestion: str = ""
    options: tuple[str, ...] = ()
    steps: tuple[Standing, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    children: tuple[Explanation, ...] = ()


def verdicts_of(plan: Plan | None) -> tuple[Verdict, ...]:
    """Why a plan puts things where it does: one verdict for each VIM that was looked at."""
    return msgspec.convert(plan.outcome.get("verdicts", ()), tuple[Verdict, ...]) if plan else ()


def masked(value: Any, name: str = "") -> Any:
    """The value without what could be a secret by its name."""
    if name and _secret(name) and value not in ("", None):
        return MASK
    if isinstance(value, Mapping):
        return {key: masked(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner) for inner in value]
    return value


def masked_plan(plan: Plan) -> Plan:
    """The plan as it may be shown."""
    steps = tuple(
        msgspec.structs.replace(step, args=masked(step.args), undo_args=masked(step.undo_args)) for step in plan.steps
    )
    return msgspec.structs.replace(plan, steps=steps, outcome=masked(plan.outcome))


def _secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return any(word in plain for word in WORDS) or plain == "key" or plain.endswith("_key")
