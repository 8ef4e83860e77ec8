"""Grants between two nodes over HTTP: one is the NFVO, the other a VNFM that has to ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from skerry.settings import ForeignNfvo
from skerry.wiring import Node
from tests.api.rig import VNFD, Rig, running
from tests.notifications.receiver import Got, Reply, receiving
from tests.serving import served

GRANTS = "/grant/v1/grants"


def wish(vnfd: str = VNFD, *, vdu: str = "server", operation: str = "op-1") -> dict[str, Any]:
    """A GrantRequest as a VNFM of V2.6.1 writes it, for one VDU with storage and a port."""
    links = {"vnfLcmOpOcc": {"href": "http://vnfm/op"}, "vnfInstance": {"href": "http://vnfm/vnf"}}
    return {
        "vnfInstanceId": "foreign",
        "vnfLcmOpOccId": operation,
        "vnfdId": vnfd,
        "flavourId": "default",
        "operation": "INSTANTIATE",
        "isAutomaticInvocation": False,
        "addResources": [
            {"id": "1", "type": "COMPUTE", "vduId": vdu, "resourceTemplateId": vdu},
            {"id": "2", "type": "LINKPORT", "vduId": vdu, "resourceTemplateId": "sip_cp"},
        ],
        "_links": links,
    }


@pytest.mark.feature("A64", "A65")
async def test_a_foreign_vnfm_is_granted_its_resources(rig: Rig) -> None:
    await rig.onboard("server")
    answer = await rig.client.post(GRANTS, json=wish(), headers={"Version": "1.4.0"})
    assert answer.status_code == 201, answer.text
    grant = answer.json()
    assert answer.headers["version"] == "1.4.0"
    assert grant["vnfLcmOpOccId"] == "op-1"
    assert [(one["resourceDefinitionId"], one["vimConnectionId"]) for one in grant["addResources"]] == [
        ("1", "sim"),
        ("2", "sim"),
    ]
    assert grant["vimConnectionInfo"]["sim"]["vimType"] == "SIMULATED"
    assert grant["_links"]["vnfInstance"]["href"] == "http://vnfm/vnf"
    assert (await rig.client.get(answer.headers["location"])).json() == grant
    again = await rig.client.post(GRANTS, json=wish())
    assert again.json()["id"] == grant["id"], "the same request of the same operation is the same grant"


@pytest.mark.feature("A64", "A67")
async def test_what_cannot_be_granted_is_refused(rig: Rig) -> None:
    await rig.onboard("server")
    unknown = await rig.client.post(GRANTS, json=wish(vdu="ghost"))
    assert unknown.status_code == 422
    assert unknown.json()["faults"][0]["path"] == "/addResources/0"
    assert (await rig.client.post(GRANTS, json=wish(vnfd="none"))).status_code == 422
    far = wish(operation="op-2")
    far["addResources"][0]["resource"] = {"resourceId": "", "vimConnectionId": "elsewhere"}
    refused = await rig.client.post(GRANTS, json=far)
    assert refused.status_code == 403
    assert "elsewhere" in refused.json()["detail"]
    assert (await rig.client.get(f"{GRANTS}/none")).status_code == 404


@asynccontextmanager
async def vnfm(folder: Path, endpoint: str, **nfvo: Any) -> AsyncGenerator[Rig]:
    """A second node whose grants come from the first; it knows no infrastructure by itself."""
    folder.mkdir()
    async with running(folder, vims=(), granting_nfvo=ForeignNfvo(endpoint=endpoint, **nfvo)) as rig:
        yield rig


async def credentials(client: httpx.AsyncClient) -> tuple[str, str]:
    """An OAuth2 client of the NFVO."""
    made = await client.post("/skerry/v1/access/clients", json={"name": "vnfm", "role": "operator"})
    assert made.status_code == 201, made.text
    shown = made.json()
    return str(shown["client"]["id"]), str(shown["client_secret"])


@pytest.mark.feature("A64", "A65", "A7")
async def test_two_nodes(rig: Rig, tmp_path: Path) -> None:
    """The second node's VNF stands where the first one says, on infrastructure that it learnt from the grant."""
    await rig.onboard("server")
    id, secret = await credentials(rig.client)
    (tmp_path / "secret").write_text(secret)
    async with served(rig) as endpoint:
        folder = tmp_path / "vnfm"
        async with vnfm(folder, endpoint, client_id=id, secret_file=tmp_path / "secret") as other:
            await other.onboard("server")
            vnf = await other.vnf()
            shown = (await other.client.get(f"/vnflcm/v2/vnf_instances/{vnf}")).json()
            assert list(shown["vimConnectionInfo"]) == ["sim"]
            node: Node = other.node
            operation = node.engine.operations(subject=vnf, tenant="default")[0]
            (record,) = rig.node.grants.grants(tenant="default")
            assert (record.asked.vnf_instance_id, record.asked.vnf_lcm_op_occ_id) == (vnf, operation.id)


