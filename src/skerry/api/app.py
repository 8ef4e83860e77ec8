"""The ASGI application of a node: every API that it serves, behind one gate (ready? who calls?)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from itertools import groupby

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.access.authority import Authority, Policy
from skerry.access.tokens import Tokens, ensure_tokens
from skerry.api import login, lvnf_agent, oauth2, openapi, points, problem, rights, versions
from skerry.api.dispatch import Apis
from skerry.api.dns_support import API as DNS_SUPPORT
from skerry.api.gate import STARTING, Audit, Gate
from skerry.api.mec003 import MM3, MM5
from skerry.api.mec010 import APP_LCM, APP_PKGM, GRANTING
from skerry.api.mec011 import APP_SUPPORT, MP1, SERVICE_MGMT, bus
from skerry.api.own import API as OWN
from skerry.api.route import Api, Endpoint, Resource
from skerry.api.services import Services
from skerry.api.sol002.vnfconfig import API as VNFCONFIG
from skerry.api.sol003 import VNFLCM
from skerry.api.sol003.granting import API as GRANT
from skerry.api.sol003.vnffm import API as VNFFM
from skerry.api.sol003.vnfind import API as VNFIND
from skerry.api.sol003.vnfpm import API as VNFPM
from skerry.api.sol003.vrqan import API as VRQAN
from skerry.api.sol005 import NSD, NSLCM, VNFPKGM
from skerry.api.sol005.lcmcoord import API as LCMCOORD
from skerry.api.sol005.nfvici import API as NFVICI
from skerry.api.sol005.nsfm import API as NSFM
from skerry.api.sol005.nspm import API as NSPM
from skerry.api.sol005.vnf_snapshot_packages import API as VNFSNAPSHOTPKGM

APIS: tuple[Api, ...] = (
    NSD,
    VNFPKGM,
    NSLCM,
    VNFLCM,
    GRANT,
    LCMCOORD,
    VNFSNAPSHOTPKGM,
    NFVICI,
    NSFM,
    VNFFM,
    NSPM,
    VNFPM,
    VNFIND,
    VNFCONFIG,
    VRQAN,
    APP_PKGM,
    APP_LCM,
    GRANTING,
    APP_SUPPORT,
    SERVICE_MGMT,
    MP1,
    MM3,
    MM5,
    DNS_SUPPORT,
    lvnf_agent.API,
    OWN,
)


def build(services: Services, tokens: Tokens | None = None, audit: Audit | None = None) -> Starlette:
    """The application that serves `services` to whoever has one of `tokens` (default: those in the node's data folder)."""
    routes = [Route(path, resource) for path, resource in resources(services)]
    known = tokens or ensure_tokens(services.settings.data_dir / "access", os.urandom)
    authority = authority_of(services, known)
    pages = [
        *_own_pages(services),
        *oauth2.routes(authority),
        *login.routes(authority),
        *bus.routes(services),
        *lvnf_agent.routes(services),
    ]
    app = Starlette(routes=[Apis(routes), *pages], exception_handlers=dict(problem.HANDLERS))
    app.state.started = services.clock.monotonic()
    app.state.authority = authority
    app.add_middleware(Gate, services=services, authority=authority, audit=audit or services.audit)
    return app


def authority_of(services: Services, tokens: Tokens) -> Authority:
    """Who may call this node, as its settings say."""
    settings = services.settings
    policy = Policy(
        issuer=f"urn:skerry:node:{settings.node}",
        token_life_s=settings.token_life_s,
        key_days=settings.token_key_days,
        rate_per_s=settings.client_rate_per_s,
        burst=settings.client_burst,
        anonymous=settings.anonymous,
    )
    apis = rights.names(api.root(major) for api in APIS for major in api.versions)
    folder = settings.data_dir / "access"
    return Authority(
        folder,
        tokens,
        policy,
        apis=apis,
        clock=services.clock,
        random=os.urandom,
        clients=services.clients,
        elsewhere=services.elsewhere,
    )


def resources(services: Services) -> list[tuple[str, Resource]]:
    """Every path with its resource; the methods of a path are one resource."""
    found: list[tuple[str, Resource]] = []
    for api in APIS:
        for major, version in api.versions.items():
            endpoints = (*api.served(major), versions.endpoint(api, (major,)))
            grouped = _grouped(services, api.root(major), version, endpoints)
            found += [*grouped, *((api.within + path, resource) for path, resource in grouped if api.within)]
        both = versions.endpoint(api, tuple(api.versions))
        found += _grouped(services, f"/{api.name}", "", [both])
    return found


def _grouped(services: Services, root: str, version: str, endpoints: Sequence[Endpoint]) -> list[tuple[str, Resource]]:
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.path)
    return [
        (root + path, Resource(services, root, version, list(group)))
        for path, group in groupby(ordered, key=lambda endpoint: endpoint.path)
    ]


@cache
def _document() -> bytes:
    """What `/openapi.json` answers; made once, since it takes a tenth of a second and nobody needs a token for it."""
    return msgspec.json.encode(openapi.document(APIS))


def _own_pages(services: Services) -> list[Route]:
    async def live(_: Request) -> Response:
        return Response(b'{"live":true}', media_type="application/json")

    async def ready(_: Request) -> Response:
        if not services.ready:
            return problem.answer(problem.of(STARTING, instance="/ready"), problem.headers_of(503))
        return Response(b'{"ready":true}', media_type="application/json")

    async def schema(_: Request) -> Response:
        return Response(_document(), media_type="application/json")

    return [Route("/live", live), Route("/ready", ready), Route("/openapi.json", schema), *points.routes()]
