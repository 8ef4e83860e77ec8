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
from tests.vnfm.builder import Lab, csar, lab
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
