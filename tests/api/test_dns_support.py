"""Zones and records that are kept by hand, and dynamic names: what is told over HTTP is what `dig` is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.api.rig import Rig, running
from tests.api.test_access import as_client
from tests.mep.test_dns import KINDS, dig, needs_dig

pytestmark = needs_dig
ROOT = "/dns_support/v1"
WWW: dict[str, Any] = {"name": "www.edge.example", "ipAddress": "10.1.2.3", "ttl": 11}


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, mec_dns=request.param) as started:
        yield started


async def asked(rig: Rig, *words: str) -> list[str]:
    """What the node's server answers."""
    server = rig.node.mep.names.address
    assert server is not None
    return await dig(server, *words)


@pytest.mark.feature("B65")
async def test_a_zone_is_served_from_its_post_to_its_delete(rig: Rig) -> None:
    made = await rig.client.post(f"{ROOT}/api/Edge.example.", json={"records": [WWW]})
    assert (made.status_code, made.json()["name"]) == (201, "edge.example")
    assert await asked(rig, "www.edge.example") == ["NOERROR", "11 A 10.1.2.3"]
    other = {"name": "six.edge.example", "ipAddress": "fd00::7", "ttl": 5}
    assert (await rig.client.post(f"{ROOT}/api/edge.example/record", json=other)).status_code == 201
    assert await asked(rig, "six.edge.example", "AAAA") == ["NOERROR", "5 AAAA fd00::7"]
    moved = {**WWW, "ipAddress": "10.1.2.4"}
    assert (await rig.client.post(f"{ROOT}/api/edge.example/record", json=moved)).status_code == 201
    assert await asked(rig, "www.edge.example") == ["NOERROR", "11 A 10.1.2.4"]
    shown = (await rig.client.get(f"{ROOT}/api/edge.example")).json()
    assert {one["name"] for one in shown["records"]} == {"www.edge.example", "six.edge.example"}
    gone = await rig.client.delete(f"{ROOT}/api/edge.example/record", params={"name": "www.edge.example"})
    assert (gone.status_code, await asked(rig, "www.edge.example")) == (204, ["NXDOMAIN"])
    assert (await rig.client.delete(f"{ROOT}/api/edge.example")).status_code == 204
    assert await asked(rig, "six.edge.example", "AAAA") == ["NXDOMAIN"]
    assert (await rig.client.get(f"{ROOT}/api")).json() == []


@pytest.mark.feature("E39")
async def test_a_dynamic_name_leads_to_whoever_asks(rig: Rig) -> None:
    assert (await rig.client.put(f"{ROOT}/record", json={"name": "me.dyn.example"})).status_code == 404
    await rig.client.post(f"{ROOT}/api/dyn.example")
    put = await rig.client.put(f"{ROOT}/record", json={"name": "me.dyn.example"})
    assert put.json() == {"name": "me.dyn.example", "ipAddress": "127.0.0.1"}
    assert await asked(rig, "me.dyn.example") == ["NOERROR", "60 A 127.0.0.1"]
    await rig.client.put(f"{ROOT}/record", json={"name": "me.dyn.example", "ipAddress": "10.9.9.9", "ttl": 3})
    assert await asked(rig, "me.dyn.example") == ["NOERROR", "3 A 10.9.9.9"]
    (shown,) = (await rig.client.get(f"{ROOT}/record", params={"name": "me.dyn.example"})).json()
    assert shown["ipAddress"] == "10.9.9.9"
    assert (await rig.client.delete(f"{ROOT}/record", params={"name": "me.dyn.example"})).status_code == 204
    assert await asked(rig, "me.dyn.example") == ["NXDOMAIN"]


@pytest.mark.feature("B65")
async def test_what_cannot_be_is_refused_and_changes_nothing(rig: Rig) -> None:
    assert (await rig.client.post(f"{ROOT}/api/edge.example", json={"records": [WWW]})).status_code == 201
    for status, path, body in (
        (409, "api/edge.example", {}),
        (422, "api/no..name", {}),
        (422, "api/other.example", {"records": [WWW]}),
        (422, "api/edge.example/record", {**WWW, "ipAddress": "10.1.2"}),
        (422, "api/edge.example/record", {**WWW, "name": "www.else.example"}),
        (404, "api/nowhere.example/record", WWW),
    ):
        answer = await rig.client.post(f"{ROOT}/{path}", json=body)
        assert answer.status_code == status, (path, answer.text)
    assert (await rig.client.delete(f"{ROOT}/api/edge.example/record")).status_code == 422
    assert [zone["name"] for zone in (await rig.client.get(f"{ROOT}/api")).json()] == ["edge.example"]
    assert await asked(rig, "www.edge.example") == ["NOERROR", "11 A 10.1.2.3"]


