"""Answers that go on end with what let the caller in; nonsense where a number is expected is a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.api.rig import Rig
from tests.serving import served

CLIENTS = "/skerry/v1/access/clients"
PACKAGES = "/vnfpkgm/v2/vnf_packages"
Ending = Callable[[Rig, dict[str, Any], str], Awaitable[httpx.Response]]


async def revoke(rig: Rig, client: dict[str, Any], token: str) -> httpx.Response:
    who = (client["client"]["id"], client["client_secret"])
    return await rig.client.post("/oauth2/revoke", data={"token": token}, auth=who)


async def delete(rig: Rig, client: dict[str, Any], token: str) -> httpx.Response:
    return await rig.client.delete(f"{CLIENTS}/{client['client']['id']}")


@pytest.mark.feature("A14", "A42")
@pytest.mark.parametrize("end", [revoke, delete])
async def test_who_is_no_longer_let_in_follows_no_more(rig: Rig, end: Ending) -> None:
    client = (await rig.client.post(CLIENTS, json={"name": "reader", "role": "guest"})).json()
    who = (client["client"]["id"], client["client_secret"])
    async with served(rig) as url, httpx.AsyncClient(base_url=url) as outside:
        granted = await outside.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=who)
        token = granted.json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        lines: list[str] = []
        begun, told = asyncio.Event(), asyncio.Event()

        async def follow() -> None:
            async with outside.stream("GET", "/skerry/v1/events?follow=true", headers=headers) as answer:
                async for line in answer.aiter_lines():
                    begun.set()
                    lines.append(line)
                    if "package" in line:
                        told.set()

        following = asyncio.ensure_future(follow())
        async with asyncio.timeout(30):
            await begun.wait()
            await rig.onboard("server")
            await told.wait()
            assert (await end(rig, client, token)).status_code in (200, 204)
            later = await rig.onboard("client")
            await following
        assert lines
        assert later not in "".join(lines)


@pytest.mark.parametrize("nonsense", ["%C2%B2", "9" * 6000, "-1"])
async def test_a_number_of_lines_is_one(rig: Rig, nonsense: str) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    answer = await rig.client.get(f"/skerry/v1/vnfs/{id}/logs?tail={nonsense}")
    assert answer.status_code == 400
    for number in (b"\xb2", b"9" * 6000):
        events = await rig.client.get("/skerry/v1/events", headers={b"Last-Event-ID": number})
        assert events.status_code == 200
