"""Containers on this host, run by an OCI runtime, supervised by a shim, without a daemon.

What runs outlives Skerry: names are derived, states are files, and `open` adopts what it finds. The blocking work is in
`skerry.vim.local` and done by a few worker threads; this module decides about states, order and events.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError, Fault, InvalidError, NotFoundError, SkerryError, UnsupportedError
from skerry.model.time import stamp
from skerry.vim import ipam
from skerry.vim.driver import (
    Capacity,
    Compute,
    ComputeSpec,
    ComputeState,
    ComputeStats,
    DriverContext,
    ExecResult,
    File,
    Image,
    ImageSpec,
    LogLine,
    Stranger,
    Tap,
)
from skerry.vim.local import (
    admission,
    cgroups,
    execution,
    logfile,
    oci,
    probe,
    records,
    strangers,
    supervise,
    watch,
    workshop,
)
from skerry.vim.local.admission import Instance
from skerry.vim.local.edge import Edge, Member
from skerry.vim.local.images import Images, StoredImage
from skerry.vim.local.network import Plug
from skerry.vim.local.ports import Ports
from skerry.vim.local.records import Creation, Process, State
from skerry.vim.local.settings import LocalSettings

_log = logging.getLogger(__name__)

_SHIM_S = 5.0
_LOST = 255  # the exit code where the shim died before it could tell
_RESTART_FIRST_S, _RESTART_MOST_S, _RESTART_HEALTHY_S = 0.1, 10.0, 10.0
_ACTIVE = frozenset({ComputeState.RUNNING, ComputeState.STOPPING})


class Containers(Edge):
    """The containers of one edge host. One object per data folder; `open` before use."""

    def __init__(self, settings: LocalSettings, context: DriverContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._instances: dict[str, Instance] = {}
        self._image_locks: dict[str, asyncio.Lock] = {}
        self._ports = Ports(lambda kind: self.work(self.network.socket, kind))
        self.inner_socket = lambda address, port: self.work(self.network.listening, address, port)
        self._shop: workshop.Workshop | None = None

    async def open(self) -> None:
        """Choose the runtime, make the networks' bridges again where missing, adopt what runs. Interrupts nothing."""
        await super().open()
        runner = await self.work(self._runner)
        folder = Path(self._settings.images) if self._settings.images else self.data / "images"
        images = Images(
            folder,
            max_bytes=self._settings.image_max_bytes,
            max_files=self._settings.image_max_files,
            tls_verify=self._settings.registry_tls_verify,
        )
        self._shop = workshop.Workshop(self.data / "compute", runner=runner, network=self.network, images=images)
        await self.work(images.open)
        for creation, state in await self.work(self._shop.load):
            self._instances[creation.spec.name] = Instance(creation, state)
        for instance in list(self._instances.values()):
            self._adopt(instance)
            await self._publish_again(instance)

    def _runner(self) -> supervise.Runner:
        groups = cgroups.this_machine()
        shim = probe.tool("conmon")
        if os.geteuid() != 0:
            raise UnsupportedError("cannot run containers: Skerry is not root", suggestion="run it as root")
        if not shim:
            raise UnsupportedError(
                "cannot run containers: conmon is missing",
                suggestion="apt-get install conmon; `skerry doctor` names all that is missing",
            )
        self.data.mkdir(parents=True, exist_ok=True)
        runtime = probe.known(self.data / "runtime.json", self._settings.runtime, groups)
        return supervise.Runner(
            runtime=runtime,
            shim=shim,
            state=self.data / "runtime",
            cgroup=f"/skerry/{self.network.tag}",
            groups=groups,
        )

    def _adopt(self, instance: Instance) -> None:
        """Go on with an instance of an earlier Skerry: watch it, or learn how it ended, or that it was just started."""
        state, creation = instance.state, instance.creation
        if state.state in _ACTIVE:
            lives = state.process and state.boot == supervise.boot() and supervise.alive(state.process)
            (self._watch if lives else self._ended)(instance)
            return
        found = supervise.found(self._made.runner, creation.id, self._made.folder(creation.id))
        if found and state.state in {ComputeState.CREATED, ComputeState.EXITED}:
            self._set(instance, self._running(state, *found))
            self._watch(instance)
        elif creation.spec.restart and state.state is ComputeState.EXITED and not state.asked:
            self._restart_later(instance)

    async def close(self) -> None:
        """Stop watching. What runs keeps running."""
        self._ports.close()
        for instance in self._instances.values():
            for task in (instance.settling, instance.restarting):
                if task:
                    task.cancel()
        await super().close()
        self._instances.clear()

    @property
    def _made(self) -> workshop.Workshop:
        if self._shop is None:
            raise DriverError("cannot use the local driver: it is not open", suggestion="call open() first")
        return self._shop

    def members(self) -> list[Member]:
        """Every container."""
        found = [(one.creation, one.state) for one in self._instances.values()]
        return [(workshop.limited(creation.spec, state), creation.nics) for creation, state in found]

    async def _stored(self) -> int:
        return sum(image.size_bytes for image in await self.work(self._made.images.all))

    async def ensure_image(self, spec: ImageSpec) -> Image:
        async with self._image_locks.setdefault(spec.name, asyncio.Lock()):
            return (await self.work(self._made.images.ensure, spec)).public()

    async def list_images(self) -> Sequence[Image]:
        return [image.public() for image in await self.work(self._made.images.all)]

    async def delete_image(self, name: str) -> None:
        users = [one.creation.spec.name for one in self._instances.values() if one.creation.image == name]
        if users:
            raise ConflictError(
                f"cannot delete the image {name}: {', '.join(sorted(users)[:5])} use it", suggestion="delete them first"
            )
        used = {layer for one in self._instances.values() for layer in one.creation.layers}
        async with self._image_locks.setdefault(name, asyncio.Lock()):
            await self.work(self._made.images.delete, name, used)

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        known = self._instances.get(spec.name)
        if known is None:
            image = await self.work(self._checked, spec)
            total = await self.capacity()
            known = self._instances.get(spec.name) or self._allocate(spec, image, total)
        async with known.lock:
            if not records.same(known.creation.spec, spec):
                raise ConflictError(
                    f"cannot create {spec.name}: it exists with another specification",
                    suggestion="delete it first or choose another name",
                )
            if known.state.state is ComputeState.UNAVAILABLE:
                await self._make(known)
        return self._public(known)

    def _checked(self, spec: ComputeSpec) -> StoredImage:
        """The image of a specification that can work here; `InvalidError` with everything that cannot."""
        faults = oci.faults(spec, probe.bounding_set())
        missing = (mount for mount in spec.mounts if not Path(mount.source).exists())
        faults += [
            Fault(message=f"there is no {mount.source} to mount", code="mount", path="mounts") for mount in missing
        ]
        image = self._made.images.get(spec.image)
        if faults:
            raise InvalidError(f"cannot create {spec.name}: {faults[0].message}", faults=faults)
        return image

    def _allocate(self, spec: ComputeSpec, image: StoredImage, total: Capacity) -> Instance:
        """Reserve capacity and addresses. No await in here."""
        nics = self.admitted(spec, total)
        creation = Creation(
            id=f"sk{ipam.digest(self.network.tag, spec.name)}",
            spec=spec,
            nics=nics,
            image=spec.image,
            layers=image.layers,
            program=spec.command or (*image.entrypoint, *image.command),
            base_env=image.env,
            folder=image.folder,
            user=image.user,
            stop_signal=image.stop_signal,
        )
        instance = Instance(creation, State())
        self._instances[spec.name] = instance
        return instance

    async def _make(self, instance: Instance) -> None:
        spec = instance.creation.spec
        state = State(state=ComputeState.CREATED, env=dict(spec.env), files=workshop.stored(spec.files))
        try:
            await self.work(self._made.make, instance.creation, state, self._plugs(instance))
        except (SkerryError, OSError) as wrong:
            await self._remove(instance)
            raise admission.as_skerry_error(f"cannot create {spec.name}", wrong) from wrong
        instance.state = state
        self.news.tell("compute", spec.name, "created")

    def _plugs(self, instance: Instance) -> list[Plug]:
        return self.plugged(instance.creation.spec, instance.creation.nics)

    async def delete_compute(self, name: str) -> None:
        instance = self._instances.get(name)
        if instance is None:
            return
        instance.leaving = True
        supervise.send(instance.state.process, signal.SIGKILL)  # also ends a stop that is waiting with the lock held
        async with instance.lock:
            if self._instances.get(name) is not instance:
                return
            await self._remove(instance)
        self.news.tell("compute", name, "deleted")

    async def _remove(self, instance: Instance) -> None:
        creation = instance.creation
        self.exits.forget(creation.id)
        self._ports.withdraw(creation.id)
        if instance.restarting:
            instance.restarting.cancel()
        shim = instance.state.shim if instance.state.boot == supervise.boot() else None
        await self.work(self._made.remove, creation, shim)
        if instance.settling:
            await instance.settling
        self._instances.pop(creation.spec.name, None)
        self._wake(instance)
        if not self._instances:
            await self.work(self._made.release)

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        instance = self._instance(name)
        async with instance.lock:
            await self._settled(instance)
            state = instance.state
            admission.refuse_failed(instance, "change")
            faults = oci.faults(msgspec.structs.replace(instance.creation.spec, env=env, files=tuple(files)), -1)
            if faults:
                raise InvalidError(f"cannot change {name}: {faults[0].message}", faults=faults)
            await self.work(self._made.store, instance.creation.id, files)
            changed = workshop.changed(state, env, files, command, hosts or {})
            self._set(instance, changed)
        self.news.tell("compute", name, "changed")
        return self._public(instance)

    async def start_compute(self, name: str) -> Compute:
        instance = self._instance(name)
        async with instance.lock:
            await self._settled(instance)
            if instance.state.state is not ComputeState.RUNNING:
                await self._start(instance)
        return self._public(instance)

    async def _start(self, instance: Instance) -> None:
        name, state = instance.creation.spec.name, instance.state
        if state.state not in {ComputeState.CREATED, ComputeState.EXITED}:
            raise ConflictError(f"cannot start {name}: it is {state.state}", suggestion="delete and create it again")
        if instance.leaving:
            raise ConflictError(f"cannot start {name}: it is being deleted")
        if not (state.program or instance.creation.program):
            fault = Fault(message="neither the image nor the request has a command", code="command", path="command")
            raise InvalidError(f"cannot start {name}: {fault.message}", faults=[fault])
        await self._publish(instance)
        try:
            process, shim = await self.work(self._made.run, instance.creation, state, self._plugs(instance))
        except (SkerryError, OSError) as wrong:
            self._ports.withdraw(instance.creation.id)
            raise admission.as_skerry_error(f"cannot start {name}", wrong) from wrong
        self._set(instance, self._running(state, process, shim))
        self._watch(instance)
        self._wake(instance)
        self.news.tell("compute", name, "started")

    async def _publish_again(self, instance: Instance) -> None:
        """After a restart of Skerry. A port that someone else took meanwhile must not keep the node from starting."""
        if instance.state.state is not ComputeState.RUNNING:
            return
        try:
            await self._publish(instance)
        except DriverError as wrong:
            _log.warning("%s runs, but %s", instance.creation.spec.name, wrong)

    async def _publish(self, instance: Instance) -> None:
        creation = instance.creation
        if published := creation.spec.published:
            await self._ports.publish(creation.id, creation.nics[0].ip, published)

    def _running(self, state: State, process: Process, shim: Process) -> State:
        return msgspec.structs.replace(
            state,
            state=ComputeState.RUNNING,
            process=process,
            shim=shim,
            boot=supervise.boot(),
            exit_code=None,
            started_at=stamp(self.context.clock.now()),
            asked=False,
        )

    def _set(self, instance: Instance, state: State) -> None:
        instance.state = state
        self._made.save(instance.creation.id, state)

    def _watch(self, instance: Instance) -> None:
        instance.settling = None
        instance.started = self.context.clock.monotonic()
        if instance.state.process:
            self.exits.watch(instance.creation.id, instance.state.process, lambda: self._ended(instance))

    def _ended(self, instance: Instance) -> None:
        if instance.settling is None and not instance.leaving:
            instance.settling = asyncio.create_task(self._settle(instance))

    async def _settled(self, instance: Instance) -> None:
        """Bring the state up to date where the process has ended but the event has not come through yet."""
        if instance.state.state in _ACTIVE and not supervise.alive(instance.state.process):
            self._ended(instance)
        if instance.settling:
            await instance.settling

    async def _settle(self, instance: Instance) -> None:
        """Learn how the instance ended, write it down, tell, and start it again where asked to."""
        creation, state = instance.creation, instance.state
        self.exits.forget(creation.id)
        self._ports.withdraw(creation.id)
        await watch.ended(state.shim if state.boot == supervise.boot() else None, _SHIM_S)
        code = supervise.exit_code(self._made.folder(creation.id), creation.id)
        memory = cgroups.out_of_memory(self._made.runner.groups, self._made.runner.group(creation.id))
        code = _LOST if code is None else code
        again = creation.spec.restart and not state.asked
        ended = ComputeState.EXITED if code == 0 or state.asked or again else ComputeState.FAILED
        self._set(instance, msgspec.structs.replace(state, state=ended, exit_code=code, process=None, shim=None))
        if memory:
            self.news.tell("compute", creation.spec.name, "oom", code)
        self.news.tell("compute", creation.spec.name, "killed" if code > 128 and not state.asked else "exited", code)
        if again and not instance.leaving:
            self._restart_later(instance)

    def _restart_later(self, instance: Instance) -> None:
        if self.context.clock.monotonic() - instance.started > _RESTART_HEALTHY_S:
            instance.restarts = 0
        delay = min(_RESTART_MOST_S, _RESTART_FIRST_S * 2**instance.restarts)
        instance.restarts = min(instance.restarts + 1, 16)
        instance.restarting = asyncio.create_task(self._restart(instance, delay))

    async def _restart(self, instance: Instance, delay: float) -> None:
        await asyncio.sleep(delay)
        async with instance.lock:
            if instance.state.asked or instance.leaving or instance.state.state is not ComputeState.EXITED:
                return
            try:
                await self._start(instance)
            except DriverError:
                self._restart_later(instance)

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        instance = self._instance(name)
        async with instance.lock:
            await self._settled(instance)
            admission.refuse_failed(instance, "stop")
            if instance.restarting:
                instance.restarting.cancel()
            if instance.state.state in _ACTIVE:
                await self._stop(instance, instance.creation.spec.grace_s if grace_s is None else grace_s)
            elif instance.creation.spec.restart:
                self._set(instance, msgspec.structs.replace(instance.state, asked=True))
        return self._public(instance)

    async def _stop(self, instance: Instance, grace_s: float) -> None:
        self._set(instance, msgspec.structs.replace(instance.state, state=ComputeState.STOPPING, asked=True))
        process = instance.state.process
        supervise.send(process, instance.creation.stop_signal if grace_s > 0 else signal.SIGKILL)
        if not await watch.ended(process, grace_s):
            supervise.send(process, signal.SIGKILL)
            if not await watch.ended(process, _SHIM_S):
                raise DriverError(
                    f"cannot stop {instance.creation.spec.name}: its process does not die", transient=True
                )
        self._ended(instance)
        if instance.settling:
            await instance.settling

    def _instance(self, name: str) -> Instance:
        instance = self._instances.get(name)
        if instance is None:
            raise NotFoundError(f"cannot find the instance {name}", suggestion="list the instances of this VIM")
        return instance

    async def get_compute(self, name: str) -> Compute:
        instance = self._instance(name)
        await self._settled(instance)
        return self._public(instance)

    async def list_compute(self) -> Sequence[Compute]:
        for instance in list(self._instances.values()):
            await self._settled(instance)
        return [self._public(one) for one in sorted(self._instances.values(), key=lambda one: one.creation.spec.name)]

    def _public(self, instance: Instance) -> Compute:
        return instance.public(self._settings.host)

    def _live(self, name: str, what: str) -> tuple[Instance, Process]:
        instance = self._instance(name)
        if instance.state.process is None or not supervise.alive(instance.state.process):
            raise ConflictError(
                f"cannot {what} {name}: it is not running ({instance.state.state})", suggestion="start it first"
            )
        return instance, instance.state.process

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        instance, _ = self._live(name, "run a command in")
        command = execution.Command(argv=tuple(argv), stdin=stdin, env=dict(env or {}), timeout_s=timeout_s)
        folder = self._made.folder(instance.creation.id)
        return await execution.run(self._made.runner, instance.creation.id, folder, command)

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]:
        instance = self._instance(name)
        path = self._made.folder(instance.creation.id) / "log"
        if not follow:
            lines, _, _ = await self.work(logfile.last, path, tail)
            for line in lines:
                yield line
            return
        wake = asyncio.Event()
        instance.readers.add(wake)
        try:
            async for line in logfile.follow(path, tail, lambda: self._instances.get(name) is not instance, wake):
                yield line
        finally:
            instance.readers.discard(wake)

    def _wake(self, instance: Instance) -> None:
        for reader in instance.readers:
            reader.set()

    async def stats(self, name: str) -> ComputeStats:
        instance, process = self._live(name, "measure")
        return await self.work(execution.stats, self._made.runner, instance.creation.id, process.pid)

    async def taps(self, name: str) -> Sequence[Tap]:
        creation = self._instance(name).creation
        return self._tapped(creation.id, creation.nics)

    async def written_bytes(self, name: str) -> int:
        return await self.work(execution.written, self._made.folder(self._instance(name).creation.id) / "upper")

    async def resize(self, name: str, *, vcpus: float = 0.0, memory_bytes: int = 0) -> Compute:
        instance = self._instance(name)
        async with instance.lock:
            old = workshop.limited(instance.creation.spec, instance.state)
            new = msgspec.structs.replace(old, vcpus=vcpus or old.vcpus, memory_bytes=memory_bytes or old.memory_bytes)
            if supervise.alive(instance.state.process):
                await self.work(execution.resize, self._made.runner, instance.creation.id, new)
            limits = {"vcpus": new.vcpus, "memory_bytes": new.memory_bytes}
            self._set(instance, msgspec.structs.replace(instance.state, **limits))
        self.news.tell("compute", name, "changed")
        return self._public(instance)

    async def snapshot_compute(self, name: str, image: str) -> Image:
        instance = self._instance(name)
        async with instance.lock, self._image_locks.setdefault(image, asyncio.Lock()):
            return (await self.work(self._made.snapshot, instance.creation, image)).public()

    async def export_image(self, name: str, target: Path, max_bytes: int) -> None:
        """Write an image into a file, an OCI archive."""
        await asyncio.to_thread(self._made.images.export, name, target, max_bytes)

    async def list_strangers(self) -> Sequence[Stranger]:
        """Containers and interfaces that others made beside this driver's."""
        known = {one.creation.id for one in self._instances.values()}
        return await self.work(strangers.find, self._made.runner, self.network, known)

    async def delete_stranger(self, stranger: Stranger) -> None:
        await self.work(strangers.delete, self._made.runner, self.network, stranger)
