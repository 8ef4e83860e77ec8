"""OAuth2: the token endpoint (RFC 6749 4.4), key set (RFC 7517), introspection (RFC 7662), revocation (RFC 7009).

Clients authenticate with HTTP Basic or with `client_id` and `client_secret` in the body. Errors are those of RFC 6749 5.2.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry import errors
from skerry.access.authority import Authority
from skerry.access.clients import Client
from skerry.access.roles import Principal
from skerry.api import body

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 16 << 10
FRESH = {"Cache-Control": "no-store", "Pragma": "no-cache"}
BASIC = 'Basic realm="skerry", charset="UTF-8"'

CODES: Mapping[type[errors.SkerryError], tuple[int, str]] = {
    errors.MalformedError: (400, "invalid_request"),
    errors.InvalidError: (400, "invalid_scope"),
    errors.UnauthorizedError: (401, "invalid_client"),
    errors.ForbiddenError: (400, "unauthorized_client"),
    errors.UnsupportedError: (400, "unsupported_grant_type"),
}
"""Our errors as RFC 6749 5.2 names them; those that are not here stay problem details."""

Form = Mapping[str, str]
Answer = Callable[[Authority, Client, Form], Response]


async def _form(request: Request) -> Form:
    """The parameters of the body. `MalformedError` for another type or a parameter that is there twice (RFC 6749 3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise errors.MalformedError(f"cannot read the body: it is not {FORM}", suggestion=f"send {FORM}")
    raw = await body.read(request, MOST_BYTES)
    try:
        found = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=32)
    except ValueError as error:
        raise errors.MalformedError("cannot read the body: it is no form", suggestion=f"send {FORM}") from error
    form = dict(found)
    if len(form) != len(found):
        raise errors.MalformedError("cannot use a parameter that is given twice", suggestion="give each once")
    return {key: value for key, value in form.items() if value}


def _client(authority: Authority, request: Request, form: Form) -> Client:
    """The client by what it shows (RFC 6749 2.3.1)."""
    given = request.headers.get("authorization", "")
    if given and "client_secret" in form:
        raise errors.MalformedError(
            "cannot use two ways of client authentication at once", suggestion="use Basic or the body"
        )
    id, secret = _basic(given) if given else (form.get("client_id", ""), form.get("client_secret", ""))
    if form.get("client_id", id) != id:
        raise errors.MalformedError("cannot use two client ids at once", suggestion="give the client's own id")
    return authority.clients.authenticate(id, secret)


def _basic(given: str) -> tuple[str, str]:
    scheme, _, encoded = given.partition(" ")
    try:
        plain = b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        plain = ""
    id, colon, secret = plain.partition(":")
    if not colon:
        raise errors.UnauthorizedError("cannot read the client credentials", suggestion="use HTTP Basic")
    return unquote_plus(id), unquote_plus(secret)


def _token(authority: Authority, client: Client, form: Form) -> Response:
    """RFC 6749 4.4.2: an access token for the client itself."""
    grant = form.get("grant_type")
    if grant is None:
        raise errors.MalformedError("cannot grant a token: grant_type is missing", suggestion="send client_credentials")
    if grant != "client_credentials":
        raise errors.UnsupportedError("cannot grant a token this way", suggestion="use client_credentials")
    made = authority.issue(client, form.get("scope", ""))
    answer = {
        "access_token": made.token,
        "token_type": "Bearer",
        "expires_in": made.expires_in,
        "scope": made.scope,
    }
    return _json(answer)


def _introspect(authority: Authority, client: Client, form: Form) -> Response:
    """RFC 7662 2.2."""
    return _json(authority.inspect(_wanted(form), client))


def _revoke(authority: Authority, client: Client, form: Form) -> Response:
    """RFC 7009 2.2."""
    if not authority.revoke(_wanted(form), client):
        raise errors.ForbiddenError("cannot revoke this token: it is another client's", suggestion="ask its owner")
    return Response(b"", 200, FRESH)


def _wanted(form: Form) -> str:
    if "token" not in form:
        raise errors.MalformedError("cannot go on: token is missing", suggestion="send the token in the body")
    return form["token"]


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, {**FRESH, **(headers or {})}, media_type="application/json")


def _refusal(error: errors.SkerryError) -> Response:
    """RFC 6749 5.2. Errors that OAuth2 does not know are raised again."""
    status, code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), (0, ""))
    if not status:
        raise error
    headers = {"WWW-Authenticate": BASIC} if status == 401 else {}
    return _json({"error": code, "error_description": _quotable(error.detail)}, status, headers)


def _quotable(text: str) -> str:
    """Without what RFC 6749 does not allow in a description."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "?" for char in text)


def named(request: Request, client: Client) -> None:
    """The audit learns which client calls an endpoint that no token opens."""
    request.scope["skerry.principal"] = Principal(
        name=client.name, tenant=client.tenant, role=client.role, client=client.id
    )


def _endpoint(authority: Authority, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for authenticated clients; the audit learns who called."""

    async def serve(request: Request) -> Response:
        try:
            form = await _form(request)
            client = _client(authority, request, form)
            if answer is not _introspect:
                named(request, client)
            return answer(authority, client, form)
        except errors.SkerryError as error:
            return _refusal(error)

    return serve


def routes(authority: Authority) -> list[Route]:
    """The endpoints below `/oauth2`."""

    async def jwks(_: Request) -> Response:
        return Response(msgspec.json.encode(authority.jwks()), media_type="application/jwk-set+json")

    return [
        Route("/oauth2/token", _endpoint(authority, _token), methods=["POST"]),
        Route("/oauth2/introspect", _endpoint(authority, _introspect), methods=["POST"]),
        Route("/oauth2/revoke", _endpoint(authority, _revoke), methods=["POST"]),
        Route("/oauth2/jwks", jwks, methods=["GET"]),
    ]
