"""Whatever is asked in whatever order, whatever breaks and whenever the process dies: records stay true, the table of states
is kept, and in the end everything can be removed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.errors import ConflictError, InvalidError
from skerry.model.states import FINAL, OPERATION_MOVES, OperationState
from tests.vnfm.builder import Lab, lab

S = OperationState

PACKAGE = {
    "id": "chaos",
    "vdus": {
        "a": {
            "nics": {"pa": "ext", "la": "lan"},
            "env": {"V": {"get_property": ["SELF", "configurable_properties", "v"]}},
        },
        "b": {"nics": {"lb": "lan"}, "needs": ["a"]},
    },
    "links": {"lan": "10.6.0.0/24"},
    "properties": {"v": "0"},
    "aspects": {"as": {"max": 2, "deltas": {"a": [1]}}, "bs": {"max": 2, "deltas": {"b": [2]}}},
    "scripts": {event: {"run": f"echo {event}"} for event in ("instantiate_end", "scale_end", "heal_end", "terminate")},
}

OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("vnf.instantiate", {}),
    ("vnf.scale", {"type": "SCALE_OUT", "aspectId": "as"}),
    ("vnf.scale", {"type": "SCALE_OUT", "aspectId": "bs"}),
    ("vnf.scale", {"type": "SCALE_IN", "aspectId": "bs"}),
    ("vnf.heal", {}),
    ("vnf.heal", {"vnfcInstanceId": ["a-0"]}),
    ("vnf.operate", {"changeStateTo": "STOPPED"}),
    ("vnf.operate", {"changeStateTo": "STARTED"}),
    ("vnf.modify", {"vnfConfigurableProperties": {"v": "1"}}),
    ("vnf.terminate", {}),
]
VERBS = [
    "create_network",
    "create_compute",
    "start_compute",
    "stop_compute",
    "delete_compute",
    "exec",
    "delete_network",
]

actions = st.one_of(
    st.tuples(st.just("do"), st.sampled_from(OPERATIONS), st.floats(0, 3)),
    st.tuples(st.just("trouble"), st.sampled_from(VERBS), st.sampled_from(["fail", "lost", "lasting", "twice"])),
    st.tuples(
        st.just("script"), st.sampled_from(["echo instantiate_end", "echo scale_end", "echo heal_end"]), st.just(0)
    ),
    st.tuples(st.just("kill"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("cancel"), st.sampled_from(["GRACEFUL", "FORCEFUL"]), st.floats(0, 2)),
    st.tuples(st.just("decide"), st.sampled_from(["retry", "rollback", "fail"]), st.floats(0, 2)),
    st.tuples(st.just("crash"), st.just(0), st.floats(0, 2)),
    st.tuples(st.just("wait"), st.just(0), st.floats(1, 30)),
)


async def act(it: Lab, id: str, action: tuple[str, Any, Any]) -> None:
    what, how, more = action
    newest = it.node.engine.newest(id)
    if what == "do":
        await it.start(how[0], id, how[1])
        await asyncio.sleep(more)
    elif what == "trouble" and more == "twice":
        it.world.twice(how)
    elif what == "trouble":
        it.world.fail(how, transient=more != "lasting", after_effect=more == "lost")
    elif what == "script":
        it.scripts.fails[how] = 1
    elif what == "kill" and (names := sorted(it.machines())):
        (it.world.remove if more else it.world.kill)(names[how % len(names)])
    elif what == "cancel" and newest:
        await it.node.engine.cancel(newest.id, how)
        await asyncio.sleep(more)
    elif what == "decide" and newest:
        await getattr(it.node.engine, how)(newest.id)
        await asyncio.sleep(more)
    elif what in ("crash", "wait"):
        if what == "crash":
            await it.restart()
        await asyncio.sleep(more)


def check_moves(it: Lab) -> None:
    last: dict[str, S] = {}
    for event in it.node.engine.events.since(0, limit=100_000):
        if event.kind == "operation":
            state = S(event.state)
            assert (
                state is S.STARTING if event.operation not in last else state in OPERATION_MOVES[last[event.operation]]
            )
            last[event.operation] = state


def check_record(it: Lab, id: str) -> None:
    """While nothing is under way, nothing exists that is not recorded."""
    vnf = it.node.vnfm.instance(id)
    recorded = {r.spec["name"] for r in vnf.resources.values() if r.kind in ("compute", "network")}
    assert {*it.world.has.machines, *it.world.has.networks} <= recorded
    newest = it.node.engine.newest(id)
    if newest is None or newest.state in FINAL:
        assert {name for group in vnf.vnfcs.values() for name in group} <= {
            key.removeprefix("compute:") for key in vnf.resources
        }


@pytest.mark.feature("A59", "A69", "A87")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, min_size=3, max_size=14), st.floats(0, 1.5), st.sampled_from(["", *VERBS]))
def test_nothing_is_ever_lost(story: list[tuple[str, Any, Any]], head_start: float, first_trouble: str) -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PACKAGE, instantiate=False)
        if first_trouble:
            it.world.fail(first_trouble, transient=False)
        await it.start("vnf.instantiate", vnf.id)
        await asyncio.sleep(head_start)
        for action in story:
            try:
                await act(it, vnf.id, action)
            except (ConflictError, InvalidError):
                continue  # the state forbids it, which is an answer too
        it.world.troubles.clear()
        it.scripts.fails.clear()
        newest = it.node.engine.newest(vnf.id)
        assert newest is not None
        ended = await it.node.engine.wait(newest.id, 10_000)
        assert ended.state in FINAL or ended.state is S.FAILED_TEMP
        check_moves(it)
        check_record(it, vnf.id)
        await it.node.vnfm.discard(vnf.id)
        assert it.nothing_left()
        check_moves(it)
        assert it.node.engine.events.since(0, subject=vnf.id, limit=100_000)[-1].state == "DELETED"

    lab(body)
