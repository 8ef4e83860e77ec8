"""DNS servers of the platform: the contract of both, asked with `dig` as users do; the wire format; views."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import UnavailableError
from skerry.mep.dns import messages
from skerry.mep.dns.contract import Book, Record, Server, View, Views
from skerry.mep.dns.names import Names, dns_server
from skerry.mep.dns.responder import Responder
from skerry.mep.dns.sockets import free_port
from skerry.mep.dns.unbound import Unbound, program

DIG = shutil.which("dig")
A = Record(name="app.example", type="A", address="10.1.2.3", ttl=30)
AAAA = Record(name="app.example", type="AAAA", address="fd00::1", ttl=40)
VIEWS = (View(zone="north", subnets=("127.0.0.8/29",)), View(zone="south", subnets=("127.0.0.16/29", "127.0.1.0/24")))
KINDS = [
    "builtin",
    pytest.param("unbound", marks=pytest.mark.skipif(not program(), reason="unbound is not installed")),
]
needs_dig = pytest.mark.skipif(DIG is None, reason="dig (bind9-dnsutils) is not installed")


async def dig(server: tuple[str, int], *words: str, source: str = "127.0.0.1", namespace: str = "") -> list[str]:
    """What dig prints of an answer: its status first, then the records, with their TTL."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    command = [*inside, str(DIG), f"@{server[0]}", "-p", str(server[1]), "-b", source]
    options = ["+noall", "+comments", "+answer", "+time=2", "+tries=1"]
    process = await asyncio.create_subprocess_exec(*command, *options, *words, stdout=subprocess.PIPE)
    lines = (await process.communicate())[0].decode().splitlines()
    status = next((line.partition("status: ")[2].partition(",")[0] for line in lines if "status: " in line), "SILENT")
    answers = [line.split() for line in lines if line and not line.startswith(";")]
    return [status, *(f"{ttl} {kind} {value}" for _, ttl, _, kind, value in answers)]


@pytest.fixture(params=KINDS)
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Callable[..., Server]]:
    """Makes servers of one kind; those that run at the end are stopped."""
    made: list[Server] = []

    def build(**options: object) -> Server:
        server = dns_server(request.param, tmp_path / str(len(made)), ("127.0.0.1", 0), **options)  # type: ignore[arg-type]
        made.append(server)
        return server

    yield build
    for server in made:
        await server.stop()


@needs_dig
@pytest.mark.feature("B54")
async def test_answers_with_their_lifetime_while_they_are_there(make: Callable[..., Server]) -> None:
    server = make()
    await server.start()
    assert await dig(server.address, "app.example") == ["NXDOMAIN"]
    await server.change([A, AAAA], [])
    assert await server.holds(A)
    assert await dig(server.address, "app.example") == ["NOERROR", "30 A 10.1.2.3"]
    assert await dig(server.address, "APP.example", "AAAA") == ["NOERROR", "40 AAAA fd00::1"]
    assert await dig(server.address, "app.example", "+tcp") == ["NOERROR", "30 A 10.1.2.3"]
    assert await dig(server.address, "app.example", "MX") == ["NOERROR"]
    assert await dig(server.address, "other.example") == ["NXDOMAIN"]
    await server.change([A], [A])
    assert await dig(server.address, "app.example") == ["NOERROR", "30 A 10.1.2.3"]
    await server.change([], [A])
    assert not await server.holds(A)
    assert await dig(server.address, "app.example") == ["NOERROR"]
    assert await dig(server.address, "app.example", "AAAA") == ["NOERROR", "40 AAAA fd00::1"]
    await server.change([], [AAAA, A])
    assert await dig(server.address, "app.example", "AAAA") == ["NXDOMAIN"]


@needs_dig
@pytest.mark.feature("B54")
async def test_users_get_the_answers_of_their_own_zone_first(make: Callable[..., Server]) -> None:
    server = make(views=VIEWS)
    await server.start()
    near = Record(name="app.example", type="A", address="10.9.9.9", ttl=5, zone="north")
    only = Record(name="only.example", type="A", address="10.8.8.8", ttl=5, zone="south")
    await server.change([A, near, only], [])
    assert await server.holds(near)
    asked = {
        "127.0.0.1": ["NOERROR", "30 A 10.1.2.3"],
        "127.0.0.9": ["NOERROR", "5 A 10.9.9.9"],
        "127.0.0.17": ["NOERROR", "30 A 10.1.2.3"],
        "127.0.1.200": ["NOERROR", "30 A 10.1.2.3"],
    }
    assert {source: await dig(server.address, "app.example", source=source) for source in asked} == asked
    assert await dig(server.address, "only.example", source="127.0.1.7") == ["NOERROR", "5 A 10.8.8.8"]
    assert await dig(server.address, "only.example") == ["NXDOMAIN"]
    await server.change([], [near])
    assert await dig(server.address, "app.example", source="127.0.0.9") == ["NOERROR", "30 A 10.1.2.3"]


