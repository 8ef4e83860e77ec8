"""Coordination of life-cycle operations (SOL002 clause 10, SOL005 clause 12): whoever runs an operation asks whether it may go
on, and gets the answer at once."""

from __future__ import annotations

import msgspec

from skerry.engine.engine import Engine
from skerry.errors import NotFoundError
from skerry.model.coordination import Coordination, decided
from skerry.model.time import Clock, Ids, stamp
from skerry.store import aggregates
from skerry.store.database import Database


class Coordinations:
    """Decides by the state of the operation, and keeps what was decided."""

    def __init__(self, database: Database, engine: Engine, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._ids = ids

    async def decide(self, wished: Coordination) -> Coordination:
        """Decide now. `NotFoundError` where there is no such operation of that instance."""
        operation = self._engine.operation(wished.operation, tenant=wished.tenant)
        if operation.subject != wished.subject:
            raise NotFoundError(
                f"cannot find operation {wished.operation} of {wished.scope.upper()} {wished.subject}",
                suggestion="name the operation and the instance that it is of",
            )
        result, warning = decided(operation.state, cancelling=bool(operation.cancel))
        made = msgspec.structs.replace(
            wished, id=self._ids.new(), created_at=stamp(self._clock.now()), result=result, warnings=warning
        )
        return await self._database.write(lambda tx: aggregates.coordinations.insert(tx, made))

    def coordination(self, id: str, *, tenant: str) -> Coordination:
        return aggregates.coordinations.get(self._database, id, tenant=tenant)
