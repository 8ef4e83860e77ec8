"""Registration of applications (MEC 011 7.2.13 and 7.2.14)."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.mec011.calls import app_of, strict
from skerry.api.route import Call, Endpoint
from skerry.model.mec import AppInfo

ONE = "/registrations/{appInstanceId}"


async def register(call: Call) -> Response:
    """An application tells of itself."""
    info = await call.body(AppInfo)
    caller = call.services.mep.caller(call.principal.client)
    app = await call.services.mep.apps.register(info, tenant=call.tenant, caller=caller.id if caller else "")
    return call.show(app.info, rev=app.rev, status=201, location=call.href(f"/registrations/{app.id}"))


async def show(call: Call) -> Response:
    """What is known of an application."""
    app = app_of(call)
    return call.show(app.info, rev=app.rev)


async def update(call: Call) -> Response:
    """Replace what it told."""
    info = await call.body(AppInfo)
    await call.services.mep.apps.update(app_of(call), info, match=call.match)
    return call.done()


async def remove(call: Call) -> Response:
    """Deregister: everything of it goes. What the MEC management instantiated only takes back what it told."""
    await call.services.mep.deregister(app_of(call), match=call.match)
    return call.done()


ROUTES = (
    Endpoint("POST", "/registrations", strict(register), "Register an application", AppInfo, AppInfo, 201),
    Endpoint("GET", ONE, show, "Read an application's registration", answer=AppInfo),
    Endpoint("PUT", ONE, strict(update), "Change an application's registration", AppInfo, status=204),
    Endpoint("DELETE", ONE, remove, "Deregister an application", status=204),
)