@pytest.mark.feature("A67")
async def test_a_refusal_of_the_nfvo_ends_the_operation(rig: Rig, tmp_path: Path) -> None:
    await rig.onboard("server")
    await rig.client.delete("/skerry/v1/vims/sim")
    id, secret = await credentials(rig.client)
    (tmp_path / "secret").write_text(secret)
    folder, own = tmp_path / "vnfm", {"client_id": id, "secret_file": tmp_path / "secret"}
    async with served(rig) as endpoint, vnfm(folder, endpoint, **own) as other:
        await other.onboard("server")
        made = await other.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
        task = f"/vnflcm/v2/vnf_instances/{made.json()['id']}/instantiate"
        done = await other.finished(await other.client.post(task, json={"flavourId": "default"}))
    assert done["operationState"] in ("ROLLED_BACK", "FAILED_TEMP"), done
    assert "NFVO" in done["error"]["detail"]


@pytest.mark.feature("A65")
async def test_a_grant_is_waited_for_at_the_nfvo_and_nowhere_else(tmp_path: Path) -> None:
    def answer(got: Got) -> Reply:
        if got.method == "POST":
            return Reply(202, b"", (("location", "http://elsewhere.example/grant/v1/grants/g1"),))
        return Reply(403, b'{"status": 403, "detail": "no room"}')

    async with receiving() as nfvo:
        nfvo.answer = answer
        async with vnfm(tmp_path / "vnfm", nfvo.uri("")) as other:
            await other.onboard("server")
            made = await other.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
            task = f"/vnflcm/v2/vnf_instances/{made.json()['id']}/instantiate"
            done = await other.finished(await other.client.post(task, json={"flavourId": "default"}))
    assert "no room" in done["error"]["detail"]
    assert [(got.method, got.path) for got in nfvo.got] == [("POST", GRANTS), ("GET", f"{GRANTS}/g1")]


def ref(id: str, vim: str = "") -> dict[str, str]:
    return (
        {"idType": "RES_MGMT", "resourceId": id, "vimConnectionId": vim}
        if vim
        else {"idType": "GRANT", "resourceId": id}
    )


@pytest.mark.feature("A64", "A67")
async def test_constraints_of_a_request_are_kept_or_refuse_it(rig: Rig) -> None:
    await rig.onboard("server")
    together = {"affinityOrAntiAffinity": "AFFINITY", "scope": "NFVI_POP", "resource": [ref("1"), ref("2")]}
    apart = {**together, "affinityOrAntiAffinity": "ANTI_AFFINITY"}
    same = {"resource": [ref("1"), ref("old", "sim")], "sameResourceGroup": True}
    cases: list[tuple[dict[str, Any], int]] = [
        ({"placementConstraints": [together], "vimConstraints": [same]}, 201),
        ({"placementConstraints": [apart]}, 403),
        ({"placementConstraints": [{**apart, "fallbackBestEffort": True}]}, 201),
        ({"placementConstraints": [{**together, "scope": "NFVI_NODE"}]}, 403),
        ({"placementConstraints": [{**together, "scope": "GALAXY"}]}, 422),
        ({"vimConstraints": [{"resource": [ref("1"), ref("old", "elsewhere")]}]}, 403),
    ]
    for number, (constraints, status) in enumerate(cases):
        answer = await rig.client.post(GRANTS, json={**wish(operation=f"op-{number}"), **constraints})
        assert answer.status_code == status, (constraints, answer.text)
        if status == 403:
            assert "by the constraints of the request" in answer.json()["detail"]
    snapshot = wish(operation="op-s")
    snapshot["addResources"][0]["snapshotResDef"] = {"vnfSnapshotId": "s"}
    answer = await rig.client.post(GRANTS, json=snapshot)
    assert (answer.status_code, answer.json()["faults"][0]["path"]) == (422, "/addResources/0/snapshotResDef")
