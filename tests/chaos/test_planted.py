"""Bugs that are planted on purpose are found by the checks of these tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skerry.engine.kinds import StepContext
from skerry.model.operations import Step
from skerry.store.database import Transaction
from skerry.vim.driver import NetworkSpec
from skerry.vnfm.instantiate import Instantiate
from skerry.wiring import Node
from tests.chaos.arena import Arena, Mortal
from tests.chaos.cases import CASES
from tests.chaos.trial import Trial

STEP_WRITES = 7
"""How many writes with states of steps this instantiation makes."""
INSTANTIATE = next(case for case in CASES if case.name == "vnf-instantiate")


class Forgetful(Mortal):
    """A store that says yes to one write with the state of a step, and does not keep it."""

    skip = 0

    def __init__(self, path: Path, arena: Arena) -> None:
        super().__init__(path, arena)
        self._seen = 0

    def _commit(self, group: list[Any]) -> None:
        assert self._writer is not None
        self._writer.execute("BEGIN")
        transactions = [Transaction(self._writer) for _ in group]
        results = []
        try:
            for write, transaction in zip(group, transactions, strict=True):
                results.append(write.work(transaction))
        except Exception:  # noqa: BLE001 - refused; the store itself says how
            results = []
        self._writer.execute("ROLLBACK")
        journals = any(event.kind == "step" for transaction in transactions for event in transaction.announced)
        self._seen += journals
        if not results or not journals or self._seen != self.skip:
            super()._commit(group)
            return
        for write, result in zip(group, results, strict=True):
            write.result = result


class Amnesiac(Mortal):
    """A store that does not know, when an operation is taken up after a restart, which steps were done."""

    def __init__(self, path: Path, arena: Arena) -> None:
        super().__init__(path, arena)
        self._asked: set[Any] = set()

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if "FROM steps" not in sql or not self._arena.kills or parameters in self._asked:
            return super().read(sql, parameters)
        self._asked.add(parameters)
        return []


def forgetting(number: int) -> type[Forgetful]:
    """A store that forgets the write of this number."""
    return type(f"Forgetful{number}", (Forgetful,), {"skip": number})


def found_by_kills(trial: Trial) -> list[str]:
    """What the checks say over all points; a planted bug may as well bring the node to say an error."""
    found: list[str] = []
    for number in range(1, len(trial.points) + 1):
        try:
            found += trial.killed_at(number)
        except AssertionError as error:
            found.append(str(error))
        if found:
            break
    trial.arena.close()
    return found


def step_writes() -> int:
    """How many writes with states of steps an instantiation makes."""
    counted: list[int] = []

    class Counting(Forgetful):
        def drop(self) -> None:
            counted.append(self._seen)
            super().drop()

    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "make_store", Counting))
    trial.killed_at(len(trial.points))
    trial.arena.close()
    return counted[0]


def test_a_store_that_keeps_everything_passes() -> None:
    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "make_store", forgetting(10_000)))
    assert found_by_kills(trial) == []


@pytest.mark.feature("A87")
@pytest.mark.parametrize("number", range(1, STEP_WRITES + 1))
def test_a_lost_journal_write_is_found(number: int) -> None:
    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "make_store", forgetting(number)))
    assert found_by_kills(trial), f"write {number} may be lost and nobody notices"


def test_every_journal_write_was_lost_once() -> None:
    assert step_writes() == STEP_WRITES


def test_steps_that_run_again_are_found() -> None:
    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "make_store", Amnesiac))
    found = found_by_kills(trial)
    assert any("was begun again" in fault for fault in found), found


def test_a_step_that_makes_another_thing_each_time_is_found() -> None:
    numbers = itertools.count()

    def furnish(node: Node) -> None:
        async def create(context: StepContext) -> Mapping[str, Any]:
            spec = {**context.args["spec"], "name": f"{context.args['spec']['name']}-{next(numbers)}"}
            driver = await node.vims.driver(spec.pop("vim"))
            made = msgspec.to_builtins(await driver.create_network(msgspec.convert(spec, NetworkSpec)))
            right = {**context.args["spec"]}
            right.pop("vim")
            await driver.create_network(msgspec.convert(right, NetworkSpec))
            return {**made, "name": right["name"]}

        node.engine.add_handler("network.create", create)

    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "furnish", furnish))
    found = found_by_kills(trial)
    assert any("unowned network" in fault for fault in found), found


def test_a_script_that_runs_twice_is_found() -> None:
    numbers = itertools.count()

    def furnish(node: Node) -> None:
        right = node.engine.handler("script.run")

        async def run(context: StepContext) -> Mapping[str, Any] | None:
            """As the real one, but its identity is another one each time."""
            operation = msgspec.structs.replace(context.operation, id=f"{context.operation.id}-{next(numbers)}")
            return await right(StepContext(operation, context.step, context.args, context.engine))

        node.engine.add_handler("script.run", run)

    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "furnish", furnish))
    found = found_by_kills(trial)
    assert any("scripts ran in" in fault for fault in found), found


def test_a_record_that_is_not_the_truth_is_found() -> None:
    class Careless(Instantiate):
        """Does not record that the front was made."""

        def stepped(self, tx: Transaction, operation: Any, step: Step, phase: str, result: Mapping[str, Any]) -> None:
            if step.key != "create:compute:front-0" or phase != "done":
                super().stepped(tx, operation, step, phase, result)

    def furnish(node: Node) -> None:
        node.engine.add_kind(Careless(node.vnfm.desk))

    trial = Trial(INSTANTIATE, plant=lambda arena: setattr(arena, "furnish", furnish))
    found = found_by_kills(trial)
    assert any("still PLANNED" in fault for fault in found), found
