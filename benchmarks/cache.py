"""Pages in a mobile network: from their origin through the core, and from a cache between base station and core.

The network service of `examples/cache`, deployed from its packages. A phone behind a real base station and core asks for five
pages; the origin takes 30 ms for each. Times are those of `curl` in the phone, for whole pages of 20 kB.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Figure, Scale, median, rounded
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.packages import build
from skerry.settings import Settings, Vim
from skerry.vim.driver import Compute, Exec, Functions
from skerry.wiring import Node

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "cache"
PROGRAMS = ("runc", "conmon", "sgsnemu", "osmo-ggsn", "squid", "nft", "curl")
VDUS = {"base": "radio", "core": "ggsn", "origin": "web", "cache": "squid", "gateway": "lgw"}
PAGES = range(1, 6)
LIMIT_S = 120.0
FIGURES: Mapping[str, Figure] = {
    "cache.deploy_s": Figure("base station, core, gateway, cache and origin deployed, with two forwarding paths, s"),
    "cache.origin_ms": Figure("a page from the origin, through the core, ms"),
    "cache.miss_ms": Figure("a page through the cache that does not have it yet, ms"),
    "cache.hit_ms": Figure("the page from the cache, ms"),
    "cache.ratio": Figure("how many times sooner it comes from the cache", least=3),
}


class Fetched(msgspec.Struct):
    """A page as the phone got it: what the cache says of it, and how long it took."""

    status: str
    cache: str
    seconds: float


class Mobile:
    """A node with the service. `wire` has taps at the base station's and the core's own interfaces."""

    def __init__(self, node: Node, ns_id: str) -> None:
        self.node, self._ns_id = node, ns_id
        self.origin = ""
        self.wire: dict[str, Tap] = {}

    def member(self, name: str) -> VnfInstance:
        """A VNF of the service."""
        return self.node.vnfm.instance(self.node.nfvo.instance(self._ns_id).members[f"{name}-0"].vnf_instance_id)

    async def compute(self, name: str) -> Compute:
        """What the infrastructure says of a VNF's one VNFC."""
        return await (await self._driver()).get_compute(self._name(name))

    async def inside(self, name: str, script: str) -> str:
        """What a shell command prints in a VNF."""
        driver = await self._driver()
        assert isinstance(driver, Exec)
        done = await driver.exec(self._name(name), ["/bin/sh", "-c", script])
        assert done.exit_code == 0, done.stderr
        return done.stdout.decode().strip()

    async def handler(self, name: str) -> str:
        """A handler of the gateway."""
        driver = await self._driver()
        assert isinstance(driver, Functions)
        return await driver.read_handler(self._name("gateway"), name)

    async def attach(self) -> str:
        """The phone comes on line; its address."""
        shown = "ip -4 -o addr show ue0 2>/dev/null | grep inet"
        told = await self.inside("base", f"attach; for i in $(seq 600); do {shown} && exit; usleep 100000; done; false")
        return told.split()[3].partition("/")[0]

    async def get(self, page: int, port: int = 80) -> Fetched:
        """A page, asked for in the phone."""
        url = f"http://{self.origin}:{port}/cgi-bin/page/{page}"
        told = await self.inside("base", f"curl -sS -m 30 -o /dev/null -D - -w '%{{time_total}}' {url}")
        status, *lines, seconds = told.splitlines()
        cache = next((line.split()[1] for line in lines if line.startswith("X-Cache:")), "")
        return Fetched(status.split()[1], cache, float(seconds))

    def _name(self, name: str) -> str:
        return str(self.member(name).resources[f"compute:{VDUS[name]}-0"].spec["name"])

    async def _driver(self) -> Any:
        return await self.node.vims.driver("local")

    async def run(self, kind: str, params: Mapping[str, Any]) -> None:
        """An operation of the service, to its end."""
        begun = await self.node.nfvo.start(kind, self._ns_id, params)
        ended = await self.node.engine.wait(begun.id, LIMIT_S)
        assert ended.state is OperationState.COMPLETED, ended.error

    async def look(self, stack: ExitStack) -> None:
        """Where the origin is, and taps until the stack is closed."""
        self.origin = (await self.compute("origin")).nics[0].ip
        for name in ("base", "core"):
            with namespaces.inside(Path(f"/proc/{(await self.compute(name)).pid}/ns/net")):
                self.wire[name] = Tap("eth0")
            stack.callback(self.wire[name].close)


@asynccontextmanager
async def deployed(folder: Path, name: str) -> AsyncIterator[Mobile]:
    """The service on a node of its own in a folder; terminated at the end."""
    node = Node(Settings(data_dir=folder / "node", node=name, vims=(Vim(id="local", type="LOCAL"),)))
    await node.start()
    made: Mobile | None = None
    try:
        for source in ("base", "core", "origin", "squid", "gateway"):
            info = await node.catalogue.create_vnf_package({})
            await node.catalogue.upload_vnf_package(info.id, build(EXAMPLE / source, folder / f"{source}.csar"))
        nsd = await node.catalogue.create_nsd({})
        told = await node.catalogue.upload_nsd(nsd.id, build(EXAMPLE / "service", folder / "service.csar"))
        made = Mobile(node, (await node.nfvo.create(told.nsd_id, name="caching")).id)
        await made.run("ns.instantiate", {})
        with ExitStack() as stack:
            await made.look(stack)
            yield made
    finally:
        if made is not None:
            await made.run("ns.terminate", {})
            node = made.node
        await node.stop()


async def measure(scale: Scale, say: Callable[[str], None]) -> dict[str, float]:
    """Every figure; nothing where a program is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [one for one in PROGRAMS if not shutil.which(one, path=path)]:
        say(f"cache: not measured, these are not installed: {', '.join(missing)}")
        return {}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        async with deployed(Path(folder), f"cache{os.getpid() % 100000}") as mobile:
            took = time.perf_counter() - begun
            await mobile.attach()
            miss = [(await mobile.get(page)).seconds for page in PAGES]
            hit = [(await mobile.get(page)).seconds for _ in range(scale.rounds) for page in PAGES]
            far = [(await mobile.get(page, 8080)).seconds for _ in range(scale.rounds) for page in PAGES]
    return rounded(
        {
            "cache.deploy_s": took,
            "cache.origin_ms": 1000 * median(far),
            "cache.miss_ms": 1000 * median(miss),
            "cache.hit_ms": 1000 * median(hit),
            "cache.ratio": median(far) / median(hit),
        }.items()
    )
