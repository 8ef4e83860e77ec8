"""Who is here, and whether there is room for one more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from skerry.errors import ConflictError, DriverError, RejectedError, SkerryError
from skerry.vim.driver import Capacity, Compute, ComputeSpec, ComputeState
from skerry.vim.local.records import Creation, State


class Instance:
    """One instance in memory: its records and what waits for it."""

    def __init__(self, creation: Creation, state: State) -> None:
        self.creation, self.state = creation, state
        self.lock = asyncio.Lock()
        self.settling: asyncio.Task[None] | None = None
        self.restarting: asyncio.Task[None] | None = None
        self.restarts = 0
        self.started = 0.0
        self.leaving = False
        self.readers: set[asyncio.Event] = set()

    def public(self, host: str) -> Compute:
        """As the contract shows it."""
        creation, state = self.creation, self.state
        return Compute(
            id=creation.id,
            name=creation.spec.name,
            owner=creation.spec.owner,
            state=state.state,
            image=creation.image,
            nics=creation.nics,
            host=host,
            exit_code=state.exit_code,
            pid=state.process.pid if state.process else None,
            started_at=state.started_at,
            labels=creation.spec.labels,
            env=state.env,
        )


def admit(spec: ComputeSpec, used: Sequence[ComputeSpec], total: Capacity) -> None:
    """Accept one more instance, or `RejectedError` that names what is used up."""
    wanted = (
        ("instances", len(used) + 1, total.instances),
        ("vCPUs", sum(one.vcpus for one in used) + spec.vcpus, total.vcpus),
        ("bytes of memory", sum(one.memory_bytes for one in used) + spec.memory_bytes, total.memory_bytes),
        ("bytes of storage", total.used_storage_bytes + spec.storage_bytes, total.storage_bytes),
    )
    for what, need, have in wanted:
        if need > have:
            raise RejectedError(
                f"cannot create {spec.name}: {need:g} {what} would be in use of {have:g}",
                suggestion="delete instances, ask for less, or place it elsewhere",
            )


def refuse_failed(instance: Instance, what: str) -> None:
    """`ConflictError` for an instance that has failed."""
    if instance.state.state is ComputeState.FAILED:
        name = instance.creation.spec.name
        raise ConflictError(
            f"cannot {what} {name}: it is FAILED", suggestion="delete it; what failed can only be deleted"
        )


def as_skerry_error(what: str, wrong: Exception) -> SkerryError:
    """The error itself where it is a deliberate one, else a `DriverError` that says what was tried."""
    return wrong if isinstance(wrong, SkerryError) else DriverError(f"{what}: {wrong}", answer=str(wrong))
