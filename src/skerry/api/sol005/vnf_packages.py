"""VNF package management (SOL005 clause 9): VNF packages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import ARCHIVES, LIST_QUERY, Api, Call, Endpoint
from skerry.api.sol005.nsd import ANY, TEXT_OR_ZIP, onboarding, security_option
from skerry.api.wire import Checksum, KeyValuePairs, Links, Wire, links
from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import Artifact, SoftwareImage, VnfPackage
from skerry.model.states import OnboardingState, OperationalState
from skerry.model.vnf import VnfPkgInfo as Record


class CreateVnfPkgInfoRequest(Wire, frozen=True, kw_only=True):
    """CreateVnfPkgInfoRequest (9.5.2.2)."""

    user_defined_data: KeyValuePairs = {}


class VnfPkgInfoModifications(Wire, frozen=True, kw_only=True):
    """VnfPkgInfoModifications (9.5.2.1)."""

    operational_state: OperationalState | None = None
    user_defined_data: KeyValuePairs | None = None


class VnfPackageSoftwareImageInfo(Wire, frozen=True, kw_only=True):
    """VnfPackageSoftwareImageInfo (9.5.3.2)."""

    id: str
    name: str
    provider: str
    version: str
    checksum: Checksum
    is_encrypted: bool
    container_format: str
    disk_format: str
    created_at: str
    min_disk: int
    min_ram: int
    size: int
    image_path: str


class VnfPackageArtifactInfo(Wire, frozen=True, kw_only=True):
    """VnfPackageArtifactInfo (9.5.3.3)."""

    artifact_path: str
    checksum: Checksum
    is_encrypted: bool
    artifact_classification: str | None = None


class VnfPkgInfo(Wire, frozen=True, kw_only=True):
    """VnfPkgInfo (9.5.2.5)."""

    id: str
    onboarding_state: str
    operational_state: str
    usage_state: str
    links: Links = msgspec.field(name="_links")
    vnfd_id: str | None = None
    vnf_provider: str | None = None
    vnf_product_name: str | None = None
    vnf_software_version: str | None = None
    vnfd_version: str | None = None
    checksum: Checksum | None = None
    software_images: list[VnfPackageSoftwareImageInfo] | None = None
    additional_artifacts: list[VnfPackageArtifactInfo] | None = None
    package_security_option: str | None = None
    signing_certificate: str | None = None
    vnfm_info: list[str] | None = None
    user_defined_data: KeyValuePairs | None = None
    onboarding_failure_details: Mapping[str, Any] | None = None


HIDDEN = ("softwareImages", "additionalArtifacts", "userDefinedData", "checksum", "onboardingFailureDetails")
CONTAINER_FORMATS = ("AKI", "AMI", "ARI", "BARE", "DOCKER", "OVA", "OVF")
DISK_FORMATS = ("AKI", "AMI", "ARI", "ISO", "QCOW2", "RAW", "VDI", "VHD", "VHDX", "VMDK")
CLASSES = {"changelog": "HISTORY", "test": "TESTING", "licence": "LICENSE"}


def render(call: Call, record: Record) -> VnfPkgInfo:
    """The record on the wire."""
    base = call.href(f"/vnf_packages/{record.id}")
    plain = VnfPkgInfo(
        id=record.id,
        onboarding_state=onboarding(call, record.onboarding_state),
        operational_state=record.operational_state,
        usage_state=record.usage_state,
        links=links(self_=base, vnfd=f"{base}/vnfd", packageContent=f"{base}/package_content"),
        checksum=Checksum(algorithm="SHA-256", hash=record.checksum) if record.checksum else None,
        user_defined_data=record.user_defined_data or None,
        onboarding_failure_details=record.problem or None,
    )
    return _with_content(plain, record, record.package) if record.package else plain


def _with_content(plain: VnfPkgInfo, record: Record, package: VnfPackage) -> VnfPkgInfo:
    vnfd = package.vnfd
    images = [_image(vdu_id, image, vnfd.provider, record) for vdu_id, image in images_of(package)]
    used = {image.image_path for image in images}
    return msgspec.structs.replace(
        plain,
        vnfd_id=vnfd.id,
        vnf_provider=vnfd.provider,
        vnf_product_name=vnfd.product_name,
        vnf_software_version=vnfd.software_version,
        vnfd_version=vnfd.version,
        vnfm_info=list(vnfd.vnfm_info) or None,
        package_security_option=security_option(package.signature),
        signing_certificate=package.signature.certificate or None,
        software_images=images or None,
        additional_artifacts=[_artifact(a) for a in package.artifacts if a.path not in used] or None,
    )


def images_of(package: VnfPackage) -> list[tuple[str, SoftwareImage]]:
    """The software images by VDU; a VDU that several flavours share counts once."""
    found = {
        vdu.id: vdu.image for flavour in package.vnfd.flavours.values() for vdu in flavour.vdus.values() if vdu.image
    }
    return list(found.items())


def _image(vdu_id: str, image: SoftwareImage, provider: str, record: Record) -> VnfPackageSoftwareImageInfo:
    container, disk = image.container_format.upper(), image.disk_format.upper()
    return VnfPackageSoftwareImageInfo(
        id=vdu_id,
        name=image.name,
        provider=provider,
        version=image.version or "1.0",
        checksum=Checksum(algorithm=image.checksum_algorithm or "SHA-256", hash=image.checksum),
        is_encrypted=False,
        container_format=container if container in CONTAINER_FORMATS else "BARE",
        disk_format=disk if disk in DISK_FORMATS else "RAW",
        created_at=record.onboarded_at or record.created_at,
        min_disk=image.min_disk_bytes,
        min_ram=image.min_ram_bytes,
        size=image.size_bytes,
        image_path=image.source,
    )


def _artifact(artifact: Artifact) -> VnfPackageArtifactInfo:
    return VnfPackageArtifactInfo(
        artifact_path=artifact.path,
        checksum=Checksum(algorithm=artifact.checksum_algorithm or "SHA-256", hash=artifact.checksum),
        is_encrypted=False,
        artifact_classification=CLASSES.get(artifact.kind),
    )


def find(call: Call) -> Record:
    """The package of the path."""
    return call.services.catalogue.vnf_package(call.path("vnfPkgId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make an empty record, to be filled by package_content."""
    asked = await call.body(CreateVnfPkgInfoRequest)
    record = await call.services.catalogue.create_vnf_package(asked.user_defined_data, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All packages of the tenant."""
    records = call.services.catalogue.vnf_packages(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One package."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Enable, disable, change the user-defined data."""
    asked = await call.body(VnfPkgInfoModifications)
    if asked.operational_state is None and asked.user_defined_data is None:
        raise InvalidError("cannot modify nothing", suggestion="send operationalState or userDefinedData")
    record = find(call)
    call.require_match(record.rev)
    changed = await call.services.catalogue.update_vnf_package(
        record.id,
        operational_state=asked.operational_state,
        user_defined_data=asked.user_defined_data,
        tenant=call.tenant,
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it."""
    record = find(call)
    await call.services.catalogue.delete_vnf_package(record.id, tenant=call.tenant)
    return call.done()


async def upload(call: Call) -> Response:
    """Receive, verify and onboard the archive. The answer comes when that is done, so a fault is told at once."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.catalogue.upload_vnf_package(record.id, source, tenant=call.tenant)
    return Response(b"", 202)


def content(call: Call) -> Path:
    """The archive of an onboarded package. `ConflictError` before that."""
    record = find(call)
    if record.onboarding_state is not OnboardingState.ONBOARDED:
        raise ConflictError(
            f"cannot read the content: the package is {record.onboarding_state}",
            suggestion="upload it with package_content first",
        )
    return call.services.catalogue.content(record.id)


async def download(call: Call) -> Response:
    """The archive as it was uploaded."""
    content(call)
    return archive.sent(call.services.catalogue.original(call.path("vnfPkgId")))


async def descriptor(call: Call) -> Response:
    """The VNFD itself."""
    path = content(call)
    data, media = await asyncio.to_thread(archive.definitions, path, call.request.headers.get("accept", ""))
    return Response(data, media_type=media)


async def manifest(call: Call) -> Response:
    """The manifest."""
    path = content(call)
    return Response(archive.member(path, archive.manifest(path)), media_type="text/plain")


async def artifact(call: Call) -> Response:
    """One file of the package."""
    path = content(call)
    data = await asyncio.to_thread(archive.member, path, call.path("artifactPath"))
    return Response(data, media_type="application/octet-stream")


ONE = "/vnf_packages/{vnfPkgId}"
ZIP = ("application/zip",)

API = Api(
    "vnfpkgm",
    "SOL005 VNF package management",
    {2: "2.4.0", 1: "1.2.0"},
    (
        Endpoint("POST", "/vnf_packages", create, "Create a package record", CreateVnfPkgInfoRequest, VnfPkgInfo, 201),
        Endpoint("GET", "/vnf_packages", listing, "List packages", answer=list[VnfPkgInfo], query=LIST_QUERY),
        Endpoint("GET", ONE, show, "Read a package record", answer=VnfPkgInfo),
        Endpoint("PATCH", ONE, modify, "Modify a package record", VnfPkgInfoModifications, VnfPkgInfoModifications),
        Endpoint("DELETE", ONE, delete, "Delete a package", status=204),
        Endpoint("PUT", f"{ONE}/package_content", upload, "Upload a package", bytes, status=202, accepts=ARCHIVES),
        Endpoint("GET", f"{ONE}/package_content", download, "Download a package", answer=bytes, produces=ZIP),
        Endpoint("GET", f"{ONE}/vnfd", descriptor, "Read the descriptor", answer=bytes, produces=TEXT_OR_ZIP),
        Endpoint("GET", f"{ONE}/manifest", manifest, "Read the manifest", answer=bytes, produces=("text/plain",)),
        Endpoint(
            "GET", ONE + "/artifacts/{artifactPath:path}", artifact, "Read an artifact", answer=bytes, produces=ANY
        ),
    ),
)
