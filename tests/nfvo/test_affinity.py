"""Rules of affinity and anti-affinity in a request hold for the places of the NS's VNFs, now and later."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.model.ns import NsInstance
from skerry.model.states import OperationState
from tests.nfvo.test_requested import asked, done
from tests.vnfm.builder import Lab, lab

HOST = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
SERVICE = """
id: pair
vnfs: {one: {vnfd: host, links: {eth: lan}, max: 2}, two: {vnfd: host, links: {eth: lan}}}
links: {lan: 10.83.0.0/24}
aspects: {size: {one: [1, 2]}}
levels: {start: {one: 1, two: 1}}
"""
TWO = {"here": {"latency": {"*": 0.1}}, "there": {"latency": {"*": 0.1}}}


def rule(kind: str, scope: str = "NFVI_POP", **who: list[str]) -> list[dict[str, Any]]:
    return [{"affinityOrAntiAffiinty": kind, "scope": scope, **(who or {"vnfProfileId": ["one", "two"]})}]


def at(**places: str) -> list[dict[str, Any]]:
    return [{"vnfProfileId": id, "locationConstraints": {"vimId": vim}} for id, vim in places.items()]


async def tried(it: Lab, ns: NsInstance, rules: list[dict[str, Any]], **places: str) -> OperationState:
    given = {"additionalAffinityOrAntiAffinityRule": rules, "locationConstraints": at(**places)}
    return (await asked(it, ns, "instantiate", nsFlavourId="default", **given)).state


@pytest.mark.feature("A67")
def test_rules_are_kept_or_nothing_is_made() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, HOST, instantiate=False)
        assert await tried(it, ns, rule("ANTI_AFFINITY"), one="here", two="here") is not OperationState.COMPLETED
        assert it.machines() == {}
        for kind, places in (
            ("AFFINITY", {"one": "here", "two": "there"}),
            ("ANTI_AFFINITY", {}),
        ):
            ns = await it.node.nfvo.create("pair", name=kind)
            assert await tried(it, ns, rule(kind), **places) is not OperationState.COMPLETED
            assert it.machines() == {}
        ns = await it.node.nfvo.create("pair", name="together")
        assert await tried(it, ns, rule("AFFINITY", vnfdId=["host"])) is OperationState.COMPLETED
        await done(it, ns, "terminate")
        assert it.node.nfvo.instance(ns.id).affinity == ()

    lab(body, TWO)


@pytest.mark.feature("A67")
def test_a_rule_holds_for_what_comes_later() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, HOST, instantiate=False)
        assert await tried(it, ns, rule("ANTI_AFFINITY"), one="here", two="there") is OperationState.COMPLETED
        assert (len(it.machines("here")), len(it.machines("there"))) == (1, 1)
        out = {"scalingDirection": "SCALE_OUT", "aspectId": "size"}
        data = {"scaleNsByStepsData": out, "locationConstraints": at(one="there")}
        over = await asked(it, ns, "scale", scaleType="SCALE_NS", scaleNsData=data)
        assert over.state is not OperationState.COMPLETED
        assert "they are not apart (NFVI_POP)" in over.error
        assert len(it.machines()) == 2

    lab(body, TWO)


@pytest.mark.feature("A67")
def test_rules_of_what_the_ns_does_not_have_are_refused() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, HOST, instantiate=False)
        wrong = rule("AFFINITY", vnfProfileId=["one", "three"], vnfdId=["guest"], vnfInstanceId=["nobody"])
        with pytest.raises(InvalidError) as refusal:
            await tried(it, ns, wrong)
        base = "/additionalAffinityOrAntiAffinityRule/0"
        paths = [f"{base}/vnfProfileId/1", f"{base}/vnfdId/0", f"{base}/vnfInstanceId/0"]
        assert [fault.path for fault in refusal.value.faults] == paths
        with pytest.raises(InvalidError, match="affinityOrAntiAffinity"):
            await tried(it, ns, [{"scope": "ZONE", "vnfdId": ["host"]}])

    lab(body, TWO)
