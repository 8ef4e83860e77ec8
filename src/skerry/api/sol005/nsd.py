"""NSD management (SOL005 clause 5): NS descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import ARCHIVES, LIST_QUERY, Api, Call, Endpoint, Query
from skerry.api.wire import Checksum, KeyValuePairs, Links, Wire, links
from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import Artifact, PackageSignature
from skerry.model.ns import NsdInfo as Record
from skerry.model.ns import PnfdInfo
from skerry.model.states import OnboardingState, OperationalState


class CreateNsdInfoRequest(Wire, frozen=True, kw_only=True):
    """CreateNsdInfoRequest (5.5.2.3)."""

    user_defined_data: KeyValuePairs = {}


class NsdInfoModifications(Wire, frozen=True, kw_only=True):
    """NsdInfoModifications (5.5.2.1). The official OpenAPI file has `userDefinedData` as a list of maps; the text of the
    standard as one map: both are taken, and answered in the form that came."""

    nsd_operational_state: OperationalState | None = None
    user_defined_data: KeyValuePairs | list[KeyValuePairs] | None = None


class NsdArchiveArtifactInfo(Wire, frozen=True, kw_only=True):
    """NsdArchiveArtifactInfo (5.5.3.5)."""

    artifact_path: str
    checksum: Checksum


class NsdInfo(Wire, frozen=True, kw_only=True):
    """NsdInfo (5.5.2.2)."""

    id: str
    nsd_onboarding_state: str
    nsd_operational_state: str
    nsd_usage_state: str
    vnf_pkg_ids: list[str]
    links: Links = msgspec.field(name="_links")
    nsd_id: str | None = None
    nsd_name: str | None = None
    nsd_version: str | None = None
    nsd_designer: str | None = None
    nsd_invariant_id: str | None = None
    pnfd_info_ids: list[str] | None = None
    nested_nsd_info_ids: list[str] | None = None
    artifacts: list[NsdArchiveArtifactInfo] | None = None
    archive_security_option: str | None = None
    signing_certificate: str | None = None
    onboarding_failure_details: Mapping[str, Any] | None = None
    user_defined_data: KeyValuePairs | None = None


HIDDEN = ("userDefinedData", "onboardingFailureDetails")


def render(call: Call, record: Record) -> NsdInfo:
    """The record on the wire."""
    base = call.href(f"/ns_descriptors/{record.id}")
    package = record.package
    nsd = package.nsd if package else None
    return NsdInfo(
        id=record.id,
        nsd_onboarding_state=onboarding(call, record.onboarding_state),
        nsd_operational_state=record.operational_state,
        nsd_usage_state=record.usage_state,
        vnf_pkg_ids=_vnf_packages(call, nsd.vnfd_ids if nsd else ()),
        links=links(self_=base, nsd_content=f"{base}/nsd_content"),
        nsd_id=nsd.id if nsd else None,
        nsd_name=nsd.name if nsd else None,
        nsd_version=nsd.version if nsd else None,
        nsd_designer=nsd.designer if nsd else None,
        nsd_invariant_id=(nsd.invariant_id or nsd.id) if nsd else None,
        pnfd_info_ids=_pnfds(call, nsd.pnfd_ids if nsd else ()) or None,
        artifacts=artifacts_of(package.artifacts) if package else None,
        archive_security_option=security_option(package.signature) if package else None,
        signing_certificate=(package.signature.certificate or None) if package else None,
        onboarding_failure_details=failure(record.problem),
        user_defined_data=record.user_defined_data or None,
    )


def onboarding(call: Call, state: OnboardingState) -> str:
    """The onboarding state; version 1 has no ERROR: the record is then CREATED again and tells why."""
    return OnboardingState.CREATED if call.version == 1 and state is OnboardingState.ERROR else state


def failure(problem: Mapping[str, Any]) -> dict[str, Any] | None:
    """Why an archive was not onboarded, as ProblemDetails (SOL013 6.3)."""
    return {"title": "Onboarding failed", "status": 422, **problem} if problem else None


def security_option(signature: PackageSignature) -> str | None:
    """How a package is signed (SOL004 clause 5.1). The standard has no value for one that is not: nothing is said then."""
    return f"OPTION_{signature.option}" if signature.option else None


def artifacts_of(files: Sequence[Artifact]) -> list[NsdArchiveArtifactInfo]:
    """The files of an archive with their digests."""
    return [
        NsdArchiveArtifactInfo(
            artifact_path=file.path,
            checksum=Checksum(algorithm=file.checksum_algorithm or "SHA-256", hash=file.checksum),
        )
        for file in files
    ]


def _vnf_packages(call: Call, vnfd_ids: tuple[str, ...]) -> list[str]:
    known = call.services.catalogue.vnf_packages(tenant=call.tenant) if vnfd_ids else ()
    return [package.id for package in known if package.vnfd_id in vnfd_ids]


def _pnfds(call: Call, pnfd_ids: tuple[str, ...]) -> list[str]:
    known = call.services.catalogue.pnfds(tenant=call.tenant) if pnfd_ids else ()
    return [pnfd.id for pnfd in known if pnfd.pnfd_id in pnfd_ids]


def find(call: Call) -> Record:
    """The NSD of the path."""
    return call.services.catalogue.nsd(call.path("nsdInfoId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make an empty record, to be filled by nsd_content."""
    asked = await call.body(CreateNsdInfoRequest)
    record = await call.services.catalogue.create_nsd(asked.user_defined_data, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All NSDs of the tenant."""
    return call.listed(call.services.catalogue.nsds(tenant=call.tenant), lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One NSD."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Enable, disable, change the user-defined data."""
    asked = await call.body(NsdInfoModifications)
    if asked.nsd_operational_state is None and asked.user_defined_data is None:
        raise InvalidError("cannot modify nothing", suggestion="send nsdOperationalState or userDefinedData")
    given = asked.user_defined_data
    merged = {key: value for part in given for key, value in part.items()} if isinstance(given, list) else given
    changed = await call.services.catalogue.update_nsd(
        call.path("nsdInfoId"),
        operational_state=asked.nsd_operational_state,
        user_defined_data=merged,
        match=call.match,
        tenant=call.tenant,
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it."""
    await call.services.catalogue.delete_nsd(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


async def upload(call: Call) -> Response:
    """Receive, verify and onboard the archive; answers when that is done (synchronous mode)."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.catalogue.upload_nsd(record.id, source, tenant=call.tenant)
    return call.done()


def content(call: Call, record: Record | PnfdInfo) -> Path:
    """The archive of an onboarded NSD or PNFD. `ConflictError` before that."""
    if record.onboarding_state is not OnboardingState.ONBOARDED:
        raise ConflictError(
            f"cannot read the content: it is {record.onboarding_state}",
            suggestion="upload it first",
        )
    return call.services.catalogue.content(record.id)


async def download(call: Call) -> Response:
    """The archive as it was uploaded."""
    record = find(call)
    content(call, record)
    return archive.sent(call.services.catalogue.original(record.id), call)


async def descriptor(call: Call) -> Response:
    """The NSD itself."""
    return await descriptor_of(call, content(call, find(call)))


async def descriptor_of(call: Call, path: Path) -> Response:
    """The descriptor in an archive: text or zip as the caller takes it, with its signatures where it wants them."""
    if call.flag("include_signatures") and (entry := archive.entry_definitions(path)):
        return archive.whole(await asyncio.to_thread(archive.signed, path, entry), "application/zip")
    data, media = await asyncio.to_thread(archive.definitions, path, call.request.headers.get("accept", ""))
    return archive.whole(data, media)


async def text_or_signed(call: Call, path: Path, name: str) -> Response:
    """A text of an archive, or a zip with its signatures where the caller wants them."""
    if call.flag("include_signatures"):
        return archive.whole(await asyncio.to_thread(archive.signed, path, name), "application/zip")
    return archive.whole(archive.member(path, name), "text/plain")


async def artifact_of(call: Call, path: Path) -> Response:
    """The file of an archive that the path names, whole or in part; with its signature where the caller wants it."""
    name = call.path("artifactPath")
    if call.flag("include_signatures"):
        await asyncio.to_thread(archive.require, path, name)
        return archive.part(call, await asyncio.to_thread(archive.signed, path, name), "application/zip")
    return await archive.member_sent(call, path, name, "application/octet-stream")


async def manifest(call: Call) -> Response:
    """The manifest."""
    path = content(call, find(call))
    return await text_or_signed(call, path, archive.manifest(path))


async def artifact(call: Call) -> Response:
    """One file of the archive."""
    return await artifact_of(call, content(call, find(call)))


ONE = "/ns_descriptors/{nsdInfoId}"
TEXT_OR_ZIP = ("text/plain", "application/zip")
SIGNED = (Query("include_signatures", "Send a zip with the signatures and certificates, too."),)
ANY = ("*/*",)

API = Api(
    "nsd",
    "SOL005 NSD management",
    {2: "2.3.0", 1: "1.2.0"},
    (
        Endpoint("POST", "/ns_descriptors", create, "Create an NSD record", CreateNsdInfoRequest, NsdInfo, 201),
        Endpoint("GET", "/ns_descriptors", listing, "List NSDs", answer=list[NsdInfo], query=LIST_QUERY),
        Endpoint("GET", ONE, show, "Read an NSD record", answer=NsdInfo),
        Endpoint("PATCH", ONE, modify, "Modify an NSD record", NsdInfoModifications, NsdInfoModifications),
        Endpoint("DELETE", ONE, delete, "Delete an NSD", status=204),
        Endpoint(
            "PUT", f"{ONE}/nsd_content", upload, "Upload an NSD", bytes, status=204, accepts=(*ARCHIVES, "text/plain")
        ),
        Endpoint(
            "GET",
            f"{ONE}/nsd_content",
            download,
            "Download an NSD archive",
            answer=bytes,
            produces=("application/zip",),
        ),
        Endpoint(
            "GET", f"{ONE}/nsd", descriptor, "Read the descriptor", answer=bytes, produces=TEXT_OR_ZIP, query=SIGNED
        ),
        Endpoint(
            "GET", f"{ONE}/manifest", manifest, "Read the manifest", answer=bytes, produces=TEXT_OR_ZIP, query=SIGNED
        ),
        Endpoint(
            "GET",
            ONE + "/artifacts/{artifactPath:path}",
            artifact,
            "Read an artifact",
            answer=bytes,
            produces=ANY,
            query=SIGNED,
        ),
    ),
)
