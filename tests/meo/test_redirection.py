"""Traffic rules of deployed applications through the management: Mp1, Mm5, Mm3*, Mv1, and the paths of the network service. On
simulated infrastructures in two zones, each with a line from base stations to the core; frames are followed by trace."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skerry.api import body
from skerry.api.sol003 import types as vnf_wire
from skerry.api.sol005 import types as ns_wire
from skerry.dataplane.intents import Device, Port, Side, Topology, Wire
from skerry.errors import ForbiddenError
from skerry.meo.redirection import PlatformManagers, Redirection
from skerry.model.mec import RuleState, TrafficRule
from skerry.model.states import OperationState
from skerry.settings import Vim
from skerry.store import mec as store
from skerry.vim.simulated.world import world
from tests.api.rig import running
from tests.meo.packages import appd, dns, traffic
from tests.meo.test_lifecycle import Edge
from tests.mep.test_dns import dig, needs_dig

SUPPORT = "/mec_app_support/v1/applications"
ZONES = ("east", "west")
UE, SERVER = "10.45.0.7", "203.0.113.7"
POINTS = [{"cpdId": "platform"}, {"cpdId": "users"}]
RULE = traffic(dstInterface={"interfaceType": "IP", "dstIPAddress": "users"}, action="FORWARD_AS_IS")
APPD = appd(appExtCpd=POINTS, appTrafficRule=[RULE])


def frame() -> bytes:
    """A segment of a user, as a base station sends it."""
    tcp = struct.pack("!HHIIBBHHH", 40_000, 80, 0, 0, 0x50, 2, 1000, 0, 0)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
    ends = bytes.fromhex("020000000002020000000001")
    return ends + b"\x08\x00" + ip + IPv4Address(UE).packed + IPv4Address(SERVER).packed + tcp


@asynccontextmanager
async def edges(folder: Path, *, lines: bool = True, **settings: Any) -> AsyncGenerator[Edge]:
    """A node with its own data plane, in two zones. `lines`: they are declared; again in the same folder they are there.
    `settings` are the infrastructures' own."""
    names = {zone: f"{folder}-{zone}" for zone in ZONES}
    vims = tuple(
        Vim(id=f"v-{zone}", type="simulated", zone=zone, settings={"world": name, **settings})
        for zone, name in names.items()
    )
    views = {zone: (f"127.0.{number}.0/24",) for number, zone in enumerate(ZONES, 1)}
    async with running(folder, mec_dns="builtin", mec_zones=views, vims=vims) as rig:
        for zone in ZONES if lines else ():
            sides = enumerate(("RAN", "CORE"), 1)
            ports = tuple(
                Port(
                    id=f"{side.lower()}-{zone}",
                    device=zone,
                    side=Side(side),
                    interface=f"{side.lower()}-{zone}",
                    mac=f"02:00:00:00:00:0{number}",
                )
                for number, side in sides
            )
            device = Device(id=zone, engine="simulated", zone=zone)
            await rig.node.dataplane.put_topology(Topology(devices=(device,), ports=ports))
            await rig.node.dataplane.put(Wire(id=f"line-{zone}", a=f"ran-{zone}", b=f"core-{zone}"))
        yield Edge(rig, None, {f"v-{zone}": world(name) for zone, name in names.items()})  # type: ignore[arg-type]


async def leaves(edge: Edge, zone: str) -> set[str]:
    """Where a user's segment comes out that a base station of a zone sends."""
    trace = await edge.rig.node.dataplane.trace(f"ran-{zone}", frame())
    return {"app" if one.port.startswith("ns:") else one.port for one in trace.outputs}


async def paths(edge: Edge, id: str) -> dict[str, Any]:
    """The forwarding paths of the application's network service, by id, over SOL005."""
    ns = (await edge.shown(id))["nsInstanceId"]
    graphs = (await edge.client.get(f"/nslcm/v2/ns_instances/{ns}")).json()["vnffgInfo"]
    return {nfp["id"]: nfp for graph in graphs for nfp in graph.get("nfpInfo", ())}


async def put(edge: Edge, id: str, **changes: Any) -> Any:
    """Change the rule as the application does it, over Mp1."""
    path = f"{SUPPORT}/{id}/traffic_rules/t1"
    now = (await edge.client.get(path)).json()
    return await edge.client.put(path, json={**now, **changes})


