"""Applications from package to end, over the API of a node: on its platform, at its NFVO, on its infrastructure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from skerry.mep.steering import SimulatedSteering
from skerry.settings import Vim
from skerry.vim.simulated.world import World, world
from tests.api.rig import Rig, running
from tests.api.test_mec011 import SERVICES, SUPPORT, offered, registered
from tests.meo.packages import appd, archive, dns, service, traffic
from tests.notifications.receiver import receiving
from tests.vnfm.builder import vnf_folder

TENANT = "default"
LCM, PKG = "/app_lcm/v1", "/app_pkgm/v1"
INSTANTIATE: dict[str, Any] = {"selectedMECHostInfo": [{"hostId": {"id": "east"}}]}


class Edge:
    """Two hosts, `east` and `west`, each with an infrastructure of its own; and shortcuts."""

    def __init__(self, rig: Rig, plane: SimulatedSteering, worlds: Mapping[str, World]) -> None:
        self.rig = rig
        self.client = rig.client
        self.plane = plane
        self.worlds = worlds

    async def onboard(self, descriptor: Mapping[str, Any], **files: str) -> str:
        """The package's id."""
        made = await self.client.post(f"{PKG}/app_packages", json={"appPkgName": "p", "appPkgVersion": "1"})
        id = str(made.json()["id"])
        content = archive(descriptor, **files).read_bytes()
        path = f"{PKG}/app_packages/{id}/package_content"
        put = await self.client.put(path, content=content, headers={"Content-Type": "application/zip"})
        assert put.status_code == 202, put.text
        return id

    async def created(self, app_d_id: str = "app-1", **more: Any) -> str:
        made = await self.client.post(f"{LCM}/app_instances", json={"appDId": app_d_id, **more})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def does(self, id: str, task: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The operation occurrence once it is over."""
        answer = await self.client.post(f"{LCM}/app_instances/{id}/{task}", json=body)
        return await self.rig.finished(answer)

    async def running(self, descriptor: Mapping[str, Any], **request: Any) -> str:
        """An instantiated application of a package that is onboarded for it."""
        await self.onboard(descriptor)
        id = await self.created(descriptor["appDId"])
        done = await self.does(id, "instantiate", request or INSTANTIATE)
        assert done["operationState"] == "COMPLETED", self.rig.node.engine.operations(subject=id)[-1].error
        return id

    async def shown(self, id: str) -> dict[str, Any]:
        return dict((await self.client.get(f"{LCM}/app_instances/{id}")).json())

    def machines(self) -> dict[str, str]:
        """Instance -> infrastructure."""
        return {name: vim for vim, one in self.worlds.items() for name in one.has.machines}

    def error(self, id: str) -> str:
        """Why the newest operation failed."""
        return self.rig.node.engine.operations(subject=id)[-1].error


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncGenerator[Edge]:
    plane = SimulatedSteering()
    names = {zone: f"{tmp_path}-{zone}" for zone in ("east", "west")}
    vims = tuple(
        Vim(id=f"v-{zone}", type="simulated", zone=zone, settings={"world": name}) for zone, name in names.items()
    )
    async with running(tmp_path, steering=plane, mec_dns="builtin", vims=vims) as rig:
        yield Edge(rig, plane, {f"v-{zone}": world(name) for zone, name in names.items()})


@pytest.mark.feature("E1", "E12", "E22", "B64")
async def test_an_application_is_a_network_service_of_the_nfvo(edge: Edge) -> None:
    id = await edge.running(appd())
    shown = await edge.shown(id)
    ns = (await edge.client.get(f"/nslcm/v2/ns_instances/{shown['nsInstanceId']}")).json()
    assert [vnf["id"] for vnf in ns["vnfInstance"]] == [shown["vnfInstanceId"]]
    assert ns["vnfInstance"][0]["vnfdId"] == "app-1"
    assert (shown["instantiationState"], shown["instantiatedAppState"]) == (
        "INSTANTIATED",
        {"operationalState": "STARTED"},
    )
    ((name, vim),) = edge.machines().items()
    assert vim == "v-east"
    nic = edge.worlds["v-east"].has.machines[name].compute.nics[0]
    assert shown["communicationInterface"]["ipAddresses"] == [{"host": nic.ip, "port": 80}]
    kinds = [o.kind for o in edge.rig.node.engine.operations() if o.parent]
    assert sorted(kinds) == ["ns.instantiate", "vnf.instantiate"]
    await edge.does(id, "operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
    assert (await edge.shown(id))["instantiatedAppState"] == {"operationalState": "STOPPED"}
    await edge.does(id, "operate", {"changeStateTo": "STARTED"})
    done = await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    assert done["operationState"] == "COMPLETED"
    assert edge.machines() == {}
    assert "nsInstanceId" not in await edge.shown(id)
    assert (await edge.client.get("/nslcm/v2/ns_instances")).json() == []
    assert (await edge.client.delete(f"{LCM}/app_instances/{id}")).status_code == 204


@pytest.mark.feature("E4", "E20")
async def test_it_goes_where_the_service_is_that_it_requires(edge: Edge) -> None:
    await edge.onboard(appd(appServiceRequired=[service("cache", "1.0")]))
    id = await edge.created()
    refused = await edge.client.post(f"{LCM}/app_instances/{id}/instantiate", json={})
    assert refused.status_code == 422
    assert {fault["path"]: fault["message"] for fault in refused.json()["faults"]} == {
        "east": "no service cache 1.0",
        "west": "no service cache 1.0",
    }
    producer = await registered(edge.rig)
    await offered(edge.rig, producer)
    assert (await edge.does(id, "instantiate", INSTANTIATE))["operationState"] == "COMPLETED"


@pytest.mark.feature("E6", "E9", "E20")
async def test_features_latency_and_the_request_choose_the_host(edge: Edge) -> None:
    for host, latency, features in (("east", 20, {}), ("west", 3, {"UserApps": "1.0"})):
        told = await edge.client.put(f"/skerry/v1/hosts/{host}", json={"latency_ms": latency, "features": features})
        assert told.status_code == 200, told.text
    near = appd(appLatency={"maxLatency": 5_000_000})
    id = await edge.running(near, locationConstraints={})
    assert set(edge.machines().values()) == {"v-west"}
    elsewhere = await edge.created()
    refused = await edge.client.post(f"{LCM}/app_instances/{elsewhere}/instantiate", json=INSTANTIATE)
    assert refused.status_code == 422
    assert "20 ms away" in refused.json()["detail"]
    await edge.onboard(appd("app-2", appFeatureRequired=[{"featureName": "UserApps", "version": "1"}]))
    other = await edge.created("app-2", appPlacementInfo={"mepId": "east"})
    assert (await edge.client.post(f"{LCM}/app_instances/{other}/instantiate", json={})).status_code == 422
    assert (await edge.shown(id))["instantiationState"] == "INSTANTIATED"


@pytest.mark.feature("E8", "B61")
async def test_rules_of_the_descriptor_come_and_go_with_it(edge: Edge) -> None:
    id = await edge.running(appd(appTrafficRule=[traffic()], appDNSRule=[dns()]))
    ip = (await edge.shown(id))["communicationInterface"]["ipAddresses"][0]["host"]
    base = f"{SUPPORT}/applications/{id}"
    (answered,) = (await edge.client.get(f"{base}/dns_rules")).json()
    assert (answered["ipAddress"], answered["state"]) == (ip, "ACTIVE")
    (steered,) = (await edge.client.get(f"{base}/traffic_rules")).json()
    assert (steered["dstInterface"]["dstIpAddress"], steered["state"]) == (ip, "ACTIVE")
    assert list(edge.plane.in_force) == [id]
    await edge.does(id, "operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
    assert edge.plane.in_force == {}
    await edge.does(id, "operate", {"changeStateTo": "STARTED"})
    assert list(edge.plane.in_force) == [id]
    changed = {"appTrafficRule": [], "appDNSRule": [dns("other.edge.example")]}
    done = await edge.does(id, "configure_platform_for_app", changed)
    assert done["operationState"] == "COMPLETED", edge.error(id)
    assert edge.plane.in_force == {}
    assert [one["domainName"] for one in (await edge.client.get(f"{base}/dns_rules")).json()] == ["other.edge.example"]
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    assert (await edge.client.get(f"{base}/dns_rules")).status_code == 404


@pytest.mark.feature("B61")
async def test_the_platform_may_be_configured_before_it_starts(edge: Edge) -> None:
    await edge.onboard(appd())
    id = await edge.created()
    await edge.does(id, "configure_platform_for_app", {"appDNSRule": [dns()]})
    await edge.does(id, "instantiate", INSTANTIATE)
    assert len((await edge.client.get(f"{SUPPORT}/applications/{id}/dns_rules")).json()) == 1


@pytest.mark.feature("E8")
async def test_a_rule_that_the_platform_refuses_fails_the_operation_and_can_be_retried(edge: Edge) -> None:
    edge.plane.refused.add("t1")
    await edge.onboard(appd(appTrafficRule=[traffic()]))
    id = await edge.created()
    failed = await edge.does(id, "instantiate", INSTANTIATE)
    assert failed["operationState"] == "FAILED_TEMP"
    assert "t1" in edge.error(id)
    edge.plane.refused.clear()
    retried = await edge.client.post(f"{LCM}/app_lcm_op_occs/{failed['id']}/retry")
    assert (await edge.rig.finished(retried))["operationState"] == "COMPLETED"
    assert list(edge.plane.in_force) == [id]


@pytest.mark.feature("B64")
async def test_what_was_given_up_half_way_is_terminated_whole(edge: Edge) -> None:
    edge.plane.refused.add("t1")
    await edge.onboard(appd(appTrafficRule=[traffic()]))
    id = await edge.created()
    failed = await edge.does(id, "instantiate", INSTANTIATE)
    given_up = await edge.client.post(f"{LCM}/app_lcm_op_occs/{failed['id']}/fail")
    assert given_up.json()["operationState"] == "FAILED"
    assert (await edge.client.delete(f"{LCM}/app_instances/{id}")).status_code == 409
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    assert edge.machines() == {}
    assert (await edge.client.delete(f"{LCM}/app_instances/{id}")).status_code == 204


@pytest.mark.feature("B58", "E10")
async def test_a_graceful_end_waits_for_the_application(edge: Edge) -> None:
    id = await edge.running(appd(terminateAppInstanceOpConfig={"minGracefulTerminationTimeout": 20}))
    async with receiving() as receiver:
        told = await edge.client.post(
            f"{SUPPORT}/applications/{id}/subscriptions",
            json={
                "subscriptionType": "AppTerminationNotificationSubscription",
                "callbackReference": receiver.uri("/end"),
                "appInstanceId": id,
            },
        )
        assert told.status_code == 201, told.text
        answer = await edge.client.post(f"{LCM}/app_instances/{id}/terminate", json={"terminationType": "GRACEFUL"})
        await receiver.until(lambda: any(got.body for got in receiver.got))
        (notice,) = [got.json for got in receiver.got if got.body]
        assert (notice["operationAction"], notice["maxGracefulTimeout"]) == ("TERMINATING", 20)
        assert edge.machines(), "it runs until it has confirmed"
        confirm = {"operationAction": "TERMINATING"}
        path = f"{SUPPORT}/applications/{id}/confirm_termination"
        assert (await edge.client.post(path, json=confirm)).status_code == 204
        done = await edge.rig.finished(answer)
    assert done["operationState"] == "COMPLETED"
    assert edge.machines() == {}


@pytest.mark.feature("E10")
async def test_a_graceful_end_waits_no_longer_than_it_was_told(edge: Edge) -> None:
    config = {"minGracefulTerminationTimeout": 1, "maxRecommendedGracefulTerminationTimeout": 900}
    id = await edge.running(appd(terminateAppInstanceOpConfig=config))
    too_short = {"terminationType": "GRACEFUL", "gracefulTerminationTimeout": 0}
    refused = await edge.client.post(f"{LCM}/app_instances/{id}/terminate", json=too_short)
    assert refused.status_code == 422
    assert "at least 1 s" in refused.json()["detail"]
    async with receiving() as receiver:
        await edge.client.post(
            f"{SUPPORT}/applications/{id}/subscriptions",
            json={
                "subscriptionType": "AppTerminationNotificationSubscription",
                "callbackReference": receiver.uri("/end"),
                "appInstanceId": id,
            },
        )
        loop = asyncio.get_running_loop()
        before = loop.time()
        body = {"terminationType": "GRACEFUL", "gracefulTerminationTimeout": 1}
        done = await edge.does(id, "terminate", body)
    assert done["operationState"] == "COMPLETED"
    assert 0.9 <= loop.time() - before < 3.0


@pytest.mark.feature("B59")
async def test_credentials_reach_the_containers_and_nobody_else(edge: Edge) -> None:
    id = await edge.running(appd())
    (name,) = edge.machines()
    env = edge.worlds["v-east"].has.machines[name].compute.env
    assert env["MEC_APP_INSTANCE_ID"] == env["MEC_CLIENT_ID"] == id
    assert env["MODE"] == "calm"
    secret = env["MEC_CLIENT_SECRET"]
    token = await edge.client.post(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(id, secret),
        headers={"Authorization": ""},
    )
    assert token.status_code == 200, token.text
    shown = await edge.shown(id)
    seen = [
        (await edge.client.get(path)).text
        for path in (
            f"{LCM}/app_instances/{id}",
            f"{LCM}/app_lcm_op_occs?all_fields",
            f"/vnflcm/v2/vnf_instances/{shown['vnfInstanceId']}",
            "/vnflcm/v2/vnf_lcm_op_occs?all_fields",
            "/skerry/v1/operations",
            "/skerry/v1/events",
            f"/skerry/v1/apps/{id}",
        )
    ]
    assert not any(secret in text for text in seen)
    assert secret not in repr(edge.rig.node.meo.desk.instance(id))
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    gone = await edge.client.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=(id, secret))
    assert gone.status_code in (400, 401)


@pytest.mark.feature("E11", "E14", "E17", "E18")
async def test_a_package_with_both_parts_is_onboarded_once(edge: Edge) -> None:
    vnfd = vnf_folder("{id: both, vdus: {one: {nics: {pub: ext}}}}")
    named = {name.replace("/", "__").replace(".yaml", "_yaml"): text for name, text in vnfd.items()}
    content = archive(appd("both-app", appExtCpd=None), **named).read_bytes()
    made = (await edge.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    path = f"/vnfpkgm/v2/vnf_packages/{made}"
    headers = {"Content-Type": "application/zip"}
    put = await edge.client.put(f"{path}/package_content", content=content, headers=headers)
    assert put.status_code == 202, put.text
    assert (await edge.client.get(path)).json()["vnfdId"] == "both"
    (mec,) = (await edge.client.get(f"{PKG}/onboarded_app_packages")).json()
    assert (mec["appDId"], mec["_links"]["vnfPkgInfo"]["href"]) == ("both-app", f"https://node{path}")
    kept = edge.rig.node.applications.package(mec["id"], tenant=TENANT).package
    assert kept is not None
    assert kept.nfv is None
    assert (await edge.client.delete(f"{PKG}/app_packages/{mec['id']}")).status_code == 409
    id = await edge.created("both-app")
    assert (await edge.does(id, "instantiate", INSTANTIATE))["operationState"] == "COMPLETED", edge.error(id)
    ((name, _),) = edge.machines().items()
    assert name.endswith("one-0")
    await edge.client.patch(path, json={"operationalState": "DISABLED"})
    assert (await edge.client.delete(path)).status_code == 409
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    await edge.client.delete(f"{LCM}/app_instances/{id}")
    assert (await edge.client.delete(path)).status_code == 204
    assert (await edge.client.get(f"{PKG}/onboarded_app_packages")).json() == []


@pytest.mark.feature("E18")
async def test_a_package_whose_mec_part_is_rejected_is_of_no_use(edge: Edge) -> None:
    await edge.onboard(appd("taken"))
    vnfd = vnf_folder("{id: both, vdus: {one: {nics: {pub: ext}}}}")
    named = {name.replace("/", "__").replace(".yaml", "_yaml"): text for name, text in vnfd.items()}
    made = (await edge.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    path = f"/vnfpkgm/v2/vnf_packages/{made}"
    content = archive(appd("taken"), **named).read_bytes()
    await edge.client.put(f"{path}/package_content", content=content, headers={"Content-Type": "application/zip"})
    shown = (await edge.client.get(path)).json()
    assert (shown["onboardingState"], shown["operationalState"]) == ("ONBOARDED", "DISABLED")
    assert "same AppD" in edge.rig.node.catalogue.vnf_package(made, tenant=TENANT).problem["detail"]


@pytest.mark.feature("E24", "E37")
async def test_a_host_has_one_orchestrator(edge: Edge) -> None:
    one = await edge.client.put("/skerry/v1/hosts/east", json={"orchestrator": "meo-1"})
    assert one.json()["orchestrator"] == "meo-1"
    assert (await edge.client.put("/skerry/v1/hosts/east", json={"orchestrator": "meo-1"})).status_code == 200
    assert (await edge.client.put("/skerry/v1/hosts/west", json={"orchestrator": "meo-1"})).status_code == 200
    other = await edge.client.put("/skerry/v1/hosts/east", json={"orchestrator": "meo-2"})
    assert other.status_code == 409
    assert (await edge.client.delete("/skerry/v1/hosts/east")).status_code == 204
    assert (await edge.client.put("/skerry/v1/hosts/east", json={"orchestrator": "meo-2"})).status_code == 200
    hosts = (await edge.client.get("/skerry/v1/hosts")).json()
    assert {host["id"]: host["vims"] for host in hosts} == {"east": ["v-east"], "west": ["v-west"]}
    await edge.running(appd())
    assert (await edge.client.delete("/skerry/v1/hosts/east")).status_code == 409
    assert (await edge.client.get("/skerry/v1/hosts/nowhere")).status_code == 404


@pytest.mark.feature("E5")
async def test_what_it_produces_is_announced_and_gone_with_it(edge: Edge) -> None:
    id = await edge.running(appd(appServiceProduced=[service("video")]))
    await offered(edge.rig, id, serName="video")
    assert [one["serName"] for one in (await edge.client.get(f"{SERVICES}/services")).json()] == ["video"]
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    assert (await edge.client.get(f"{SERVICES}/services")).json() == []


@pytest.mark.feature("B64")
async def test_an_application_can_be_discarded_in_every_state(edge: Edge) -> None:
    edge.plane.refused.add("t1")
    await edge.onboard(appd(appTrafficRule=[traffic()]))
    id = await edge.created()
    assert (await edge.does(id, "instantiate", INSTANTIATE))["operationState"] == "FAILED_TEMP"
    assert (await edge.client.post(f"/skerry/v1/apps/{id}/discard")).status_code == 204
    assert edge.machines() == {}
    assert (await edge.client.get(f"{LCM}/app_instances/{id}")).status_code == 404


@pytest.mark.feature("E15")
async def test_the_platform_manager_sees_the_application_as_an_element_manager_does(edge: Edge) -> None:
    """Over Mv2: life-cycle notifications of its VNF at once, and its counters."""
    await edge.onboard(appd())
    id = await edge.created()
    async with receiving() as receiver:
        wanted = {"notificationTypes": ["VnfLcmOperationOccurrenceNotification"]}
        body = {"callbackUri": receiver.uri("/vnflcm"), "filter": wanted}
        assert (await edge.client.post("/vnflcm/v2/subscriptions", json=body)).status_code == 201
        await edge.does(id, "instantiate", INSTANTIATE)
        vnf = (await edge.shown(id))["vnfInstanceId"]
        await receiver.until(lambda: any(b"COMPLETED" in got.body for got in receiver.got))
        states = [got.json["operationState"] for got in receiver.got if got.body and got.json["vnfInstanceId"] == vnf]
        assert states == ["STARTING", "PROCESSING", "COMPLETED"]
        job = {
            "objectType": "Vnf",
            "objectInstanceIds": [vnf],
            "criteria": {"performanceMetric": ["VCpuUsageMeanVnf"], "collectionPeriod": 1, "reportingPeriod": 1},
            "callbackUri": receiver.uri("/pm"),
        }
        made = await edge.client.post("/vnfpm/v2/pm_jobs", json=job)
        assert made.status_code == 201, made.text
        await receiver.until(lambda: any(got.path == "/pm" and got.body for got in receiver.got))
        href = next(
            got.json["_links"]["performanceReport"]["href"] for got in receiver.got if got.path == "/pm" and got.body
        )
        report = (await edge.client.get(href)).json()
        assert [entry["objectInstanceId"] for entry in report["entries"]] == [vnf]


@pytest.mark.feature("E16")
async def test_the_vnf_manager_configures_the_application(edge: Edge) -> None:
    """Over Mv3: a configurable property of the VNF that the application is reaches its container."""
    text = """
    id: both
    vdus: {one: {nics: {pub: ext}, env: {MODE: {get_property: [SELF, configurable_properties, mode]}}}}
    properties: {mode: calm}
    """
    named = {name.replace("/", "__").replace(".yaml", "_yaml"): body for name, body in vnf_folder(text).items()}
    await edge.onboard(appd("both-app", appExtCpd=None), **named)
    id = await edge.created("both-app")
    await edge.does(id, "instantiate", INSTANTIATE)
    (name,) = edge.machines()
    machine = edge.worlds["v-east"].has.machines
    assert machine[name].compute.env["MODE"] == "calm"
    vnf = (await edge.shown(id))["vnfInstanceId"]
    patched = await edge.client.patch(
        f"/vnflcm/v2/vnf_instances/{vnf}", json={"vnfConfigurableProperties": {"mode": "wild"}}
    )
    await edge.rig.finished(patched)
    assert machine[name].compute.env["MODE"] == "wild"
    assert machine[name].compute.env["MEC_APP_INSTANCE_ID"] == id, "what it was told besides stays"


@pytest.mark.feature("E21")
async def test_an_application_moves_to_another_host_with_its_rules(edge: Edge) -> None:
    id = await edge.running(appd(appTrafficRule=[traffic()], appDNSRule=[dns()]))
    before = (await edge.shown(id))["nsInstanceId"]
    answer = await edge.client.post(f"/skerry/v1/apps/{id}/relocate", json={})
    assert answer.status_code == 202, answer.text
    operation = answer.headers["Location"].rpartition("/")[2]
    view = (await edge.client.get(f"/skerry/v1/operations/{operation}?wait=10")).json()
    assert view["operation"]["state"] == "COMPLETED", view
    assert set(edge.machines().values()) == {"v-west"}
    shown = await edge.shown(id)
    ip = shown["communicationInterface"]["ipAddresses"][0]["host"]
    assert shown["nsInstanceId"] != before
    base = f"{SUPPORT}/applications/{id}"
    (steered,) = (await edge.client.get(f"{base}/traffic_rules")).json()
    (answered,) = (await edge.client.get(f"{base}/dns_rules")).json()
    assert steered["dstInterface"]["dstIpAddress"] == answered["ipAddress"] == ip
    assert edge.rig.node.mep.apps.get(id, tenant=TENANT).zone == "west"
    done = {step["key"]: step["record"]["ended_at"] for step in view["steps"]}
    assert done["create:ns:west"] <= done["update:rules:mep"] <= done["delete:ns:east"], "it is never nowhere"
    await edge.does(id, "terminate", {"terminationType": "FORCEFUL"})
    assert edge.machines() == {}
