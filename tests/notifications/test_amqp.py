"""Notifications to message brokers: to a real one, and to what pretends to be one."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry.model.notifications import Subscription
from skerry.notifications import amqp_frames as frames
from skerry.notifications.amqp import AmqpSender, Target
from skerry.notifications.amqp import Broker as Address
from skerry.notifications.http import Files
from tests.api.rig import VNFD, Rig, running
from tests.notifications.broker import MISSING, Broker, rabbitmq


def real(test: Any) -> Any:
    """A test that needs a broker."""
    there = pytest.mark.skipif(MISSING, reason="needs the Debian package rabbitmq-server")
    return pytest.mark.real(there(test))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with rabbitmq(tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path) as started:
        yield started


async def subscribe(rig: Rig, uri: str, **more: Any) -> dict[str, Any]:
    made = await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": uri, **more})
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    assert shown["callbackUri"] == uri
    return shown


async def created(rig: Rig, name: str) -> str:
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD, "vnfInstanceName": name})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


@real
@pytest.mark.feature("A66")
async def test_a_consumer_of_others_gets_what_its_queue_is_bound_to(rig: Rig, broker: Broker) -> None:
    await rig.onboard("server")
    await asyncio.to_thread(broker.bind, "told", "all", "vnflcm.#")
    await asyncio.to_thread(broker.bind, "told", "ends", "vnflcm.VnfIdentifierDeletionNotification")
    subscription = await subscribe(rig, broker.uri("exchange=told"))
    narrow = {"vnfInstanceSubscriptionFilter": {"vnfInstanceNames": ["two"]}}
    await asyncio.to_thread(broker.bind, "told", "narrow", "chosen")
    await subscribe(rig, broker.uri("exchange=told&routing_key=chosen"), filter=narrow)
    ids = [await created(rig, name) for name in ("one", "two")]
    for id in ids:
        assert (await rig.client.delete(f"/vnflcm/v2/vnf_instances/{id}")).status_code == 204
    got = await asyncio.to_thread(broker.take, "all", 4)
    for id in ids:  # in order for each resource
        kinds = [one.body["notificationType"] for one in got if one.body["vnfInstanceId"] == id]
        assert kinds == ["VnfIdentifierCreationNotification", "VnfIdentifierDeletionNotification"]
    for one in got:
        assert one.routing_key == f"vnflcm.{one.body['notificationType']}"
        assert one.body["subscriptionId"] == subscription["id"]
        assert (one.properties.message_id, one.properties.delivery_mode) == (one.body["id"], 2)
        assert (one.properties.content_type, one.properties.type) == ("application/json", one.body["notificationType"])
    ends = await asyncio.to_thread(broker.take, "ends", 2)
    assert {one.body["vnfInstanceId"] for one in ends} == set(ids)
    chosen = await asyncio.to_thread(broker.take, "narrow", 2)
    assert {one.body["vnfInstanceId"] for one in chosen} == {ids[1]}
    assert await asyncio.to_thread(broker.waiting, "all") == 0


@real
@pytest.mark.feature("A66")
async def test_nothing_is_lost_while_no_queue_takes_it_or_the_connection_ends(rig: Rig, broker: Broker) -> None:
    await rig.onboard("server")
    await asyncio.to_thread(broker.bind, "later", "", "")
    async with proxied(broker.port) as proxy:
        await subscribe(rig, broker.uri("exchange=later&routing_key=here", proxy.port))
        ids = [await created(rig, "one")]
        async with asyncio.timeout(60):
            while (standing := rig.node.notifications.standings(tenant="default")[0]).state != "FAILING":
                await asyncio.sleep(0.02)
        assert "no queue takes here" in standing.error
        await asyncio.to_thread(broker.bind, "later", "late", "here")
        ids += [await created(rig, "two")]
        first = await asyncio.to_thread(broker.take, "late", 2)
        proxy.cut()
        ids += [await created(rig, "three")]
        (last,) = await asyncio.to_thread(broker.take, "late", 1)
        while last.properties.message_id in {one.properties.message_id for one in first}:
            (last,) = await asyncio.to_thread(broker.take, "late", 1)  # its confirmation was cut off: it came again
    assert [one.body["vnfInstanceId"] for one in (*first, last)] == ids


@real
@pytest.mark.feature("A66")
async def test_a_place_that_is_not_there_and_a_wrong_password_are_told(rig: Rig, broker: Broker) -> None:
    async def trouble(uri: str, **more: Any) -> str:
        made = await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": uri, **more})
        assert made.status_code == 422, made.text
        return str(made.json()["detail"])

    assert "404 NOT_FOUND" in await trouble(broker.uri("exchange=nowhere"))
    assert "404 NOT_FOUND" in await trouble(broker.uri("routing_key=no-queue"))
    assert "neither exchange nor routing_key" in await trouble(broker.uri(""))
    basic = {"authType": ["BASIC"], "paramsBasic": {"userName": "guest", "password": "a-wrong-one"}}
    refused = await trouble(broker.uri("exchange=told"), authentication=basic)
    assert "403 ACCESS_REFUSED" in refused
    assert "a-wrong-one" not in refused
    assert "link-local" in await trouble("amqp://169.254.169.254/?exchange=x")
    assert "a-secret" not in await trouble("amqp://me:a-secret@127.0.0.1/?exchange=x")


class Proxy:
    """Passes connections on to the broker, until they are cut."""

    def __init__(self) -> None:
        self.port = 0
        self._open: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def serve(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", target)
        self._open += [writer, outer]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, outer), pump(inner, writer))


@asynccontextmanager
async def proxied(target: int) -> AsyncGenerator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(lambda r, w: proxy.serve(target, r, w), "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()


HUGE = struct.pack(">BHI", 1, 0, 1 << 31)
START = frames.method(0, frames.START, b"\x00\x09" + frames.long(b"") * 3)
TUNE = frames.method(0, frames.TUNE, struct.pack(">HIH", 0, 0, 60))


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "refuses"),
        (b"AMQP\x00\x01\x00\x00", "another version"),
        (HUGE, "too large"),
        (frames.frame(frames.METHOD, 0, b"\x00\x0a")[:-1] + b"x", "does not speak AMQP"),
        (START + frames.method(0, frames.TUNE, b"\x00"), "cannot reach"),
        (START + TUNE + frames.method(0, frames.CLOSE, b"\x01"), "cannot reach"),
        (b"", "cannot reach"),
    ],
)
@pytest.mark.feature("A66")
async def test_who_does_not_speak_as_brokers_do_is_told_as_such(says: bytes, told: str) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.write_eof()
        await writer.drain()

    async def here(host: str, port: int) -> str:
        return "127.0.0.1"

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    uri = f"amqp://broker.example:{server.sockets[0].getsockname()[1]}/?exchange=x"
    sender = AmqpSender(here, lambda shown: Files().context(certificate=shown))
    outcome = await sender.test(Subscription(id="s", api="vnflcm", version="2.0.0", callback_uri=uri))
    server.close()
    await sender.close()
    assert not outcome.ok
    assert told in outcome.detail, outcome.detail


@pytest.mark.feature("A66")
async def test_silence_of_a_broker_has_an_end() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def here(host: str, port: int) -> str:
        return "127.0.0.1"

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    uri = f"amqp://broker.example:{server.sockets[0].getsockname()[1]}/?exchange=x"
    sender = AmqpSender(here, lambda shown: Files().context(certificate=shown), timeout_s=0.1)
    outcome = await sender.test(Subscription(id="s", api="vnflcm", version="2.0.0", callback_uri=uri))
    server.close()
    await sender.close()
    assert "does not answer within 0.1 s" in outcome.detail


@pytest.mark.feature("A66")
async def test_a_broker_that_does_not_answer_is_not_remembered() -> None:
    async def here(host: str, port: int) -> str:
        raise OSError(111, "nobody is there")

    sender = AmqpSender(here, lambda shown: Files().context(certificate=shown))
    for number in range(3):
        uri = f"amqp://unremembered.example/{number}?exchange=x"
        outcome = await sender.test(Subscription(id="s", api="vnflcm", version="2.0.0", callback_uri=uri))
        assert "nobody is there" in outcome.detail
    gc.collect()
    kept = [one for one in gc.get_objects() if isinstance(one, Target | Address) and "unremembered" in str(one)]
    await sender.close()
    assert kept == []
