"""Reference points of a MEC system in NFV (MEC 017): the APIs that are spoken at each, and an OpenAPI document of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from skerry.api import openapi
from skerry.api.mec003 import MM3, MM5
from skerry.api.mec010 import APP_LCM, APP_PKGM, GRANTING
from skerry.api.mec011 import APP_SUPPORT, MP1, SERVICE_MGMT
from skerry.api.route import Api
from skerry.api.sol002.vnfconfig import API as VNFCONFIG
from skerry.api.sol003 import VNFLCM
from skerry.api.sol003.vnffm import API as VNFFM
from skerry.api.sol003.vnfind import API as VNFIND
from skerry.api.sol003.vnfpm import API as VNFPM
from skerry.api.sol005 import NSD, NSLCM, VNFPKGM
from skerry.api.sol005.lcmcoord import API as LCMCOORD
from skerry.api.sol005.nfvici import API as NFVICI
from skerry.api.sol005.nsfm import API as NSFM
from skerry.api.sol005.nspm import API as NSPM
from skerry.api.sol005.vnf_snapshot_packages import API as VNFSNAPSHOTPKGM

ROOT = "/openapi/"


class Point(NamedTuple):
    """A reference point: between whom it is, and what is spoken there."""

    between: str
    apis: tuple[Api, ...]


POINTS: Mapping[str, Point] = {
    "mm1": Point("OSS and orchestrator of applications", (APP_PKGM, APP_LCM)),
    "mm3": Point("orchestrator of applications and platform managers (Mm3*)", (APP_PKGM, APP_LCM, GRANTING, MM3)),
    "mm5": Point("platform manager and platform", (MM5,)),
    "mp1": Point("platform and applications", (APP_SUPPORT, SERVICE_MGMT, MP1)),
    "mv1": Point(
        "orchestrator of applications and NFVO (Os-Ma-nfvo)",
        (NSD, VNFPKGM, NSLCM, NSFM, NSPM, NFVICI, LCMCOORD, VNFSNAPSHOTPKGM),
    ),
    "mv2": Point("platform manager and VNFM (Ve-Vnfm-em)", (VNFLCM, VNFFM, VNFPM, VNFIND)),
    "mv3": Point("VNFM and an application's VNF (Ve-Vnfm-vnf)", (VNFLCM, VNFIND, VNFCONFIG)),
}
"""By the name of the document. Mp2 is the data plane itself and has no messages."""

PATHS = frozenset(f"{ROOT}{name}.json" for name in POINTS)


def routes() -> list[Route]:
    """`GET /openapi/NAME.json` of every reference point."""
    return [Route(path, _page) for path in sorted(PATHS)]


async def _page(request: Request) -> Response:
    name = request.url.path.removeprefix(ROOT).removesuffix(".json")
    return Response(msgspec.json.encode(document(name)), media_type="application/json")


def document(name: str) -> dict[str, object]:
    """The document of a reference point."""
    told = openapi.document(POINTS[name].apis)
    told["info"]["title"] = f"Skerry at {name.capitalize()}: {POINTS[name].between}"
    return told
