"""VNF snapshot package management (SOL005 clause 11; SOL003 clause 12 reads them)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import ARCHIVES, LIST_QUERY, Api, Call, Endpoint
from skerry.api.sol005 import vnf_packages as packages
from skerry.api.wire import Checksum, KeyValuePairs, Links, Wire, links
from skerry.errors import Fault, InvalidError
from skerry.model.images import OutsideImages
from skerry.model.vnf import VnfcSnapshot
from skerry.model.vnf import VnfSnapshotPkgInfo as Record

RECORD = "snapshot.json"
"""Where the snapshot's record is in an archive."""

VNFD = "vnfd.zip"
"""Where the VNFD is in there."""

Name = Annotated[str, Meta(min_length=1, max_length=255)]


class CreateVnfSnapshotPkgInfoRequest(Wire, frozen=True, kw_only=True):
    """CreateVnfSnapshotPkgInfoRequest (11.5.2.2)."""

    name: Name
    user_defined_data: KeyValuePairs = {}


class VnfSnapshotPkgInfoModifications(Wire, frozen=True, kw_only=True):
    """VnfSnapshotPkgInfoModifications (11.5.2.3)."""

    name: Name | None = None
    user_defined_data: KeyValuePairs | None = None
    state: Literal["AVAILABLE"] | None = None

    def __post_init__(self) -> None:
        if self.name is None and self.user_defined_data is None and self.state is None:
            raise ValueError("give name, userDefinedData or state")


class BuildVnfSnapshotPkgRequest(Wire, frozen=True, kw_only=True):
    """BuildVnfSnapshotPkgRequest (11.5.2.6)."""

    vnf_snapshot_info_id: str
    vnfc_snapshots_info_ids: list[str] = []
    override_import_for_vnfc_snapshot_ids: list[str] | None = None
    import_snapshot_resource: bool | None = None


class ExtractVnfSnapshotPkgRequest(Wire, frozen=True, kw_only=True):
    """ExtractVnfSnapshotPkgRequest (11.5.2.7)."""

    vnf_snapshot_info_id: str | None = None
    vnf_instance_id: str | None = None

    def __post_init__(self) -> None:
        if bool(self.vnf_snapshot_info_id) == bool(self.vnf_instance_id):
            raise ValueError("give either vnfSnapshotInfoId or vnfInstanceId")


class CancelVnfSnapshotPkgOperationRequest(Wire, frozen=True, kw_only=True):
    """CancelVnfSnapshotPkgOperationRequest (11.5.2.8)."""

    cause: str | None = None


class VnfSnapshotRecord(Wire, frozen=True, kw_only=True):
    """VnfSnapshotRecord (11.5.3.3)."""

    record_path: str
    checksum: Checksum
    is_encrypted: bool


class VnfdInfo(Wire, frozen=True, kw_only=True):
    """VnfdInfo (11.5.3.4)."""

    vnfd_id: str
    vnfd_path: str
    checksum: Checksum
    is_encrypted: bool


class VnfcSnapshotImageInfo(Wire, frozen=True, kw_only=True):
    """VnfcSnapshotImageInfo (11.5.3.2). Sizes are bytes."""

    id: str
    name: str
    checksum: Checksum
    is_encrypted: bool
    vnfc_instance_id: str
    container_format: str
    disk_format: str
    created_at: str
    min_disk: int
    min_ram: int
    size: int
    image_path: str | None = None
    image_uri: str | None = None


class SnapshotPkgArtifactInfo(Wire, frozen=True, kw_only=True):
    """SnapshotPkgArtifactInfo (11.5.3.3)."""

    artifact_path: str
    checksum: Checksum
    is_encrypted: bool


class VnfSnapshotPkgInfo(Wire, frozen=True, kw_only=True):
    """VnfSnapshotPkgInfo (11.5.2.4)."""

    id: str
    name: str
    is_full_snapshot: bool
    state: str
    is_cancel_pending: bool
    links: Links = msgspec.field(name="_links")
    vnf_snapshot_pkg_unique_id: str | None = None
    checksum: Checksum | None = None
    created_at: str | None = None
    vnf_snapshot_id: str | None = None
    vnfc_snapshot_info_ids: list[str] | None = None
    vnfd_info: VnfdInfo | None = None
    vnfsr: VnfSnapshotRecord | None = None
    vnfc_snapshot_images: list[VnfcSnapshotImageInfo] | None = None
    additional_artifacts: list[SnapshotPkgArtifactInfo] | None = None
    failure_details: Mapping[str, Any] | None = None
    user_defined_data: KeyValuePairs | None = None


class ExtArtifactsAccess(Wire, frozen=True, kw_only=True):
    """VnfSnapshotPkgExtArtifactsAccessConfig (11.5.2.9)."""

    artifact: list[packages.ArtifactAccess] | None = None


