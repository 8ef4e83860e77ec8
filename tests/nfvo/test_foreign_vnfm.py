"""VNF managers of others have VNFs of this node's services: one in another process, one that is a second node."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from skerry.notifications.wire import Answer
from skerry.settings import ForeignNfvo, ForeignVnfm
from skerry.vim.simulated.world import world
from skerry.vnfm.foreign_vnfm import Manager as ForeignManager
from tests.api.rig import Rig, running
from tests.nfvo.packages import CLIENT, PROBE, SERVER, SIP
from tests.packages.samples import zipped
from tests.serving import served
from tests.vnfm.builder import ns_folder, vnf_folder

STRANGER = Path(__file__).with_name("stranger.py")
VNFS, NS = "/vnflcm/v2/vnf_instances", "/nslcm/v2/ns_instances"
WANTED = {"nsFlavourId": "default"}


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


class Manager:
    """The other VNF manager, by its own interface."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.client = httpx.AsyncClient(base_url=self.endpoint, timeout=30)

    async def asked(self, method: str = "POST") -> list[Any]:
        """Paths without identifiers and bodies of what it was asked to change."""
        seen = (await self.client.get("/seen")).json()["asked"]
        return [(path.rpartition("/")[2], body) for how, path, body in seen if how == method]

    async def vnfs(self) -> list[Mapping[str, Any]]:
        return list((await self.client.get("/seen")).json()["vnfs"])

    async def mood(self, **moods: Any) -> None:
        assert (await self.client.post("/moods", json=moods)).status_code == 204


