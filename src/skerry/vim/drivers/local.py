"""The embedded default VIM: containers and micro network functions on this host, without a daemon.

Both are on the same networks. An image that is a Click configuration makes a function, every other one a container.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from skerry.errors import UnsupportedError
from skerry.vim.driver import (
    Compute,
    ComputeSpec,
    ComputeStats,
    DriverContext,
    ExecResult,
    File,
    Image,
    ImageSpec,
    LogLine,
    Tap,
)
from skerry.vim.local.containers import Containers
from skerry.vim.local.edge import Member
from skerry.vim.local.hosting import FunctionHost
from skerry.vim.local.scripts import is_script
from skerry.vim.local.settings import LocalSettings


class Driver(FunctionHost, Containers):
    """The driver of the type LOCAL. One object per data folder; `open` before use."""

    type: ClassVar[str] = "LOCAL"
    settings_type: ClassVar[builtins.type[msgspec.Struct]] = LocalSettings

    def __init__(self, settings: LocalSettings, context: DriverContext) -> None:
        super().__init__(settings, context)

    def members(self) -> list[Member]:
        """Every container and every function."""
        return [*Containers.members(self), *self.functions.members()]

    async def open(self) -> None:
        """Begin with both; interrupts nothing."""
        await Containers.open(self)
        await self.functions.open()

    async def close(self) -> None:
        """Stop watching. What runs keeps running."""
        await self.functions.close()
        await Containers.close(self)

    async def ensure_image(self, spec: ImageSpec) -> Image:
        return await (self.functions.ensure_image(spec) if is_script(spec) else Containers.ensure_image(self, spec))

    async def list_images(self) -> Sequence[Image]:
        return [*await Containers.list_images(self), *await self.functions.images()]

    async def delete_image(self, name: str) -> None:
        await self.functions.delete_image(name)
        await Containers.delete_image(self, name)

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        known = spec.name in self.functions or await self.functions.image(spec.image) is not None
        return await (self.functions.create(spec) if known else Containers.create_compute(self, spec))

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        if name in self.functions:
            return await self.functions.set_environment(name, env)
        return await Containers.set_environment(self, name, env, files, command=command, hosts=hosts)

    async def start_compute(self, name: str) -> Compute:
        if name in self.functions:
            return await self.functions.start(name)
        return await Containers.start_compute(self, name)

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        if name in self.functions:
            return await self.functions.stop(name)
        return await Containers.stop_compute(self, name, grace_s)

    async def delete_compute(self, name: str) -> None:
        await (self.functions.delete(name) if name in self.functions else Containers.delete_compute(self, name))

    async def get_compute(self, name: str) -> Compute:
        return await (self.functions.get(name) if name in self.functions else Containers.get_compute(self, name))

    async def list_compute(self) -> Sequence[Compute]:
        return sorted([*await Containers.list_compute(self), *await self.functions.all()], key=lambda one: one.name)

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        if name in self.functions:
            raise UnsupportedError(
                f"cannot run commands in {name}: it is a micro network function",
                suggestion="read and write its handlers instead",
            )
        return await Containers.exec(self, name, argv, stdin=stdin, env=env, timeout_s=timeout_s)

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]:
        chosen = self.functions.logs if name in self.functions else super().logs
        async for line in chosen(name, follow=follow, tail=tail):
            yield line

    async def stats(self, name: str) -> ComputeStats:
        return await (self.functions.stats(name) if name in self.functions else Containers.stats(self, name))

    async def taps(self, name: str) -> Sequence[Tap]:
        if name in self.functions:
            return self._tapped(*self.functions.nics(name))
        return await Containers.taps(self, name)

    async def written_bytes(self, name: str) -> int:
        return 0 if name in self.functions else await Containers.written_bytes(self, name)

    async def resize(self, name: str, *, vcpus: float = 0.0, memory_bytes: int = 0) -> Compute:
        if name in self.functions:
            return await self.functions.get(name)  # it takes what it needs
        return await Containers.resize(self, name, vcpus=vcpus, memory_bytes=memory_bytes)

    async def snapshot_compute(self, name: str, image: str) -> Image:
        if name in self.functions:
            raise UnsupportedError(f"cannot take a snapshot of {name}: a micro network function writes nothing")
        return await Containers.snapshot_compute(self, name, image)
