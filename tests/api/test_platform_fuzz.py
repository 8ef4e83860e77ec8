"""Hostile bodies on Mp1 and Mm5 of a platform whose rules really go through the management to a data plane: each request is
answered, none with an internal error, and afterwards the platform does what it is asked."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.meo.packages import dns
from tests.meo.test_lifecycle import Edge
from tests.meo.test_redirection import APPD, SUPPORT, edges, leaves, put

LONGEST_S = 30.0
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
addresses = st.sampled_from(
    ["10.45.0.0/16", "10.0.0.1-10.0.0.9", "::/0", "fd00::1-10.0.0.1", "0.0.0.0/0", "1.2.3", "-", ""]
)
numbers = st.sampled_from(
    ["80", "0-65535", "9-1", "65536", "-1", "x", "6", "TCP", "teid:1", "vlan:4095", "teid:x", "1" * 128]
)
odd = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(values, max_size=70)
        for name, values in (
            ("srcAddress", addresses),
            ("dstAddress", addresses),
            ("srcTunnelAddress", addresses),
            ("dstPort", numbers),
            ("protocol", numbers),
            ("tag", numbers),
        )
    }
    | {"qCI": st.integers(-1, 300), "dSCP": st.integers(-1, 70)},
)
interfaces = st.sampled_from(
    [
        {"interfaceType": "IP", "dstIpAddress": "192.0.2.9"},
        {"interfaceType": "MAC", "dstMacAddress": "zz"},
        {"interfaceType": "TUNNEL", "tunnelInfo": {"tunnelType": "GRE", "tunnelDstAddress": "x"}},
        {"interfaceType": "TUNNEL", "tunnelInfo": {"tunnelType": "GTP_U"}},
        [{"interfaceType": "IP", "dstIpAddress": "192.0.2.9"}] * 2,
        {"interfaceType": "TUNNEL"},
        [],
        None,
    ]
)


class Fuzzed:
    """One node for all examples, on a loop of its own."""

    instance: Fuzzed | None = None

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.loop = asyncio.new_event_loop()
        self.running: AbstractAsyncContextManager[Edge] = edges(factory.mktemp("fuzz"))
        self.edge = self.loop.run_until_complete(self.running.__aenter__())
        self.app = self.loop.run_until_complete(self.edge.running({**APPD, "appDNSRule": [dns(address="users")]}))
        shown = self.loop.run_until_complete(self.edge.client.get(f"{SUPPORT}/{self.app}/traffic_rules/t1"))
        self.rule: dict[str, Any] = shown.json()
        self.seen: set[int] = set()

    @classmethod
    def of(cls, factory: pytest.TempPathFactory) -> Fuzzed:
        cls.instance = cls.instance or cls(factory)
        return cls.instance

    def ask(self, root: str, path: str, body: Any) -> int:
        async def asked() -> int:
            async with asyncio.timeout(LONGEST_S):
                return (await self.edge.client.put(f"{root}/{self.app}/{path}", json=body)).status_code

        return self.loop.run_until_complete(asked())


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = Fuzzed.of(tmp_path_factory)
    yield one
    one.loop.run_until_complete(one.running.__aexit__(None, None, None))
    one.loop.close()


@pytest.mark.feature("E38")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_body_is_answered_and_none_breaks_the_platform(fuzzed: Fuzzed, data: st.DataObject) -> None:
    root = data.draw(st.sampled_from([SUPPORT, "/mm5/v1/platforms/east/applications"]))
    kind = data.draw(st.sampled_from(["junk", "broken rule", "odd rule", "broken name"]))
    path, body = "traffic_rules/t1", data.draw(junk)
    if kind == "broken rule":
        body = {**fuzzed.rule, data.draw(st.sampled_from(sorted(fuzzed.rule))): body}
    elif kind == "odd rule":
        body = {**fuzzed.rule, "trafficFilter": [data.draw(odd)], "dstInterface": data.draw(interfaces)}
        body["action"] = data.draw(st.sampled_from(["DROP", "FORWARD_DECAPSULATED", "DUPLICATE_AS_IS", "PASSTHROUGH"]))
    elif kind == "broken name":
        path, name = "dns_rules/d1", {**dns(), "ipAddress": "10.0.0.1", "state": "ACTIVE"}
        body = {**name, data.draw(st.sampled_from(sorted(name))): body}
    answer = fuzzed.ask(root, path, body)
    fuzzed.seen.add(answer)
    assert answer in (200, 400, 403, 404, 409, 412, 422), (root, path, body)


@pytest.mark.feature("E38")
def test_afterwards_it_does_what_it_is_asked(fuzzed: Fuzzed) -> None:
    assert not fuzzed.seen or {200, 400} <= fuzzed.seen, "some bodies are refused, others obeyed"

    async def asked() -> None:
        async with asyncio.timeout(LONGEST_S):
            done = await put(fuzzed.edge, fuzzed.app, **{**fuzzed.rule, "state": "INACTIVE"})
            assert done.status_code == 200, done.text
            assert await leaves(fuzzed.edge, "east") == {"core-east"}
            assert (await put(fuzzed.edge, fuzzed.app, **{**fuzzed.rule, "state": "ACTIVE"})).status_code == 200
            assert await leaves(fuzzed.edge, "east") == {"app"}

    fuzzed.loop.run_until_complete(asked())
