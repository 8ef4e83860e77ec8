"""Reads the counters of VNFCs from their infrastructures: each once a sweep, some side by side, whoever wants them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from skerry.errors import NotFoundError, SkerryError
from skerry.model.time import Clock
from skerry.policy.measures import DROPPED, Limits, Sample
from skerry.policy.objects import Key, Target
from skerry.vim.connections import Vims
from skerry.vim.driver import Capacity, ComputeStats, Driver, Stats, Written

log = logging.getLogger(__name__)

AT_ONCE = 16
PATIENCE_S = 10.0
CAPACITY_S = 300.0

Drops = Callable[[], Awaitable[Mapping[str, int]]]
"""MAC of who is behind a port of the data plane -> frames that came in there and were dropped, since the device was made."""


async def no_drops() -> Mapping[str, int]:
    """Where there is no data plane."""
    return {}


class Sampler:
    """Takes samples. What a VNFC may use without a limit is what its infrastructure has, looked up now and then. `drops` asks
    the data plane."""

    def __init__(self, vims: Vims, clock: Clock, drops: Drops = no_drops) -> None:
        self._drops = drops
        self._vims = vims
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._capacities: dict[str, tuple[float, Capacity]] = {}

    async def take(
        self, wanted: Iterable[Target], written: frozenset[Key] = frozenset(), *, dropped: bool = False
    ) -> dict[Key, Sample]:
        """A sample of each that runs and can be measured; of those `written` also what they wrote, with `dropped` also what
        the data plane dropped."""
        unique = {target.key: target for target in wanted}
        told = await self._told() if dropped else {}
        found = await asyncio.gather(*(self._one(target, key in written, told) for key, target in unique.items()))
        return {key: sample for key, sample in zip(unique, found, strict=True) if sample is not None}

    async def _told(self) -> Mapping[str, int]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._drops()
        except (TimeoutError, SkerryError) as error:
            log.warning("cannot measure what the data plane drops: %s", error)
            return {}

    async def _one(self, target: Target, written: bool, told: Mapping[str, int]) -> Sample | None:
        try:
            async with self._slots, asyncio.timeout(PATIENCE_S):
                driver = await self._vims.driver(target.vim)
                if not isinstance(driver, Stats):
                    return None
                limits = await self._limits(driver, target)
                counters = await driver.stats(target.name)
                size = await driver.written_bytes(target.name) if written and isinstance(driver, Written) else 0
                drops = {device: told[mac] for device, mac in target.macs.items() if mac in told}
                return _sample(self._clock.monotonic(), counters, limits, size, drops)
        except TimeoutError:
            log.warning("cannot measure %s: VIM %s does not answer", target.name, target.vim)
        except NotFoundError:
            pass  # it is gone; whoever watches over it raises the alarm
        except SkerryError as error:
            log.debug("cannot measure %s: %s", target.name, error.detail)
        return None

    async def _limits(self, driver: Driver, target: Target) -> Limits:
        if target.vcpus and target.memory_bytes and target.storage_bytes:
            return Limits(vcpus=target.vcpus, memory_bytes=target.memory_bytes, storage_bytes=target.storage_bytes)
        at, whole = self._capacities.get(target.vim, (-CAPACITY_S, None))
        if whole is None or self._clock.monotonic() - at > CAPACITY_S:
            whole = await driver.capacity()
            self._capacities[target.vim] = (self._clock.monotonic(), whole)
        return Limits(
            vcpus=target.vcpus or whole.vcpus,
            memory_bytes=target.memory_bytes or whole.memory_bytes,
            storage_bytes=target.storage_bytes or whole.storage_bytes,
        )


def _sample(at: float, counters: ComputeStats, limits: Limits, size: int, drops: Mapping[str, int]) -> Sample:
    return Sample(
        at=at,
        cpu_seconds=counters.cpu_seconds,
        memory_bytes=counters.memory_bytes,
        limits=limits,
        storage_bytes=size,
        traffic={
            "rx_bytes": counters.rx_bytes,
            "tx_bytes": counters.tx_bytes,
            "rx_packets": counters.rx_packets,
            "tx_packets": counters.tx_packets,
            DROPPED: drops,
        },
    )
