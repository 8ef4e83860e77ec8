"""NSD management (SOL005 clause 5.4.7 ff.): descriptors of physical network functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import ARCHIVES, LIST_QUERY, Call, Endpoint
from skerry.api.sol005 import nsd
from skerry.api.wire import KeyValuePairs, Links, Wire, links
from skerry.model.ns import PnfdInfo as Record


class CreatePnfdInfoRequest(Wire, frozen=True, kw_only=True):
    """CreatePnfdInfoRequest (5.5.2.6)."""

    user_defined_data: KeyValuePairs = {}


class PnfdInfoModifications(Wire, frozen=True, kw_only=True):
    """PnfdInfoModifications (5.5.2.4)."""

    user_defined_data: KeyValuePairs


class PnfdInfo(Wire, frozen=True, kw_only=True):
    """PnfdInfo (5.5.2.5). The official file writes the version `pnfdersion`; the text, and we, `pnfdVersion`."""

    id: str
    pnfd_onboarding_state: str
    pnfd_usage_state: str
    links: Links = msgspec.field(name="_links")
    pnfd_id: str | None = None
    pnfd_name: str | None = None
    pnfd_version: str | None = None
    pnfd_provider: str | None = None
    pnfd_invariant_id: str | None = None
    artifacts: list[nsd.NsdArchiveArtifactInfo] | None = None
    archive_security_option: str | None = None
    signing_certificate: str | None = None
    onboarding_failure_details: Mapping[str, Any] | None = None
    user_defined_data: KeyValuePairs | None = None


def render(call: Call, record: Record) -> PnfdInfo:
    """The record on the wire."""
    base = call.href(f"/pnf_descriptors/{record.id}")
    package = record.package
    pnfd = package.pnfd if package else None
    return PnfdInfo(
        id=record.id,
        pnfd_onboarding_state=nsd.onboarding(call, record.onboarding_state),
        pnfd_usage_state=record.usage_state,
        links=links(self_=base, pnfd_content=f"{base}/pnfd_content"),
        pnfd_id=pnfd.id if pnfd else None,
        pnfd_name=pnfd.name if pnfd else None,
        pnfd_version=pnfd.version if pnfd else None,
        pnfd_provider=pnfd.provider if pnfd else None,
        pnfd_invariant_id=pnfd.invariant_id if pnfd else None,
        artifacts=nsd.artifacts_of(package.artifacts) if package else None,
        archive_security_option=nsd.security_option(package.signature) if package else None,
        signing_certificate=(package.signature.certificate or None) if package else None,
        onboarding_failure_details=nsd.failure(record.problem),
        user_defined_data=record.user_defined_data or None,
    )


def find(call: Call) -> Record:
    """The PNFD of the path."""
    return call.services.catalogue.pnfd(call.path("pnfdInfoId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make an empty record, to be filled by pnfd_content."""
    asked = await call.body(CreatePnfdInfoRequest)
    record = await call.services.catalogue.create_pnfd(asked.user_defined_data, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All PNFDs of the tenant."""
    records = call.services.catalogue.pnfds(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), nsd.HIDDEN)


async def show(call: Call) -> Response:
    """One PNFD."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Change the user-defined data."""
    asked = await call.body(PnfdInfoModifications)
    changed = await call.services.catalogue.update_pnfd(
        call.path("pnfdInfoId"), user_defined_data=asked.user_defined_data, match=call.match, tenant=call.tenant
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it."""
    await call.services.catalogue.delete_pnfd(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


async def upload(call: Call) -> Response:
    """Receive, verify and onboard the archive; answers when that is done (synchronous mode)."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.catalogue.upload_pnfd(record.id, source, tenant=call.tenant)
    return call.done()


async def download(call: Call) -> Response:
    """The archive as it was uploaded."""
    record = find(call)
    nsd.content(call, record)
    return archive.sent(call.services.catalogue.original(record.id), call)


async def descriptor(call: Call) -> Response:
    """The PNFD itself."""
    return await nsd.descriptor_of(call, nsd.content(call, find(call)))


async def manifest(call: Call) -> Response:
    """The manifest."""
    path = nsd.content(call, find(call))
    return await nsd.text_or_signed(call, path, archive.manifest(path))


async def artifact(call: Call) -> Response:
    """One file of the archive."""
    return await nsd.artifact_of(call, nsd.content(call, find(call)))


ONE = "/pnf_descriptors/{pnfdInfoId}"
CONTENT = f"{ONE}/pnfd_content"

ROUTES = (
    Endpoint("POST", "/pnf_descriptors", create, "Create a PNFD record", CreatePnfdInfoRequest, PnfdInfo, 201),
    Endpoint("GET", "/pnf_descriptors", listing, "List PNFDs", answer=list[PnfdInfo], query=LIST_QUERY),
    Endpoint("GET", ONE, show, "Read a PNFD record", answer=PnfdInfo),
    Endpoint("PATCH", ONE, modify, "Modify a PNFD record", PnfdInfoModifications, PnfdInfoModifications),
    Endpoint("DELETE", ONE, delete, "Delete a PNFD", status=204),
    Endpoint("PUT", CONTENT, upload, "Upload a PNFD", bytes, status=204, accepts=(*ARCHIVES, "text/plain")),
    Endpoint("GET", CONTENT, download, "Download a PNFD archive", answer=bytes, produces=("application/zip",)),
    *(
        Endpoint("GET", ONE + path, handler, text, answer=bytes, produces=nsd.TEXT_OR_ZIP, query=nsd.SIGNED)
        for path, handler, text in (
            ("/pnfd", descriptor, "Read the descriptor"),
            ("/manifest", manifest, "Read the manifest"),
        )
    ),
    Endpoint(
        "GET",
        ONE + "/artifacts/{artifactPath:path}",
        artifact,
        "Read an artifact",
        answer=bytes,
        produces=nsd.ANY,
        query=nsd.SIGNED,
    ),
)
