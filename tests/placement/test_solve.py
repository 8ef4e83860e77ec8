"""Where things go: properties against the definition, and the reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import RejectedError
from skerry.placement.solve import Demand, Site, place, shortage
from skerry.vim.driver import Capacity


def site(
    id: str, vcpus: float = 8, used: float = 0, memory: int = 1 << 30, instances: int = 100, problem: str = ""
) -> Site:
    capacity = Capacity(vcpus=vcpus, memory_bytes=memory, storage_bytes=1 << 40, instances=instances, used_vcpus=used)
    return Site(id=id, capacity=capacity, problem=problem)


sites = st.lists(
    st.builds(
        site, st.sampled_from("abcd"), st.integers(1, 8), st.integers(0, 4), st.integers(1, 8), st.integers(1, 5)
    ),
    min_size=1,
    unique_by=lambda one: one.id,
)
demands = st.lists(
    st.builds(
        Demand,
        name=st.text("xyz", min_size=1, max_size=3),
        vcpus=st.integers(0, 3),
        memory_bytes=st.integers(0, 3),
        site=st.sampled_from(["", "", "a", "b"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.name,
)


@given(demands, sites, st.permutations("abcd"))
def test_a_choice_fits_and_keeps_to_what_was_asked(wanted: list[Demand], there: list[Site], prefer: list[str]) -> None:
    by_id = {one.id: one for one in there}
    free = [demand for demand in wanted if not demand.site]
    pinned = {demand.site: [d for d in wanted if d.site == demand.site] for demand in wanted if demand.site}

    def fits(id: str, group: list[Demand]) -> bool:
        return id in by_id and not shortage(by_id[id], group)

    possible = [id for id in by_id if fits(id, [*pinned.get(id, []), *free])] if free else list(by_id)
    if not all(fits(id, group) for id, group in pinned.items()) or not possible:
        with pytest.raises(RejectedError, match="cannot grant the resources"):
            place(wanted, there, prefer)
        return
    choice = place(wanted, there, prefer)
    assert choice.placement.keys() == {demand.name for demand in wanted}
    assert all(choice.placement[demand.name] == demand.site for demand in wanted if demand.site)
    for id in set(choice.placement.values()):
        assert fits(id, [demand for demand in wanted if choice.placement[demand.name] == id])
    if free:
        (taken,) = {choice.placement[demand.name] for demand in free}
        assert taken == min(possible, key=prefer.index)
    assert place(wanted, list(reversed(there)), prefer).placement == choice.placement


def test_the_least_loaded_wins_and_then_the_name() -> None:
    there = [site("c"), site("b", used=4), site("a")]
    assert place([Demand(name="x", vcpus=1)], there).placement == {"x": "a"}
    assert place([Demand(name="x", vcpus=1)], [site("c", vcpus=16), site("a")]).placement == {"x": "c"}
    assert place([Demand(name="x", vcpus=1)], there, ["b"]).placement == {"x": "b"}


@pytest.mark.feature("A67", "A40")
def test_a_refusal_names_every_site_and_what_it_lacks() -> None:
    there = [site("a", vcpus=1), site("b", memory=10), site("c", problem="it does not answer"), site("d", instances=0)]
    with pytest.raises(RejectedError) as caught:
        place([Demand(name="x", vcpus=2, memory_bytes=20)], there)
    assert {fault.path: fault.message for fault in caught.value.faults} == {
        "a": "needs 2 vCPUs, free are 1",
        "b": "needs 20 bytes of memory, free are 10",
        "c": "it does not answer",
        "d": "needs 1 instances, free are 0",
    }
    with pytest.raises(RejectedError, match="there is no VIM"):
        place([Demand(name="x")], [])
    with pytest.raises(RejectedError, match="there is no such VIM"):
        place([Demand(name="x", site="nowhere")], [site("a")])


def test_demands_of_one_request_are_counted_together() -> None:
    three = [Demand(name=str(n), vcpus=3) for n in range(3)]
    with pytest.raises(RejectedError, match="needs 9 vCPUs, free are 8"):
        place(three, [site("a")])
    assert set(place(three[:2], [site("a")]).placement.values()) == {"a"}
