"""Transports that the platform provides (MEC 011 8.2.5)."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.route import Call, Endpoint
from skerry.model.mec import TransportInfo


async def listing(call: Call) -> Response:
    """What is provided here."""
    return call.show(call.services.mep.transports(call.uri("")))


ROUTES = (Endpoint("GET", "/transports", listing, "List transports of the platform", answer=list[TransportInfo]),)
