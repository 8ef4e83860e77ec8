"""What a tenant may have at most: refused before anything is made, whatever asks, in virtual time."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from skerry.errors import RejectedError
from skerry.model.grants import Asked, GrantRecord
from skerry.model.quotas import Limits, Needed, TenantUsage, beyond, total
from skerry.model.states import OperationState
from skerry.model.time import stamp
from skerry.nfvo.grants import takes
from skerry.nfvo.tenant_quotas import elsewhere, exceeded, within
from skerry.placement.solve import CONTAINER, FUNCTION, Choice, Demand
from skerry.store.database import Transaction
from skerry.store.quotas import claims
from tests.vnfm.builder import Lab, csar, lab, vnf_folder

WEB = "{id: web, vdus: {one: {nics: {pub: ext}, vcpus: 1}}, aspects: {more: {max: 3, deltas: {one: [1]}}}}"
PAIR = "{id: pair, vnfs: {a: {vnfd: web, links: {pub: net}, count: 2}}, links: {net: ''}}"
ME = ""


def used(it: Lab) -> TenantUsage:
    return it.node.tenant_quotas.usage(ME)


async def limit(it: Lab, **limits: Any) -> None:
    await it.node.tenant_quotas.put(ME, Limits(**limits))


@pytest.mark.feature("A40")
def test_growth_beyond_a_limit_is_refused_and_what_goes_is_free_again() -> None:
    async def body(it: Lab) -> None:
        await limit(it, vcpus=2.5, instances=9)
        first = await it.vnf(WEB, name="first")
        more = {"type": "SCALE_OUT", "aspectId": "more"}
        await it.done("vnf.scale", first.id, more)
        before = it.machines()
        refused = await it.run("vnf.scale", first.id, more)
        assert refused.state is OperationState.ROLLED_BACK
        assert "vCPUs: the limit is 2.5, used are 2, asked for are 1" in refused.error
        assert (it.machines(), used(it).vcpus, used(it).instances) == (before, 2.0, 2)
        await it.done("vnf.heal", first.id, {"cause": "test"})  # no growth
        await it.done("vnf.scale", first.id, {**more, "type": "SCALE_IN"})
        await it.done("vnf.scale", first.id, more)
        await it.done("vnf.terminate", first.id, {"terminationType": "FORCEFUL"})
        assert used(it) == TenantUsage()

    lab(body)


@pytest.mark.feature("A40")
def test_a_plan_is_refused_too_and_takes_nothing() -> None:
    async def body(it: Lab) -> None:
        await limit(it, instances=1)
        first = await it.vnf(WEB, instantiate=False, name="first")
        await it.node.vnfm.plan("vnf.instantiate", first.id, {})
        assert used(it) == TenantUsage()
        await it.done("vnf.instantiate", first.id, {})
        second = await it.vnf(WEB, instantiate=False, name="second")
        with pytest.raises(RejectedError) as told:
            await it.node.vnfm.plan("vnf.instantiate", second.id, {})
        assert [fault.path for fault in told.value.faults] == ["/instances"]
        assert used(it).instances == 1
        await it.done("vnf.terminate", first.id, {"terminationType": "FORCEFUL"})
        granted = await it.done("vnf.instantiate", second.id, {})
        assert [claim.id for claim in claims.select(it.node.store, tenant=ME)] == [granted.id]  # others are swept

    lab(body)


@pytest.mark.feature("A40")
def test_a_limit_below_what_is_there_stops_growth_only() -> None:
    async def body(it: Lab) -> None:
        first = await it.vnf(WEB, name="first")
        await limit(it, vcpus=0.5, memory_bytes=1)
        await it.done("vnf.heal", first.id, {"cause": "test"})
        more = {"type": "SCALE_OUT", "aspectId": "more"}
        assert (await it.run("vnf.scale", first.id, more)).state is OperationState.ROLLED_BACK
        await it.node.tenant_quotas.remove(ME)
        await it.done("vnf.scale", first.id, more)

    lab(body)


@pytest.mark.feature("A40")
def test_a_service_that_has_no_room_as_a_whole_makes_nothing() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(PAIR, WEB, instantiate=False)
        await limit(it, instances=1)
        refused = await it.run("ns.instantiate", ns.id, {})
        assert refused.state is OperationState.ROLLED_BACK
        assert "instances: the limit is 1, used are 0, asked for are 2" in refused.error
        assert (it.node.vnfm.instances(tenant=ME), it.machines()) == ([], {})
        await limit(it, instances=2)
        await it.done("ns.instantiate", ns.id, {})
        assert used(it).instances == 2

    lab(body)


@pytest.mark.feature("A40")
def test_what_an_unfinished_operation_was_granted_stays_its_own_over_a_restart() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(PAIR, WEB, instantiate=False)
        other = await it.vnf(WEB, instantiate=False, name="other")
        await limit(it, instances=2)
        it.world.fail("create_compute", "*", times=1000)
        stuck = await it.run("ns.instantiate", ns.id, {})
        assert stuck.state is OperationState.FAILED_TEMP
        await it.restart()
        assert (used(it).instances, it.machines()) == (2, {})
        assert (await it.run("vnf.instantiate", other.id, {})).state is OperationState.ROLLED_BACK
        it.world.troubles.clear()
        await it.node.engine.rollback(stuck.id)
        await it.node.engine.wait(stuck.id)
        assert used(it) == TenantUsage(ns=1)
        await it.done("vnf.instantiate", other.id, {})

    lab(body)


@pytest.mark.feature("A40", "A41")
def test_who_was_refused_is_told_once_the_quota_has_room() -> None:
    async def body(it: Lab) -> None:
        await limit(it, instances=1)
        first = await it.vnf(WEB, name="first")
        second = await it.vnf(WEB, instantiate=False, name="second")

        def told() -> list[tuple[str, str]]:
            return [(event.subject, event.state) for event in it.node.engine.events.since(0, kind="quota")]

        await it.run("vnf.instantiate", second.id, {})
        await asyncio.sleep(100)
        assert told() == []
        await it.done("vnf.terminate", first.id, {"terminationType": "FORCEFUL"})
        await asyncio.sleep(1)
        assert told() == [("", "COMPUTE")]
        await it.done("vnf.instantiate", second.id, {})
        await it.run("vnf.instantiate", first.id, {})
        await limit(it, instances=2)
        await asyncio.sleep(1)
        assert told() == [("", "COMPUTE")] * 2

    lab(body)


@pytest.mark.feature("A40")
def test_what_stays_and_gets_bigger_counts() -> None:
    async def body(it: Lab) -> None:
        small = "{id: v1, product: p, vdus: {one: {nics: {pub: ext}, vcpus: 1}}}"
        await limit(it, vcpus=2)
        vnf = await it.vnf(small)
        await it.onboard(csar(vnf_folder(small.replace("v1", "v2").replace("vcpus: 1", "vcpus: 3"))))
        refused = await it.run("vnf.change_package", vnf.id, {"vnfdId": "v2"})
        assert refused.state is OperationState.ROLLED_BACK
        assert "vCPUs: the limit is 2, used are 1, asked for are 2" in refused.error
        assert (it.node.vnfm.instance(vnf.id).vnfd_id, used(it).vcpus) == ("v1", 1.0)
        await limit(it, vcpus=3)
        await it.done("vnf.change_package", vnf.id, {"vnfdId": "v2"})
        assert used(it).vcpus == 3.0

    lab(body)


@pytest.mark.feature("A40")
def test_a_plan_asks_for_what_it_takes_more_than_there_is() -> None:
    async def body(it: Lab) -> None:
        small = "{id: v1, product: p, vdus: {one: {nics: {pub: ext}, vcpus: 1}}}"
        await limit(it, vcpus=3)
        vnf = await it.vnf(small)
        await it.onboard(csar(vnf_folder(small.replace("v1", "v2").replace("vcpus: 1", "vcpus: 3"))))
        await it.node.vnfm.plan("vnf.change_package", vnf.id, {"vnfdId": "v2"})
        await limit(it, vcpus=2)
        with pytest.raises(RejectedError, match="the limit is 2, used are 1, asked for are 2"):
            await it.node.vnfm.plan("vnf.change_package", vnf.id, {"vnfdId": "v2"})

    lab(body)


@pytest.mark.feature("A40")
def test_a_plan_leaves_what_another_operation_was_granted() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(PAIR, WEB)
        await limit(it, instances=9)
        two = {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "a"}] * 2}
        at = stamp(it.node.engine.clock.now() + timedelta(hours=1))
        waiting = await it.start("ns.update", ns.id, {**two, "updateTime": at})
        await asyncio.sleep(1)
        assert used(it).instances == 4
        await it.node.nfvo.plan("ns.update", ns.id, {**two, "instantiateVnfData": [{"vnfProfileId": "a"}]})
        assert used(it).instances == 4
        ended = await it.node.engine.wait(waiting.id, 3700)
        assert (ended.state, used(it).instances) == (OperationState.COMPLETED, 4)

    lab(body)


@pytest.mark.feature("A40")
def test_a_grant_reads_no_services() -> None:
    class Heard(Transaction):
        def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
            heard.append(sql)
            return super().execute(sql, parameters)

    heard: list[str] = []

    async def body(it: Lab) -> None:
        await it.ns(PAIR, WEB)
        await limit(it, instances=2, ns=1)
        await it.node.store.write(lambda tx: within(Heard(tx.connection), ME, lambda: None))
        assert [sql for sql in heard if "FROM vnf_instances" in sql] != []
        assert [sql for sql in heard if "FROM ns_instances" in sql] == []
        assert used(it).ns == 1

    lab(body)


@pytest.mark.feature("A40")
def test_a_micro_network_function_counts_as_what_it_takes() -> None:
    either = Demand(name="f", vcpus=2, memory_bytes=1 << 30, forms=(CONTAINER, FUNCTION), function_bytes=8 << 20)
    as_function = Choice(placement={"f": "s"}, verdicts=(), functions=frozenset({"f"}))
    assert takes([either], as_function) == {"f": Needed(memory_bytes=8 << 20, instances=1)}
    as_container = Choice(placement={"f": "s"}, verdicts=())
    assert takes([either], as_container) == {"f": Needed(vcpus=2, memory_bytes=1 << 30, instances=1)}


def grant(operation: str, takes: float = 0, gives: float = 0, occurrence: str = "") -> GrantRecord:
    asked = Asked(vnf_instance_id="v", vnf_lcm_op_occ_id=occurrence or operation, vnfd_id="d", operation=operation)
    return GrantRecord(id=operation, asked=asked, takes=Needed(vcpus=takes), gives=Needed(vcpus=gives))


@pytest.mark.feature("A64")
def test_what_managers_of_others_hold() -> None:
    grants = [grant("INSTANTIATE", 3), grant("SCALE", 2, 1)]
    assert elsewhere(grants) == {"v": Needed(vcpus=4)}
    assert elsewhere([*grants, grant("TERMINATE")]) == {}
    assert elsewhere([grant("SCALE", 0, 5)]) == {"v": Needed()}
    assert elsewhere([*grants, grant("SCALE", 2, 1)]) == {"v": Needed(vcpus=4)}  # its manager asked again
    assert elsewhere([grant("INSTANTIATE", 3), grant("INSTANTIATE", 3, occurrence="2")]) == {"v": Needed(vcpus=3)}


@pytest.mark.feature("A40")
def test_only_growth_beyond_a_limit_exceeds_it() -> None:
    limits = Limits(vcpus=2, instances=3)
    assert exceeded(limits, TenantUsage(vcpus=1), TenantUsage(vcpus=2, memory_bytes=9)) == []
    assert exceeded(limits, TenantUsage(vcpus=5), TenantUsage(vcpus=5)) == []
    assert exceeded(Limits(vcpus=0.3), TenantUsage(vcpus=0.1), TenantUsage(vcpus=0.1 + 0.2)) == []
    assert exceeded(limits, TenantUsage(instances=3), TenantUsage(instances=5)) == [("instances", 3, 3, 2)]
    assert total([Needed(vcpus=0.5, memory_bytes=2**60), Needed(memory_bytes=1)]) == Needed(
        vcpus=0.5, memory_bytes=2**60 + 1
    )
    assert beyond(Needed(vcpus=3), Needed(vcpus=1, instances=4)) == Needed(vcpus=2)
