"""An engine with a kind of operation whose steps do what a test says, in virtual time."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from skerry.engine.clock import Virtual, run_virtual
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, DriverError, SkerryError
from skerry.model.operations import Event, Operation, Plan, Step
from skerry.model.states import OPERATION_MOVES, OperationState
from skerry.store.database import Database, Transaction

T = TypeVar("T")


class Toy:
    """A kind of operation: its plan is in the parameters (`steps`: key → {needs, attempts, timeout_s})."""

    name = "toy.run"
    revertible = True

    def __init__(self) -> None:
        self.moves: list[tuple[str, OperationState]] = []
        self.phases: list[tuple[str, str]] = []
        self.planning: Callable[[], Awaitable[None]] | None = None

    def admit(self, tx: Transaction, operation: Operation) -> None:
        if operation.params.get("refuse"):
            raise ConflictError("cannot do that now")

    async def plan(self, operation: Operation) -> Plan:
        if self.planning:
            await self.planning()
        return Plan(
            steps=tuple(
                Step(
                    key=key,
                    action=spec.get("action", "toy.do"),
                    needs=tuple(spec.get("needs", ())),
                    undo="toy.undo" if spec.get("undo", True) else "",
                    attempts=spec.get("attempts", 3),
                    timeout_s=spec.get("timeout_s", 300.0),
                )
                for key, spec in operation.params.get("steps", {}).items()
            )
        )

    def rolls_back(self, operation: Operation) -> bool:
        return bool(operation.params.get("careful"))

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        self.phases.append((step.key, phase))

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        self.moves.append((operation.id, state))


class Stubborn(Toy):
    """A kind that cannot be rolled back."""

    name = "toy.stubborn"
    revertible = False


class Bench:
    """The engine and a diary of what its steps did: (virtual second, word, step)."""

    def __init__(self, virtual: Virtual, database: Database, **settings: Any) -> None:
        self.virtual = virtual
        self.database = database
        self.engine = Engine(database, virtual.clock, virtual.ids, **settings)
        self.toy = Toy()
        self.engine.add_kind(self.toy)
        self.engine.add_kind(Stubborn())
        self.engine.add_handler("toy.do", self.do)
        self.engine.add_handler("toy.undo", self.undo)
        self.engine.add_handler("toy.child", self.child, waits=True)
        self.diary: list[tuple[float, str, str]] = []
        self.takes: dict[str, float] = {}
        self.faults: dict[str, list[Exception]] = {}
        self.running = 0
        self.most = 0

    async def do(self, context: StepContext) -> Mapping[str, Any]:
        await self._work("do", context.step.key)
        return {"by": context.step.key}

    async def undo(self, context: StepContext) -> None:
        await self._work("undo", context.step.key)

    async def child(self, context: StepContext) -> Mapping[str, Any]:
        params = context.operation.params["steps"][context.step.key]["child"]
        child = await context.child("toy.run", f"child-{context.step.key}", params)
        return {"child": child.id}

    async def _work(self, word: str, key: str) -> None:
        self._write(word, key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes.get(key, 1.0))
            if waiting := self.faults.get(f"{word} {key}"):
                raise waiting.pop(0)
            self._write("did" if word == "do" else "undid", key)
        finally:
            self.running -= 1

    def _write(self, word: str, key: str) -> None:
        self.diary.append((round(self.virtual.clock.monotonic(), 3), word, key))

    def words(self, *only: str) -> list[str]:
        return [f"{word} {key}" for _, word, key in self.diary if not only or word in only]

    async def run(self, subject: str = "x", kind: str = "toy.run", **steps: Any) -> Operation:
        operation = await self.start(subject, kind, **steps)
        return await self.engine.wait(operation.id, 10_000)

    async def start(self, subject: str = "x", kind: str = "toy.run", **steps: Any) -> Operation:
        return await self.engine.submit(kind, subject, {"steps": steps})

    def events(self, operation: str = "") -> list[Event]:
        return list(self.engine.events.since(0, operation=operation, limit=10_000))

    def states(self, operation: str) -> list[str]:
        return [event.state for event in self.events(operation) if event.kind == "operation"]

    def legal(self) -> bool:
        """Whether every operation moved only as the table allows, from STARTING."""
        last: dict[str, OperationState] = {}
        for event in self.events():
            if event.kind == "operation":
                state = OperationState(event.state)
                before = last.get(event.operation)
                if state is not OperationState.STARTING if before is None else state not in OPERATION_MOVES[before]:
                    return False
                last[event.operation] = state
        return True


def bench(body: Callable[[Bench], Awaitable[T]], *, seed: int = 0, **settings: Any) -> T:
    """Run `body` with an engine on a fresh store, in virtual time."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-bench-"))

    async def inside(virtual: Virtual) -> T:
        database = Database(folder / "skerry.db", inline=True)
        database.open()
        one = Bench(virtual, database, **settings)
        await one.engine.start()
        try:
            return await body(one)
        finally:
            await one.engine.stop()
            database.close()

    try:
        return run_virtual(inside, seed=seed)
    finally:
        shutil.rmtree(folder)


def passing(text: str = "cannot reach it") -> DriverError:
    return DriverError(text, transient=True, call="create x", answer="503")


def lasting(text: str = "cannot do it") -> SkerryError:
    return SkerryError(text, suggestion="mend it")
