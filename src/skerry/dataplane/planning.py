"""From what is asked for to a proven network: in full, or by what a change adds and removes among thousands of intents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from skerry.dataplane.compile import Network, compile_sheets
from skerry.dataplane.flows import Change
from skerry.dataplane.incremental import Increment, Step
from skerry.dataplane.intents import Intents
from skerry.dataplane.proof import Problem, Tables, Violation
from skerry.dataplane.records import Wishes
from skerry.dataplane.verify import tables_of, verify
from skerry.errors import ConflictError, Fault, RefusedError

MANY = 300
MOST_AT_ONCE = 64
_CUT = (Problem.BLACK_HOLE, Problem.ORDER)


class Planner:
    """Compiles and proves. From `many` intents on, it keeps what it needs to do so for a few of them only."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self._increment: Increment | None = None

    async def plan(
        self, before: Wishes, draft: Wishes, network: Network, *, failing: bool
    ) -> tuple[Network, Sequence[Change] | None]:
        """The network of a draft, and what its devices have to do where that is known already. `network` is the one of
        `before`; `failing` says that the change is a failure, which may leave things without a way."""
        step = None if failing else self._step(before, draft, network)
        if step is not None:
            return step
        self._increment = None
        if len(draft.intents) > self._many:  # so long that others should not wait for it
            return await asyncio.to_thread(self._whole, draft, network, failing), None
        return self._whole(draft, network, failing), None

    def compiled(self, wishes: Wishes) -> Network:
        """The network of wishes, without proof."""
        intents = [record.intent for record in wishes.intents.values()]
        return compile_sheets(wishes.topology, intents, list(wishes.retired.values()))[0]

    def tables(self, network: Network, device: str) -> Tables | None:
        """What the rules of a device are looked up in, where that is at hand."""
        increment = self._increment
        return increment.tables(device) if increment is not None and increment.network is network else None

    def _whole(self, draft: Wishes, before: Network, failing: bool) -> Network:
        intents = [record.intent for record in draft.intents.values()]
        network, sheets = compile_sheets(draft.topology, intents, list(draft.retired.values()))
        if failing:
            return network
        tables = tables_of(network)
        _prove(network, before, tables)
        if len(intents) > self._many and not draft.retired and Increment.possible(network, intents):
            self._increment = Increment(network, sheets, tables)
        return network

    def _step(self, before: Wishes, draft: Wishes, network: Network) -> Step | None:
        increment = self._increment
        same = (before.devices, before.ports, before.links, before.retired)
        if increment is None or increment.network is not network:
            return None
        if (draft.devices, draft.ports, draft.links, draft.retired) != same:
            return None
        gone, new = _changed(before, draft)
        return increment.step(gone, new) if len(gone) + len(new) <= MOST_AT_ONCE else None


def _changed(before: Wishes, draft: Wishes) -> tuple[list[Intents], list[Intents]]:
    old, new = before.intents, draft.intents
    return (
        [record.intent for id, record in old.items() if new.get(id) is not record],
        [record.intent for id, record in new.items() if old.get(id) is not record],
    )


def _prove(network: Network, before: Network, tables: dict[str, Tables]) -> None:
    """`ConflictError` for what has no way now and had one before, `RefusedError` for what the proof forbids."""
    known = {fault.message for fault in before.unreachable}
    new = [fault for fault in network.unreachable if fault.message not in known]
    if new:
        raise ConflictError("cannot reach everything", faults=new, suggestion="connect the devices, or bring links up")
    cut = {fault.path for fault in network.unreachable}
    found = verify(network, tables=tables)
    bad = [one for one in found if not (one.problem in _CUT and cut & {*one.owners, *_chains(network, one)})]
    if bad:
        raise refusal(bad)


def _chains(network: Network, violation: Violation) -> set[str]:
    return {chain for owner in violation.owners for chain in network.entries.get(owner, ())}


def refusal(violations: Sequence[Violation]) -> RefusedError:
    """The error of a change that the proof forbids."""
    return RefusedError(
        f"cannot change the data plane so: {violations[0].message}",
        faults=[fault_of(violation) for violation in violations],
        suggestion="follow the witness frame through the rules that are named, and change the intents",
    )


def fault_of(violation: Violation) -> Fault:
    """A violation as a fault with its witness."""
    witness = violation.witness
    where = f"{witness.device} port {witness.port}: {witness.frame.hex()}"
    return Fault(
        message=violation.message,
        code=violation.problem.value,
        path=", ".join(violation.owners),
        fix=f"witness at {where}" + (f"; way {' > '.join(violation.trail)}" if violation.trail else ""),
    )
