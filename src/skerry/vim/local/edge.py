"""What all drivers of this host share: the networks of one edge host, who is connected to them, and worker threads."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from skerry.errors import ConflictError, DriverError
from skerry.vim import ipam
from skerry.vim.cabling import PlugSpec
from skerry.vim.driver import Capacity, ComputeSpec, DriverContext, Network, NetworkSpec, Nic, Tap, VimEvent
from skerry.vim.local import admission, watch
from skerry.vim.local.cables import Cables
from skerry.vim.local.links import Links
from skerry.vim.local.network import EdgeNetwork, Plug
from skerry.vim.local.news import News
from skerry.vim.local.settings import EdgeSettings

T = TypeVar("T")

Member = tuple[ComputeSpec, tuple[Nic, ...]]
"""An instance: its specification with its present limits, and its interfaces."""


class Edge:
    """The networks of one edge host. Whoever makes instances on them says so in `members`."""

    def __init__(self, settings: EdgeSettings, context: DriverContext) -> None:
        self._place, self.context = settings, context
        self.data = context.data_dir.resolve()
        node = re.sub(r"[^\w-]", "", context.node)[:10]
        tag = f"{node}-{ipam.digest(context.node, str(self.data), length=6)}"
        self.network = EdgeNetwork(tag, re.sub(r"[^\w.-]", "-", settings.host))
        self._links = Links(self.data / "networks", self.network, settings.pool)
        self._cables = Cables(self.data / "cables", self.network, settings.ports)
        self.news = News(context.clock)
        self.exits = watch.Exits()
        self._threads: ThreadPoolExecutor | None = None
        self._linking: ThreadPoolExecutor | None = None  # one thread: networks are made one after another

    @property
    def host(self) -> str:
        """The name of this host."""
        return self._place.host

    def members(self) -> list[Member]:
        """Every instance on these networks."""
        return []

    async def open(self) -> None:
        """Begin to work: make the networks' bridges again where missing."""
        self._threads = ThreadPoolExecutor(self._place.workers, thread_name_prefix="local-vim")
        self._linking = ThreadPoolExecutor(1, thread_name_prefix="local-net")
        await self.work(self._load)

    def _load(self) -> None:
        self._links.load()
        self._cables.load(self._links.all())

    async def close(self) -> None:
        """End the threads and whoever listens to events."""
        self.exits.close()
        self.news.end()
        for threads in (self._threads, self._linking):
            if threads:
                threads.shutdown(wait=True)
        self._threads = self._linking = None

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._in(self._threads, function, *arguments)

    async def _link(self, function: Callable[..., T], *arguments: object) -> T:
        """Work on networks, in the order of the calls and not behind instances, which take longer and wait for them."""
        return await self._in(self._linking, function, *arguments)

    @staticmethod
    async def _in(threads: ThreadPoolExecutor | None, function: Callable[..., T], *arguments: object) -> T:
        if threads is None:
            raise DriverError("cannot use the local driver: it is not open", suggestion="call open() first")
        return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)

    async def capacity(self) -> Capacity:
        settings = self._place
        disk = await self.work(os.statvfs, self.data)
        specs = [spec for spec, _ in self.members()]
        return Capacity(
            vcpus=settings.vcpus or (os.cpu_count() or 1) * settings.cpu_ratio,
            memory_bytes=settings.memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            storage_bytes=settings.storage_bytes or disk.f_blocks * disk.f_frsize,
            instances=settings.instances,
            used_vcpus=sum(spec.vcpus for spec in specs),
            used_memory_bytes=sum(spec.memory_bytes for spec in specs),
            used_storage_bytes=await self._stored() + sum(spec.storage_bytes for spec in specs),
            used_instances=len(specs),
        )

    async def _stored(self) -> int:
        """What images take, in bytes."""
        return 0

    async def create_network(self, spec: NetworkSpec) -> Network:
        network, fresh = await self._link(self._links.create, spec)
        if fresh:
            self.news.tell("network", spec.name, "created")
        return network

    async def delete_network(self, name: str) -> None:
        users = sorted(spec.name for spec, nics in self.members() if any(nic.network == name for nic in nics))
        if users:
            raise ConflictError(
                f"cannot delete the network {name}: {', '.join(users[:5])} are attached",
                suggestion="delete them first",
            )
        await self._link(self._cables.leave, name)
        if await self._link(self._links.delete, name):
            self.news.tell("network", name, "deleted")

    async def list_networks(self) -> Sequence[Network]:
        """The networks whose bridges the kernel has."""
        return await self._link(self._links.present)

    def physical_ports(self) -> Sequence[str]:
        """The ports of the settings."""
        return list(self._place.ports)

    async def plug_port(self, spec: PlugSpec) -> Tap:
        taken = {nic.ip for _, nics in self.members() for nic in nics if nic.network == spec.network}
        return await self._link(self._cables.plug, spec, self._links.get(spec.network), taken)

    async def unplug_port(self, port: str, owner: str) -> None:
        await self._link(self._cables.unplug, port, owner)

    async def list_plugged(self) -> Sequence[PlugSpec]:
        return self._cables.all()

    def admitted(self, spec: ComputeSpec, total: Capacity) -> tuple[Nic, ...]:
        """Addresses for one more instance that there is room for. No await in here: what is free now is taken at the
        return, when the caller counts it among its members."""
        members = self.members()
        admission.admit(spec, [one for one, _ in members], total)
        taken: dict[str, set[str]] = {nic.network: self._cables.taken(nic.network) for nic in spec.nics}
        for _, nics in members:
            for nic in nics:
                taken.setdefault(nic.network, set()).add(nic.ip)
        return ipam.allocate(spec.owner, spec.name, spec.nics, self._links.all(), taken)

    def plugged(self, spec: ComputeSpec, nics: Sequence[Nic]) -> list[Plug]:
        """What has to be made for these interfaces."""
        networks = self._links.all()
        return [Plug(nic, asked, networks[nic.network]) for nic, asked in zip(nics, spec.nics, strict=True)]

    @property
    def namespace(self) -> str:
        """Where the hosts' ends of interfaces are; it is made with the first network, unless somebody made it before."""
        return self.network.namespace

    def _tapped(self, id: str, nics: Sequence[Nic]) -> list[Tap]:
        return self.network.taps(id, nics)

    def events(self) -> AsyncIterator[VimEvent]:
        """Every event from this call on, until the driver is closed."""
        return self.news.listen()
