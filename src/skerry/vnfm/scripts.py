"""Life-cycle scripts of the package: which run when (pure), and how one runs exactly once inside an instance.

A new VNFC runs `instantiate` and `instantiate_end` once it is up, whichever operation made it; VNFCs that were there run
the operation's own events: `<operation>_start` before anything changes, `<operation>` and `<operation>_end` afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.model.descriptors import DeploymentFlavour
from skerry.model.operations import Plan, Step, StepRecord
from skerry.model.states import StepState
from skerry.vnfm.goal import Goal

WRAPPER = """\
set -u
for base in /run /tmp; do d=$base/skerry/$1; mkdir -p "$d" 2>/dev/null && break; done
shift
[ -f "$d/rc" ] && [ "$(cat "$d/rc")" != 0 ] && rm -rf "$d/rc" "$d/lock"
if mkdir "$d/lock" 2>/dev/null; then
  echo $$ > "$d/lock/pid"
  cat > "$d/script"
  chmod 700 "$d/script"
  "$d/script" "$@" > "$d/out" 2> "$d/err" < /dev/null
  echo $? > "$d/rc.new"
  mv "$d/rc.new" "$d/rc"
else
  n=0
  while [ ! -f "$d/rc" ]; do
    [ -s "$d/lock/pid" ] && n=50
    if [ $n -ge 50 ] && ! kill -0 "$(cat "$d/lock/pid" 2>/dev/null)" 2>/dev/null && [ ! -f "$d/rc" ]; then
      rm -rf "$d/lock"
      exit 75
    fi
    n=$((n + 1))
    sleep 0.1
  done
fi
cat "$d/out"
cat "$d/err" >&2
exit "$(cat "$d/rc")"
"""
"""Runs the script on standard input once for its key, in whatever way Skerry itself is interrupted: a second call with the
same key waits for the first or gives its output again; a script that failed runs again. 75: the first call was killed;
one that has not yet said which process it is has 5 s for it."""

BIRTH = ("instantiate", "instantiate_end")


def births(flavour: DeploymentFlavour, new: Mapping[str, Iterable[str]]) -> list[Step]:
    """The scripts of new VNFCs, each after the VNFC is up."""
    steps: list[Step] = []
    for vdu, vnfcs in new.items():
        for vnfc in vnfcs:
            before = f"create:power:{vnfc}"
            for event in BIRTH:
                if (step := _step(flavour, event, vdu, vnfc, (before,))) is not None:
                    steps.append(step)
                    before = step.key
    return steps


def waiting(goal: Goal, made: set[str]) -> Goal:
    """The goal that remembers which VNFCs never ran so far, where `made` are made now: those that shall not run yet."""
    idle = {*goal.stopped, *(name for names in goal.standbys.values() for name in names)}
    return msgspec.structs.replace(goal, unborn=tuple(sorted((made | set(goal.unborn)) & idle)))


def unborn(plan: Plan | None, journal: Iterable[StepRecord]) -> set[str]:
    """The VNFCs whose first scripts are in the plan and were not all run."""
    done = {record.key for record in journal if record.state is StepState.DONE}
    planned = [step for step in (plan.steps if plan else ()) if step.action == "script.run"]
    return {step.args["vnfc"] for step in planned if step.args["event"] in BIRTH and step.key not in done}


def around(
    flavour: DeploymentFlavour,
    events: Sequence[str],
    there: Mapping[str, Iterable[str]],
    needs: tuple[str, ...],
    *,
    lenient: bool = False,
) -> list[Step]:
    """The scripts of VNFCs that are there, event by event, the first after `needs`. With `lenient` they are left out in a
    VNFC that does not run when their turn comes."""
    steps: list[Step] = []
    for event in events:
        made = [
            step
            for vdu, vnfcs in there.items()
            for vnfc in vnfcs
            if (step := _step(flavour, event, vdu, vnfc, needs, lenient=lenient)) is not None
        ]
        steps.extend(made)
        needs = tuple(step.key for step in made) or needs
    return steps


def _step(
    flavour: DeploymentFlavour, event: str, vdu: str, vnfc: str, needs: tuple[str, ...], *, lenient: bool = False
) -> Step | None:
    script = flavour.scripts.get(event)
    if script is None or (script.vdus and vdu not in script.vdus):
        return None
    return Step(
        key=f"script:{event}:{vnfc}",
        action="script.run",
        note=f"run {event} script {script.artifact} in {vnfc}",
        args={"vnfc": vnfc, "event": event, "lenient": lenient},
        needs=needs,
        timeout_s=script.timeout_s,
        attempts=2,
    )


def outcome(event: str, vnfc: str, artifact: str, exit_code: int, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    """What the journal and the event log keep of a run; output is cut at 16 KiB each."""
    return {
        "event": event,
        "vnfc": vnfc,
        "script": artifact,
        "exit_code": exit_code,
        "stdout": stdout[-16384:].decode("utf-8", "replace"),
        "stderr": stderr[-16384:].decode("utf-8", "replace"),
    }
