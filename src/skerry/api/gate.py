"""The gate before every API: is the node ready, who calls, how often; and the audit of what changes something.

Pure ASGI, so that streams pass untouched. What a caller may do is decided by route, in `rights`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.responses import Response

from skerry.access.authority import ANONYMOUS, Authority
from skerry.access.roles import Principal
from skerry.api import problem
from skerry.api.points import PATHS as POINTS
from skerry.api.services import Services
from skerry.errors import ForbiddenError, SkerryError, UnauthorizedError, UnavailableError
from skerry.settings import is_loopback

log = logging.getLogger("skerry.audit")

Audit = Callable[[Principal, str, str, int], Awaitable[None]]
"""Told of every call that may change something, before it is answered: who, method, path, status."""

ASGI = Callable[[Any, Any, Any], Awaitable[None]]
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
REFUSALS = frozenset({401, 403, 429})
OPEN = frozenset({"/live", "/ready", "/openapi.json"}) | POINTS
"""What may be read without a token: two health checks and descriptions of the APIs."""

OAUTH2 = "/oauth2/"
"""Below this, callers show their credentials in the request itself."""

STARTING = UnavailableError("cannot serve this yet: the node is starting", suggestion="try again in a second")
TOO_MANY = "too-many-requests"
LONGEST_PATH = 300
LONGEST_URI = 16 * 1024


class Gate:
    """Lets a request in when the node is ready, the caller is known and within its rate."""

    def __init__(self, app: ASGI, services: Services, authority: Authority, audit: Audit) -> None:
        self._app = app
        self._services = services
        self._authority = authority
        self._audit = audit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check one request, then pass it on."""
        if scope["type"] in ("http", "websocket") and not scope["path"].startswith(OAUTH2):
            await self._authority.meet(_given(scope).decode("latin-1"), _address(scope))
        if scope["type"] == "http" and scope["path"] not in OPEN:
            refusal = _too_long(scope) or self._refuse(scope)
            if refusal is not None:
                await self._tell_refused(scope, refusal.status_code)
                await refusal(scope, receive, send)
                return
            if scope["method"] in CHANGING:
                send = self._telling(scope, send)
        elif scope["type"] == "websocket" and (refusal := self._refuse(scope)) is not None:
            await _closed(receive, send, refusal)
            return
        await self._app(scope, receive, send)

    def _telling(self, scope: Any, send: Any) -> Any:
        """`send` that tells the audit of the answer when it begins."""

        async def told(message: Any) -> None:
            principal = scope.get("skerry.principal")
            # Some services write the audit's line together with what they change.
            begun = message["type"] == "http.response.start" and not scope.get("skerry.audited")
            if begun and principal is not None:
                await self._tell(principal, scope["method"], printable(scope["path"]), message["status"])
            elif begun:
                await self._tell_refused(scope, message["status"])
            await send(message)

        return told

    async def _tell_refused(self, scope: Any, status: int) -> None:
        """Record a changing call that went no further, of a stranger or beyond a rate: a few of each caller, so that nobody
        fills the log."""
        if scope["method"] not in CHANGING or status not in REFUSALS:
            return
        principal = scope.get("skerry.principal") or Principal(name=f"unknown at {_address(scope)}", role="")
        if self._authority.is_worth_a_record(principal):
            await self._tell(principal, scope["method"], printable(scope["path"]), status)

    async def _tell(self, principal: Principal, method: str, path: str, status: int) -> None:
        log.info("%s of %s: %s %s -> %d", principal.name, principal.tenant, method, path, status)
        try:
            await self._audit(principal, method, path, status)
        except SkerryError as error:
            # The call is done: its caller shall know. The line above stays.
            log.warning("cannot record the call before this in the event log: %s", error.detail)

    def _refuse(self, scope: Any) -> Response | None:
        if not self._services.ready:
            return problem.answer(problem.of(STARTING, instance=scope["path"]), problem.headers_of(503))
        if scope["path"].startswith(OAUTH2):
            return self._later(scope, self._authority.wait_at(_address(scope)))
        given = _given(scope)
        try:
            principal = self._authority.principal(given.decode("latin-1"), scope.get("skerry.peer"))
        except SkerryError as error:
            return _refused(scope, error, shown=bool(given))
        if principal is ANONYMOUS and (why := foreign(scope["headers"])):
            return _refused(scope, ForbiddenError(why, suggestion="show a token"), shown=False)
        scope["skerry.principal"] = principal
        return self._later(scope, self._authority.wait(principal))

    def _later(self, scope: Any, seconds: float) -> Response | None:
        if seconds <= 0:
            return None
        patience = math.ceil(seconds)
        told = problem.Problem(
            status=429,
            detail="cannot serve this now: too many requests",
            type=problem.TYPE_PREFIX + TOO_MANY,
            title="Too Many Requests",
            instance=scope["path"],
            suggestion=f"wait {patience} s; the node's administrator can raise the limit",
        )
        return problem.answer(told, {"Retry-After": str(patience)})


def _given(scope: Any) -> bytes:
    return next((value for key, value in scope["headers"] if key == b"authorization"), b"")


def _address(scope: Any) -> str:
    return str((scope.get("client") or ("",))[0])


async def _closed(receive: Any, send: Any, refusal: Response) -> None:
    """Refuse the handshake of a WebSocket with the answer that a request would get."""
    await receive()
    start = {"type": "websocket.http.response.start", "status": refusal.status_code, "headers": refusal.raw_headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": refusal.body})


def _too_long(scope: Any) -> Response | None:
    """414 for a URI that no request of any API needs (SOL013 table 6.4-1)."""
    if len(scope["path"]) + len(scope["query_string"]) <= LONGEST_URI:
        return None
    told = problem.Problem(
        status=414,
        detail=f"cannot read a URI of more than {LONGEST_URI} characters",
        type=problem.TYPE_PREFIX + "uri-too-long",
        title="URI Too Long",
        instance=printable(scope["path"]),
        suggestion="shorten the filter, or read the list and choose yourself",
    )
    return problem.answer(told)


def _refused(scope: Any, error: SkerryError, *, shown: bool) -> Response:
    told = problem.of(error, instance=scope["path"])
    headers = problem.headers_of(told.status)
    if shown and isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] += ', error="invalid_token"'
    return problem.answer(told, headers)


def foreign(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Why a caller without a token may be a web page in a browser of this machine ("" = it is none): it names the page that
    it is of, or another host than this machine, as after a change of the name's address."""
    known = dict(headers)
    if b"origin" in known or b"referer" in known:
        return "cannot let a web page in without a token"
    name, _, port = known.get(b"host", b"").decode("latin-1").rpartition(":")
    host = (name if name and port.isdigit() else f"{name}:{port}".strip(":")).strip("[]")
    return "" if is_loopback(host) else "cannot let a caller in without a token who asks for another host than this one"


def printable(path: str) -> str:
    """A path as records and terminals may have it."""
    return "".join(char if char.isprintable() else "?" for char in path[:LONGEST_PATH])
