"""The life of a network service on the simulated driver."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.states import OperationState
from skerry.vim.driver import ComputeState
from tests.nfvo.looking import address, check, machine_of, members, ns_scale, vnf_scale
from tests.nfvo.packages import APART, EAST, PROBE, RING, SERVER, SIP, VNFS, WEST
from tests.vnfm.builder import Lab, csar, example, lab, ns_folder, short

S = OperationState


@pytest.mark.feature("D1", "A52", "A3")
def test_one_request_ends_in_a_running_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        assert it.node.nfvo.status(ns.id) == "NULL"
        await it.done("ns.instantiate", ns.id, {"nsFlavourId": "default"})
        ns = check(it, ns.id)
        assert ns.ns_state == "INSTANTIATED"
        assert it.node.nfvo.status(ns.id) == "ACTIVE"
        assert sorted(ns.members) == ["client-0", "server-0"]
        assert {m.state for m in it.machines().values()} == {ComputeState.RUNNING}
        assert {vnf.ns_id for vnf in members(it, ns).values()} == {ns.id}

    lab(body)


@pytest.mark.feature("A52", "A84", "A72", "D10")
def test_values_are_handed_over_as_environment_file_and_script_argument() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        server = address(it, members(it, ns)["server-0"])
        client = members(it, ns)["client-0"]
        name = machine_of(it, client).name
        env = it.env(name)
        assert (env["SERVER_ADDRESS"], env["SERVER_PORT"], env["TARGET"]) == (server, "5060", server)
        assert it.file(name, "/etc/target") == server
        given = {"server": {"address": server, "port": 5060}}
        assert msgspec.json.decode(it.file(name, "/etc/skerry/parameters.json")) == given
        assert it.file(name, "/etc/skerry/parameters.yaml") == it.file(name, "/etc/skerry/parameters.json")
        assert f"SERVER_ADDRESS={server}" in it.file(name, "/etc/skerry/parameters.sh").splitlines()
        run = next(run for run in it.scripts.runs if run.instance == name)
        assert run.argv[5:] == (server,)
        assert run.env["SERVER_ADDRESS"] == server

    lab(body)


@pytest.mark.feature("A52", "D20", "A6")
def test_a_target_starts_after_its_source_is_active() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        vnfs = members(it, ns)
        log = [
            (event.subject, event.name, event.state)
            for event in it.node.engine.events.since(0, limit=10_000)
            if event.kind == "operation"
        ]
        server_done = log.index((vnfs["server-0"].id, "vnf.instantiate", "COMPLETED"))
        client_begun = log.index((vnfs["client-0"].id, "vnf.instantiate", "STARTING"))
        assert log.index((ns.id, "ns.instantiate", "PROCESSING")) < server_done < client_begun
        assert log[-1] == (ns.id, "ns.instantiate", "COMPLETED")
        started = [short(event.name) for event in it.world.history if event.action == "started"]
        assert len(started) == 2
        first = next(event.name for event in it.world.history if event.action == "started")
        assert first == machine_of(it, vnfs["server-0"]).name

    lab(body)


@pytest.mark.feature("D20")
def test_independent_vnfs_start_side_by_side() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(APART, PROBE, SERVER, instantiate=False)
        begun = it.virtual.clock.monotonic()
        await it.done("ns.instantiate", ns.id)
        both = it.virtual.clock.monotonic() - begun
        one = await it.vnf(PROBE, instantiate=False)
        begun = it.virtual.clock.monotonic()
        await it.done("vnf.instantiate", one.id)
        assert both < 2 * (it.virtual.clock.monotonic() - begun)
        operations = [o for o in it.node.engine.operations(prefix="vnf.") if o.parent]
        assert len({operation.started_at for operation in operations}) == 1

    lab(body)


@pytest.mark.feature("A53", "A24")
def test_a_cycle_is_refused_with_the_cycle_or_allowed_and_told_afterwards() -> None:
    async def body(it: Lab) -> None:
        strict = RING.replace("id: ring\ncyclic: true", "id: strict")
        refused = await it.ns(strict, EAST, WEST, instantiate=False)
        ended = await it.run("ns.instantiate", refused.id)
        assert ended.state is S.ROLLED_BACK
        assert "a -> b -> a is a cycle" in ended.error or "b -> a -> b is a cycle" in ended.error
        assert it.nothing_left()
        ns = await it.ns(RING, EAST, WEST)
        vnfs = members(it, ns)
        a, b = vnfs["a-0"], vnfs["b-0"]
        assert it.env(machine_of(it, a).name)["B_HERE"] == address(it, b)
        assert it.env(machine_of(it, b).name)["A_HERE"] == address(it, a)

    lab(body)


@pytest.mark.feature("A16", "A37", "A81")
def test_a_virtual_link_makes_a_network_of_its_own_in_each_service() -> None:
    async def body(it: Lab) -> None:
        first = await it.ns(SIP, *VNFS)
        second = await it.ns(SIP)
        assert len(it.world.has.networks) == 2
        assert {short(name) for name in it.world.has.networks} == {"net"}
        assert {network.cidr for network in it.world.has.networks.values()} == {"10.70.0.0/24"}
        for ns in (first, second):
            (network,) = [r for r in check(it, ns.id).resources.values() if r.kind == "network"]
            nics = {nic.network for vnf in members(it, ns).values() for nic in machine_of(it, vnf).nics}
            assert nics == {network.spec["name"]}
        await it.done("ns.terminate", first.id)
        check(it, second.id)
        assert len(it.world.has.networks) == 1

    lab(body)


@pytest.mark.feature("A69")
def test_terminate_leaves_nothing_and_the_record_can_be_used_again() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        with pytest.raises(ConflictError, match="it still has resources"):
            await it.node.nfvo.delete(ns.id)
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()
        assert it.node.vnfm.instances() == []
        assert it.node.nfvo.status(ns.id) == "TERMINATED"
        await it.done("ns.instantiate", ns.id)
        check(it, ns.id)
        await it.done("ns.terminate", ns.id)
        await it.node.nfvo.delete(ns.id)
        with pytest.raises(NotFoundError):
            it.node.nfvo.instance(ns.id)

    lab(body)


@pytest.mark.feature("A8")
def test_the_same_descriptor_goes_on_another_kind_of_infrastructure() -> None:
    async def body(it: Lab) -> None:
        left = await it.ns(SIP, *VNFS, additionalParamsForNs={"placement": {"*": "east"}})
        right = await it.ns(SIP, additionalParamsForNs={"placement": {"*": "west"}})
        assert len(it.machines("east")) == len(it.machines("west")) == 2
        assert {vim for vnf in members(it, left).values() for vim in vnf.vim_ids} == {"east"}
        assert {vim for vnf in members(it, right).values() for vim in vnf.vim_ids} == {"west"}
        text = msgspec.json.encode([left.members, right.members]).decode()
        assert "SIMULATED" not in text

    lab(body, {"east": {"vcpus": 8.0}, "west": {"pool": "10.200.0.0/16"}})


@pytest.mark.feature("A60")
def test_the_request_chooses_the_vim_of_each_vnf() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(APART, PROBE, SERVER, additionalParamsForNs={"placement": {"a": "east", "b/box": "west"}})
        assert {name: vnf.vim_ids for name, vnf in members(it, ns).items()} == {"a-0": ("east",), "b-0": ("west",)}
        other = await it.ns(
            APART, additionalParamForVnf=[{"vnfProfileId": "a", "additionalParams": {"placement": {"box": "west"}}}]
        )
        assert members(it, other)["a-0"].vim_ids == ("west",)
        await it.done("ns.terminate", ns.id)
        await it.done("ns.terminate", other.id)
        assert it.nothing_left()

    lab(body, {"east": {}, "west": {}})


@pytest.mark.feature("A26")
def test_values_of_the_request_win_over_those_of_the_descriptors() -> None:
    async def body(it: Lab) -> None:
        wish = [{"vnfProfileId": "client", "vnfConfigurableProperty": {"target": "192.0.2.1", "rate": 99}}]
        ns = await it.ns(SIP, *VNFS, additionalParamForVnf=wish)
        client = members(it, ns)["client-0"]
        assert client.vnf_configurable_properties == {"rate": 99, "target": "192.0.2.1"}
        assert it.env(machine_of(it, client).name)["TARGET"] == "192.0.2.1"

    lab(body)


@pytest.mark.feature("A28", "D10", "A6")
def test_a_third_vnf_joins_and_gets_its_parameters() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        starts = it.world.calls("start_compute")
        await it.done(
            "ns.update", ns.id, {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "probe"}]}
        )
        vnfs = members(it, check(it, ns.id))
        assert sorted(vnfs) == ["client-0", "probe-0", "server-0"]
        server = address(it, vnfs["server-0"])
        assert it.env(machine_of(it, vnfs["probe-0"]).name)["SERVER_ADDRESS"] == server
        assert machine_of(it, vnfs["probe-0"]).nics[0].network == machine_of(it, vnfs["server-0"]).nics[0].network
        assert all(it.world.calls("start_compute")[key] == count for key, count in starts.items())
        with pytest.raises(InvalidError, match="cannot add a VNF of profile 'nobody'"):
            await it.start(
                "ns.update",
                ns.id,
                {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "nobody"}]},
            )

    lab(body)  # fmt: skip


@pytest.mark.feature("D10", "A28", "A6")
def test_those_who_depend_on_a_profile_are_told_when_one_joins_or_leaves() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        await it.done(
            "ns.update", ns.id, {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "server"}]}
        )
        vnfs = members(it, check(it, ns.id))
        both = [address(it, vnfs["server-0"]), address(it, vnfs["server-1"])]
        client = machine_of(it, vnfs["client-0"]).name
        assert it.env(client)["SERVER_ADDRESSS"] == ",".join(both)
        assert it.env(client)["SERVER_ADDRESS"] == both[0]
        history = [operation.kind for operation in it.node.engine.operations(subject=vnfs["client-0"].id)]
        assert history == ["vnf.instantiate", "vnf.modify"]
        await it.done("ns.update", ns.id, {"updateType": "REMOVE_VNF", "removeVnfInstanceId": [vnfs["server-0"].id]})
        assert sorted(members(it, check(it, ns.id))) == ["client-0", "server-1"]
        assert it.env(client)["SERVER_ADDRESS"] == it.env(client)["TARGET"] == both[1]
        await it.done("ns.update", ns.id, {"updateType": "REMOVE_VNF", "removeVnfInstanceId": [vnfs["server-1"].id]})
        assert it.env(client)["TARGET"] == both[1]
        assert "SERVER_ADDRESS" not in it.node.vnfm.instance(vnfs["client-0"].id).dependencies.get("server", {})
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()

    lab(body)  # fmt: skip


@pytest.mark.feature("A28")
def test_existing_vnfs_are_used_and_survive() -> None:
    async def body(it: Lab) -> None:
        server = await it.vnf(SERVER)
        ns = await it.ns(SIP, *VNFS, vnfInstanceData=[{"vnfInstanceId": server.id, "vnfProfileId": "server"}])
        ns = check(it, ns.id)
        assert ns.members["server-0"].existing
        vnfs = members(it, ns)
        assert vnfs["server-0"].id == server.id
        assert machine_of(it, vnfs["client-0"]).nics[0].network == machine_of(it, server).nics[0].network
        assert it.env(machine_of(it, vnfs["client-0"]).name)["SERVER_ADDRESS"] == address(it, server)
        await it.done("ns.terminate", ns.id)
        assert it.node.vnfm.instance(server.id).instantiation_state == "INSTANTIATED"
        assert [m.owner for m in it.machines().values()] == [server.id]

    lab(body)


@pytest.mark.feature("A28")
def test_an_existing_vnf_joins_besides_those_that_run() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        first, second = members(it, ns)["server-0"], await it.vnf(SERVER)
        add = {"updateType": "ADD_VNF", "addVnfInstance": [{"vnfInstanceId": second.id, "vnfProfileId": "server"}]}
        await it.done("ns.update", ns.id, add)
        vnfs = members(it, check(it, ns.id))
        assert (vnfs["server-0"].id, vnfs["server-1"].id) == (first.id, second.id)

    lab(body)


@pytest.mark.feature("A28")
def test_an_existing_vnf_joins_a_running_service_without_moving_the_others() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        probe = await it.vnf(PROBE)
        before = it.world.calls("create_compute")
        add = {"updateType": "ADD_VNF", "addVnfInstance": [{"vnfInstanceId": probe.id, "vnfProfileId": "probe"}]}
        await it.done("ns.update", ns.id, add)
        vnfs = members(it, check(it, ns.id))
        assert vnfs["probe-0"].id == probe.id
        assert it.world.calls("create_compute") == before
        assert it.env(machine_of(it, probe).name)["SERVER_ADDRESS"] == address(it, vnfs["server-0"])
        await it.done("ns.update", ns.id, {"updateType": "REMOVE_VNF", "removeVnfInstanceId": [probe.id]})
        assert it.node.vnfm.instance(probe.id).instantiation_state == "INSTANTIATED"
        wrong = {"updateType": "ADD_VNF", "addVnfInstance": [{"vnfInstanceId": probe.id, "vnfProfileId": "server"}]}
        ended = await it.run("ns.update", ns.id, wrong)
        assert "its VNFD is probe, not server" in ended.error
        idle = await it.vnf(PROBE, instantiate=False)
        add["addVnfInstance"] = [{"vnfInstanceId": idle.id, "vnfProfileId": "probe"}]
        ended = await it.run("ns.update", ns.id, add)
        assert (ended.state, "NOT_INSTANTIATED" in ended.error) == (S.ROLLED_BACK, True)
        check(it, ns.id)

    lab(body)


@pytest.mark.feature("A30", "A31")
def test_a_service_scales_by_its_aspects() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT"))
        assert check(it, ns.id).counts == {"server": 2, "client": 3}
        vnfs = members(it, ns)
        both = ",".join(address(it, vnfs[f"server-{n}"]) for n in (0, 1))
        for number in range(3):
            assert it.env(machine_of(it, vnfs[f"client-{number}"]).name)["SERVER_ADDRESSS"] == both
        with pytest.raises(InvalidError, match="goes from 0 to 1"):
            await it.start("ns.scale", ns.id, ns_scale("SCALE_OUT"))
        with pytest.raises(InvalidError, match="no NS scaling aspect 'width'"):
            await it.start("ns.scale", ns.id, ns_scale("SCALE_OUT", "width"))
        await it.done("ns.scale", ns.id, ns_scale("SCALE_IN"))
        assert sorted(members(it, check(it, ns.id))) == ["client-0", "server-0"]
        level = {"scaleNsToLevelData": {"nsScaleInfo": [{"nsScalingAspectId": "size", "nsScaleLevelId": "1"}]}}
        await it.done("ns.scale", ns.id, {"scaleType": "SCALE_NS", "scaleNsData": level})
        assert check(it, ns.id).scale_status == {"size": 1}
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A30", "A31", "A86", "A89")
def test_a_member_is_scaled_through_its_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client, server = members(it, ns)["client-0"], members(it, ns)["server-0"]
        await it.done("ns.scale", ns.id, vnf_scale(client.id))
        client = it.node.vnfm.instance(client.id)
        assert client.vnfcs == {"box": ("box-0", "box-1")}
        first, second = (it.env(machine_of(it, client, n).name) for n in (0, 1))
        assert second["SERVER_ADDRESS"] == first["SERVER_ADDRESS"] == address(it, server)
        assert machine_of(it, client, 1).nics[0].network == machine_of(it, client, 0).nics[0].network
        level = {"vnfInstanceId": client.id, "scaleVnfType": "SCALE_TO_VNF_INSTANTIATION_LEVEL"}
        level["scaleToLevelData"] = {"vnfInstantiationLevelId": "one"}
        await it.done("ns.scale", ns.id, {"scaleType": "SCALE_VNF", "scaleVnfData": [level]})
        assert it.node.vnfm.instance(client.id).vnfcs == {"box": ("box-0",)}
        await it.done("ns.scale", ns.id, vnf_scale(server.id))
        assert [o.kind for o in it.node.engine.operations(subject=server.id)] == ["vnf.instantiate", "vnf.scale"]
        with pytest.raises(InvalidError, match="cannot find VNF nobody"):
            await it.start("ns.scale", ns.id, vnf_scale("nobody"))
        check(it, ns.id)

    lab(body)


@pytest.mark.feature("A85", "A61")
def test_healing_a_service_finds_what_is_broken() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        vnfs = members(it, ns)
        before = {name: address(it, vnf) for name, vnf in vnfs.items()}
        it.world.kill(machine_of(it, vnfs["server-0"]).name)
        await asyncio.sleep(5)
        assert it.node.nfvo.status(ns.id) == "ERROR"
        await it.done("ns.heal", ns.id, {"healNsData": {"degreeHealing": "HEAL_RESTORE"}})
        vnfs = members(it, check(it, ns.id))
        assert {name: address(it, vnf) for name, vnf in vnfs.items()} == before
        assert {m.state for m in it.machines().values()} == {ComputeState.RUNNING}
        assert it.node.nfvo.status(ns.id) == "ACTIVE"
        assert [o.kind for o in it.node.engine.operations(subject=vnfs["client-0"].id)] == ["vnf.instantiate"]
        await it.done("ns.heal", ns.id, {"healVnfData": [{"vnfInstanceId": vnfs["client-0"].id, "cause": "old"}]})
        assert it.node.engine.operations(subject=vnfs["client-0"].id)[-1].params["cause"] == "old"

    lab(body)


@pytest.mark.feature("A32", "A61")
def test_members_are_stopped_started_and_modified_through_the_service() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        client = members(it, ns)["client-0"]
        for state, status in (("STOPPED", "INACTIVE"), ("STARTED", "ACTIVE")):
            operate = [{"vnfInstanceId": client.id, "changeStateTo": state}]
            await it.done("ns.update", ns.id, {"updateType": "OPERATE_VNF", "operateVnfData": operate})
            assert it.node.vnfm.status(client.id) == it.node.nfvo.status(ns.id) == status
        modify = [{"vnfInstanceId": client.id, "vnfInstanceName": "new"}]
        await it.done("ns.update", ns.id, {"updateType": "MODIFY_VNF_INFORMATION", "modifyVnfInfoData": modify})
        assert it.node.vnfm.instance(client.id).vnf_instance_name == "new"
        with pytest.raises(InvalidError, match="cannot update an NS by PAINT_NS"):
            await it.start("ns.update", ns.id, {"updateType": "PAINT_NS"})

    lab(body)


def test_a_plan_of_a_service_changes_nothing() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        last = it.node.engine.events.last()
        plan = await it.node.nfvo.plan("ns.instantiate", ns.id, {})
        assert {c.resource for c in plan.changes if c.effect == "create"} == {
            "network:net@sim", "vnf:server-0", "vnf:client-0",
        }  # fmt: skip
        assert it.nothing_left()
        assert it.node.engine.events.last() == last
        assert it.node.vnfm.instances() == []

    lab(body)


@pytest.mark.feature("A89", "B77")
def test_the_sip_example() -> None:
    async def body(it: Lab) -> None:
        for name in ("server", "client"):
            await it.onboard(example(name))
        info = await it.onboard_ns(example("service"))
        ns = await it.node.nfvo.create(info.nsd_id, name="sip")
        await it.done("ns.instantiate", ns.id)
        assert len(it.machines()) == 2
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A23", "A24", "A25", "A47", "A48")
def test_descriptors_are_kept_as_they_came_and_not_deleted_while_used() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS)
        catalogue = it.node.catalogue
        (nsd,) = catalogue.nsds()
        assert catalogue.content(nsd.id).read_bytes() == csar(ns_folder(SIP)).read_bytes()
        assert nsd.usage_state == "IN_USE"
        for package in catalogue.vnf_packages():
            await catalogue.update_vnf_package(package.id, operational_state="DISABLED")
            with pytest.raises(ConflictError, match="in use"):
                await catalogue.delete_vnf_package(package.id)
            await catalogue.update_vnf_package(package.id, operational_state="ENABLED")
        await catalogue.update_nsd(nsd.id, operational_state="DISABLED")
        with pytest.raises(ConflictError, match="1 in use"):
            await catalogue.delete_nsd(nsd.id)
        await it.done("ns.terminate", ns.id)
        await it.node.nfvo.delete(ns.id)
        await catalogue.delete_nsd(nsd.id)
        for package in catalogue.vnf_packages():
            await catalogue.update_vnf_package(package.id, operational_state="DISABLED")
            await catalogue.delete_vnf_package(package.id)
        assert (catalogue.vnf_packages(), catalogue.nsds()) == ([], [])
        assert not list((it.folder / "packages").glob("*"))

    lab(body)


@pytest.mark.feature("A24")
def test_a_dependency_added_to_the_descriptor_changes_the_next_deployment() -> None:
    async def body(it: Lab) -> None:
        order: list[list[str]] = []
        for after in ([], ["b"]):
            text = {
                "id": f"order-{len(after)}",
                "vnfs": {"a": {"vnfd": "probe", "links": {"tap": "net"}, "after": after}}
                | {"b": {"vnfd": "probe", "links": {"tap": "net"}}},
                "links": {"net": ""},
            }
            ns = await it.ns(text, PROBE)
            started = {o.subject: o.started_at for o in it.node.engine.operations(prefix="vnf.instantiate")}
            names = {vnf.id: name for name, vnf in members(it, ns).items()}
            order.append(
                sorted(names.values(), key=lambda name: started[next(i for i, n in names.items() if n == name)])
            )
            assert (len({started[id] for id in names}) == 1) == (after == [])
        assert order[1] == ["b-0", "a-0"]

    lab(body)


def test_a_service_needs_its_descriptors() -> None:
    async def body(it: Lab) -> None:
        with pytest.raises(InvalidError, match="VNFD server, client, probe is not onboarded") as caught:
            await it.onboard_ns(csar(ns_folder(SIP)))
        assert len(caught.value.faults) == 3
        with pytest.raises(InvalidError, match="cannot find NSD nothing"):
            await it.node.nfvo.create("nothing")

    lab(body)
