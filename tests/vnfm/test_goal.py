"""What a VNF shall become: arithmetic of levels and aspects, and names, against a naive oracle."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.model.descriptors import DeploymentFlavour, InstantiationLevel, ScalingAspect, Vdu
from skerry.vnfm.goal import Goal, at_scale, check_level, counts_for, populate, scale_at_level, scaled

VDUS = ("a", "b", "c")


@st.composite
def aspects(draw: st.DrawFn) -> ScalingAspect:
    vdus = draw(st.lists(st.sampled_from(VDUS), unique=True, min_size=1))
    return ScalingAspect(
        id="more",
        max_scale_level=draw(st.integers(1, 6)),
        initial={vdu: draw(st.integers(0, 3)) for vdu in vdus},
        deltas={vdu: tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))) for vdu in vdus},
    )


def counted(aspect: ScalingAspect, vdu: str, level: int) -> int:
    """The oracle: add step by step; steps beyond the list repeat its last."""
    count = aspect.initial.get(vdu, 0)
    deltas = list(aspect.deltas.get(vdu, ()))
    for _ in range(level):
        if not deltas:
            break
        count += deltas[0]
        if len(deltas) > 1:
            deltas.pop(0)
    return count


def flavour(aspect: ScalingAspect, **levels: InstantiationLevel) -> DeploymentFlavour:
    return DeploymentFlavour(
        id="f",
        vdus={id: Vdu(id=id, min_instances=1) for id in VDUS},
        scaling_aspects={aspect.id: aspect},
        instantiation_levels=levels,
    )


@given(aspects(), st.integers(0, 6))
def test_counts_at_a_scale_level(aspect: ScalingAspect, level: int) -> None:
    assert {vdu: at_scale(aspect, vdu, level) for vdu in VDUS} == {vdu: counted(aspect, vdu, level) for vdu in VDUS}
    counts = counts_for(flavour(aspect), {"more": level}, "")
    assert counts == {vdu: counted(aspect, vdu, level) if vdu in aspect.deltas else 1 for vdu in VDUS}


@given(aspects(), st.integers(0, 6), st.integers(-8, 8))
def test_scaling_out_and_back_in_is_where_it_began(aspect: ScalingAspect, level: int, step: int) -> None:
    level = min(level, aspect.max_scale_level)
    one = flavour(aspect)
    start = Goal(flavour_id="f", scale_status={"more": level}, vnfcs=populate({}, counts_for(one, {"more": level}, "")))
    target = level + step
    if not 0 <= target <= aspect.max_scale_level:
        with pytest.raises(InvalidError, match="scale level of 'more' goes from 0 to"):
            scaled(start, one, {"more": target})
        return
    there = scaled(start, one, {"more": target})
    assert {vdu: len(names) for vdu, names in there.vnfcs.items()} == counts_for(one, {"more": target}, "")
    back = scaled(there, one, {"more": level})
    if step >= 0:
        assert back.vnfcs == start.vnfcs
    assert back.scale_status == start.scale_status


@given(aspects(), st.integers(0, 6))
def test_the_scale_level_of_an_instantiation_level_is_found_from_its_counts(aspect: ScalingAspect, level: int) -> None:
    level = min(level, aspect.max_scale_level)
    counts = {vdu: counted(aspect, vdu, level) for vdu in aspect.deltas}
    one = flavour(aspect, l=InstantiationLevel(id="l", vdu_levels=counts))
    found = scale_at_level(one, "l")["more"]
    assert found <= level
    assert {vdu: counted(aspect, vdu, found) for vdu in aspect.deltas} == counts
    named = flavour(aspect, l=InstantiationLevel(id="l", scale_info={"more": level}))
    assert scale_at_level(named, "l") == {"more": level}
    assert scale_at_level(named, "other") == {"more": 0}


def test_vdus_outside_all_aspects_follow_the_level() -> None:
    aspect = ScalingAspect(id="more", max_scale_level=1, initial={"a": 1}, deltas={"a": (1,)})
    one = flavour(aspect, l=InstantiationLevel(id="l", vdu_levels={"a": 9, "b": 3}))
    assert counts_for(one, {"more": 1}, "l") == {"a": 2, "b": 3, "c": 1}
    spare = msgspec.structs.replace(one, vdus={**one.vdus, "c": Vdu(id="c", min_instances=0)})
    assert counts_for(spare, {"more": 1}, "")["c"] == 0


def test_unknown_aspects_and_levels_are_all_named() -> None:
    one = flavour(ScalingAspect(id="more", max_scale_level=2, initial={"a": 1}, deltas={"a": (1,)}))
    with pytest.raises(InvalidError) as caught:
        scaled(Goal(flavour_id="f"), one, {"more": 3, "less": 1})
    assert [fault.code for fault in caught.value.faults] == ["scale-level", "aspect"]
    with pytest.raises(InvalidError, match="cannot use instantiation level 'x'"):
        check_level(one, "x")


names = st.dictionaries(st.sampled_from(VDUS), st.sets(st.integers(0, 12), max_size=6).map(sorted), max_size=3).map(
    lambda found: {vdu: tuple(f"{vdu}-{number}" for number in numbers) for vdu, numbers in found.items()}
)


@given(
    names, st.dictionaries(st.sampled_from(VDUS), st.integers(0, 8)), st.lists(st.sampled_from(["a-0", "b-3", "c-12"]))
)
def test_names_stay_and_fill_the_gaps(
    have: dict[str, tuple[str, ...]], counts: dict[str, int], gone: list[str]
) -> None:
    result = populate(have, counts, gone)
    assert result.keys() == counts.keys()
    for vdu, group in result.items():
        before = have.get(vdu, ())
        assert len(group) == len(set(group)) == counts[vdu]
        kept = [name for name in group if name in before]
        new = {name for name in group if name not in before}
        assert len(kept) == min(len(before), counts[vdu])
        free = [name for name in (f"{vdu}-{number}" for number in range(30)) if name not in before]
        assert new == set(free[: len(new)])
        removed = set(before) - set(group)
        wished = [name for name in dict.fromkeys(gone) if name in before][: len(removed)]
        assert set(wished) <= removed
        rest = removed - set(wished)
        assert all(int(one.split("-")[1]) > int(stay.split("-")[1]) for one in rest for stay in kept)
