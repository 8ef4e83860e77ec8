"""Notifications over a WebSocket, and what a bus does with those who read too slowly or talk nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from wsproto.events import BytesMessage, CloseConnection

from skerry.mecapp import App, PlatformError
from skerry.mecapp.bus import connect
from skerry.mecapp.session import Session
from tests.api.rig import TOKEN, Rig, running
from tests.api.test_access import as_client
from tests.serving import served

SERVICES = "/mec_service_mgmt/v1"
WISH = {
    "subscriptionType": "SerAvailabilityNotificationSubscription",
    "websockNotifConfig": {"requestWebsocketUri": True},
}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path) as started:
        yield started


@pytest.fixture
async def app(rig: Rig) -> AsyncGenerator[App]:
    async with served(rig) as url, App(Session(url, token=TOKEN)) as made:
        await made.register("video")
        yield made


async def subscribed(app: App) -> str:
    made = await app.session.call("POST", f"{SERVICES}/applications/{app.id}/subscriptions", WISH)
    uri = str(made.json()["websockNotifConfig"]["websocketUri"])
    return "/mp1/" + uri.partition("/mp1/")[2]


@pytest.mark.feature("B38")
async def test_what_was_not_named_as_arrived_comes_again(app: App) -> None:
    path = await subscribed(app)
    for number in range(3):
        await app.offer(f"s{number}", "http://10.0.0.9")
    first = await connect(app.session, path)
    frames = first.texts()
    seen = [json.loads(await anext(frames)) for _ in range(3)]
    await first.send(json.dumps({"after": seen[0]["number"]}))
    await asyncio.sleep(0.1)
    await first.close()
    again = await connect(app.session, path)
    frames = again.texts()
    numbers = [json.loads(await anext(frames))["number"] for _ in range(2)]
    assert numbers == [one["number"] for one in seen[1:]]
    await again.send(json.dumps({"after": numbers[-1]}))
    await app.offer("late", "http://10.0.0.9")
    told = json.loads(await anext(frames))["notification"]
    assert told["serviceReferences"][0]["serName"] == "late"
    await again.close()


async def test_a_socket_of_nobodys_subscription_is_refused(app: App) -> None:
    with pytest.raises(PlatformError) as refused:
        await connect(app.session, "/mp1/v1/notifications/nothing")
    assert refused.value.status == 403


async def test_roles_and_scopes_count_on_sockets_too(rig: Rig, app: App) -> None:
    path = await subscribed(app)
    other = await as_client(rig, "other", scopes=["vnflcm:v2:readonly"])
    stranger = Session(app.session.endpoint, token=other["Authorization"].removeprefix("Bearer "))
    for one in (path, "/mp1/v1/bus"):
        with pytest.raises(PlatformError) as refused:
            await connect(stranger, one)
        assert refused.value.status == 403
    guest = await as_client(rig, "guest", role="guest")
    reading = Session(app.session.endpoint, token=guest["Authorization"].removeprefix("Bearer "))
    socket = await connect(reading, "/mp1/v1/bus")
    frames = socket.texts()
    statuses = []
    for frame in ({"id": 1, "subscribe": "a"}, {"id": 2, "publish": "a", "body": 1}):
        await socket.send(json.dumps(frame))
        statuses.append(json.loads(await anext(frames))["status"])
    assert statuses == [204, 403], "a guest may listen, not speak"
    await socket.close()


@pytest.mark.feature("A14", "A44")
@pytest.mark.parametrize("how", ["delete", "rotate"])
async def test_sockets_end_with_what_their_client_was_let_in_with(rig: Rig, app: App, how: str) -> None:
    path = await subscribed(app)
    known = {one["id"] for one in (await rig.client.get("/skerry/v1/access/clients")).json()}
    other = await as_client(rig, "other")
    clients = (await rig.client.get("/skerry/v1/access/clients")).json()
    (id,) = (one["id"] for one in clients if one["id"] not in known)
    session = Session(app.session.endpoint, token=other["Authorization"].removeprefix("Bearer "))
    open_ones = [await connect(session, one) for one in (path, "/mp1/v1/bus")]
    kept = await connect(app.session, "/mp1/v1/bus")
    one = f"/skerry/v1/access/clients/{id}"
    done = await (rig.client.delete(one) if how == "delete" else rig.client.post(f"{one}/rotate"))
    assert done.status_code < 300, done.text
    async with asyncio.timeout(30):
        assert [[text async for text in socket.texts()] for socket in open_ones] == [[], []], "both are closed"
    await kept.send('{"id": 5, "publish": "a", "body": 1}')
    assert json.loads(await anext(kept.texts()))["status"] == 202, "others stay"
    for socket in (*open_ones, kept):
        await socket.close()


async def test_nonsense_is_told_and_the_bus_goes_on(app: App) -> None:
    socket = await connect(app.session, "/mp1/v1/bus")
    frames = socket.texts()
    statuses = []
    for text in (
        "{",
        '{"id": "x"}',
        '{"id": 3}',
        '{"id": 4, "publish": "a/+"}',
        '{"id": 4, "method": "GET", "path": "//["}',
        '{"id": 5, "publish": "a", "body": 1}',
    ):
        await socket.send(text)
        statuses.append(json.loads(await anext(frames))["status"])
    assert statuses == [400, 400, 400, 400, 400, 202]
    socket._write(BytesMessage(data=b"no text"))  # pyright: ignore[reportPrivateUsage]  # no client of ours would
    assert json.loads(await anext(frames))["status"] == 400
    await socket.close()


@pytest.mark.feature("B38")
@pytest.mark.parametrize(
    "text", ['{"after": 1' + "0" * 30 + "}", '{"after": -1}', '{"x": ' + "[" * 30_000, "no"], ids=lambda text: text[:14]
)
async def test_nonsense_settles_nothing_and_is_told(app: App, text: str) -> None:
    path = await subscribed(app)
    socket = await connect(app.session, path)
    await socket.send(text)
    closed = (event async for event in socket._events() if isinstance(event, CloseConnection))  # pyright: ignore[reportPrivateUsage]
    assert (await anext(closed)).code == 1007
    await socket.close()
    await app.offer("later", "http://10.0.0.9")
    again = await connect(app.session, path)
    heard = json.loads(await anext(again.texts()))["notification"]
    assert heard["serviceReferences"][0]["serName"] == "later"
    await again.close()


@pytest.mark.feature("E48")
async def test_who_reads_too_slowly_holds_up_nobody(app: App) -> None:
    slow = await connect(app.session, "/mp1/v1/bus")
    await slow.send(json.dumps({"id": 1, "subscribe": "#"}))
    async with app.bus() as speaking:
        await speaking.subscribe("mine")
        large = "x" * 100_000
        # Each is answered, whatever the slow one does with it.
        sent = [await speaking.publish("flood", large)]
        while sent[-1] and len(sent) < 500:  # far fewer than its frames: their bytes count
            sent.append(await speaking.publish("flood", large))
        assert len(sent) > 100, "some patience is there"
        assert not sent[-1], "who is too far behind is not served any more"
        assert await speaking.publish("mine", 1) == 1
    await slow.close()