@asynccontextmanager
async def stranger(nfvo_port: int, major: int = 2) -> AsyncGenerator[Manager]:
    port = free_port()
    command = [sys.executable, str(STRANGER), str(port), f"http://127.0.0.1:{nfvo_port}", str(major)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        manager = Manager(port)
        try:
            yield manager
        finally:
            await manager.client.aclose()
            process.terminate()


@asynccontextmanager
async def orchestrator(folder: Path, port: int, endpoint: str) -> AsyncGenerator[Rig]:
    """A node that knows the manager, served at this port."""
    theirs = ForeignVnfm(id="theirs", endpoint=endpoint, vnfm_info=("stranger",))
    async with (
        running(folder, plain=True, anonymous=True, vnf_managers=(theirs,)) as rig,
        served(rig, port),
    ):
        yield rig


async def upload(rig: Rig, files: Mapping[str, str], root: str, content: str) -> None:
    id = (await rig.client.post(root, json={})).json()["id"]
    main = next(name for name in files if name.startswith("Definitions/"))
    body = zipped({"TOSCA-Metadata/TOSCA.meta": f"Entry-Definitions: {main}\n", **files})
    put = await rig.client.put(f"{root}/{id}/{content}", content=body, headers={"Content-Type": "application/zip"})
    assert put.status_code in (202, 204), put.text


def foreign(text: str) -> dict[str, str]:
    """The package of a VNF that the other manager has."""
    return {name: content.replace('"skerry"', '"stranger"') for name, content in vnf_folder(text).items()}


async def onboarded(rig: Rig) -> None:
    for files in (foreign(SERVER), vnf_folder(CLIENT), vnf_folder(PROBE)):
        await upload(rig, files, "/vnfpkgm/v2/vnf_packages", "package_content")
    await upload(rig, ns_folder(SIP), "/nsd/v2/ns_descriptors", "nsd_content")


async def service(rig: Rig) -> str:
    """The record of a service of one server, theirs, and one client, ours."""
    body = {"nsdId": "sip", "nsName": "calls", "nsDescription": ""}
    return str((await rig.client.post(NS, json=body)).headers["Location"])


async def done(rig: Rig, url: str, body: Mapping[str, Any], ends: str = "COMPLETED") -> dict[str, Any]:
    answer = await rig.client.post(url, json=body)
    assert answer.status_code == 202, answer.text
    return await settled(rig, answer, ends)


async def settled(rig: Rig, answer: httpx.Response, ends: str = "COMPLETED") -> dict[str, Any]:
    id = answer.headers["Location"].rpartition("/")[2]
    await rig.node.engine.wait(id, 120)
    shown: dict[str, Any] = (await rig.client.get(answer.headers["Location"])).json()
    assert shown["operationState"] == ends, shown.get("error")
    return shown


async def server_of(rig: Rig, ns: str) -> dict[str, Any]:
    """The VNF that the other manager has, as this node shows it."""
    vnfs = (await rig.client.get(ns)).json()["vnfInstance"]
    id = next(vnf["id"] for vnf in vnfs if vnf["vnfdId"] == "server")
    return dict((await rig.client.get(f"{VNFS}/{id}")).json())


@pytest.mark.parametrize("major", [1, 2])
@pytest.mark.feature("A64", "A65")
async def test_a_vnf_manager_in_another_process_has_the_server_of_a_service(tmp_path: Path, major: int) -> None:
    port = free_port()
    async with stranger(port, major) as manager, orchestrator(tmp_path, port, manager.endpoint) as rig:
        await onboarded(rig)
        ns = await service(rig)
        await done(rig, f"{ns}/instantiate", WANTED)
        (theirs,) = await manager.vnfs()
        assert (theirs["vnfdId"], theirs["instantiationState"]) == ("server", "INSTANTIATED")
        vims = theirs["vimConnectionInfo"]
        assert ([one["id"] for one in vims] if major == 1 else list(vims)) == ["sim"], "it learnt them from its grant"
        (grant,) = rig.node.grants.grants(tenant="default")
        assert (grant.asked.vnf_instance_id, grant.places) == (theirs["id"], {"1": "sim"})
        machines = world(str(tmp_path)).has.machines
        (client,) = [machine.spec for machine in machines.values()]
        assert client.env["SERVER_ADDRESS"] == client.env["TARGET"] == "10.70.0.77", "ours talks to theirs"
        shown = await server_of(rig, ns)
        assert [one["id"] for one in shown["instantiatedVnfInfo"]["vnfcResourceInfo"]] == ["their-box"]
        one = f"{VNFS}/{shown['id']}"
        await done(rig, f"{one}/scale", {"type": "SCALE_OUT", "aspectId": "more"})
        await done(rig, f"{one}/heal", {"cause": "a test"})
        await done(rig, f"{one}/operate", {"changeStateTo": "STOPPED"})
        named = await rig.client.patch(
            one, json={"metadata": {"a": "b"}}, headers={"Content-Type": "application/merge-patch+json"}
        )
        await settled(rig, named)
        shown = await server_of(rig, ns)
        assert shown["instantiatedVnfInfo"]["vnfState"] == "STOPPED"
        assert shown["instantiatedVnfInfo"]["scaleStatus"][0]["scaleLevel"] == 1
        asked = [name for name, _ in await manager.asked()]
        assert asked == ["vnf_instances", "instantiate", "scale", "heal", "operate"]
        refused = await rig.client.post(f"{one}/create_snapshot", json={"vnfSnapshotInfoId": "none"})
        assert (refused.status_code, "theirs" in refused.text) == (422, True), refused.text
        assert rig.node.managers.vnf_of(theirs["id"]) == shown["id"]
        await done(rig, f"{ns}/terminate", {})
        assert await manager.vnfs() == []
        assert machines == {}
        assert rig.node.managers.vnf_of(theirs["id"]) == ""
        assert (await rig.client.delete(ns)).status_code == 204


@pytest.mark.parametrize("major", [1, 2])
@pytest.mark.feature("A64")
async def test_how_the_manager_logs_in_at_an_infrastructure_is_not_kept(major: int) -> None:
    vim = {"id": "sim", "vimType": "x", "accessInfo": {"username": "u", "password": "s3cret"}}
    shown = {"vnfdId": "server", "vimConnectionInfo": [vim] if major == 1 else {"sim": vim}}

    async def exchange(method: str, uri: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return Answer(200, {}, json.dumps(shown).encode())

    kept = await ForeignManager("http://manager", ("stranger",), exchange).show("1")
    assert list(kept["vimConnectionInfo"]) == ["sim"]
    assert "s3cret" not in json.dumps(kept)


@pytest.mark.parametrize(
    ("begun", "asked"),
    [
        ("2026-01-01T19:00:04.900+02:00", 1),
        ("2026-01-01T15:00:05.600-02:00", 0),
        ("2026-01-01T17:00:05Z", 0),
        ("2026-01-01T17:00:04Z", 1),
    ],
)
@pytest.mark.feature("A64")
async def test_what_was_done_is_known_by_its_time_in_any_zone(begun: str, asked: int) -> None:
    scaled = {"id": "o", "vnfInstanceId": "1", "operation": "SCALE", "operationState": "COMPLETED", "startTime": begun}
    tasks: list[str] = []

    async def exchange(method: str, uri: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "POST":
            tasks.append(uri)
            return Answer(202, {"location": "/vnflcm/v2/vnf_lcm_op_occs/o"}, b"")
        return Answer(200, {}, json.dumps([scaled] if "filter" in uri else scaled).encode())

    manager = ForeignManager("http://manager", ("stranger",), exchange)
    await manager.run("1", "vnf.scale", {}, "2026-01-01T17:00:05.500Z")
    assert len(tasks) == asked


@pytest.mark.feature("A40", "A64")
async def test_a_quota_counts_what_the_other_manager_has_once(tmp_path: Path) -> None:
    quota = "/skerry/v1/access/quotas/default"
    port = free_port()
    async with stranger(port) as manager, orchestrator(tmp_path, port, manager.endpoint) as rig:
        await onboarded(rig)
        ns = await service(rig)
        await rig.client.put(quota, json={"instances": 1})
        refused = await done(rig, f"{ns}/instantiate", WANTED, ends="ROLLED_BACK")
        assert "instances: the limit is 1, used are 0, asked for are 2" in refused["error"]["detail"]
        assert await manager.vnfs() == []
        await rig.client.put(quota, json={"instances": 2})
        await done(rig, f"{ns}/instantiate", WANTED)
        assert (await rig.client.get(quota)).json()["usage"]["instances"] == 2
        await done(rig, f"{ns}/terminate", {})
        assert (await rig.client.get(quota)).json()["usage"]["instances"] == 0


@pytest.mark.feature("A64", "A65")
async def test_what_fails_there_is_told_repeated_and_taken_back(tmp_path: Path) -> None:
    port = free_port()
    async with stranger(port) as manager, orchestrator(tmp_path, port, manager.endpoint) as rig:
        await onboarded(rig)
        made = await rig.client.post(VNFS, json={"vnfdId": "server", "vnfInstanceName": "alone"})
        one = made.headers["Location"]
        links = [{"id": "net", "resourceId": "n", "vimConnectionId": "sim", "extCps": [{"cpdId": "sip"}]}]
        request = {"flavourId": "default", "extVirtualLinks": links}
        await manager.mood(fail="instantiate")
        failed = await done(rig, f"{one}/instantiate", request, ends="FAILED_TEMP")
        assert "out of luck" in failed["error"]["detail"]
        await settled(rig, await rig.client.post(f"/vnflcm/v2/vnf_lcm_op_occs/{failed['id']}/retry"))
        assert [name for name, _ in await manager.asked()] == ["vnf_instances", "instantiate", "retry"]
        await manager.mood(fail="scale")
        failed = await done(rig, f"{one}/scale", {"type": "SCALE_OUT", "aspectId": "more"}, ends="FAILED_TEMP")
        back = await rig.client.post(f"/vnflcm/v2/vnf_lcm_op_occs/{failed['id']}/rollback")
        await settled(rig, back, ends="ROLLED_BACK")
        assert (await manager.asked())[-1][0] == "rollback"
        shown = (await rig.client.get(one)).json()
        assert (shown["instantiationState"], shown["instantiatedVnfInfo"]["vnfState"]) == ("INSTANTIATED", "STARTED")
        await manager.mood(fail="heal")
        failed = await done(rig, f"{one}/heal", {}, ends="FAILED_TEMP")
        assert (await rig.client.post(f"/vnflcm/v2/vnf_lcm_op_occs/{failed['id']}/fail")).status_code == 200
        await done(rig, f"{one}/terminate", {"terminationType": "FORCEFUL"})
        assert "fail" in [name for name, _ in await manager.asked()]
        assert await manager.vnfs() == []


async def alone(rig: Rig) -> str:
    """A VNF of theirs that is up and in no service."""
    made = await rig.client.post(VNFS, json={"vnfdId": "server", "vnfInstanceName": "alone"})
    links = [{"id": "net", "resourceId": "n", "vimConnectionId": "sim", "extCps": [{"cpdId": "sip"}]}]
    await done(rig, f"{made.headers['location']}/instantiate", {"flavourId": "default", "extVirtualLinks": links})
    return str(made.headers["location"])


@pytest.mark.feature("A64", "A29")
async def test_its_package_is_changed_there(tmp_path: Path) -> None:
    port = free_port()
    async with stranger(port) as manager, orchestrator(tmp_path, port, manager.endpoint) as rig:
        for text in (SERVER, SERVER.replace("id: server", "id: server2").replace("port: 5060", "port: 5061")):
            await upload(rig, foreign(text), "/vnfpkgm/v2/vnf_packages", "package_content")
        one = await alone(rig)
        await done(rig, f"{one}/change_vnfpkg", {"vnfdId": "server2"})
        assert [vnf["vnfdId"] for vnf in await manager.vnfs()] == ["server2"]
        assert (await rig.client.get(one)).json()["vnfdId"] == "server2"
        used = {p["vnfdId"]: p["usageState"] for p in (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()}
        assert used == {"server": "NOT_IN_USE", "server2": "IN_USE"}


@pytest.mark.feature("A64", "A69")
async def test_what_is_cancelled_here_is_cancelled_there(tmp_path: Path) -> None:
    port = free_port()
    async with stranger(port) as manager, orchestrator(tmp_path, port, manager.endpoint) as rig:
        await upload(rig, foreign(SERVER), "/vnfpkgm/v2/vnf_packages", "package_content")
        one = await alone(rig)
        await manager.mood(slow=600)
        begun = await rig.client.post(f"{one}/scale", json={"type": "SCALE_OUT", "aspectId": "more"})
        while "scale" not in [name for name, _ in await manager.asked()]:
            await asyncio.sleep(0.02)
        occurrence = begun.headers["location"]
        assert (await rig.client.post(f"{occurrence}/cancel", json={"cancelMode": "FORCEFUL"})).status_code == 202
        await settled(rig, begun, ends="FAILED_TEMP")
        await settled(rig, await rig.client.post(f"{occurrence}/rollback"), ends="ROLLED_BACK")
        assert [name for name, _ in await manager.asked()][-2:] == ["cancel", "rollback"]
        shown = (await rig.client.get(one)).json()["instantiatedVnfInfo"]
        assert shown["scaleStatus"][0]["scaleLevel"] == 0


@pytest.mark.feature("A64")
async def test_a_node_that_stops_meanwhile_asks_for_nothing_twice(tmp_path: Path) -> None:
    port = free_port()
    async with stranger(port) as manager:
        async with orchestrator(tmp_path, port, manager.endpoint) as rig:
            await onboarded(rig)
            ns = await service(rig)
            await manager.mood(slow=1.0)
            begun = await rig.client.post(f"{ns}/instantiate", json=WANTED)
            while "instantiate" not in [name for name, _ in await manager.asked()]:
                await asyncio.sleep(0.02)
        async with orchestrator(tmp_path, port, manager.endpoint) as rig:
            await settled(rig, begun)
            assert [name for name, _ in await manager.asked()].count("instantiate") == 1
            assert len(await manager.vnfs()) == 1
            await done(rig, f"{ns}/terminate", {})
            assert await manager.vnfs() == []


@pytest.mark.feature("A64", "A65")
async def test_two_nodes_are_orchestrator_and_manager_of_each_other(tmp_path: Path) -> None:
    """The second node has neither packages nor infrastructures: it fetches the one and is granted the other."""
    port, other_port = free_port(), free_port()
    (tmp_path / "vnfm").mkdir()
    nfvo = ForeignNfvo(endpoint=f"http://127.0.0.1:{port}")
    async with (
        running(tmp_path / "vnfm", plain=True, anonymous=True, vims=(), granting_nfvo=nfvo) as other,
        served(other, other_port) as endpoint,
        orchestrator(tmp_path, port, endpoint) as rig,
    ):
        await onboarded(rig)
        ns = await service(rig)
        await done(rig, f"{ns}/instantiate", WANTED)
        (package,) = (await other.client.get("/vnfpkgm/v2/vnf_packages")).json()
        assert (package["vnfdId"], package["onboardingState"]) == ("server", "ONBOARDED")
        (vnf,) = other.node.vnfm.instances(tenant="default")
        machines = world(str(tmp_path)).has.machines
        owners = {machine.spec.owner: machine.spec for machine in machines.values()}
        assert len(owners) == 2
        assert vnf.id in owners, "the other node made it, on infrastructure of this one"
        (client,) = [spec for owner, spec in owners.items() if owner != vnf.id]
        (address,) = [m.compute.nics[0].ip for m in machines.values() if m.spec.owner == vnf.id]
        assert client.env["SERVER_ADDRESS"] == address
        shown = await server_of(rig, ns)
        await done(rig, f"{VNFS}/{shown['id']}/scale", {"type": "SCALE_OUT", "aspectId": "more"})
        assert len([m for m in machines.values() if m.spec.owner == vnf.id]) == 2
        await done(rig, f"{ns}/terminate", {})
        assert machines == {}
        assert other.node.vnfm.instances(tenant="default") == []


@pytest.mark.feature("A65")
async def test_a_package_that_the_orchestrator_lacks_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "vnfm").mkdir()
    async with running(tmp_path, plain=True, anonymous=True) as nfvo, served(nfvo, port) as endpoint:
        there = ForeignNfvo(endpoint=endpoint)
        async with running(tmp_path / "vnfm", vims=(), granting_nfvo=there) as other:
            refused = await other.client.post(VNFS, json={"vnfdId": "nobody-has-it"})
            assert refused.status_code in (422, 503)
            assert "404" in json.dumps(refused.json())
            assert (await other.client.get("/vnfpkgm/v2/vnf_packages")).json() == []


@pytest.mark.feature("A65")
async def test_a_package_that_several_want_is_fetched_once(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "vnfm").mkdir()
    async with running(tmp_path, plain=True, anonymous=True) as nfvo, served(nfvo, port) as endpoint:
        await upload(nfvo, vnf_folder(SERVER), "/vnfpkgm/v2/vnf_packages", "package_content")
        async with running(tmp_path / "vnfm", vims=(), granting_nfvo=ForeignNfvo(endpoint=endpoint)) as other:
            made = await asyncio.gather(*(other.client.post(VNFS, json={"vnfdId": "server"}) for _ in range(4)))
            assert [one.status_code for one in made] == [201] * 4, [one.text for one in made]
            assert len((await other.client.get("/vnfpkgm/v2/vnf_packages")).json()) == 1
