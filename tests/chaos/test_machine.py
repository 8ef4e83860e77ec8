"""A state machine over the engine: whatever is submitted, decided, cancelled, broken and killed in whatever order, the
invariants hold, and Hypothesis shrinks what breaks them to the shortest trace."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from skerry.errors import SkerryError
from skerry.model.states import FINAL, OPERATION_MOVES, OperationState
from tests.chaos.arena import Life
from tests.chaos.storm import CHANGES, Storm

LIVES = st.integers(0, 80)
"""The point at which the node is killed, 0 = it is stopped in an orderly way."""
SECONDS = st.sampled_from((0.0, 0.1, 0.4, 1.0, 5.0, 400.0))
REQUESTS = st.integers(0, 13)


class Machine(RuleBasedStateMachine):
    """Each rule is one life of the node, which ends in order or by a kill."""

    def __init__(self) -> None:
        super().__init__()
        self.storm = Storm(0, 0)
        self.arena = self.storm.arena
        self.arena.live(self.storm.found)

    def life(self, kill: int, body: Callable[[Life], Awaitable[Any]]) -> None:
        async def armed(life: Life) -> None:
            self.arena.arm(kill)
            await body(life)

        self.arena.live(armed)

    @rule(number=st.integers(0, 2), request=REQUESTS, seconds=SECONDS, kill=LIVES)
    def submit(self, number: int, request: int, seconds: float, kill: int) -> None:
        async def body(life: Life) -> None:
            vnf = life.node.vnfm.instances()[number]
            choices = self.storm.requests(life, vnf.id)
            kind, params = choices[request % len(choices)]
            if vnf.instantiation_state == "NOT_INSTANTIATED":
                kind, params = "vnf.instantiate", {}
            await self._try(life, kind, vnf.id, params)
            await asyncio.sleep(seconds)

        self.life(kill, body)

    @rule(
        request=st.sampled_from(("ns.instantiate", "ns.scale", "ns.heal", "ns.terminate")), seconds=SECONDS, kill=LIVES
    )
    def submit_ns(self, request: str, seconds: float, kill: int) -> None:
        async def body(life: Life) -> None:
            ns = life.node.nfvo.instances()[0]
            await self._try(life, request, ns.id, self.storm.ns_request(request))
            await asyncio.sleep(seconds)

        self.life(kill, body)

    async def _try(self, life: Life, kind: str, subject: str, params: dict[str, Any]) -> None:
        held = [o for o in life.node.engine.operations(subject=subject) if o.state not in FINAL]
        try:
            operation = await life.start(kind, subject, params)
        except SkerryError as error:
            refused = error.detail
        else:
            refused = ""
        engine = life.node.engine
        if refused:
            stands = [each for each in held if engine.operation(each.id).state not in FINAL]
            assert not stands or stands[0].id in refused, "a refusal names the operation in the way"
            return
        alive = {each.id for each in engine.operations(subject=subject) if each.state not in FINAL}
        assert alive <= {operation.id}, "two operations on one instance"
        self.storm.acknowledged.add(operation.id)

    @rule(word=st.sampled_from(("retry", "rollback", "fail")), seconds=SECONDS, kill=LIVES)
    def decide(self, word: str, seconds: float, kill: int) -> None:
        async def body(life: Life) -> None:
            engine = life.node.engine
            waiting = [o for o in engine.operations() if o.state is OperationState.FAILED_TEMP and not o.parent]
            for operation in waiting[:1]:
                self.arena.decisions += 1
                try:
                    await {"retry": engine.retry, "rollback": engine.rollback, "fail": engine.fail}[word](operation.id)
                except SkerryError:
                    assert word == "rollback", "only a rollback may be refused"
            await asyncio.sleep(seconds)

        self.life(kill, body)

    @rule(mode=st.sampled_from(("GRACEFUL", "FORCEFUL")), before=SECONDS, after=SECONDS, kill=LIVES)
    def cancel(self, mode: str, before: float, after: float, kill: int) -> None:
        async def body(life: Life) -> None:
            await asyncio.sleep(before)
            engine = life.node.engine
            for operation in [o for o in engine.operations() if o.state not in FINAL and not o.parent][:1]:
                try:
                    await engine.cancel(operation.id, mode)
                except SkerryError:
                    assert engine.operation(operation.id).state in FINAL | {OperationState.FAILED_TEMP}
            await asyncio.sleep(after)

        self.life(kill, body)

    @rule(seconds=SECONDS, kill=LIVES)
    def go_on(self, seconds: float, kill: int) -> None:
        self.life(kill, lambda _: asyncio.sleep(seconds))

    @rule(
        verb=st.sampled_from(CHANGES),
        kind=st.sampled_from(("fail", "lasting", "after", "hang", "late", "twice")),
        times=st.integers(1, 4),
    )
    def trouble(self, verb: str, kind: str, times: int) -> None:
        for one in self.arena.worlds.values():
            match kind:
                case "fail":
                    one.fail(verb, times=times)
                case "lasting":
                    one.fail(verb, transient=False)
                case "after":
                    one.fail(verb, times=times, after_effect=True)
                case "hang":
                    one.hang(verb)
                case "late":
                    one.late(verb, 10.0 * times)
                case _:
                    one.twice(verb, times=times)

    @rule(number=st.integers(0, 5))
    def behind_the_back(self, number: int) -> None:
        for one in self.arena.worlds.values():
            for name in sorted(one.has.machines)[number : number + 1]:
                one.kill(name)

    @invariant()
    def nothing_runs_twice_or_unrecorded(self) -> None:
        assert self.arena.faults == []

    @invariant()
    def every_move_is_allowed(self) -> None:
        for states in self.arena.moves.values():
            for before, after in itertools.pairwise(states):
                assert OperationState(after) in OPERATION_MOVES[OperationState(before)], states

    def teardown(self) -> None:
        found = self.arena.live(self.storm.calm)
        self.arena.close()
        assert found == []


TestMachine = pytest.mark.feature("A87", "D35")(Machine.TestCase)
TestMachine.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
