"""A user behind GTP-U, an edge application and its own rules, seen from outside: frames at the far ends of real interfaces,
names by `dig`. The application changes a rule over Mp1 and the flow turns; it leaves, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from benchmarks.divert import APP_IP, BACK_IP, RULE, SERVER, UE, Stage, ip, mac, staged, udp, uplink
from skerry.mecapp import App, PlatformError
from skerry.mecapp.session import Session
from skerry.mep.dns.sockets import free_port
from skerry.mep.plane import PlaneSteering
from skerry.model.mec import DestinationInterface, InterfaceType, RuleState, TrafficAction, TrafficFilter, TrafficRule
from tests.api.rig import TOKEN, running
from tests.mep.test_dns import dig
from tests.serving import served

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dig"), reason="needs root and dig"),
]
NAME = "video.example.com"


def arrived(stage: Stage, name: str, since: float) -> list[bytes]:
    """The frames that came to a far end since a moment."""
    return [frame for when, frame in stage.seen[name] if when > since]


async def later(seconds: float = 0.1) -> float:
    """A moment from now on which only what is in force now is seen."""
    await asyncio.sleep(seconds)
    return time.perf_counter()


@pytest.mark.feature("B53", "B54", "E43", "E103", "E105")
async def test_a_flow_turns_to_the_application_and_back(tmp_path: Path) -> None:
    async with staged() as stage:
        port = await asyncio.to_thread(free_port, stage.there, "127.0.0.1")
        steering = PlaneSteering(stage.plane)
        changes = {"mec_dns_namespace": stage.there, "mec_dns_port": port}
        async with running(tmp_path, steering=steering, **changes) as rig, served(rig) as url:
            resolver = ("127.0.0.1", port)
            async with App(Session(url, token=TOKEN)) as app:
                await app.register("video")
                await app.answer(NAME, APP_IP, ttl=7)
                assert await dig(resolver, NAME, namespace=stage.there) == ["NOERROR", f"7 A {APP_IP}"]
                await stage.first("core", time.perf_counter())
                begun = time.perf_counter()
                rule = await app.divert("users", *RULE.traffic_filter, to=APP_IP)
                assert rule.state == "ACTIVE"
                assert await stage.first("app", begun) - begun < 1
                since = await later()
                await asyncio.sleep(0.2)
                assert arrived(stage, "core", since) == [], "nothing of the flow reaches the core"
                packet = Ether(arrived(stage, "app", since)[0])
                assert GTP_U_Header not in packet
                assert (packet.dst, packet[IP].src, packet[IP].dst) == (mac(3), UE, SERVER)
                assert bytes(packet[UDP].payload) == b"from the UE"
                shown = (await rig.client.get("/skerry/v1/mep/traffic_rules")).json()
                assert [(one["id"], one["state"], one["verified"]) for one in shown] == [("users", "ACTIVE", True)]
                await app.divert("users", *RULE.traffic_filter, to=APP_IP, active=False)
                since = await later()
                await stage.first("core", since)
                assert arrived(stage, "app", since) == []
                assert uplink() in arrived(stage, "core", since), "byte for byte"
                await app.divert("users", *RULE.traffic_filter, to=APP_IP)
                await app.deregister()
                since = await later()
                await stage.first("core", since)
                assert arrived(stage, "app", since) == []
                assert await dig(resolver, NAME, namespace=stage.there) == ["NXDOMAIN"]
                assert not [one for one in stage.plane.intents() if one.owner.startswith("mec:")]


@pytest.mark.feature("B53", "E109")
async def test_answers_of_the_application_go_back_into_the_tunnel(tmp_path: Path) -> None:
    async with (
        staged() as stage,
        running(tmp_path, steering=PlaneSteering(stage.plane)) as rig,
        served(rig) as url,
        App(Session(url, token=TOKEN)) as app,
    ):
        await app.register("video")
        await app.divert("users", *RULE.traffic_filter, to=APP_IP)
        await stage.first("app", time.perf_counter())
        # What the core sends down the tunnel teaches the identifier that the base station expects.
        down = ip(SERVER, UE, 17, udp(9_001, 40_000, b"from afar"))
        gtp = b"\x30\xff" + len(down).to_bytes(2) + (1174).to_bytes(4) + down
        outer = ip("192.0.2.102", "192.0.2.101", 17, udp(2152, 2152, gtp))
        ends = bytes.fromhex(mac(1).replace(":", "") + mac(2).replace(":", ""))
        stage.taps["core"].socket.send(ends + b"\x08\x00" + outer)
        await asyncio.sleep(0.2)
        since = time.perf_counter()
        seen = Ether(arrived(stage, "app", 0)[0])
        answer = ip(SERVER, UE, 17, udp(9_000, 40_000, b"from the edge"))
        stage.taps["app"].socket.send(
            bytes.fromhex(seen.src.replace(":", "") + mac(3).replace(":", "")) + b"\x08\x00" + answer
        )
        await stage.first("ran", since)
        frame = Ether(arrived(stage, "ran", since)[0])
        assert frame[GTP_U_Header].teid == 1174
        inner = frame[GTP_U_Header].payload
        assert (inner[IP].src, inner[IP].dst, bytes(inner[UDP].payload)) == (SERVER, UE, b"from the edge")


@pytest.mark.feature("B53")
async def test_every_action_on_the_wire(tmp_path: Path) -> None:
    async with (
        staged() as stage,
        running(tmp_path, steering=PlaneSteering(stage.plane)) as rig,
        served(rig) as url,
        App(Session(url, token=TOKEN)) as app,
    ):
        await app.register("video")
        tunnel = TrafficFilter(tag=("teid:4711",))
        seen: dict[str, tuple[bool, bool]] = {}
        for action in TrafficAction:
            to = "" if action in (TrafficAction.DROP, TrafficAction.PASSTHROUGH) else APP_IP
            try:
                await app.divert("r", tunnel, to=to, action=action)
            except PlatformError as error:
                raise AssertionError(f"{action}: {error.detail}") from error
            since = await later(0.05)
            await asyncio.sleep(0.1)
            seen[action.value] = (bool(arrived(stage, "app", since)), bool(arrived(stage, "core", since)))
            plain = [Ether(frame) for frame in arrived(stage, "app", since)]
            inside = action in (TrafficAction.FORWARD_DECAPSULATED, TrafficAction.DUPLICATE_DECAPSULATED)
            assert all((GTP_U_Header in packet) != inside for packet in plain), action
    assert seen == {
        "DROP": (False, False),
        "PASSTHROUGH": (False, True),
        "FORWARD_DECAPSULATED": (True, False),
        "FORWARD_ENCAPSULATED": (True, False),
        "FORWARD_AS_IS": (True, False),
        "DUPLICATE_DECAPSULATED": (True, True),
        "DUPLICATE_ENCAPSULATED": (True, True),
        "DUPLICATE_AS_IS": (True, True),
    }


def in_line(action: TrafficAction) -> TrafficRule:
    """The rule of an application with two interfaces: towards users, and towards the core."""
    ends = tuple(DestinationInterface(interface_type=InterfaceType.IP, dst_ip_address=one) for one in (APP_IP, BACK_IP))
    return msgspec.structs.replace(RULE, action=action, dst_interface=ends)


@pytest.mark.feature("B53", "D15", "E104")
@pytest.mark.parametrize("action", [TrafficAction.FORWARD_AS_IS, TrafficAction.FORWARD_DECAPSULATED])
async def test_an_application_in_the_line_sees_the_flow_and_the_core_gets_it_from_there(
    tmp_path: Path, action: TrafficAction
) -> None:
    async with (
        staged() as stage,
        running(tmp_path, steering=PlaneSteering(stage.plane)) as rig,
        served(rig) as url,
        App(Session(url, token=TOKEN)) as app,
    ):
        await app.register("inspector")
        marked = asyncio.create_task(inspect(stage))
        rule = msgspec.structs.replace(in_line(action), traffic_filter=(TrafficFilter(tag=("teid:4711",)),))
        path = f"/mec_app_support/v1/applications/{app.id}/traffic_rules/users"
        put = await rig.client.put(path, json=msgspec.to_builtins(rule))
        assert put.status_code == 200, put.text
        since = await later()
        await asyncio.sleep(0.2)
        frames = arrived(stage, "core", since)
        assert frames, "the flow goes on to the core"
        assert all(b"seen by me." in frame and b"from the UE" not in frame for frame in frames), (
            "through the application"
        )
        assert Ether(frames[0])[GTP_U_Header].teid == 4711
        off = msgspec.structs.replace(rule, state=RuleState.INACTIVE)
        assert (await rig.client.put(path, json=msgspec.to_builtins(off))).status_code == 200
        since = await later()
        await stage.first("core", since)
        assert uplink() in arrived(stage, "core", since)
        marked.cancel()


async def inspect(stage: Stage) -> None:
    """An application in the line: what comes in at one interface leaves at the other, with its mark."""
    done = 0
    while True:
        await asyncio.sleep(0.001)
        frames = stage.seen["app"][done:]
        done += len(frames)
        for _, frame in frames:
            stage.taps["back"].socket.send(frame.replace(b"from the UE", b"seen by me."))
