"""From a commit to those who follow the event log: in the process, and through the API."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from benchmarks.core.idle import VERSION, Idle
from benchmarks.core.payload import TWO_NICS
from benchmarks.engine.toy import Bench
from benchmarks.figures import median


async def measure(folder: Path, csar: Path, rounds: int) -> list[tuple[str, float]]:
    """The latencies in milliseconds."""
    times = await _followed(folder / "log", rounds)
    found = [("events.latency_p50_ms", median(times)), ("events.latency_p99_ms", sorted(times)[int(rounds * 0.99)])]
    return [*found, ("events.sse_p50_ms", median(await _streamed(folder / "node", csar, max(5, rounds // 4))))]


EVENTS = "/skerry/v1/events?follow=true"


async def _followed(folder: Path, rounds: int) -> list[float]:
    """From just before a commit to a follower in the process: the sync to disk is part of it."""
    bench = Bench(folder)
    await bench.start()
    log = bench.engine.events
    seen: asyncio.Queue[float] = asyncio.Queue()

    async def follow() -> None:
        async for _ in log.follow(0):
            seen.put_nowait(time.perf_counter())

    follower = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    times = []
    for number in range(rounds):
        begun = time.perf_counter()
        written = asyncio.ensure_future(bench.database.write(lambda tx, n=number: log.add(tx, "audit", name=str(n))))
        times.append((await seen.get() - begun) * 1e3)
        await written
    follower.cancel()
    await bench.stop()
    return times


async def _streamed(folder: Path, csar: Path, rounds: int) -> list[float]:
    """From a request that makes an event to its line in the event stream of a client: `skerry up` in a process of its own."""
    idle = Idle(folder)
    up = idle.up()
    await asyncio.to_thread(up.__enter__)
    try:
        await asyncio.to_thread(_onboard, idle, csar)
        async with _client(folder) as client:
            return await _hear(client, rounds)
    finally:
        await asyncio.to_thread(up.__exit__, None, None, None)


def _client(folder: Path) -> httpx.AsyncClient:
    profile = json.loads((folder / "client.json").read_text())
    token = Path(profile["token_file"]).read_text().strip()
    verify = ssl.create_default_context(cafile=profile["ca"])
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=profile["endpoint"], verify=verify, headers=headers, timeout=20, trust_env=False)


def _onboard(idle: Idle, csar: Path) -> None:
    with idle.client() as client:
        made = client.post("/vnfpkgm/v2/vnf_packages", json={}, headers=VERSION).raise_for_status().json()
        url = f"/vnfpkgm/v2/vnf_packages/{made['id']}"
        zipped = {"content-type": "application/zip", **VERSION}
        client.put(f"{url}/package_content", content=csar.read_bytes(), headers=zipped).raise_for_status()
        deadline = time.monotonic() + 20
        while client.get(url, headers=VERSION).json()["onboardingState"] != "ONBOARDED":
            if time.monotonic() > deadline:
                raise RuntimeError("the package was not onboarded")
            time.sleep(0.05)


async def _hear(client: httpx.AsyncClient, rounds: int) -> list[float]:
    heard: asyncio.Queue[float] = asyncio.Queue()

    async def listen(lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if re.match(r"data: ", line):
                heard.put_nowait(time.perf_counter())

    times = []
    async with client.stream("GET", EVENTS) as stream:
        stream.raise_for_status()
        listener = asyncio.ensure_future(listen(stream.aiter_lines()))
        await asyncio.sleep(0.2)
        for _ in range(rounds):
            while not heard.empty():
                heard.get_nowait()
            begun = time.perf_counter()
            answer = asyncio.ensure_future(
                client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": TWO_NICS}, headers=VERSION)
            )
            times.append((await asyncio.wait_for(heard.get(), 20) - begun) * 1e3)
            (await answer).raise_for_status()
            await asyncio.sleep(0.02)
        listener.cancel()
    return times
