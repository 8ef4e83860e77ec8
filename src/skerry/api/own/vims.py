"""Our own API: infrastructures (VIMs) and the images on them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive
from skerry.api.own import types as own
from skerry.api.route import ARCHIVES, Call, Endpoint
from skerry.client import views
from skerry.errors import NotFoundError
from skerry.model.explanation import masked
from skerry.model.images import Inventory
from skerry.model.vnf import VimConnection
from skerry.vim.driver import Image

PLAIN = (*ARCHIVES, "application/x-tar", "application/vnd.oci.image.layer.v1.tar")


def render(call: Call, vim: VimConnection) -> views.VimInfo:
    """An infrastructure as clients see it."""
    return views.VimInfo(
        id=vim.id,
        vim_type=vim.vim_type,
        name=vim.name or vim.id,
        settings=masked(vim.settings),
        zone=vim.zone,
        seen=call.services.infrastructures.seen(vim.id),
    )


def render_image(image: Image) -> views.ImageView:
    """An image on an infrastructure as clients see it."""
    return views.ImageView(id=image.id, name=image.name, size_bytes=image.size_bytes, command=image.command)


def find(call: Call) -> VimConnection:
    """The infrastructure of the path."""
    return named(call, call.path("vimId"))


def named(call: Call, wanted: str) -> VimConnection:
    """An infrastructure by its identifier."""
    found = next((vim for vim in call.services.nfvo.vims() if vim.id == wanted), None)
    if found is None:
        raise NotFoundError(
            f"cannot find the infrastructure {wanted}", suggestion="`skerry vim list` shows those there are"
        )
    return found


async def listing(call: Call) -> Response:
    """All infrastructures."""
    return call.listed(call.services.nfvo.vims(), lambda vim: render(call, vim))


async def register(call: Call) -> Response:
    """Register one; it is opened and its access checked."""
    asked = await call.body(own.VimRequest)
    connection = VimConnection(
        id=asked.id, vim_type=asked.vim_type, name=asked.name, settings=asked.settings, zone=asked.zone
    )
    made = await call.services.nfvo.register_vim(connection)
    return call.show(render(call, made), status=201, location=call.href(f"/vims/{made.id}"))


async def show(call: Call) -> Response:
    """One infrastructure."""
    return call.show(render(call, find(call)))


async def change(call: Call) -> Response:
    """Change some of name, zone and settings. Of the settings, those that are given are changed and null removes one."""
    known = find(call)
    asked = await call.body(own.VimChange)
    settings = known.settings
    if asked.settings is not None:
        merged = {**known.settings, **asked.settings}
        settings = {name: value for name, value in merged.items() if value is not None}
    wished = msgspec.structs.replace(
        known,
        name=known.name if asked.name is None else asked.name,
        zone=known.zone if asked.zone is None else asked.zone,
        settings=settings,
    )
    return call.show(render(call, await call.services.infrastructures.update(wished)))


async def replace(call: Call) -> Response:
    """Say anew what it is: what is not given has its default."""
    known = find(call)
    asked = await call.body(own.VimReplacement)
    wished = VimConnection(
        id=known.id,
        vim_type=(asked.vim_type or known.vim_type).upper(),
        name=asked.name,
        settings=asked.settings,
        zone=asked.zone,
    )
    return call.show(render(call, await call.services.infrastructures.update(wished)))


async def delete(call: Call) -> Response:
    """Forget one that nothing is on."""
    await call.services.nfvo.delete_vim(find(call).id)
    return call.done()


async def delete_several(call: Call) -> Response:
    """Forget several that nothing is on: all of them or none."""
    asked = await call.body(own.VimIds)
    ids = list(dict.fromkeys(named(call, id).id for id in asked.ids))
    await call.services.infrastructures.delete(ids)
    return call.done()


async def resources(call: Call) -> Response:
    """What it has: capacity, images, networks, instances."""
    return call.show(await call.services.nfvo.vim_resources(find(call).id))


async def refresh(call: Call) -> Response:
    """Look at it now."""
    return call.show(await call.services.infrastructures.refresh(find(call).id))


async def images(call: Call) -> Response:
    """Its images."""
    found = await call.services.infrastructures.images(find(call).id)
    return call.listed([render_image(image) for image in found], lambda view: view)


async def add_image(call: Call) -> Response:
    """Make an image available there."""
    vim, asked = find(call), await call.body(own.VimImageRequest)
    image = await call.services.infrastructures.add_image(vim.id, asked.name, asked.source, tenant=call.tenant)
    return _added(call, vim, image)


async def upload_image(call: Call) -> Response:
    """Make the image that is sent available there."""
    vim = find(call)
    async with archive.received(call) as content:
        image = await call.services.infrastructures.upload_image(vim.id, call.path("imageName"), content)
    return _added(call, vim, image)


def _added(call: Call, vim: VimConnection, image: Image) -> Response:
    return call.show(render_image(image), status=201, location=call.href(f"/vims/{vim.id}/images/{image.name}"))


async def delete_image(call: Call) -> Response:
    """Remove an image that nothing uses."""
    await call.services.infrastructures.delete_image(find(call).id, call.path("imageName"))
    return call.done()


ONE = "/vims/{vimId}"
IMAGES = f"{ONE}/images"
IMAGE = f"{IMAGES}/{{imageName:path}}"
ROUTES = (
    Endpoint("GET", "/vims", listing, "List infrastructures", answer=list[views.VimInfo]),
    Endpoint("POST", "/vims", register, "Register an infrastructure", own.VimRequest, views.VimInfo, 201),
    Endpoint("POST", "/vims/multiple_delete", delete_several, "Forget several infrastructures", own.VimIds, status=204),
    Endpoint("GET", ONE, show, "Read an infrastructure", answer=views.VimInfo),
    Endpoint("PATCH", ONE, change, "Change an infrastructure", own.VimChange, views.VimInfo),
    Endpoint("PUT", ONE, replace, "Replace what is known of an infrastructure", own.VimReplacement, views.VimInfo),
    Endpoint("DELETE", ONE, delete, "Forget an infrastructure", status=204),
    Endpoint("GET", f"{ONE}/resources", resources, "What an infrastructure has", answer=dict[str, Any]),
    Endpoint("POST", f"{ONE}/refresh", refresh, "Look at an infrastructure now", answer=Inventory),
    Endpoint("GET", IMAGES, images, "List the images of an infrastructure", answer=list[views.ImageView]),
    Endpoint("POST", IMAGES, add_image, "Make an image available", own.VimImageRequest, views.ImageView, 201),
    Endpoint(
        "PUT", IMAGE, upload_image, "Make an uploaded image available", bytes, views.ImageView, 201, accepts=PLAIN
    ),
    Endpoint("DELETE", IMAGE, delete_image, "Remove an image from an infrastructure", status=204),
)
