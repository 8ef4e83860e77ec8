"""The simulated VIM: capacity, latencies and faults as told, in whatever time the event loop has.

It is the default of unit tests, of the planner and of demonstrations. What it has is a `World`
(`skerry.vim.simulated.world`), which outlives the driver object.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from skerry.errors import ConflictError, DriverError, NotFoundError, RejectedError
from skerry.model.time import stamp
from skerry.vim import ipam
from skerry.vim.driver import (
    TRANSITIONS,
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
    Network,
    NetworkSpec,
    NicSpec,
    Stranger,
    Tap,
    VimEvent,
)
from skerry.vim.simulated import images, programs
from skerry.vim.simulated.cables import Cables
from skerry.vim.simulated.world import CommandRun, Machine, World, counters, world

T = TypeVar("T")


class SimulatedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the simulated infrastructure has and how it behaves.

    `latency` is seconds by the contract's method name, "*" for all others; each call takes up to `jitter` (a fraction)
    longer, from `seed`. `world` names the world that is shared by drivers of that name; `persist` keeps it in the
    driver's folder, so that it survives the process. `ports` are what is cabled to it, as "PNF/CONNECTION POINT".
    """

    world: str = "default"
    vcpus: float = 64.0
    memory_bytes: int = 256 << 30
    storage_bytes: int = 4 << 40
    instances: int = 1000
    pool: str = "172.16.0.0/12"
    latency: Mapping[str, float] = {}
    jitter: float = 0.0
    seed: int = 0
    persist: bool = False
    ports: tuple[str, ...] = ()


