"""Resource graphs for tests, and an applier of plans that is not the engine's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from skerry.engine.graph import settle
from skerry.model.operations import Step
from skerry.model.resources import Resource, Wanted

KEYS = tuple(f"thing:{letter}" for letter in "abcdefg")


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Wanted]:
    """A graph over some of `KEYS` that has no cycle: each needs only what comes before it."""
    found: dict[str, Wanted] = {}
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True).map(sorted)):
        earlier = list(found)
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
        after = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
        spec = {"size": draw(st.integers(0, 2)), "needs": needs, "after": after, "soft": draw(st.integers(0, 2))}
        found[key] = Wanted(
            key=key,
            kind="thing",
            spec=spec,
            needs=tuple(needs),
            after=tuple(after),
            in_place=("soft",),
            note=f"the {key}",
        )
    return found


def ordered(steps: Sequence[Step]) -> list[Step]:
    """The steps so that each comes after what it needs; fails when there is no such order."""
    done: set[str] = set()
    result: list[Step] = []
    left = list(steps)
    while left:
        ready = [step for step in left if set(step.needs) <= done]
        assert ready, f"steps wait for each other: {[step.key for step in left]}"
        result.append(ready[0])
        done.add(ready[0].key)
        left.remove(ready[0])
    return result


def apply(recorded: Mapping[str, Resource], steps: Sequence[Step]) -> dict[str, Resource]:
    """What is recorded once the steps are done in this order."""
    for step in steps:
        recorded = settle(recorded, step, "begun", {}, "then")
        recorded = settle(recorded, step, "done", {"made": step.key}, "then")
    return dict(recorded)


def undo(recorded: Mapping[str, Resource], steps: Sequence[Step]) -> dict[str, Resource]:
    """What is recorded once these steps are undone, the last first."""
    for step in reversed(steps):
        recorded = settle(recorded, step, "undone", {}, "later")
    return dict(recorded)


def shape(recorded: Mapping[str, Resource]) -> dict[str, tuple[object, ...]]:
    """What of a recorded graph matters: kinds, specs, needs and states."""
    return {key: (one.kind, dict(one.spec), one.needs, one.after, one.state) for key, one in recorded.items()}
