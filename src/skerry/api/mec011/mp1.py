"""Mp1 beyond plain requests: credentials, handed out once, and notifications that are fetched (long polling)."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.mec011.calls import app_of
from skerry.api.route import JSON, Call, Endpoint, Query
from skerry.errors import MalformedError
from skerry.mep.transports import TOKENS
from skerry.model.mec import Mec

LONGEST_S = 60.0


class AppCredentials(Mec, frozen=True, kw_only=True):
    """What an application shows at the token endpoint. It is told once."""

    client_id: str
    client_secret: str
    scope: str
    token_endpoint: str


class Waiting(Mec, frozen=True, kw_only=True):
    """A notification that waits. `number` grows; everything up to the one that is asked for next has arrived."""

    number: int
    notification: Any


async def credentials(call: Call) -> Response:
    """Hand out an application's credentials, once."""
    made = await call.services.mep.apps.hand_out(app_of(call))
    shown = AppCredentials(
        client_id=made.client_id,
        client_secret=made.client_secret,
        scope=made.scope,
        token_endpoint=call.uri(TOKENS),
    )
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(shown), 201, headers, media_type=JSON)


def number(call: Call, name: str, most: float) -> float:
    """A query parameter that is a number from 0 on. `MalformedError` for anything else."""
    text = call.query(name, "0")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise MalformedError(f"cannot use {name}={text[:20]}", suggestion=f"give a number from 0 to {most:g}")
    return min(value, most)


async def notifications(call: Call) -> Response:
    """What waits for a subscription without a callback; waits for something to come."""
    mep = call.services.mep
    app = mep.owner(call.path("subscriptionId"), tenant=call.tenant, client=call.principal.client)
    after, wait_s = int(number(call, "after", 2**53)), number(call, "wait_s", LONGEST_S)
    found = await mep.fetch(app, call.path("subscriptionId"), after=after, wait_s=wait_s)
    return call.show([Waiting(number=at, notification=msgspec.Raw(body)) for at, body in found])


ROUTES = (
    Endpoint(
        "POST",
        "/applications/{appInstanceId}/credentials",
        credentials,
        "Get an application's credentials, once",
        answer=AppCredentials,
        status=201,
    ),
    Endpoint(
        "GET",
        "/notifications/{subscriptionId}",
        notifications,
        "Fetch what a subscription without callback waits for",
        answer=list[Waiting],
        query=(
            Query("after", "The number of the last notification that has arrived: it and those before are settled."),
            Query("wait_s", f"Seconds to wait for something to come, at most {LONGEST_S:g}."),
        ),
    ),
)