class Driver(Cables):
    """The contract of `skerry.vim.driver.Driver`, with every optional ability."""

    type: ClassVar[str] = "SIMULATED"
    settings_type: ClassVar[builtins.type[msgspec.Struct]] = SimulatedSettings

    def __init__(self, settings: SimulatedSettings, context: DriverContext) -> None:
        super().__init__(world(settings.world), settings.latency, settings.jitter, settings.seed)
        self._settings = settings
        self._context = context
        self._ports = settings.ports

    @property
    def world(self) -> World:
        """The infrastructure behind this driver."""
        return self._world

    async def open(self) -> None:
        """Take the world into use; read it from its file when it is kept in one."""
        self._world.clock = self._context.clock
        self._world.changed = asyncio.Event()  # one that belongs to the running loop
        if self._settings.persist:
            self._world.keep_in(self._context.data_dir / "world.json")
        await self._call("open", "", _nothing)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def capacity(self) -> Capacity:
        """The settings' capacity, and what its instances take of it."""
        return await self._call("capacity", "", self._capacity)

    async def ensure_image(self, spec: ImageSpec) -> Image:
        """Register the image; a path must exist and fit its checksum, other sources are believed."""
        return await self._call("ensure_image", spec.name, lambda: images.ensure(self._world, spec))

    async def list_images(self) -> Sequence[Image]:
        """Every image, by name."""
        return await self._call("list_images", "", lambda: _by_name(self._world.has.images))

    async def delete_image(self, name: str) -> None:
        """Forget it. `ConflictError` while an instance uses it."""
        await self._call("delete_image", name, lambda: self._delete_image(name))

    async def create_network(self, spec: NetworkSpec) -> Network:
        """Make the network with a subnet of its own."""
        return await self._call("create_network", spec.name, lambda: self._create_network(spec))

    async def delete_network(self, name: str) -> None:
        """Remove it. `ConflictError` while an instance is attached."""
        await self._call("delete_network", name, lambda: self._delete_network(name))

    async def list_networks(self) -> Sequence[Network]:
        """This node's networks, by name."""
        return await self._call("list_networks", "", self._own_networks)

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        """Allocate capacity and addresses. `RejectedError` when there is not enough."""
        return await self._call("create_compute", spec.name, lambda: self._create_compute(spec))

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        """Merge environment and files for the next start."""
        return await self._call(
            "set_environment", name, lambda: self._set_environment(name, env, files, command, hosts)
        )

    async def start_compute(self, name: str) -> Compute:
        """Run its program (see `skerry.vim.simulated.programs`)."""
        return await self._call("start_compute", name, lambda: self._start(name))

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        """Stop it; it is STOPPING for the latency of this call, cut short at the grace."""
        machine = self._world.has.machines.get(name)
        grace = machine.spec.grace_s if machine and grace_s is None else grace_s
        if machine and machine.compute.state is ComputeState.RUNNING:
            self._move(machine, ComputeState.STOPPING)
        return await self._call("stop_compute", name, lambda: self._stop(name), at_most=grace)

    async def delete_compute(self, name: str) -> None:
        """Remove it in whatever state."""
        await self._call("delete_compute", name, lambda: self._delete_compute(name))

    async def get_compute(self, name: str) -> Compute:
        """The instance as it is now."""
        return await self._call("get_compute", name, lambda: self._mine(name).compute)

    async def list_compute(self) -> Sequence[Compute]:
        """This node's instances, by name."""
        return await self._call("list_compute", "", self._own_compute)

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        """Record the command and answer it: from the world's script, else as a known program, else with 0."""
        await self._call("exec", name, _nothing)
        answer = await self._exec(name, argv, stdin, env or {}, timeout_s)
        self._world.observe("exec", name, after=True)
        return answer

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]:
        """What the program printed."""
        machine = await self._call("logs", name, lambda: self._mine(name))
        at = 0 if tail is None else max(0, len(machine.log) - tail)
        while True:
            changed = self._world.changed
            while at < len(machine.log):
                yield machine.log[at]
                at += 1
            if not follow or self._world.has.machines.get(name) is not machine:
                return
            await changed.wait()

    async def stats(self, name: str) -> ComputeStats:
        """The load that the world was told, else that of an idle program."""
        return await self._call("stats", name, lambda: self._stats(name))

    async def taps(self, name: str) -> Sequence[Tap]:
        """Interfaces that only the simulated data plane can have."""
        return await self._call("taps", name, lambda: _taps(self._mine(name).compute))

    async def written_bytes(self, name: str) -> int:
        """The files that programs inside wrote."""
        return await self._call("written", name, lambda: sum(map(len, self._mine(name).written.values())))

    def events(self) -> AsyncIterator[VimEvent]:
        """What happens in the world from this call on."""
        return _Subscription(self._world.listen())

    async def resize(self, name: str, *, vcpus: float = 0.0, memory_bytes: int = 0) -> Compute:
        """Change the limits, within the capacity."""
        return await self._call("resize", name, lambda: self._resize(name, vcpus, memory_bytes))

    async def snapshot_compute(self, name: str, image: str) -> Image:
        """Keep the files that programs inside wrote."""
        return await self._call("snapshot_compute", name, lambda: images.snapshot(self._world, name, image))

    async def export_image(self, name: str, target: Path, max_bytes: int) -> None:
        """Write name, size and files into a file that only simulated infrastructures take."""
        await self._call("export_image", name, lambda: images.export(self._world, name, target, max_bytes))

    async def list_strangers(self) -> Sequence[Stranger]:
        """What other nodes have in this world."""
        return await self._call("list_strangers", "", self._strangers)

    async def delete_stranger(self, stranger: Stranger) -> None:
        await self._call("delete_stranger", stranger.name, lambda: self._world.drop(stranger.name))

    def _capacity(self) -> Capacity:
        own = self._settings
        return Capacity(
            vcpus=own.vcpus,
            memory_bytes=own.memory_bytes,
            storage_bytes=own.storage_bytes,
            instances=own.instances,
            used_vcpus=sum(machine.spec.vcpus for machine in self._machines()),
            used_memory_bytes=sum(machine.spec.memory_bytes for machine in self._machines()),
            used_storage_bytes=sum(machine.spec.storage_bytes for machine in self._machines()),
            used_instances=len(self._world.has.machines),
        )

    def _machines(self) -> Collection[Machine]:
        return self._world.has.machines.values()

    def _own_networks(self) -> Sequence[Network]:
        nodes = self._world.has.network_nodes
        return [net for net in _by_name(self._world.has.networks) if nodes.get(net.name) == self._context.node]

    def _own_compute(self) -> Sequence[Compute]:
        own = {
            machine.compute.name: machine.compute for machine in self._machines() if machine.node == self._context.node
        }
        return _by_name(own)

    def _strangers(self) -> Sequence[Stranger]:
        has, mine = self._world.has, self._context.node
        found = [
            Stranger(kind="compute", name=one.compute.name, id=one.compute.id, node=one.node, state=one.compute.state)
            for one in has.machines.values()
            if one.node != mine
        ]
        found += [
            Stranger(kind="network", name=name, id=has.networks[name].id, node=node)
            for name, node in has.network_nodes.items()
            if node != mine
        ]
        return sorted(found, key=lambda one: (one.kind, one.name))

    def _mine(self, name: str) -> Machine:
        return self._world.machine(name)

    def _delete_image(self, name: str) -> None:
        users = [machine.compute.name for machine in self._machines() if machine.spec.image == name]
        if users:
            raise ConflictError(
                f"cannot delete the image {name}: it is used by {', '.join(sorted(users))}",
                suggestion="delete these instances first",
            )
        self._world.has.images.pop(name, None)
        self._world.has.snapshots.pop(name, None)

    def _create_network(self, spec: NetworkSpec) -> Network:
        have = self._world.has.networks.get(spec.name)
        if have:
            if spec.owner != have.owner or (spec.cidr and ipam.subnet(spec, "", ())[0] != have.cidr):
                raise ConflictError(
                    f"cannot create the network {spec.name}: it exists with another owner or subnet ({have.cidr})",
                    suggestion="delete it first, or use another name",
                )
            return have
        taken = [network.cidr for network in self._world.has.networks.values()]
        cidr, gateway = ipam.subnet(spec, self._settings.pool, taken)
        network = Network(
            id=f"sim-network-{ipam.digest(spec.name)}",
            name=spec.name,
            owner=spec.owner,
            cidr=cidr,
            gateway=gateway,
            mtu=spec.mtu,
            labels=dict(spec.labels),
        )
        self._world.has.networks[spec.name] = network
        self._world.has.network_nodes[spec.name] = self._context.node
        self._world.emit("network", spec.name, "created")
        return network

    def _delete_network(self, name: str) -> None:
        users = [one.compute.name for one in self._machines() if name in {nic.network for nic in one.compute.nics}]
        if users:
            raise ConflictError(
                f"cannot delete the network {name}: {', '.join(sorted(users))} attached",
                suggestion="delete these instances first",
            )
        self._let_go(name)
        if self._world.has.networks.pop(name, None):
            self._world.has.network_nodes.pop(name, None)
            self._world.emit("network", name, "deleted")

    def _create_compute(self, spec: ComputeSpec) -> Compute:
        have = self._world.has.machines.get(spec.name)
        if have:
            if have.asked != spec:
                raise ConflictError(
                    f"cannot create the instance {spec.name}: it exists with another specification",
                    suggestion="delete it first, or use another name",
                )
            return have.compute
        if spec.image not in self._world.has.images:
            raise NotFoundError(
                f"cannot create the instance {spec.name}: there is no image {spec.image}",
                suggestion="make the image available first",
            )
        self._reserve(spec.name, spec.vcpus, spec.memory_bytes, spec.storage_bytes, instances=1)
        nics = ipam.allocate(spec.owner, spec.name, spec.nics, self._world.has.networks, self._taken(spec.nics))
        compute = Compute(
            id=f"sim-{ipam.digest(spec.name)}",
            name=spec.name,
            owner=spec.owner,
            state=ComputeState.CREATED,
            image=spec.image,
            nics=nics,
            host=self._settings.world,
            labels=dict(spec.labels),
            env=dict(spec.env),
        )
        self._world.has.machines[spec.name] = Machine(
            node=self._context.node,
            asked=spec,
            spec=spec,
            compute=compute,
            written=dict(self._world.has.snapshots.get(spec.image, {})),
        )
        self._world.emit("compute", spec.name, "created")
        return compute

    def _taken(self, nics: Sequence[NicSpec]) -> Mapping[str, Collection[str]]:
        taken: dict[str, set[str]] = {nic.network: self._addresses(nic.network) for nic in nics}
        for machine in self._machines():
            for nic in machine.compute.nics:
                if nic.network in taken:
                    taken[nic.network].add(nic.ip)
        return taken

    def _reserve(self, name: str, vcpus: float, memory: int, storage: int, *, instances: int = 0) -> None:
        have = self._capacity()
        short = [
            what
            for what, wanted, free in (
                ("vCPUs", vcpus, have.vcpus - have.used_vcpus),
                ("bytes of memory", memory, have.memory_bytes - have.used_memory_bytes),
                ("bytes of storage", storage, have.storage_bytes - have.used_storage_bytes),
                ("instances", instances, have.instances - have.used_instances),
            )
            if wanted > free
        ]
        if short:
            raise RejectedError(
                f"cannot give {name} what it asks for: not enough {', '.join(short)}",
                suggestion="delete instances or place it elsewhere",
            )

    def _set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File],
        command: Sequence[str],
        hosts: Mapping[str, str] | None,
    ) -> Compute:
        machine = self._mine(name)
        if machine.compute.state is ComputeState.FAILED:
            raise _refused("change", machine.compute)
        merged = {key: value for key, value in {**machine.spec.env, **env}.items() if value != ""}
        by_path = {file.path: file for file in (*machine.spec.files, *files)}
        machine.spec = msgspec.structs.replace(
            machine.spec,
            env=merged,
            files=tuple(by_path.values()),
            command=tuple(command) or machine.spec.command,
            hosts={**machine.spec.hosts, **(hosts or {})},
        )
        machine.compute = msgspec.structs.replace(machine.compute, env=merged)
        return machine.compute

    def _start(self, name: str) -> Compute:
        machine = self._mine(name)
        if machine.compute.state is ComputeState.RUNNING:
            return machine.compute
        self._allow(machine, ComputeState.RUNNING, "start")
        self._world.begin(machine)
        self._run_program(machine)
        return machine.compute

    def _run_program(self, machine: Machine) -> None:
        image = self._world.has.images.get(machine.spec.image)
        argv = programs.program_of(machine.spec, image.command if image else ())
        answer = programs.run(self._asked(machine, argv, {}, b""))
        for stream, text in (("stdout", answer.stdout), ("stderr", answer.stderr)):
            for line in text.decode(errors="replace").splitlines():
                self._world.log(machine.compute.name, line, stream)
        if not answer.goes_on and not machine.spec.restart:
            self._world.end(machine, "exited", answer.exit_code)

    def _asked(self, machine: Machine, argv: Sequence[str], env: Mapping[str, str], stdin: bytes) -> programs.Asked:
        return programs.Asked(
            argv=tuple(argv),
            spec=machine.spec,
            compute=machine.compute,
            files={**machine.written, **{file.path: file.content for file in machine.spec.files}},
            env={**machine.spec.env, **env},
            stdin=stdin,
        )

    def _stop(self, name: str) -> Compute:
        machine = self._mine(name)
        if machine.compute.state in (ComputeState.CREATED, ComputeState.EXITED):
            return machine.compute
        self._allow(machine, ComputeState.EXITED, "stop")
        self._world.end(machine, "exited", 143, asked=True)
        return machine.compute

    def _delete_compute(self, name: str) -> None:
        if self._world.has.machines.pop(name, None):
            self._world.emit("compute", name, "deleted")

    def _move(self, machine: Machine, state: ComputeState) -> None:
        machine.compute = msgspec.structs.replace(machine.compute, state=state)

    def _allow(self, machine: Machine, state: ComputeState, verb: str) -> None:
        if state not in TRANSITIONS[machine.compute.state]:
            raise _refused(verb, machine.compute)

    async def _exec(
        self, name: str, argv: Sequence[str], stdin: bytes, env: Mapping[str, str], timeout_s: float
    ) -> ExecResult:
        machine = self._mine(name)
        if machine.compute.state is not ComputeState.RUNNING:
            raise _refused("run a command in", machine.compute)
        run = CommandRun(
            time=stamp(self._context.clock.now()), instance=name, argv=tuple(argv), env=dict(env), stdin=stdin
        )
        self._world.has.commands.append(run)
        self._world.save()
        scripted = self._world.scripted(run)
        if scripted:
            return scripted
        answer = programs.run(self._asked(machine, argv, env, stdin))
        machine.written.update(answer.written)
        if answer.seconds > timeout_s:
            await asyncio.sleep(timeout_s)
            raise DriverError(
                f"cannot wait longer for {argv[0]} in {name}: not done after {timeout_s:g} s; it was killed",
                call=f"exec {name} {' '.join(argv)}",
                suggestion="give it more time",
            )
        await asyncio.sleep(answer.seconds)
        return answer.result()

    def _stats(self, name: str) -> ComputeStats:
        machine = self._mine(name)
        if machine.compute.state is not ComputeState.RUNNING:
            raise _refused("read the counters of", machine.compute)
        if machine.load:
            return machine.load
        return counters(machine, self._context.clock.monotonic())

    def _resize(self, name: str, vcpus: float, memory_bytes: int) -> Compute:
        machine = self._mine(name)
        if machine.compute.state is ComputeState.FAILED:
            raise _refused("resize", machine.compute)
        vcpus, memory_bytes = vcpus or machine.spec.vcpus, memory_bytes or machine.spec.memory_bytes
        self._reserve(name, vcpus - machine.spec.vcpus, memory_bytes - machine.spec.memory_bytes, 0)
        machine.spec = msgspec.structs.replace(machine.spec, vcpus=vcpus, memory_bytes=memory_bytes)
        return machine.compute


class _Subscription:
    """Yields what a queue gets; the world forgets the queue with it."""

    def __init__(self, queue: asyncio.Queue[VimEvent]) -> None:
        self._queue = queue

    def __aiter__(self) -> AsyncIterator[VimEvent]:
        return self

    async def __anext__(self) -> VimEvent:
        return await self._queue.get()


def _nothing() -> None:
    return None


def _by_name(things: Mapping[str, T]) -> Sequence[T]:
    return [things[name] for name in sorted(things)]


def _refused(verb: str, compute: Compute) -> ConflictError:
    only = "; it can only be deleted" if compute.state is ComputeState.FAILED else ""
    return ConflictError(
        f"cannot {verb} {compute.name}: it is {compute.state}{only}",
        suggestion="delete it and create it again" if only else "wait until its state allows it, or start it",
    )


def _taps(compute: Compute) -> list[Tap]:
    return [
        Tap(
            network=nic.network,
            interface=ipam.interface_name("skv", compute.name, nic.device),
            mac=nic.mac,
            ip=nic.ip,
            engine="simulated",
        )
        for nic in compute.nics
    ]