class Tenant:
    """A client of a tenant, with an application."""

    def __init__(self, rig: Rig, headers: dict[str, str], app: str) -> None:
        self.rig, self.headers, self._rules = rig, headers, f"/mec_app_support/v1/applications/{app}/dns_rules"

    @classmethod
    async def of(cls, rig: Rig, name: str) -> Tenant:
        headers = await as_client(rig, name, tenant=name)
        made = await rig.client.post("/mec_app_support/v1/registrations", json={"appName": "a"}, headers=headers)
        return cls(rig, headers, made.json()["appInstanceId"])

    async def rule(self, name: str, address: str, state: str = "ACTIVE") -> int:
        """Answer a name by the application's rule `d`."""
        body = {"dnsRuleId": "d", "domainName": name, "ipAddressType": "IP_V4", "ipAddress": address, "state": state}
        return (await self.rig.client.put(f"{self._rules}/d", json=body, headers=self.headers)).status_code

    async def zone(self, name: str, *records: dict[str, Any], **more: Any) -> int:
        body = {"records": records, **more}
        return (await self.rig.client.post(f"{ROOT}/api/{name}", json=body, headers=self.headers)).status_code


def record(name: str, address: str) -> dict[str, Any]:
    return {"name": name, "ipAddress": address, "ttl": 7}


@pytest.mark.feature("B65", "A92")
async def test_no_tenant_takes_what_another_answers(rig: Rig) -> None:
    red, blue = await Tenant.of(rig, "red"), await Tenant.of(rig, "blue")
    assert await red.rule("shop.edge.example", "10.0.0.1") == 200
    assert await red.zone("red.example", record("www.red.example", "10.0.0.2")) == 201
    for zone in ("edge.example", "shop.edge.example", "red.example", "www.red.example", "x.red.example"):
        assert await blue.zone(zone) == 409, zone
    assert await blue.zone("example") == 403, "top-level domains are for who runs the node"
    assert await blue.zone("below.shop.edge.example", record("below.shop.edge.example", "10.6.6.6")) == 201
    for name in ("shop.edge.example", "Shop.Edge.example.", "www.red.example", "new.red.example"):
        assert await blue.rule(name, "10.6.6.6") == 409, name
    assert await red.rule("shop.edge.example", "10.0.0.1", "INACTIVE") == 200
    assert await blue.rule("shop.edge.example", "10.6.6.6") == 409, "red's application stands still, no more"
    assert await blue.zone("edge.example") == 409
    assert await red.rule("shop.edge.example", "10.0.0.1") == 200
    assert (await asked(rig, "shop.edge.example"))[1].endswith("A 10.0.0.1")
    assert (await asked(rig, "www.red.example")) == ["NOERROR", "7 A 10.0.0.2"]


@pytest.mark.feature("B65", "A92")
async def test_who_runs_the_node_assigns_zones(rig: Rig) -> None:
    red, blue, node = await Tenant.of(rig, "red"), await Tenant.of(rig, "blue"), Tenant(rig, {}, "")
    assert await red.zone("blue.example", tenant="red") == 201
    assert await red.zone("more.example", tenant="blue") == 403
    assert await blue.rule("a.top.example", "10.0.0.1") == 200
    assert await node.zone("top.example", tenant="red") == 409, "blue answers in it"
    assert await blue.rule("a.other.example", "10.0.0.1") == 200
    assert await node.zone("top.example", tenant="red") == 201
    assert await blue.rule("a.top.example", "10.0.0.1") == 409
    assert await red.rule("a.top.example", "10.0.0.3") == 200
    assert await node.zone("blue.top.example", tenant="blue") == 201, "a part of red's"
    assert await blue.rule("a.blue.top.example", "10.0.0.4") == 200
    assert (await asked(rig, "a.blue.top.example"))[1].endswith("A 10.0.0.4")
    wanted = record("a.blue.top.example", "10.6.6.6")
    tried = await rig.client.post(f"{ROOT}/api/top.example/record", json=wanted, headers=red.headers)
    assert tried.status_code == 409
    assert await red.rule("b.blue.top.example", "10.6.6.6") == 409
    theirs = {"params": {"tenant": "blue"}}
    assert [one["name"] for one in (await rig.client.get(f"{ROOT}/api", **theirs)).json()] == ["blue.top.example"]
    assert (await rig.client.get(f"{ROOT}/api", headers=red.headers, **theirs)).status_code == 403
    assert (await rig.client.delete(f"{ROOT}/api/blue.top.example", headers=red.headers, **theirs)).status_code == 403
    assert (await rig.client.delete(f"{ROOT}/api/blue.top.example", **theirs)).status_code == 204
    assert await red.rule("b.blue.top.example", "10.0.0.5") == 200


@pytest.mark.feature("B65")
async def test_zones_are_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, mec_dns="builtin") as rig:
        await rig.client.post(f"{ROOT}/api/edge.example", json={"records": [WWW]})
    async with running(tmp_path, mec_dns="builtin") as rig:
        assert await asked(rig, "www.edge.example") == ["NOERROR", "11 A 10.1.2.3"]
