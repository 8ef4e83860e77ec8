"""Reference points: each has a document of its own, and what is answered there is what the document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from skerry.api.points import POINTS
from tests.api.rig import Rig
from tests.meo.test_redirection import APPD, edges, leaves

NAMES = sorted(POINTS)


async def told(client: Any, name: str) -> dict[str, Any]:
    """The document of a reference point, as anybody may read it."""
    answer = await client.get(f"/openapi/{name}.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    return dict(answer.json())


def conforms(document: dict[str, Any], path: str, method: str, status: int, body: Any) -> None:
    """Whether an answer is one that the document describes."""
    answer = document["paths"][path][method]["responses"][str(status)]
    schema = json.loads(json.dumps(answer["content"]["application/json"]["schema"]))
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)


@pytest.mark.feature("E2")
@pytest.mark.parametrize("name", NAMES)
async def test_every_point_has_a_document_and_answers_as_it_says(rig: Rig, name: str) -> None:
    document = await told(rig.client, name)
    assert name.capitalize() in document["info"]["title"]
    roots = {f"{api.root(major)}/" for api in POINTS[name].apis for major in api.versions}
    assert document["paths"], "something is spoken there"
    assert all(any(path.startswith(root) for root in roots) for path in document["paths"])
    assert {root for root in roots if any(path.startswith(root) for path in document["paths"])} == roots
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, methods in document["paths"].items():
        if "get" not in methods or "{" in path:
            continue
        answer = await rig.client.get(path)
        assert answer.status_code in (200, 404, 405), (path, answer.text)
        if answer.status_code == 200 and "json" in answer.headers["content-type"]:
            conforms(document, path, "get", 200, answer.json())


@pytest.mark.feature("E2")
async def test_points_are_separate() -> None:
    assert set(POINTS) == {"mm1", "mm3", "mm5", "mp1", "mv1", "mv2", "mv3"}
    for one, other in (("mp1", "mm5"), ("mp1", "mm1"), ("mv1", "mv2"), ("mm5", "mm1"), ("mm1", "mv1")):
        assert not {api.name for api in POINTS[one].apis} & {api.name for api in POINTS[other].apis}


@pytest.mark.feature("E2", "E20")
async def test_a_manager_configures_the_platform_of_its_zone_and_no_other(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        document = await told(edge.client, "mm5")
        id = await edge.running(APPD)
        root = "/mm5/v1/platforms/{zone}"
        for leaf in ("offer", "applications", "services", "transports"):
            answer = await edge.client.get(f"/mm5/v1/platforms/east/{leaf}")
            assert answer.status_code == 200, answer.text
            conforms(document, f"{root}/{leaf}", "get", 200, answer.json())
        rules = f"/mm5/v1/platforms/east/applications/{id}/traffic_rules"
        (rule,) = (await edge.client.get(rules)).json()
        done = await edge.client.put(f"{rules}/t1", json={**rule, "state": "INACTIVE"})
        assert done.status_code == 200, done.text
        conforms(
            document, root + "/applications/{appInstanceId}/traffic_rules/{trafficRuleId}", "put", 200, done.json()
        )
        assert await leaves(edge, "east") == {"core-east"}
        assert (await edge.client.put(f"{rules}/other", json=rule)).status_code == 422
        elsewhere = await edge.client.put(rules.replace("east", "west") + "/t1", json=rule)
        assert elsewhere.status_code == 404
        assert await leaves(edge, "east") == {"core-east"}
        assert (await edge.client.get("/mm5/v1/platforms/nowhere/offer")).status_code == 404
        name = {"dnsRuleId": "d", "domainName": "a.example", "ipAddressType": "IP_V4", "ipAddress": "10.0.0.9"}
        names = f"/mm5/v1/platforms/east/applications/{id}/dns_rules"
        assert (await edge.client.put(f"{names}/d", json={**name, "state": "ACTIVE"})).status_code == 200
        assert [one["domainName"] for one in (await edge.client.get(names)).json()] == ["a.example"]


@pytest.mark.feature("E2", "E19", "E21")
async def test_a_manager_has_an_application_relocated_and_its_traffic_follows(tmp_path: Path) -> None:
    async with edges(tmp_path) as edge:
        document = await told(edge.client, "mm3")
        id = await edge.running(APPD)
        managers = (await edge.client.get("/mm3/v1/platform_managers")).json()
        assert {one["zone"] for one in managers} == {"east", "west"}
        path = "/mm3/v1/applications/{appInstanceId}/redirection"
        before = (await edge.client.get(path.replace("{appInstanceId}", id))).json()
        conforms(document, path, "get", 200, before)
        assert set(before["nfps"]) == {"t1"}
        asked = await edge.client.post(f"/mm3/v1/applications/{id}/relocate", json={"targetHost": "west"})
        assert asked.status_code == 202, asked.text
        ended = await edge.rig.node.engine.wait(asked.headers["Location"].rpartition("/")[2], 20)
        assert ended.state == "COMPLETED", ended.error
        assert (await leaves(edge, "east"), await leaves(edge, "west")) == ({"core-east"}, {"app"})
        after = (await edge.client.get(path.replace("{appInstanceId}", id))).json()
        assert after["nsInstanceId"] != before["nsInstanceId"]
        assert set(after["nfps"]) == {"t1"}
