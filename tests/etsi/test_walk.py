"""A SOL005 client of somebody else walks through what an operator does with a node: over TLS, with OAuth2, in both versions."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from skerry.packages import build
from tests.api.rig import EXAMPLES, VNFD
from tests.cli.conftest import Served, start, stop

ZIP = {"Content-Type": "application/zip"}
VERSIONS = {1: "1.3.0", 2: "2.0.0"}
OVER = ("COMPLETED", "FAILED_TEMP", "FAILED", "ROLLED_BACK")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("walk")
    process = start(folder)
    try:
        yield Served(folder, process)
    finally:
        assert stop(process) == 0


class Walker:
    """What the client knows: an address, an authority, credentials, and the standard."""

    def __init__(self, node: Served, version: int, id: str, secret: str) -> None:
        known = msgspec.json.decode((node.folder / "data" / "client.json").read_bytes())
        context = ssl.create_default_context(cafile=known["ca"])
        self.http = httpx.Client(base_url=known["endpoint"], verify=context, timeout=60)
        form = {"grant_type": "client_credentials"}
        token = self.http.post("/oauth2/token", data=form, auth=(id, secret)).json()["access_token"]
        self.http.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"})
        self.version = version

    def call(self, method: str, api: str, path: str, status: int, **more: Any) -> httpx.Response:
        uri = path if "://" in path else f"/{api}/v{self.version}{path}"
        answer = self.http.request(method, uri, **more)
        assert answer.status_code == status, (method, path, answer.text)
        return answer

    def make(self, api: str, path: str, body: Mapping[str, Any]) -> str:
        """Create a resource; where it is."""
        made = self.call("POST", api, path, 201, json=body)
        assert made.json()["_links"]["self"]["href"] == made.headers["location"]
        return str(made.headers["location"])

    def task(self, where: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Run a task of an NS to its end."""
        begun = self.call("POST", "nslcm", where, 202, json=body)
        while (shown := self.call("GET", "nslcm", begun.headers["location"], 200).json())["operationState"] not in OVER:
            time.sleep(0.05)
        assert shown["operationState"] == "COMPLETED", shown
        return dict(shown)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.feature("B33")
