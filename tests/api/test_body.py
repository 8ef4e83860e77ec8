"""Bodies: every fault at once, each with its place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from skerry.api import body
from skerry.api.own.types import PlanRequest
from skerry.api.problem import HttpError
from skerry.api.sol003.types import CancelMode, InstantiateVnfRequest, ScaleVnfToLevelRequest
from skerry.dataplane.intents import Port, Side
from skerry.errors import InvalidError, MalformedError


@pytest.mark.feature("A47")
def test_every_fault_at_once() -> None:
    wrong = {
        "instantiationLevelId": 3,
        "extVirtualLinks": [
            {"id": "a", "resourceId": "b", "extCps": [{"cpConfig": {"x": {"linkPortId": 1}}}]},
            {"id": ""},
        ],
    }
    with pytest.raises(InvalidError) as caught:
        body.convert(wrong, InstantiateVnfRequest)
    assert {fault.path for fault in caught.value.faults} == {
        "/flavourId",
        "/instantiationLevelId",
        "/extVirtualLinks/0/extCps/0/cpdId",
        "/extVirtualLinks/0/extCps/0/cpConfig/x/linkPortId",
        "/extVirtualLinks/1/id",
        "/extVirtualLinks/1/resourceId",
        "/extVirtualLinks/1/extCps",
    }


def test_unknown_attribute_names_the_nearest() -> None:
    with pytest.raises(InvalidError) as caught:
        body.convert({"kind": "ns.scale", "subjekt": "x"}, PlanRequest)
    fixes = {fault.path: fault.fix for fault in caught.value.faults}
    assert fixes == {"/subject": "add subject", "/subjekt": "did you mean subject?"}


def test_a_value_that_is_none_of_a_few_names_them() -> None:
    with pytest.raises(InvalidError) as caught:
        body.convert({"cancelMode": "SOFT"}, CancelMode)
    assert [fault.fix for fault in caught.value.faults] == ["write one of GRACEFUL, FORCEFUL"]
    with pytest.raises(InvalidError) as caught:
        body.convert({"id": "a", "device": "d", "side": "APP"}, Port)
    assert [fault.fix for fault in caught.value.faults] == ["write one of " + ", ".join(Side)]


def test_rule_over_several_attributes() -> None:
    with pytest.raises(InvalidError, match="either instantiationLevelId or scaleInfo"):
        body.convert({}, ScaleVnfToLevelRequest)


def test_broken_json_has_a_place() -> None:
    with pytest.raises(MalformedError) as caught:
        body.parse(b'{\n  "a": 1,\n  nope\n}')
    assert (caught.value.faults[0].line, caught.value.faults[0].column) == (3, 3)


@pytest.mark.parametrize(
    ("raw", "place"), [(b'{\n  "a": "x\xff"\n}', (2, 10)), (b"\xff\xfe", None), (b'{"\xc3": 1}', (1, 3))]
)
def test_text_that_is_not_utf8_is_no_json(raw: bytes, place: tuple[int, int] | None) -> None:
    with pytest.raises(MalformedError, match="cannot read the body as JSON") as caught:
        body.decode(raw, CancelMode)
    fault = caught.value.faults[0]
    assert place in (None, (fault.line, fault.column))


def test_no_body_is_an_empty_one() -> None:
    assert body.parse(b"") == {}


async def test_a_body_that_trickles_in_for_ever_is_given_up() -> None:
    async def trickle() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with pytest.raises(HttpError) as caught:
        await asyncio.wait_for(body.read(Request(scope, trickle), 4096, patience_s=-0.5), 30)
    assert (caught.value.status_code, caught.value.headers) == (408, {"Connection": "close"})
