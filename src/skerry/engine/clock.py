"""The only source of time and identifiers: the real ones, and virtual ones for simulation.

`VirtualLoop` is an asyncio event loop whose time jumps to the next timer as soon as nothing is ready, so that a day of
waiting takes no real time and the order of events follows from the program alone. What runs on it must get its time
from the loop (`asyncio.sleep`, timeouts) or from `VirtualClock`, never from the machine.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""Where virtual time starts unless something else is asked for."""


class SystemClock:
    """The machine's time (fits `skerry.model.time.Clock`)."""

    def now(self) -> datetime:
        """The time, with time zone UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; the same origin as the event loop's time."""
        return time.monotonic()


class RandomIds:
    """Fresh random UUIDs (fits `skerry.model.time.Ids`)."""

    def new(self) -> str:
        """A fresh UUID version 4 (RFC 9562)."""
        return str(uuid.uuid4())


class SeededIds:
    """UUIDs that repeat with their seed (fits `skerry.model.time.Ids`)."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret

    def new(self) -> str:
        """The next UUID version 4 of the seed's sequence."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


class StalledError(RuntimeError):
    """Everything on a virtual loop waits for something that can never come: no timer, no descriptor, no thread."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0 seconds.

    Real file descriptors still work: what is readable is served before time jumps, and where nothing but descriptors
    is waited for, the wait is real. Time stands still while a thread of `run_in_executor` works.
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._threads = 0
        self._serials = itertools.count()
        self._jumping = _JumpingSelector(self)
        super().__init__(self._jumping)
        self._clock_resolution = 1e-6  # above the precision of a float of many years of seconds: a due timer must fire
        self._own_descriptors = len(self._jumping.get_map())
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Move time forward. Timers that are due by then fire in their order."""
        self._virtual_now += max(0.0, seconds)

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in a set follows from the order of creation."""
        return _Future(next(self._serials), loop=self)

    def run_in_executor(  # type: ignore[override]  # the stub's type variables cannot be written for Python 3.11
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run `func` in a thread; time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as 3.12
        """Wait for the threads, without letting time run meanwhile."""
        self._threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    def threads_at_work(self) -> bool:
        """Whether an answer from a thread is awaited."""
        return self._threads > 0

    def waits_for_nothing(self) -> bool:
        """Whether no descriptor but the loop's own is registered."""
        return len(self._jumping.get_map()) <= self._own_descriptors

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1

    def _new_task(self, _: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None) -> asyncio.Task[Any]:
        return _Task(next(self._serials), coro, loop=self, context=context)


class _Future(asyncio.Future[Any]):
    """Hashes by serial number: asyncio keeps futures in sets, whose order would else depend on addresses."""

    def __init__(self, serial: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._serial = serial
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._serial


class _Task(asyncio.Task[Any]):
    """As `_Future`, for tasks: a task group cancels its children in the same order in every run."""

    def __init__(
        self,
        serial: int,
        coro: Coroutine[Any, Any, Any],
        *,
        loop: asyncio.AbstractEventLoop,
        context: Context | None = None,
    ) -> None:
        self._serial = serial  # before super(): that puts the task into a set
        super().__init__(coro, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._serial


class _JumpingSelector(selectors.BaseSelector):
    """Where the loop would wait for a timer, it advances the loop's time instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.threads_at_work():
            return self._real.select(None)
        if timeout is not None:
            self._loop.advance(timeout)
            return []
        if self._loop.waits_for_nothing():
            raise StalledError("cannot go on: every task waits, and no timer, descriptor or thread can wake one")
        return self._real.select(None)


class VirtualClock:
    """The time of a `VirtualLoop` (fits `skerry.model.time.Clock`)."""

    def __init__(self, loop: VirtualLoop, start: datetime = EPOCH) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> datetime:
        """`start` and the loop's virtual seconds since."""
        return self._start + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """The loop's virtual seconds."""
        return self._loop.time()


class Virtual:
    """What a coroutine function under `run_virtual` is given: every source of what is not determined by the program."""

    def __init__(self, loop: VirtualLoop, start: datetime, seed: int) -> None:
        self.clock = VirtualClock(loop, start)
        self.ids = SeededIds(seed)
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret


def run_virtual(coro_fn: Callable[[Virtual], Awaitable[T]], *, start: datetime = EPOCH, seed: int = 0) -> T:
    """Run `coro_fn(virtual)` on a fresh virtual loop and return its result.

    Two runs with the same arguments do the same things in the same order. `StalledError` when nothing can go on.
    """
    loop = VirtualLoop()

    async def body() -> T:
        return await coro_fn(Virtual(loop, start, seed))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(body())
