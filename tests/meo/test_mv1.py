"""Applications on what the NFVO of somebody else has: that of a second node over SOL005, and one that speaks as OSM does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.asyncquery
import dns.message
import pytest

from skerry.errors import DriverError
from skerry.meo.mv1 import Services, Sol005, Wish
from skerry.meo.mv1_osm import Osm
from skerry.mep.steering import SimulatedSteering
from skerry.notifications.wire import Answer
from skerry.settings import ServiceNfvo, Vim
from skerry.vim.simulated.world import world
from tests.api.rig import running
from tests.meo.packages import appd, traffic
from tests.meo.packages import dns as dns_rule
from tests.meo.test_lifecycle import Edge
from tests.notifications.receiver import Got, Reply, receiving
from tests.serving import served

ZONES = {"far": ("127.0.0.0/8",)}
FAR = {"selectedMECHostInfo": [{"hostId": {"id": "far"}}]}


@asynccontextmanager
async def orchestrator(folder: Path, **nfvo: Any) -> AsyncGenerator[Edge]:
    """A node with an infrastructure of its own in one zone and an NFVO of somebody else in another."""
    own = Vim(id="own", type="simulated", zone="near", settings={"world": f"{folder}-own"})
    far = ServiceNfvo(id="far-nfvo", zone="far", **nfvo)
    folder.mkdir()
    async with running(
        folder, steering=SimulatedSteering(), mec_dns="builtin", mec_zones=ZONES, vims=(own,), service_nfvos=(far,)
    ) as rig:
        yield Edge(rig, SimulatedSteering(), {"own": world(f"{folder}-own")})


@pytest.mark.feature("E14")
async def test_an_application_on_the_infrastructure_of_another_node(tmp_path: Path) -> None:
    async with (
        running(tmp_path, plain=True, anonymous=True) as nfvo,
        served(nfvo) as endpoint,
        orchestrator(tmp_path / "meo", endpoint=endpoint) as edge,
    ):
        machines = world(str(tmp_path)).has.machines
        id = await edge.running(appd(appDNSRule=[dns_rule()]), **FAR)
        (machine,) = machines.values()
        assert machine.compute.state.value == "RUNNING"
        shown = await edge.shown(id)
        (ns,) = (await nfvo.client.get("/nslcm/v2/ns_instances")).json()
        assert (shown["nsInstanceId"], ns["nsdId"]) == (ns["id"], "app-1-ns")
        ip = machine.compute.nics[0].ip
        assert shown["communicationInterface"]["ipAddresses"] == [{"host": ip, "port": 80}]
        host, _, port = (await edge.client.get("/skerry/v1/mep/dns_rules")).json()["server"].partition("#")
        question = dns.message.make_query("web.edge.example", "A")
        answer = await dns.asyncquery.udp(question, host, timeout=10, port=int(port))
        assert [str(one) for one in answer.answer[0]] == [ip], "the platform here answers with the address there"
        assert edge.machines() == {}
        for state, now in (("STOPPED", "EXITED"), ("STARTED", "RUNNING")):
            done = await edge.does(id, "operate", {"changeStateTo": state, "stopType": "FORCEFUL"})
            assert done["operationState"] == "COMPLETED", edge.error(id)
            assert machine.compute.state.value == now
        await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
        assert machines == {}
        assert (await nfvo.client.get("/nslcm/v2/ns_instances")).json() == []
        assert len((await nfvo.client.get("/vnfpkgm/v2/vnf_packages")).json()) == 1, "for the next one"
        again = await edge.created()
        assert (await edge.does(again, "instantiate", FAR))["operationState"] == "COMPLETED"
        assert len((await nfvo.client.get("/vnfpkgm/v2/vnf_packages")).json()) == 1


@pytest.mark.feature("E14")
async def test_what_fails_there_is_told_and_goes_on_after_a_retry(tmp_path: Path) -> None:
    async with (
        running(tmp_path, plain=True, anonymous=True) as nfvo,
        served(nfvo) as endpoint,
        orchestrator(tmp_path / "meo", endpoint=endpoint) as edge,
    ):
        await edge.onboard(appd())
        id = await edge.created()
        world(str(tmp_path)).fail("start_compute", transient=False, message="no such program")
        failed = await edge.does(id, "instantiate", FAR)
        assert failed["operationState"] == "FAILED_TEMP"
        assert "no such program" in edge.error(id)
        retried = await edge.client.post(f"/app_lcm/v1/app_lcm_op_occs/{failed['id']}/retry")
        assert retried.status_code == 202
        await edge.rig.node.engine.wait(failed["id"], 60)
        assert (await edge.shown(id))["instantiationState"] == "INSTANTIATED", edge.error(id)
        assert len((await nfvo.client.get("/nslcm/v2/ns_instances")).json()) == 1
        led = await edge.created()
        rules = {"appTrafficRule": [traffic()]}
        await edge.onboard(appd("led", **rules))
        led = await edge.created("led")
        refused = await edge.client.post(f"/app_lcm/v1/app_instances/{led}/instantiate", json=FAR)
        assert refused.status_code == 422
        assert "no traffic can be led" in refused.text


@pytest.mark.feature("E14")
async def test_an_application_of_any_name(tmp_path: Path) -> None:
    async with (
        running(tmp_path, plain=True, anonymous=True) as nfvo,
        served(nfvo) as endpoint,
        orchestrator(tmp_path / "meo", endpoint=endpoint) as edge,
    ):
        id = await edge.running(appd(appName="Video, live (it's)"), **FAR)
        (ns,) = (await nfvo.client.get("/nslcm/v2/ns_instances")).json()
        assert ns["nsInstanceName"].startswith("Video, live (it's)-")
        await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
        assert (await nfvo.client.get("/nslcm/v2/ns_instances")).json() == []


@pytest.mark.feature("E14")
async def test_a_package_that_is_refused_there_leaves_nothing_there(tmp_path: Path) -> None:
    async with (
        running(tmp_path, plain=True, anonymous=True, max_upload_bytes=1000) as nfvo,
        served(nfvo) as endpoint,
        orchestrator(tmp_path / "meo", endpoint=endpoint) as edge,
    ):
        await edge.onboard(appd())
        id = await edge.created()
        failed = await edge.does(id, "instantiate", FAR)
        assert failed["operationState"] == "FAILED_TEMP"
        assert "the NFVO refuses" in edge.error(id)
        assert (await nfvo.client.get("/vnfpkgm/v2/vnf_packages")).json() == []


class OsmNorthbound:
    """What the northbound interface of OSM answers, as its documentation has it."""

    def __init__(self, nsds: Mapping[str, str]) -> None:
        self.nsds = nsds  # identifier of the descriptor -> its record
        self.services: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.asked: list[Any] = []
        self.fails = 0

    def __call__(self, got: Got) -> Reply:
        parts = urlsplit(got.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/osm")
        if path == "/admin/v1/tokens":
            right = got.json == {"username": "meo", "password": "secret", "project_id": "edge"}
            return _json({"id": "t0k3n"}) if right else _json({"code": "UNAUTHORIZED", "detail": "who?"}, 401)
        if got.headers.get("authorization") != "Bearer t0k3n":
            return _json({"code": "UNAUTHORIZED", "detail": "no token"}, 401)
        if got.method != "GET":
            self.asked.append((got.method, path.rpartition("/")[2], got.json if got.body else None))
        return self.answer(got, path, query)

    def answer(self, got: Got, path: str, query: Mapping[str, str]) -> Reply:
        if path == "/nsd/v1/ns_descriptors":
            return _json([{"_id": record, "id": id} for id, record in self.nsds.items() if id == query["id"]])
        if path == "/nslcm/v1/ns_instances_content":
            return self.instantiate(got.json)
        if path == "/nslcm/v1/ns_instances":
            return _json([one for one in self.services.values() if one["name"] == query["name"]])
        if path == "/nslcm/v1/vnf_instances":
            return _json(
                [vnf for one in self.services.values() for vnf in one["vnfs"] if one["_id"] == query["nsr-id-ref"]]
            )
        if path == "/nslcm/v1/ns_lcm_op_occs":
            return _json([one for one in self.operations.values() if one["nsInstanceId"] == query["nsInstanceId"]])
        if path.startswith("/nslcm/v1/ns_lcm_op_occs/"):
            return self.progress(path.rpartition("/")[2])
        id = path.removeprefix("/nslcm/v1/ns_instances/").partition("/")[0]
        if got.method == "DELETE":
            del self.services[id]
            return Reply(204)
        return self.begin(id, path.rpartition("/")[2])

    def instantiate(self, asked: Mapping[str, Any]) -> Reply:
        assert set(asked) >= {"nsName", "nsdId", "vimAccountId"}
        id = f"ns-{len(self.services)}"
        port = {"external-connection-point-ref": "web", "ip-address": "192.0.2.9", "mac-address": "fa:16:3e:00:00:01"}
        vnf = {
            "_id": "vnf-1",
            "nsr-id-ref": id,
            "vdur": [{"interfaces": [port, {"name": "inner", "ip-address": "10.0.0.1"}]}],
        }
        self.services[id] = {"_id": id, "name": asked["nsName"], "nsState": "BUILDING", "vnfs": [vnf]}
        begun = json.loads(self.begin(id, "instantiate").body)
        return _json({"id": id, "nslcmop_id": begun["id"]}, 201)

    def begin(self, id: str, verb: str) -> Reply:
        operation = f"op-{len(self.operations)}"
        self.operations[operation] = {
            "_id": operation,
            "id": operation,
            "nsInstanceId": id,
            "lcmOperationType": verb,
            "operationState": "PROCESSING",
        }
        return _json({"id": operation}, 202)

    def progress(self, id: str) -> Reply:
        """It is under way when it is looked at, and over the next time."""
        shown = dict(self.operations[id])
        verb, service = shown["lcmOperationType"], self.services.get(shown["nsInstanceId"], {})
        if verb == "instantiate" and self.fails:
            self.operations[id] |= {"operationState": "FAILED", "errorMessage": "the VIM has no room"}
            service["nsState"] = "BROKEN"
        else:
            self.operations[id]["operationState"] = "COMPLETED"
            service["nsState"] = "NOT_INSTANTIATED" if verb == "terminate" else "READY"
        return _json(shown)


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode(), (("content-type", "application/json"),))


@asynccontextmanager
async def above_osm(folder: Path, osm: OsmNorthbound, password: str = "secret") -> AsyncGenerator[Edge]:  # noqa: S107 - none of anybody
    (folder / "password").write_text(password)
    who = {"client_id": "meo", "secret_file": folder / "password", "project": "edge", "vim_account": "acc-1"}
    async with receiving() as receiver:
        receiver.answer = osm
        async with orchestrator(folder / "meo", endpoint=receiver.uri("/osm"), dialect="osm", **who) as edge:
            yield edge


@pytest.mark.feature("E14")
async def test_an_application_that_osm_has(tmp_path: Path) -> None:
    osm = OsmNorthbound({"app-1-ns": "5b0d-record"})
    async with above_osm(tmp_path, osm) as edge:
        id = await edge.running(appd(appDNSRule=[dns_rule()]), **FAR)
        (created,) = [body for _, verb, body in osm.asked if verb == "ns_instances_content"]
        assert (created["nsdId"], created["vimAccountId"]) == ("5b0d-record", "acc-1")
        shown = await edge.shown(id)
        assert shown["nsInstanceId"] == "ns-0"
        assert shown["communicationInterface"]["ipAddresses"] == [{"host": "192.0.2.9", "port": 80}]
        await edge.does(id, "operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
        updated = osm.asked[-1][2]["operateVnfData"]
        assert (updated["vnfInstanceId"], updated["changeStateTo"]) == ("vnf-1", "stop")
        done = await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
        assert done["operationState"] == "COMPLETED", edge.error(id)
        assert [verb for _, verb, _ in osm.asked[-2:]] == ["terminate", "ns-0"]
        assert osm.services == {}


@pytest.mark.feature("E14")
async def test_what_osm_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    osm = OsmNorthbound({})
    async with above_osm(tmp_path, osm) as edge:
        await edge.onboard(appd())
        id = await edge.created()
        failed = await edge.does(id, "instantiate", FAR)
        assert "cannot find NSD app-1-ns" in edge.error(id)
        osm.nsds, osm.fails = {"app-1-ns": "r"}, 1
        await edge.client.post(f"/app_lcm/v1/app_lcm_op_occs/{failed['id']}/retry")
        await edge.rig.node.engine.wait(failed["id"], 60)
        assert "the VIM has no room" in edge.error(id)
        await edge.client.post(f"/app_lcm/v1/app_lcm_op_occs/{failed['id']}/fail")
        gone = await edge.client.post(f"/skerry/v1/apps/{id}/discard")
        assert gone.status_code in (200, 202, 204), gone.text
        assert osm.services == {}


@pytest.mark.feature("E14")
async def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    async with above_osm(tmp_path, OsmNorthbound({"app-1-ns": "r"}), password="not-that-one") as edge:
        await edge.onboard(appd())
        id = await edge.created()
        await edge.does(id, "instantiate", FAR)
        assert "who?" in edge.error(id)
        assert "not-that-one" not in edge.error(id)


@pytest.mark.parametrize("dialect", ["sol005", "osm"])
@pytest.mark.feature("E14")
async def test_an_answer_without_identifiers_is_told_as_such(tmp_path: Path, dialect: str) -> None:
    async def exchange(method: str, uri: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if "ns_descriptors?id" in uri:
            return Answer(200, {}, b'[{"id": "n", "_id": "1"}]')
        if uri.endswith("/tokens"):
            return Answer(200, {}, b'{"id": "t"}')
        return Answer(200, {}, b"[]" if method == "GET" else b"{}")

    other: Services = Sol005("http://nfvo", exchange)
    if dialect == "osm":
        other = Osm("http://nfvo", exchange, user="u", password="p", project="x", account="a")
    with pytest.raises(DriverError, match=r"it has no (id|nslcmop_id)"):
        await other.bring_up(Wish("name", "n", "v", tmp_path, tmp_path))
