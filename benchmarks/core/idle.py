"""What a node costs that does nothing: time from the start of its process to its first answer, and its memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

LIMIT_S = 20.0
VERSION = {"version": "2.0.0"}
SETTLE_S = 1.0


class Idle:
    """One node of the default settings, by `skerry up`, on a data folder that is kept from start to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = _free_port()

    @contextmanager
    def up(self) -> Generator[tuple[subprocess.Popen[bytes], float, float]]:
        """The process, and the seconds from its start to the first answer and to the first answer of the API itself."""
        command = [sys.executable, "-m", "skerry", "up"]
        surroundings = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
        surroundings |= {"SKERRY_DATA_DIR": str(self.folder), "SKERRY_PORT": str(self._port)}
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            first = _answered(self._port, process, "/live") - begun
            ready = _answered(self._port, process, "/ready") - begun
            yield process, first, ready
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=LIMIT_S)

    def client(self) -> httpx.Client:
        """Speaks to the node as its administrator."""
        profile = json.loads((self.folder / "client.json").read_text())
        token = Path(profile["token_file"]).read_text().strip()
        verify = ssl.create_default_context(cafile=profile["ca"])
        allowed = {"authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=profile["endpoint"], verify=verify, headers=allowed, timeout=LIMIT_S, trust_env=False
        )


def measure(folder: Path, csar: Path, rounds: int) -> Iterator[tuple[str, float]]:
    """Figures one by one, several times each: `first_start_s`, `first_request_s`, `ready_s`, `rss_mb`, `pss_mb` …"""
    idle = Idle(folder)
    with idle.up() as (_, first, _):
        yield "first_start_s", first
    for _ in range(rounds):
        with idle.up() as (process, first, ready), idle.client() as client:
            yield "first_request_s", first
            yield "ready_s", ready
            _browse(client)
            yield from _memory(process.pid, "")
    with idle.up() as (process, *_), idle.client() as client:
        _browse(client)
        made = client.post("/vnfpkgm/v2/vnf_packages", json={}, headers=VERSION).raise_for_status().json()
        content = f"/vnfpkgm/v2/vnf_packages/{made['id']}/package_content"
        zipped = {"content-type": "application/zip", **VERSION}
        client.put(content, content=csar.read_bytes(), headers=zipped).raise_for_status()
        deadline = time.monotonic() + LIMIT_S
        while (
            client.get(f"/vnfpkgm/v2/vnf_packages/{made['id']}", headers=VERSION).json()["onboardingState"]
            != "ONBOARDED"
        ):
            if time.monotonic() > deadline:
                raise RuntimeError("the package was not onboarded")
            time.sleep(0.05)
        yield from _memory(process.pid, "onboarded_")


def _browse(client: httpx.Client) -> None:
    """Some requests; one of them opens the local driver."""
    client.get("/skerry/v1/vims/local/resources").raise_for_status()
    for path in ("/live", "/vnflcm/v2/vnf_instances", "/nslcm/v2/ns_instances", "/vnfpkgm/v2/vnf_packages"):
        for _ in range(5):
            client.get(path, headers=VERSION).raise_for_status()


def _memory(pid: int, what: str) -> Iterator[tuple[str, float]]:
    """Resident memory once the node has settled: all of it, and with shared pages divided among those who share."""
    time.sleep(SETTLE_S)
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {words[0]: int(words[1]) for words in (line.split() for line in lines) if len(words) == 3}
    yield f"{what}rss_mb", sizes["Rss:"] / 1024
    yield f"{what}pss_mb", sizes["Pss:"] / 1024


def _answered(port: int, process: subprocess.Popen[bytes], path: str) -> float:
    """When a request by TLS was first answered with 200. The certificate is checked by `Idle.client`, not here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the node ended: {process.communicate()[1].decode(errors='replace')}")
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain) as secure:
                secure.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
                if secure.recv(4096).startswith(b"HTTP/1.1 200"):
                    return time.perf_counter()
        except OSError:
            pass
        time.sleep(0.002)
    raise RuntimeError(f"no answer to {path} in {LIMIT_S} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def collect(folder: Path, csar: Path, rounds: int) -> dict[str, list[float]]:
    """Every repeat of every figure."""
    found: dict[str, list[float]] = {}
    for name, value in await asyncio.to_thread(lambda: list(measure(folder, csar, rounds))):
        found.setdefault(name, []).append(value)
    return found
