"""What the MEC platform costs: services with durable storage and full validation beside a bare Starlette and SQLite server in
the same run, a change told to 1,000 subscribers among 10,000 services, DNS rules, traffic rules.

The servers are processes of their own on loopback, the callers this process. POSTs are durable on both sides (a commit that is
synced), GETs answer 10 services.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import mep_bare
from benchmarks.figures import Figure, Scale, median, rounded
from skerry.engine.clock import RandomIds, SystemClock
from skerry.engine.events import EventLog
from skerry.mep.dns.contract import Record
from skerry.mep.dns.names import dns_server
from skerry.mep.registry import Registry
from skerry.mep.selection import query
from skerry.mep.telling import SERVICES, Teller
from skerry.mep.transports import Transports
from skerry.model.mec import App, AppInfo, SerializerType, ServiceInfo, ServiceState
from skerry.notifications.http import HttpSender
from skerry.notifications.service import Notifications, Rules
from skerry.notifications.targets import Policy
from skerry.store import mec as store
from skerry.store.database import Database

FIGURES: Mapping[str, Figure] = {
    "mep.post_ratio_bare": Figure("POSTs of services, of what a bare server does", least=0.6),
    "mep.get_ratio_bare": Figure("GETs of 10 services, of what a bare server does", least=0.6),
    "mep.post_rps_c1": Figure("POSTs of services a second, one caller", least=900),
    "mep.post_rps_c16": Figure("the same, 16 callers", least=2500),
    "mep.get_rps_c1": Figure("GETs of 10 services a second, one caller", least=5000),
    "mep.p99_ms_c16": Figure("slowest but one of a hundred POSTs, 16 callers", 20),
    "mep.fanout_s": Figure("a change among 10,000 services reaches 1,000 subscribers", 2),
    "dns.activate_p50_ms": Figure("a DNS rule is answered after it was asked for", 5),
}
POSTS, GETS, CALLERS = 2000, 3000, 16
MANY, SUBSCRIBERS, PORTS = 10_000, 1000, 20
LIMIT_S = 60.0
Say = Callable[[str], None]

SERVICE = msgspec.json.encode(
    {
        "serName": "cache",
        "serCategory": {"href": "/catalogue/cache", "id": "cache", "name": "Cache", "version": "1"},
        "version": "1.0",
        "state": "ACTIVE",
        "serializer": "JSON",
        "scopeOfLocality": "MEC_HOST",
        "consumedLocalOnly": True,
        "isLocal": True,
        "transportInfo": {
            "id": "t1",
            "name": "HTTP",
            "type": "REST_HTTP",
            "protocol": "HTTP",
            "version": "1.1",
            "endpoint": {"addresses": [{"host": "10.0.0.9", "port": 80}]},
            "security": {},
        },
    }
)


class Target:
    """A server: where it is, and the two requests that are measured."""

    def __init__(self, port: int, token: str, post: str, get: str) -> None:
        self.port = port
        self._token = token
        self.post = self._request("POST", post, SERVICE)
        self.get = self._request("GET", get)

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if self._token:
            head += f"Authorization: Bearer {self._token}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """One request outside of any measurement; the answer's JSON."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as made:
            made.sendall(self._request(method, path, msgspec.json.encode(value) if value is not None else b""))
            status, body = _answer(made)
        assert status < 300, (method, path, status, body[:500])
        return msgspec.json.decode(body) if body else None


