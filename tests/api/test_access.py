"""Access over HTTP: OAuth2, clients, roles by endpoint, tenants apart, limits, audit."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from skerry.access.roles import Principal, Right, role_allows
from skerry.api import rights
from skerry.api.app import APIS
from skerry.api.route import Endpoint
from skerry.vnfm.naming import resource_name
from tests.api.rig import VNFD, Rig, running

CLIENTS = "/skerry/v1/access/clients"
FORM = {"grant_type": "client_credentials"}
NOBODY = {"Authorization": ""}
NSD = "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e10"


async def made(rig: Rig, name: str, role: str = "operator", **more: Any) -> tuple[str, str]:
    """A new client: id and secret."""
    answer = await rig.client.post(CLIENTS, json={"name": name, "role": role, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["client"]["id"], answer.json()["client_secret"]


async def granted(rig: Rig, id: str, secret: str, **more: str) -> dict[str, Any]:
    form = {**FORM, "client_id": id, "client_secret": secret, **more}
    answer = await rig.client.post("/oauth2/token", data=form, headers=NOBODY)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def as_client(rig: Rig, name: str, role: str = "operator", **more: Any) -> dict[str, str]:
    """Headers of a new client."""
    token = (await granted(rig, *await made(rig, name, role, **more)))["access_token"]
    return {"Authorization": f"Bearer {token}"}


def basic(id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{id}:{secret}".encode()).decode()}


@pytest.mark.feature("A21")
async def test_client_credentials(rig: Rig) -> None:
    id, secret = await made(rig, "ci")
    answer = await rig.client.post("/oauth2/token", data=FORM, headers=basic(id, secret))
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    told = answer.json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
    assert "vnflcm:v2:all" in told["scope"].split()
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    me = (await rig.client.get("/skerry/v1/access/me", headers=headers)).json()
    assert (me["name"], me["role"], me["tenant"], me["client"]) == ("ci", "operator", "default", id)
    narrow = await granted(rig, id, secret, scope="nsd:v2:readonly")
    assert narrow["scope"] == "nsd:v2:readonly"
    headers = {"Authorization": f"Bearer {narrow['access_token']}"}
    assert (await rig.client.get("/nsd/v2/ns_descriptors", headers=headers)).status_code == 200
    refused = await rig.client.get("/nsd/v1/ns_descriptors", headers=headers)
    assert refused.status_code == 403
    assert 'error="insufficient_scope", scope="nsd:v1:readonly"' in refused.headers["www-authenticate"]
    assert (await rig.client.get("/vnflcm/v2/api_versions", headers=headers)).status_code == 200


@pytest.mark.feature("A21", "A14")
async def test_errors_of_the_token_endpoint(rig: Rig) -> None:
    id, secret = await made(rig, "ci", "guest")
    body = {"client_id": id, "client_secret": secret}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"data": FORM}, 401, "invalid_client"),
        ({"data": {**FORM, **body, "client_secret": "ss_wrong"}}, 401, "invalid_client"),
        ({"data": FORM, "headers": basic(id, "ss_wrong")}, 401, "invalid_client"),
        ({"data": FORM, "headers": basic("nobody", secret)}, 401, "invalid_client"),
        ({"data": FORM, "headers": {"Authorization": "Basic %%%"}}, 401, "invalid_client"),
        ({"data": FORM, "headers": {"Authorization": "Bearer x"}}, 401, "invalid_client"),
        ({"data": {**FORM, **body}, "headers": basic(id, secret)}, 400, "invalid_request"),
        ({"data": {**FORM, "client_id": "other"}, "headers": basic(id, secret)}, 400, "invalid_request"),
        ({"json": {**FORM, **body}}, 400, "invalid_request"),
        ({"data": body}, 400, "invalid_request"),
        ({"data": {**body, "grant_type": ["client_credentials"] * 2}}, 400, "invalid_request"),
        ({"data": {**body, "grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"data": {**FORM, **body, "scope": "nsd:v2:all"}}, 400, "invalid_scope"),
    ]
    for request, status, code in cases:
        answer = await rig.client.post("/oauth2/token", **{"headers": NOBODY, **request})
        assert (answer.status_code, answer.json()["error"]) == (status, code), request
        assert answer.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert secret not in answer.text
    assert (await rig.client.get("/oauth2/token", headers=NOBODY)).status_code == 405
    huge = await rig.client.post("/oauth2/token", data={"x": "y" * 20_000}, headers=NOBODY)
    assert huge.status_code == 413


@pytest.mark.feature("A14", "A44")
async def test_introspection_and_revocation(rig: Rig) -> None:
    id, secret = await made(rig, "ci")
    token = (await granted(rig, id, secret))["access_token"]
    other = basic(*await made(rig, "other"))
    foreign = basic(*await made(rig, "foreign", tenant="t2"))

    async def told(headers: dict[str, str], what: str = token) -> dict[str, Any]:
        answer = await rig.client.post("/oauth2/introspect", data={"token": what}, headers=headers)
        assert answer.status_code == 200
        return dict(answer.json())

    said = await told(other)
    assert (said["active"], said["client_id"], said["token_type"]) == (True, id, "Bearer")
    assert await told(foreign) == {"active": False}
    assert await told(other, "nonsense") == {"active": False}
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        assert (await rig.client.post(path, data={"token": token}, headers=NOBODY)).status_code == 401
        assert (await rig.client.post(path, data={}, headers=other)).json()["error"] == "invalid_request"
    refused = await rig.client.post("/oauth2/revoke", data={"token": token}, headers=other)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await rig.client.get("/vnflcm/v2/vnf_instances", headers=headers)).status_code == 200
    for _ in range(2):
        answer = await rig.client.post("/oauth2/revoke", data={"token": token}, headers=basic(id, secret))
        assert answer.status_code == 200
    dead = await rig.client.get("/vnflcm/v2/vnf_instances", headers=headers)
    assert dead.status_code == 401
    assert 'error="invalid_token"' in dead.headers["www-authenticate"]
    assert await told(other) == {"active": False}
    keys = (await rig.client.get("/oauth2/jwks", headers=NOBODY)).json()["keys"]
    assert [key["alg"] for key in keys] == ["ES256"]


@pytest.mark.feature("A44", "A39")
async def test_clients_are_made_listed_rotated_and_deleted(rig: Rig) -> None:
    id, secret = await made(rig, "ci", tenant="t2", scopes=["nsd:v2:all"])
    headers = {"Authorization": f"Bearer {(await granted(rig, id, secret))['access_token']}"}
    assert (await rig.client.get("/nsd/v2/ns_descriptors", headers=headers)).status_code == 200
    listed = await rig.client.get(CLIENTS)
    assert [client["name"] for client in listed.json()] == ["ci"]
    assert secret not in listed.text
    turned = await rig.client.post(f"{CLIENTS}/{id}/rotate")
    assert turned.json()["client_secret"] != secret
    assert (await rig.client.get("/nsd/v2/ns_descriptors", headers=headers)).status_code == 401
    await granted(rig, id, turned.json()["client_secret"])
    assert (await rig.client.post(CLIENTS, json={"name": "ci", "tenant": "t2"})).status_code == 409
    assert (await rig.client.post(CLIENTS, json={"name": "x", "scopes": ["nonsense"]})).status_code == 422
    for wrong in ({}, {"name": "../x"}, {"name": "x", "role": "god"}, {"name": "x", "tenant": "T 2"}):
        assert (await rig.client.post(CLIENTS, json=wrong)).status_code == 422
    assert (await rig.client.post(f"{CLIENTS}/{id}/certificate")).status_code == 422  # no TLS in this rig
    assert (await rig.client.delete(f"{CLIENTS}/{id}")).status_code == 204
    assert (await rig.client.get(f"{CLIENTS}/{id}")).status_code == 404


@pytest.mark.feature("A39", "A92")
async def test_nobody_gets_more_by_way_of_another_client(rig: Rig) -> None:
    boss = await as_client(rig, "boss", "admin", tenant="t2")
    above, _ = await made(rig, "above", "admin")
    mine = await rig.client.post(CLIENTS, json={"name": "mine", "role": "admin"}, headers=boss)
    assert mine.json()["client"]["tenant"] == "t2"
    other = await rig.client.post(CLIENTS, json={"name": "x", "tenant": "default"}, headers=boss)
    assert other.status_code == 403
    assert {one["tenant"] for one in (await rig.client.get(CLIENTS, headers=boss)).json()} == {"t2"}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/certificate")):
        assert (await rig.client.request(method, f"{CLIENTS}/{above}{path}", headers=boss)).status_code == 404
    narrow = await as_client(rig, "narrow", "admin", scopes=["skerry:v1:all"])
    assert (await rig.client.post(f"{CLIENTS}/{above}/rotate", headers=narrow)).status_code == 403
    wider = {"name": "wider", "scopes": ["nsd:v2:all"]}
    assert (await rig.client.post(CLIENTS, json=wider, headers=narrow)).status_code == 403
    same = await rig.client.post(CLIENTS, json={"name": "same"}, headers=narrow)
    assert same.json()["client"]["scopes"] == ["skerry:v1:all"]


def served() -> list[tuple[str, Endpoint]]:
    return [(api.root(major), one) for api in APIS for major in api.versions for one in api.served(major)]


WHO = {
    "node admin": ("admin", "default"),
    "tenant admin": ("admin", "t2"),
    "operator": ("operator", "t2"),
    "guest": ("guest", "t2"),
    "system admin": ("system_admin", "default"),
    "project admin": ("project_admin", "t3"),
    "project user": ("project_user", "t3"),
    "account manager": ("account_manager", "default"),
}
OURS = {"system_admin": "admin", "project_admin": "admin", "project_user": "operator"}
NODE_ADMINS = {"node admin", "system admin"}


@pytest.mark.feature("A92", "A39", "D36", "B69")
async def test_every_role_at_every_endpoint(tmp_path: Path) -> None:
    """Nobody: 401. A role that may not: 403. One that may: 2xx, 404 for what is not there, or a fault of the request."""
    async with running(tmp_path, client_rate_per_s=0.0) as rig:
        callers = {
            who: await as_client(rig, who.replace(" ", "-"), role, tenant=tenant) for who, (role, tenant) in WHO.items()
        }
        seen: dict[str, set[int]] = {}
        for root, endpoint in served():
            path = root + re.sub(r"\{[^}]+\}", "nothing", endpoint.path)
            request = {"json": {}} if endpoint.method in ("POST", "PUT", "PATCH") else {}
            nobody = await rig.client.request(endpoint.method, path, headers=NOBODY, **request)
            assert nobody.status_code == 401, path
            right = rights.of(root, endpoint.method, endpoint.path)
            for who, (role, tenant) in WHO.items():
                answer = await rig.client.request(endpoint.method, path, headers=callers[who], **request)
                itself = root == "/skerry/v1" and endpoint.path == "/access/me"
                allowed = itself or role_allows(Principal(name="x", role=OURS.get(role, role), tenant=tenant), right)
                if who == "account manager":
                    clients = root == "/skerry/v1" and endpoint.path.startswith("/access/clients")
                    assert allowed == (itself or clients)
                assert (answer.status_code == 403) == (not allowed), (who, endpoint.method, path, answer.text)
                assert answer.status_code not in (401, 405, 429, 500), (who, endpoint.method, path, answer.text)
                one_of_a_kind = endpoint.path == "/configuration"  # of a VNF, and there is none
                plain_list = endpoint.method == "GET" and "{" not in endpoint.path and allowed and not one_of_a_kind
                assert not plain_list or answer.status_code == 200, (who, path, answer.text)
                seen.setdefault(who, set()).add(answer.status_code)
        assert {200, 404} <= set.intersection(*seen.values())
        assert all((403 in statuses) == (who not in NODE_ADMINS) for who, statuses in seen.items())


@pytest.mark.feature("A92", "B69")
async def test_who_is_logged_in_sees_himself_whatever_he_may_do(rig: Rig) -> None:
    manager = await as_client(rig, "manager", "account_manager")
    narrow = await as_client(rig, "narrow", "guest", tenant="t2", scopes=["nsd:v2:readonly"])
    for headers, told in ((manager, ("manager", "account_manager")), (narrow, ("narrow", "guest"))):
        answer = await rig.client.get("/skerry/v1/access/me", headers=headers)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["name"], answer.json()["role"]) == told
    assert (await rig.client.get("/skerry/v1/access/me", headers=NOBODY)).status_code == 401
    assert (await rig.client.get("/skerry/v1/node", headers=narrow)).status_code == 403


@pytest.mark.feature("B69")
async def test_names_of_roles_by_tenant(rig: Rig) -> None:
    for name, tenant, ours in (
        ("system_admin", "default", "admin"),
        ("project_admin", "t3", "admin"),
        ("project_user", "t3", "operator"),
        ("account_manager", "default", "account_manager"),
    ):
        answer = await rig.client.post(CLIENTS, json={"name": name, "role": name, "tenant": tenant})
        assert answer.json()["client"]["role"] == ours
    for name, tenant in (("system_admin", "t3"), ("account_manager", "t3"), ("project_admin", "default")):
        wrong = await rig.client.post(CLIENTS, json={"name": "wrong", "role": name, "tenant": tenant})
        assert wrong.status_code == 422, (name, tenant)


@pytest.mark.feature("B69")
async def test_an_account_manager_sees_to_the_clients_of_tenants(rig: Rig) -> None:
    manager = await as_client(rig, "manager", "account_manager")
    for role in ("project_admin", "project_user", "guest"):
        body = {"name": role, "role": role, "tenant": "shop"}
        answer = await rig.client.post(CLIENTS, json=body, headers=manager)
        assert answer.status_code == 201, answer.text
        id = answer.json()["client"]["id"]
        turned = await rig.client.post(f"{CLIENTS}/{id}/rotate", headers=manager)
        token = (await granted(rig, id, turned.json()["client_secret"]))["access_token"]
        theirs = {"Authorization": f"Bearer {token}"}
        assert (await rig.client.get("/vnflcm/v2/vnf_instances", headers=theirs)).status_code == 200
        assert (await rig.client.get("/skerry/v1/backup", headers=theirs)).status_code == 403
    listed = (await rig.client.get(CLIENTS, headers=manager)).json()
    assert {(one["name"], one["tenant"]) for one in listed} == {
        ("project_admin", "shop"), ("project_user", "shop"), ("guest", "shop")
    }  # fmt: skip
    for one in listed:
        assert (await rig.client.delete(f"{CLIENTS}/{one['id']}", headers=manager)).status_code == 204
    assert (await rig.client.get(CLIENTS, headers=manager)).json() == []


@pytest.mark.feature("B69")
async def test_an_account_manager_gets_no_more_by_way_of_others(rig: Rig) -> None:
    manager = await as_client(rig, "manager", "account_manager")
    own = (await rig.client.get(CLIENTS)).json()[0]["id"]
    others = ("system_admin", "account_manager", "operator", "guest")
    out_of_reach = [own, *[(await made(rig, f"a-{name}", name))[0] for name in others]]
    before = (await rig.client.get(CLIENTS)).json()
    for id in out_of_reach:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/certificate")):
            refused = await rig.client.request(method, f"{CLIENTS}/{id}{path}", headers=manager)
            assert refused.status_code == 403, (method, path, refused.text)
    for body in (
        *(
            {"role": role}
            for role in ("admin", "operator", "guest", "account_manager", "system_admin", "project_admin")
        ),
        *({"role": role, "tenant": "default"} for role in ("admin", "operator", "guest", "account_manager")),
        {"role": "system_admin", "tenant": "shop"},
        {"role": "account_manager", "tenant": "shop"},
        {"role": "project_user", "tenant": "shop", "scopes": ["nsd:v2:all"]},
    ):
        refused = await rig.client.post(CLIENTS, json={"name": "more", **body}, headers=manager)
        assert refused.status_code == 403, (body, refused.text)
    assert (await rig.client.get(CLIENTS)).json() == before
    form = {**FORM, "scope": "nsd:v2:all"}
    id, secret = await made(rig, "wide", "account_manager", scopes=["nsd:v2:all", "skerry:v1:all"])
    answer = await rig.client.post("/oauth2/token", data=form, headers=basic(id, secret))
    assert answer.json()["error"] == "invalid_scope"


@pytest.mark.feature("B69")
async def test_nobody_gets_more_by_way_of_an_account_manager(rig: Rig) -> None:
    manager, _ = await made(rig, "manager", "account_manager")
    narrow = await as_client(rig, "narrow", "admin", scopes=["skerry:v1:all"])
    boss = await as_client(rig, "boss", "project_admin", tenant="shop")
    body = {"name": "mine", "role": "account_manager"}
    assert (await rig.client.post(CLIENTS, json=body, headers=narrow)).status_code == 403
    assert (await rig.client.post(CLIENTS, json={**body, "tenant": "default"}, headers=boss)).status_code == 403
    assert (await rig.client.post(CLIENTS, json=body, headers=boss)).status_code == 422
    for path in ("/rotate", "/certificate"):
        assert (await rig.client.post(f"{CLIENTS}/{manager}{path}", headers=narrow)).status_code == 403
        assert (await rig.client.post(f"{CLIENTS}/{manager}{path}", headers=boss)).status_code == 404


@pytest.mark.feature("B69")
def test_an_account_manager_of_another_tenant_is_nobody() -> None:
    assert not any(role_allows(Principal(name="x", role="account_manager", tenant="t2"), right) for right in Right)


MACHINE = {
    "/hosts/{hostId}", "/dataplane/devices/{deviceId}", "/dataplane/ports/{portId}", "/dataplane/links/{linkId}",
    "/dataplane/topology",
}  # fmt: skip
"""What is said of the machine and its switches, which all tenants share."""


READ = ("/vims", "/vims/{vimId}")


@pytest.mark.feature("A92")
def test_what_is_shared_is_for_the_nodes_administrators() -> None:
    of = {(one.method, one.path): rights.of(root, one.method, one.path) for root, one in served() if "skerry" in root}
    shared = {key for key, right in of.items() if right is Right.NODE}
    assert shared == {
        *(
            (one.method, one.path)
            for root, one in served()
            if "skerry" in root and one.path.startswith("/vims") and not (one.method == "GET" and one.path in READ)
        ),
        ("GET", "/backup"),
        *((one.method, one.path) for root, one in served() if "skerry" in root and one.path.startswith("/orphans")),
        *(key for key in of if key[1].startswith(("/lvnf-agents", "/access/quotas"))),
        *(key for key in of if key[1] in MACHINE and key[0] != "GET"),
    }
    changing = {one.path for root, one in served() if "skerry" not in root and one.method != "GET"}
    assert all(rights.of("/nsd/v2", "POST", path) is Right.CHANGE for path in changing)
    assert of["POST", "/vnfs/{vnfId}/exec"] is Right.CHANGE
    assert of["POST", "/plan"] is Right.READ


@pytest.mark.feature("A39", "A92")
async def test_tenants_do_not_see_each_other(rig: Rig) -> None:
    nsd = await rig.onboard_all()
    vnf = await rig.vnf()
    ns = (await rig.client.post("/nslcm/v2/ns_instances", json={"nsdId": "x", "nsName": "n"})).status_code
    assert ns in (404, 422)
    operation = (await rig.client.get("/skerry/v1/operations")).json()[0]["id"]
    package = (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()[0]["id"]
    real = {"nsdInfoId": nsd, "vnfInstanceId": vnf, "vnfId": vnf, "operationId": operation, "vnfPkgId": package,
            "vnfLcmOpOccId": operation, "packageId": package}  # fmt: skip
    mine = await as_client(rig, "mine", "admin")
    foreign = await as_client(rig, "foreign", "admin", tenant="t2")
    seen = 0
    for root, endpoint in served():
        names = re.findall(r"\{(\w+)(?::\w+)?\}", endpoint.path)
        if len(names) != 1 or names[0] not in real:
            continue
        path = root + re.sub(r"\{[^}]+\}", real[names[0]], endpoint.path)
        if endpoint.method == "GET":
            own = await rig.client.get(path, headers=mine)
            theirs = await rig.client.get(path, headers=foreign)
            assert theirs.status_code == 404, (path, theirs.text)
            seen += own.status_code == 200
        elif endpoint.method == "DELETE":
            assert (await rig.client.delete(path, headers=foreign)).status_code == 404, path
    assert seen > 15
    for list_ in ("/vnflcm/v2/vnf_instances", "/nsd/v2/ns_descriptors", "/skerry/v1/operations", "/skerry/v1/vnfs"):
        assert (await rig.client.get(list_, headers=mine)).json()
        assert (await rig.client.get(list_, headers=foreign)).json() == []


@pytest.mark.feature("A39")
async def test_nothing_is_attached_to_the_network_of_another_tenant(rig: Rig) -> None:
    headers = {who: await as_client(rig, who, "admin", tenant=who) for who in ("red", "blue")}
    rig.client.headers.update(headers["blue"])
    await rig.onboard("server")
    rig.client.headers.update(headers["red"])
    await rig.onboard_all()
    nsd = {"nsdId": NSD, "nsName": "one", "nsDescription": ""}
    ns = (await rig.client.post("/nslcm/v2/ns_instances", json=nsd)).json()["id"]
    begun = await rig.client.post(f"/nslcm/v2/ns_instances/{ns}/instantiate", json={"nsFlavourId": "default"})
    assert (await rig.finished(begun))["operationState"] == "COMPLETED"
    network = resource_name(ns, "network:sip_link@sim")
    point = [{"cpdId": "sip_cp", "cpConfig": {"a": {"cpProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET"}]}}}]
    body = {"flavourId": "default", "extVirtualLinks": [{"id": "e", "resourceId": network, "extCps": point}]}

    async def instantiate(who: str) -> httpx.Response:
        rig.client.headers.update(headers[who])
        made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
        return await rig.client.post(f"/vnflcm/v2/vnf_instances/{made.json()['id']}/instantiate", json=body)

    refused = await instantiate("blue")
    assert refused.status_code == 422, refused.text
    assert f"there is no network {network}" in refused.json()["detail"]
    assert (await rig.finished(await instantiate("red")))["operationState"] == "COMPLETED"


async def test_a_client_over_its_rate_waits(tmp_path: Path) -> None:
    async with running(tmp_path, client_rate_per_s=0.01, client_burst=2.0) as rig:
        headers = await as_client(rig, "ci")
        path = "/vnflcm/v2/vnf_instances"
        assert [(await rig.client.get(path, headers=headers)).status_code for _ in range(3)] == [200, 200, 429]
        refused = await rig.client.get(path, headers=headers)
        assert 0 < int(refused.headers["retry-after"]) <= 100
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"].startswith("cannot ")
        assert (await rig.client.get(path)).status_code == 200  # the node's own token
        statuses = [(await rig.client.post("/oauth2/token", headers=NOBODY)).status_code for _ in range(3)]
        assert statuses[-1] == 429


@pytest.mark.feature("A42")
async def test_every_changing_call_is_recorded(rig: Rig) -> None:
    guest = await as_client(rig, "eve", "guest", tenant="t2")
    body = {"userDefinedData": {"password": "very-secret"}}
    await rig.client.post("/vnfpkgm/v2/vnf_packages?secret=in-the-query", json=body)
    await rig.client.get("/vnfpkgm/v2/vnf_packages")
    await rig.client.post("/vnfpkgm/v2/vnf_packages", json=body, headers=guest)
    await rig.client.post("/vnfpkgm/v2/vnf_packages", json=body, headers=NOBODY)
    await rig.client.delete("/skerry/v1/vims/a%1b%0Ab")
    log = rig.node.engine.events.since(0)
    told = [(one.name, one.detail, one.state, one.data["tenant"]) for one in log if one.kind == "audit"]
    assert told == [
        ("admin", "POST /skerry/v1/access/clients", "201", "default"),
        ("eve", "POST /oauth2/token", "200", "t2"),
        ("admin", "POST /vnfpkgm/v2/vnf_packages", "201", "default"),
        ("eve", "POST /vnfpkgm/v2/vnf_packages", "403", "t2"),
        ("unknown at 127.0.0.1", "POST /vnfpkgm/v2/vnf_packages", "401", "default"),
        ("admin", "DELETE /skerry/v1/vims/a??b", "404", "default"),
    ]
    assert "secret" not in repr([one for one in log if one.kind == "audit"])


async def test_a_tenant_gives_its_clients_no_more_than_the_node_allows(rig: Rig) -> None:
    boss = await as_client(rig, "boss", "admin", tenant="t2")
    manager = await as_client(rig, "manager", "account_manager")
    usual = rig.node.settings.client_rate_per_s
    for name, headers, rate, status in (
        ("a", boss, usual, 201),
        ("b", boss, usual + 1, 403),
        ("c", manager, usual + 1, 403),
        ("d", {}, usual + 1, 201),
    ):
        body = {"name": name, "tenant": "t2", "rate_per_s": rate}
        assert (await rig.client.post(CLIENTS, json=body, headers=headers)).status_code == status, name


@pytest.mark.feature("A42")
async def test_refused_calls_are_recorded_and_fill_no_log(tmp_path: Path) -> None:
    async with running(tmp_path, client_rate_per_s=0.01, client_burst=30.0) as rig:
        guess = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "guessed"}
        statuses = [(await rig.client.post("/oauth2/token", data=guess, headers=NOBODY)).status_code for _ in range(35)]
        assert set(statuses) == {401, 429}
        for _ in range(40):
            await rig.client.delete("/vnfpkgm/v2/vnf_packages/a", headers={"Authorization": "Bearer guessed"})
            await rig.client.get("/vnfpkgm/v2/vnf_packages", headers={"Authorization": "Bearer guessed"})
        log = [one for one in rig.node.engine.events.since(0) if one.kind == "audit"]
        assert 5 <= len(log) <= 15
        assert {(one.name, one.detail, one.state) for one in log} == {
            ("unknown at 127.0.0.1", "POST /oauth2/token", "401")
        }
        assert "guessed" not in repr(log)


@pytest.mark.feature("A42")
async def test_a_record_that_cannot_be_written_does_not_hide_the_answer(rig: Rig) -> None:
    @asynccontextmanager
    async def client() -> AsyncGenerator[httpx.AsyncClient]:
        rig.node.store.close()
        yield rig.client
        rig.node.store.open()

    async with client() as broken:
        assert (await broken.post(CLIENTS, json={"name": "ci"})).status_code == 201


@pytest.mark.feature("A42", "A39")
async def test_events_are_for_their_tenant_and_audits_for_its_administrators(rig: Rig) -> None:
    await rig.onboard("server")
    vnf = await rig.vnf()
    path = "/skerry/v1/events"
    callers = {
        "operator": await as_client(rig, "operator"),
        "boss": await as_client(rig, "boss", "admin", tenant="t2"),
        "guest": await as_client(rig, "guest", "guest", tenant="t2"),
    }
    await rig.client.post("/vnfpkgm/v2/vnf_packages", json={}, headers=callers["boss"])

    async def seen(headers: dict[str, str] | None = None, **query: str) -> list[dict[str, Any]]:
        answer = await rig.client.get(path, params=query, headers=headers)
        assert answer.status_code == 200
        return list(answer.json())

    everything = await seen()
    assert {"audit", "operation", "step"} <= {event["kind"] for event in everything}
    audits = [event for event in everything if event["kind"] == "audit"]
    assert await seen(kind="audit") == audits
    assert await seen(kind="audit", last="2") == audits[-2:]
    assert await seen(kind="audit", limit="1") == audits[:1]
    assert await seen(last="3") == everything[-3:]
    assert await seen(last="0") == []
    of_operator = await seen(callers["operator"])
    assert vnf in {event["subject"] for event in of_operator if event["kind"] == "operation"}
    assert "audit" not in {event["kind"] for event in of_operator}
    boss = await seen(callers["boss"])
    assert {event["data"]["tenant"] for event in boss} == {"t2"}
    assert "POST /vnfpkgm/v2/vnf_packages" in {event.get("detail") for event in boss}
    assert "audit" not in {event["kind"] for event in await seen(callers["guest"])}
