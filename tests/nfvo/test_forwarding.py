"""Forwarding paths of network services on the simulated infrastructure: laid, changed with their members, gone with them."""

from __future__ import annotations

import asyncio
import struct
from ipaddress import IPv4Address

import pytest

from skerry.dataplane.intents import Chain
from skerry.model.ns import NsInstance
from skerry.model.states import OperationState
from tests.nfvo.looking import machine_of, members, ns_scale
from tests.nfvo.paths import with_paths
from tests.vnfm.builder import Lab, csar, lab, vnf_folder

HOST = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
WALL = "{id: wall, vdus: {box: {nics: {left: ext, right: ext}}}}"
SERVICE = """
id: guarded
vnfs:
  client: {vnfd: host, links: {eth: lan}}
  wall: {vnfd: wall, links: {left: lan, right: lan}, max: 3}
  server: {vnfd: host, links: {eth: lan}}
links: {lan: 10.80.0.0/24}
aspects: {walls: {wall: [1, 2]}}
levels: {start: {client: 1, wall: 1, server: 1}}
"""
WEB = {
    "web": {
        "over": [["client"], ["wall", "left", "right"], ["server"]],
        "rules": {"port80": {"ether_type": "ipv4", "protocol": "tcp", "destination_port_range": [80, 80]}},
    }
}


async def deployed(it: Lab, text: str = SERVICE, paths: object = WEB, wall: str = WALL, **params: object) -> NsInstance:
    for vnf in (HOST, wall):
        await it.onboard(csar(vnf_folder(vnf)))
    await it.onboard_ns(csar(with_paths(text, paths)))  # type: ignore[arg-type]
    return await it.ns(text, **params)


def frame(it: Lab, ns: NsInstance, port: int, source: int = 40_000, sender: str = "") -> bytes:
    """A TCP segment of the client, or of who is behind it, to the server."""
    all_ = members(it, ns)
    there, back = (machine_of(it, all_[name]).nics[0] for name in ("server-0", "client-0"))
    macs = bytes.fromhex((there.mac + back.mac).replace(":", ""))
    tcp = struct.pack("!HHIIBBHHH", source, port, 0, 0, 0x50, 2, 1000, 0, 0)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
    return macs + b"\x08\x00" + ip + IPv4Address(sender or back.ip).packed + IPv4Address(there.ip).packed + tcp


def laid(it: Lab, ns: NsInstance) -> Chain:
    """The chain of the path of an NS."""
    return next(one for one in it.node.dataplane.intents(owner=f"ns:{ns.id}") if isinstance(one, Chain))


async def way(it: Lab, ns: NsInstance, port: int, source: int = 40_000, sender: str = "") -> list[str]:
    """The VNFCs that a segment of the client visits, the last one being where it ends."""
    owner = f"ns:{ns.id}"
    entry = next(one for one in it.node.dataplane.ports() if one.id.startswith(f"{owner}:client-0:"))
    trace = await it.node.dataplane.trace(entry.id, frame(it, ns, port, source, sender))
    assert not trace.looped
    return [*(one.split(":")[2] for one in trace.functions), *(one.port.split(":")[2] for one in trace.outputs)]


@pytest.mark.feature("A36", "A57", "E101")
def test_what_a_rule_matches_goes_through_the_function() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        assert ns.resources["forwarding:paths"].outputs["ports"]
        assert await way(it, ns, 80) == ["wall-0", "server-0"]
        assert "wall-0" not in await way(it, ns, 443)
        states = {view.state for view in await it.node.dataplane.rules() if view.rule.owner.startswith(f"ns:{ns.id}")}
        assert states <= {"EFFECTIVE", "VERIFIED"}
        assert states
        await it.done("ns.terminate", ns.id)
        assert it.node.dataplane.ports() == []
        assert it.node.dataplane.intents() == []
        assert it.node.dataplane.devices() == []

    lab(body)


@pytest.mark.feature("A57", "E98")
def test_more_functions_share_the_flows() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT", "walls"))
        ways = [(await way(it, ns, 80, source))[0] for source in range(40_000, 40_200)]
        assert set(ways) == {"wall-0", "wall-1"}
        assert 60 < ways.count("wall-0") < 140
        await it.done("ns.scale", ns.id, ns_scale("SCALE_IN", "walls"))
        assert {(await way(it, ns, 80, source))[0] for source in range(40_000, 40_050)} == {"wall-0"}

    lab(body)


@pytest.mark.feature("A57", "A87")
def test_paths_are_there_again_after_a_restart() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await it.restart()
        assert await way(it, ns, 80) == ["wall-0", "server-0"]

    lab(body)


@pytest.mark.feature("A57")
def test_a_path_over_what_is_not_there_is_refused_and_taken_back() -> None:
    async def body(it: Lab) -> None:
        wrong = {"web": {"over": [["client"], ["wall", "left", "upside-down"], ["server"]]}}
        ns = await deployed(it, paths=wrong, instantiate=False)
        ended = await it.run("ns.instantiate", ns.id, {"additionalParamsForNs": {"rollbackOnFailure": True}})
        assert ended.state is OperationState.ROLLED_BACK
        assert "wall has no connection point 'upside-down' on a link; there are: left, right" in ended.error
        assert it.nothing_left()
        assert it.node.dataplane.ports() == []

    lab(body)


SCALABLE = """
id: wall
vdus: {box: {nics: {left: ext, right: ext}, count: [1, 3]}}
aspects: {more: {max: 2, deltas: {box: [1]}}}
"""


@pytest.mark.feature("A57", "E98")
def test_what_could_not_be_laid_when_a_function_changed_is_laid_later() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it, wall=SCALABLE)
        wall = members(it, ns)["wall-0"].id
        it.world.fail("taps", times=9)
        await it.done("vnf.scale", wall, {"type": "SCALE_OUT", "aspectId": "more"})
        assert {(await way(it, ns, 80, source))[0] for source in range(40_000, 40_020)} == {"wall-0"}
        async with asyncio.timeout(600):  # of virtual time
            while len(laid(it, ns).hops[0].functions) < 2:
                await asyncio.sleep(1)

    lab(body)


@pytest.mark.feature("A57")
def test_paths_that_were_removed_while_they_were_laid_again_do_not_come_back() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await it.done("vnf.heal", members(it, ns)["wall-0"].id, {"vnfcInstanceId": ["box-0"]})
        before = it.world.calls("taps").total()
        while it.world.calls("taps").total() == before:
            await asyncio.sleep(0.1)
        await it.done("ns.terminate", ns.id)
        await asyncio.sleep(60)
        assert it.node.dataplane.intents() == []
        assert it.node.dataplane.ports() == []

    lab(body, {"sim": {"latency": {"*": 0.1, "taps": 3.0, "stop_compute": 30.0, "delete_compute": 30.0}}})
