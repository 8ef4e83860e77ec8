"""An engine on a real store on disk, with operations of ten steps that do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry.engine.clock import RandomIds, SystemClock
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.model.operations import Operation, Plan, Step
from skerry.model.states import OperationState
from skerry.store.database import Database, Transaction

STEPS = 10


class Nothing:
    """Ten steps in a row, each after the one before."""

    name = "toy.nothing"
    revertible = True

    def rolls_back(self, operation: Operation) -> bool:
        return False

    def admit(self, tx: Transaction, operation: Operation) -> None:
        """Always."""

    async def plan(self, operation: Operation) -> Plan:
        return Plan(
            steps=tuple(
                Step(key=f"step-{n}", action="toy.do", needs=(f"step-{n - 1}",) if n else ()) for n in range(STEPS)
            )
        )

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        """There is no instance."""

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        """There is no instance."""


class Bench:
    """`gate` holds every step up while it is closed; `all_begun` is set once the first step of `many` operations was begun."""

    def __init__(self, folder: Path, many: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(folder / "skerry.db")
        self.engine = Engine(self.database, SystemClock(), RandomIds())
        self.engine.add_kind(Nothing())
        self.engine.add_handler("toy.do", self._do)
        self.all_begun = asyncio.Event()
        self._begun, self._many = 0, many
        self.gate = asyncio.Event()
        self.gate.set()

    async def _do(self, context: StepContext) -> None:
        self._begun += context.step.key == "step-0"
        if self._begun == self._many:
            self.all_begun.set()
        await self.gate.wait()

    async def start(self) -> None:
        self.database.open()
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()
        self.database.close()

    async def one(self, subject: str) -> None:
        """Run one operation to its end."""
        operation = await self.engine.submit("toy.nothing", subject, {})
        ended = await self.engine.wait(operation.id)
        if ended.state is not OperationState.COMPLETED:
            raise RuntimeError(f"operation {ended.id} is {ended.state}: {ended.error}")
