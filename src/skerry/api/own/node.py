"""Our own API: the node."""

from __future__ import annotations

from starlette.responses import Response

from skerry import __version__
from skerry.api.route import Call, Endpoint
from skerry.client import views
from skerry.model.time import stamp


async def show(call: Call) -> Response:
    """The node."""
    services, tenant = call.services, call.tenant
    counts = {
        "vnf_packages": len(services.catalogue.vnf_packages(tenant=tenant)),
        "nsds": len(services.catalogue.nsds(tenant=tenant)),
        "vnfs": len(services.vnfm.instances(tenant=tenant)),
        "nss": len(services.nfvo.instances(tenant=tenant)),
    }
    info = views.NodeInfo(
        name=services.settings.node,
        version=__version__,
        ready=services.ready,
        time=stamp(services.clock.now()),
        uptime_s=round(services.clock.monotonic() - call.request.app.state.started, 3),
        counts=counts,
        vims=[vim.id for vim in services.nfvo.vims()],
    )
    return call.show(info)


ROUTES = (Endpoint("GET", "/node", show, "The node", answer=views.NodeInfo),)
