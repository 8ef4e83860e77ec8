"""A VIM for nodes that are too small for containers: micro network functions alone, without an OCI runtime."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from skerry.errors import InvalidError, UnsupportedError
from skerry.vim.driver import Compute, ComputeSpec, ComputeStats, File, Image, ImageSpec, LogLine, Tap
from skerry.vim.local.edge import Member
from skerry.vim.local.hosting import FunctionHost
from skerry.vim.local.scripts import is_script
from skerry.vim.local.settings import EdgeSettings


class LvnfSettings(EdgeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Access settings of the type LVNF. A capacity of 0 is read from the machine.

    `cpu_ratio` is how many vCPUs one processor counts for; `workers` is how many functions are made at a time. `ports` says
    what is cabled to the machine: "PNF/CONNECTION POINT" (of a tenant "TENANT:PNF/…") → network interface. Such an
    interface is the PNF's alone.
    """


class Driver(FunctionHost):
    """The driver of the type LVNF. One object per data folder; `open` before use."""

    type: ClassVar[str] = "LVNF"
    settings_type: ClassVar[builtins.type[msgspec.Struct]] = LvnfSettings

    def members(self) -> list[Member]:
        """Every function."""
        return self.functions.members()

    def only_functions(self) -> bool:
        """It runs nothing else."""
        return True

    async def open(self) -> None:
        """Begin; interrupts nothing."""
        if os.geteuid() != 0:
            raise UnsupportedError("cannot run functions: Skerry is not root", suggestion="run it as root")
        await super().open()
        await self.functions.open()

    async def close(self) -> None:
        """Stop watching. What runs keeps running."""
        await self.functions.close()
        await super().close()

    async def ensure_image(self, spec: ImageSpec) -> Image:
        if not is_script(spec):
            raise InvalidError(
                f"cannot make the image {spec.name} available from {spec.source}: this VIM runs Click configurations only",
                suggestion="place it on a VIM with containers, or give it an image that is a .click file",
            )
        return await self.functions.ensure_image(spec)

    async def list_images(self) -> Sequence[Image]:
        return await self.functions.images()

    async def delete_image(self, name: str) -> None:
        await self.functions.delete_image(name)

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        return await self.functions.create(spec)

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        return await self.functions.set_environment(name, env)

    async def start_compute(self, name: str) -> Compute:
        return await self.functions.start(name)

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        return await self.functions.stop(name)

    async def delete_compute(self, name: str) -> None:
        await self.functions.delete(name)

    async def get_compute(self, name: str) -> Compute:
        return await self.functions.get(name)

    async def list_compute(self) -> Sequence[Compute]:
        return await self.functions.all()

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]:
        return self.functions.logs(name, follow=follow, tail=tail)

    async def stats(self, name: str) -> ComputeStats:
        return await self.functions.stats(name)

    async def taps(self, name: str) -> Sequence[Tap]:
        return self._tapped(*self.functions.nics(name))
