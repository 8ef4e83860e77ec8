"""Mobile edge caching: a phone behind a real core asks for pages, which a gateway between base station and core takes to Squid.

The service of the example, deployed from its packages: `sgsnemu` and `osmo-ggsn`, the local gateway as a micro network
function, Squid, an origin that answers after 30 ms. Observed at the origin, at the cache, and on the wire at both ends of the
tunnel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import urllib.request
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from skerry.dataplane import packets
from skerry.dataplane.flows import Field
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.model.ns import NsInstance
from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.vim.driver import Functions
from skerry.wiring import Node
from tests.conformance.rigs import RIGS, Rig
from tests.real.conftest import Plant

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cache"
PROGRAMS = ("sgsnemu", "osmo-ggsn", "squid", "nft", "curl")
VDUS = {"base": "radio", "core": "ggsn", "origin": "web", "cache": "squid", "gateway": "lgw"}
PAGES = range(1, 6)
MISSING = [one for one in PROGRAMS if not shutil.which(one, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=f"needs root and {', '.join(PROGRAMS)}"),
]


class Fetched(msgspec.Struct):
    """A page as the phone got it: what the cache says of it, and how long it took."""

    status: str
    cache: str
    seconds: float


class Mobile(Plant):
    """A node with the service; `wire` are taps at the base station's and the core's own interfaces."""

    ns: NsInstance
    origin: str
    wire: dict[str, Tap]

    async def deploy(self, stack: ExitStack) -> None:
        for name in ("base", "core", "origin", "squid", "gateway", "service"):
            await self.onboard(EXAMPLE / name)
        self.ns = await self.node.nfvo.create("7c1e5a60-2b1d-4f0e-9a51-3f1b0c9d4e10", name="caching")
        await self.run("ns.instantiate", self.ns.id, {})
        self.origin = (await self.compute(self.member("origin"), "web-0")).nics[0].ip
        self.wire = {}
        for name in ("base", "core"):
            pid = (await self.compute(self.member(name), f"{VDUS[name]}-0")).pid
            with namespaces.inside(Path(f"/proc/{pid}/ns/net")):
                self.wire[name] = Tap("eth0")
            stack.callback(self.wire[name].close)

    def member(self, name: str) -> VnfInstance:
        return self.node.vnfm.instance(self.node.nfvo.instance(self.ns.id).members[f"{name}-0"].vnf_instance_id)

    async def inside(self, name: str, script: str) -> str:
        return await self.sh(self.member(name), f"{VDUS[name]}-0", script)

    async def handler(self, name: str) -> str:
        """A handler of the gateway."""
        driver = await self.driver()
        assert isinstance(driver, Functions)
        return await driver.read_handler(self.member("gateway").resources["compute:lgw-0"].spec["name"], name)

    async def attach(self) -> str:
        """The phone comes on line; its address."""
        await self.inside("base", "attach")
        async with asyncio.timeout(60):
            while not (told := await self.inside("base", "ip -4 -o addr show ue0 2>/dev/null || true")):
                await asyncio.sleep(0.05)
        return told.split()[3].partition("/")[0]

    async def get(self, url: str) -> Fetched:
        """A page, asked for in the phone."""
        told = await self.inside("base", f"curl -sS -m 30 -o /dev/null -D - -w '%{{time_total}}' {url}")
        status, *lines, seconds = told.splitlines()
        cache = next((line.split()[1] for line in lines if line.startswith("X-Cache:")), "")
        return Fetched(status.split()[1], cache, float(seconds))

    def users_packets(self, name: str) -> list[packets.Parsed]:
        """What came in tunnels to an end of the line since the last look."""
        seen = [packets.parse(frame) for left, frame in self.wire[name].frames() if not left]
        return [one for one in seen if one.inner]


@pytest.fixture
async def mobile(tmp_path: Path) -> AsyncIterator[Mobile]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    rig: Rig = RIGS["LOCAL"](tmp_path)
    name = f"mc{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type="LOCAL", settings=rig.settings())
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,)))
    await node.start()
    made = Mobile(node, rig, tmp_path)
    with ExitStack() as stack:
        await made.deploy(stack)
        yield made
    node = made.node
    await made.run("ns.terminate", made.ns.id, {})
    left = [*node.dataplane.ports(), *node.dataplane.intents(), *node.dataplane.devices()]
    await node.stop()
    rig.stop()
    assert left == []
    assert list(rig.leftovers(name)) == []


@pytest.mark.feature("C28", "C39", "C40", "C80")
async def test_pages_are_cached_inside_of_the_mobile_network(mobile: Mobile) -> None:
    states = {view.state for view in await mobile.node.dataplane.rules() if "nfp" in view.rule.owner}
    assert states == {"VERIFIED"}
    user = await mobile.attach()
    sessions = msgspec.json.decode(await mobile.handler("sessions"))["users"]
    assert sessions.keys() == {user}, "the gateway has read the control plane that passed it"
    up, down = sessions[user]["up"]["teid"], sessions[user]["down"]["teid"]
    for name in ("base", "core"):
        mobile.users_packets(name)

    # Each page twice at the edge: the origin is asked once, and nothing of it gets to the core.
    first = [await mobile.get(f"http://{mobile.origin}/cgi-bin/page/{page}") for page in PAGES]
    again = [await mobile.get(f"http://{mobile.origin}/cgi-bin/page/{page}") for page in PAGES]
    assert {(one.status, one.cache) for one in first} == {("200", "MISS")}
    assert {(one.status, one.cache) for one in again} == {("200", "HIT")}
    cache = (await mobile.compute(mobile.member("cache"), "squid-0")).nics[1].ip
    asked = (await mobile.inside("origin", "cat /var/log/requests")).splitlines()
    assert asked == [f"[::ffff:{cache}] /{page}" for page in PAGES]
    log = (await mobile.inside("cache", "cat /var/log/squid/access.log")).splitlines()
    assert [line.split()[3].partition("/")[0] for line in log] == ["TCP_MISS"] * 5 + ["TCP_MEM_HIT"] * 5
    assert {line.split()[2] for line in log} == {user}
    assert mobile.users_packets("core") == []
    answers = mobile.users_packets("base")
    assert {one.fields[Field.GTP_TEID] for one in answers} == {down}, "in the tunnel that the base station expects"
    assert max(len(one.frame) for one in answers) <= 1514
    assert int(await mobile.handler("diverted")) > 0

    # Another port is nobody's business here: through the core to the origin.
    far = [await mobile.get(f"http://{mobile.origin}:8080/cgi-bin/page/{page}") for page in PAGES]
    assert {(one.status, one.cache) for one in far} == {("200", "")}
    assert (await mobile.inside("origin", "cat /var/log/requests")).splitlines()[5:] == [
        f"[::ffff:{user}] /{page}" for page in PAGES
    ]
    assert {one.fields[Field.GTP_TEID] for one in mobile.users_packets("core")} == {up}
    took = {name: [1000 * one.seconds for one in of] for name, of in (("edge", again), ("miss", first), ("core", far))}
    print({name: [round(one, 1) for one in times] for name, times in took.items()})  # noqa: T201  # the measurement
    assert min(took["core"]) > 30
    assert min(took["edge"]) < min(took["core"])


@pytest.mark.feature("A87", "C40")
async def test_pages_come_from_the_cache_while_no_node_runs_and_after_it_is_back(mobile: Mobile) -> None:
    await mobile.attach()
    url = f"http://{mobile.origin}/cgi-bin/page/1"
    assert (await mobile.get(url)).cache == "MISS"
    pid = (await mobile.compute(mobile.member("base"), "radio-0")).pid
    await mobile.node.stop()
    assert await asyncio.to_thread(fetched, pid, url) == "HIT from edge-cache"
    mobile.node = Node(mobile.node.settings)
    await mobile.node.start()
    assert (await mobile.get(url)).cache == "HIT"
    before = int(await mobile.handler("diverted"))
    assert (await mobile.get(url)).cache == "HIT"
    assert int(await mobile.handler("diverted")) > before, "the node has found the gateway again"


def fetched(pid: int, url: str) -> str:
    """What the cache says of a page that is asked for in the network of a process."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with namespaces.inside(Path(f"/proc/{pid}/ns/net")), opener.open(url, timeout=30) as answer:
        answer.read()
        return str(answer.headers["X-Cache"])
