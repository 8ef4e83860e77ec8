"""The unmodified `openstack` client with `python-tackerclient` drives a node over HTTP, in both versions of its API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry.vim.driver import NetworkSpec
from skerry.vim.simulated.world import world
from tests.api.rig import Rig, running
from tests.notifications.receiver import Reply, receiving
from tests.serving import served
from tests.vnfm.builder import csar, loaded, vnf_folder
from tests.vnfm.packages import WEB

SHELL = Path(__file__).with_name("osc_shell.py")
TENANT = "default"
OTHER = {**loaded(WEB), "id": "web2", "product": "web"}


class OpenStack:
    """The client as a user has it, with the options that name this node."""

    def __init__(self, process: subprocess.Popen[str], rig: Rig, endpoint: str) -> None:
        self._process = process
        self._options = ["--os-auth-type", "none", "--os-endpoint", endpoint]
        self.rig = rig
        self.version = "1"

    async def __call__(self, *words: str, code: int = 0) -> str:
        """What a command prints; its exit code must be `code`."""
        assert self._process.stdin
        assert self._process.stdout
        whole = [*self._options, "--os-tacker-api-version", self.version, *words]
        self._process.stdin.write(json.dumps(whole) + "\n")
        self._process.stdin.flush()
        async with asyncio.timeout(30):
            told = json.loads(await asyncio.to_thread(self._process.stdout.readline))
        assert told["code"] == code, f"{words}: {told}"
        return str(told["out"] if code == 0 else told["err"])

    async def json(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(await self(*words, "-f", "json"))

    def file(self, name: str, content: Any) -> str:
        """A request file."""
        target = self.rig.folder / f"{name}.json"
        target.write_text(json.dumps(content))
        return str(target)

    async def settled(self) -> str:
        """Wait until the newest operation has come to rest; its identifier."""
        operation = self.rig.node.engine.operations(tenant=TENANT)[-1]
        await self.rig.node.engine.wait(operation.id, 10)
        return operation.id

    async def state(self, operation: str) -> str:
        """The state of an operation, as the client shows it."""
        return str((await self.json("vnflcm", "op", "show", operation))["Operation State"])

    async def onboard(self, package: Path) -> dict[str, Any]:
        """Create a package and upload its content; how the client shows it then."""
        made = await self.json("vnf", "package", "create", "--user-data", "from=openstack")
        await self("vnf", "package", "upload", "--path", str(package), made["ID"])
        shown: dict[str, Any] = await self.json("vnf", "package", "show", made["ID"])
        assert (shown["Onboarding State"], shown["User Defined Data"]) == ("ONBOARDED", {"from": "openstack"})
        return shown

    async def instantiated(self, vnfd: str, name: str) -> str:
        """A VNF that is up; its identifier."""
        made = await self.json("vnflcm", "create", vnfd, "--name", name)
        assert f"/vnflcm/v{self.version}/" in made["Links"]["self"]["href"]
        request = self.file("instantiate", {"flavourId": "default"})
        assert "accepted" in await self("vnflcm", "instantiate", made["ID"], request)
        assert await self.state(await self.settled()) == "COMPLETED"
        return str(made["ID"])


@pytest.fixture(scope="module")
def shell() -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(SHELL)], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture
async def openstack(tmp_path: Path, shell: subprocess.Popen[str]) -> AsyncGenerator[OpenStack]:
    async with running(tmp_path, plain=True, anonymous=True, notification_test=False) as rig, served(rig) as endpoint:
        yield OpenStack(shell, rig, endpoint)


@pytest.mark.feature("A25", "B33")
async def test_packages(openstack: OpenStack) -> None:
    package = csar(vnf_folder(WEB))
    shown = await openstack.onboard(package)
    assert (shown["VNFD ID"], shown["Operational State"]) == ("web", "ENABLED")
    assert [one["Id"] for one in await openstack.json("vnf", "package", "list")] == [shown["ID"]]
    copy = openstack.rig.folder / "copy.zip"
    await openstack("vnf", "package", "download", "--file", str(copy), shown["ID"])
    assert copy.read_bytes() == package.read_bytes()
    await openstack("vnf", "package", "download", "--vnfd", "--type", "text/plain", "--file", str(copy), shown["ID"])
    assert "topology_template" in copy.read_text()
    artifact = shown["Additional Artifacts"][0]["artifactPath"]
    await openstack("vnf", "package", "artifact", "download", "--file", str(copy), shown["ID"], artifact)
    assert copy.read_bytes()
    assert "ENABLED" in await openstack("vnf", "package", "delete", shown["ID"], code=1)
    disabled = await openstack.json("vnf", "package", "update", "--operational-state", "DISABLED", shown["ID"])
    assert disabled == {"Operational State": "DISABLED"}
    await openstack("vnf", "package", "delete", shown["ID"])
    assert await openstack.json("vnf", "package", "list") == []


@pytest.mark.feature("A25", "B33")
async def test_a_package_is_fetched_from_where_it_is(openstack: OpenStack) -> None:
    content = csar(vnf_folder(WEB)).read_bytes()
    made = await openstack.json("vnf", "package", "create")
    async with receiving() as there:
        there.answer = lambda _: Reply(200, content)
        await openstack("vnf", "package", "upload", "--url", there.uri("/web.csar"), made["ID"])
        async with asyncio.timeout(60):
            while (shown := await openstack.json("vnf", "package", "show", made["ID"]))[
                "Onboarding State"
            ] != "ONBOARDED":
                assert shown["Onboarding State"] in ("UPLOADING", "PROCESSING")
    assert [got.path for got in there.got] == ["/web.csar"]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.feature("A26", "A27", "A29", "A30", "A31", "A32")
async def test_life(openstack: OpenStack, version: str) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    openstack.version = version
    id = await openstack.instantiated("web", "shop")
    listed = await openstack.json("vnflcm", "list")
    assert [(one["VNF Instance Name"], one["Instantiation State"]) for one in listed] == [("shop", "INSTANTIATED")]
    before = len((await openstack.json("vnflcm", "show", id))["Instantiated Vnf Info"]["vnfcResourceInfo"])
    for way, now in (("SCALE_OUT", before + 1), ("SCALE_IN", before)):
        await openstack("vnflcm", "scale", "--type", way, "--aspect-id", "fronts", "--number-of-steps", "1", id)
        assert await openstack.state(await openstack.settled()) == "COMPLETED"
        shown = await openstack.json("vnflcm", "show", id)
        assert len(shown["Instantiated Vnf Info"]["vnfcResourceInfo"]) == now
    await openstack("vnflcm", "heal", id, "--cause", "a test", "--vnfc-instance", "back-0")
    assert await openstack.state(await openstack.settled()) == "COMPLETED"
    update = openstack.file("update", {"vnfInstanceDescription": "updated"})
    await openstack("vnflcm", "update", id, "--I", update)
    await openstack.settled()
    assert (await openstack.json("vnflcm", "show", id))["VNF Instance Description"] == "updated"
    machines = world(str(openstack.rig.folder)).has.machines
    await openstack("vnflcm", "change-ext-conn", id, openstack.file("links", await elsewhere(openstack.rig, version)))
    assert await openstack.state(await openstack.settled()) == "COMPLETED"
    assert {nic.network for name, one in machines.items() if "front" in name for nic in one.compute.nics} >= {"other"}
    assert "scaling aspect" in await openstack(
        "vnflcm", "scale", "--type", "SCALE_OUT", "--aspect-id", "none", id, code=1
    )
    await openstack("vnflcm", "terminate", "--termination-type", "FORCEFUL", id)
    assert await openstack.state(await openstack.settled()) == "COMPLETED"
    await openstack("vnflcm", "delete", id)
    operations = await openstack.json("vnflcm", "op", "list")
    assert [one["Operation"] for one in operations][:2] == ["INSTANTIATE", "SCALE"]
    prefix = await openstack.json("vnflcm", "versions")
    assert [one["version"][0] for one in prefix["apiVersions"]] == ["2", "1"]


async def elsewhere(rig: Rig, version: str) -> dict[str, Any]:
    """A request that attaches the VNF to another network."""
    driver = await rig.node.vims.driver("sim")
    await driver.create_network(NetworkSpec(name="other", owner="somebody", cidr="10.99.0.0/24"))
    over = {"ipAddresses": [{"type": "IPV4", "numDynamicAddresses": 1}]}
    config = {"cpProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}]}
    point = {"cpdId": "pub", "cpConfig": [config] if version == "1" else {"pub": config}}
    return {"extVirtualLinks": [{"id": "x", "resourceId": "other", "vimConnectionId": "sim", "extCps": [point]}]}


@pytest.mark.feature("A29")
async def test_change_package(openstack: OpenStack) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    await openstack.onboard(csar(vnf_folder(OTHER)))
    openstack.version = "2"
    id = await openstack.instantiated("web", "shop")
    await openstack("vnflcm", "change-vnfpkg", id, openstack.file("change", {"vnfdId": "web2"}))
    assert await openstack.state(await openstack.settled()) == "COMPLETED"
    assert (await openstack.json("vnflcm", "show", id))["VNFD ID"] == "web2"


@pytest.mark.parametrize(
    ("version", "ends"),
    [(version, {"rollback": "ROLLED_BACK", "fail": "FAILED", "retry": "COMPLETED"}) for version in ("1", "2")],
)
@pytest.mark.feature("A70", "A33")
async def test_operations_that_fail(openstack: OpenStack, version: str, ends: dict[str, str]) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    openstack.version = version
    request = openstack.file("instantiate", {"flavourId": "default"})
    there = world(str(openstack.rig.folder))
    for verb, ended in ends.items():
        made = await openstack.json("vnflcm", "create", "web", "--name", verb)
        there.fail("start_compute", transient=False, message="no such program")
        await openstack("vnflcm", "instantiate", made["ID"], request)
        operation = await openstack.settled()
        assert await openstack.state(operation) == "FAILED_TEMP"
        assert "no such program" in (await openstack.json("vnflcm", "op", "show", operation))["Error"]["detail"]
        await openstack("vnflcm", "op", verb, operation)
        await openstack.settled()
        assert await openstack.state(operation) == ended
        assert "cannot bring operation" in await openstack("vnflcm", "op", verb, operation, code=1)


@pytest.mark.feature("A69")
async def test_cancel(openstack: OpenStack) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    made = await openstack.json("vnflcm", "create", "web", "--name", "stuck")
    world(str(openstack.rig.folder)).hang("start_compute")
    await openstack("vnflcm", "instantiate", made["ID"], openstack.file("instantiate", {"flavourId": "default"}))
    (operation,) = [one["ID"] for one in await openstack.json("vnflcm", "op", "list")]
    # the command itself ends with a defect of its own: it prints that the request was accepted and returns no table
    told = await openstack("vnflcm", "op", "cancel", "--cancel-mode", "FORCEFUL", operation, code=1)
    assert "unpack" in told
    await openstack.settled()
    assert await openstack.state(operation) == "FAILED_TEMP"


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.feature("A41")
async def test_subscriptions(openstack: OpenStack, version: str) -> None:
    openstack.version = version
    wish = {"callbackUri": "http://127.0.0.1:9/told", "filter": {"operationStates": ["COMPLETED"]}}
    made = await openstack.json("vnflcm", "subsc", "create", openstack.file("subscription", wish))
    assert [one["ID"] for one in await openstack.json("vnflcm", "subsc", "list")] == [made["ID"]]
    assert (await openstack.json("vnflcm", "subsc", "show", made["ID"]))["Callback URI"] == wish["callbackUri"]
    await openstack("vnflcm", "subsc", "delete", made["ID"])
    assert await openstack.json("vnflcm", "subsc", "list") == []


@pytest.mark.feature("A104")
async def test_alarms(openstack: OpenStack) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    openstack.version = "2"
    id = await openstack.instantiated("web", "shop")
    rig = openstack.rig
    vnf = rig.node.vnfm.instance(id, tenant=TENANT)
    after = rig.node.engine.events.last()
    world(str(rig.folder)).kill(vnf.resources["compute:back-0"].spec["name"])
    async with asyncio.timeout(10):
        async for batch in rig.node.engine.events.follow(after):
            if any((event.kind, event.state) == ("alarm", "RAISED") for event in batch):
                break
    (alarm,) = await openstack.json("vnffm", "alarm", "list")
    assert (await openstack.json("vnffm", "alarm", "show", alarm["ID"]))["Managed Object Id"] == id
    done = await openstack.json("vnffm", "alarm", "update", "--ack-state", "ACKNOWLEDGED", alarm["ID"])
    assert done["Ack State"] == "ACKNOWLEDGED"
    wish = {"callbackUri": "http://127.0.0.1:9/told"}
    made = await openstack.json("vnffm", "sub", "create", openstack.file("subscription", wish))
    assert [one["ID"] for one in await openstack.json("vnffm", "sub", "list")] == [made["ID"]]
    assert (await openstack.json("vnffm", "sub", "show", made["ID"]))["Callback Uri"] == wish["callbackUri"]
    await openstack("vnffm", "sub", "delete", made["ID"])
    assert await openstack.json("vnffm", "sub", "list") == []


@pytest.mark.feature("A41")
async def test_pm_jobs(openstack: OpenStack) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    openstack.version = "2"
    id = await openstack.instantiated("web", "shop")
    criteria = {"performanceMetric": ["VCpuUsageMeanVnf"], "collectionPeriod": 1, "reportingPeriod": 1}
    wish = {
        "objectType": "Vnf",
        "objectInstanceIds": [id],
        "criteria": criteria,
        "callbackUri": "http://127.0.0.1:9/told",
    }
    made = await openstack.json("vnfpm", "job", "create", openstack.file("job", wish))
    assert [one["Id"] for one in await openstack.json("vnfpm", "job", "list")] == [made["ID"]]
    async with asyncio.timeout(60):
        while not (shown := await openstack.json("vnfpm", "job", "show", made["ID"])).get("Reports"):
            assert shown["Object Instance Ids"] == [id]
    report = shown["Reports"][0]["href"].rpartition("/")[2]
    (entry, *_) = (await openstack.json("vnfpm", "report", "show", made["ID"], report))["Entries"]
    assert (entry["objectInstanceId"], entry["performanceMetric"]) == (id, "VCpuUsageMeanVnf")
    change = openstack.file("change", {"callbackUri": "http://127.0.0.1:9/elsewhere"})
    assert (await openstack.json("vnfpm", "job", "update", made["ID"], change))["Callback Uri"].endswith("elsewhere")
    await openstack("vnfpm", "job", "delete", made["ID"])
    assert await openstack.json("vnfpm", "job", "list") == []


@pytest.mark.feature("A41")
async def test_pm_thresholds(openstack: OpenStack) -> None:
    await openstack.onboard(csar(vnf_folder(WEB)))
    openstack.version = "2"
    id = await openstack.instantiated("web", "shop")
    details = {"thresholdValue": 50, "hysteresis": 5}
    criteria = {"performanceMetric": "VCpuUsageMeanVnf", "thresholdType": "SIMPLE", "simpleThresholdDetails": details}
    wish = {
        "objectType": "Vnf",
        "objectInstanceId": id,
        "criteria": criteria,
        "callbackUri": "http://127.0.0.1:9/told",
    }
    made = await openstack.json("vnfpm", "threshold", "create", openstack.file("threshold", wish))
    assert [one["ID"] for one in await openstack.json("vnfpm", "threshold", "list")] == [made["ID"]]
    shown = await openstack.json("vnfpm", "threshold", "show", made["ID"])
    assert (shown["Object Instance Id"], shown["Criteria"]["simpleThresholdDetails"]["thresholdValue"]) == (id, 50)
    change = openstack.file("change", {"callbackUri": "http://127.0.0.1:9/elsewhere"})
    told = await openstack.json("vnfpm", "threshold", "update", made["ID"], change)
    assert told["Callback Uri"].endswith("elsewhere")
    await openstack("vnfpm", "threshold", "delete", made["ID"])
    assert await openstack.json("vnfpm", "threshold", "list") == []
