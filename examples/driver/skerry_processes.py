"""A VIM driver in one file: instances are plain processes of this machine, networks are parts of 127.0.0.0/8.

There is no isolation: whoever may instantiate may run programs as the node's user. Each instance has a folder with its files
and its log; a shell outlives the node beside each process and writes down how it ended: a new node finds everything again.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError
from skerry.vim import ipam
from skerry.vim.driver import (
    Capacity,
    Compute,
    ComputeSpec,
    ComputeState,
    DriverContext,
    ExecResult,
    File,
    Image,
    ImageSpec,
    Network,
    NetworkSpec,
)

T = TypeVar("T")
KEEPER = 'shift; "$@" & echo $! >pid; wait $!; echo $? >exit.part; mv exit.part exit'
ENDED = (ComputeState.EXITED, ComputeState.FAILED)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`pool` is where networks get their addresses from; `instances` how many there may be."""

    pool: str = "127.80.0.0/14"
    instances: int = 64


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of an instance."""

    spec: ComputeSpec
    compute: Compute
    asked: bool = False  # to stop: however it ends then, it is EXITED


class World(msgspec.Struct):
    """Everything that is there, in one file."""

    images: dict[str, Image] = {}
    networks: dict[str, Network] = {}
    instances: dict[str, Instance] = {}


class Driver:
    """See `skerry.vim.driver.Driver`."""

    type: ClassVar[str] = "PROCESSES"
    settings_type: ClassVar[builtins.type[Settings]] = Settings

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._settings = settings
        self._folder = context.data_dir
        self._file = context.data_dir / "world.json"
        self._has = World()

    async def open(self) -> None:
        if self._file.exists():
            self._has = msgspec.json.decode(self._file.read_bytes(), type=World)

    async def close(self) -> None:
        """Processes go on."""

    async def capacity(self) -> Capacity:
        return Capacity(
            vcpus=float(os.cpu_count() or 1),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            storage_bytes=shutil.disk_usage(self._folder).total,
            instances=self._settings.instances,
            used_instances=len(self._has.instances),
        )

    # -- images: programs of this machine -----------------------------------------------------------------------------

    async def ensure_image(self, spec: ImageSpec) -> Image:
        program = shutil.which(spec.source.removeprefix("host:").split(",")[0])
        if not spec.source.startswith("host:") or program is None:
            raise InvalidError(
                f"cannot run {spec.source}: it is no program of this machine", suggestion="write host:PROGRAM"
            )
        self._has.images[spec.name] = Image(id=program, name=spec.name, command=(program,))
        return self._kept(self._has.images[spec.name])

    async def list_images(self) -> Sequence[Image]:
        return sorted(self._has.images.values(), key=lambda image: image.name)

    async def delete_image(self, name: str) -> None:
        if any(one.spec.image == name for one in self._has.instances.values()):
            raise ConflictError(f"cannot delete the image {name}: it is used by an instance")
        self._kept(self._has.images.pop(name, None))

    # -- networks -----------------------------------------------------------------------------------------------------

    async def create_network(self, spec: NetworkSpec) -> Network:
        known = self._has.networks.get(spec.name)
        if known is not None:
            return known
        taken = [network.cidr for network in self._has.networks.values()]
        cidr, gateway = ipam.subnet(spec, self._settings.pool, taken)
        made = Network(
            id=spec.name, name=spec.name, owner=spec.owner, cidr=cidr, gateway=gateway, mtu=spec.mtu, labels=spec.labels
        )
        self._has.networks[spec.name] = made
        return self._kept(made)

    async def delete_network(self, name: str) -> None:
        if any(nic.network == name for one in self._has.instances.values() for nic in one.compute.nics):
            raise ConflictError(f"cannot delete the network {name}: instances are attached to it")
        self._kept(self._has.networks.pop(name, None))

    async def list_networks(self) -> Sequence[Network]:
        return list(self._has.networks.values())

    # -- instances ----------------------------------------------------------------------------------------------------

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        known = self._has.instances.get(spec.name)
        if known is not None:
            return known.compute
        if spec.image not in self._has.images:
            raise NotFoundError(f"cannot create the instance {spec.name}: there is no image {spec.image}")
        taken: dict[str, set[str]] = {}
        for one in self._has.instances.values():
            for nic in one.compute.nics:
                taken.setdefault(nic.network, set()).add(nic.ip)
        nics = ipam.allocate(spec.owner, spec.name, spec.nics, self._has.networks, taken)
        made = Compute(
            id=spec.name,
            name=spec.name,
            owner=spec.owner,
            state=ComputeState.CREATED,
            image=spec.image,
            nics=nics,
            labels=spec.labels,
            env=spec.env,
        )
        (self._folder / spec.name).mkdir(parents=True, exist_ok=True)
        return self._keep(Instance(spec=spec, compute=made))

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        one = self._now(name)
        merged = {key: value for key, value in {**one.compute.env, **env}.items() if value}
        for file in files:  # paths are inside the instance's own folder: this machine's files are not its
            target = self._folder / name / file.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
            target.chmod(file.mode)
        spec = msgspec.structs.replace(one.spec, command=tuple(command) or one.spec.command)
        compute = msgspec.structs.replace(one.compute, env=merged)
        return self._keep(msgspec.structs.replace(one, spec=spec, compute=compute))

    async def start_compute(self, name: str) -> Compute:
        one = self._now(name)
        if one.compute.state is ComputeState.RUNNING:
            return one.compute
        if one.compute.state is ComputeState.FAILED:
            raise ConflictError(f"cannot start the instance {name}: it has failed", suggestion="delete it")
        folder = self._folder / name
        for left in ("pid", "exit"):
            (folder / left).unlink(missing_ok=True)
        command = one.spec.command or self._has.images[one.spec.image].command
        with (folder / "log").open("ab") as log:
            subprocess.Popen(  # noqa: ASYNC220 - it is only begun here
                ["/bin/sh", "-c", KEEPER, "keeper", name, *command],
                cwd=folder,
                env={**os.environ, **one.compute.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        pid = await asyncio.to_thread(_begun, folder / "pid")
        begun = msgspec.structs.replace(one.compute, state=ComputeState.RUNNING, pid=pid, exit_code=None)
        return self._keep(msgspec.structs.replace(one, compute=begun, asked=False))

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        one = self._now(name)
        if one.compute.state is ComputeState.FAILED:
            raise ConflictError(f"cannot stop the instance {name}: it has failed", suggestion="delete it")
        if one.compute.state is not ComputeState.RUNNING:
            return one.compute
        self._keep(msgspec.structs.replace(one, asked=True))
        await self._end(name, one.spec.grace_s if grace_s is None else grace_s)
        return self._now(name).compute

    async def delete_compute(self, name: str) -> None:
        if name not in self._has.instances:
            return
        if self._now(name).compute.state is ComputeState.RUNNING:
            await self._end(name, 0.0)
        del self._has.instances[name]
        self._kept(None)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    async def get_compute(self, name: str) -> Compute:
        return self._now(name).compute

    async def list_compute(self) -> Sequence[Compute]:
        return [self._now(name).compute for name in list(self._has.instances)]

    # -- an ability: `Exec` -------------------------------------------------------------------------------------------

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        one = self._now(name)
        if one.compute.state is not ComputeState.RUNNING:
            raise ConflictError(f"cannot run {argv[0]} in {name}: it does not run")
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, **one.compute.env, **(env or {})}
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, cwd=self._folder / name, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
            )
        except OSError as error:
            return ExecResult(exit_code=127, stderr=str(error).encode())
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError as error:
            process.kill()
            raise DriverError(f"cannot run {argv[0]} in {name}: it takes longer than {timeout_s:g} s") from error
        return ExecResult(exit_code=process.returncode or 0, stdout=stdout, stderr=stderr)

    # -- what is there ------------------------------------------------------------------------------------------------

    def _now(self, name: str) -> Instance:
        """An instance as it is now: how it ended is read from its folder."""
        one = self._has.instances.get(name)
        if one is None:
            raise NotFoundError(f"cannot find the instance {name}")
        end = self._folder / name / "exit"
        if one.compute.state is ComputeState.RUNNING and (end.exists() or not _alive(one.compute.pid)):
            code = int(end.read_text()) if end.exists() else 137
            state = ComputeState.EXITED if one.asked or code == 0 else ComputeState.FAILED
            one = msgspec.structs.replace(
                one, compute=msgspec.structs.replace(one.compute, state=state, exit_code=code, pid=None)
            )
            self._keep(one)
        return one

    async def _end(self, name: str, grace_s: float) -> None:
        """Ask it to end, wait, kill it."""
        pid = self._has.instances[name].compute.pid
        for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 30.0)):
            if patience_s:
                _signal(pid, number)
            waited = 0.0
            while waited < patience_s:
                if self._now(name).compute.state in ENDED:
                    return
                await asyncio.sleep(0.02)
                waited += 0.02

    def _keep(self, one: Instance) -> Compute:
        self._has.instances[one.spec.name] = one
        return self._kept(one.compute)

    def _kept(self, value: T) -> T:
        partial = self._file.with_suffix(".part")
        partial.write_bytes(msgspec.json.encode(self._has))
        partial.rename(self._file)
        return value


def _begun(file: Path) -> int:
    """The number of a process, which its keeper writes down at once."""
    for _ in range(1000):
        if file.exists() and (text := file.read_text().strip()):
            return int(text)
        time.sleep(0.01)
    raise DriverError(f"cannot start: nothing was written to {file}", transient=True)


def _alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
