"""From two graphs to a plan: properties, and the cases worth naming."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.engine.diff import CREATE, DELETE, REPLACE, REUSE, UPDATE, diff, effects, order
from skerry.errors import InvalidError
from skerry.model.resources import Resource, ResourceState, Wanted
from tests.engine.graphs import KEYS, apply, graphs, ordered, shape, undo


def thing(key: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = (), **spec: object) -> Wanted:
    return Wanted(key=key, kind="thing", spec=spec, needs=needs, after=after, in_place=("soft",))


def built(*things: Wanted) -> dict[str, Resource]:
    steps, _ = diff({one.key: one for one in things}, {})
    return apply({}, ordered(steps))


@given(graphs(), graphs())
def test_applying_the_plan_gives_what_is_wanted(first: dict[str, Wanted], second: dict[str, Wanted]) -> None:
    recorded = apply({}, ordered(diff(first, {})[0]))
    steps, changes = diff(second, recorded)
    result = apply(recorded, ordered(steps))
    assert {key: (one.kind, dict(one.spec)) for key, one in result.items()} == {
        key: (one.kind, dict(one.spec)) for key, one in second.items()
    }
    assert all(one.state is ResourceState.PRESENT for one in result.values())
    assert {change.resource for change in changes} == first.keys() | second.keys()


@given(graphs())
def test_what_is_wanted_and_there_needs_no_step(wanted: dict[str, Wanted]) -> None:
    recorded = apply({}, ordered(diff(wanted, {})[0]))
    steps, changes = diff(wanted, recorded)
    assert steps == []
    assert {change.effect for change in changes} <= {REUSE}


@given(graphs(), graphs(), st.data())
def test_undoing_any_prefix_of_a_plan_gives_the_original(
    first: dict[str, Wanted], second: dict[str, Wanted], data: st.DataObject
) -> None:
    recorded = apply({}, ordered(diff(first, {})[0]))
    steps = ordered(diff(second, recorded)[0])
    done = steps[: data.draw(st.integers(0, len(steps)))]
    assert shape(undo(apply(recorded, done), done)) == shape(recorded)


@given(graphs(), graphs(), st.sets(st.sampled_from(KEYS)))
def test_nothing_is_made_before_what_it_needs_nor_removed_after_it(
    first: dict[str, Wanted], second: dict[str, Wanted], force: set[str]
) -> None:
    recorded = apply({}, ordered(diff(first, {})[0]))
    there = set(recorded)
    for step in ordered(diff(second, recorded, force)[0]):
        effect, key = step.key.split(":", 1)
        if effect == "delete":
            users = [other for other in there if key in recorded[other].needs and other in recorded and other != key]
            assert not [other for other in users if _old(other, second, recorded, force)]
            there.discard(key)
        else:
            assert set(second[key].needs) <= there
            assert set(second[key].after) <= there | (set(KEYS) - second.keys())
            there.add(key)
    assert there == second.keys()


def _old(key: str, second: dict[str, Wanted], recorded: dict[str, Resource], force: set[str]) -> bool:
    """Whether the recorded resource goes in this plan and so had to go first."""
    return effects(second, recorded, force)[key] in (DELETE, REPLACE)


@given(graphs(), st.sets(st.sampled_from(KEYS)))
def test_a_replacement_takes_along_all_that_is_built_on_it(wanted: dict[str, Wanted], force: set[str]) -> None:
    recorded = apply({}, ordered(diff(wanted, {})[0]))
    found = effects(wanted, recorded, force)
    expected = set(force) & wanted.keys()
    while True:
        more = {key for key, one in wanted.items() if set(one.needs) & expected} - expected
        if not more:
            break
        expected |= more
    assert {key for key, effect in found.items() if effect == REPLACE} == expected
    assert set(found.values()) <= {REPLACE, REUSE}


def test_each_kind_of_change() -> None:
    old = built(thing("a", size=1, soft=1), thing("b", size=1), thing("c"), thing("d"), thing("f"))
    old["f"] = msgspec.structs.replace(old["f"], state=ResourceState.FAILED)
    new = [thing("a", size=1, soft=2), thing("b", size=2), thing("c"), thing("e"), thing("f")]
    steps, changes = diff({one.key: one for one in new}, old)
    assert {change.resource: change.effect for change in changes} == {
        "a": UPDATE, "b": REPLACE, "c": REUSE, "d": DELETE, "e": CREATE, "f": REPLACE,
    }  # fmt: skip
    assert {change.resource for change in changes if change.disrupts} == {"a", "b", "d", "f"}
    assert {step.key for step in steps} == {
        "update:a", "delete:b", "create:b", "delete:d", "create:e", "delete:f", "create:f",
    }  # fmt: skip


def test_a_replacement_is_told_what_there_was_before() -> None:
    old = built(thing("a", size=1))
    steps, _ = diff({"a": thing("a", size=2)}, old)
    made = next(step for step in steps if step.key == "create:a")
    assert made.args["previous"] == old["a"].outputs != {}
    removed = next(step for step in steps if step.key == "delete:a")
    assert removed.undo_args["previous"] == old["a"].outputs


def test_independent_steps_have_no_order_and_dependent_ones_do() -> None:
    steps, _ = diff({one.key: one for one in (thing("a"), thing("b"), thing("c", ("a",), ("b",)))}, {})
    assert {step.key: set(step.needs) for step in steps} == {
        "create:a": set(),
        "create:b": set(),
        "create:c": {"create:a", "create:b"},
    }


@pytest.mark.feature("A53")
def test_a_cycle_is_refused_and_printed() -> None:
    things = [thing("a", ("c",)), thing("b", ("a",)), thing("c", (), ("b",)), thing("d")]
    with pytest.raises(InvalidError, match="a -> c -> b -> a is a cycle"):
        order({one.key: one for one in things})


def test_specs_are_compared_as_the_store_gives_them_back() -> None:
    old = built(thing("a", items=("x", "y")))
    assert diff({"a": thing("a", items=("x", "y"))}, old)[0] == []
