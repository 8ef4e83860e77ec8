"""The Docker VIM: instances are containers of a Docker Engine, near or far, asked by its API alone.

Every resource carries the labels `skerry.node`, `skerry.name` and `skerry.owner`; a container's labels hold its whole
specification, so that a fresh driver knows what runs. Networks are bridges without a way out.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from skerry.errors import ConflictError, DriverError, NotFoundError, RejectedError, UnavailableError
from skerry.vim import ipam
from skerry.vim.docker import frames, shape, strangers
from skerry.vim.docker.commands import Commands
from skerry.vim.docker.engine import Engine, EngineSettings
from skerry.vim.docker.holder import Holders
from skerry.vim.docker.images import Images, Keeping, reference
from skerry.vim.docker.notes import Notes
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
    LogLine,
    Network,
    NetworkSpec,
    Nic,
    Stranger,
    VimEvent,
)

_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class DockerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the Engine is, and what Skerry may use of it.

    `endpoint` is unix:///path or tcp://host:port; with any of `tls_ca`, `tls_cert`, `tls_key` (PEM files) the connection
    is TLS, with a certificate of our own mutual. `pool` is where automatic subnets come from. `instances` limits their
    number; `storage_bytes` is told as capacity, the Engine does not enforce it. `api_version` "" = the best of both.
    """

    endpoint: str = "unix:///var/run/docker.sock"
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    pool: str = "172.16.0.0/12"
    api_version: str = ""
    timeout_s: float = 60.0
    instances: int = 500
    storage_bytes: int = 100 << 30


