"""How the journal changes the recorded graph."""

from __future__ import annotations

import pytest

from skerry.engine.diff import diff
from skerry.engine.graph import settle
from skerry.model.operations import Step
from skerry.model.resources import Resource, ResourceState, Wanted

OLD = Resource(key="net:a", kind="net", spec={"size": 1}, outputs={"id": "1"}, created_at="t0", note="link a")


def steps(size: int | None, recorded: dict[str, Resource], *, in_place: bool = False) -> dict[str, Step]:
    want = Wanted(key="net:a", kind="net", spec={"size": size}, in_place=("size",) if in_place else (), note="link a")
    return {step.key: step for step in diff({} if size is None else {"net:a": want}, recorded)[0]}


def test_a_creation_is_recorded_before_its_effect() -> None:
    step = steps(1, {})["create:net:a"]
    begun = settle({}, step, "begun", {}, "t1")
    assert begun["net:a"].state is ResourceState.PLANNED
    made = settle(begun, step, "done", {"id": "9"}, "t2")
    assert (made["net:a"].state, made["net:a"].outputs, made["net:a"].created_at) == (
        ResourceState.PRESENT, {"id": "9"}, "t2",
    )  # fmt: skip
    assert made["net:a"].note == "link a"
    assert settle(made, step, "undone", {}, "t3") == {}


def test_a_deletion_removes_the_record_only_after_its_effect() -> None:
    step = steps(None, {"net:a": OLD})["delete:net:a"]
    begun = settle({"net:a": OLD}, step, "begun", {}, "t1")
    assert begun == {"net:a": OLD}
    assert settle(begun, step, "done", {}, "t1") == {}
    back = settle({}, step, "undone", {"id": "2"}, "t2")
    assert (back["net:a"].spec, back["net:a"].outputs) == ({"size": 1}, {"id": "2"})


def test_an_update_keeps_what_the_creation_returned() -> None:
    step = steps(2, {"net:a": OLD}, in_place=True)["update:net:a"]
    assert settle({"net:a": OLD}, step, "begun", {}, "t1") == {"net:a": OLD}
    after = settle({"net:a": OLD}, step, "done", {"seen": 1}, "t1")
    assert (after["net:a"].spec, after["net:a"].outputs) == ({"size": 2}, {"id": "1", "seen": 1})
    assert settle(after, step, "undone", {}, "t2")["net:a"].spec == {"size": 1}
    assert settle({}, step, "done", {}, "t1") == {}


@pytest.mark.parametrize("phase", ["begun", "done", "undone"])
def test_a_step_without_resource_changes_nothing(phase: str) -> None:
    recorded = {"net:a": OLD}
    assert settle(recorded, Step(key="script:x:y", action="script.run"), phase, {}, "t") is recorded
