"""Our own API: keys that open instances."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.own import types as own
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.client import views
from skerry.model.images import KeyPair


def render(key: KeyPair) -> views.KeyView:
    """A key as clients see it."""
    return views.KeyView(
        id=key.id,
        name=key.name,
        public_key=key.public_key,
        key_type=key.key_type,
        fingerprint=key.fingerprint,
        created_at=key.created_at,
    )


def find(call: Call) -> KeyPair:
    """The key of the path."""
    return call.services.keys.get(call.path("keyId"), tenant=call.tenant)


async def listing(call: Call) -> Response:
    """The tenant's keys."""
    return call.listed(call.services.keys.all(tenant=call.tenant), render)


async def add(call: Call) -> Response:
    """Import a public key."""
    asked = await call.body(own.KeyRequest)
    made = await call.services.keys.add(asked.name, asked.public_key, tenant=call.tenant)
    return call.show(render(made), rev=made.rev, status=201, location=call.href(f"/keys/{made.id}"))


async def generate(call: Call) -> Response:
    """Make a key pair; the private key is in this answer only."""
    asked = await call.body(own.KeyName)
    made, private = await call.services.keys.generate(asked.name, tenant=call.tenant)
    location = call.href(f"/keys/{made.id}")
    answer = call.show(views.NewKey(key=render(made), private_key=private), status=201, location=location)
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def show(call: Call) -> Response:
    """One key."""
    key = find(call)
    return call.show(render(key), rev=key.rev)


async def delete(call: Call) -> Response:
    """Forget a key. Instances that have it keep it."""
    await call.services.keys.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


ALL, ONE = "/keys", "/keys/{keyId}"
ROUTES = (
    Endpoint("GET", ALL, listing, "List keys", answer=list[views.KeyView], query=LIST_QUERY),
    Endpoint("POST", ALL, add, "Import a public key", own.KeyRequest, views.KeyView, 201),
    Endpoint("POST", f"{ALL}/generate", generate, "Generate a key pair", own.KeyName, views.NewKey, 201),
    Endpoint("GET", ONE, show, "Read a key", answer=views.KeyView),
    Endpoint("DELETE", ONE, delete, "Forget a key", status=204),
)
