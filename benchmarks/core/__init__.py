"""What orchestration costs: one VNF of one container with two interfaces, fifty of them at once, and an idle node.

Every figure compares Skerry with the same work done by hand in the same minute: the sides take turns, and each figure is a
ratio or difference of medians. A side's time ends when all calls have returned and every program has told that it runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.calm import calm
from benchmarks.core import bare, docker, idle, payload
from benchmarks.core.node import Skerry
from benchmarks.figures import Figure, Scale, median, rounded
from tests.real.dockerd import Dockerd

FIGURES: Mapping[str, Figure] = {
    "instantiate.local_ms": Figure("a VNF with two NICs on the local driver, to COMPLETED and its program running"),
    "instantiate.bare_ms": Figure("its bundle and networks by hand: ip, mount, conmon, runc"),
    "instantiate.unsupervised_ms": Figure("the same with `runc run --detach`: no log, no exit code"),
    "instantiate.overhead_ms": Figure("local less bare", 60),
    "instantiate.overhead_unsupervised_ms": Figure("local less unsupervised", 60),
    "instantiate.docker_ms": Figure("the VNF on the docker driver"),
    "instantiate.docker_client_ms": Figure("two networks and the container by Docker's client"),
    "instantiate.docker_api_ms": Figure("the same by the Engine's API"),
    "instantiate.ratio_docker": Figure("docker driver to Docker's client", 1.2),
    "instantiate.ratio_docker_api": Figure("docker driver to the Engine's API"),
    "instantiate.local_ratio_docker": Figure("local driver to Docker's client", 1.2),
    "dummy.local_s": Figure("a VNF with one NIC on the local driver", 0.5),
    "dummy.docker_s": Figure("the same on the docker driver"),
    "dummy.docker_run_s": Figure("`docker network create` and `docker run` of its image"),
    "dummy.docker_overhead_ms": Figure("docker driver less `docker run`", 100),
    "instantiate50.local_s": Figure("many VNFs at once on the local driver"),
    "instantiate50.bare_s": Figure("as many by hand with conmon, as many at a time as is fastest"),
    "instantiate50.unsupervised_s": Figure("as many by hand without conmon, likewise"),
    "instantiate50.ratio": Figure("local to bare", 1.2),
    "instantiate50.ratio_least": Figure("the same in the round that was kindest to Skerry"),
    "instantiate50.ratio_most": Figure("the same in the round that was hardest on Skerry"),
    "instantiate50.ratio_unsupervised": Figure("local to unsupervised"),
    "idle.first_start_s": Figure("a new node's process to its first answer: keys and certificates are made"),
    "idle.first_request_s": Figure("a known node's process to its first answer, by TLS", 0.4),
    "idle.ready_s": Figure("to serving everything"),
    "idle.rss_mb": Figure("memory after some requests", 60),
    "idle.pss_mb": Figure("the same, shared pages divided among those who share"),
    "idle.onboarded_rss_mb": Figure("memory after a package was read"),
    "idle.onboarded_pss_mb": Figure("the same, shared pages divided"),
}
Say = Callable[[str], None]
CALM_S, CALM_BURST_S = 1.0, 5.0


class Side(Protocol):
    """One way to get instances that run."""

    async def run(self, count: int) -> float:
        """Seconds until `count` instances run; preparations do not count."""
        ...

    async def clear(self) -> None:
        """Remove them."""
        ...


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES` that can be had at this scale."""
    folder = _folder()
    try:
        if scale.vim == "simulated":
            return await _simulated(folder, scale, say)
        return await _real(folder, scale, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """A folder of this run alone, which instances can read."""
    folder = Path(tempfile.mkdtemp(prefix=f"skbench{os.getpid()}-"))
    folder.chmod(0o755)
    return folder


async def _simulated(folder: Path, scale: Scale, say: Say) -> dict[str, float]:
    bell = payload.Bell(folder / "bell")
    csars = payload.packages(folder, bell.folder)
    skerry = await Skerry.start(folder / "node", csars, {"simulated": {"world": str(folder)}}, None)
    try:
        sides = {"local": skerry.on("simulated")}
        singles = await in_turns(sides, 1, scale.rounds, say)
        many = await in_turns(sides, scale.burst, scale.bursts, say)
    finally:
        await skerry.stop()
        bell.close()
    values = {"instantiate.local_ms": median(singles["local"]) * 1e3, "instantiate50.local_s": median(many["local"])}
    return rounded(values.items())


async def _real(folder: Path, scale: Scale, say: Say) -> dict[str, float]:
    lacking = payload.lacking("runc", "conmon", "ip", "busybox", "dockerd", "docker")
    if lacking or os.geteuid() != 0:
        why = f"{', '.join(lacking)} not installed" if lacking else "not root"
        raise SystemExit(
            f"cannot measure: {why}; it takes root and apt-get install runc conmon docker.io busybox-static"
        )
    bell = payload.Bell(folder / "bell")
    csars = payload.packages(folder, bell.folder)
    say("an idle node …")
    quiet = await idle.collect(folder / "idle", csars[0], max(1, scale.rounds // 3))
    say("a node, a Docker Engine, bundles by hand …")
    async with _workbench(folder, csars, bell) as sides:
        singles = await in_turns(sides, 1, scale.rounds, say)
        few = {name: side for name, side in sides.items() if name in ("local", "bare", "unsupervised")}
        for name, side in few.items():
            if isinstance(side, bare.Bare):
                side.at_once = await bare.best(side, scale.burst)
                say(f"{name} is fastest with {side.at_once} at a time")
        many = await in_turns(few, scale.burst, scale.bursts, say)
    bell.close()
    idling = [(f"idle.{name}", median(each)) for name, each in quiet.items()]
    return rounded([*_singles(singles), *_many(many), *idling])


@asynccontextmanager
async def _workbench(folder: Path, csars: Sequence[Path], bell: payload.Bell) -> AsyncGenerator[dict[str, Side]]:
    """All sides, warm: each has run once."""
    engine = Dockerd(folder / "dockerd")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(engine.stop)
        engine.start()
        client = docker.Client(engine.endpoint, bell)
        await client.load(folder / "busybox.tar")
        api = docker.Api(engine.endpoint, bell)
        stack.push_async_callback(api.close)
        vims: dict[str, Mapping[str, Any]] = {"local": {"cpu_ratio": 1000.0}, "docker": {"endpoint": engine.endpoint}}
        skerry = await Skerry.start(folder / "node", csars, vims, bell)
        stack.push_async_callback(skerry.stop)
        await skerry.instantiate("local", 1)
        source, config = skerry.bundle()
        pattern = folder / "pattern"
        lower = bare.lower(source / "root")
        shutil.copytree(source / "files", pattern / "files")
        await skerry.clear()
        sides: dict[str, Side] = {"local": skerry.on("local")}
        for name, supervised in (("bare", True), ("unsupervised", False)):
            side = bare.Bare(folder / name, pattern, source, config, lower, bell, supervised=supervised)
            await side.open()
            stack.push_async_callback(side.close)
            sides[name] = side
        sides |= {"docker": skerry.on("docker"), "docker_client": client, "docker_api": api}
        sides |= {f"dummy_{vim}": skerry.on(vim, payload.ONE_NIC) for vim in ("local", "docker")}
        sides["dummy_docker_run"] = docker.Run(client)
        await in_turns(sides, 1, 1, lambda _: None)
        yield sides


async def in_turns(sides: Mapping[str, Side], count: int, rounds: int, say: Say) -> dict[str, list[float]]:
    """Seconds of every side in every round; another one begins each round, and each waits for a quiet machine."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            await calm(CALM_S if count == 1 else CALM_BURST_S)
            found[name].append(await sides[name].run(count))
            await sides[name].clear()
        say(f"{count} at once, round {number + 1} of {rounds}: " + told(found))
    return found


def told(found: Mapping[str, list[float]]) -> str:
    """The newest time of each side."""
    return ", ".join(f"{name} {each[-1] * 1e3:.0f} ms" for name, each in found.items())


def _singles(times: Mapping[str, list[float]]) -> list[tuple[str, float]]:
    ms = {name: median(each) * 1e3 for name, each in times.items()}
    return [
        *((f"instantiate.{name}_ms", value) for name, value in ms.items() if "dummy" not in name),
        ("instantiate.overhead_ms", ms["local"] - ms["bare"]),
        ("instantiate.overhead_unsupervised_ms", ms["local"] - ms["unsupervised"]),
        ("instantiate.ratio_docker", ms["docker"] / ms["docker_client"]),
        ("instantiate.ratio_docker_api", ms["docker"] / ms["docker_api"]),
        ("instantiate.local_ratio_docker", ms["local"] / ms["docker_client"]),
        *((f"dummy.{name.removeprefix('dummy_')}_s", value / 1e3) for name, value in ms.items() if "dummy" in name),
        ("dummy.docker_overhead_ms", ms["dummy_docker"] - ms["dummy_docker_run"]),
    ]


def _many(times: Mapping[str, list[float]]) -> list[tuple[str, float]]:
    seconds = {name: median(each) for name, each in times.items()}
    rounds = [ours / theirs for ours, theirs in zip(times["local"], times["bare"], strict=True)]
    return [
        *((f"instantiate50.{name}_s", value) for name, value in seconds.items()),
        ("instantiate50.ratio", seconds["local"] / seconds["bare"]),
        ("instantiate50.ratio_least", min(rounds)),
        ("instantiate50.ratio_most", max(rounds)),
        ("instantiate50.ratio_unsupervised", seconds["local"] / seconds["unsupervised"]),
    ]
