"""What the API costs: requests a second of one process, a list of 50,000 VNFs, the memory of a node that has them, and one
change told to 1,000 subscribers.

The node is a process of its own (`skerry up`, plain HTTP on loopback); the callers are this process. The 50,000 are copies
of one VNF that was really instantiated, written into the store while the node was stopped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from benchmarks import notify
from benchmarks.figures import Figure, Scale, median, rounded
from skerry.packages import build
from skerry.store import aggregates
from skerry.store.database import Database, Transaction

FIGURES: Mapping[str, Figure] = {
    "api.get_rps": Figure("GETs of one VNF instance a second, one process", least=2000),
    "api.list_50k_s": Figure("slowest answer of a list of 50,000 VNFs, paged and filtered", 0.5),
    "api.list_50k_deep_s": Figure("the same, filtered by what the store has no column for"),
    "api.rss_50k_mb": Figure("memory of a node with 50,000 VNFs after these lists", 250),
    **notify.FIGURES,
}
ROWS, GETS, CALLERS = 50_000, 4000, 8
LIMIT_S = 60.0
EXAMPLE = Path(__file__).parents[1] / "examples" / "sip" / "server"
VNFS = "/vnflcm/v2/vnf_instances"
LISTS = (
    VNFS,
    f"{VNFS}?filter=(eq,vnfInstanceName,vnf-49998)",
    f"{VNFS}?filter=(cont,vnfInstanceName,77);(neq,vnfInstanceName,vnf-77)",
    f"{VNFS}?filter=(gte,vnfInstanceName,vnf-9);(in,instantiationState,INSTANTIATED,NOT_INSTANTIATED)&all_fields",
    f"{VNFS}?filter=(eq,vnfInstanceName,none)",
    f"{VNFS}?fields=vnfInstanceName",
)
DEEP = f"{VNFS}?filter=(eq,instantiatedVnfInfo/vnfState,STOPPED)"
Say = Callable[[str], None]


class Served:
    """A node as a process of its own, on a folder that stays from start to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "skerry.toml").write_text(
            f'data_dir = "{folder}/data"\nnode = "bench{os.getpid() % 100000}"\nport = 0\nplain = true\nsweep_s = 86400\n'
            f'[[vims]]\nid = "sim"\ntype = "simulated"\nsettings = {{ world = "{folder}/world" }}\n'
        )

    @contextmanager
    def up(self) -> Generator[tuple[int, httpx.Client]]:
        """Its process, and a client as its administrator."""
        command = [sys.executable, "-m", "skerry", "up", "--config", str(self.folder / "skerry.toml")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        try:
            endpoint = process.stdout.readline().strip()
            token = (self.folder / "data/access/admin.token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Version": "2.0.0"}
            with httpx.Client(base_url=endpoint, headers=headers, timeout=LIMIT_S, trust_env=False) as client:
                yield process.pid, client
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=LIMIT_S)


def instantiated(client: httpx.Client, csar: Path) -> str:
    """One VNF that really is; its identifier."""
    made = client.post("/vnfpkgm/v2/vnf_packages", json={}).raise_for_status().json()["id"]
    zipped = {"Content-Type": "application/zip"}
    content = f"/vnfpkgm/v2/vnf_packages/{made}/package_content"
    client.put(content, content=csar.read_bytes(), headers=zipped).raise_for_status()
    vnfd = client.get(f"/vnfpkgm/v2/vnf_packages/{made}").json()["vnfdId"]
    id: str = client.post(VNFS, json={"vnfdId": vnfd}).raise_for_status().json()["id"]
    client.post(f"{VNFS}/{id}/instantiate", json={"flavourId": "default"}).raise_for_status()
    deadline = time.monotonic() + LIMIT_S
    while client.get(f"{VNFS}/{id}").json()["instantiationState"] != "INSTANTIATED":
        assert time.monotonic() < deadline, "the VNF does not come up"
        time.sleep(0.05)
    time.sleep(0.3)
    return id


async def multiplied(folder: Path, id: str, rows: int) -> None:
    """Write copies of the VNF into the store of the stopped node."""
    store = Database(folder / "data/skerry.db")
    store.open()
    vnf = aggregates.vnf_instances.get(store, id)

    def copies(first: int) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            for number in range(first, min(first + 1000, rows - 1)):
                when = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
                own = {"id": f"copy-{number:06}", "created_at": when, "vnf_instance_name": f"vnf-{number}"}
                aggregates.vnf_instances.insert(tx, msgspec.structs.replace(vnf, **own))

        return work

    for first in range(0, rows, 1000):
        await store.write(copies(first))
    store.close()


async def rate(client: httpx.Client, path: str, gets: int) -> float:
    """Requests a second over some connections that stay open."""
    host, port = client.base_url.host, client.base_url.port or 80
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {client.headers['authorization']}\r\n\r\n"
    ).encode()
    left = gets

    async def caller() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection(host, port)
        while left > 0:
            left -= 1
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head[:20], head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return gets / (time.perf_counter() - begun)


def slowest(client: httpx.Client, rounds: int) -> tuple[float, str]:
    """Seconds of the slowest list, each by the middle of its repeats; and which it is. The page after a marker counts, too."""
    far = httpx.QueryParams({"nextpage_opaque_marker": _marker(client)})
    times: dict[str, list[float]] = {}
    for path in (*LISTS, f"{VNFS}?{far}"):
        for _ in range(rounds):
            begun = time.perf_counter()
            client.get(path).raise_for_status()
            times.setdefault(path, []).append(time.perf_counter() - begun)
    worst = max(times, key=lambda path: median(times[path]))
    return median(times[worst]), worst


def _marker(client: httpx.Client) -> str:
    """The marker of a page in the middle of the list."""
    next_page = VNFS
    for _ in range(20):
        found = client.get(next_page).links.get("next")
        if found is None:
            break
        next_page = found["url"]
    return httpx.URL(next_page).params.get("nextpage_opaque_marker", "")


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`."""
    folder = Path(tempfile.mkdtemp(prefix="skbench", dir="/var/tmp"))
    try:
        served = Served(folder)
        csar = build(EXAMPLE, folder / "server.csar")
        with served.up() as (_, client):
            id = instantiated(client, csar)
            await rate(client, f"{VNFS}/{id}", GETS // 4)  # code and connections are warm afterwards
            rps = median([await rate(client, f"{VNFS}/{id}", GETS) for _ in range(scale.bursts)])
        say(f"{rps:.0f} requests a second")
        await multiplied(folder, id, ROWS)
        with served.up() as (pid, client):
            seconds, path = slowest(client, scale.bursts)
            begun = time.perf_counter()
            client.get(DEEP).raise_for_status()
            deep = time.perf_counter() - begun
            memory = _rss_mb(pid)
        say(f"{ROWS} VNFs; slowest is {path}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = await notify.measure(scale, say)
    own = [
        ("api.get_rps", rps),
        ("api.list_50k_s", seconds),
        ("api.list_50k_deep_s", deep),
        ("api.rss_50k_mb", memory),
    ]
    return {**rounded(own), **told}
