"""Changes of several devices: after every single step each frame goes the old way or the new one, and never in circles."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from skerry.dataplane.intents import Chain, Forward, Intents, Link, Steer, Steering, Topology
from skerry.dataplane.order import changes
from skerry.dataplane.state import changed, check, difference
from skerry.dataplane.trace import trace
from tests.dataplane.nets import compiled, function, hop, switches, to_port

FULL = switches("a", "b", "c", "d", links=[("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("b", "d")])
WEB = bytes(Ether() / IP() / TCP(dport=80))
HOPS = tuple(hop(function(f"f{name}", f"{name}.3", f"{name}.4")) for name in "abcd")


def wish(order: tuple[int, ...], target: str) -> tuple[Intents, ...]:
    chain = Chain(id="c", exit=target, hops=tuple(HOPS[place] for place in order))
    return chain, Steering(id="s", classifier=to_port(80, "a.1"), actions=(Steer(chain="c"),))


def with_links(up: tuple[bool, ...]) -> Topology:
    links = tuple(Link(id=link.id, a=link.a, b=link.b, up=state) for link, state in zip(FULL.links, up, strict=True))
    return Topology(devices=FULL.devices, ports=FULL.ports, links=links)


orders = st.permutations(range(4)).flatmap(lambda order: st.integers(0, 4).map(lambda count: tuple(order[:count])))
targets = st.sampled_from(("a.2", "b.2", "c.2", "d.2"))
links = st.tuples(*(st.booleans() for _ in FULL.links))


@pytest.mark.feature("E46", "C35")
@given(orders, orders, targets, links)
@settings(max_examples=60, deadline=None)
def test_no_step_makes_a_loop(one: tuple[int, ...], other: tuple[int, ...], target: str, up: tuple[bool, ...]) -> None:
    before, after = compiled(FULL, *wish(one, "a.2")), compiled(with_links(up), *wish(other, target))
    states = dict(before.states)
    for step in changes(before.states, after, 7):
        states[step.device] = changed(states[step.device], step)
        check(states[step.device])
        mixed = msgspec.structs.replace(before, states=states)
        assert not trace(mixed, "a.1", WEB).looped
    assert all(difference(states[name], state).empty for name, state in after.states.items())


@pytest.mark.feature("E46")
def test_no_frame_is_lost_when_a_path_is_made_longer_or_shorter() -> None:
    straight = (Steering(id="s", classifier=to_port(80, "a.1"), actions=(Forward(port="d.2"),)),)
    detour = compiled(with_links((True, True, True, False, False)), *straight)
    direct = compiled(FULL, *straight)
    for before, after in ((direct, detour), (detour, direct)):
        states = dict(before.states)
        steps = changes(before.states, after, 1)
        assert len(steps) > 1
        for step in steps:
            states[step.device] = changed(states[step.device], step)
            mixed = msgspec.structs.replace(direct, states=states)
            assert [sent.port for sent in trace(mixed, "a.1", WEB).outputs] == ["d.2"]


def test_one_device_alone_changes_in_one_step() -> None:
    steering = Steering(id="s", classifier=to_port(80, "a.1"), actions=(Forward(port="a.2"),))
    steps = changes(compiled(FULL).states, compiled(FULL, steering), 3)
    assert [(step.device, step.revision) for step in steps] == [("a", 3)]