@needs_dig
async def test_other_names_are_asked_of_the_configured_servers(make: Callable[..., Server]) -> None:
    outer = Responder("127.0.0.1", 0)
    await outer.start()
    try:
        await outer.change([Record(name="far.example", type="A", address="192.0.2.1", ttl=60)], [])
        await outer.change([Record(name="app.example", type="A", address="192.0.2.2", ttl=60)], [])
        server = make(forward=(f"127.0.0.1#{outer.address[1]}",))
        await server.start()
        assert await dig(server.address, "far.example") == ["NOERROR", "60 A 192.0.2.1"]
        await server.change([A], [])
        assert await dig(server.address, "app.example") == ["NOERROR", "30 A 10.1.2.3"]
        await server.change([], [A])
        assert await dig(server.address, "app.example", "+norec", "+rec") == ["NOERROR", "60 A 192.0.2.2"]
    finally:
        await outer.stop()


@needs_dig
@pytest.mark.feature("B54")
async def test_an_answer_hides_no_names_below_it(make: Callable[..., Server]) -> None:
    """What is answered there, or asked of others, is so whatever the name above it has for these users or for all."""
    outer, below = Responder("127.0.0.1", 0), Record(name="b.app.example", type="A", address="10.4.4.4", ttl=7)
    await outer.start()
    try:
        await outer.change([Record(name="far.app.example", type="A", address="192.0.2.1", ttl=60)], [])
        server = make(views=VIEWS, forward=(f"127.0.0.1#{outer.address[1]}",))
        await server.start()
        near = Record(name="app.example", type="A", address="10.9.9.9", ttl=5, zone="north")
        await server.change([A, near, below], [])
        for source, own in (("127.0.0.9", "5 A 10.9.9.9"), ("127.0.0.1", "30 A 10.1.2.3")):
            assert await dig(server.address, "app.example", source=source) == ["NOERROR", own]
            assert await dig(server.address, "b.app.example", source=source) == ["NOERROR", "7 A 10.4.4.4"]
            far = await dig(server.address, "far.app.example", source=source)
            assert [line.partition(" ")[2] for line in far[1:]] == ["A 192.0.2.1"]  # its time to live runs
            assert await dig(server.address, "app.example", "MX", source=source) == ["NOERROR"]
    finally:
        await outer.stop()


@needs_dig
async def test_many_answers_at_once(make: Callable[..., Server]) -> None:
    server = make()
    await server.start()
    many = [Record(name=f"n{number}.example", type="A", address="10.0.0.1", ttl=9) for number in range(500)]
    await server.change(many, [])
    assert await dig(server.address, "n499.example") == ["NOERROR", "9 A 10.0.0.1"]


async def test_a_taken_port_is_told(make: Callable[..., Server], tmp_path: Path) -> None:
    first = Responder("127.0.0.1", 0)
    await first.start()
    try:
        for second in (Responder("127.0.0.1", first.address[1]), Unbound(tmp_path, "127.0.0.1", first.address[1])):
            if isinstance(second, Responder) or program():
                with pytest.raises(UnavailableError, match="cannot"):
                    await second.start()
    finally:
        await first.stop()


@needs_dig
@pytest.mark.skipif(not program(), reason="unbound is not installed")
async def test_what_an_earlier_node_left_is_replaced(tmp_path: Path) -> None:
    port = free_port("", "127.0.0.1")
    earlier = Unbound(tmp_path, "127.0.0.1", port)
    await earlier.start()
    await earlier.change([A], [])
    pid = int((tmp_path / "unbound.pid").read_text())
    now = Unbound(tmp_path, "127.0.0.1", port)
    await now.start()
    try:
        assert await dig(now.address, "app.example") == ["NXDOMAIN"]
        assert int((tmp_path / "unbound.pid").read_text()) != pid
        await earlier.stop()
    finally:
        await now.stop()
    assert await dig(now.address, "app.example") == ["SILENT"]