def test_a_walk_through_the_standard(node: Served, version: int, tmp_path: Path) -> None:
    made = node.json("access", "client", "create", f"walker-{version}", "--role", "operator")
    me = Walker(node, version, made["client"]["id"], made["client_secret"])
    packages: dict[str, str] = {}
    for name in ("server", "client"):
        packages[name] = me.make("vnfpkgm", "/vnf_packages", {"userDefinedData": {"by": "walker"}})
        content = build(EXAMPLES / name, tmp_path / f"{name}.csar").read_bytes()
        me.call("PUT", "vnfpkgm", f"{packages[name]}/package_content", 202, content=content, headers=ZIP)
    while {one["onboardingState"] for one in me.call("GET", "vnfpkgm", "/vnf_packages", 200).json()} != {"ONBOARDED"}:
        time.sleep(0.05)
    found = me.call("GET", "vnfpkgm", f"/vnf_packages?filter=(eq,vnfdId,{VNFD})", 200).json()
    assert [one["_links"]["self"]["href"] for one in found] == [packages["server"]]
    nsd = me.make("nsd", "/ns_descriptors", {})
    content = build(EXAMPLES / "service", tmp_path / "service.csar").read_bytes()
    put = me.http.put(f"{nsd}/nsd_content", content=content, headers=ZIP)
    assert put.status_code in (202, 204), put.text
    nsd_id = me.call("GET", "nsd", nsd, 200).json()["nsdId"]
    ns = me.make("nslcm", "/ns_instances", {"nsdId": nsd_id, "nsName": "walk", "nsDescription": "by a stranger"})
    done = me.task(f"{ns}/instantiate", {"nsFlavourId": "default"})
    entered = "statusEnteredTime" if version == 1 else "stateEnteredTime"
    assert entered in done
    shown = me.call("GET", "nslcm", ns, 200).json()
    assert shown["nsState"] == "INSTANTIATED"
    members = {vnf["vnfdId"]: vnf for vnf in shown["vnfInstance"]}
    client = next(vnf for id, vnf in members.items() if id != VNFD)
    aspects = client["instantiatedVnfInfo"]["scaleStatus"]
    step = {"scaleVnfType": "SCALE_OUT", "scaleByStepData": {"aspectId": aspects[0]["aspectId"]}}
    scale = {"scaleType": "SCALE_VNF", "scaleVnfData": [{"vnfInstanceId": client["id"], **step}]}
    me.task(f"{ns}/scale", scale)
    after = {vnf["id"]: vnf for vnf in me.call("GET", "nslcm", ns, 200).json()["vnfInstance"]}
    assert after[client["id"]]["instantiatedVnfInfo"]["scaleStatus"][0]["scaleLevel"] == aspects[0]["scaleLevel"] + 1
    me.task(f"{ns}/heal", {"healVnfData": [{"vnfInstanceId": members[VNFD]["id"], "cause": "a walk"}]})
    for state in ("STOPPED", "STARTED"):  # an action on a VNF
        entry = {"vnfInstanceId": members[VNFD]["id"], "changeStateTo": state}
        me.task(f"{ns}/update", {"updateType": "OPERATE_VNF", "operateVnfData": [entry]})
        now = {vnf["vnfdId"]: vnf for vnf in me.call("GET", "nslcm", ns, 200).json()["vnfInstance"]}
        assert now[VNFD]["instantiatedVnfInfo"]["vnfState"] == state
    me.call("DELETE", "nslcm", ns, 409)
    me.call("DELETE", "vnfpkgm", packages["server"], 409)
    me.task(f"{ns}/terminate", {})
    me.call("DELETE", "nslcm", ns, 204)
    me.call("GET", "nslcm", ns, 404)
    kinds = [one["lcmOperationType"] for one in me.call("GET", "nslcm", "/ns_lcm_op_occs", 200).json()]
    assert kinds[-6:] == ["INSTANTIATE", "SCALE", "HEAL", "UPDATE", "UPDATE", "TERMINATE"]
    for api, where, state in (
        ("nsd", nsd, "nsdOperationalState"),
        *(("vnfpkgm", one, "operationalState") for one in packages.values()),
    ):
        patch = {"Content-Type": "application/merge-patch+json" if version == 2 or api == "nsd" else "application/json"}
        me.call("PATCH", api, where, 200, content=msgspec.json.encode({state: "DISABLED"}), headers=patch)
        me.call("DELETE", api, where, 204)
    me.http.close()


@pytest.mark.feature("B33", "D36")
def test_infrastructures_projects_users_and_roles(node: Served) -> None:
    """What the standard leaves to each product: the same verbs, by the command line."""
    node("vim", "register", "more", "simulated")
    assert {"sim", "more"} <= {one["id"] for one in node.json("vim", "list")}
    node("vim", "delete", "more")
    mine = node.json("access", "client", "create", "of-a-project", "--role", "operator", "--tenant", "project-x")
    guest = node.json("access", "client", "create", "who-looks", "--role", "guest", "--tenant", "project-x")
    user = Walker(node, 2, mine["client"]["id"], mine["client_secret"])
    assert user.call("POST", "vnfpkgm", "/vnf_packages", 201, json={}).json()["onboardingState"] == "CREATED"
    looks = Walker(node, 2, guest["client"]["id"], guest["client_secret"])
    (seen,) = looks.call("GET", "vnfpkgm", "/vnf_packages", 200).json()
    looks.call("DELETE", "vnfpkgm", f"/vnf_packages/{seen['id']}", 403)
    assert {one["name"] for one in node.json("access", "client", "list")} >= {"of-a-project", "who-looks"}
    user.call("DELETE", "vnfpkgm", f"/vnf_packages/{seen['id']}", 204)
    node("access", "client", "delete", mine["client"]["id"])
    user.call("GET", "vnfpkgm", "/vnf_packages", 401)
    user.http.close()
    looks.http.close()
