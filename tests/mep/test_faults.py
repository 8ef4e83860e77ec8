"""Faults: a subscriber that hangs, a node that is killed while it notifies, one that dies in the middle of a rule."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from skerry.mep.steering import SimulatedSteering
from skerry.model.mec import RuleState
from skerry.store import mec as store
from skerry.store.database import Transaction
from tests.api.rig import Rig, running
from tests.api.test_mec011 import SERVICES, SUPPORT, asked, dns, offered, registered, service, traffic
from tests.notifications.receiver import Receiver, Reply, receiving


async def subscribed(rig: Rig | httpx.AsyncClient, app: str, uri: str, **criteria: Any) -> str:
    client = rig.client if isinstance(rig, Rig) else rig
    body: dict[str, Any] = {"subscriptionType": "SerAvailabilityNotificationSubscription", "callbackReference": uri}
    if criteria:
        body["filteringCriteria"] = criteria
    made = await client.post(f"{SERVICES}/applications/{app}/subscriptions", json=body)
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.mark.feature("B38")
async def test_each_change_is_told_once_and_soon(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path) as rig:
        app = await registered(rig)
        await subscribed(rig, app, receiver.uri())
        begun = time.monotonic()
        made = await offered(rig, app)
        await receiver.until(lambda: len(receiver.posted) == 1)
        assert time.monotonic() - begun < 1
        own = made["_links"]["self"]["href"]
        await rig.client.put(own, json=service(state="INACTIVE"))
        await rig.client.put(own, json=service(state="INACTIVE"))
        await rig.client.put(own, json=service(state="INACTIVE", version="2.0"))
        await rig.client.delete(own)
        await receiver.until(lambda: len(receiver.posted) == 4)
        await asyncio.sleep(0.1)
        changes = [told["serviceReferences"][0]["changeType"] for told in receiver.posted]
        assert changes == ["ADDED", "STATE_CHANGED", "ATTRIBUTES_CHANGED", "REMOVED"]
        assert len({told["id"] for told in receiver.posted}) == 4


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes what comes and never answers."""
    while await reader.read(65536):
        continue
    writer.close()


@pytest.mark.feature("B38")
async def test_a_subscriber_that_hangs_holds_up_nobody(tmp_path: Path, receiver: Receiver) -> None:
    stuck = await asyncio.start_server(hanging, "127.0.0.1", 0)
    async with running(tmp_path) as rig:
        app = await registered(rig)
        for number in range(5):
            await subscribed(rig, app, f"http://127.0.0.1:{stuck.sockets[0].getsockname()[1]}/{number}")
        await subscribed(rig, app, receiver.uri())
        begun = time.monotonic()
        for number in range(10):
            await offered(rig, app, serName=f"s{number}")
        await receiver.until(lambda: len(receiver.posted) == 10, 5)
        assert time.monotonic() - begun < 5
    stuck.close()


async def test_nothing_is_told_after_the_end_of_a_subscription(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path) as rig:
        app = await registered(rig)
        location = await subscribed(rig, app, receiver.uri())
        await offered(rig, app)
        await receiver.until(lambda: len(receiver.posted) == 1)
        assert (await rig.client.delete(location)).status_code == 204
        await offered(rig, app)
        await asyncio.sleep(0.2)
        assert len(receiver.posted) == 1


@pytest.mark.feature("B36")
async def test_a_callback_that_fails_its_test_gives_way_to_a_websocket(tmp_path: Path, receiver: Receiver) -> None:
    wish: dict[str, Any] = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "callbackReference": receiver.uri(),
        "requestTestNotification": True,
    }
    async with running(tmp_path) as rig:
        app = await registered(rig)
        all = f"{SERVICES}/applications/{app}/subscriptions"
        made = await rig.client.post(all, json=wish)
        assert (made.status_code, made.json()["callbackReference"]) == (201, receiver.uri())
        (test,) = receiver.posted
        assert test["notificationType"] == "TestNotification"
        assert test["_links"]["subscription"]["href"] == made.headers["location"]
        receiver.answer = lambda _: Reply(status=500)
        refused = await rig.client.post(all, json=wish)
        assert refused.status_code == 400
        assert refused.json()["faults"][0]["path"] == "/callbackReference"
        other = {**wish, "websockNotifConfig": {"requestWebsocketUri": True}}
        fallen = await rig.client.post(all, json=other)
        assert fallen.json()["websockNotifConfig"]["websocketUri"].startswith("wss://node/mp1/v1/notifications/")
        links = (await rig.client.get(all)).json()["_links"]["subscriptions"]
        assert len(links) == 2, "nothing stays of the tries that failed"


