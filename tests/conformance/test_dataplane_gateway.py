"""A gateway between two machines: their kernels talk TCP through every engine that forwards real packets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from skerry.dataplane import catalogue
from skerry.dataplane.compile import compile_network
from skerry.dataplane.driver import DeviceSpec, Driver, EngineContext
from skerry.dataplane.flows import DeviceState
from skerry.dataplane.intents import (
    Classifier,
    Connect,
    Connection,
    Device,
    Drop,
    Intents,
    Port,
    Route,
    Side,
    Source,
    Steering,
    Target,
    Topology,
    Zone,
)
from skerry.dataplane.state import difference
from skerry.dataplane.verify import verify
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink
from tests.conformance.dataplane_rigs import lacking
from tests.dataplane.ovs.lab import pair, pin

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]
CLIENT, SERVER, HIDDEN, LATER = "10.0.0.1", "203.0.113.9", "203.0.113.7", "203.0.113.8"
MACS = {"lan": "02:00:00:00:00:c1", "wan": "02:00:00:00:00:51"}
GIVE_UP_S = 20
BLOCK = bytes(range(256)) * 256


class Site:
    """A device with a client behind `lan` and a server behind `wan`, in namespaces of their own."""

    def __init__(self, type: str, folder: Path) -> None:
        self.node = f"gw{os.getpid()}{type[:2]}"
        self.driver: Driver = catalogue.load(type)(EngineContext(node=self.node, data_dir=folder, clock=SystemClock()))
        self.here, self.client, self.server = (f"{self.node}-{end}" for end in ("here", "lan", "wan"))
        self._state = DeviceState(device="gw")
        self._revision = 0

    async def make(self) -> None:
        """Namespaces, pairs, addresses, the device."""
        here, client, server = pin(self.here), pin(self.client), pin(self.server)
        for number, (name, place, address, prefix) in enumerate(
            (("lan", client, CLIENT, 24), ("wan", server, SERVER, 24)), 1
        ):
            pair(here, f"g{number}", place, name, MACS[name])
            with namespaces.inside(place), netlink.Netlink() as kernel:
                index = next(link.index for link in kernel.links() if link.name == name)
                kernel.run([netlink.address(index, address, prefix)])
        with namespaces.inside(client), netlink.Netlink() as kernel:
            index = next(link.index for link in kernel.links() if link.name == "lan")
            kernel.run([netlink.default_route("10.0.0.254", index)])
        await self.driver.open()
        await self.driver.prepare(DeviceSpec(name="gw", namespace=self.here))
        for port in self.topology_state().ports:
            await self.driver.attach("gw", port)

    def topology_state(self, *intents: Intents) -> DeviceState:
        """The device as a router with these intents."""
        ports = tuple(
            Port(id=name, device="gw", number=number, side=side, interface=f"g{number}", mac=MACS[name])
            for number, (name, side) in enumerate((("lan", Side.HOST), ("wan", Side.UPLINK)), 1)
        )
        routes = (
            Route(id="out", prefix="203.0.113.0/24", port="wan", via=MACS["wan"], ports=("lan",)),
            Route(id="in", prefix="10.0.0.0/24", port="lan", via=MACS["lan"], ports=("wan",)),
        )
        network = compile_network(Topology(devices=(Device(id="gw"),), ports=ports), [*routes, *intents])
        assert verify(network) == []
        return network.states["gw"]

    async def put(self, *intents: Intents) -> None:
        """These intents and nothing else."""
        self._revision += 1
        state = self.topology_state(*intents)
        await self.driver.apply(difference(self._state, state, self._revision))
        self._state = state

    async def end(self) -> None:
        """Nothing stays."""
        await self.driver.teardown("gw")
        await self.driver.close()
        for name in (self.here, self.client, self.server):
            namespaces.unpin(namespaces.place(name))

    def socket_at(self, name: str) -> socket.socket:
        """A socket of a machine."""
        with namespaces.inside(namespaces.place(name)):
            made = socket.socket()
        made.setblocking(False)
        return made


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[type for type in catalogue.engine_types() if type != "simulated"]
)
async def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A gateway."""
    if reason := lacking(request.param):
        pytest.skip(f"{request.param}: {reason}")
    made = Site(request.param, tmp_path_factory.mktemp(request.param))
    await made.make()
    yield made
    await made.end()


