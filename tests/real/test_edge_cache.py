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
from pathlib import Path

import msgspec
import pytest

from benchmarks.cache import PAGES, PROGRAMS, Mobile, deployed
from skerry.dataplane import packets
from skerry.dataplane.flows import Field
from skerry.linux import namespaces
from skerry.wiring import Node
from tests.conformance.rigs import RIGS

# The service is that of `examples/cache`.
MISSING = [one for one in PROGRAMS if not shutil.which(one, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=f"needs root and {', '.join(PROGRAMS)}"),
]


@pytest.fixture
async def mobile(tmp_path: Path) -> AsyncIterator[Mobile]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    name = f"mc{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    async with deployed(tmp_path, name) as made:
        yield made
    plane = made.node.dataplane
    assert [*plane.ports(), *plane.intents(), *plane.devices()] == []
    assert list(RIGS["LOCAL"](tmp_path).leftovers(name)) == []


def users_packets(mobile: Mobile, name: str) -> list[packets.Parsed]:
    """What came in tunnels to an end of the line since the last look."""
    seen = [packets.parse(frame) for left, frame in mobile.wire[name].frames() if not left]
    return [one for one in seen if one.inner]


@pytest.mark.feature("C28", "C39", "C40", "C80")
async def test_pages_are_cached_inside_of_the_mobile_network(mobile: Mobile) -> None:
    states = {view.state for view in await mobile.node.dataplane.rules() if "nfp" in view.rule.owner}
    assert states == {"VERIFIED"}
    user = await mobile.attach()
    sessions = msgspec.json.decode(await mobile.handler("sessions"))["users"]
    assert sessions.keys() == {user}, "the gateway has read the control plane that passed it"
    up, down = sessions[user]["up"]["teid"], sessions[user]["down"]["teid"]
    for name in ("base", "core"):
        users_packets(mobile, name)

    # Each page twice at the edge: the origin is asked once, and nothing of it gets to the core.
    first = [await mobile.get(page) for page in PAGES]
    again = [await mobile.get(page) for page in PAGES]
    assert {(one.status, one.cache) for one in first} == {("200", "MISS")}
    assert {(one.status, one.cache) for one in again} == {("200", "HIT")}
    cache = (await mobile.compute("cache")).nics[1].ip
    asked = (await mobile.inside("origin", "cat /var/log/requests")).splitlines()
    assert asked == [f"[::ffff:{cache}] /{page}" for page in PAGES]
    log = (await mobile.inside("cache", "cat /var/log/squid/access.log")).splitlines()
    assert [line.split()[3].partition("/")[0] for line in log] == ["TCP_MISS"] * 5 + ["TCP_MEM_HIT"] * 5
    assert {line.split()[2] for line in log} == {user}
    assert users_packets(mobile, "core") == []
    answers = users_packets(mobile, "base")
    assert {one.fields[Field.GTP_TEID] for one in answers} == {down}, "in the tunnel that the base station expects"
    assert max(len(one.frame) for one in answers) <= 1514
    assert int(await mobile.handler("diverted")) > 0

    # Another port is nobody's business here: through the core to the origin.
    far = [await mobile.get(page, 8080) for page in PAGES]
    assert {(one.status, one.cache) for one in far} == {("200", "")}
    assert (await mobile.inside("origin", "cat /var/log/requests")).splitlines()[5:] == [
        f"[::ffff:{user}] /{page}" for page in PAGES
    ]
    assert {one.fields[Field.GTP_TEID] for one in users_packets(mobile, "core")} == {up}
    took = {name: [1000 * one.seconds for one in of] for name, of in (("edge", again), ("miss", first), ("core", far))}
    print({name: [round(one, 1) for one in times] for name, times in took.items()})  # noqa: T201  # the measurement
    assert min(took["core"]) > 30
    assert min(took["edge"]) < min(took["core"])


@pytest.mark.feature("A87", "C40")
async def test_pages_come_from_the_cache_while_no_node_runs_and_after_it_is_back(mobile: Mobile) -> None:
    await mobile.attach()
    url = f"http://{mobile.origin}/cgi-bin/page/1"
    assert (await mobile.get(1)).cache == "MISS"
    pid = (await mobile.compute("base")).pid
    await mobile.node.stop()
    assert await asyncio.to_thread(fetched, pid, url) == "HIT from edge-cache"
    mobile.node = Node(mobile.node.settings)
    await mobile.node.start()
    assert (await mobile.get(1)).cache == "HIT"
    before = int(await mobile.handler("diverted"))
    assert (await mobile.get(1)).cache == "HIT"
    assert int(await mobile.handler("diverted")) > before, "the node has found the gateway again"


def fetched(pid: int, url: str) -> str:
    """What the cache says of a page that is asked for in the network of a process."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with namespaces.inside(Path(f"/proc/{pid}/ns/net")), opener.open(url, timeout=30) as answer:
        answer.read()
        return str(answer.headers["X-Cache"])
