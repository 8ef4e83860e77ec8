"""The data plane through the API: topology, intents, rules with their states, next hops, graphs, traces."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.dataplane.drivers import simulated
from skerry.dataplane.intents import Classifier, Drop, Steering
from tests.api.rig import Rig
from tests.api.test_access import as_client

ROOT = "/skerry/v1/dataplane"
TOPOLOGY: dict[str, Any] = {
    "devices": [{"id": "s1", "engine": "simulated"}],
    "ports": [
        {"id": "ran", "device": "s1", "side": "RAN"},
        {"id": "core", "device": "s1", "side": "CORE"},
        {"id": "app", "device": "s1", "side": "HOST", "mac": "02:00:00:00:00:05"},
        {"id": "lvnf", "device": "s1", "side": "LVNF"},
        {"id": "mon", "device": "s1", "side": "HOST"},
    ],
}
WIRE = {"kind": "WIRE", "id": "line", "a": "ran", "b": "core"}


async def laid(rig: Rig) -> None:
    assert (await rig.client.put(f"{ROOT}/topology", json=TOPOLOGY)).status_code == 204
    assert (await rig.client.put(f"{ROOT}/intents/line", json=WIRE)).status_code == 200


async def out(rig: Rig, port: str, **fields: Any) -> list[str]:
    """The ports where such a frame leaves."""
    traced = await rig.client.post(f"{ROOT}/trace", json={"port": port, "fields": fields})
    assert traced.status_code == 200, traced.text
    return [one["port"] for one in traced.json().get("outputs", [])]


@pytest.mark.feature("E46")
async def test_intents_become_rules_in_three_states(rig: Rig) -> None:
    await laid(rig)
    rules = (await rig.client.get(f"{ROOT}/rules?intent=line")).json()
    assert {(rule["match"], rule["actions"][0], rule["state"]) for rule in rules} == {
        ("in_port=1", "output(port=2)", "VERIFIED"),
        ("in_port=2", "output(port=1)", "VERIFIED"),
    }
    assert (await rig.client.get(f"{ROOT}/intents/line")).json()["rev"] == 1
    assert (await rig.client.delete(f"{ROOT}/intents/line")).status_code == 204
    assert (await rig.client.get(f"{ROOT}/rules?intent=line")).json() == []
    assert (await rig.client.get(f"{ROOT}/intents/line")).status_code == 404
    assert (await rig.client.delete(f"{ROOT}/ports/mon")).status_code == 204
    left = {port["id"] for port in (await rig.client.get(f"{ROOT}/ports")).json()}
    assert left == {"ran", "core", "app", "lvnf"}


@pytest.mark.feature("C34")
async def test_the_next_hop_of_a_port_on_a_flowspace(rig: Rig) -> None:
    await laid(rig)
    put = await rig.client.put(f"{ROOT}/ports/ran/next", json={"match": "tcp,tp_dst=80", "next": "lvnf"})
    assert put.status_code == 200, put.text
    web = {"eth_type": 0x800, "ip_proto": 6, "l4_dst": 80}
    assert await out(rig, "ran", **web) == ["lvnf"]
    assert await out(rig, "ran", eth_type=0x800, ip_proto=1) == ["core"]
    shown = (await rig.client.get(f"{ROOT}/ports/ran/next")).json()
    assert shown == [{"match": "dl_type=0x800,nw_proto=6,tp_dst=80", "next": "lvnf", "priority": 500}]
    again = await rig.client.put(f"{ROOT}/ports/ran/next", json={"match": "tcp,tp_dst=80", "next": "mon"})
    assert again.status_code == 200
    assert await out(rig, "ran", **web) == ["mon"]
    assert (await rig.client.delete(f"{ROOT}/ports/ran/next?match=tcp,tp_dst=80")).status_code == 204
    assert await out(rig, "ran", **web) == ["core"]
    assert (await rig.client.delete(f"{ROOT}/ports/ran/next")).status_code == 404
    wrong = await rig.client.put(f"{ROOT}/ports/ran/next", json={"match": "colour=red", "next": "mon"})
    assert (wrong.status_code, "colour=red" in wrong.json()["detail"]) == (422, True)


@pytest.mark.feature("E46")
async def test_what_the_proof_forbids_is_refused_with_a_witness(rig: Rig) -> None:
    await laid(rig)
    wide = {
        "kind": "STEERING",
        "id": "wide",
        "classifier": {"ports": ["ran"], "proto": 6},
        "actions": [{"type": "DROP"}],
    }
    assert (await rig.client.put(f"{ROOT}/intents/wide", json={**wide, "priority": 600})).status_code == 200
    narrow = {**wide, "id": "narrow", "classifier": {"ports": ["ran"], "proto": 6, "ip_dst": "10.0.0.0/8"}}
    refused = await rig.client.put(f"{ROOT}/intents/narrow", json=narrow)
    assert refused.status_code == 409
    fault = refused.json()["faults"][0]
    assert (fault["code"], fault["path"]) == ("shadowed", "narrow, wide")
    assert "witness at s1 port 1: " in fault["fix"]
    assert (await rig.client.get(f"{ROOT}/intents/narrow")).status_code == 404


async def test_bad_intents_are_refused_with_all_their_faults(rig: Rig) -> None:
    await laid(rig)
    bad = {
        "kind": "STEERING",
        "id": "bad",
        "classifier": {"ports": ["nowhere"], "ip_src": "10.0.0.1/8"},
        "actions": [{"type": "DROP"}, {"type": "FORWARD", "port": "app", "decapsulated": True}],
    }
    refused = await rig.client.put(f"{ROOT}/intents/bad", json=bad)
    assert refused.status_code == 422
    told = " ".join(fault["message"] for fault in refused.json()["faults"])
    for part in ("no port nowhere", "has host bits set", "must be the last action", "can be decapsulated"):
        assert part in told
    assert (
        await rig.client.put(f"{ROOT}/intents/bad", json={"kind": "STEERING", "id": "bad", "x": 1})
    ).status_code == 422
    assert (await rig.client.put(f"{ROOT}/intents/other", json=WIRE)).status_code == 422


@pytest.mark.feature("E72")
async def test_a_forwarding_graph_is_read_and_written(rig: Rig) -> None:
    await laid(rig)
    graph = {
        "name": "edge",
        "nodes": [
            {"id": "in", "type": "port", "port": "ran"},
            {"id": "slow", "type": "rate-limiter", "rate_bps": 1_000_000},
            {"id": "fw", "type": "firewall", "deny": ["tcp,tp_dst=22"]},
            {"id": "watch", "type": "tap", "port": "mon"},
            {"id": "dpi", "type": "function", "ingress": "lvnf"},
            {"id": "out", "type": "port", "port": "core"},
        ],
        "edges": [
            {"from": "in", "to": "slow"},
            {"from": "slow", "to": "fw"},
            {"from": "fw", "to": "dpi", "match": "tcp,tp_dst=80"},
            {"from": "dpi", "to": "out"},
            {"from": "fw", "to": "watch", "match": "udp"},
            {"from": "watch", "to": "out"},
        ],
    }
    put = await rig.client.put(f"{ROOT}/graph", json=graph)
    assert put.status_code == 204, put.text
    assert await out(rig, "ran", eth_type=0x800, ip_proto=6, l4_dst=22) == []
    assert await out(rig, "ran", eth_type=0x800, ip_proto=17) == ["mon", "core"]
    web = {"port": "ran", "fields": {"eth_type": 0x800, "ip_proto": 6, "l4_dst": 80}}
    traced = (await rig.client.post(f"{ROOT}/trace", json=web)).json()
    assert (traced["functions"], [one["port"] for one in traced["outputs"]]) == (["dpi"], ["core"])
    written = (await rig.client.get(f"{ROOT}/graph?owner=graph:edge")).json()
    assert {node["type"] for node in written["nodes"]} == {"port", "rate-limiter", "tap", "function", "drop"}
    again = {**written, "name": "copy"}
    assert (await rig.client.put(f"{ROOT}/graph", json={"name": "edge", "nodes": [], "edges": []})).status_code == 204
    assert await out(rig, "ran", eth_type=0x800, ip_proto=17) == ["core"]
    assert (await rig.client.put(f"{ROOT}/graph", json=again)).status_code == 204
    assert (await rig.client.post(f"{ROOT}/trace", json=web)).json()["functions"] == ["dpi"]
    circle = {
        **graph,
        "edges": [{"from": "in", "to": "slow"}, {"from": "slow", "to": "fw"}, {"from": "fw", "to": "slow"}],
    }
    assert (await rig.client.put(f"{ROOT}/graph", json=circle)).status_code == 422


@pytest.mark.feature("A39")
async def test_tenants_see_and_change_their_own(rig: Rig) -> None:
    await laid(rig)
    theirs = {"id": "theirs", "device": "s1", "side": "HOST", "tenant": "blue"}
    assert (await rig.client.put(f"{ROOT}/ports/theirs", json=theirs)).json()["number"] == 6
    assert "theirs" not in [port["id"] for port in (await rig.client.get(f"{ROOT}/ports")).json()]
    foreign = {"kind": "STEERING", "id": "x", "classifier": {"ports": ["theirs"]}, "actions": [{"type": "DROP"}]}
    refused = await rig.client.put(f"{ROOT}/intents/x", json=foreign)
    assert "belongs to another tenant" in refused.text
    assert (await rig.client.put(f"{ROOT}/intents/x", json={**foreign, "tenant": "blue"})).status_code == 403


@pytest.mark.feature("A39")
async def test_a_trace_says_nothing_of_rules_of_others(rig: Rig) -> None:
    await laid(rig)
    blue = await as_client(rig, "blue", tenant="blue")
    await rig.node.dataplane.put(
        Steering(
            id="secret",
            tenant="blue",
            classifier=Classifier(ports=("ran",), eth_type=0x800, proto=6),
            actions=(Drop(),),
        )
    )
    frame = {"port": "ran", "fields": {"eth_type": 0x800, "ip_proto": 6, "l4_dst": 443}}
    red = await as_client(rig, "red", tenant="red")
    own = (await rig.client.post(f"{ROOT}/trace", json=frame, headers=blue)).text
    other = (await rig.client.post(f"{ROOT}/trace", json=frame, headers=red)).text
    assert "secret" in own
    assert "secret" not in other
    assert "of another tenant" in other
    assert "secret" in (await rig.client.post(f"{ROOT}/trace", json=frame)).text  # of an administrator


@pytest.mark.feature("A39")
async def test_names_that_lead_elsewhere_are_refused(rig: Rig) -> None:
    for path, given in (
        ("devices/d", {"id": "d", "namespace": "../../../tmp/x"}),
        ("devices/d", {"id": "d", "namespace": "a/b"}),
        ("devices/d", {"id": "d", "engine": "os.path"}),
        ("ports/p", {"id": "p", "device": "d", "side": "HOST", "interface": "-a b"}),
    ):
        answer = await rig.client.put(f"{ROOT}/{path}", json=given)
        assert answer.status_code == 422, answer.text


@pytest.mark.feature("E46")
async def test_addresses_of_ports_are_addresses(rig: Rig) -> None:
    await laid(rig)
    for given, told in (
        ({"vxlan": {"local": "here", "remote": "10.0.0.2", "vni": 7}}, "'here' is no address for an end of a tunnel"),
        ({"vxlan": {"local": "10.0.0.1", "remote": "fd00::2", "vni": 7}}, "of different families"),
        ({"ips": ["10.0.0.300"]}, "'10.0.0.300' is no address"),
    ):
        port = {"id": "odd", "device": "s1", "side": "HOST", **given}
        answer = await rig.client.put(f"{ROOT}/ports/odd", json=port)
        assert answer.status_code in (400, 422), answer.text
        assert told in answer.text


@pytest.mark.feature("A39", "E108")
async def test_what_all_tenants_share_is_the_nodes(rig: Rig) -> None:
    await laid(rig)
    own = {"id": "bp", "device": "s1", "side": "HOST", "tenant": "blue"}
    assert (await rig.client.put(f"{ROOT}/ports/bp", json=own)).status_code == 200
    blue = await as_client(rig, "blue", tenant="blue")
    for intent in (
        {"kind": "STEERING", "classifier": {"ports": ["ran"]}, "actions": [{"type": "FORWARD", "port": "bp"}]},
        {"kind": "STEERING", "classifier": {"ports": ["bp"]}, "actions": [{"type": "DUPLICATE", "port": "core"}]},
        {"kind": "WIRE", "a": "ran", "b": "bp"},
        {"kind": "NEXTHOP", "port": "ran", "classifier": {}, "next": "bp"},
    ):
        for answer in (
            await rig.client.put(f"{ROOT}/intents/x", json={**intent, "id": "x"}, headers=blue),
            await rig.client.post(f"{ROOT}/intents", json=[{**intent, "id": "x"}], headers=blue),
        ):
            assert answer.status_code == 403, answer.text
            assert "all tenants share that" in answer.json()["detail"]
    assert (await rig.client.put(f"{ROOT}/ports/ran/next", json={"next": "bp"}, headers=blue)).status_code in (403, 422)
    assert await out(rig, "ran") == ["core"]


@pytest.mark.feature("E46")
async def test_a_device_comes_first_and_its_ports_later(rig: Rig) -> None:
    put = await rig.client.put(f"{ROOT}/devices/s1", json={"id": "s1", "engine": "simulated"})
    assert put.status_code == 200, put.text
    assert [one["id"] for one in (await rig.client.get(f"{ROOT}/devices")).json()] == ["s1"]
    for port in TOPOLOGY["ports"]:
        assert (await rig.client.put(f"{ROOT}/ports/{port['id']}", json=port)).status_code == 200
    assert (await rig.client.put(f"{ROOT}/intents/line", json=WIRE)).status_code == 200
    assert await out(rig, "ran") == ["core"]


@pytest.mark.feature("E95")
async def test_chains_are_shown_as_laid_out(rig: Rig) -> None:
    await laid(rig)
    chain = {"kind": "CHAIN", "id": "c", "hops": [{"functions": [{"id": "f", "ingress": "lvnf", "egress": "app"}]}]}
    lead = {
        "kind": "STEERING",
        "id": "s",
        "classifier": {"ports": ["ran"]},
        "actions": [{"type": "STEER", "chain": "c"}],
    }
    assert (await rig.client.post(f"{ROOT}/intents", json=[chain, lead])).status_code == 204
    (shown,) = (await rig.client.get(f"{ROOT}/chains")).json()
    assert shown["hops"] == [[{"function": "f", "si": 255, "entry": "s1:4", "leave": "s1:3"}]]
    assert 0 < shown["spi"] < 1 << 23
    assert await out(rig, "ran") == ["core"]
    events = (await rig.client.get("/skerry/v1/events?kind=dataplane.port-up")).json()
    assert len(events) == 5


@pytest.mark.feature("E46")
async def test_translation_and_drops_are_shown(rig: Rig) -> None:
    """A gateway as intents: what a trace and the counters say of it."""
    await laid(rig)
    ports = {"ports": [{"id": "mon", "device": "s1", "side": "HOST", "ips": ["198.51.100.7"]}]}
    assert (await rig.client.put(f"{ROOT}/topology", json=ports)).status_code == 204
    hide = {"type": "CONNECT", "zone": "lan", "source": {"behind": "mon", "ports": {"low": 5000, "high": 5000}}}
    intents: list[dict[str, Any]] = [
        {"kind": "ZONE", "id": "lan", "ports": ["app", "mon"], "udp_s": 60},
        {
            "kind": "STEERING",
            "id": "hide",
            "classifier": {"ports": ["app"]},
            "actions": [hide, {"type": "FORWARD", "port": "mon"}],
        },
        {
            "kind": "STEERING",
            "id": "answers",
            "classifier": {"ports": ["mon"], "connection": ["REPLY", "RELATED"]},
            "actions": [{"type": "FORWARD", "port": "app"}],
        },
    ]
    put = await rig.client.post(f"{ROOT}/intents", json=intents)
    assert put.status_code == 204, put.text
    traced = await rig.client.post(
        f"{ROOT}/trace", json={"port": "app", "fields": {"ipv4_src": "10.0.0.1", "ip_proto": 17, "l4_dst": 53}}
    )
    frame = bytes.fromhex(traced.json()["frame"])
    left = bytes.fromhex(traced.json()["outputs"][0]["frame"])
    assert (left[26:30], int.from_bytes(left[34:36], "big")) == (bytes([198, 51, 100, 7]), 5000)
    rules = (await rig.client.get(f"{ROOT}/rules?intent=hide")).json()
    assert [rule["state"] for rule in rules] == ["VERIFIED"]
    assert "source=198.51.100.7/32:5000-5000" in rules[0]["actions"][0]
    assert (await rig.client.get(f"{ROOT}/intents/hide")).json()["actions"][0] == hide
    assert (await rig.client.get(f"{ROOT}/drops")).json() == []
    world = simulated.world(rig.folder / "node" / "dataplane" / "simulated")
    assert world.send("s1", 4, bytes(64), 0.0) == []
    shown = (await rig.client.get(f"{ROOT}/drops?device=s1")).json()
    assert shown == [{"device": "s1", "port": "lvnf", "reason": "no-match", "packets": 1}]
    assert [emitted.port for _, emitted in world.send("s1", 3, frame, 1e12)] == [5]
    known = (await rig.client.get(f"{ROOT}/connections")).json()
    assert [(one["zone"], one["opened"], one["onward"]) for one in known] == [
        ("lan", "10.0.0.1:49152 > 192.0.2.2:53", "198.51.100.7:5000 > 192.0.2.2:53")
    ]
    answer = {"ipv4_src": "192.0.2.2", "ipv4_dst": "198.51.100.7", "ip_proto": 17, "l4_src": 53, "l4_dst": 5000}
    traced = await rig.client.post(f"{ROOT}/trace", json={"port": "mon", "fields": answer})
    (left,) = traced.json()["outputs"]
    assert (left["port"], bytes.fromhex(left["frame"])[30:34]) == ("app", bytes([10, 0, 0, 1]))
    wrong = {**intents[1], "actions": [{**hide, "zone": "wan"}]}
    refused = await rig.client.put(f"{ROOT}/intents/hide", json=wrong)
    assert (refused.status_code, "there is no zone wan" in refused.text) == (422, True)
