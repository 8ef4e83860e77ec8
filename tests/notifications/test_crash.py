"""A process that notifies is killed, several times, and nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from skerry.engine.clock import RandomIds, SystemClock
from skerry.notifications.http import HttpSender
from skerry.notifications.targets import Policy
from tests.notifications.bench import Bench
from tests.notifications.receiver import receiving

ROOT = Path(__file__).parents[2]


@pytest.mark.feature("A41", "A66")
async def test_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    committed: list[str] = []
    async with receiving() as receiver:
        for _ in range(3):
            before = len(receiver.got)
            victim = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.notifications.victim",
                str(path),
                receiver.uri(),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
            )
            await receiver.until(lambda before=before: len(receiver.got) > before + 40)  # type: ignore[misc]
            victim.kill()
            out, _ = await victim.communicate()
            committed += out.decode().split("\n")[:-1]
        bench = Bench(SystemClock(), RandomIds(), path=path, sender=HttpSender(Policy(loopback=True), SystemClock()))
        await bench.start()
        await receiver.until(lambda: {body["vnfInstanceId"] for body in receiver.posted} >= set(committed))
        await bench.service.stop()
        told = [body["vnfInstanceId"] for body in receiver.posted]
        assert len(committed) > 100
        assert len(told) - len(set(told)) <= 3 * 32  # what was under way is repeated, no more
        ids: dict[str, str] = {}
        for body in receiver.posted:
            assert ids.setdefault(body["vnfInstanceId"], body["id"]) == body["id"]  # a repeat is known by its id