@pytest.mark.feature("E19", "E20")
async def test_a_rule_becomes_a_path_of_the_network_service_hop_by_hop(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        id = await edge.running(APPD)
        assert (await leaves(edge, "east"), await leaves(edge, "west")) == ({"app"}, {"core-west"})
        path = (await paths(edge, id))["t1"]
        assert path["cpGroup"][0]["cpPairInfo"] == [{"vnfExtCpIds": ["app/users"]}]
        assert path["nfpRule"]["destinationIpAddressPrefix"] == "203.0.113.7/32"
        answer = await put(edge, id, state="INACTIVE")
        assert (answer.status_code, await paths(edge, id), await leaves(edge, "east")) == (200, {}, {"core-east"})
        assert (await put(edge, id, state="ACTIVE")).status_code == 200
        assert await leaves(edge, "east") == {"app"}
        events = edge.rig.node.engine.events.since(0, subject=id, kind="mec")
        hops = [(one.name, one.state) for one in events if one.name in ("Mm5", "Mm3*", "Mv1")]
        assert hops == [("Mm5", "ASKED"), ("Mm3*", "ASKED"), ("Mv1", "ASKED"), ("Mv1", "COMPLETED")] * 3
        ports = [port.id for port in edge.rig.node.dataplane.ports() if port.id.startswith("ns:")]
        assert len(ports) == 1, "the interface for users, and not the one for the platform"
        await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
        assert await leaves(edge, "east") == {"core-east"}
        assert not [port for port in edge.rig.node.dataplane.ports() if port.id.startswith("ns:")]


@pytest.mark.feature("E19")
async def test_what_is_refused_on_the_way_comes_back_and_the_old_rule_stays(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        id = await edge.running(APPD)
        elsewhere = {"interfaceType": "IP", "dstIpAddress": "192.0.2.9"}
        answer = await put(edge, id, dstInterface=elsewhere)
        assert answer.status_code == 409
        assert "no port of the data plane leads to 192.0.2.9" in answer.json()["detail"]
        shown = (await edge.client.get(f"{SUPPORT}/{id}/traffic_rules/t1")).json()
        assert (shown["state"], shown["dstInterface"]["dstIpAddress"] != "192.0.2.9") == ("ACTIVE", True)
        assert set(await paths(edge, id)) == {"t1"}
        assert await leaves(edge, "east") == {"app"}
        assert edge.rig.node.engine.operations(prefix="ns.update")[-1].state is OperationState.ROLLED_BACK


@pytest.mark.feature("E19")
async def test_a_change_that_a_stop_interrupted_goes_on_after_it(tmp_path: Path) -> None:
    """The platform has recorded what it wants and the node dies before the NFVO heard of it."""
    async with edges(tmp_path) as edge:
        id = await edge.running(APPD)
        assert (await put(edge, id, state="INACTIVE")).status_code == 200
        node = edge.rig.node
        rule = node.mep.rules.get("traffic", id, "t1")
        assert isinstance(rule.traffic, TrafficRule)
        wanted = msgspec.structs.replace(rule.traffic, state=RuleState.ACTIVE)
        begun = msgspec.structs.replace(rule, wanted_traffic=wanted)
        await node.store.write(lambda tx: store.rules.put(tx, begun))
        assert await leaves(edge, "east") == {"core-east"}
    async with edges(tmp_path, lines=False) as edge:
        await edge.rig.node.mep.resume()
        rule = edge.rig.node.mep.rules.get("traffic", id, "t1")
        assert (rule.wanted_traffic, rule.traffic) == (None, wanted)
        assert await leaves(edge, "east") == {"app"}
        assert set(await paths(edge, id)) == {"t1"}


@pytest.mark.feature("E19")
async def test_a_change_that_the_nfvo_had_begun_when_the_node_stopped_ends_after_it(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        id = await edge.running(APPD)
        assert (await put(edge, id, state="INACTIVE")).status_code == 200
    async with edges(tmp_path, lines=False, latency={"taps": 1.0}) as edge:
        engine = edge.rig.node.engine
        before = len(engine.operations(prefix="ns.update"))
        asking = asyncio.create_task(put(edge, id, state="ACTIVE"))
        async with asyncio.timeout(20):
            while len(engine.operations(prefix="ns.update")) == before:
                await asyncio.sleep(0.01)
        await engine.stop()
        answer = await asking
        assert answer.status_code == 503, answer.text
        assert "the change goes on when the node is back" in answer.json()["suggestion"]
    async with edges(tmp_path, lines=False) as edge:
        await edge.rig.node.mep.resume()
        rule = edge.rig.node.mep.rules.get("traffic", id, "t1")
        assert rule.wanted_traffic is None
        assert rule.traffic is not None
        assert rule.traffic.state is RuleState.ACTIVE
        assert await leaves(edge, "east") == {"app"}


@pytest.mark.feature("E20")
async def test_each_zone_has_a_platform_and_a_manager_that_leaves_others_alone(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        first = await edge.running(APPD)
        second = await edge.created("app-1")
        west = {"selectedMECHostInfo": [{"hostId": {"id": "west"}}]}
        assert (await edge.does(second, "instantiate", west))["operationState"] == "COMPLETED"
        shown = {one["zone"]: one for one in (await edge.client.get("/skerry/v1/mep/platforms")).json()}
        assert {zone: (one["apps"], one["traffic_rules"]) for zone, one in shown.items()} == {
            "east": (1, 1),
            "west": (1, 1),
        }
        assert {one["manager"] for one in shown.values()} == {"mepm-east", "mepm-west"}
        assert (await put(edge, first, state="INACTIVE")).status_code == 200
        assert (await leaves(edge, "east"), await leaves(edge, "west")) == ({"core-east"}, {"app"})
        managers = PlatformManagers(Redirection(edge.rig.node.meo.desk, edge.rig.node.engine))
        with pytest.raises(ForbiddenError, match="it is in 'west'"):
            await managers.at("east").redirect(second, ())
        assert await leaves(edge, "west") == {"app"}


@pytest.mark.feature("E19")
async def test_an_application_that_came_by_itself_goes_straight_to_the_data_plane(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        made = await edge.client.post("/mec_app_support/v1/registrations", json={"appName": "guest"})
        id = made.headers["Location"].rpartition("/")[2]
        drop = {**RULE, "action": "DROP", "state": "ACTIVE", "dstInterface": None}
        answer = await edge.client.put(f"{SUPPORT}/{id}/traffic_rules/t1", json=drop)
        assert answer.status_code == 200, answer.text
        assert await leaves(edge, "east") == set()
        assert edge.rig.node.engine.operations(prefix="ns.update") == []


async def relocated(edge: Edge, id: str) -> None:
    """Have it moved to the other host."""
    asked = await edge.client.post(f"/mm3/v1/applications/{id}/relocate", json={})
    ended = await edge.rig.node.engine.wait(asked.headers["Location"].rpartition("/")[2], 20)
    assert ended.state == "COMPLETED", ended.error


@needs_dig
@pytest.mark.feature("E21")
async def test_rules_follow_as_the_application_had_changed_them_and_names_lead_there(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        id = await edge.running({**APPD, "appDNSRule": [dns(address="users", ttl=9)]})
        other = [{"dstAddress": ["203.0.113.7/32"], "dstPort": ["80", "81"], "protocol": ["6"]}]
        assert (await put(edge, id, trafficFilter=other, priority=77)).status_code == 200
        await relocated(edge, id)
        (rule,) = (await edge.client.get(f"{SUPPORT}/{id}/traffic_rules")).json()
        assert (rule["priority"], rule["trafficFilter"][0]["dstPort"]) == (77, ["80", "81"])
        assert (await leaves(edge, "east"), await leaves(edge, "west")) == ({"core-east"}, {"app"})
        (now,) = [one.ip for one in edge.rig.node.meo.addresses(id, tenant="default") if one.cpd_id == "users"]
        assert rule["dstInterface"]["dstIpAddress"] == now
        server = edge.rig.node.mep.names.address
        assert server is not None
        assert await dig(server, "web.edge.example", source="127.0.2.1") == ["NOERROR", f"9 A {now}"]
        assert await dig(server, "web.edge.example", source="127.0.1.1") == ["NXDOMAIN"]
        assert (await edge.client.get("/skerry/v1/mep/dns_rules")).json()["rules"][0]["zone"] == "west"
        await edge.does(id, "operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
        assert await leaves(edge, "west") == {"core-west"}
        await edge.does(id, "operate", {"changeStateTo": "STARTED"})
        assert await leaves(edge, "west") == {"app"}


ORCHESTRATED = {
    "ns.instantiate": ns_wire.InstantiateNsRequest,
    "ns.update": ns_wire.UpdateNsRequest,
    "ns.terminate": ns_wire.TerminateNsRequest,
}
MANAGED = {
    "vnf.instantiate": vnf_wire.InstantiateVnfRequest,
    "vnf.operate": vnf_wire.OperateVnfRequest,
    "vnf.terminate": vnf_wire.TerminateVnfRequest,
}


@pytest.mark.feature("B11")
async def test_the_log_of_calls_has_requests_of_the_standards_only(tmp_path: Path) -> None:
    """A whole life of an application: the journal is the log. At the NFVO are SOL005 requests for it, what the NFVO
    has done at the VNFM are SOL003 requests, and nothing reaches a VNF but through the NFVO."""
    async with edges(tmp_path) as edge:
        id = await edge.running(APPD)
        await edge.does(id, "operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
        await edge.does(id, "operate", {"changeStateTo": "STARTED"})
        assert (await put(edge, id, state="INACTIVE")).status_code == 200
        await relocated(edge, id)
        await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
        log = {one.id: one for one in edge.rig.node.engine.operations()}
        kinds = {one.kind for one in log.values()}
        assert {kind for kind in kinds if kind.startswith("ns.")} == set(ORCHESTRATED)
        assert {kind for kind in kinds if kind.startswith("vnf.")} == set(MANAGED)
        for one in log.values():
            above = log[one.parent].kind.partition(".")[0] if one.parent else ""
            level = one.kind.partition(".")[0]
            assert (level, above) in {("app", ""), ("ns", "app"), ("ns", ""), ("vnf", "ns")}, one.kind
            if known := {**ORCHESTRATED, **MANAGED}.get(one.kind):
                body.params(dict(one.params), known)
        alone = {one.kind for one in log.values() if one.kind.startswith("ns.") and not one.parent}
        assert alone == {"ns.update"}, "redirections over Mm5 and Mm3*"