HIDDEN = ("userDefinedData", "failureDetails", "vnfsr", "vnfcSnapshotImages", "additionalArtifacts")


def render(call: Call, record: Record) -> VnfSnapshotPkgInfo:
    """The record on the wire."""
    base = call.href(f"/vnf_snapshot_packages/{record.id}")
    kept = VnfSnapshotRecord(record_path=RECORD, checksum=_sha256(record.record_checksum), is_encrypted=False)
    return VnfSnapshotPkgInfo(
        id=record.id,
        name=record.name,
        is_full_snapshot=record.full,
        state=record.state,
        is_cancel_pending=False,
        vnf_snapshot_pkg_unique_id=record.unique_id or None,
        checksum=_sha256(record.checksum) if record.checksum else None,
        created_at=record.created_at,
        vnf_snapshot_id=record.vnf_snapshot_id or None,
        vnfc_snapshot_info_ids=list(record.vnfcs) or None,
        vnfd_info=VnfdInfo(
            vnfd_id=record.vnfd_id, vnfd_path=VNFD, checksum=_sha256(record.vnfd_checksum), is_encrypted=False
        )
        if record.vnfd_checksum
        else None,
        vnfsr=kept if record.record_checksum else None,
        vnfc_snapshot_images=[_image(name, one, record) for name, one in sorted(record.images.items())] or None,
        additional_artifacts=[
            SnapshotPkgArtifactInfo(artifact_path=path, checksum=_sha256(value), is_encrypted=False)
            for path, value in sorted(record.artifacts.items())
        ]
        or None,
        failure_details=record.problem or None,
        user_defined_data=record.user_defined_data or None,
        links=links(
            self_=base, packageContent=f"{base}/package_content", extArtifactsAccess=f"{base}/ext_artifacts_access"
        ),
    )


def _image(vnfc: str, one: VnfcSnapshot, record: Record) -> VnfcSnapshotImageInfo:
    """Images are OCI archives, or what `docker save` writes."""
    return VnfcSnapshotImageInfo(
        id=vnfc,
        name=one.image,
        checksum=_sha256(one.checksum),
        is_encrypted=False,
        vnfc_instance_id=vnfc,
        container_format="DOCKER",
        disk_format="RAW",
        created_at=one.finished_at or record.created_at,
        min_disk=one.size_bytes,
        min_ram=0,
        size=one.file_bytes,
        image_path=one.path or None,
        image_uri=one.uri or None,
    )


def _sha256(value: str) -> Checksum:
    return Checksum(algorithm="SHA-256", hash=value)