# -- a node that is killed ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def node(folder: Path) -> AsyncGenerator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    """A node as a process of its own."""
    config = folder / "skerry.toml"
    config.write_text(
        f'data_dir = "{folder}/data"\nport = 0\nplain = true\nmec_dns = "builtin"\n'
        f'[[vims]]\nid = "sim"\ntype = "simulated"\nsettings = {{ world = "{folder}/world" }}\n'
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "skerry", "up", "--config", str(config), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        endpoint = (await process.stdout.readline()).decode().strip()
        token = (folder / "data/access/admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=endpoint, headers=headers, timeout=20) as client:
            yield client, process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.feature("B38", "B50")
async def test_a_node_killed_while_it_notifies_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Every change that was acknowledged is told after the restart; what is told twice has the same identifier."""
    names: list[str] = []
    async with node(tmp_path) as (client, process):
        app = (await client.post(f"{SUPPORT}/registrations", json={"appName": "a"})).json()["appInstanceId"]
        for number in range(3):
            await subscribed(client, app, receiver.uri(f"/{number}"))

        async def change(number: int) -> None:
            path = f"{SERVICES}/applications/{app}/services"
            try:
                made = await client.post(path, json=service(serName=f"s{number}"))
            except httpx.HTTPError:
                return
            assert made.status_code == 201
            names.append(f"s{number}")

        burst = asyncio.gather(*(change(number) for number in range(120)))
        await receiver.until(lambda: len(receiver.posted) >= 30)
        process.send_signal(signal.SIGKILL)
        await burst
        await process.wait()
    assert 0 < len(names) < 121
    async with node(tmp_path) as (client, _):
        kept = {one["serName"] for one in (await client.get(f"{SERVICES}/applications/{app}/services")).json()}
        assert set(names) <= kept, "what was acknowledged is there"
        await receiver.until(lambda: all(told(receiver, number).keys() >= kept for number in range(3)))
    for number in range(3):
        for ids in told(receiver, number).values():
            assert len(set(ids)) == 1


def told(receiver: Receiver, number: int) -> dict[str, list[str]]:
    """The identifiers of the notifications about each service, at one of the subscribers."""
    found: dict[str, list[str]] = {}
    for got in receiver.got:
        if got.method == "POST" and got.path == f"/{number}":
            found.setdefault(got.json["serviceReferences"][0]["serName"], []).append(got.json["id"])
    return found


# -- rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("B53", "B54")
async def test_rules_are_in_force_again_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, steering=SimulatedSteering(), mec_dns="builtin") as rig:
        app = await registered(rig)
        own = f"{SUPPORT}/applications/{app}"
        for kind, rule in (("traffic_rules/t1", traffic()), ("dns_rules/d1", dns())):
            assert (await rig.client.put(f"{own}/{kind}", json=rule)).status_code == 200
    plane = SimulatedSteering()
    plane.in_force["a-forgotten-one"] = ()
    async with running(tmp_path, steering=plane, mec_dns="builtin") as rig:
        assert list(plane.in_force) == [app], "what nobody asks for any more is gone"
        assert await asked(await rig.node.mep.names.start(), "video.example.com") == ["10.0.0.9"]


async def test_a_change_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    """The node died after it had recorded what it was about to do."""
    async with running(tmp_path, steering=SimulatedSteering(), mec_dns="builtin") as rig:
        app = await registered(rig)
        own = f"{SUPPORT}/applications/{app}"
        await rig.client.put(f"{own}/traffic_rules/t1", json=traffic())
        await rig.client.put(f"{own}/dns_rules/d1", json=dns())

        def cut(tx: Transaction) -> None:
            for rule in store.rules.select(tx, app=app):
                if rule.traffic:
                    wish = msgspec.structs.replace(rule.traffic, state=RuleState.INACTIVE)
                    store.rules.put(tx, msgspec.structs.replace(rule, wanted_traffic=wish))
                elif rule.dns:
                    new = msgspec.structs.replace(rule.dns, ip_address="10.0.0.77")
                    store.rules.put(tx, msgspec.structs.replace(rule, wanted_dns=new))

        await rig.node.store.write(cut)
    plane = SimulatedSteering()
    async with running(tmp_path, steering=plane, mec_dns="builtin") as rig:
        assert plane.in_force == {}
        assert (await rig.client.get(f"{own}/traffic_rules/t1")).json()["state"] == "INACTIVE"
        assert (await rig.client.get(f"{own}/dns_rules/d1")).json()["ipAddress"] == "10.0.0.77"
        assert await asked(await rig.node.mep.names.start(), "video.example.com") == ["10.0.0.77"]


async def test_a_data_plane_that_is_gone_does_not_keep_the_node_from_starting(tmp_path: Path) -> None:
    async with running(tmp_path, steering=SimulatedSteering()) as rig:
        app = await registered(rig)
        await rig.client.put(f"{SUPPORT}/applications/{app}/traffic_rules/t1", json=traffic())
    async with running(tmp_path, steering=None) as rig:
        assert (await rig.client.get(f"{SUPPORT}/registrations/{app}")).status_code == 200


async def test_two_applications_may_give_the_same_answer(tmp_path: Path) -> None:
    async with running(tmp_path, mec_dns="builtin") as rig:
        one, two = await registered(rig), await registered(rig, "two")
        for app in (one, two):
            put = await rig.client.put(f"{SUPPORT}/applications/{app}/dns_rules/d1", json=dns())
            assert put.status_code == 200
        server = await rig.node.mep.names.start()
        await rig.client.delete(f"{SUPPORT}/registrations/{one}")
        assert await asked(server, "video.example.com") == ["10.0.0.9"]
        await rig.client.delete(f"{SUPPORT}/registrations/{two}")
        assert await asked(server, "video.example.com") == []
