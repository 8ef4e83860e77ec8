"""Errors on the wire: RFC 9457 problem details, as SOL013 clause 6.3 profiles them, and the one table from class to status.

Two extension members: `faults` lists everything that is wrong with an input, `suggestion` says what to do next.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from skerry import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:skerry:problem:"

STATUS: Mapping[type[errors.SkerryError], int] = {
    errors.MalformedError: 400,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.RejectedError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.PreconditionError: 412,
    errors.TooLargeError: 413,
    errors.InvalidError: 422,
    errors.UnsupportedError: 422,
    errors.DriverError: 502,
    errors.UnavailableError: 503,
}
"""A class that is not here has the status of its nearest base that is; `SkerryError` itself is 500."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """ProblemDetails (SOL013 6.3) with our extension members."""

    status: int
    detail: str
    type: str = "about:blank"
    title: str = ""
    instance: str = ""
    suggestion: str = ""
    faults: tuple[errors.Fault, ...] = ()
    reference: str = ""


class HttpError(HTTPException):
    """A refusal that only HTTP knows (method, media type): status, text, headers."""

    def __init__(
        self, status: int, detail: str, *, suggestion: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.suggestion = suggestion


def status_of(error: errors.SkerryError) -> int:
    """The HTTP status of an error by the nearest class in the table."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def name_of(kind: type[errors.SkerryError]) -> str:
    """The last part of a problem's type: `NotFoundError` -> `not-found`."""
    stem = kind.__name__.removesuffix("Error")
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in stem).lstrip("-")


def of(error: errors.SkerryError, *, instance: str = "") -> Problem:
    """The problem details that tell of an error."""
    status = status_of(error)
    return Problem(
        status=status,
        detail=error.detail,
        type=TYPE_PREFIX + name_of(type(error)),
        title=_title(status),
        instance=instance,
        suggestion=error.suggestion,
        faults=error.faults,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries a problem."""
    return Response(msgspec.json.encode(problem), problem.status, dict(headers or {}), media_type=MEDIA_TYPE)


def headers_of(status: int) -> dict[str, str]:
    """What RFC 9110 wants beside some statuses."""
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="skerry"'}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "1"}
    return {}


def version_of(request: Request) -> dict[str, str]:
    """The `Version` header of the API that the request was for (SOL013 9.4)."""
    version = request.scope.get("skerry.version", "")
    return {"Version": version} if version else {}


async def on_skerry_error(request: Request, error: Exception) -> Response:
    """Deliberate errors: their own words."""
    assert isinstance(error, errors.SkerryError)  # noqa: S101  # registered for this class
    problem = of(error, instance=request.url.path)
    return answer(problem, {**headers_of(problem.status), **version_of(request)})


async def on_http_error(request: Request, error: Exception) -> Response:
    """Refusals of the HTTP layer, Starlette's own included."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class
    detail = error.detail
    suggestion = getattr(error, "suggestion", "")
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"cannot find {request.url.path}: nothing is served there"
        suggestion = "GET /openapi.json lists everything that is served"
    problem = Problem(
        status=error.status_code,
        detail=detail,
        type=TYPE_PREFIX + _title(error.status_code).lower().replace(" ", "-"),
        title=_title(error.status_code),
        instance=request.url.path,
        suggestion=suggestion,
    )
    return answer(problem, {**version_of(request), **(error.headers or {})})


async def on_unknown_error(request: Request, error: Exception) -> Response:
    """A defect of ours: the text stays in the log, the caller gets a reference to it."""
    reference = uuid.uuid4().hex[:12]
    log.error("%s %s failed, reference %s", request.method, request.url.path, reference, exc_info=error)
    return answer(
        Problem(
            status=500,
            detail=f"cannot complete the request: an internal error (reference {reference})",
            type=TYPE_PREFIX + "internal",
            title=_title(500),
            instance=request.url.path,
            suggestion=f"look for {reference} in the node's log and report it",
            reference=reference,
        ),
        version_of(request),
    )


async def on_disconnect(_request: Request, _error: Exception) -> Response:
    """The caller went away in the middle of its request: nobody reads the answer, and it is no defect of ours."""
    return answer(Problem(status=400, detail="cannot read the rest of the request: the caller is gone"))


HANDLERS: Mapping[Any, Any] = {
    errors.SkerryError: on_skerry_error,
    ClientDisconnect: on_disconnect,
    HTTPException: on_http_error,
    Exception: on_unknown_error,
}
"""For Starlette's `exception_handlers`."""


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
