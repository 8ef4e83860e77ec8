"""Configuration of running VNFs on simulated infrastructure, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from skerry.errors import ConflictError, InvalidError, PreconditionError
from skerry.model.configuration import Change
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ExecResult
from tests.vnfm.builder import Lab, lab, short

CONFIGURED: dict[str, Any] = {
    "id": "configured",
    "vdus": {"one": {"nics": {"pub": "ext"}}, "two": {"nics": {"inner": "lan"}}},
    "links": {"lan": "10.9.0.0/24"},
    "aspects": {"more": {"max": 3, "deltas": {"one": [1]}}},
    "scripts": {"configure": {"run": "echo CONFIGURE", "vdus": ["one"]}},
}


class Inside:
    """What VNFCs were handed."""

    def __init__(self, it: Lab) -> None:
        self.got: list[tuple[str, dict[str, Any], str]] = []
        self.refuses = ""
        it.world.answers.insert(0, ("/bin/sh -c *configuration.json*", self))

    def __call__(self, run: Any) -> ExecResult:
        content, kind = json.loads(run.argv[4]), run.argv[5]
        if self.refuses and self.refuses in run.argv[4]:
            return ExecResult(exit_code=3, stderr=b"no such mode")
        self.got.append((short(run.instance), content, kind))
        return ExecResult(exit_code=0)

    def taken(self) -> dict[str, dict[str, Any]]:
        return {vnfc: content for vnfc, content, _ in self.got}


async def configure(
    it: Lab, vnf: VnfInstance, data: Mapping[str, Any], *, vnfcs: Mapping[str, Any] | None = None, version: int = -1
) -> None:
    now = it.node.vnfm.instance(vnf.id)
    match = None if version < 0 else {version}
    await it.node.configurations.change(now, Change(data, vnfcs or {}), match=match)


def test_every_vnfc_gets_what_is_for_it_once() -> None:
    async def body(it: Lab) -> None:
        inside = Inside(it)
        vnf = await it.vnf(CONFIGURED)
        await configure(it, vnf, {"mode": "calm", "old": 1}, vnfcs={"two-0": {"speed": 3}})
        assert inside.taken() == {
            "one-0": {"vnfSpecificData": {"mode": "calm", "old": 1}, "vnfcSpecificData": {}},
            "two-0": {"vnfSpecificData": {"mode": "calm", "old": 1}, "vnfcSpecificData": {"speed": 3}},
        }
        assert {vnfc: kind for vnfc, _, kind in inside.got} == {"one-0": "script", "two-0": ""}
        count = len(inside.got)
        await configure(it, vnf, {}, vnfcs={"two-0": {"speed": 4}})
        assert [vnfc for vnfc, *_ in inside.got[count:]] == ["two-0"]
        await configure(it, vnf, {"old": None})
        assert inside.taken()["one-0"]["vnfSpecificData"] == {"mode": "calm"}
        computes = [key for key in it.node.vnfm.instance(vnf.id).resources if key.startswith("compute:")]
        assert len(it.machines()) == len(computes) == 2
        assert all(m.starts == 1 for m in it.world.has.machines.values())  # nothing was restarted

    lab(body)


def test_vnfcs_that_come_later_or_again_get_it_too() -> None:
    async def body(it: Lab) -> None:
        inside = Inside(it)
        vnf = await it.vnf(CONFIGURED)
        await configure(it, vnf, {"mode": "calm"})
        inside.got.clear()
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more", "numberOfSteps": 1})
        await asyncio.sleep(2)
        assert [vnfc for vnfc, *_ in inside.got] == ["one-1"]
        inside.got.clear()
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["two-0"], "cause": "test"})
        await asyncio.sleep(2)
        assert [vnfc for vnfc, *_ in inside.got] == ["two-0"]
        inside.got.clear()
        await it.restart()
        await asyncio.sleep(2)
        assert inside.got == []
        await it.done("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
        await asyncio.sleep(2)
        assert it.node.configurations.get(it.node.vnfm.instance(vnf.id)).version == 0

    lab(body)


def test_what_one_refuses_no_one_keeps() -> None:
    async def body(it: Lab) -> None:
        inside = Inside(it)
        vnf = await it.vnf(CONFIGURED)
        await configure(it, vnf, {"mode": "calm"})
        inside.refuses = '"speed":9'
        with pytest.raises(InvalidError, match="no such mode"):
            await configure(it, vnf, {"mode": "wild"}, vnfcs={"two-0": {"speed": 9}})
        recorded = it.node.configurations.get(it.node.vnfm.instance(vnf.id))
        assert (recorded.data, recorded.vnfcs) == ({"mode": "calm"}, {})
        assert {vnfc: content["vnfSpecificData"] for vnfc, content in inside.taken().items()} == {
            "one-0": {"mode": "calm"},
            "two-0": {"mode": "calm"},
        }

    lab(body)


def test_wrong_changes_are_refused_before_anything_happens() -> None:
    async def body(it: Lab) -> None:
        inside = Inside(it)
        vnf = await it.vnf(CONFIGURED)
        await configure(it, vnf, {"mode": "calm"})
        inside.got.clear()
        with pytest.raises(PreconditionError):
            await configure(it, vnf, {"mode": "wild"}, version=0)
        with pytest.raises(InvalidError, match="three-0"):
            await configure(it, vnf, {}, vnfcs={"three-0": {}})
        with pytest.raises(InvalidError, match="65536"):
            await configure(it, vnf, {"mode": "x" * 70_000})
        operation = await it.start("vnf.heal", vnf.id, {"vnfcInstanceId": ["two-0"], "cause": "test"})
        with pytest.raises(ConflictError, match=operation.id):
            await configure(it, vnf, {"mode": "wild"})
        await it.node.engine.wait(operation.id, 100)
        plain = await it.vnf(CONFIGURED, instantiate=False)
        with pytest.raises(ConflictError, match="not instantiated"):
            await configure(it, plain, {"mode": "wild"})
        assert all(content["vnfSpecificData"] == {"mode": "calm"} for _, content, _ in inside.got)

    lab(body)


def test_a_crash_between_recording_and_delivering_is_made_good() -> None:
    async def body(it: Lab) -> None:
        inside = Inside(it)
        vnf = await it.vnf(CONFIGURED)
        it.world.hang("exec")
        task = asyncio.ensure_future(configure(it, vnf, {"mode": "calm"}))
        await asyncio.sleep(1)
        assert inside.got == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await it.restart()
        await asyncio.sleep(1)
        assert {vnfc for vnfc, *_ in inside.got} == {"one-0", "two-0"}

    lab(body)