@needs_dig
@pytest.mark.real
@pytest.mark.feature("B54")
async def test_the_server_lives_in_the_network_of_its_zone(make: Callable[..., Server]) -> None:
    name = f"skm2dns{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        server = make(namespace=name)
        await server.start()
        await server.change([A], [])
        assert await dig(server.address, "app.example", namespace=name) == ["NOERROR", "30 A 10.1.2.3"]
        assert await dig(server.address, "app.example") == ["SILENT"]
        await server.stop()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


async def test_nothing_runs_until_there_is_something_to_answer() -> None:
    made: list[Server] = []

    def make() -> Server:
        made.append(Responder("127.0.0.1", 0))
        return made[-1]

    names = Names(make)
    await names.load(())
    assert await names.change((), [A])
    assert (made, names.address) == ([], None)
    assert await names.change([A], ())
    assert names.address
    await names.stop()


def query(name: str, type: int = 1, *, id: int = 7, flags: int = 0x0100, klass: int = 1, extra: bytes = b"") -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"
    return (
        struct.pack("!HHHHHH", id, flags, 1, 0, 0, 1 if extra else 0) + labels + struct.pack("!HH", type, klass) + extra
    )


def test_a_long_answer_over_udp_says_so() -> None:
    question = messages.parse(query("many.example"))
    assert question is not None
    many = [Record(name="many.example", type="A", address=f"10.0.0.{number}") for number in range(100)]
    short, whole = messages.answer(question, many), messages.answer(question, many, size=65_535)
    assert struct.unpack_from("!HHHH", short)[1] & messages.TC
    assert struct.unpack_from("!HHHH", whole)[3] == 100
    wide = messages.parse(query("many.example", extra=b"\x00" + struct.pack("!HHIH", 41, 4096, 0, 0)))
    assert wide is not None
    assert wide.size == messages.MOST_BYTES


def test_strange_questions_get_the_right_refusals() -> None:
    server = Responder("127.0.0.1", 0)
    codes = {}
    for text, packet in {
        "update": query("a", flags=0x2800),
        "chaos": query("a", klass=3),
        "unknown": query("a.b"),
    }.items():
        question = messages.parse(packet)
        assert question is not None
        answer = server.local(question, "127.0.0.1")
        assert answer is not None
        codes[text] = answer[3] & 0xF
    assert codes == {"update": messages.NOTIMP, "chaos": messages.REFUSED, "unknown": messages.NXDOMAIN}


@given(st.binary(max_size=600))
def test_no_packet_breaks_the_parser(packet: bytes) -> None:
    messages.parse(packet)
    messages.parse(query("a.example")[:12] + packet)


def test_the_longest_subnet_decides() -> None:
    views = Views(
        [View(zone="wide", subnets=("10.0.0.0/8", "fd00::/8")), View(zone="narrow", subnets=("10.1.0.0/16",))]
    )
    zones = {client: views.zone_of(client) for client in ("10.2.0.1", "10.1.0.1", "11.0.0.1", "fd00::5", "fe80::1%lo")}
    assert zones == {"10.2.0.1": "wide", "10.1.0.1": "narrow", "11.0.0.1": "", "fd00::5": "wide", "fe80::1%lo": ""}


def test_a_book_forgets_what_is_removed() -> None:
    book = Book()
    book.add(A)
    book.add(A)
    book.remove(A)
    book.remove(A)
    assert book.find("app.example", "") is None


@needs_dig
@pytest.mark.skipif(not program(), reason="unbound is not installed")
async def test_a_server_that_dies_comes_back_with_all_it_had(tmp_path: Path) -> None:
    port = free_port("", "127.0.0.1")
    names = Names(lambda: Unbound(tmp_path, "127.0.0.1", port))
    try:
        assert await names.change([A, AAAA], ())
        pid = int((tmp_path / "unbound.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        answer = ["SILENT"]
        for _ in range(100):
            answer = await dig(("127.0.0.1", port), "app.example")
            if answer[0] == "NOERROR":
                break
            await asyncio.sleep(0.05)
        assert answer == ["NOERROR", "30 A 10.1.2.3"]
        assert await names.change((), [A])
        assert await dig(("127.0.0.1", port), "app.example", "AAAA") == ["NOERROR", "40 AAAA fd00::1"]
    finally:
        await names.stop()


async def test_answers_begin_as_soon_as_the_port_is_free(tmp_path: Path) -> None:
    other = Responder("127.0.0.1", 0)
    await other.start()
    port = other.address
    names = Names(lambda: Responder(*port))
    try:
        await names.load([A])
        assert names.address is None
        await other.stop()
        async with asyncio.timeout(5):
            while names.address != port:
                await asyncio.sleep(0.05)
        assert await names.change((), [AAAA])
    finally:
        await names.stop()
