"""What the engine costs: operations a second, a restart with many pending, how soon events are seen, how soon a change behind
the node's back is.

The store is a real one on disk, synced at each commit; the steps do nothing, so that what is left is the engine's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.core.payload import Bell, lacking, packages
from benchmarks.engine import drift, events
from benchmarks.engine.toy import Bench
from benchmarks.figures import Figure, Scale, median, rounded

FIGURES: Mapping[str, Figure] = {
    "engine.ops_per_s": Figure("operations of ten steps that do nothing, a second, 200 at a time", least=500),
    "engine.single_ms": Figure("one such operation alone: every commit is synced on its own"),
    "engine.cpu_ms": Figure("processor time of one"),
    "engine.recover_1k_s": Figure("restart with 1,000 operations pending until all have completed", 3),
    "engine.resume_1k_s": Figure("the same until all are under way"),
    "events.latency_p50_ms": Figure("from a commit to a follower of the event log", 5),
    "events.latency_p99_ms": Figure("the same, 99 of 100"),
    "events.sse_p50_ms": Figure("from a commit to a client of the API's event stream, over TLS", 5),
    "drift.event_p50_ms": Figure("kill -9 of a container's program until its alarm is in the event log", 500),
}
MANY, WIDTH = 1000, 200
Say = Callable[[str], None]


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES` that can be had at this scale."""
    with contextlib.ExitStack() as stack:
        folder = _folder(stack)
        found: list[tuple[str, float]] = []
        rates = [await throughput(folder / f"ops-{n}") for n in range(scale.bursts)]
        found += [("engine.ops_per_s", median([rate for rate, _ in rates]))]
        found += [("engine.cpu_ms", median([cpu for _, cpu in rates]))]
        say(f"{found[0][1]:.0f} operations a second")
        found.append(("engine.single_ms", await single(folder / "single", scale.rounds)))
        again = [await recovery(folder / f"again-{n}") for n in range(scale.bursts)]
        found += [("engine.resume_1k_s", median([run for run, _ in again]))]
        found += [("engine.recover_1k_s", median([end for _, end in again]))]
        say(f"recovered in {found[-1][1]:.2f} s")
        if lacking("busybox"):
            say("no container can be made: busybox-static is not installed")
            return rounded(found)
        bell = Bell(folder / "bell")
        stack.callback(bell.close)
        csar, _ = packages(folder, bell.folder)
        found += await events.measure(folder / "events", csar, scale.rounds * 20)
        if scale.vim == "real" and not lacking("runc", "conmon", "ip"):
            found += await drift.measure(folder / "drift", csar, scale.rounds, say)
        return rounded(found)


def _folder(stack: contextlib.ExitStack) -> Path:
    """A folder on a disk, as a node's store is."""
    folder = Path(tempfile.mkdtemp(prefix="skbench", dir="/var/tmp"))
    folder.chmod(0o755)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def throughput(folder: Path) -> tuple[float, float]:
    """Operations a second, and milliseconds of processor time of one."""
    bench = Bench(folder)
    await bench.start()
    places = asyncio.Semaphore(WIDTH)

    async def go(number: int) -> None:
        async with places:
            await bench.one(f"subject-{number}")

    begun, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(go(number) for number in range(MANY)))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    await bench.stop()
    return MANY / seconds, cpu / MANY * 1e3


async def single(folder: Path, rounds: int) -> float:
    """Milliseconds of one operation alone."""
    bench = Bench(folder)
    await bench.start()
    times = []
    for number in range(rounds):
        begun = time.perf_counter()
        await bench.one(f"subject-{number}")
        times.append((time.perf_counter() - begun) * 1e3)
    await bench.stop()
    return median(times)


async def recovery(folder: Path) -> tuple[float, float]:
    """Seconds from a start with all pending until all have a step under way, and until all have completed."""
    before = Bench(folder)
    before.gate.clear()
    await before.start()
    started = [await before.engine.submit("toy.nothing", f"subject-{number}", {}) for number in range(MANY)]
    await before.stop()
    after = Bench(folder, MANY)
    begun = time.perf_counter()
    await after.start()
    await after.all_begun.wait()
    running = time.perf_counter() - begun
    for operation in started:
        ended = await after.engine.wait(operation.id)
        if ended.state != "COMPLETED":
            raise RuntimeError(f"operation {ended.id} is {ended.state}: {ended.error}")
    completed = time.perf_counter() - begun
    await after.stop()
    return running, completed
