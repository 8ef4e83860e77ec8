"""Operation occurrences: what is the same for VNFs (SOL003), network services (SOL005) and applications (MEC 010-2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from skerry.api.route import Call
from skerry.errors import NotFoundError
from skerry.model.operations import Operation


@dataclass(frozen=True)
class Occurrences:
    """The operations on one kind of instances, below `/KIND_lcm_op_occs`."""

    kind: str
    """vnf, ns or app: what the kinds of their operations begin with."""
    what: str
    render: Callable[[Call, Operation], Any]
    cancel_mode: Callable[[Call], Awaitable[str]]
    """Reads the body of a cancellation: GRACEFUL or FORCEFUL."""

    def _accepted(self, call: Call, operation: Operation) -> Response:
        return call.accepted(call.href(f"/{self.kind}_lcm_op_occs/{operation.id}"))

    def find(self, call: Call) -> Operation:
        """The operation of the path, if it is one on such an instance."""
        operation = call.services.engine.operation(call.path(f"{self.kind}LcmOpOccId"), tenant=call.tenant)
        if not operation.kind.startswith(f"{self.kind}."):
            raise NotFoundError(f"cannot find {self.what} operation {operation.id}: it is a {operation.kind}")
        return operation

    async def show(self, call: Call) -> Response:
        """One operation."""
        operation = self.find(call)
        return call.show(self.render(call, operation), rev=operation.rev)

    async def retry(self, call: Call) -> Response:
        """Go on where it failed; `continue` means the same: completed steps are never repeated."""
        operation = self.find(call)
        await call.services.engine.retry(operation.id)
        return self._accepted(call, operation)

    async def rollback(self, call: Call) -> Response:
        """Undo what was done."""
        operation = self.find(call)
        await call.services.engine.rollback(operation.id)
        return self._accepted(call, operation)

    async def fail(self, call: Call) -> Response:
        """Give up."""
        operation = self.find(call)
        await call.services.engine.fail(operation.id)
        return call.show(self.render(call, call.services.engine.operation(operation.id, tenant=call.tenant)))

    async def cancel(self, call: Call) -> Response:
        """Stop it."""
        operation = self.find(call)
        await call.services.engine.cancel(operation.id, await self.cancel_mode(call))
        return self._accepted(call, operation)
