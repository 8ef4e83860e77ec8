"""Our own API: what exists on an infrastructure without an owner, and what is recorded but gone."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.own import types as own
from skerry.api.route import Call, Endpoint, Query
from skerry.model.orphans import Found


async def listing(call: Call) -> Response:
    """Compare one infrastructure, or all of them, with every record."""
    return call.show(await call.services.orphans.find(call.query("vim")))


def named(call: Call) -> tuple[str, str, str]:
    """Infrastructure, kind and name of the path."""
    return call.path("vimId"), call.path("kind"), call.path("name")


async def delete(call: Call) -> Response:
    """Remove what nobody records, or with `foreign=true` what somebody else made."""
    orphans = call.services.orphans
    await (orphans.delete_foreign if call.query("foreign") == "true" else orphans.delete)(*named(call))
    return call.done()


async def adopt(call: Call) -> Response:
    """Record it with the VNF that should have it."""
    return call.show(own.Adopted(vnf=await call.services.orphans.adopt(*named(call))))


async def recreate(call: Call) -> Response:
    """Make again what is recorded and gone: heals its VNF."""
    operation = await call.services.orphans.recreate(*named(call))
    return call.accepted(call.href(f"/operations/{operation.id}"))


ONE = "/orphans/{vimId}/{kind}/{name}"
VIM = (Query("vim", "Only on this infrastructure."),)
FOREIGN = Query("foreign", "`true`: remove what somebody else made, and nothing of this node's own.")
ROUTES = (
    Endpoint("GET", "/orphans", listing, "List orphans", answer=Found, query=VIM),
    Endpoint("DELETE", ONE, delete, "Remove what nobody records", status=204, query=(FOREIGN,)),
    Endpoint("POST", f"{ONE}/adopt", adopt, "Record it with the VNF that should have it", answer=own.Adopted),
    Endpoint("POST", f"{ONE}/recreate", recreate, "Make again what is recorded and gone", status=202),
)
