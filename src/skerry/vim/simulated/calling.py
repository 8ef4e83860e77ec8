"""How calls of a simulated infrastructure go: counted, delayed, in trouble as told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TypeVar

from skerry.errors import DriverError, UnavailableError
from skerry.vim.simulated.world import World

T = TypeVar("T")


class Calling:
    """Calls of one world. `latency` is seconds by verb, each up to `jitter` (a fraction) longer, from `seed`."""

    def __init__(self, world: World, latency: Mapping[str, float], jitter: float, seed: int) -> None:
        self._world, self._latency, self._jitter = world, latency, jitter
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret

    async def _call(self, verb: str, name: str, effect: Callable[[], T], *, at_most: float | None = None) -> T:
        """One call: counted, delayed, in trouble as told, with its effect in one piece."""
        self._world.count(verb, name)
        if not self._world.reachable:
            raise UnavailableError(
                f"cannot {verb.replace('_', ' ')} {name}: the simulated infrastructure {self._world.name} does not answer",
                suggestion="wait until it is reachable again",
            )
        await self._delay(verb, at_most)
        await self._trouble(verb, name, after_effect=False)
        self._world.observe(verb, name, after=False)
        result = effect()
        if self._world.trouble(verb, name, "twice"):
            result = effect()
        self._world.save()
        self._world.observe(verb, name, after=True)
        late = self._world.trouble(verb, name, "late")
        if late:
            await asyncio.sleep(late.seconds)
        await self._trouble(verb, name, after_effect=True)
        return result

    async def _delay(self, verb: str, at_most: float | None) -> None:
        latency = self._latency.get(verb, self._latency.get("*", 0.0))
        seconds = latency * (1 + self._jitter * self._random.random())
        await asyncio.sleep(seconds if at_most is None else min(seconds, at_most))

    async def _trouble(self, verb: str, name: str, *, after_effect: bool) -> None:
        if self._world.trouble(verb, name, "hang", after_effect=after_effect):
            await asyncio.get_running_loop().create_future()
        fail = self._world.trouble(verb, name, "fail", after_effect=after_effect)
        if fail:
            raise DriverError(
                f"cannot {verb.replace('_', ' ')} {name}: {fail.message or 'the simulated infrastructure was told to fail'}",
                transient=fail.transient,
                call=f"{verb} {name}",
                answer="scripted failure" + (" after the effect" if after_effect else ""),
            )