def _answer(made: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer on a connection that stays open."""
    data = made.recv(262_144)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += made.recv(262_144)
    head = data[:end].lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
    body = data[end + 4 :]
    while len(body) < length:
        body += made.recv(262_144)
    return int(head[9:12]), body


def one_caller(port: int, request: bytes, count: int) -> float:
    """Requests a second of one caller on one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        for _ in range(count):
            made.sendall(request)
            status, body = _answer(made)
            assert status < 300, body[:300]
        return count / (time.perf_counter() - begun)


async def many_callers(port: int, request: bytes, count: int) -> tuple[float, list[float]]:
    """Requests a second of some callers, and how many milliseconds each request took."""
    left, times = count, list[float]()

    async def caller() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            begun = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head[9:10] == b"2", head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            times.append(1000 * (time.perf_counter() - begun))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return count / (time.perf_counter() - begun), times


@asynccontextmanager
async def node(folder: Path) -> AsyncGenerator[Target]:
    """A node as a process of its own, with an application and ten services that GET answers."""
    config = folder / "skerry.toml"
    config.write_text(
        f'data_dir = "{folder}/data"\nnode = "bench{os.getpid() % 100000}"\nport = 0\nplain = true\nsweep_s = 86400\n'
        f'keep_events = 100000\n[[vims]]\nid = "sim"\ntype = "simulated"\nsettings = {{ world = "{folder}/world" }}\n'
    )
    command = [sys.executable, "-m", "skerry", "up", "--config", str(config)]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=quiet)
    assert process.stdout is not None
    try:
        endpoint = (await process.stdout.readline()).decode()
        port = int(endpoint.strip().rpartition(":")[2])
        token = (folder / "data/access/admin.token").read_text().strip()
        first = Target(port, token, "/", "/")
        ids = [
            first.ask("POST", "/mec_app_support/v1/registrations", {"appName": name})["appInstanceId"] for name in "ab"
        ]
        for number in range(10):
            path = f"/mec_service_mgmt/v1/applications/{ids[0]}/services"
            first.ask("POST", path, {**msgspec.json.decode(SERVICE), "serName": f"shown-{number}"})
        names = ",".join(f"shown-{number}" for number in range(10))
        post = f"/mec_service_mgmt/v1/applications/{ids[1]}/services"
        get = f"/mec_service_mgmt/v1/applications/{ids[0]}/services"
        target = Target(port, token, post, get)
        assert len(target.ask("GET", f"/mec_service_mgmt/v1/services?ser_name={names}")) == 10
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@asynccontextmanager
async def bare(folder: Path) -> AsyncGenerator[Target]:
    """The bare server as a process of its own."""
    ready, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=mep_bare.serve, args=(str(folder / "bare.db"), told))
    process.start()
    try:
        port = await asyncio.to_thread(ready.recv)
        target = Target(port, "", "/services", "/services")
        for _ in range(10):
            target.ask("POST", "/shown", msgspec.json.decode(SERVICE))
        yield target
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


