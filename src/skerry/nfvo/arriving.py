"""When a record takes in an archive: of all who send one at the same time, one goes on; and whose archives are read now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Container
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from skerry.errors import ConflictError
from skerry.model.ns import NsdInfo, PnfdInfo
from skerry.model.states import OnboardingState
from skerry.model.vnf import VnfPkgInfo
from skerry.store.database import Transaction
from skerry.store.documents import Collection

Info = TypeVar("Info", VnfPkgInfo, NsdInfo, PnfdInfo)
EMPTY = (OnboardingState.CREATED, OnboardingState.ERROR)
FETCHED = (OnboardingState.UPLOADING,)
AT_ONCE = 3
ARRIVING = (OnboardingState.UPLOADING, OnboardingState.PROCESSING)


def require(where: Collection[Info], info: Info, before: Container[OnboardingState] = EMPTY) -> None:
    """`ConflictError` where the record is in none of these states."""
    if info.onboarding_state not in before:
        raise ConflictError(
            f"cannot upload into {where.word} {info.id}: it is {info.onboarding_state}", suggestion="create a new one"
        )


def enter(
    where: Collection[Info],
    tx: Transaction,
    id: str,
    state: OnboardingState,
    before: Container[OnboardingState] = EMPTY,
) -> Info:
    """The record in its next state, in the transaction that saw it in one of those before."""
    info = where.get(tx, id)
    require(where, info, before)
    return where.put(tx, msgspec.structs.replace(info, onboarding_state=state, problem={}))


class Turns:
    """Archives are read in the threads that everything else of the node needs, too, and a large one takes minutes: of each
    tenant one is read at a time, of all together a few."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._own: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncGenerator[None]:
        """Wait for the tenant's turn, and have it."""
        async with self._own.setdefault(tenant, asyncio.Semaphore(1)), self._all:
            yield
