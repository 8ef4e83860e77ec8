"""Our own API: the node's repository of software images."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api import archive
from skerry.api.own import types as own
from skerry.api.own.vims import PLAIN
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.client import views
from skerry.model.images import StoredImage
from skerry.model.notifications import Authentication, Basic


def render(record: StoredImage) -> views.StoredImageView:
    """An image as clients see it."""
    return views.StoredImageView(
        id=record.id,
        name=record.name,
        description=record.description,
        state=record.state,
        checksum=record.checksum,
        size_bytes=record.size_bytes,
        created_at=record.created_at,
        problem=record.problem,
    )


def find(call: Call) -> StoredImage:
    """The image of the path."""
    return call.services.images.get(call.path("imageId"), tenant=call.tenant)


async def listing(call: Call) -> Response:
    """The tenant's images."""
    return call.listed(call.services.images.all(tenant=call.tenant), render)


async def create(call: Call) -> Response:
    """Name one; its content follows."""
    asked = await call.body(own.ImageRequest)
    made = await call.services.images.create(
        asked.name, description=asked.description, checksum=asked.checksum, tenant=call.tenant
    )
    return call.show(render(made), rev=made.rev, status=201, location=call.href(f"/images/{made.id}"))


async def show(call: Call) -> Response:
    """One image."""
    record = find(call)
    return call.show(render(record), rev=record.rev)


async def upload(call: Call) -> Response:
    """Send its content."""
    record = find(call)
    async with archive.received(call) as content:
        made = await call.services.images.upload(record.id, content, tenant=call.tenant)
    return call.show(render(made), rev=made.rev)


async def fetch(call: Call) -> Response:
    """Have its content fetched; the record tells how that went."""
    asked = await call.body(own.FetchRequest)
    who = Authentication()
    if asked.user_name:
        who = Authentication(basic=Basic(user_name=asked.user_name, password=asked.password))
    await call.services.images.fetch(find(call).id, asked.uri, who, tenant=call.tenant)
    return Response(b"", 202)


async def download(call: Call) -> Response:
    """Its content, whole or in ranges."""
    record = find(call)
    path = call.services.images.content(record.id, tenant=call.tenant)
    return archive.sent(path, call, media="application/octet-stream")


async def delete(call: Call) -> Response:
    """Remove it."""
    await call.services.images.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


ALL, ONE = "/images", "/images/{imageId}"
ROUTES = (
    Endpoint(
        "GET", ALL, listing, "List images of the repository", answer=list[views.StoredImageView], query=LIST_QUERY
    ),
    Endpoint("POST", ALL, create, "Name an image", own.ImageRequest, views.StoredImageView, 201),
    Endpoint("GET", ONE, show, "Read an image", answer=views.StoredImageView),
    Endpoint("DELETE", ONE, delete, "Delete an image", status=204),
    Endpoint(
        "GET",
        f"{ONE}/content",
        download,
        "Download an image",
        answer=bytes,
        produces=("application/octet-stream",),
    ),
    Endpoint("PUT", f"{ONE}/content", upload, "Upload an image", bytes, views.StoredImageView, accepts=PLAIN),
    Endpoint("POST", f"{ONE}/content/upload_from_uri", fetch, "Have an image fetched", own.FetchRequest, status=202),
)
