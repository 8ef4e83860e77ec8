"""Granting (MEC 010-2 clause 7.5): platform managers of elsewhere ask where an application's resources may be."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api import body
from skerry.api.mec010 import types as wire
from skerry.api.route import Call, Endpoint
from skerry.api.wire import links
from skerry.model.app import AppGrant


def render(call: Call, record: AppGrant) -> wire.Grant:
    """The grant on the wire."""
    base = call.uri("/app_lcm/v1")
    return body.convert(
        {
            **record.body,
            "id": record.id,
            "appInstanceId": record.app_instance_id,
            "appLcmOpOccId": record.app_lcm_op_occ_id,
            "_links": {
                name: {"href": link.href}
                for name, link in links(
                    self_=call.href(f"/grants/{record.id}"),
                    appLcmOpOcc=f"{base}/app_lcm_op_occs/{record.app_lcm_op_occ_id}",
                    appInstance=f"{base}/app_instances/{record.app_instance_id}",
                ).items()
            },
        },
        wire.Grant,
    )


async def create(call: Call) -> Response:
    """Decide, and answer at once."""
    asked = await wire.asked(call, wire.GrantRequest)
    record = await call.services.granting.grant(wire.params(asked), tenant=call.tenant)
    return call.show(render(call, record), status=201, location=call.href(f"/grants/{record.id}"))


async def show(call: Call) -> Response:
    """One grant."""
    record = call.services.granting.get(call.path("grantId"), tenant=call.tenant)
    return call.show(render(call, record), rev=record.rev)


ROUTES = (
    Endpoint("POST", "/grants", create, "Ask for a grant", wire.GrantRequest, wire.Grant, 201),
    Endpoint("GET", "/grants/{grantId}", show, "Read a grant", answer=wire.Grant),
)