async def requests(folder: Path, scale: Scale, say: Say) -> list[tuple[str, float]]:
    """Both servers, turn by turn, so that whatever else the machine does disturbs both."""
    found: dict[str, list[float]] = {}
    async with node(folder) as ours, bare(folder) as theirs:
        for target in (ours, theirs):
            one_caller(target.port, target.post, POSTS // 10)
            one_caller(target.port, target.get, GETS // 10)
        for _ in range(scale.bursts):
            for name, target in (("ours", ours), ("bare", theirs)):
                posted = await asyncio.to_thread(one_caller, target.port, target.post, POSTS)
                got = await asyncio.to_thread(one_caller, target.port, target.get, GETS)
                found.setdefault(f"{name}.post", []).append(posted)
                found.setdefault(f"{name}.get", []).append(got)
            rate, times = await many_callers(ours.port, ours.post, POSTS)
            found.setdefault("c16", []).append(rate)
            found.setdefault("p99", []).append(sorted(times)[int(len(times) * 0.99)])
    middle = {name: median(values) for name, values in found.items()}
    say(", ".join(f"{name} {value:.0f}" for name, value in middle.items()))
    return [
        ("mep.post_ratio_bare", middle["ours.post"] / middle["bare.post"]),
        ("mep.get_ratio_bare", middle["ours.get"] / middle["bare.get"]),
        ("mep.post_rps_c1", middle["ours.post"]),
        ("mep.post_rps_c16", middle["c16"]),
        ("mep.get_rps_c1", middle["ours.get"]),
        ("mep.p99_ms_c16", middle["p99"]),
    ]


class Stage:
    """The registry with its subscribers, all real sockets of this process, and how many notifications arrived."""

    def __init__(self, folder: Path) -> None:
        clock, ids = SystemClock(), RandomIds()
        self.store = Database(folder / "fanout.db")
        self.store.open()
        events = EventLog(self.store, clock)
        sender = HttpSender(Policy(loopback=True), clock)
        self.told = Notifications(self.store, events, clock, ids, sender, Rules(test=False))
        teller = Teller(self.store, self.told, clock, ids)
        self.registry = Registry(self.store, events, clock, ids, teller, Transports(""))
        self.arrived = 0
        self.all = asyncio.Event()

    def count(self) -> None:
        self.arrived += 1
        if self.arrived % SUBSCRIBERS == 0:
            self.all.set()

    async def fill(self) -> list[asyncio.Server]:
        from benchmarks.notify import Arrivals  # noqa: PLC0415

        app = App(id="app", tenant="t", info=AppInfo(app_name="many"))
        await self.store.write(lambda tx: store.apps.insert(tx, app))
        for first in range(0, MANY, 500):
            infos = [_info(f"service-{number}") for number in range(first, first + 500)]
            await asyncio.gather(*(self.registry.add("app", info, tenant="t") for info in infos))
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(lambda: Arrivals(self.count), "127.0.0.1", 0) for _ in range(PORTS)]
        for number in range(SUBSCRIBERS):
            port = servers[number % PORTS].sockets[0].getsockname()[1]
            filter = {"serNames": [f"service-{MANY // 2}", f"service-{number}"]}
            uri = f"http://127.0.0.1:{port}/{number}"
            await self.told.subscribe(
                SERVICES, "1.0", uri, filter=filter, root="https://node:8443", place="/applications/app", tenant="t"
            )
        return servers

    async def change(self, state: ServiceState) -> float:
        """Seconds until everybody knows."""
        service = self.registry.all(tenant="t", query=query([("ser_name", f"service-{MANY // 2}")]))[0]
        self.all.clear()
        begun = time.perf_counter()
        await self.registry.set_state(service, state)
        async with asyncio.timeout(LIMIT_S):
            await self.all.wait()
        return time.perf_counter() - begun


def _info(name: str) -> ServiceInfo:
    return ServiceInfo(
        ser_name=name,
        version="1",
        state=ServiceState.ACTIVE,
        serializer=SerializerType.JSON,
        transport_id="skerry-rest",
    )


async def fanout(folder: Path, scale: Scale, say: Say) -> list[tuple[str, float]]:
    """One change of one service."""
    stage = Stage(folder)
    await stage.told.start()
    servers = await stage.fill()
    say(f"{MANY} services, {SUBSCRIBERS} subscribers")
    await stage.change(ServiceState.INACTIVE)
    states = (ServiceState.ACTIVE, ServiceState.INACTIVE)
    seconds = median([await stage.change(states[turn % 2]) for turn in range(scale.bursts)])
    for server in servers:
        server.close()
    await stage.told.stop()
    stage.store.close()
    return [("mep.fanout_s", seconds)]


async def dns(folder: Path, scale: Scale, say: Say) -> list[tuple[str, float]]:
    """From the wish until a query of a user is answered with it."""
    from skerry.mep.dns import messages  # noqa: PLC0415

    server = dns_server("auto", folder / "dns", ("127.0.0.1", 0))
    await server.start()
    times: list[float] = []
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(2)
    try:
        for number in range(max(scale.rounds, 3) * 5):
            record = Record(name=f"n{number}.example", type="A", address="10.0.0.9", ttl=1)
            labels = b"".join(bytes([len(part)]) + part.encode() for part in record.name.split("."))
            packet = messages.HEADER.pack(number, messages.RD, 1, 0, 0, 0) + labels + b"\x00\x00\x01\x00\x01"
            begun = time.perf_counter()
            await server.change([record], [])
            asking.sendto(packet, server.address)
            answer = asking.recv(2048)
            times.append(1000 * (time.perf_counter() - begun))
            assert messages.HEADER.unpack_from(answer)[3] == 1, "the answer has the record"
    finally:
        asking.close()
        await server.stop()
    say(f"DNS: {type(server).__name__}")
    return [("dns.activate_p50_ms", median(times))]


PARTS: tuple[Callable[[Path, Scale, Say], Coroutine[Any, Any, list[tuple[str, float]]]], ...] = (requests, fanout, dns)


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`."""
    found: list[tuple[str, float]] = []
    for part in PARTS:
        folder = Path(tempfile.mkdtemp(prefix="skbench", dir="/var/tmp"))
        try:
            found += await part(folder, scale, say)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return rounded(found)