def find(call: Call) -> Record:
    """The package of the path."""
    return call.services.snapshot_packages.get(call.path("vnfSnapshotPkgId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make an empty record, to be built, uploaded or fetched."""
    asked = await call.body(CreateVnfSnapshotPkgInfoRequest)
    record = await call.services.snapshot_packages.create(asked.name, asked.user_defined_data, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All packages of the tenant."""
    records = call.services.snapshot_packages.all(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One package."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Change name and data; make it available again after an extraction that failed."""
    asked = await call.body(VnfSnapshotPkgInfoModifications)
    changed = await call.services.snapshot_packages.modify(
        call.path("vnfSnapshotPkgId"),
        name=asked.name,
        user_defined_data=asked.user_defined_data,
        state=asked.state,
        match=call.match,
        tenant=call.tenant,
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it with its archive."""
    await call.services.snapshot_packages.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


async def download(call: Call) -> Response:
    """The archive."""
    return archive.sent(
        call.services.snapshot_packages.content(call.path("vnfSnapshotPkgId"), tenant=call.tenant), call
    )


async def upload(call: Call) -> Response:
    """Take an archive."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.snapshot_packages.upload(record.id, source, tenant=call.tenant)
    return Response(b"", 202)


async def upload_from_uri(call: Call) -> Response:
    """Fetch the archive from an address."""
    asked = await call.body(packages.UploadVnfPackageFromUriRequest)
    record = find(call)
    who = packages.credentials(asked)
    await call.services.snapshot_packages.fetch(record.id, asked.address_information, who, tenant=call.tenant)
    return Response(b"", 202)


async def build(call: Call) -> Response:
    """Make the archive of a snapshot."""
    asked = await call.body(BuildVnfSnapshotPkgRequest)
    record = find(call)
    outside = OutsideImages(
        all=asked.import_snapshot_resource is False,
        other=tuple(asked.override_import_for_vnfc_snapshot_ids or ()),
        root=call.href(f"/vnf_snapshot_packages/{record.id}/artifacts"),
    )
    await call.services.snapshot_packages.build(
        record.id, asked.vnf_snapshot_info_id, asked.vnfc_snapshots_info_ids, outside, tenant=call.tenant
    )
    return Response(b"", 202)


async def extract(call: Call) -> Response:
    """Make it a snapshot again."""
    asked = await call.body(ExtractVnfSnapshotPkgRequest)
    record = find(call)
    await call.services.snapshot_packages.extract(
        record.id, asked.vnf_snapshot_info_id or "", asked.vnf_instance_id or "", tenant=call.tenant
    )
    return Response(b"", 202)


async def cancel(call: Call) -> Response:
    """End what is under way."""
    await call.body(CancelVnfSnapshotPkgOperationRequest)
    await call.services.snapshot_packages.cancel(find(call).id, tenant=call.tenant)
    return Response(b"", 202)


async def artifact(call: Call) -> Response:
    """One file of the archive, or an image that it refers to and this node keeps."""
    record, packages, wanted = find(call), call.services.snapshot_packages, call.path("artifactPath")
    path = packages.content(record.id, tenant=call.tenant)
    kept = packages.external(record.id, wanted, tenant=call.tenant)
    if kept is not None:
        return archive.sent(kept, call, "application/octet-stream")
    return await archive.member_sent(call, path, wanted, "application/octet-stream")


async def external_access(call: Call) -> Response:
    """How artifacts outside of the archive are reached; without secrets."""
    record = find(call)
    return call.show(_access(record), rev=record.rev)


async def set_external_access(call: Call) -> Response:
    """Replace that."""
    asked = await call.body(ExtArtifactsAccess)
    if asked.artifact is None:
        fault = Fault(message="artifact is missing", code="missing", path="/artifact", fix="add artifact")
        raise InvalidError("cannot accept the body: artifact is missing", faults=[fault])
    kept = [msgspec.to_builtins(entry) for entry in asked.artifact]
    record = await call.services.snapshot_packages.set_external_access(find(call).id, kept, tenant=call.tenant)
    return call.show(_access(record), rev=record.rev)


def _access(record: Record) -> dict[str, Any]:
    secret = "paramsOauth2ClientCredentials"  # noqa: S105 - the name of what is left out
    shown = [{name: value for name, value in one.items() if name != secret} for one in record.external_access]
    return {"artifact": shown}


ALL, ONE = "/vnf_snapshot_packages", "/vnf_snapshot_packages/{vnfSnapshotPkgId}"
CONTENT, ACCESS = f"{ONE}/package_content", f"{ONE}/ext_artifacts_access"
INFO, CHANGE, FROM = VnfSnapshotPkgInfo, VnfSnapshotPkgInfoModifications, packages.UploadVnfPackageFromUriRequest
CREATE, BUILD, EXTRACT = CreateVnfSnapshotPkgInfoRequest, BuildVnfSnapshotPkgRequest, ExtractVnfSnapshotPkgRequest
CANCEL = CancelVnfSnapshotPkgOperationRequest

API = Api(
    "vnfsnapshotpkgm",
    "SOL005 and SOL003 VNF snapshot package management",
    {1: "1.2.0"},
    (
        Endpoint("POST", ALL, create, "Create a package record", CREATE, INFO, 201),
        Endpoint("GET", ALL, listing, "List snapshot packages", answer=list[VnfSnapshotPkgInfo], query=LIST_QUERY),
        Endpoint("GET", ONE, show, "Read a package record", answer=INFO),
        Endpoint("PATCH", ONE, modify, "Modify a package record", CHANGE, CHANGE),
        Endpoint("DELETE", ONE, delete, "Delete a snapshot package", status=204),
        Endpoint("GET", CONTENT, download, "Download a snapshot package", answer=bytes, produces=packages.ZIP),
        Endpoint("PUT", CONTENT, upload, "Upload a snapshot package", bytes, status=202, accepts=ARCHIVES),
        Endpoint("POST", f"{CONTENT}/upload_from_uri", upload_from_uri, "Fetch a snapshot package", FROM, status=202),
        Endpoint("POST", f"{CONTENT}/build", build, "Build a package of a snapshot", BUILD, status=202),
        Endpoint("POST", f"{CONTENT}/extract", extract, "Make a snapshot of a package", EXTRACT, status=202),
        Endpoint("POST", f"{CONTENT}/cancel", cancel, "Cancel what is under way", CANCEL, status=202),
        Endpoint("GET", ACCESS, external_access, "Read access to external artifacts", answer=ExtArtifactsAccess),
        Endpoint(
            "PUT",
            ACCESS,
            set_external_access,
            "Set access to external artifacts",
            ExtArtifactsAccess,
            ExtArtifactsAccess,
        ),
        Endpoint(
            "GET",
            ONE + "/artifacts/{artifactPath:path}",
            artifact,
            "Read an artifact",
            answer=bytes,
            produces=("*/*",),
        ),
    ),
)
