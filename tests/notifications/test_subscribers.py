"""Whoever runs a node, or a tenant, sees which subscribers cannot be reached, and tries them again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.rig import VNFD, Rig, running
from tests.api.test_access import as_client
from tests.notifications.receiver import Reply, receiving

OWN = "/skerry/v1/subscriptions"


async def until(rig: Rig, state: str, waiting: int) -> dict[str, Any]:
    """The only subscriber, once it is in this state and so much waits for it."""
    async with asyncio.timeout(60):
        while True:
            (one,) = (await rig.client.get(OWN)).json()
            if (one["state"], one.get("waiting", 0)) == (state, waiting):
                return dict(one)
            await asyncio.sleep(0.02)


@pytest.mark.feature("A66")
async def test_a_dead_subscriber_is_parked_reported_and_tried_again(tmp_path: Path) -> None:
    async with receiving() as receiver, running(tmp_path, notification_park_after_s=1.0) as rig:
        await rig.onboard("server")
        made = await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": receiver.uri()})
        await until(rig, "ACTIVE", 0)
        receiver.answer = lambda _: Reply(503)
        vnf = (await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})).json()["id"]
        failing = await until(rig, "FAILING", 1)
        assert failing["error"] == "POST answers 503 instead of 204"
        parked = await until(rig, "PARKED", 1)
        assert parked["parked_at"] > parked["failing_since"]
        told = (await rig.client.get("/skerry/v1/events", params={"kind": "subscription"})).json()
        assert [(one["subject"], one["state"]) for one in told] == [(made.json()["id"], "PARKED")]
        await _others_see_nothing(rig, parked["id"])
        receiver.answer = lambda _: Reply()
        resumed = await rig.client.post(f"{OWN}/{parked['id']}/resume")
        assert (resumed.status_code, "parked_at" in resumed.json()) == (200, False)
        await until(rig, "ACTIVE", 0)
        assert [body["vnfInstanceId"] for body in receiver.posted][-1] == vnf


async def _others_see_nothing(rig: Rig, id: str) -> None:
    """Tenants see and resume their own subscribers, and hear of them alone; guests resume none."""
    other = await as_client(rig, "other", role="operator", tenant="elsewhere")
    assert (await rig.client.get(OWN, headers=other)).json() == []
    assert (await rig.client.post(f"{OWN}/{id}/resume", headers=other)).status_code == 404
    heard = await rig.client.get("/skerry/v1/events", params={"kind": "subscription"}, headers=other)
    assert heard.json() == []
    mine = await as_client(rig, "mine", role="operator")
    assert [one["id"] for one in (await rig.client.get(OWN, headers=mine)).json()] == [id]
    heard = await rig.client.get("/skerry/v1/events", params={"kind": "subscription"}, headers=mine)
    assert [one["state"] for one in heard.json()] == ["PARKED"]
    guest = await as_client(rig, "guest", role="guest")
    assert (await rig.client.post(f"{OWN}/{id}/resume", headers=guest)).status_code == 403
