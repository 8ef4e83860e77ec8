"""Our own API: the node and its infrastructures."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from skerry import __version__
from skerry.api.own import types as own
from skerry.api.route import Call, Endpoint
from skerry.client import views
from skerry.errors import NotFoundError
from skerry.model.explanation import masked
from skerry.model.time import stamp
from skerry.model.vnf import VimConnection


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


def render(vim: VimConnection) -> views.VimInfo:
    """An infrastructure as clients see it."""
    return views.VimInfo(
        id=vim.id, vim_type=vim.vim_type, name=vim.name or vim.id, settings=masked(vim.settings), zone=vim.zone
    )


def find(call: Call) -> VimConnection:
    """The infrastructure of the path."""
    wanted = call.path("vimId")
    found = next((vim for vim in call.services.nfvo.vims() if vim.id == wanted), None)
    if found is None:
        raise NotFoundError(
            f"cannot find the infrastructure {wanted}", suggestion="`skerry vim list` shows those there are"
        )
    return found


async def vims(call: Call) -> Response:
    """All infrastructures."""
    return call.listed(call.services.nfvo.vims(), render)


async def register(call: Call) -> Response:
    """Register one; it is opened and its access checked."""
    asked = await call.body(own.VimRequest)
    connection = VimConnection(
        id=asked.id, vim_type=asked.vim_type, name=asked.name, settings=asked.settings, zone=asked.zone
    )
    made = await call.services.nfvo.register_vim(connection)
    return call.show(render(made), status=201, location=call.href(f"/vims/{made.id}"))


async def show_vim(call: Call) -> Response:
    """One infrastructure."""
    return call.show(render(find(call)))


async def delete_vim(call: Call) -> Response:
    """Forget one that nothing is on."""
    await call.services.nfvo.delete_vim(find(call).id)
    return call.done()


async def resources(call: Call) -> Response:
    """What it has: capacity, images, networks, instances."""
    return call.show(await call.services.nfvo.vim_resources(find(call).id))


ROUTES = (
    Endpoint("GET", "/node", show, "The node", answer=views.NodeInfo),
    Endpoint("GET", "/vims", vims, "List infrastructures", answer=list[views.VimInfo]),
    Endpoint("POST", "/vims", register, "Register an infrastructure", own.VimRequest, views.VimInfo, 201),
    Endpoint("GET", "/vims/{vimId}", show_vim, "Read an infrastructure", answer=views.VimInfo),
    Endpoint("DELETE", "/vims/{vimId}", delete_vim, "Forget an infrastructure", status=204),
    Endpoint("GET", "/vims/{vimId}/resources", resources, "What an infrastructure has", answer=dict[str, Any]),
)
