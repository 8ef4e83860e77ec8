"""VNFs that recover by themselves, on simulated infrastructure, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from skerry.model.alarms import Severity
from skerry.model.operations import Operation
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ExecResult
from tests.vnfm.builder import Lab, csar, lab, short
from tests.vnfm.watched import watched_folder

MENDED = {"heal": {"run": "echo mend $cause"}}
SERVED: dict[str, Any] = {
    "id": "served",
    "vdus": {"one": {"nics": {"pub": "ext"}}},
    "properties": {"is_autoheal_enabled": True},
    "indicators": {"service": {"run": "pidof worker"}},
    "scripts": MENDED,
}
TOLD = {**SERVED, "id": "told", "indicators": {"service": {}}}


class Service:
    """What the script of the indicator prints."""

    def __init__(self, it: Lab) -> None:
        self.up = True
        it.world.answer("/bin/sh -c f=*", lambda _run: ExecResult(exit_code=0, stdout=b"up" if self.up else b"down"))


async def served(it: Lab, package: Mapping[str, Any] = SERVED) -> VnfInstance:
    await it.onboard(csar(watched_folder(package)))
    made = await it.node.vnfm.create(package["id"])
    await it.done("vnf.instantiate", made.id)
    await asyncio.sleep(0.1)
    return it.node.vnfm.instance(made.id)


def heals(it: Lab, vnf: VnfInstance) -> list[Operation]:
    return it.node.engine.operations(subject=vnf.id, prefix="vnf.heal")


def machine(it: Lab) -> str:
    (name,) = it.machines()
    return name


@pytest.mark.feature("A106")
def test_a_service_that_is_down_is_healed_after_a_while_with_its_cause() -> None:
    async def body(it: Lab) -> None:
        service, vnf = Service(it), await served(it)
        before = it.machines()[machine(it)].started_at
        await asyncio.sleep(35)
        service.up = False
        await asyncio.sleep(30)  # the next look at it
        (alarm,) = it.node.alarms.roots()
        assert (alarm.faulty.key, alarm.severity) == ("service", Severity.CRITICAL)
        await asyncio.sleep(20)
        assert heals(it, vnf) == []
        await asyncio.sleep(15)
        (healed,) = heals(it, vnf)
        assert (healed.params["cause"], healed.automatic) == ("serviceDown", True)
        (run,) = it.scripts.runs
        assert (run.env["cause"], it.scripts.ran()) == ("serviceDown", [("one-0", "echo mend $cause")])
        assert it.machines()[machine(it)].started_at == before, "the scripts come before anything is replaced"
        service.up = True
        await asyncio.sleep(200)
        assert (it.node.alarms.roots(), len(heals(it, vnf))) == ([], 1)

    lab(body)


@pytest.mark.feature("A106")
def test_what_scripts_do_not_mend_is_replaced_and_then_left_to_people() -> None:
    async def body(it: Lab) -> None:
        service, vnf = Service(it), await served(it)
        made = it.machines()[machine(it)].started_at
        service.up = False
        await asyncio.sleep(1000)
        assert [one.params.get("additionalParams", {}) for one in heals(it, vnf)] == [{"replace": False}, {}]
        assert it.machines()[machine(it)].started_at != made
        assert len(it.node.alarms.roots()) == 1
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        await asyncio.sleep(0.1)
        assert it.node.alarms.roots() == [], "what is not meant to run is not down"

    lab(body)


@pytest.mark.feature("A106")
def test_an_alarm_of_a_resource_comes_first() -> None:
    """The VNFC is killed 10 s after its service went down: it alone is healed, and the service has time to come up."""

    async def body(it: Lab) -> None:
        Service(it)
        vnf = await served(it, TOLD)
        await it.node.indicators.tell(vnf.id, "service", "down", tenant="")
        await asyncio.sleep(10)
        it.world.kill(machine(it))
        await asyncio.sleep(25)
        assert [one.params["cause"] for one in heals(it, vnf)] == ["found broken"]
        await it.node.indicators.tell(vnf.id, "service", "up", tenant="")
        await asyncio.sleep(200)
        assert len(heals(it, vnf)) == 1

    lab(body)


@pytest.mark.feature("A106")
def test_severity_decides_and_an_operator_may_raise_it() -> None:
    async def body(it: Lab) -> None:
        vnf = await served(it, TOLD)
        await it.node.indicators.tell(vnf.id, "service", False, tenant="")
        (alarm,) = it.node.alarms.roots()
        await it.node.alarms.escalate(alarm.id, Severity.MINOR, tenant="")
        await asyncio.sleep(100)
        assert heals(it, vnf) == []
        await it.node.alarms.escalate(alarm.id, Severity.CRITICAL, tenant="")
        await asyncio.sleep(1)
        assert [one.params["cause"] for one in heals(it, vnf)] == ["serviceDown"]

    lab(body)


@pytest.mark.feature("A106", "A107")
def test_a_restart_goes_on_waiting_and_does_not_begin_anew() -> None:
    async def body(it: Lab) -> None:
        vnf = await served(it, TOLD)
        await it.node.indicators.tell(vnf.id, "service", "down", tenant="")
        await asyncio.sleep(20)
        await it.restart()
        await asyncio.sleep(9)
        assert heals(it, vnf) == []
        await asyncio.sleep(3)
        assert len(heals(it, vnf)) == 1
        await it.restart()
        await asyncio.sleep(20)
        assert len(heals(it, vnf)) == 1
        await asyncio.sleep(500)
        assert len(heals(it, vnf)) == 2, "the script, then the replacement; nothing twice"

    lab(body)


@pytest.mark.feature("A107")
def test_a_flapping_service_does_not_start_two() -> None:
    async def body(it: Lab) -> tuple[int, int]:
        vnf = await served(it, TOLD)
        for number in range(300):
            await it.node.indicators.tell(vnf.id, "service", "up" if number % 2 else "down", tenant="")
            if number % 20 == 0:
                it.world.kill(machine(it))
            await asyncio.sleep(0.7)
        await asyncio.sleep(200)
        found = heals(it, vnf)
        spans = sorted((one.started_at, one.state_entered_at) for one in found)
        overlaps = sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
        return overlaps, sum(one.params["cause"] == "serviceDown" for one in found)

    overlaps, for_service = lab(body)
    assert overlaps == 0
    assert for_service == 0, "it was never down for 30 s"


PAIRED: dict[str, Any] = {
    "id": "paired",
    "vdus": {
        "one": {"nics": {"pub": "ext"}, "options": {"STANDBY": 1, "ALIASES": "web"}},
        "two": {"nics": {"b": "ext"}},
    },
    "aspects": {"more": {"max": 3, "deltas": {"one": [1]}}},
    "scripts": {"instantiate": {"run": "echo born", "vdus": ["one"]}, "heal": {"run": "echo heal", "vdus": ["two"]}},
}


def named(it: Lab, vnf: VnfInstance, vnfc: str) -> str:
    return str(it.node.vnfm.instance(vnf.id).resources[f"compute:{vnfc}"].spec["name"])


def states(it: Lab) -> dict[str, str]:
    return {short(name): str(one.state) for name, one in it.machines().items()}


@pytest.mark.feature("A106")
def test_a_standby_takes_over_and_what_failed_stands_by_anew() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PAIRED)
        assert (vnf.vnfcs["one"], vnf.standbys) == (("one-0",), {"one": ("one-1",)})
        assert states(it) == {"one-0": "RUNNING", "one-1": "CREATED", "two-0": "RUNNING"}
        assert it.scripts.ran() == [("one-0", "echo born")]
        failed = it.machines()[named(it, vnf, "one-0")].nics
        it.world.kill(named(it, vnf, "one-0"))
        await asyncio.sleep(0.5)
        assert states(it)["one-1"] == "RUNNING", "at once, although it does not heal itself"
        await asyncio.sleep(10)
        after = it.node.vnfm.instance(vnf.id)
        assert (after.vnfcs["one"], after.standbys, after.unborn) == (("one-1",), {"one": ("one-0",)}, ("one-0",))
        assert states(it) == {"one-0": "CREATED", "one-1": "RUNNING", "two-0": "RUNNING"}
        assert it.machines()[named(it, vnf, "one-0")].nics == failed
        assert it.scripts.ran()[1:] == [("one-1", "echo born"), ("two-0", "echo heal")]
        assert (it.node.alarms.roots(), it.node.vnfm.status(vnf.id)) == ([], "ACTIVE")
        it.world.kill(named(it, vnf, "one-1"))  # and back
        await asyncio.sleep(30)
        assert it.node.vnfm.instance(vnf.id).standbys == {"one": ("one-1",)}
        assert states(it) == {"one-0": "RUNNING", "one-1": "CREATED", "two-0": "RUNNING"}
        assert it.scripts.ran()[3:] == [("one-0", "echo born"), ("two-0", "echo heal")]
        await it.done("vnf.terminate", vnf.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A106")
def test_a_switch_can_be_rolled_back() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PAIRED)
        it.scripts.fails["echo heal"] = 9
        ended = await it.run("vnf.heal", vnf.id, {"vnfcInstanceId": ["one-0"]})
        assert states(it)["one-1"] == "RUNNING"
        await it.node.engine.rollback(ended.id)
        await it.node.engine.wait(ended.id, 1000)
        after = it.node.vnfm.instance(vnf.id)
        assert (after.vnfcs, after.standbys) == (vnf.vnfcs, vnf.standbys)
        assert {name: state == "RUNNING" for name, state in states(it).items()} == {
            "one-0": True,
            "one-1": False,
            "two-0": True,
        }

    lab(body)


@pytest.mark.feature("A106")
def test_standbys_are_beside_what_is_scaled_stopped_and_found() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PAIRED)
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more"})
        after = it.node.vnfm.instance(vnf.id)
        assert (after.vnfcs["one"], after.standbys) == (("one-0", "one-2"), {"one": ("one-1",)})
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_IN", "aspectId": "more"})
        assert it.node.vnfm.instance(vnf.id).everybody["one"] == ("one-0", "one-1")
        for state in ("STOPPED", "STARTED"):
            await it.done("vnf.operate", vnf.id, {"changeStateTo": state})
        assert states(it)["one-1"] != "RUNNING"
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["one-1"]})  # a standby is made anew, and stands by
        assert it.node.vnfm.instance(vnf.id).standbys == {"one": ("one-1",)}
        hosts = it.world.has.machines[named(it, vnf, "two-0")].spec.hosts
        assert hosts["web"] == it.machines()[named(it, vnf, "one-0")].nics[0].ip

    lab(body)


@pytest.mark.feature("A106", "A107")
def test_flapping_instances_and_their_standbys_are_recovered_one_at_a_time() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf({**PAIRED, "properties": {"is_autoheal_enabled": True}})
        for _ in range(60):
            for group in it.node.vnfm.instance(vnf.id).vnfcs["one"]:
                it.world.kill(named(it, vnf, group))
            await asyncio.sleep(0.9)
        await asyncio.sleep(300)
        spans = sorted((one.started_at, one.state_entered_at) for one in heals(it, vnf))
        assert len(spans) > 2
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))
        after = it.node.vnfm.instance(vnf.id)
        assert [len(after.vnfcs["one"]), len(after.standbys["one"])] == [1, 1]
        assert sorted(states(it).values()) == ["CREATED", "RUNNING", "RUNNING"]

    lab(body)
