"""What the resources of Mp1 share: who may call for which application, and faults as MEC 011 answers them."""

from __future__ import annotations

import functools

from starlette.responses import Response

from skerry.api.route import Call, Handler
from skerry.errors import InvalidError, MalformedError
from skerry.model.mec import App


def app_of(call: Call) -> App:
    """The application of the path: the caller itself, or one of its tenant where the caller is no application."""
    return call.services.mep.app_of(call.path("appInstanceId"), tenant=call.tenant, client=call.principal.client)


def strict(handler: Handler) -> Handler:
    """MEC 011 answers a body that it cannot accept with 400, whatever is wrong with it (clauses 7.2 and 8.2, 400). A name
    that comes twice is wrong: applications are strangers."""

    @functools.wraps(handler)
    async def serve(call: Call) -> Response:
        call.unique_names = True
        try:
            return await handler(call)
        except InvalidError as error:
            raise MalformedError(error.detail, suggestion=error.suggestion, faults=error.faults) from error

    return serve


def note(call: Call, status: int) -> dict[str, object]:
    """The audit's line about this call, to be written together with what the call changes."""
    who, method, path = call.principal, call.request.method, call.request.scope["path"]
    data = {"client": who.client, "tenant": who.tenant, "method": method, "path": path, "status": status}
    return {"name": who.name, "state": str(status), "detail": f"{method} {path}", "data": data}


def noted(call: Call) -> None:
    """The audit has its line about this call: the gate need not write it again."""
    call.request.scope["skerry.audited"] = True
