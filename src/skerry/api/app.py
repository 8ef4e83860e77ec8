"""The ASGI application of a node: every API that it serves, behind one gate (ready? who calls?)."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.access.tokens import Principal, Tokens, ensure_tokens
from skerry.api import openapi, problem, versions
from skerry.api.own import API as OWN
from skerry.api.route import Api, Endpoint, Resource
from skerry.api.services import Services
from skerry.api.sol003 import VNFLCM
from skerry.api.sol005 import NSD, NSLCM, VNFPKGM
from skerry.errors import UnauthorizedError, UnavailableError

log = logging.getLogger("skerry.audit")

Audit = Callable[[Principal, str, str, int], None]
"""Told of every call that may change something: who, method, path, status of the answer."""

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
ASGI = Callable[[Any, Any, Any], Awaitable[None]]
APIS: tuple[Api, ...] = (NSD, VNFPKGM, NSLCM, VNFLCM, OWN)
OPEN = frozenset({"/live", "/ready", "/openapi.json"})
"""What may be read without a token: two health checks and the description of the API."""


def build(services: Services, tokens: Tokens | None = None, audit: Audit | None = None) -> Starlette:
    """The application that serves `services` to whoever has one of `tokens` (default: those in the node's data folder)."""
    routes = [Route(path, resource) for path, resource in resources(services)]
    app = Starlette(routes=[*routes, *_own_pages(services)], exception_handlers=dict(problem.HANDLERS))
    app.state.started = services.clock.monotonic()
    known = tokens or ensure_tokens(services.settings.data_dir / "access", os.urandom)
    app.add_middleware(Gate, services=services, tokens=known, audit=audit or log_change)
    return app


def log_change(principal: Principal, method: str, path: str, status: int) -> None:
    """The default audit: a line in the log for every call that may change something."""
    log.info("%s of %s: %s %s -> %d", principal.name, principal.tenant, method, path, status)


def resources(services: Services) -> list[tuple[str, Resource]]:
    """Every path with its resource; the methods of a path are one resource."""
    found: list[tuple[str, Resource]] = []
    for api in APIS:
        for major, version in api.versions.items():
            endpoints = (*api.served(major), versions.endpoint(api, (major,)))
            found += _grouped(services, api.root(major), version, endpoints)
        both = versions.endpoint(api, tuple(api.versions))
        found += _grouped(services, f"/{api.name}", "", [both])
    return found


def _grouped(services: Services, root: str, version: str, endpoints: Sequence[Endpoint]) -> list[tuple[str, Resource]]:
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.path)
    return [
        (root + path, Resource(services, root, version, list(group)))
        for path, group in groupby(ordered, key=lambda endpoint: endpoint.path)
    ]


def _own_pages(services: Services) -> list[Route]:
    async def live(_: Request) -> Response:
        return Response(b'{"live":true}', media_type="application/json")

    async def ready(_: Request) -> Response:
        if not services.ready:
            return problem.answer(problem.of(STARTING, instance="/ready"), problem.headers_of(503))
        return Response(b'{"ready":true}', media_type="application/json")

    async def schema(_: Request) -> Response:
        return Response(msgspec.json.encode(openapi.document(APIS)), media_type="application/json")

    return [Route("/live", live), Route("/ready", ready), Route("/openapi.json", schema)]


STARTING = UnavailableError("cannot serve this yet: the node is starting", suggestion="try again in a second")


class Gate:
    """Lets a request in when the node is ready and the caller is known, and has changing calls audited. Pure ASGI, so
    that streams pass untouched."""

    def __init__(self, app: ASGI, services: Services, tokens: Tokens, audit: Audit) -> None:
        self._app = app
        self._services = services
        self._tokens = tokens
        self._audit = audit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Check one request, then pass it on."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            refusal = self._refuse(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            if scope["method"] in CHANGING:
                send = self._telling(scope, send)
        await self._app(scope, receive, send)

    def _telling(self, scope: Any, send: Any) -> Any:
        """`send` that tells the audit of the answer when it begins."""

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._audit(scope["skerry.principal"], scope["method"], scope["path"], message["status"])
            await send(message)

        return told

    def _refuse(self, scope: Any) -> Response | None:
        if not self._services.ready:
            return problem.answer(problem.of(STARTING, instance=scope["path"]), problem.headers_of(503))
        given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        try:
            scope["skerry.principal"] = self._tokens.check(given.decode("latin-1"))
        except UnauthorizedError as error:
            return problem.answer(problem.of(error, instance=scope["path"]), problem.headers_of(401))
        return None
