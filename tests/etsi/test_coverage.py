"""What the official OpenAPI files name is served, or there is a reason; and each operation that is served answers good and bad
input as its file says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from skerry.api.app import APIS
from skerry.api.route import Api, Endpoint
from skerry.vim.simulated.world import world
from tests.api.rig import VNFD, Rig, running
from tests.api.test_snapshot_packages import PNFD
from tests.etsi.judge import HOME, Judge
from tests.notifications.receiver import Receiver, receiving
from tools.pages import etsi

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")

NFV = frozenset(
    {
        "nsd", "nslcm", "nspm", "nsfm", "nfvici", "vnfpkgm", "vnfsnapshotpkgm", "lcmcoord", "vnflcm", "vnfpm", "vnffm",
        "vnfind", "vnfconfig", "vrqan", "grant",
    }
)  # fmt: skip
JSON = {"Content-Type": "application/json"}


@pytest.mark.feature("B33")
def test_every_official_operation_is_served_or_has_a_reason() -> None:
    folder = etsi.official()
    assert folder is not None
    assert {api.name for api in APIS} >= NFV
    left = etsi.unserved(folder)
    assert [(api, path) for api, path in left if path not in etsi.REASONS] == []
    named = {path for api in APIS if api.name in etsi.OFFICIAL for path in etsi.specified(folder, api.name)}
    stale = [path for path in etsi.REASONS if path not in {path for _, path in left} and path in named]
    assert stale == [], "a reason for something that is served"


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


class Stocked:
    """A node that has one of everything, and what each variable of a path is then."""

    def __init__(self, rig: Rig, receiver: Receiver) -> None:
        self.rig = rig
        self.receiver = receiver
        self.ids: dict[str, str] = {"vimId": "sim", "vnfdId": VNFD, "artifactPath": "Definitions/sipp_server.yaml"}

    async def post(self, path: str, body: Any) -> str:
        """Make a resource; its identifier."""
        made = await self.rig.client.post(path, json=body)
        assert made.status_code in (201, 202), (path, made.text)
        return made.headers["location"].rpartition("/")[2]

    async def fill(self) -> None:
        """An NS with its VNFs, a fault, a snapshot and its package, jobs and thresholds."""
        rig, ids = self.rig, self.ids
        ids["nsdInfoId"] = await rig.onboard_all()
        packages = (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()
        ids["vnfPkgId"] = next(one["id"] for one in packages if one["vnfdId"] == VNFD)
        ids["pnfdInfoId"] = await self._pnfd()
        await self._service()
        await self._snapshot()
        criteria = {
            "performanceMetricGroup": ["VirtualisedComputeResource"],
            "collectionPeriod": 1,
            "reportingPeriod": 1,
        }
        for api, kind, of in (("vnfpm", "Vnf", "vnfInstanceId"), ("nspm", "Ns", "nsInstanceId")):
            wish = {"objectType": kind, "objectInstanceIds": [ids[of]], "callbackUri": self.receiver.uri("/pm")}
            groups = criteria if kind == "Vnf" else {**criteria, "performanceMetricGroup": ["NsAll"]}
            answer = await rig.client.post(f"/{api}/v2/pm_jobs", json={**wish, "criteria": groups})
            if answer.status_code == 201:
                ids[f"{api}:pmJobId"] = answer.json()["id"]
        for api in ("vnflcm", "nslcm", "vnfpkgm", "nsd"):
            ids[f"{api}:subscriptionId"] = await self.post(
                f"/{api}/v2/subscriptions", {"callbackUri": self.receiver.uri("/n")}
            )
        for api in ("vnffm", "nsfm", "vnfind", "vrqan"):
            ids[f"{api}:subscriptionId"] = await self.post(
                f"/{api}/v1/subscriptions", {"callbackUri": self.receiver.uri("/n")}
            )

    async def _pnfd(self) -> str:
        from skerry.packages import build

        folder = self.rig.folder / "pnf"
        (folder / "Definitions").mkdir(parents=True)
        (folder / "Definitions/sipp_server.yaml").write_text(PNFD)  # the name that the path of an artifact has here
        id = await self.post("/nsd/v2/pnf_descriptors", {})
        content = build(folder, self.rig.folder / "pnf.csar").read_bytes()
        path = f"/nsd/v2/pnf_descriptors/{id}/pnfd_content"
        put = await self.rig.client.put(path, content=content, headers={"Content-Type": "application/zip"})
        assert put.status_code == 204, put.text
        return id

    async def _service(self) -> None:
        rig, ids = self.rig, self.ids
        nsd = (await rig.client.get(f"/nsd/v2/ns_descriptors/{ids['nsdInfoId']}")).json()["nsdId"]
        body = {"nsdId": nsd, "nsName": "sip", "nsDescription": "calls"}
        ids["nsInstanceId"] = await self.post("/nslcm/v2/ns_instances", body)
        one = f"/nslcm/v2/ns_instances/{ids['nsInstanceId']}"
        task = await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"})
        ids["nsLcmOpOccId"] = task.headers["location"].rpartition("/")[2]
        await rig.finished(task)
        vnfs = (await rig.client.get(one)).json()["vnfInstance"]
        ids["vnfInstanceId"] = next(vnf["id"] for vnf in vnfs if vnf["vnfdId"] == VNFD)
        operations = (await rig.client.get("/vnflcm/v2/vnf_lcm_op_occs")).json()
        ids["vnfLcmOpOccId"] = operations[0]["id"]
        vnf = rig.node.vnfm.instance(ids["vnfInstanceId"], tenant="default")
        after = rig.node.engine.events.last()
        world(str(rig.folder)).kill(vnf.resources["compute:server-0"].spec["name"])
        async with asyncio.timeout(10):
            async for batch in rig.node.engine.events.follow(after):
                if any((event.kind, event.state) == ("alarm", "RAISED") for event in batch):
                    break
        for api in ("vnffm", "nsfm"):
            ids[f"{api}:alarmId"] = (await rig.client.get(f"/{api}/v1/alarms")).json()[0]["id"]

    async def _snapshot(self) -> None:
        rig, ids = self.rig, self.ids
        await asyncio.sleep(1.2)  # the watch heals what was killed
        for operation in rig.node.engine.operations(subject=ids["vnfInstanceId"], tenant="default"):
            await rig.node.engine.wait(operation.id, 10)
        ids["vnfSnapshotInfoId"] = await self.post("/vnflcm/v2/vnf_snapshots", {})
        named = {"vnfSnapshotInfoId": ids["vnfSnapshotInfoId"]}
        task = f"/vnflcm/v2/vnf_instances/{ids['vnfInstanceId']}/create_snapshot"
        done = await rig.finished(await rig.client.post(task, json=named))
        assert done["operationState"] == "COMPLETED", done
        ids["vnfSnapshotPkgId"] = await self.post("/vnfsnapshotpkgm/v1/vnf_snapshot_packages", {"name": "one"})
        path = f"/vnfsnapshotpkgm/v1/vnf_snapshot_packages/{ids['vnfSnapshotPkgId']}/package_content/build"
        assert (await rig.client.post(path, json=named)).status_code == 202
        links = {"vnfLcmOpOcc": {"href": "http://a/op"}, "vnfInstance": {"href": "http://a/vnf"}}
        grant = {"id": "1", "type": "COMPUTE", "vduId": "server", "resourceTemplateId": "server"}
        asked = {"vnfInstanceId": "v", "vnfLcmOpOccId": "o", "vnfdId": VNFD, "_links": links, "addResources": [grant]}
        asked |= {"operation": "INSTANTIATE", "isAutomaticInvocation": False}
        ids["grantId"] = await self.post("/grant/v1/grants", asked)
        about = {"vnfInstanceId": ids["vnfInstanceId"], "vnfLcmOpOccId": done["id"], "_links": links}
        coordinate = {**about, "lcmOperationType": "CREATE_SNAPSHOT", "coordinationActionName": "x"}
        ids["coordinationId"] = await self.post("/lcmcoord/v1/coordinations", coordinate)
        metric = {"resourceType": "VR_COMPUTE", "capacityMeasurementName": "vcpus", "capacityType": "AVAILABLE"}
        details = [{"thresholdValue": 1, "hysteresis": 0}]
        criteria = {"capacityMetric": metric, "thresholdType": "SIMPLE", "simpleThresholdDetails": details}
        threshold = {"objectInstanceId": "sim", "criteria": criteria, "callbackUri": self.receiver.uri("/c")}
        ids["capacityThresholdId"] = await self.post("/nfvici/v1/capacity_thresholds", threshold)

    def path(self, api: Api, major: int, endpoint: Endpoint) -> str:
        """The path of a resource that is there; "" where there is none of its kind."""
        names = re.findall(r"\{(\w+)(?::path)?\}", endpoint.path)
        found = {name: self.ids.get(f"{api.name}:{name}", self.ids.get(name, "")) for name in names}
        if api.name == "vnfsnapshotpkgm" and "artifactPath" in found:
            found["artifactPath"] = "snapshot.json"
        if endpoint.path.startswith("/ns_descriptors") and "artifactPath" in found:
            found["artifactPath"] = "Definitions/sip_service.yaml"
        if not all(found.values()):
            return ""
        plain = re.sub(r"\{(\w+)(?::path)?\}", lambda match: found[match[1]], endpoint.path)
        which = f"?vnfInstanceId={self.ids['vnfInstanceId']}" if api.name == "vnfconfig" else ""
        return api.root(major) + plain + which


def operations(*methods: str) -> Iterator[tuple[Api, int, Endpoint]]:
    """Every operation of the NFV APIs that is served, in every version."""
    for api in APIS:
        for major in api.versions if api.name in NFV else ():
            for endpoint in api.served(major):
                if not methods or endpoint.method in methods:
                    yield api, major, endpoint


@pytest.mark.feature("B33")
async def test_every_resource_is_read_and_every_operation_refuses_nonsense(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, defects=False) as rig:
        stocked = Stocked(rig, receiver)
        await stocked.fill()
        judge = Judge()
        rig.client.event_hooks = {"response": [judge]}
        unread: list[str] = []
        for api, major, endpoint in operations("GET"):
            path = stocked.path(api, major, endpoint)
            if not path:
                unread.append(f"{api.name} {endpoint.path}")
                continue
            answer = await rig.client.get(path)
            assert answer.status_code == 200, (path, answer.text[:300])
            await selectors(rig.client, endpoint, path)
            assert (await rig.client.get(path, headers={"Accept": "image/png"})).status_code in (406, 200)
            assert (await rig.client.get(path, headers={"Version": "9.0.0"})).status_code == 406
        assert all(name in UNREAD for name in unread), unread
        for api, major, endpoint in operations():
            await nonsense(rig.client, stocked, api, major, endpoint)


UNREAD = {
    "vnfpm /pm_jobs/{pmJobId}/reports/{reportId}", "nspm /pm_jobs/{pmJobId}/reports/{reportId}",
    "vnfpm /thresholds/{thresholdId}", "nspm /thresholds/{thresholdId}", "nspm /pm_jobs/{pmJobId}",
    "vnfpm /subscriptions/{subscriptionId}", "nspm /subscriptions/{subscriptionId}",
    "vnfind /indicators/{vnfInstanceId}/{indicatorId}",
}  # fmt: skip
"""What a test of its own API reads (`test_performance.py`, `test_indicators.py`): it needs time to come into being."""


async def selectors(client: httpx.AsyncClient, endpoint: Endpoint, path: str) -> None:
    """Lists take selectors, refuse filters that are none and keep what is mandatory (the judge looks)."""
    if any(query.name == "filter" for query in endpoint.query):
        assert (await client.get(f"{path}?filter=nonsense")).status_code == 400
        assert (await client.get(f"{path}?filter=(eq,id,none)")).status_code == 200
    if any(query.name == "fields" for query in endpoint.query):
        for query in ("all_fields", "fields=id", "exclude_fields=_links,id", "exclude_default"):
            assert (await client.get(f"{path}?{query}")).status_code == 200


async def nonsense(client: httpx.AsyncClient, stocked: Stocked, api: Api, major: int, endpoint: Endpoint) -> None:
    """Identifiers that nobody has are not found; bodies that are none are refused; other methods are not allowed."""
    unknown = api.root(major) + re.sub(r"\{(\w+)(?::path)?\}", "none", endpoint.path)
    named = "{" in endpoint.path
    bodies: list[tuple[bytes, dict[str, str]]] = [(b"", {})]
    if endpoint.body is not None and endpoint.body is not bytes:
        bodies = [(b"{", JSON), (b'{"x": [1]}', JSON), (b"[]", JSON), (b"x", {"Content-Type": "text/html"})]
    for content, headers in bodies:
        answer = await client.request(endpoint.method, unknown, content=content, headers=headers)
        if named or endpoint.method != "GET":
            assert 400 <= answer.status_code < 500 or answer.is_success, (endpoint.method, unknown, answer.text[:300])
            assert answer.is_success or answer.headers["content-type"] == "application/problem+json"
        if named and endpoint.body is None:
            assert answer.status_code in (404, 409), (endpoint.method, unknown, answer.text[:300])
    resource = stocked.path(api, major, endpoint)
    if resource and endpoint.method == "GET":
        assert (await client.request("TRACE", resource)).status_code == 405
