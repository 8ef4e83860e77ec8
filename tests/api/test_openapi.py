"""The document that is served describes what is served."""

from __future__ import annotations

import re

import msgspec
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from skerry.api.app import APIS
from skerry.api.openapi import document
from tests.api.rig import Rig


async def test_it_is_served_without_a_token(rig: Rig) -> None:
    answer = await rig.client.get("/openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.content == msgspec.json.encode(document(APIS))


def test_every_endpoint_is_described() -> None:
    told = document(APIS)
    for api in APIS:
        for major in api.versions:
            for endpoint in api.served(major):
                path = api.root(major) + re.sub(r":\w+\}", "}", endpoint.path)
                operation = told["paths"][path][endpoint.method.lower()]
                assert operation["summary"]
                assert str(endpoint.status) in operation["responses"]
                assert ("requestBody" in operation) == (endpoint.body is not None)
                names = set(re.findall(r"\{(\w+)\}", path))
                assert {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"} == names
    ids = [op["operationId"] for path in told["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))


def test_every_schema_is_one() -> None:
    told = document(APIS)
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    used = set(re.findall(r"#/components/schemas/([\w.]+)", str(told)))
    assert used <= set(told["components"]["schemas"])


async def test_answers_fit_their_own_schema(rig: Rig) -> None:
    told = document(APIS)
    await rig.onboard_all()
    vnf = await rig.vnf()
    operation = (await rig.client.get("/skerry/v1/operations")).json()[0]["id"]
    pages = {
        "/skerry/v1/node": "/skerry/v1/node",
        "/skerry/v1/packages": "/skerry/v1/packages",
        "/skerry/v1/vims": "/skerry/v1/vims",
        "/skerry/v1/vnfs": "/skerry/v1/vnfs",
        "/skerry/v1/vnfs/{vnfId}": f"/skerry/v1/vnfs/{vnf}",
        "/skerry/v1/vnfs/{vnfId}/stats": f"/skerry/v1/vnfs/{vnf}/stats",
        "/skerry/v1/operations": "/skerry/v1/operations",
        "/skerry/v1/operations/{operationId}": f"/skerry/v1/operations/{operation}",
        "/skerry/v1/events": "/skerry/v1/events",
        "/vnflcm/v2/vnf_instances/{vnfInstanceId}": f"/vnflcm/v2/vnf_instances/{vnf}",
        "/vnflcm/v1/vnf_instances/{vnfInstanceId}": f"/vnflcm/v1/vnf_instances/{vnf}",
        "/vnflcm/v2/vnf_lcm_op_occs/{vnfLcmOpOccId}": f"/vnflcm/v2/vnf_lcm_op_occs/{operation}",
    }
    for template, path in pages.items():
        answer = await rig.client.get(path)
        assert answer.status_code == 200, answer.text
        content = told["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]
        whole = {**content["schema"], "components": told["components"]}
        Draft202012Validator(whole).validate(answer.json())