ZONE = Zone(id="z", ports=("lan", "wan"))
CLOSED = Steering(
    id="closed",
    classifier=Classifier(ports=("wan",), proto=6, connection=(Connection.NEW, Connection.INVALID)),
    actions=(Drop(),),
    priority=100,
)


def hide(address: str) -> Steering:
    connect = Connect(zone="z", source=Source(address=address))
    return Steering(id="hide", classifier=Classifier(ports=("lan",), ip_src="10.0.0.0/24"), actions=(connect,))


async def echo(talk: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Send back what comes."""
    while data := await loop.sock_recv(talk, 65536):
        await loop.sock_sendall(talk, data)
    talk.close()


async def there_and_back(talk: socket.socket, data: bytes) -> bytes:
    """What an echo makes of it."""
    loop = asyncio.get_running_loop()
    sending = loop.create_task(loop.sock_sendall(talk, data))
    found = b""
    while len(found) < len(data):
        found += await loop.sock_recv(talk, 65536)
    await sending
    return found


@pytest.mark.feature("E46", "E71")
async def test_kernels_talk_through_a_gateway_that_changes_under_them(site: Site) -> None:
    """The server sees one address; a change of it leaves what goes on, and is for new connections."""
    loop = asyncio.get_running_loop()
    await site.put(ZONE, CLOSED, hide(HIDDEN))
    listening, tasks = site.socket_at(site.server), []
    listening.bind((SERVER, 8000))
    listening.listen()
    async with asyncio.timeout(GIVE_UP_S):
        peers, talks = [], []
        for address in (HIDDEN, LATER):
            await site.put(ZONE, CLOSED, hide(address))
            talk = site.socket_at(site.client)
            await loop.sock_connect(talk, (SERVER, 8000))
            accepted, peer = await loop.sock_accept(listening)
            accepted.setblocking(False)
            tasks.append(loop.create_task(echo(accepted, loop)))
            peers.append(peer[0])
            talks.append(talk)
            for one in talks:
                assert await there_and_back(one, BLOCK) == BLOCK
        assert peers == [HIDDEN, LATER]
        for talk in talks:
            talk.close()
        await asyncio.gather(*tasks)
    listening.close()
    known = {one.opened[:1] + one.onward[:1] for one in await site.driver.connections("gw")}
    assert known == {(CLIENT, HIDDEN), (CLIENT, LATER)}


@pytest.mark.feature("E46", "E71")
async def test_a_published_server_is_reached_and_nothing_else(site: Site) -> None:
    """From outside, the address of the gateway leads to a server inside; other connections are not opened."""
    loop = asyncio.get_running_loop()
    publish = Steering(
        id="publish",
        classifier=Classifier(ports=("wan",), ip_dst=HIDDEN, proto=6),
        actions=(Connect(zone="z", targets=(Target(address=CLIENT, port=9000),)),),
    )
    await site.put(ZONE, CLOSED, publish)
    listening = site.socket_at(site.client)
    listening.bind((CLIENT, 9000))
    listening.listen()
    async with asyncio.timeout(GIVE_UP_S):
        talk = site.socket_at(site.server)
        await loop.sock_connect(talk, (HIDDEN, 80))
        accepted, peer = await loop.sock_accept(listening)
        accepted.setblocking(False)
        answering = loop.create_task(echo(accepted, loop))
        assert (peer[0], talk.getpeername()) == (SERVER, (HIDDEN, 80))
        assert await there_and_back(talk, BLOCK) == BLOCK
        talk.close()
        await answering
    stranger = site.socket_at(site.server)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await loop.sock_connect(stranger, (LATER, 9000))
    stranger.close()
    listening.close()
