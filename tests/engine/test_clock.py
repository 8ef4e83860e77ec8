"""Virtual time: jumps, order, timeouts, real descriptors, threads."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from skerry.engine.clock import EPOCH, RandomIds, SeededIds, StalledError, SystemClock, Virtual, run_virtual


def test_an_hour_takes_no_real_time() -> None:
    async def body(virtual: Virtual) -> tuple[datetime, float]:
        await asyncio.sleep(3600)
        return virtual.clock.now(), virtual.clock.monotonic()

    before = time.monotonic()
    now, elapsed = run_virtual(body)
    assert time.monotonic() - before < 1
    assert abs(now - (EPOCH + timedelta(hours=1))) < timedelta(milliseconds=1)
    assert elapsed == pytest.approx(3600)


def test_years_keep_their_precision() -> None:
    async def body(virtual: Virtual) -> float:
        for _ in range(300):
            await asyncio.sleep(40 * 3600.123)
        return virtual.clock.monotonic()

    assert run_virtual(body) == pytest.approx(300 * 40 * 3600.123, abs=1e-3)


def test_timers_fire_in_the_order_of_their_time() -> None:
    async def body(virtual: Virtual) -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def one(delay: float, name: str) -> None:
            await asyncio.sleep(delay)
            seen.append((round(virtual.clock.monotonic(), 6), name))

        await asyncio.gather(one(3, "c"), one(1, "a"), one(2, "b"))
        return seen

    assert run_virtual(body) == [(1, "a"), (2, "b"), (3, "c")]


def test_timeouts_work() -> None:
    async def body(virtual: Virtual) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return virtual.clock.monotonic()

    assert run_virtual(body) == pytest.approx(30)


def test_a_task_group_cancels_in_the_same_order_in_every_run() -> None:
    async def body(_: Virtual) -> list[int]:
        order: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                order.append(number)
                raise

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError

        async def family() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(child(number))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await family()
        return order

    ballast = [object() for _ in range(1000)]
    first = run_virtual(body)
    del ballast[::2]
    assert run_virtual(body) == first
    assert sorted(first) == list(range(50))


def test_a_stall_is_told() -> None:
    async def body(_: Virtual) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StalledError, match="cannot go on"):
        run_virtual(body)


def test_real_descriptors_are_served_without_spinning() -> None:
    async def body(virtual: Virtual) -> tuple[bytes, float]:
        here, there = socket.socketpair()
        here.setblocking(False)
        os.write(there.fileno(), b"x")
        data = await asyncio.get_running_loop().sock_recv(here, 1)
        reader = asyncio.get_running_loop().sock_recv(here, 1)
        pending = asyncio.ensure_future(reader)
        await asyncio.sleep(5)
        os.write(there.fileno(), b"y")
        data += await pending
        here.close()
        there.close()
        return data, virtual.clock.monotonic()

    data, now = run_virtual(body)
    assert data == b"xy"
    assert now == pytest.approx(5)


def test_time_stands_still_while_a_thread_works() -> None:
    async def body(virtual: Virtual) -> tuple[int, float]:
        async with asyncio.timeout(0.001):
            answer = await asyncio.to_thread(lambda: sum(range(2_000_000)))
        return answer, virtual.clock.monotonic()

    answer, now = run_virtual(body)
    assert answer == sum(range(2_000_000))
    assert now == 0


def test_seeded_ids_repeat_and_are_uuids() -> None:
    first, second = SeededIds(7), SeededIds(7)
    ids = [first.new() for _ in range(3)]
    assert ids == [second.new() for _ in range(3)]
    assert len(set(ids)) == 3
    assert SeededIds(8).new() != ids[0]
    assert all(uuid.UUID(i).version == 4 for i in [*ids, RandomIds().new()])


def test_the_seed_reaches_the_program() -> None:
    async def body(virtual: Virtual) -> tuple[str, float]:
        return virtual.ids.new(), virtual.random.random()

    assert run_virtual(body, seed=1) == run_virtual(body, seed=1)
    assert run_virtual(body, seed=1) != run_virtual(body, seed=2)


def test_the_system_clock_is_utc_and_monotonic() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