class Driver(Keeping):
    """The contract of `skerry.vim.driver.Driver`, with every optional ability."""

    type: ClassVar[str] = "DOCKER"
    settings_type: ClassVar[builtins.type[msgspec.Struct]] = DockerSettings

    def __init__(self, settings: DockerSettings, context: DriverContext) -> None:
        self._settings = settings
        self._node = context.node
        connection = EngineSettings(
            endpoint=settings.endpoint,
            tls_ca=settings.tls_ca,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
            api_version=settings.api_version,
            timeout_s=settings.timeout_s,
        )
        self._engine = Engine(connection)
        self._images = Images(self._engine, context.data_dir / "scratch")
        self._holders = Holders(self._engine, self._images, self._node)
        self._commands = Commands(self._engine, self._holders, tls=connection.tls)
        self._notes = Notes(context.data_dir / "notes")
        self._addresses = asyncio.Lock()
        self._locks: dict[str, asyncio.Lock] = {}
        self._stopping: set[str] = set()
        self._replaced: set[str] = set()
        self._reserved: dict[str, tuple[Nic, ...]] = {}
        self._subnets: dict[str, str] = {}  # of networks that are being made
        self._machine: Mapping[str, Any] = {}  # what `/info` says; asking takes the Engine 10 ms

    async def open(self) -> None:
        """Connect. `UnauthorizedError` when the certificates do not fit, `UnavailableError` when nobody answers."""
        await self._engine.open()
        self._machine = await self._engine.get("/info")

    async def close(self) -> None:
        """Let go of the connections; containers keep running."""
        await self._engine.close()

    async def capacity(self) -> Capacity:
        """The Engine's machine, and what instances of any node of ours take of it."""
        info = self._machine
        filters = {"label": [f"{shape.ROLE}=compute"]}
        found = await self._engine.get("/containers/json", all=True, filters=filters)
        specs = [shape.nested_of(one["Labels"]).spec for one in found]
        return Capacity(
            vcpus=float(info["NCPU"]),
            memory_bytes=info["MemTotal"],
            storage_bytes=self._settings.storage_bytes,
            instances=self._settings.instances,
            used_vcpus=sum(spec.vcpus for spec in specs),
            used_memory_bytes=sum(spec.memory_bytes for spec in specs),
            used_storage_bytes=sum(spec.storage_bytes for spec in specs),
            used_instances=len(specs),
        )

    async def delete_image(self, name: str) -> None:
        """Remove it. `ConflictError` names the instances that use it."""
        filters = {"label": [f"{shape.ROLE}=compute"]}
        found = await self._engine.get("/containers/json", all=True, filters=filters)
        users = sorted(one["Labels"][shape.NAME] for one in found if shape.nested_of(one["Labels"]).spec.image == name)
        await self._images.delete(name, users)

    async def create_network(self, spec: NetworkSpec) -> Network:
        """Make a bridge with a subnet that no other network of the Engine has."""
        async with self._lock(f"network {spec.name}"):
            network = shape.network_of(await self._network_made(spec))
        if network.owner != spec.owner or (spec.cidr and ipam.subnet(spec, "", ())[0] != network.cidr):
            what = f"it exists with another owner or subnet ({network.cidr})"
            raise ConflictError(f"cannot create the network {spec.name}: {what}", suggestion="use another name")
        return network

    async def _network_made(self, spec: NetworkSpec) -> Any:
        """The network as it is, or as it was made now; several are made at a time."""
        named = shape.engine_name(self._node, spec.name)
        async with self._addresses:
            networks = await self._engine.get("/networks")
            have = next((one for one in networks if one["Name"] == named), None)
            if have is not None:
                return have
            taken = [*shape.subnets_of(networks), *self._subnets.values()]
            cidr, gateway = ipam.subnet(spec, self._settings.pool, taken)
            self._subnets[named] = cidr
        try:
            await self._engine.post("/networks/create", shape.network_body(self._node, spec, cidr, gateway))
        finally:
            self._subnets.pop(named, None)
        return await self._engine.get(f"/networks/{named}")

    async def delete_network(self, name: str) -> None:
        """Remove it. `ConflictError` names the instances that are attached."""
        users = [
            one["Labels"][shape.NAME]
            for one in await self._containers("compute")
            if name in {nic.network for nic in shape.nested_of(one["Labels"]).nics}
        ]
        if users:
            raise ConflictError(
                f"cannot delete the network {name}: {', '.join(sorted(users))} attached",
                suggestion="delete these instances first",
            )
        await self._engine.delete(f"/networks/{shape.engine_name(self._node, name)}")
        self._locks.pop(f"network {name}", None)

    async def list_networks(self) -> Sequence[Network]:
        """This node's networks, by name."""
        filters = {"label": [f"{shape.NODE}={self._node}", f"{shape.ROLE}=network"]}
        found = [shape.network_of(one) for one in await self._engine.get("/networks", filters=filters)]
        return sorted(found, key=lambda network: network.name)

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        """Create the container with its addresses. A network that takes a holder is made at the start."""
        shape.check(spec)
        async with self._lock(spec.name):
            try:
                have = await self._inspect(spec.name)
            except NotFoundError:
                return await self._create(spec)
            if have["Config"]["Labels"][shape.ASKED] != shape.fingerprint(spec):
                raise ConflictError(
                    f"cannot create the instance {spec.name}: it exists with another specification",
                    suggestion="delete it first, or use another name",
                )
            if have["State"]["Status"] == "created":
                await self._write_files(have["Id"], shape.nested_of(have["Config"]["Labels"]).spec)
            return self._compute(have)

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        """Keep the change for the next start, which makes the container anew with the same addresses."""
        async with self._lock(name):
            found = await self._inspect(name)
            now = self._compute(found)
            if now.state is ComputeState.FAILED:
                raise _refused("change", now)
            spec = self._spec(found)
            merged = {key: value for key, value in {**spec.env, **env}.items() if value != ""}
            by_path = {file.path: file for file in (*spec.files, *files)}
            pending = msgspec.structs.replace(
                spec,
                env=merged,
                files=tuple(by_path.values()),
                command=tuple(command) or spec.command,
                hosts={**spec.hosts, **(hosts or {})},
            )
            shape.check(pending)
            if pending != spec:
                self._notes.put(name, msgspec.structs.replace(self._notes.get(name), pending=pending))
            return self._compute(found)

    async def start_compute(self, name: str) -> Compute:
        """Start the container, its network first."""
        async with self._lock(name):
            found = await self._inspect(name)
            now = self._compute(found)
            if now.state is ComputeState.RUNNING:
                return now
            if now.state is ComputeState.FAILED:
                raise _refused("start", now)
            nested = shape.nested_of(found["Config"]["Labels"])
            pending = self._notes.get(name).pending
            wanted = msgspec.structs.replace(nested, spec=pending or nested.spec)
            if shape.needs_holder(wanted.spec):
                await self._connect(found, wanted, changed=pending is not None)
            elif pending is not None:
                await self._replace(found, wanted.spec)
            try:
                await self._engine.post(f"/containers/{self._container(name)}/start")
            except NotFoundError as missing:  # the Engine's answer to a program that is not there
                raise DriverError(missing.detail, call=f"start {name}", answer=missing.detail) from missing
            self._notes.drop(name)
            return self._compute(await self._inspect(name))

    async def _connect(self, found: Mapping[str, Any], wanted: shape.Nested, *, changed: bool) -> None:
        """Have the instance's network, and meanwhile a container that belongs to it."""
        holder, complete = await self._holders.have(wanted)
        belongs = found["HostConfig"]["NetworkMode"] == f"container:{holder}"
        replacing = asyncio.create_task(self._replace(found, wanted.spec)) if changed or not belongs else None
        try:
            if not complete:
                await self._holders.complete(wanted)
            elif wanted.spec.hosts:
                await self._holders.tell_names(wanted.spec)
        finally:
            if replacing:
                await replacing

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        """Stop the container; the Engine kills it after the grace."""
        found = await self._inspect(name)
        now = self._compute(found)
        if now.state in (ComputeState.CREATED, ComputeState.EXITED):
            return now
        if now.state is ComputeState.FAILED:
            raise _refused("stop", now)
        note = msgspec.structs.replace(self._notes.get(name), stopped_at=found["State"]["StartedAt"])
        self._notes.put(name, note)
        grace = self._spec(found).grace_s if grace_s is None else grace_s
        self._stopping.add(name)
        try:
            await self._stop(found["Id"], grace)
        finally:
            self._stopping.discard(name)
        return self._compute(await self._inspect(name))

    async def delete_compute(self, name: str) -> None:
        """Remove the container, its holder, and what else was made for it."""
        async with self._lock(name):
            try:
                spec = self._spec(await self._inspect(name))
            except NotFoundError:
                spec = None
            await self._engine.delete(f"/containers/{self._container(name)}", force=True, v=True)
            if spec is None or shape.needs_holder(spec):
                await self._holders.remove(name)
            if spec is None or spec.ports:
                await self._holders.remove_publishing()
            if spec is None or (spec.read_only and spec.files):
                await self._engine.delete(f"/images/{self._files_image(name)}")
            self._notes.drop(name)
        self._locks.pop(name, None)

    async def get_compute(self, name: str) -> Compute:
        """The instance as the Engine sees it now."""
        return self._compute(await self._inspect(name))

    async def list_compute(self) -> Sequence[Compute]:
        """This node's instances, by name."""
        names = sorted(one["Labels"][shape.NAME] for one in await self._containers("compute"))
        found = await asyncio.gather(*(self.get_compute(name) for name in names), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, NotFoundError):
                raise one
        return [one for one in found if isinstance(one, Compute)]

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        """Run a command in the container."""
        await self._running(name, "run a command in")
        return await self._commands.run(self._container(name), argv, stdin=stdin, env=env or {}, timeout_s=timeout_s)

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]:
        """What the container printed; with `follow` also over its restarts, until it is deleted."""
        await self._inspect(name)
        since, count = "0", "all" if tail is None else str(tail)
        while True:
            query = {
                "stdout": True,
                "stderr": True,
                "timestamps": True,
                "follow": follow,
                "since": since,
                "tail": count,
            }
            try:
                async with self._engine.stream(
                    "GET", f"/containers/{self._container(name)}/logs", query=query
                ) as pieces:
                    async for line in frames.log_lines(pieces):
                        yield line
                        since, count = frames.just_after(line.time), "all"
                if not follow:
                    return
                await self._until_running(name)
            except (NotFoundError, ConflictError):
                return  # deleted, or about to be

    async def stats(self, name: str) -> ComputeStats:
        """Counters of the container, and of its interfaces."""
        found = await self._running(name, "read the counters of")
        nested = shape.nested_of(found["Config"]["Labels"])
        query = {"stream": False, "one_shot": True}
        counters = await self._engine.get(f"/containers/{found['Id']}/stats", **query)
        if shape.needs_holder(nested.spec) and not counters.get("networks"):
            holder = await self._engine.get(f"/containers/{self._holders.name(name)}/stats", **query)
            counters["networks"] = holder.get("networks")
        return shape.stats_of(counters, [nic.device for nic in nested.nics])

    async def written_bytes(self, name: str) -> int:
        """The size of the container's own layer."""
        found = await self._inspect(name)
        sized = await self._engine.get(f"/containers/{found['Id']}/json", size=True)
        return int(sized.get("SizeRw") or 0)

    async def events(self) -> AsyncIterator[VimEvent]:
        """What happens to this node's instances, also over interruptions of the connection."""
        since, failures = "", 0
        while True:
            query = {"filters": {"type": ["container"], "label": [f"{shape.NODE}={self._node}"]}}
            try:
                async with self._engine.stream(
                    "GET", "/events", query={**query, **({"since": since} if since else {})}
                ) as got:
                    failures = 0
                    async for document in frames.documents(got):
                        since = frames.just_after_nano(int(document["timeNano"]))
                        event = frames.event_of(document, self._node)
                        if event and not (event.action == "deleted" and document["Actor"]["ID"] in self._replaced):
                            yield event
            except UnavailableError:
                failures += 1
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])

    async def resize(self, name: str, *, vcpus: float = 0.0, memory_bytes: int = 0) -> Compute:
        """Change the limits of the container, and of the one that another start may make of it."""
        async with self._lock(name):
            found = await self._inspect(name)
            now = self._compute(found)
            if now.state is ComputeState.FAILED:
                raise _refused("resize", now)
            await self._engine.post(f"/containers/{found['Id']}/update", shape.limits(vcpus, memory_bytes))
            spec = self._spec(found)
            limited = {"vcpus": vcpus or spec.vcpus, "memory_bytes": memory_bytes or spec.memory_bytes}
            pending = msgspec.structs.replace(spec, **limited)
            self._notes.put(name, msgspec.structs.replace(self._notes.get(name), pending=pending))
            return self._compute(await self._inspect(name))

    async def snapshot_compute(self, name: str, image: str) -> Image:
        """Commit the container; the Engine pauses it meanwhile."""
        async with self._lock(name):
            found = await self._inspect(name)
            return await self._images.commit(found["Id"], self._spec(found).image, image)

    async def list_strangers(self) -> Sequence[Stranger]:
        """What others made on this Engine."""
        return await strangers.find(self._engine, self._node)

    async def delete_stranger(self, stranger: Stranger) -> None:
        """Remove it; the volumes of a container stay."""
        await strangers.delete(self._engine, stranger)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _container(self, name: str) -> str:
        return shape.engine_name(self._node, name)

    def _files_image(self, name: str) -> str:
        return f"skerry.local/files:{ipam.digest(self._node, name, length=32)}"

    async def _containers(self, *roles: str) -> Sequence[Any]:
        filters = {"label": [f"{shape.NODE}={self._node}"]}
        found = await self._engine.get("/containers/json", all=True, filters=filters)
        return [one for one in found if one["Labels"].get(shape.ROLE) in roles]

    async def _inspect(self, name: str) -> Any:
        try:
            return await self._engine.get(f"/containers/{self._container(name)}/json")
        except NotFoundError as missing:
            raise NotFoundError(
                f"cannot find the instance {name}", suggestion="list the instances to see their names"
            ) from missing

    def _spec(self, found: Mapping[str, Any]) -> ComputeSpec:
        """The specification with what is to be merged into it at the next start."""
        spec = shape.nested_of(found["Config"]["Labels"]).spec
        return self._notes.get(spec.name).pending or spec

    def _compute(self, found: Mapping[str, Any]) -> Compute:
        spec = self._spec(found)
        note = self._notes.get(spec.name)
        made = shape.compute_of(found, spec=spec, stopped_at=note.stopped_at, host=self._machine.get("Name", ""))
        if made.state is ComputeState.RUNNING and spec.name in self._stopping:
            return msgspec.structs.replace(made, state=ComputeState.STOPPING)
        return made

    async def _running(self, name: str, verb: str) -> Any:
        found = await self._inspect(name)
        now = self._compute(found)
        if now.state is not ComputeState.RUNNING:
            raise _refused(verb, now)
        return found

    async def _until_running(self, name: str) -> None:
        """Wait for the next start; `NotFoundError` when it is deleted first."""
        while True:
            if (await self._inspect(name))["State"]["Running"]:
                return
            await asyncio.sleep(0.2)

    async def _create(self, spec: ComputeSpec) -> Compute:
        image = await self._image_reference(spec)
        async with self._addresses:
            nested = await self._allocate(spec)
            self._reserved[spec.name] = nested.nics
        try:
            await self._made(nested, image)
        except (DriverError, ConflictError, NotFoundError):
            await self._engine.delete(f"/containers/{self._container(spec.name)}", force=True, v=True)
            await self._holders.remove(spec.name)
            raise
        finally:
            self._reserved.pop(spec.name, None)
        return self._compute(await self._inspect(spec.name))

    async def _made(self, nested: shape.Nested, image: str) -> None:
        """Create the container, and meanwhile the holder that it will need."""
        if not shape.needs_holder(nested.spec):
            await self._make(nested, image, self._network(nested))
            return
        both = (self._make(nested, image, shape.WITHOUT), self._holders.prepare(nested))
        for ended in await asyncio.gather(*both, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def _make(self, nested: shape.Nested, image: str, network: Mapping[str, Any]) -> str:
        """Create the container with its files; returns its id."""
        name = nested.spec.name
        if nested.spec.read_only and nested.spec.files:
            image = await self._image_with_files(nested, image)
        body = shape.container(self._node, nested, image, network)
        made: str = (await self._engine.post("/containers/create", body, name=self._container(name)))["Id"]
        if not nested.spec.read_only:
            await self._write_files(made, nested.spec)
        return made

    def _network(self, nested: shape.Nested) -> Mapping[str, Any]:
        if shape.needs_holder(nested.spec):
            return {"HostConfig": {"NetworkMode": f"container:{self._holders.name(nested.spec.name)}"}}
        identity = shape.network_identity(nested.spec)
        if not nested.nics:
            return {**identity, "HostConfig": {**identity["HostConfig"], **shape.WITHOUT["HostConfig"]}}
        nic = nested.nics[0]
        network = shape.engine_name(self._node, nic.network)
        return {
            **identity,
            "MacAddress": nic.mac,
            "HostConfig": {**identity["HostConfig"], "NetworkMode": network},
            "NetworkingConfig": {"EndpointsConfig": {network: shape.endpoint(nic, nic.mac)}},
        }

    async def _write_files(self, container: str, spec: ComputeSpec) -> None:
        if spec.files:
            await self._engine.request(
                "PUT", f"/containers/{container}/archive", query={"path": "/"}, content=shape.file_tar(spec)
            )

    async def _image_with_files(self, nested: shape.Nested, image: str) -> str:
        """The Engine writes no files into a container whose root is read-only: an image has them instead."""
        target = self._files_image(nested.spec.name)
        body = {"Image": image, "Cmd": ["x"], "Labels": {shape.NODE: self._node, shape.ROLE: "once"}}
        made = (await self._engine.post("/containers/create", body))["Id"]
        try:
            await self._write_files(made, nested.spec)
            repository, _, tag = target.rpartition(":")
            origin = (await self._engine.get(f"/images/{image}/json"))["Config"]
            await self._engine.request(
                "POST", "/commit", body=origin, query={"container": made, "repo": repository, "tag": tag}
            )
        finally:
            await self._engine.delete(f"/containers/{made}", force=True, v=True)
        return target

    async def _replace(self, found: Mapping[str, Any], spec: ComputeSpec) -> None:
        """Make the container anew with another environment and files; what it wrote itself is lost."""
        before = shape.nested_of(found["Config"]["Labels"])
        nested = msgspec.structs.replace(before, spec=spec, generation=before.generation + 1)
        self._replaced.add(found["Id"])
        await self._engine.delete(f"/containers/{found['Id']}", force=True, v=True)
        await self._make(nested, await self._image_reference(spec), self._network(nested))

    async def _stop(self, container: str, grace_s: float) -> None:
        """The Engine counts whole seconds; a shorter grace is waited for here."""
        whole = int(grace_s)
        if grace_s > whole:
            await self._engine.post(f"/containers/{container}/kill", signal="SIGTERM")
            try:
                async with asyncio.timeout(grace_s):
                    await self._engine.request("POST", f"/containers/{container}/wait", patient=True)
                    return
            except TimeoutError:
                whole = 0
        await self._engine.request("POST", f"/containers/{container}/stop", query={"t": whole}, patient=True)

    async def _image_reference(self, spec: ComputeSpec) -> str:
        try:
            await self._images.get(spec.image)
        except NotFoundError as missing:
            raise NotFoundError(
                f"cannot create the instance {spec.name}: there is no image {spec.image}",
                suggestion="make the image available first",
            ) from missing
        return reference(spec.image)

    async def _allocate(self, spec: ComputeSpec) -> shape.Nested:
        """Addresses that no other instance has. Called under the lock of addresses."""
        there, containers = await asyncio.gather(self.list_networks(), self._containers("compute", "holder"))
        networks = {network.name: network for network in there}
        taken: dict[str, set[str]] = {}
        others = [one for one in containers if one["Labels"][shape.NAME] != spec.name]
        if len([one for one in others if one["Labels"][shape.ROLE] == "compute"]) >= self._settings.instances:
            raise RejectedError(
                f"cannot create the instance {spec.name}: all {self._settings.instances} instances are in use",
                suggestion="delete instances or place it elsewhere",
            )
        given = [*(shape.nested_of(one["Labels"]).nics for one in others), *self._reserved.values()]
        for nics in given:
            for nic in nics:
                taken.setdefault(nic.network, set()).add(nic.ip)
        own = ipam.allocate(spec.owner, spec.name, spec.nics, networks, taken)
        return shape.Nested(spec=spec, asked=shape.fingerprint(spec), nics=own)


def _refused(verb: str, compute: Compute) -> ConflictError:
    only = compute.state is ComputeState.FAILED
    return ConflictError(
        f"cannot {verb} {compute.name}: it is {compute.state}" + ("; it can only be deleted" if only else ""),
        suggestion="delete it and create it again" if only else "wait until its state allows it, or start it",
    )
