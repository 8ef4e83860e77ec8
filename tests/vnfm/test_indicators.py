"""Indicators of VNFs on simulated infrastructure, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from skerry.errors import ConflictError, NotFoundError
from skerry.model.operations import Event
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ExecResult
from tests.vnfm.builder import Lab, csar, lab
from tests.vnfm.watched import watched_folder

WATCHED: dict[str, Any] = {
    "id": "watched",
    "vdus": {"one": {"nics": {"pub": "ext"}, "env": {"LIMIT": "7"}}},
    "indicators": {"load": {"run": "echo LOAD"}, "users": {}, "VCpuUsageMeanVnf": {}},
}
PLAIN = {**WATCHED, "id": "plainer", "product": "watched", "indicators": {"users": {}, "other": {}}}


class Scripted:
    """What the script of an indicator prints."""

    def __init__(self, it: Lab) -> None:
        self.says = b"3\n"
        self.code = 0
        self.runs: list[Any] = []
        it.world.answer("/bin/sh -c f=*", self)

    def __call__(self, run: Any) -> ExecResult:
        self.runs.append(run)
        return ExecResult(exit_code=self.code, stdout=self.says)


async def instantiated(it: Lab, package: dict[str, Any] = WATCHED) -> VnfInstance:
    await it.onboard(csar(watched_folder(package)))
    made = await it.node.vnfm.create(package["id"], name="it")
    await it.done("vnf.instantiate", made.id)
    await asyncio.sleep(0.1)
    return it.node.vnfm.instance(made.id)


def values(it: Lab, vnf: VnfInstance) -> dict[str, Any]:
    return {one.indicator: one.value for one in it.node.indicators.all(tenant="", vnf=vnf.id)}


def told(it: Lab, state: str = "VALUE") -> list[Event]:
    return [event for event in it.node.engine.events.since(0, kind="indicator") if event.state == state]


def test_an_instance_has_the_indicators_of_its_descriptor_while_it_lives() -> None:
    async def body(it: Lab) -> None:
        Scripted(it)
        vnf = await instantiated(it)
        assert values(it, vnf) == {"load": None, "users": None, "VCpuUsageMeanVnf": None}
        (supported,) = told(it, "SUPPORTED")
        assert {entry["vnfIndicatorId"] for entry in supported.data["supported"]} == set(values(it, vnf))
        await it.done("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
        await asyncio.sleep(0.1)
        assert values(it, vnf) == {}
        assert told(it, "SUPPORTED")[-1].data["supported"] == []
        calls = dict(it.world.has.calls["stats"])
        await asyncio.sleep(100)
        assert it.world.has.calls["stats"] == calls

    lab(body)


def test_a_script_says_the_value_and_each_change_is_told_once() -> None:
    async def body(it: Lab) -> None:
        script = Scripted(it)
        vnf = await instantiated(it)
        await asyncio.sleep(95)
        assert values(it, vnf)["load"] == 3
        script.says = b"high"
        await asyncio.sleep(30)
        assert values(it, vnf)["load"] == "high"
        assert [event.data["value"] for event in told(it) if event.name == "load"] == [3, "high"]
        assert script.runs[0].stdin == b"#!/bin/sh\necho LOAD\n"
        assert script.runs[0].env["LIMIT"] == "7"
        script.code, script.says = 1, b"broken"
        await asyncio.sleep(60)
        assert values(it, vnf)["load"] == "high"

    lab(body)


def test_a_measurement_is_an_indicator_of_its_name() -> None:
    async def body(it: Lab) -> None:
        Scripted(it)
        vnf = await instantiated(it)
        (name,) = it.machines()
        it.world.work(name, vcpus=0.25)
        await asyncio.sleep(100)
        assert values(it, vnf)["VCpuUsageMeanVnf"] == pytest.approx(50, abs=0.5)  # of half a processor

    lab(body)


def test_whoever_knows_tells_the_others() -> None:
    async def body(it: Lab) -> None:
        Scripted(it)
        vnf = await instantiated(it)
        made = await it.node.indicators.tell(vnf.id, "users", {"now": 4}, tenant="")
        assert (made.value, bool(made.told_at)) == ({"now": 4}, True)
        await it.node.indicators.tell(vnf.id, "users", {"now": 4}, tenant="")
        assert len([event for event in told(it) if event.name == "users"]) == 1
        for mine in ("load", "VCpuUsageMeanVnf"):
            with pytest.raises(ConflictError):
                await it.node.indicators.tell(vnf.id, mine, 1, tenant="")
        with pytest.raises(NotFoundError):
            await it.node.indicators.tell(vnf.id, "nothing", 1, tenant="")
        with pytest.raises(NotFoundError):
            await it.node.indicators.tell(vnf.id, "users", 1, tenant="somebody else")

    lab(body)


def test_what_is_known_survives_a_restart_and_goes_on() -> None:
    async def body(it: Lab) -> None:
        script = Scripted(it)
        vnf = await instantiated(it)
        await it.node.indicators.tell(vnf.id, "users", 9, tenant="")
        await asyncio.sleep(40)
        await it.restart()
        assert values(it, vnf)["users"] == 9
        assert len(told(it, "SUPPORTED")) == 1
        script.says = b"4"
        await asyncio.sleep(40)
        assert values(it, vnf)["load"] == 4

    lab(body)


def test_another_package_may_have_other_indicators() -> None:
    async def body(it: Lab) -> None:
        Scripted(it)
        vnf = await instantiated(it)
        await it.node.indicators.tell(vnf.id, "users", 9, tenant="")
        await it.onboard(csar(watched_folder(PLAIN)))
        await it.done("vnf.change_package", vnf.id, {"vnfdId": "plainer"})
        await asyncio.sleep(0.1)
        assert values(it, vnf) == {"users": 9, "other": None}
        assert len(told(it, "SUPPORTED")) == 2

    lab(body)
