"""ControlSockets that a node serves for functions: real connections, some of them held by who should not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from skerry.lvnf.backends import talk
from skerry.lvnf.backends.files import CONTROL
from skerry.lvnf.control import BANNER
from skerry.lvnf.fronts import CLIENTS, CLIENTS_OF_ALL, Fronts
from tests.lvnf.test_control import Scale

pytestmark = pytest.mark.feature("C38")

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_REFUSED = b"530 Too many connections\r\n"
_LONG_S = 30


class Site:
    """Functions with their ControlSockets in folders, and the clients of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clients: list[Client] = []

    async def serve(self, fronts: Fronts, name: str) -> None:
        await fronts.serve(name, Scale(), folder=self.folder / name, address="")

    def connected(self, name: str) -> socket.socket:
        made = talk.connect(self.folder / name, CONTROL)
        made.setblocking(False)
        return made

    async def client(self, name: str) -> Client:
        made = await asyncio.open_unix_connection(sock=self.connected(name))
        self.clients.append(made)
        assert await asyncio.wait_for(made[0].readline(), _LONG_S) == BANNER
        return made

    async def leave(self, fronts: Fronts) -> None:
        fronts.close()
        for reader, writer in self.clients:
            await asyncio.wait_for(reader.read(), _LONG_S)
            writer.close()


async def asked(client: Client) -> bytes:
    client[1].write(b"CHECKREAD c.count\r\n")
    return await asyncio.wait_for(client[0].readline(), _LONG_S)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_who_holds_connections_of_one_function_keeps_nobody_from_others(site: Site) -> None:
    fronts = Fronts()
    await site.serve(fronts, "a")
    await site.serve(fronts, "b")
    held = [await site.client("a") for _ in range(CLIENTS)]
    refused, _ = await site.client("a")
    assert await asyncio.wait_for(refused.read(), _LONG_S) == _REFUSED
    assert (await asked(await site.client("b"))).startswith(b"200 ")
    assert (await asked(held[0])).startswith(b"200 ")
    await site.leave(fronts)


async def test_all_functions_together_have_a_limit_too(site: Site) -> None:
    fronts = Fronts()
    names = [f"f{number}" for number in range(CLIENTS_OF_ALL // CLIENTS + 1)]
    for name in names:
        await site.serve(fronts, name)
    for name in names[:-1]:
        for _ in range(CLIENTS):
            await site.client(name)
    refused, _ = await site.client(names[-1])
    assert await asyncio.wait_for(refused.read(), _LONG_S) == _REFUSED
    await site.leave(fronts)


async def test_who_says_nothing_makes_room(site: Site) -> None:
    fronts = Fronts(idle_s=0.2)
    await site.serve(fronts, "a")
    for reader, _ in [await site.client("a") for _ in range(CLIENTS)]:
        assert await asyncio.wait_for(reader.read(), _LONG_S) == b""
    line = site.connected("a")
    line.send(b"QUIT\r\n")
    reader, writer = await asyncio.open_unix_connection(sock=line)
    assert await asyncio.wait_for(reader.read(), _LONG_S) == BANNER + b"200 Goodbye!\r\n"
    writer.close()
    await site.leave(fronts)


async def test_who_takes_no_answers_is_let_go(site: Site) -> None:
    fronts = Fronts(idle_s=0.2)
    await site.serve(fronts, "a")
    loop = asyncio.get_running_loop()
    with site.connected("a") as line, pytest.raises(ConnectionError):
        await asyncio.wait_for(loop.sock_sendall(line, b"HELP\r\n" * 1_000_000), _LONG_S)
    await site.leave(fronts)
