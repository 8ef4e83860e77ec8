"""How soon a node notices that a container's program was killed behind its back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.core.payload import TWO_NICS
from benchmarks.figures import median
from skerry.settings import Settings, Vim
from skerry.wiring import Node


async def measure(folder: Path, csar: Path, rounds: int, say: Callable[[str], None]) -> list[tuple[str, float]]:
    """Milliseconds from the kill to the alarm, on the local driver."""
    vims = (Vim(id="local", type="local", settings={"cpu_ratio": 1000.0}),)
    node = Node(Settings(data_dir=folder, node="benchmark-drift", vims=vims))
    await node.start()
    try:
        info = await node.catalogue.create_vnf_package({})
        await node.catalogue.upload_vnf_package(info.id, csar)
        vnf = await node.vnfm.create(TWO_NICS)
        await _run(node, "vnf.instantiate", vnf.id)
        times = []
        for _ in range(rounds):
            times.append(await _noticed(node, vnf.id) * 1e3)
            await _run(node, "vnf.heal", vnf.id)
        say(f"noticed after {median(times):.1f} ms")
        await _run(node, "vnf.terminate", vnf.id)
    finally:
        await node.stop()
    return [("drift.event_p50_ms", median(times))]


async def _noticed(node: Node, id: str) -> float:
    """Seconds from `kill -9` of the one program of this VNF to its alarm."""
    spec = node.vnfm.instance(id).resources["compute:unit-0"].spec
    driver = await node.vims.driver("local")
    pid = (await driver.get_compute(spec["name"])).pid
    if pid is None:
        raise RuntimeError("the program does not run")
    seq = node.engine.events.last()
    begun = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        async for batch in node.engine.events.follow(seq, subject=id):
            if any(event.kind == "alarm" for event in batch):
                return time.perf_counter() - begun
    raise RuntimeError("the event log ended")


async def _run(node: Node, kind: str, id: str) -> None:
    begun = await node.vnfm.start(kind, id, {"terminationType": "FORCEFUL"} if kind == "vnf.terminate" else {})
    ended = await node.engine.wait(begun.id, 60)
    if ended.state != "COMPLETED":
        raise RuntimeError(f"{kind} is {ended.state}: {ended.error}")
