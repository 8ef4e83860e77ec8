"""Explanations for people: where an operation stands, why it failed, why its place was chosen, what may be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import msgspec

from skerry.cli import output
from skerry.model.explanation import Explanation, Standing
from skerry.model.operations import Verdict
from skerry.model.states import StepState

MOST = 400
"""So many characters of a failed step's input and answer are shown; --json has all."""


def show(explanation: Explanation) -> None:
    """The whole explanation."""
    click.echo(explanation.summary)
    output.facts(
        (
            ("operation", explanation.operation),
            ("kind", explanation.kind),
            ("subject", explanation.subject),
            ("state", explanation.state),
            ("since", explanation.since),
            ("steps done", f"{explanation.done} of {explanation.total}"),
            ("may be done", ways(explanation)),
        )
    )
    if explanation.steps:
        output.table(
            ("STEP", "STATE", "TRY", "SINCE", "UNTIL", "WAITS FOR"), [_row(step) for step in explanation.steps]
        )
    failures(explanation)
    verdicts(explanation.verdicts)
    for child in explanation.children:
        click.echo(f"\nits part {output.short(child.operation)}:")
        show(child)


def _row(step: Standing) -> tuple[str, ...]:
    waits = ", ".join(step.waits_for)
    return (step.step, step.state, str(step.attempt or ""), step.since, step.until, waits or step.note)


def ways(explanation: Explanation) -> str:
    """The commands that the operator may use now."""
    id = output.short(explanation.operation)
    return " | ".join(f"skerry op {option} {id}" for option in explanation.options)


def failures(explanation: Explanation, *, err: bool = False) -> None:
    """Each failed step: the call, its input, its answer, what to do."""
    for step in failed(explanation):
        click.echo(f"{click.style('failed:', fg='red')} {step.step}  {step.note}", err=err)
        given = msgspec.json.encode(step.input).decode() if step.input else ""
        for name, value in (
            ("error", step.error),
            ("call", step.call),
            ("input", given),
            ("answer", step.answer),
            ("try", step.suggestion),
        ):
            if value:
                click.echo(f"  {name.ljust(6)} {_cut(value)}", err=err)


def failed(explanation: Explanation) -> Iterator[Standing]:
    """The steps that failed."""
    return (step for step in explanation.steps if step.state == StepState.FAILED.value)


def verdicts(found: Sequence[Verdict]) -> None:
    """Why this infrastructure, why not that one."""
    if not found:
        return
    rows = [
        (
            v.site,
            "yes" if v.chosen else "",
            "yes" if v.fits else "no",
            f"{v.load:.0%}" if v.constraints else "",
            v.reason,
        )
        for v in found
    ]
    output.table(("VIM", "CHOSEN", "FITS", "LOAD", "WHY"), rows)


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]} … (--json shows all)"
