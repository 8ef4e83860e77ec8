"""VNF package management (SOL005 clause 9): VNF packages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import ARCHIVES, LIST_QUERY, Api, Call, Endpoint, Query
from skerry.api.sol005.nsd import (
    ANY,
    SIGNED,
    TEXT_OR_ZIP,
    artifact_of,
    descriptor_of,
    failure,
    onboarding,
    security_option,
    text_or_signed,
)
from skerry.api.subscriptions import ParamsBasic
from skerry.api.wire import Checksum, KeyValuePairs, Links, Wire, links
from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import Artifact, SoftwareImage, VnfPackage
from skerry.model.notifications import Authentication, Basic, ClientCredentials
from skerry.model.states import OnboardingState, OperationalState
from skerry.model.vnf import VnfPkgInfo as Record


class CreateVnfPkgInfoRequest(Wire, frozen=True, kw_only=True):
    """CreateVnfPkgInfoRequest (9.5.2.2)."""

    user_defined_data: KeyValuePairs = {}


class VnfPkgInfoModifications(Wire, frozen=True, kw_only=True):
    """VnfPkgInfoModifications (9.5.2.1)."""

    operational_state: OperationalState | None = None
    user_defined_data: KeyValuePairs | None = None


class OAuth2Parameters(Wire, frozen=True, kw_only=True):
    """Credentials with which the node may fetch (SOL013 8.3.4)."""

    client_id: str
    client_password: str
    token_endpoint: Annotated[str, Meta(min_length=1, max_length=2048)]


class UploadVnfPackageFromUriRequest(Wire, frozen=True, kw_only=True):
    """UploadVnfPackageFromUriRequest (9.5.2.4). Version 1 has `userName` and `password` in it."""

    address_information: Annotated[str, Meta(min_length=1, max_length=2048)]
    auth_type: Literal["BASIC", "OAUTH2_CLIENT_CREDENTIALS"] | None = None
    params_basic: ParamsBasic | None = None
    params_oauth2_client_credentials: OAuth2Parameters | None = None
    user_name: str | None = None
    password: str | None = None


class ArtifactAccess(Wire, frozen=True, kw_only=True):
    """How one external artifact is reached (9.5.2.9)."""

    artifact_uri: Annotated[str, Meta(min_length=1, max_length=2048)]
    override_uri: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    auth_type: Literal["OAUTH2_CLIENT_CREDENTIALS"] | None = None
    params_oauth2_client_credentials: OAuth2Parameters | None = None


class VnfPackageExternalArtifactsAccessInfo(Wire, frozen=True, kw_only=True):
    """VnfPackageExternalArtifactsAccessInfo (9.5.2.9). The official file has one entry; the text has any number."""

    artifact: ArtifactAccess | list[ArtifactAccess] | None = None


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
        links=links(
            self_=base,
            vnfd=f"{base}/vnfd",
            packageContent=f"{base}/package_content",
            extArtifactsAccess=f"{base}/ext_artifacts_access",
        ),
        checksum=Checksum(algorithm="SHA-256", hash=record.checksum) if record.checksum else None,
        user_defined_data=record.user_defined_data or None,
        onboarding_failure_details=failure(record.problem),
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
    """The package of the path, by its own identifier or by that of its VNFD (SOL003 10.4.3)."""
    if "vnfdId" in call.request.path_params:
        return call.services.catalogue.onboarded(call.path("vnfdId"), tenant=call.tenant)
    return call.services.catalogue.vnf_package(call.path("vnfPkgId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make an empty record, to be filled by package_content."""
    asked = await call.body(CreateVnfPkgInfoRequest)
    record = await call.services.catalogue.create_vnf_package(asked.user_defined_data, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All packages of the tenant; below `/onboarded_vnf_packages` those that have a VNFD."""
    records = call.services.catalogue.vnf_packages(tenant=call.tenant)
    if call.endpoint.path.startswith("/onboarded"):
        records = [record for record in records if record.vnfd_id]
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
    changed = await call.services.catalogue.update_vnf_package(
        call.path("vnfPkgId"),
        operational_state=asked.operational_state,
        user_defined_data=asked.user_defined_data,
        match=call.match,
        tenant=call.tenant,
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it."""
    await call.services.catalogue.delete_vnf_package(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


async def upload(call: Call) -> Response:
    """Receive, verify and onboard the archive. The answer comes when that is done, so a fault is told at once."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.catalogue.upload_vnf_package(record.id, source, tenant=call.tenant)
    return Response(b"", 202)


async def upload_from_uri(call: Call) -> Response:
    """Fetch the archive from an address and onboard it; the record tells how that went."""
    asked = await call.body(UploadVnfPackageFromUriRequest)
    record = find(call)
    await call.services.catalogue.fetch_vnf_package(
        record.id, asked.address_information, credentials(asked), tenant=call.tenant
    )
    return Response(b"", 202)


def credentials(asked: UploadVnfPackageFromUriRequest) -> Authentication:
    """How the node may fetch. Version 1 has user name and password in the request itself."""
    given = asked.params_oauth2_client_credentials
    if given is not None:
        return Authentication(
            oauth2=ClientCredentials(
                client_id=given.client_id, client_password=given.client_password, token_endpoint=given.token_endpoint
            )
        )
    basic = asked.params_basic
    name = asked.user_name or (basic.user_name if basic else None)
    password = asked.password or (basic.password if basic else None)
    return Authentication(basic=Basic(user_name=name, password=password or "")) if name else Authentication()


def content(call: Call, record: Record) -> Path:
    """The archive of an onboarded package. `ConflictError` before that."""
    if record.onboarding_state is not OnboardingState.ONBOARDED:
        raise ConflictError(
            f"cannot read the content: the package is {record.onboarding_state}",
            suggestion="upload it with package_content first",
        )
    return call.services.catalogue.content(record.id)


async def download(call: Call) -> Response:
    """The archive as it was uploaded."""
    record = find(call)
    content(call, record)
    return archive.sent(call.services.catalogue.original(record.id), call)


async def descriptor(call: Call) -> Response:
    """The VNFD itself."""
    return await descriptor_of(call, content(call, find(call)))


async def manifest(call: Call) -> Response:
    """The manifest."""
    path = content(call, find(call))
    return await text_or_signed(call, path, archive.manifest(path))


async def artifact(call: Call) -> Response:
    """One file of the package."""
    return await artifact_of(call, content(call, find(call)))


async def artifacts(call: Call) -> Response:
    """Many files of the package as a zip: by default all that are neither descriptor nor manifest."""
    record = find(call)
    path = content(call, record)
    files = record.package.artifacts if record.package else ()
    sets = [name for name in call.query("select_non_mano_artifact_sets").split(",") if name]
    wanted = [file.path for file in files if file.kind != "definition" and _selected(call, file.kind, sets)]
    return archive.part(call, await asyncio.to_thread(archive.zipped, path, wanted), "application/zip")


def _selected(call: Call, kind: str, sets: list[str]) -> bool:
    """Whether the query wants artifacts of this kind (9.4.4.3.2): a set of non-MANO artifacts is a kind of its own."""
    if kind in MANO:
        return not call.flag("exclude_all_mano_artifacts")
    return not call.flag("exclude_all_non_mano_artifacts") and (not sets or kind in sets)


async def external_access(call: Call) -> Response:
    """How artifacts outside of the archive are reached; without secrets."""
    record = find(call)
    return call.show(_access(record), rev=record.rev)


async def set_external_access(call: Call) -> Response:
    """Replace that."""
    asked = await call.body(VnfPackageExternalArtifactsAccessInfo)
    entries = [asked.artifact] if isinstance(asked.artifact, ArtifactAccess) else asked.artifact or []
    kept = [msgspec.to_builtins(entry) for entry in entries]
    record = await call.services.catalogue.set_external_access(find(call).id, kept, tenant=call.tenant)
    return call.show(_access(record), rev=record.rev)


def _access(record: Record) -> dict[str, Any]:
    """One entry is an object in the official file and several are a list in the text."""
    shown = [
        {name: value for name, value in entry.items() if name != "paramsOauth2ClientCredentials"}
        for entry in record.external_access
    ]
    return {"artifact": shown[0] if len(shown) == 1 else shown} if shown else {}


ALL, ONE = "/vnf_packages", "/vnf_packages/{vnfPkgId}"
ZIP = ("application/zip",)
MANO = frozenset({"", "image", "script", "licence", "changelog", "test", "certificate", "other"})
"""Kinds of artifacts that are in no set of non-MANO artifacts."""

BULK = (
    Query("include_signatures", "Send signatures and certificates, too (they are in the zip anyway)."),
    Query("exclude_all_mano_artifacts", "Leave out the artifacts that management uses."),
    Query("exclude_all_non_mano_artifacts", "Leave out the artifacts that only others use."),
    Query("select_non_mano_artifact_sets", "Of those that only others use, take these sets, separated by commas."),
    Query("include_external_artifacts", "Accepted; the node keeps no copies of external artifacts."),
)


def _reading(all: str, one: str) -> tuple[Endpoint, ...]:
    """What may be read of a package, whichever way it is named."""
    files = f"{one}/artifacts"
    return (
        Endpoint("GET", all, listing, "List packages", answer=list[VnfPkgInfo], query=LIST_QUERY),
        Endpoint("GET", one, show, "Read a package record", answer=VnfPkgInfo),
        Endpoint("GET", f"{one}/package_content", download, "Download a package", answer=bytes, produces=ZIP),
        Endpoint("GET", f"{one}/vnfd", descriptor, "Read the descriptor", None, bytes, 200, (), TEXT_OR_ZIP, SIGNED),
        Endpoint("GET", f"{one}/manifest", manifest, "Read the manifest", None, bytes, 200, (), TEXT_OR_ZIP, SIGNED),
        Endpoint("GET", files, artifacts, "Read many artifacts", answer=bytes, produces=ZIP, query=BULK),
        Endpoint(
            "GET",
            files + "/{artifactPath:path}",
            artifact,
            "Read an artifact",
            answer=bytes,
            produces=ANY,
            query=SIGNED,
        ),
    )


ACCESS = VnfPackageExternalArtifactsAccessInfo

API = Api(
    "vnfpkgm",
    "SOL005 and SOL003 VNF package management",
    {2: "2.4.0", 1: "1.2.0"},
    (
        Endpoint("POST", ALL, create, "Create a package record", CreateVnfPkgInfoRequest, VnfPkgInfo, 201),
        Endpoint("PATCH", ONE, modify, "Modify a package record", VnfPkgInfoModifications, VnfPkgInfoModifications),
        Endpoint("DELETE", ONE, delete, "Delete a package", status=204),
        Endpoint("PUT", f"{ONE}/package_content", upload, "Upload a package", bytes, status=202, accepts=ARCHIVES),
        Endpoint(
            "POST",
            f"{ONE}/package_content/upload_from_uri",
            upload_from_uri,
            "Fetch a package from an address",
            UploadVnfPackageFromUriRequest,
            status=202,
        ),
        Endpoint(
            "GET", f"{ONE}/ext_artifacts_access", external_access, "Read access to external artifacts", answer=ACCESS
        ),
        Endpoint(
            "PUT",
            f"{ONE}/ext_artifacts_access",
            set_external_access,
            "Set access to external artifacts",
            ACCESS,
            ACCESS,
        ),
        *_reading(ALL, ONE),
        *_reading("/onboarded_vnf_packages", "/onboarded_vnf_packages/{vnfdId}"),
    ),
)
