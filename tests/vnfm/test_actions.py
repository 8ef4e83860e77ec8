"""Every action on a VNF shows in the event log, whatever it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from skerry.model.operations import Event
from skerry.model.states import OperationState
from tests.vnfm.builder import Lab, lab
from tests.vnfm.packages import SCRIPTED

Fits = Callable[[Event], bool]


def operation(kind: str, state: str) -> Fits:
    return lambda event: (event.kind, event.name, event.state) == ("operation", kind, state)


def step(prefix: str, state: str = "DONE") -> Fits:
    return lambda event: event.kind == "step" and event.name.startswith(prefix) and event.state == state


ACTIONS: dict[str, Fits] = {
    "granted": lambda event: (event.kind, event.state) == ("grant", "GRANTED") and "one-0 on sim" in event.detail,
    "resources allocated": step("create:compute:one-0"),
    "instantiated": operation("vnf.instantiate", "COMPLETED"),
    "modified": operation("vnf.modify", "COMPLETED"),
    "configured": step("script:modify_information:one-0"),
    "started": step("create:power:one-0"),
    "stopped": step("delete:power:one-0"),
    "scaling": operation("vnf.scale", "PROCESSING"),
    "scaled": operation("vnf.scale", "COMPLETED"),
    "scaled out": step("create:compute:one-1"),
    "scaled in": step("delete:compute:one-1"),
    "healed": operation("vnf.heal", "COMPLETED"),
    "script run": step("script:instantiate:one-0"),
    "failed": operation("vnf.heal", "FAILED_TEMP"),
    "resumed": lambda event: operation("vnf.heal", "PROCESSING")(event) and event.data.get("from") == "FAILED_TEMP",
    "releasing": operation("vnf.terminate", "PROCESSING"),
    "resources released": step("delete:compute:one-0"),
    "released": operation("vnf.terminate", "COMPLETED"),
    "record made": lambda event: (event.kind, event.state) == ("resource", "CREATED"),
    "record deleted": lambda event: (event.kind, event.state) == ("resource", "DELETED"),
}


@pytest.mark.feature("A62", "D31")
def test_every_action_is_told() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        await it.done("vnf.modify", vnf.id, {"vnfConfigurableProperties": {"a": "2"}})
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more"})
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_IN", "aspectId": "more"})
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        it.scripts.fails["echo instantiate"] = 1
        ended = await it.run("vnf.heal", vnf.id)
        await it.node.engine.retry(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is OperationState.COMPLETED
        await it.done("vnf.terminate", vnf.id)
        await it.node.vnfm.delete(vnf.id)
        told = it.node.engine.events.since(0, subject=vnf.id, limit=100_000)
        assert [name for name, fits in ACTIONS.items() if not any(fits(event) for event in told)] == []
        assert [event.seq for event in told] == sorted({event.seq for event in told})

    lab(body)


@pytest.mark.feature("D35", "A4")
def test_what_monitoring_finds_dead_is_an_error_until_it_is_mended() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        assert it.node.vnfm.status(vnf.id) == "ACTIVE"
        it.world.kill(it.node.vnfm.instance(vnf.id).resources["compute:one-0"].spec["name"])
        await asyncio.sleep(0.5)
        assert it.node.vnfm.status(vnf.id) == "ERROR"
        await it.done("vnf.heal", vnf.id)
        assert it.node.vnfm.status(vnf.id) == "ACTIVE"

    lab(body)
