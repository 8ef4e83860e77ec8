"""Nonsense: whatever is asked for and whatever comes in, the answer is a refusal or a network that is right."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.dataplane import making
from skerry.dataplane.compile import compile_network
from skerry.dataplane.flows import Field
from skerry.dataplane.graph_json import Graph, graph_of, intents_of
from skerry.dataplane.intents import Intents
from skerry.dataplane.trace import trace
from skerry.dataplane.verify import verify
from skerry.dataplane.wording import action_text, classifier_of, flowspace_of, match_text
from skerry.errors import InvalidError
from tests.dataplane.nets import edge, switches

PORTS = ("ran", "core", "app", "mon", "f1i", "f1o", "f2i", "f2o")
names = st.one_of(st.sampled_from(PORTS), st.sampled_from(PORTS), st.sampled_from((*PORTS, "nowhere")))
ids = st.sampled_from(("i0", "i1", "i2", "i3", "c0"))
usual, wild = (
    st.sampled_from(("", "10.0.0.1", "10.0.0.0/8", "0.0.0.0/0")),
    st.sampled_from(("10.0.0.1/8", "2001:db8::/32", "x")),
)
addresses = st.one_of(*[usual] * 9, wild)
numbers = st.one_of(*[st.sampled_from((1, 6, 17, 63))] * 15, st.sampled_from((None, -1, 0, 80, 256, 65536, 1 << 32)))
ranges = st.lists(st.fixed_dictionaries({"low": numbers, "high": numbers}), max_size=2)
macs = st.one_of(
    *[st.sampled_from(("", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"))] * 12, st.sampled_from(("02:00", "zz"))
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


gtp = some(teid=numbers, type=numbers, qfi=numbers, inner_src=addresses, inner_dst=addresses, inner_dst_ports=ranges)
classifier = some(
    ports=st.lists(names, max_size=3),
    eth_src=macs,
    eth_type=numbers,
    vlan=numbers,
    ip_src=addresses,
    ip_dst=addresses,
    proto=numbers,
    dscp=numbers,
    dst_ports=st.one_of(st.just([]), ranges),
    gtp=st.one_of(st.none(), st.none(), gtp),
    ue=addresses,
    connection=st.lists(st.sampled_from(("NEW", "ESTABLISHED", "REPLY", "RELATED", "INVALID")), max_size=2),
    hosts=st.lists(st.sampled_from(("a.test", "*.a.test", "*", "")), max_size=1),
)


def act(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


copies = st.one_of(
    act("DUPLICATE", port=names, decapsulated=st.booleans()),
    act("REWRITE", dscp=numbers, ip_dst=addresses, vlan=numbers),
    act("RATELIMIT", rate_bps=st.just(10_000)),
    act("COUNT"),
    act("CONNECT", zone=st.just("z"), source=st.fixed_dictionaries({"address": addresses})),
    act("CONNECT", zone=st.just("z"), targets=st.lists(st.fixed_dictionaries({"address": addresses}), max_size=2)),
)
last = st.one_of(
    act("PASS"),
    act("DROP"),
    act("FORWARD", port=names, vlan=numbers),
    act("FORWARD", port=st.just("app"), decapsulated=st.booleans()),
    act("STEER", chain=st.just("c0"), decapsulated=st.booleans()),
    act("REINSERT", port=names, way=st.sampled_from(("UP", "DOWN", "SIDEWAYS"))),
    act("NOTHING"),
)
actions = st.builds(lambda first, rest: [*first, rest], st.lists(copies, max_size=1), last)
functions = st.lists(
    st.fixed_dictionaries({"id": ids, "ingress": names}, optional={"egress": names}), min_size=1, max_size=2
)
hops = st.lists(
    st.fixed_dictionaries({"functions": functions}, optional={"copies": st.lists(names, max_size=1)}), max_size=3
)
intent = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("STEERING"), "id": ids, "classifier": classifier, "actions": actions},
        optional={"sticky_s": numbers, "priority": numbers},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("CHAIN"), "id": st.just("c0"), "hops": hops},
        optional={
            "exit": names,
            "symmetric": st.booleans(),
            "spi": numbers,
            "exit_way": st.sampled_from(("UP", "DOWN")),
        },
    ),
    st.fixed_dictionaries(
        {"kind": st.just("WIRE"), "id": ids, "a": names, "b": names}, optional={"learn_gtp": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("NEXTHOP"), "id": ids, "port": names, "classifier": classifier, "next": names}
    ),
    st.fixed_dictionaries({"kind": st.just("ZONE"), "id": st.just("z"), "ports": st.lists(names, max_size=3)}),
    st.fixed_dictionaries({"kind": st.just("ROUTE"), "id": ids, "prefix": addresses, "port": names, "via": macs}),
    st.fixed_dictionaries(
        {
            "kind": st.just("VIRTUALLINK"),
            "id": ids,
            "members": st.lists(st.fixed_dictionaries({"port": names}), max_size=3),
        },
        optional={"learning": st.booleans()},
    ),
)


gates = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.just("STEERING"),
            "id": st.sampled_from(("i0", "i1", "i2")),
            "classifier": some(
                ports=st.lists(st.sampled_from(("ran", "core", "app")), min_size=1, max_size=2, unique=True),
                ip_dst=usual,
                connection=st.lists(st.sampled_from(("NEW", "REPLY", "RELATED")), max_size=1),
            ),
            "actions": st.one_of(
                st.tuples(act("FORWARD", port=st.sampled_from(("core", "app", "mon")))),
                st.tuples(
                    act(
                        "CONNECT",
                        zone=st.just("z"),
                        source=st.fixed_dictionaries({"address": st.sampled_from(("192.0.2.1", "2001:db8::/120"))}),
                    ),
                    last,
                ),
                st.tuples(
                    act("CONNECT", zone=st.just("z"), targets=st.just([{"address": "10.0.0.1", "port": 80}])), last
                ),
            ),
        }
    ),
    max_size=3,
    unique_by=lambda one: one["id"],
)


@pytest.mark.feature("E46")
@given(gates, st.sampled_from((b"", b"\x45" + bytes(40))))
@settings(max_examples=100, deadline=None)
def test_translation_is_refused_or_right(asked: list[dict[str, Any]], packet: bytes) -> None:
    """What is accepted of zones and translation never loops, whatever is sent."""
    zone = {"kind": "ZONE", "id": "z", "ports": ["ran", "core", "app"]}
    chain = {"kind": "CHAIN", "id": "c0", "hops": [{"functions": [{"id": "f", "ingress": "f1i", "egress": "f1o"}]}]}
    try:
        intents = msgspec.convert([zone, chain, *asked], list[Intents])
        network = compile_network(edge(), intents)
    except (msgspec.ValidationError, InvalidError):
        return
    found = verify(network)
    frames = (bytes(12) + b"\x08\0" + packet, making.frame({Field.IPV4_DST: 0x0A000001, Field.IP_PROTO: 6}))
    looped = any(trace(network, port.id, frame).looped for port in network.topology.ports for frame in frames)
    assert not looped or found


@pytest.mark.feature("E46")
@given(st.lists(intent, max_size=4, unique_by=lambda one: one["id"]), st.binary(max_size=60))
@settings(max_examples=250, deadline=None)
def test_intents_are_refused_or_right(asked: list[dict[str, Any]], frame: bytes) -> None:
    try:
        intents = msgspec.convert(asked, list[Intents])
    except msgspec.ValidationError:
        return
    for topology in (edge(), switches("a")):
        try:
            network = compile_network(topology, intents)
        except InvalidError:
            continue
        found = verify(network)
        for rule in network.states[topology.devices[0].id].rules:
            assert match_text(rule.match)
            assert all(action_text(action) for action in rule.actions)
        looped = any(trace(network, port.id, frame).looped for port in topology.ports)
        assert not looped or found


plain = [
    "tcp",
    "udp",
    "ip",
    "nw_dst=10.0.0.0/8",
    "tp_dst=80",
    "tp_dst=1-9",
    "dl_vlan=5",
    "gtp_teid=0x11",
    "ue=10.0.0.1",
]
words = st.sampled_from([*plain, "x=1", "tp_dst=z"])


@pytest.mark.feature("C34")
@given(st.lists(words, max_size=5))
def test_match_strings_are_refused_or_come_back(parts: list[str]) -> None:
    try:
        found = classifier_of(",".join(parts))
    except ValueError:
        return
    assert classifier_of(flowspace_of(found)) == found


node = st.one_of(
    st.fixed_dictionaries({"id": names, "type": st.sampled_from(("port", "tap")), "port": names}),
    st.fixed_dictionaries({"id": names, "type": st.just("drop")}),
    st.fixed_dictionaries({"id": names, "type": st.just("firewall"), "deny": st.lists(words, max_size=2)}),
    st.fixed_dictionaries({"id": names, "type": st.just("rate-limiter"), "rate_bps": st.just(5000)}),
    st.fixed_dictionaries({"id": names, "type": st.just("function"), "ingress": names}),
)
link = st.fixed_dictionaries({"from": names, "to": names}, optional={"match": words})


@pytest.mark.feature("E72")
@given(st.lists(node, max_size=6), st.lists(link, max_size=8))
@settings(max_examples=200, deadline=None)
def test_graphs_are_refused_or_come_back(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> None:
    graph = msgspec.convert({"name": "g", "nodes": nodes, "edges": edges}, Graph)
    try:
        intents = intents_of(graph)
        compile_network(edge(), intents)
    except InvalidError:
        return
    again = graph_of("g", intents)
    assert msgspec.convert(msgspec.to_builtins(again), Graph) == again
