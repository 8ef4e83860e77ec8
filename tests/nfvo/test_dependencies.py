"""Who needs whom, cycles, and what is handed over: pure functions against naive oracles."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, Vnfd, VnfDependency, VnfProfile
from skerry.nfvo.dependencies import circles, dependencies, handed, ordered

NAMES = "abcde"
pairs = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] != pair[1]),
    unique=True,
    max_size=10,
).map(lambda found: [VnfDependency(source=source, target=target) for source, target in found])


def has_cycle(edges: list[VnfDependency]) -> bool:
    """The oracle: no order of all names respects every edge."""
    return not any(
        all(order.index(edge.source) < order.index(edge.target) for edge in edges)
        for order in itertools.permutations(NAMES)
    )


@pytest.mark.feature("A53")
@given(pairs)
def test_cycles_are_found_and_are_cycles(edges: list[VnfDependency]) -> None:
    found = circles(edges)
    assert bool(found) == has_cycle(edges)
    real = {(edge.source, edge.target) for edge in edges}
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert set(itertools.pairwise(cycle)) <= real


@pytest.mark.feature("A52", "A53")
@given(pairs)
def test_what_is_left_of_the_dependencies_gives_an_order(edges: list[VnfDependency]) -> None:
    if has_cycle(edges):
        with pytest.raises(InvalidError, match="is a cycle") as caught:
            ordered(edges, cyclic_allowed=False)
        assert all(fault.code == "cycle" for fault in caught.value.faults)
        kept, again = ordered(edges, cyclic_allowed=True)
        assert again
        assert not has_cycle(list(kept))
        lost = {(edge.source, edge.target) for edge in edges} - {(edge.source, edge.target) for edge in kept}
        assert {name for pair in lost for name in pair} <= again
    else:
        assert ordered(edges, cyclic_allowed=False) == (tuple(edges), set())


def vnfd(id: str, **fields: object) -> Vnfd:
    return Vnfd(id=id, provider="p", product_name=f"product-{id}", software_version="1", version="1", **fields)


def test_all_sources_of_dependencies_are_joined() -> None:
    profile = VnfProfile(id="c", vnfd_id="c", properties={"x": {"concat": ["<", {"get_attribute": ["a", "cp", "ip"]}]}})
    flavour = NsDeploymentFlavour(
        id="f",
        vnf_profiles={"a": VnfProfile(id="a", vnfd_id="a"), "b": VnfProfile(id="b", vnfd_id="b"), "c": profile},
        dependencies=(VnfDependency(source="a", target="b", parameters=("x",)),),
    )
    vnfds = {"a": vnfd("a"), "b": vnfd("b", requires={"product-a": ("x", "y")}), "c": vnfd("c", requires={"b": ("z",)})}
    found = {(one.source, one.target): one.parameters for one in dependencies(flavour, vnfds)}
    assert found == {("a", "b"): ("x", "y"), ("a", "c"): (), ("b", "c"): ("z",)}


def test_values_of_one_and_of_several_sources() -> None:
    pair = VnfDependency(source="s", target="t", parameters=("port",))
    everything = VnfDependency(source="s", target="t")
    one, two = {"port": 1, "name": "a"}, {"port": 2, "name": "b"}
    assert handed(pair, [one]) == {"port": 1}
    assert handed(everything, [one]) == one
    assert handed(pair, [one, two]) == {"port": 1, "ports": [1, 2]}
    assert handed(pair, []) == {}
    with pytest.raises(InvalidError, match="cannot hand over from s to t: colour") as caught:
        handed(VnfDependency(source="s", target="t", parameters=("colour",)), [one])
    assert "it has: name, port" in caught.value.faults[0].message
