"""The client for edge applications, and the examples that use it, at a real node over real sockets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from skerry.mecapp import App, PlatformError
from skerry.mecapp.session import Session
from skerry.mep.steering import SimulatedSteering
from skerry.model.mec import OperationAction, ServiceState, TrafficFilter
from tests.api.rig import TOKEN, Rig, running
from tests.api.test_mec011 import asked
from tests.serving import served

EXAMPLES = Path(__file__).parents[2] / "examples" / "mec"


@pytest.fixture
async def plane() -> SimulatedSteering:
    return SimulatedSteering()


@pytest.fixture
async def rig(tmp_path: Path, plane: SimulatedSteering) -> AsyncGenerator[Rig]:
    async with running(tmp_path, steering=plane, mec_dns="builtin") as started:
        yield started


@pytest.fixture
async def url(rig: Rig) -> AsyncGenerator[str]:
    async with served(rig) as address:
        yield address


@pytest.mark.feature("E48")
async def test_an_application_in_a_few_lines(rig: Rig, url: str, plane: SimulatedSteering) -> None:
    async with App(Session(url, token=TOKEN)) as producer, App(Session(url, token=TOKEN)) as consumer:
        for app, name in ((producer, "producer"), (consumer, "consumer")):
            await app.register(name)
            await app.ready()
        changes = consumer.watch(names=["greeting"])
        coming = asyncio.ensure_future(anext(changes))
        while not rig.node.notifications.subscriptions("mec_service_mgmt", tenant="default"):
            await asyncio.sleep(0.01)
        await producer.offer("other", "http://10.0.0.9")
        service = await producer.offer("greeting", "http://10.0.0.9", heartbeat_s=1)
        assert (await coming).change == "ADDED"
        assert [one.ser_instance_id for one in await consumer.discover(ser_name="greeting")] == [
            service.ser_instance_id
        ]
        await producer.set_state(service, ServiceState.INACTIVE)
        assert (await anext(changes)).state is ServiceState.INACTIVE
        await producer.withdraw(service)
        assert (await anext(changes)).change == "REMOVED"
        await changes.aclose()
        assert rig.node.notifications.subscriptions("mec_service_mgmt", tenant="default") == []
        await producer.divert("r", TrafficFilter(src_address=("10.45.0.0/16",)), to="10.0.0.9")
        assert len(plane.in_force[producer.id]) == 1
        await producer.answer("app.example", "10.0.0.9", ttl=9)
        assert await asked(await rig.node.mep.names.start(), "app.example") == ["10.0.0.9"]
        await producer.deregister()
        assert plane.in_force == {}
        assert await asked(await rig.node.mep.names.start(), "app.example") == []
        with pytest.raises(PlatformError) as refused:
            await producer.offer("late", "http://10.0.0.9")
        assert refused.value.status == 401


async def test_heartbeats_keep_a_service_active_until_its_application_dies(rig: Rig, url: str) -> None:
    async with App(Session(url, token=TOKEN)) as app:
        await app.register("producer")
        made = await app.offer("greeting", "http://10.0.0.9", heartbeat_s=1)
        await asyncio.sleep(1.6)
        known = rig.node.mep.services.get(made.ser_instance_id or "", tenant="default")
        assert known.info.state is ServiceState.ACTIVE
    await asyncio.sleep(1.6)
    known = rig.node.mep.services.get(made.ser_instance_id or "", tenant="default")
    assert known.info.state is ServiceState.SUSPENDED


async def test_an_application_hears_of_its_end_and_confirms(rig: Rig, url: str) -> None:
    heard: list[tuple[OperationAction, int]] = []

    async def before_end(action: OperationAction, seconds: int) -> None:
        heard.append((action, seconds))

    async with App(Session(url, token=TOKEN)) as app:
        await app.register("producer")
        await app.before_end(before_end)
        assert await rig.node.mep.ask_to_stop(app.id, "TERMINATING", 20)
    assert heard == [(OperationAction.TERMINATING, 20)]


@pytest.mark.feature("E48", "B46")
async def test_the_bus_carries_messages_and_the_same_registrations(rig: Rig, url: str) -> None:
    async with App(Session(url, token=TOKEN)) as one, App(Session(url, token=TOKEN)) as two:
        await one.register("one")
        await two.register("two")
        async with one.bus() as speaking, two.bus() as hearing:
            await hearing.subscribe("weather/+")
            assert await speaking.publish("weather/oslo", {"c": 3}) == 1
            assert await speaking.publish("weather/oslo/now", {}) == 0
            message = await anext(hearing.messages())
            assert (message.topic, message.body, message.sender) == ("weather/oslo", {"c": 3}, one.id)
            await hearing.unsubscribe("weather/+")
            assert await speaking.publish("weather/oslo", None) == 0
            made = await speaking.call(
                "POST",
                f"/mec_service_mgmt/v1/applications/{one.id}/services",
                {
                    "serName": "by-bus",
                    "version": "1",
                    "state": "ACTIVE",
                    "serializer": "JSON",
                    "transportId": "skerry-bus",
                },
            )
            assert made["status"] == 201
            assert made["headers"]["location"].endswith(made["body"]["serInstanceId"])
            assert [service.ser_name for service in await two.discover()] == ["by-bus"]
            for path, status in (
                (f"/mec_service_mgmt/v1/applications/{two.id}/services", 403),
                ("/vnflcm/v2/vnf_instances", 403),
            ):
                with pytest.raises(PlatformError) as refused:
                    await speaking.call("GET", path)
                assert refused.value.status == status
            with pytest.raises(PlatformError, match="wildcards"):
                await speaking.publish("weather/#", 1)


async def test_the_bus_needs_a_token(url: str) -> None:
    async with App(Session(url)) as app:
        with pytest.raises(PlatformError) as refused:
            async with app.bus():
                pass
    assert refused.value.status == 401


async def test_without_a_platform_the_environment_says_so() -> None:
    with pytest.raises(PlatformError, match="MEC_MP1_ENDPOINT"):
        App.from_environment({})
    async with App.from_environment({"MEC_MP1_ENDPOINT": "http://127.0.0.1:1", "MEC_APP_INSTANCE_ID": "a"}) as app:
        with pytest.raises(PlatformError) as silent:
            await app.discover()
    assert silent.value.status == 0


async def example(url: str, name: str, *words: str) -> asyncio.subprocess.Process:
    """Start an example."""
    environment = {**os.environ, "MEC_MP1_ENDPOINT": url, "MEC_TOKEN": TOKEN}
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *words]
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that an example prints."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


@pytest.mark.feature("B52")
async def test_the_example_producer_and_consumer_find_each_other(url: str) -> None:
    producer = await example(url, "producer")
    assert (await line(producer)).startswith("offering greeting as ")
    consumer = await example(url, "consumer")
    assert await line(consumer) == "found greeting at http://10.0.0.9:8080/hello"
    producer.terminate()
    assert await producer.wait() == 0
    assert await line(consumer) == "greeting: REMOVED, ACTIVE"
    assert await consumer.wait() == 0


@pytest.mark.feature("B52")
async def test_the_example_that_steers(rig: Rig, url: str, plane: SimulatedSteering) -> None:
    process = await example(url, "steering", "0.3")
    assert await line(process) == "video.example.com leads to 10.0.0.9: ACTIVE"
    assert await line(process) == "traffic of users: ACTIVE"
    assert len(plane.in_force) == 1
    assert await process.wait() == 0
    assert plane.in_force == {}
    assert await asked(await rig.node.mep.names.start(), "video.example.com") == []
