"""An embedded driver on real parts, with looks behind its back."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from skerry.engine.clock import SystemClock
from skerry.vim.driver import (
    Compute,
    ComputeSpec,
    ComputeState,
    DriverContext,
    ExecResult,
    ImageSpec,
    NetworkSpec,
    NicSpec,
)
from skerry.vim.drivers.local import Driver
from skerry.vim.local import supervise
from skerry.vim.local.settings import LocalSettings


class Local:
    """An open driver on a data folder of its own. `reopen` is a restart of Skerry."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder, self._images = folder, images
        self.node = f"t{uuid.uuid4().hex[:8]}"
        self.driver = self._new()

    def _new(self, **changes: Any) -> Driver:
        settings = LocalSettings(images=str(self._images), **changes)
        return Driver(settings, DriverContext(node=self.node, data_dir=self.folder, clock=SystemClock()))

    async def open(self, source: str = "host:busybox") -> None:
        await self.driver.open()
        await self.image(source)

    async def image(self, source: str) -> None:
        await self.driver.ensure_image(ImageSpec(name=source, source=source))

    async def reopen(self, **changes: Any) -> None:
        await self.driver.close()
        self.driver = self._new(**changes)
        await self.driver.open()

    def spec(self, name: str, *command: str, **changes: Any) -> ComputeSpec:
        nics = tuple(NicSpec(network=network) for network in changes.pop("networks", ()))
        given = {"image": "host:busybox", "command": command or ("sleep", "9999"), "nics": nics, "grace_s": 0.1}
        return ComputeSpec(name=name, owner="owner", **{**given, **changes})

    async def network(self, name: str, **changes: Any) -> None:
        await self.driver.create_network(NetworkSpec(name=name, owner="owner", **changes))

    async def run(self, name: str, *command: str, **changes: Any) -> Compute:
        await self.driver.create_compute(self.spec(name, *command, **changes))
        return await self.driver.start_compute(name)

    async def ask(self, name: str, *argv: str) -> ExecResult:
        return await self.driver.exec(name, argv)

    async def shell(self, name: str, script: str) -> str:
        result = await self.driver.exec(name, ("sh", "-c", script))
        return (result.stdout + result.stderr).decode()

    async def reaches(self, name: str, state: ComputeState, limit_s: float = 10.0) -> Compute:
        async def there() -> bool:
            return (await self.driver.get_compute(name)).state is state

        await eventually(there, limit_s)
        return await self.driver.get_compute(name)

    async def clear(self) -> None:
        for compute in await self.driver.list_compute():
            await self.driver.delete_compute(compute.name)
        for network in await self.driver.list_networks():
            await self.driver.delete_network(network.name)

    def left(self) -> list[str]:
        """What of this driver is still on the machine, found without it."""
        tag = self.driver.network.tag
        found = [f"netns {name}" for name in os.listdir("/run/netns") if tag in name]
        found += [
            f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line
        ]
        found += [
            f"cgroup {path}" for part in ("", "*/") for path in Path("/sys/fs/cgroup").glob(f"{part}skerry/{tag}*")
        ]
        found += [f"process {pid}" for pid in os.listdir("/proc") if pid.isdecimal() and self._ours(int(pid))]
        for part in ("compute", "runtime", "networks"):
            folder = self.folder / part
            found += [f"file {path}" for path in folder.iterdir()] if folder.exists() else []
        return found

    def _ours(self, pid: int) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return str(self.folder).encode() in command and supervise.identify(pid) is not None


async def eventually(check: Callable[[], Awaitable[bool]], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not await check():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def local_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture
async def local(tmp_path: Path, local_images: Path) -> AsyncIterator[Local]:
    """An open embedded driver with busybox as image; nothing of it may be left afterwards."""
    if os.geteuid() != 0 or not shutil.which("conmon"):
        pytest.skip("needs root and the package conmon")
    made = Local(tmp_path / "node", local_images)
    await made.open()
    yield made
    await made.clear()
    await made.driver.close()
    assert made.left() == []


def in_namespace(compute: Compute, *command: str) -> str:
    """Run a program of this host in an instance's network namespace."""
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{compute.pid}/ns/net", *command], capture_output=True, text=True, check=True
    )
    return done.stdout
