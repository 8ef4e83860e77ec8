"""Where things go: properties against the definition, and the reasons."""

from __future__ import annotations

import msgspec
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


BOTH = Demand(name="a", vcpus=1, memory_bytes=96 << 20, forms=("container", "function"), function_bytes=8 << 20)
EITHER = frozenset({"container", "function"})


def edge(id: str, memory: int, forms: frozenset[str] = EITHER) -> Site:
    capacity = Capacity(vcpus=8, memory_bytes=memory, storage_bytes=1 << 40, instances=10)
    return Site(id=id, capacity=capacity, forms=forms)


@pytest.mark.feature("C15")
def test_what_can_be_both_is_a_container_where_there_is_room_and_else_a_function() -> None:
    big = place([BOTH], [edge("big", 1 << 30)])
    assert big.functions == frozenset()
    small = place([BOTH], [edge("small", 64 << 20)])
    assert small.functions == {"a"}
    assert small.verdicts[0].reason.endswith(
        "a as a micro network function, since as a container it needs 100,663,296 bytes of memory, free are 67,108,864"
    )
    tiny = place([BOTH], [edge("tiny", 1 << 30, frozenset({"function"}))])
    assert tiny.functions == {"a"}
    assert "since" not in tiny.verdicts[0].reason
    with pytest.raises(RejectedError, match="needs 8,388,608 bytes of memory"):
        place([BOTH], [edge("none", 1 << 20)])


@pytest.mark.feature("C15")
def test_a_site_gets_only_what_it_runs() -> None:
    container, function = Demand(name="c"), Demand(name="f", forms=("function",), function_bytes=1)
    sites = [edge("engine", 1 << 30, frozenset({"container"})), edge("node", 1 << 30, frozenset({"function"}))]
    assert place([container], sites).placement == {"c": "engine"}
    assert place([function], sites).placement == {"f": "node"}
    with pytest.raises(
        RejectedError, match="engine: it runs no functions, as f needs; node: it runs no containers, as c"
    ):
        place([container, function], sites)
    with pytest.raises(RejectedError, match="it runs no containers"):
        place([msgspec.structs.replace(container, site="node")], sites)
    both = place([container, function], [*sites, edge("zz", 1 << 30)])
    assert (both.placement, both.functions) == ({"c": "zz", "f": "zz"}, {"f"})
