"""A user attaches: the messages of the control plane pass the switch, and a subscribed application hears of it at once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from benchmarks.divert import mac, pair
from skerry.dataplane.intents import Device, Port, Side, Topology, Wire
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.mecapp import App, PlatformError
from skerry.mecapp.session import Session
from tests.api.rig import TOKEN, Rig, running
from tests.dataplane.gtp.test_tracking import pdp_context
from tests.serving import served

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
QUIET = {"net/ipv6/conf/default/disable_ipv6": "1"}
SIDES = {"ran": Side.RAN, "core": Side.CORE}


class Line:
    """A node with a switch on a line, and the far ends of it."""

    def __init__(self, rig: Rig, url: str, taps: dict[str, Tap]) -> None:
        self.rig, self.url, self.taps = rig, url, taps

    def attach(self, sequence: int, ue: str) -> None:
        """The control plane of a user who attaches: the request, then the answer."""
        for side, said in zip(SIDES, pdp_context(sequence, 0x1000 + sequence, 0x2000 + sequence, ue), strict=True):
            packet = Ether() / IP(src=said.source, dst=said.target) / UDP(sport=2123, dport=2123) / said.data
            self.taps[side].socket.send(bytes(packet))


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    tag = f"ue{os.getpid()}"
    here, there = namespaces.place(f"{tag}-here"), namespaces.place(f"{tag}-there")
    for place in (here, there):
        namespaces.pin_new(place, QUIET)
    for number, side in enumerate(SIDES, 1):
        pair(here, there, f"v{side}", f"p{side}", mac(number))
    with namespaces.inside(there):
        taps = {side: Tap(f"p{side}") for side in SIDES}
    async with running(tmp_path, node=tag) as rig, served(rig) as url:
        ports = tuple(
            Port(id=side, device="line", side=kind, interface=f"v{side}", mac=mac(number))
            for number, (side, kind) in enumerate(SIDES.items(), 1)
        )
        plane = rig.node.dataplane
        device = Device(id="line", namespace=here.name, zone="pier")
        await plane.put_topology(Topology(devices=(device,), ports=ports))
        await plane.put(Wire(id="through", a="ran", b="core", snoop_gtp=True))
        yield Line(rig, url, taps)
        await plane.remove("through")
        for side in SIDES:
            await plane.remove_port(side)
        await plane.remove_device("line")
    for tap in taps.values():
        tap.close()
    for place in (here, there):
        namespaces.unpin(place)


@pytest.mark.feature("E47")
async def test_an_application_hears_of_a_user_who_attaches(line: Line) -> None:
    async with App(Session(line.url, token=TOKEN)) as app:
        await app.register("watcher")
        async with app.bus() as bus:
            await bus.subscribe("platform/ue/+")
            messages = bus.messages()
            times: list[float] = []
            for number in range(1, 21):
                begun = time.perf_counter()
                line.attach(number, f"10.45.1.{number}")
                async with asyncio.timeout(20):
                    heard = await anext(messages)
                times.append(time.perf_counter() - begun)
                assert heard.topic == "platform/ue/attach"
                assert heard.body["ue"] == f"10.45.1.{number}"
                assert (heard.body["device"], heard.body["zone"]) == ("line", "pier")
            assert sorted(times)[len(times) // 2] < 0.5, "typically some milliseconds"
            with pytest.raises(PlatformError, match="the platform's"):
                await bus.publish("platform/ue/attach", {"ue": "10.45.1.99"})
