"""One login for main node, edges and portals: log in, see whether a token is valid, renew it, log out. JSON in, JSON out.

A token is a node's own OAuth2 access token. An edge whose setting `login_node` names this node takes it, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.access.authority import Authority, Issued
from skerry.api import body, problem
from skerry.api.oauth2 import named
from skerry.api.wire import Wire
from skerry.errors import InvalidError, MalformedError, SkerryError, UnauthorizedError

ROOT = "/oauth2"
MOST_BYTES = 16 << 10
FRESH = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Login(Wire, frozen=True, kw_only=True):
    """Who logs in; without a scope for all that they may."""

    client_id: str
    client_secret: str
    scope: str = ""


class Token(Wire, frozen=True, kw_only=True):
    """A token and its life in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class Valid(Wire, frozen=True, kw_only=True):
    """Whose a valid token is, and until when (Unix time)."""

    client_id: str
    name: str
    tenant: str
    role: str
    scope: str
    expires_at: int


def _token(made: Issued) -> Token:
    return Token(access_token=made.token, token_type="Bearer", expires_in=made.expires_in, scope=made.scope)  # noqa: S106


def _shown(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError(
            "cannot see whose request this is", suggestion="show the token: Authorization: Bearer …"
        )
    return token.strip()


async def _log_in(authority: Authority, request: Request) -> Any:
    raw = await body.read(request, MOST_BYTES)
    try:
        asked = msgspec.json.decode(raw, type=Login)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"cannot read the login: {error}", suggestion="send clientId and clientSecret") from error
    client = authority.clients.authenticate(asked.client_id, asked.client_secret)
    named(request, client)
    try:
        return _token(authority.issue(client, asked.scope))
    except InvalidError as error:
        raise MalformedError(error.detail, suggestion=error.suggestion) from error


async def _validate(authority: Authority, request: Request) -> Any:
    claims, who = authority.validate(_shown(request))
    return Valid(
        client_id=who.client,
        name=who.name,
        tenant=who.tenant,
        role=who.role,
        scope=claims.scope,
        expires_at=claims.exp,
    )


async def _refresh(authority: Authority, request: Request) -> Any:
    token = _shown(request)
    _, request.scope["skerry.principal"] = authority.validate(token)
    return _token(authority.refresh(token))


async def _log_out(authority: Authority, request: Request) -> Any:
    token = _shown(request)
    with suppress(UnauthorizedError):  # one that is not valid is ended already, and nobody's
        _, request.scope["skerry.principal"] = authority.validate(token)
    authority.log_out(token)
    return None


Answer = Callable[[Authority, Request], Awaitable[Any]]


def _endpoint(authority: Authority, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            found = await answer(authority, request)
        except SkerryError as error:
            told = problem.of(error, instance=request.url.path)
            return problem.answer(told, problem.headers_of(told.status))
        if found is None:
            return Response(b"", 204, FRESH)
        return Response(msgspec.json.encode(found), 200, FRESH, media_type="application/json")

    return serve


def routes(authority: Authority) -> list[Route]:
    """The endpoints."""
    return [
        Route(f"{ROOT}/{name}", _endpoint(authority, answer), methods=["POST"])
        for name, answer in (
            ("login", _log_in),
            ("validate", _validate),
            ("refresh", _refresh),
            ("logout", _log_out),
        )
    ]
