"""Network services that fail: retried, taken back, given up, discarded, and what is told of them."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3

import pytest

from skerry.errors import ConflictError, SkerryError
from skerry.model.states import OperationState
from skerry.store.database import Transaction
from skerry.vim.driver import ComputeState
from tests.nfvo.looking import check, machine_of, members, ns_scale, vnf_scale
from tests.nfvo.packages import CLIENT, SERVER, SIP, VNFS
from tests.vnfm.builder import Lab, lab, loaded

S = OperationState
HEALING = {"is_autoheal_enabled": True}


@pytest.mark.feature("A67", "A68")
def test_a_refused_grant_allocates_nothing() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        ended = await it.run("ns.instantiate", ns.id)
        assert ended.state is S.ROLLED_BACK
        assert "needs 1 vCPUs, free are 0.9" in ended.error
        assert it.nothing_left()
        assert it.world.calls("create_network") == {}
        assert it.node.vnfm.instances() == []

    lab(body, {"sim": {"vcpus": 0.9}})


@pytest.mark.feature("A27", "A70")
def test_a_service_goes_on_where_a_script_failed() -> None:
    async def body(it: Lab) -> None:
        it.scripts.fails["echo client"] = 1
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        ended = await it.run("ns.instantiate", ns.id)
        assert ended.state is S.FAILED_TEMP
        assert "Scripts/instantiate_end.sh ended with 3: it broke" in ended.error
        assert it.node.nfvo.status(ns.id) == "ERROR"
        await it.node.engine.retry(ended.id)
        assert it.node.nfvo.status(ns.id) == "RESUMING"
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.COMPLETED
        assert [line for _, line in it.scripts.ran()] == ["echo server", "echo client", "echo client"]
        assert it.node.nfvo.status(ns.id) == "ACTIVE"
        check(it, ns.id)

    lab(body)


@pytest.mark.parametrize("decision", ["rollback", "fail and terminate", "rollback, retry"])
def test_a_service_that_failed_can_be_taken_back_or_given_up(decision: str) -> None:
    async def body(it: Lab) -> None:
        it.scripts.fails["echo client"] = 1
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        ended = await it.run("ns.instantiate", ns.id)
        engine = it.node.engine
        if decision == "fail and terminate":
            await engine.fail(ended.id)
            await it.done("ns.terminate", ns.id)
        elif decision == "rollback":
            await engine.rollback(ended.id)
            assert (await engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        else:
            it.world.fail("delete_network", transient=False)
            await engine.rollback(ended.id)
            assert (await engine.wait(ended.id, 1000)).state is S.FAILED_TEMP
            await engine.retry(ended.id)
            assert (await engine.wait(ended.id, 1000)).state is S.COMPLETED
            check(it, ns.id)
            assert len(it.machines()) == 2
            await it.done("ns.terminate", ns.id)
        assert it.nothing_left()
        assert it.node.vnfm.instances() == []
        await it.node.nfvo.delete(ns.id)

    lab(body)


def test_a_member_operation_that_failed_is_rolled_back_with_its_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client = members(it, ns)["client-0"]
        it.scripts.fails["echo client"] = 1
        ended = await it.run("ns.scale", ns.id, vnf_scale(client.id))
        assert ended.state is S.FAILED_TEMP
        await it.node.engine.rollback(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        assert it.node.vnfm.instance(client.id).vnfcs == {"box": ("box-0",)}
        check(it, ns.id)
        await it.done("vnf.heal", client.id)

    lab(body)


@pytest.mark.feature("A69")
@pytest.mark.parametrize("tenths", range(0, 30, 3))
def test_a_service_is_discarded_at_any_moment(tenths: int) -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        await it.start("ns.instantiate", ns.id)
        await asyncio.sleep(tenths / 10 + 0.05)
        await it.node.nfvo.discard(ns.id)
        assert it.nothing_left()
        assert it.node.vnfm.instances() == []
        assert it.node.nfvo.instances() == []

    lab(body)


@pytest.mark.feature("A69")
def test_a_member_is_not_discarded_behind_the_back_of_its_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client = members(it, ns)["client-0"]
        with pytest.raises(ConflictError, match=f"part of NS {ns.id}"):
            await it.node.vnfm.discard(client.id)
        check(it, ns.id)

    lab(body)


@pytest.mark.feature("A61")
def test_every_state_is_seen_in_a_life() -> None:
    async def body(it: Lab) -> None:
        seen: list[str] = []
        ns = await it.ns(SIP, *VNFS, instantiate=False)

        async def watch() -> None:
            while True:
                now = it.node.nfvo.status(ns.id)
                if seen[-1:] != [now]:
                    seen.append(now)
                await asyncio.sleep(0.02)

        watcher = asyncio.ensure_future(watch())
        await it.done("ns.instantiate", ns.id)
        await asyncio.sleep(1)
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT"))
        await asyncio.sleep(1)
        client = members(it, ns)["client-0"]
        operate = [{"vnfInstanceId": client.id, "changeStateTo": "STOPPED"}]
        await it.done("ns.update", ns.id, {"updateType": "OPERATE_VNF", "operateVnfData": operate})
        await asyncio.sleep(1)
        it.scripts.fails["echo server"] = 1
        failed = await it.run("ns.heal", ns.id, {"healVnfData": [{"vnfInstanceId": members(it, ns)["server-0"].id}]})
        await asyncio.sleep(1)
        await it.node.engine.retry(failed.id)
        await it.node.engine.wait(failed.id, 100)
        await it.done("ns.terminate", ns.id)
        await asyncio.sleep(1)
        watcher.cancel()
        expected = ["NULL", "INITIALIZED", "ACTIVE", "SCALING", "ACTIVE", "INACTIVE", "ERROR", "RESUMING", "INACTIVE"]
        assert [one for one in seen if one in expected][: len(expected)] == expected
        assert seen[-1] == "TERMINATED"

    lab(body)


def test_a_peer_that_could_not_be_told_is_told_by_the_retry() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client = members(it, ns)["client-0"]
        it.world.fail("stop_compute", machine_of(it, client).name, transient=False)
        join = {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "server"}]}
        ended = await it.run("ns.update", ns.id, join)
        assert ended.state is S.FAILED_TEMP
        await it.node.engine.retry(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.COMPLETED
        assert "SERVER_ADDRESSS" in it.env(machine_of(it, client).name)
        assert {o.state for o in it.node.engine.operations(subject=client.id)} == {S.COMPLETED}

    lab(body)


@pytest.mark.feature("A69", "A107")
def test_what_members_completed_is_taken_back_with_the_operation_of_their_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        server, client = (members(it, ns)[name] for name in ("server-0", "client-0"))
        it.world.fail("stop_compute", machine_of(it, client).name, transient=False)
        modify = [
            {"vnfInstanceId": server.id, "vnfInstanceName": "new", "metadata": {"a": "b"}},
            {"vnfInstanceId": client.id, "vnfConfigurableProperties": {"target": "other"}},
        ]
        params = {"updateType": "MODIFY_VNF_INFORMATION", "modifyVnfInfoData": modify}
        ended = await it.run("ns.update", ns.id, params)
        assert ended.state is S.FAILED_TEMP
        assert it.node.vnfm.instance(server.id).vnf_instance_name == "new"
        await it.done("vnf.heal", server.id)  # changes nothing of what the server shall be: it hinders nobody
        await it.node.engine.rollback(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        after = it.node.vnfm.instance(server.id)
        assert (after.vnf_instance_name, after.metadata) == (server.vnf_instance_name, server.metadata)
        assert it.file(machine_of(it, client).name, "/etc/target") == it.env(machine_of(it, client).name)["TARGET"]
        check(it, ns.id)

    lab(body)


@pytest.mark.feature("A69", "A107")
def test_what_a_member_was_left_with_is_taken_back_too() -> None:
    """The operator gives the member's own operation up first, then rolls that of the service back."""

    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client = members(it, ns)["client-0"]
        it.scripts.fails["echo client"] = 1
        ended = await it.run("ns.scale", ns.id, vnf_scale(client.id))
        (child,) = [one for one in it.node.engine.operations(parent=ended.id) if one.kind == "vnf.scale"]
        await it.node.engine.fail(child.id)
        assert len(it.node.vnfm.instance(client.id).vnfcs["box"]) == 2
        await it.node.engine.rollback(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        assert it.node.vnfm.instance(client.id).vnfcs == {"box": ("box-0",)}
        assert it.node.nfvo.status(ns.id) == "ACTIVE"
        check(it, ns.id)

    lab(body)


@pytest.mark.feature("A28")
def test_a_member_is_not_terminated_behind_the_back_of_its_service() -> None:
    async def body(it: Lab) -> None:
        own = await it.vnf(SERVER)
        ns = await it.ns(SIP, *VNFS, vnfInstanceData=[{"vnfInstanceId": own.id, "vnfProfileId": "server"}])
        for vnf in (own.id, members(it, ns)["client-0"].id):
            with pytest.raises(ConflictError, match=f"part of NS {ns.id}"):
                await it.start("vnf.terminate", vnf)
            with pytest.raises(ConflictError, match=f"part of NS {ns.id}"):
                await it.node.vnfm.discard(vnf)
        check(it, ns.id)
        await it.done("ns.terminate", ns.id)
        await it.done("vnf.terminate", own.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A47")
def test_a_profile_of_which_none_need_be_there_has_none() -> None:
    none = "\n".join(line for line in SIP.splitlines() if not line.startswith(("aspects", "levels")))

    async def body(it: Lab) -> None:
        ns = await it.ns(none, *VNFS)
        assert sorted(ns.members) == ["client-0", "server-0"]

    lab(body)


@pytest.mark.feature("A106", "A72")
def test_who_depends_on_a_vnf_learns_the_address_of_its_standby() -> None:
    pair = SERVER.replace("cmd: [serve]", "cmd: [serve], options: {STANDBY: 1}")

    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, pair, CLIENT, VNFS[2])
        server, client = (members(it, ns)[name] for name in ("server-0", "client-0"))
        first, standby = (server.resources[f"compute:box-{n}"].outputs["nics"][0]["ip"] for n in (0, 1))
        assert it.env(machine_of(it, client).name)["TARGET"] == first
        it.world.kill(server.resources["compute:box-0"].spec["name"])
        await asyncio.sleep(30)
        assert it.env(machine_of(it, client).name)["TARGET"] == standby
        assert it.node.vnfm.instance(server.id).standbys == {"box": ("box-0",)}
        assert [o.kind for o in it.node.engine.operations(subject=ns.id)] == ["ns.instantiate", "ns.heal"]
        check(it, ns.id)
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A107")
def test_the_members_of_a_service_recover_one_at_a_time() -> None:
    healing = [{**(text := loaded(one)), "properties": text.get("properties", {}) | HEALING} for one in VNFS]

    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *healing)
        for _ in range(5):
            for name in list(it.machines()):
                it.world.kill(name)
            await asyncio.sleep(3)
        await asyncio.sleep(300)
        heals = [o for o in it.node.engine.operations() if o.kind == "vnf.heal"]
        assert len({o.subject for o in heals}) == len(ns.members) > 1
        spans = sorted((o.started_at, o.state_entered_at) for o in heals)
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
        assert {m.state for m in it.machines().values()} == {ComputeState.RUNNING}

    lab(body)


@pytest.mark.feature("A29")
def test_a_snapshot_that_nobody_takes_has_no_record() -> None:
    async def body(it: Lab) -> None:
        vnf = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
        ns = await it.ns("{id: den, vnfs: {one: {vnfd: host, links: {eth: lan}}}, links: {lan: ''}}", vnf)
        member = next(iter(it.node.nfvo.instance(ns.id).members.values())).vnf_instance_id
        request = {"updateType": "CREATE_VNF_SNAPSHOT", "createSnapshotData": {"vnfInstanceId": member}}

        def fill(tx: Transaction) -> None:
            full = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            tx.execute(f"CREATE TRIGGER no_more BEFORE INSERT ON operations {full}")
            tx.execute(f"CREATE TRIGGER no_less BEFORE DELETE ON vnf_snapshots {full}")

        await it.node.store.write(fill)
        with pytest.raises((SkerryError, sqlite3.Error)):
            await it.node.nfvo.start("ns.update", ns.id, request)
        assert it.node.vnfm.snapshots.all(tenant="") == []

    lab(body)
