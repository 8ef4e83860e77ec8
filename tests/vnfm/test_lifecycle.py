"""The life of a VNF on the simulated driver: every operation, and what is recorded after each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.vim.connections import Vims
from skerry.vim.driver import ComputeState, NetworkSpec
from tests.vnfm.builder import Lab, lab, short
from tests.vnfm.packages import PLAIN, WEB

S = OperationState


def check(it: Lab, vnf_id: str) -> VnfInstance:
    """The record equals reality: computes, addresses, power, networks."""
    vnf = it.node.vnfm.instance(vnf_id)
    machines = it.machines()
    recorded = {key.removeprefix("compute:"): r for key, r in vnf.resources.items() if r.kind == "compute"}
    assert sorted(name for group in vnf.vnfcs.values() for name in group) == sorted(recorded)
    assert sorted(r.spec["name"] for r in recorded.values()) == sorted(
        n for n, m in machines.items() if m.owner == vnf_id
    )
    for vnfc, resource in recorded.items():
        there = machines[resource.spec["name"]]
        assert list(msgspec.to_builtins(there.nics)) == resource.outputs["nics"]
        assert there.id == resource.outputs["id"]
        running = f"power:{vnfc}" in vnf.resources
        assert (there.state is ComputeState.RUNNING) == running
    networks = {r.spec["name"] for r in vnf.resources.values() if r.kind == "network"}
    assert networks == {n.name for one in it.worlds.values() for n in one.has.networks.values() if n.owner == vnf_id}
    return vnf


def scale(aspect: str, how: str = "SCALE_OUT", steps: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": how, "aspectId": aspect, "numberOfSteps": steps, **more}


def addresses(it: Lab) -> dict[str, list[str]]:
    return {short(name): [nic.ip for nic in machine.nics] for name, machine in it.machines().items()}


@pytest.mark.feature("A11", "A59", "D58")
def test_instantiate_makes_what_the_descriptor_says() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        check(it, vnf.id)
        assert vnf.instantiation_state == "INSTANTIATED"
        assert vnf.vnf_state == "STARTED"
        assert (vnf.flavour_id, vnf.instantiation_level_id) == ("default", "small")
        assert vnf.scale_status == {"fronts": 0, "backs": 0}
        assert vnf.max_scale_levels == {"fronts": 3, "backs": 2}
        assert vnf.vnfcs == {"front": ("front-0",), "back": ("back-0", "back-1")}
        front = next(m for name, m in it.machines().items() if short(name) == "front-0")
        assert [short(nic.network) for nic in front.nics] == ["pub", "lan"]
        assert [nic.device for nic in front.nics] == ["eth0", "eth1"]
        assert front.nics[1].ip.startswith("10.9.0.")
        await it.done("vnf.terminate", vnf.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A50")
def test_external_points_go_where_the_request_says_with_fixed_addresses() -> None:
    async def body(it: Lab) -> None:
        driver = await it.node.vims.driver("sim")
        await driver.create_network(NetworkSpec(name="outside", owner="else", cidr="192.0.2.0/24"))
        data = {
            "ipOverEthernet": {"macAddress": "02:00:00:00:00:09", "ipAddresses": [{"fixedAddresses": ["192.0.2.9"]}]}
        }
        cp = {"cpdId": "pub", "cpConfig": {"1": {"cpProtocolData": [data]}}}
        links = [{"id": "x", "resourceId": "outside", "vimConnectionId": "sim", "extCps": [cp]}]
        vnf = await it.vnf(WEB, extVirtualLinks=links)
        front = next(m for name, m in it.machines().items() if short(name) == "front-0")
        assert (front.nics[0].network, front.nics[0].ip, front.nics[0].mac) == (
            "outside", "192.0.2.9", "02:00:00:00:00:09",
        )  # fmt: skip
        assert [key for key, r in vnf.resources.items() if r.kind == "network"] == ["network:lan@sim"]
        with pytest.raises(InvalidError, match="no external connection point 'nowhere'"):
            await it.vnf(WEB, extVirtualLinks=[{"id": "x", "extCps": [{"cpdId": "nowhere"}]}])
        await it.done("vnf.terminate", vnf.id)
        assert [n.name for n in await driver.list_networks()] == ["outside"]

    lab(body)


def test_instantiate_at_a_level_or_at_scale_levels() -> None:
    async def body(it: Lab) -> None:
        large = await it.vnf(WEB, instantiationLevelId="large")
        assert {vdu: len(group) for vdu, group in large.vnfcs.items()} == {"front": 2, "back": 4}
        assert large.scale_status == {"fronts": 1, "backs": 2}
        target = [{"aspectId": "fronts", "scaleLevel": 2}]
        other = await it.vnf(WEB, targetScaleLevelInfo=target)
        assert {vdu: len(group) for vdu, group in other.vnfcs.items()} == {"front": 4, "back": 2}
        check(it, large.id)
        check(it, other.id)

    lab(body)


def test_wrong_requests_are_refused_before_anything_happens() -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(WEB, instantiate=False)
        for params, text in (
            ({"flavourId": "huge"}, "flavour 'huge'"),
            ({"instantiationLevelId": "huge"}, "level 'huge'"),
            ({"targetScaleLevelInfo": [{"aspectId": "fronts", "scaleLevel": 9}]}, "goes from 0 to 3"),
            ({"additionalParams": {"nonsense": 1}}, "nonsense"),
        ):
            with pytest.raises(InvalidError) as caught:
                await it.start("vnf.instantiate", made.id, params)
            assert text in caught.value.detail + "".join(str(fault) for fault in caught.value.faults)
        for kind, params in (
            ("vnf.scale", scale("fronts")),
            ("vnf.heal", {}),
            ("vnf.operate", {"changeStateTo": "STOPPED"}),
        ):
            with pytest.raises(ConflictError, match="NOT_INSTANTIATED"):
                await it.start(kind, made.id, params)
        with pytest.raises(ConflictError, match="is NOT_INSTANTIATED"):
            await it.start("vnf.terminate", made.id)
        with pytest.raises(NotFoundError):
            await it.start("vnf.instantiate", "nothing")
        with pytest.raises(InvalidError, match="cannot find a VNF package"):
            await it.node.vnfm.create("nothing")
        assert it.node.engine.operations() == []
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A30", "A86", "D58")
def test_scale_out_adds_to_the_right_vdu_with_the_same_env_and_networks() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        before = addresses(it)
        await it.done("vnf.scale", vnf.id, scale("fronts", steps=2))
        after = check(it, vnf.id)
        assert after.vnfcs == {"front": ("front-0", "front-1", "front-2", "front-3"), "back": ("back-0", "back-1")}
        assert after.scale_status == {"fronts": 2, "backs": 0}
        assert {name: addresses(it)[name] for name in before} == before
        machines = {short(name): machine for name, machine in it.machines().items()}
        assert [nic.network for nic in machines["front-3"].nics] == [nic.network for nic in machines["front-0"].nics]
        for name in ("MODE", "PEER"):
            assert machines["front-3"].env[name] == machines["front-0"].env[name] != ""
        assert sum(it.world.calls("start_compute", "*front-0").values()) == 1
        await it.done("vnf.scale", vnf.id, scale("backs"))
        assert check(it, vnf.id).vnfcs["back"] == ("back-0", "back-1", "back-2")
        with pytest.raises(InvalidError, match="goes from 0 to 3"):
            await it.start("vnf.scale", vnf.id, scale("fronts", steps=2))

    lab(body)


@pytest.mark.feature("A31", "A86")
def test_scale_in_takes_the_newest_or_the_named_ones() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB, targetScaleLevelInfo=[{"aspectId": "fronts", "scaleLevel": 3}])
        assert len(vnf.vnfcs["front"]) == 6
        await it.done("vnf.scale", vnf.id, scale("fronts", "SCALE_IN"))
        assert check(it, vnf.id).vnfcs["front"] == ("front-0", "front-1", "front-2", "front-3")
        named = {"additionalParams": {"vnfcInstanceId": ["front-0"]}}
        await it.done("vnf.scale", vnf.id, scale("fronts", "SCALE_IN", **named))
        assert check(it, vnf.id).vnfcs["front"] == ("front-1", "front-2")
        await it.done("vnf.scale", vnf.id, scale("fronts", "SCALE_IN"))
        assert check(it, vnf.id).vnfcs["front"] == ("front-1",)
        stops = [name for _, name in it.world.calls("stop_compute")]
        assert sorted(short(name) for name in stops) == ["front-0", "front-2", "front-3", "front-4", "front-5"]
        await it.done("vnf.scale", vnf.id, scale("fronts"))
        assert check(it, vnf.id).vnfcs["front"] == ("front-0", "front-1")

    lab(body)


def test_scale_to_a_level_or_to_scale_levels() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        await it.done("vnf.scale_to_level", vnf.id, {"instantiationLevelId": "large"})
        vnf = check(it, vnf.id)
        assert {vdu: len(group) for vdu, group in vnf.vnfcs.items()} == {"front": 2, "back": 4}
        await it.done("vnf.scale_to_level", vnf.id, {"scaleInfo": [{"aspectId": "fronts", "scaleLevel": 0}]})
        vnf = check(it, vnf.id)
        assert {vdu: len(group) for vdu, group in vnf.vnfcs.items()} == {"front": 1, "back": 4}
        assert vnf.scale_status == {"fronts": 0, "backs": 2}

    lab(body)


@pytest.mark.feature("A32", "A85")
def test_stop_and_start_the_whole_vnf_or_one_vnfc() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        before = addresses(it)
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED", "vnfcInstanceId": ["back-1"]})
        assert check(it, vnf.id).vnf_state == "STARTED"
        assert [short(n) for n, m in it.machines().items() if m.state is ComputeState.EXITED] == ["back-1"]
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        assert check(it, vnf.id).vnf_state == "STOPPED"
        assert {m.state for m in it.machines().values()} == {ComputeState.EXITED}
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        assert check(it, vnf.id).vnf_state == "STARTED"
        assert addresses(it) == before
        with pytest.raises(ConflictError, match="cannot find VNFC back-9"):
            await it.start("vnf.operate", vnf.id, {"changeStateTo": "STOPPED", "vnfcInstanceId": ["back-9"]})

    lab(body)


@pytest.mark.feature("A85", "D58")
def test_healing_one_vnfc_keeps_its_addresses_and_the_others_alone() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        before = addresses(it)
        name = next(n for n in it.machines() if n.endswith("back-1"))
        it.world.kill(name)
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["back-1"], "cause": "killed"})
        check(it, vnf.id)
        assert addresses(it) == before
        assert {short(n): count for (_, n), count in it.world.calls("delete_compute").items()} == {"back-1": 1}

    lab(body)


@pytest.mark.feature("A85")
def test_healing_finds_what_is_broken_or_gone_and_replaces_all_when_nothing_is() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        before = addresses(it)
        names = {short(n): n for n in it.machines()}
        it.world.kill(names["front-0"])
        it.world.remove(names["back-0"])
        await it.done("vnf.heal", vnf.id)
        check(it, vnf.id)
        assert addresses(it) == before
        assert sum(it.world.calls("delete_compute", names["back-1"]).values()) == 0
        await it.done("vnf.heal", vnf.id)
        check(it, vnf.id)
        assert addresses(it) == before
        assert sum(it.world.calls("delete_compute", names["back-1"]).values()) == 1

    lab(body)


def test_starting_replaces_what_ended_badly() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        name = next(n for n in it.machines() if n.endswith("back-1"))
        it.world.kill(name)
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        check(it, vnf.id)

    lab(body)


@pytest.mark.feature("A86")
@pytest.mark.parametrize(("how", "expected"), [("GRACEFUL", 10.0), ("FORCEFUL", 0.0)])
def test_terminate_waits_for_the_grace_or_not(how: str, expected: float) -> None:
    async def body(it: Lab) -> float:
        vnf = await it.vnf(PLAIN)
        before = it.virtual.clock.monotonic()
        await it.done("vnf.terminate", vnf.id, {"terminationType": how})
        assert it.nothing_left()
        record = it.node.vnfm.instance(vnf.id)
        assert (record.instantiation_state, record.vnf_state) == ("NOT_INSTANTIATED", "STOPPED")
        assert (record.vnfcs, record.resources, record.placement, record.vim_ids) == ({}, {}, {}, ())
        return it.virtual.clock.monotonic() - before

    took = lab(body, {"sim": {"latency": {"stop_compute": 100.0}}})
    assert took == pytest.approx(expected, abs=0.01)


def test_a_longer_grace_of_the_request_counts() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PLAIN)
        before = it.virtual.clock.monotonic()
        await it.done("vnf.terminate", vnf.id, {"terminationType": "GRACEFUL", "gracefulTerminationTimeout": 600})
        assert it.virtual.clock.monotonic() - before == pytest.approx(600)

    lab(body, {"sim": {"latency": {"stop_compute": 1000.0}}})


def test_delete_only_what_has_no_resources() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PLAIN)
        with pytest.raises(ConflictError, match="it still has resources"):
            await it.node.vnfm.delete(vnf.id)
        await it.done("vnf.terminate", vnf.id)
        await it.done("vnf.instantiate", vnf.id)
        await it.done("vnf.terminate", vnf.id)
        await it.node.vnfm.delete(vnf.id)
        with pytest.raises(NotFoundError):
            it.node.vnfm.instance(vnf.id)

    lab(body)


@pytest.mark.feature("A12", "A26")
def test_modify_restarts_only_what_uses_the_value() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        names = {short(n): n for n in it.machines()}
        assert it.env(names["front-0"])["MODE"] == "calm"
        await it.done("vnf.modify", vnf.id, {"vnfConfigurableProperties": {"mode": "wild"}, "vnfInstanceName": "new"})
        assert it.env(names["front-0"])["MODE"] == "wild"
        assert check(it, vnf.id).vnf_instance_name == "new"
        starts = {short(n): count for (_, n), count in it.world.calls("start_compute").items()}
        assert starts == {"front-0": 2, "back-0": 1, "back-1": 1}
        await it.done("vnf.modify", vnf.id, {"metadata": {"a": {"b": 1, "c": 2}}})
        await it.done("vnf.modify", vnf.id, {"metadata": {"a": {"b": None}}})
        assert it.node.vnfm.instance(vnf.id).metadata == {"a": {"c": 2}}
        assert sum(it.world.calls("start_compute").values()) == 4

    lab(body)


@pytest.mark.feature("A26")
def test_the_request_wins_over_the_record_and_the_record_over_the_descriptor() -> None:
    async def body(it: Lab) -> None:
        for modified, asked, expected in (
            (None, None, "calm"), ("busy", None, "busy"), (None, "wild", "wild"), ("busy", "wild", "wild"),
        ):  # fmt: skip
            made = await it.vnf(WEB, instantiate=False)
            if modified:
                await it.done("vnf.modify", made.id, {"vnfConfigurableProperties": {"mode": modified}})
            params = {"vnfConfigurableProperties": {"mode": asked}} if asked else {}
            await it.done("vnf.instantiate", made.id, params)
            (front,) = [m for n, m in it.machines().items() if m.owner == made.id and "front" in n]
            assert front.env["MODE"] == expected
            await it.done("vnf.terminate", made.id)

    lab(body)


INPUTS = """
id: wants
inputs: {rate: {type: integer}, word: {type: string, default: hello}}
vdus: {one: {nics: {pub: ext}, env: {RATE: {get_input: rate}, WORD: {get_input: word}}, cmd: [run, {get_input: rate}]}}
"""


def test_inputs_are_checked_and_used() -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(INPUTS, instantiate=False)
        with pytest.raises(InvalidError) as caught:
            await it.start("vnf.instantiate", made.id, {"additionalParams": {"rate": "many", "colour": "red"}})
        assert {fault.code for fault in caught.value.faults} == {"wrong-type", "unknown-input"}
        with pytest.raises(InvalidError, match="rate"):
            await it.start("vnf.instantiate", made.id)
        await it.done("vnf.instantiate", made.id, {"additionalParams": {"rate": 7}})
        (machine,) = it.world.has.machines.values()
        assert (machine.spec.env["RATE"], machine.spec.env["WORD"]) == ("7", "hello")
        assert machine.spec.command == ("run", "7")

    lab(body)


@pytest.mark.feature("A71")
def test_every_vnfc_knows_its_addresses_and_name() -> None:
    async def body(it: Lab) -> None:
        await it.vnf("{id: addr, vdus: {my-box: {nics: {pub-a: ext, in.b: lan}}}, links: {lan: 10.3.0.0/24}}")
        (machine,) = it.machines().values()
        first, second = (nic.ip for nic in machine.nics)
        assert machine.env["hostname"] == "my-box-0"
        assert machine.env["pub_a"] == first
        assert machine.env["in_b"] == machine.env["lan"] == second

    lab(body)


def test_values_of_other_vdus_are_known_when_a_vnfc_starts() -> None:
    async def body(it: Lab) -> None:
        await it.vnf(WEB)
        back = addresses(it)["back-0"][0]
        front = next(n for n in it.machines() if n.endswith("front-0"))
        assert it.env(front)["PEER"] == back
        assert it.file(front, "/etc/front") == f"peer={back}"
        started = [event.name for event in it.world.history if event.action == "started"]
        assert short(started[-1]) == "front-0"

    lab(body)


def test_a_fixed_address_of_the_descriptor_counts_for_one_instance() -> None:
    fixed = "{id: fixed, vdus: {one: {nics: {p: lan}, ips: {p: 10.4.0.77}}}, links: {lan: 10.4.0.0/24}}"

    async def body(it: Lab) -> None:
        await it.vnf(fixed)
        assert addresses(it) == {"one-0": ["10.4.0.77"]}

    lab(body)


@pytest.mark.feature("A15", "A50")
def test_two_interfaces_on_one_link_keep_their_addresses_through_healing() -> None:
    twice = "{id: twice, vdus: {one: {nics: {a: lan, b: lan}}}, links: {lan: 10.5.0.0/24}}"

    async def body(it: Lab) -> None:
        vnf = await it.vnf(twice)
        before = addresses(it)
        await it.done("vnf.heal", vnf.id)
        assert addresses(it) == before
        assert len(set(before["one-0"])) == 2

    lab(body)


@pytest.mark.feature("A60")
def test_each_vdu_goes_where_the_request_says_also_when_scaled() -> None:
    spread = """
    id: spread
    vdus: {a: {nics: {pa: ext}}, b: {nics: {pb: ext}}}
    aspects: {as: {max: 2, deltas: {a: [1]}}, bs: {max: 2, deltas: {b: [1]}}}
    """

    async def body(it: Lab) -> None:
        vnf = await it.vnf(spread, additionalParams={"placement": {"a": "east", "b": "west"}})
        await it.done("vnf.scale", vnf.id, scale("as"))
        await it.done("vnf.scale", vnf.id, scale("bs"))
        assert sorted(short(n) for n in it.machines("east")) == ["a-0", "a-1"]
        assert sorted(short(n) for n in it.machines("west")) == ["b-0", "b-1"]
        vnf = check(it, vnf.id)
        assert vnf.vim_ids == ("east", "west")
        assert {name: vim for name, vim in vnf.placement.items() if "-" in name} == {
            "a-0": "east", "a-1": "east", "b-0": "west", "b-1": "west",
        }  # fmt: skip
        await it.done("vnf.terminate", vnf.id)
        assert it.nothing_left()
        again = await it.vnf(spread, additionalParams={"placement": {"*": "west"}})
        assert again.vim_ids == ("west",)

    lab(body, {"east": {}, "west": {}})


@pytest.mark.feature("A67")
def test_what_does_not_fit_is_refused_and_nothing_is_allocated() -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(WEB, instantiate=False)
        ended = await it.run("vnf.instantiate", made.id)
        assert ended.state is S.ROLLED_BACK
        assert "needs 2.5 vCPUs, free are 2" in ended.error
        assert it.nothing_left()
        record = it.node.vnfm.instance(made.id)
        assert (record.instantiation_state, record.vnfcs, record.resources) == ("NOT_INSTANTIATED", {}, {})

    lab(body, {"sim": {"vcpus": 2.0}})


def test_a_plan_changes_nothing_and_tells_what_would() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(WEB)
        record, world = it.node.vnfm.instance(vnf.id), msgspec.json.encode(it.world.has.machines)
        last = it.node.engine.events.last()
        plan = await it.node.vnfm.plan("vnf.scale", vnf.id, scale("fronts"))
        assert {c.resource for c in plan.changes if c.effect == "create"} == {"compute:front-1", "power:front-1"}
        assert {c.effect for c in plan.changes if not c.resource.endswith("front-1")} == {"reuse"}
        heal = await it.node.vnfm.plan("vnf.heal", vnf.id, {"vnfcInstanceId": ["back-0"]})
        assert {c.resource for c in heal.changes if c.effect == "replace"} == {"compute:back-0", "power:back-0"}
        assert it.node.vnfm.instance(vnf.id) == record
        assert msgspec.json.encode(it.world.has.machines) == world
        assert it.node.engine.events.last() == last
        assert len(it.node.engine.operations()) == 1

    lab(body)


@pytest.mark.feature("A33")
def test_the_history_lists_each_operation_with_its_times() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PLAIN)
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        await it.done("vnf.terminate", vnf.id)
        told = [
            (event.name, event.state)
            for event in it.node.engine.events.since(0, subject=vnf.id)
            if event.kind == "operation"
        ]
        assert told == [
            (kind, state)
            for kind in ("vnf.instantiate", "vnf.operate", "vnf.terminate")
            for state in ("STARTING", "PROCESSING", "COMPLETED")
        ]
        for operation in it.node.engine.operations(subject=vnf.id):
            assert operation.started_at <= operation.state_entered_at
            assert all(record.started_at <= record.ended_at for record in it.node.engine.steps(operation.id))

    lab(body)


@pytest.mark.feature("A7")
def test_the_vnfm_asks_for_a_grant_and_keeps_no_credentials() -> None:
    async def body(it: Lab) -> None:
        it.node.vnfm.desk.vims = OnlyDrivers(it.node.vims)
        vnf = await it.vnf(WEB)
        await it.done("vnf.scale", vnf.id, scale("fronts"))
        vnf = await it.vnf(WEB)
        kept = msgspec.json.encode([vnf, *it.node.engine.operations(), *it.node.engine.events.since(0)]).decode()
        assert it.node.vims.get("sim").settings["pool"] == "172.31.0.0/16"
        assert "172.31.0.0/16" not in kept
        assert vnf.placement == {"front-0": "sim", "back-0": "sim", "back-1": "sim"}

    lab(body, {"sim": {"pool": "172.31.0.0/16"}})


class OnlyDrivers:
    """All of the VIMs that the VNFM may see: a driver by the name that a grant gave, no connection and no setting."""

    def __init__(self, vims: Vims) -> None:
        self.driver = vims.driver
