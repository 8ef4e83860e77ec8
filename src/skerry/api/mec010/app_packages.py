"""Application package management (MEC 010-2 clauses 7.3): both forms of its resources.

`/app_packages/{appPkgId}` is what V2.1.1 and V3.2.1 have, `/onboarded_app_packages/{appDId}` what V3.1.1 has. Either takes
either identifier; a package that has no content yet has no AppD, its own identifier stands for that.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive, filters
from skerry.api.mec010 import types as wire
from skerry.api.route import ARCHIVES, LIST_QUERY, Call, Endpoint
from skerry.api.wire import Checksum, links
from skerry.errors import ConflictError
from skerry.model.app import AppPackage, AppPkgInfo
from skerry.model.appd import AppD
from skerry.model.states import OnboardingState

HIDDEN = ("additionalArtifacts", "userDefinedData")
FORMS = {"/app_packages": "appPkgId", "/onboarded_app_packages": "appDId"}


def render(call: Call, record: AppPkgInfo) -> wire.AppPkgInfo:
    """The package on the wire."""
    package = record.package
    shown = wire.AppPkgInfo(
        id=record.id,
        app_d_id=record.app_d_id or record.id,
        app_provider=record.provider,
        app_name=record.name or record.id,
        app_software_version=record.version,
        app_d_version=record.version,
        checksum=_checksum(record),
        software_images=[{"appPkgPath": record.path}],
        onboarding_state=record.onboarding_state.value,
        operational_state=record.operational_state.value,
        usage_state=record.usage_state.value,
        mec_info=["unknown"],
        user_defined_data=record.user_defined_data or None,
        onboarding_failure_details=_failure(record),
        links=_links(call, record),
    )
    return _described(shown, package) if package is not None else shown


def _described(shown: wire.AppPkgInfo, package: AppPackage) -> wire.AppPkgInfo:
    appd = package.appd
    images = [msgspec.to_builtins(image) for image in appd.sw_image_descriptor]
    used = {image.sw_image for image in appd.sw_image_descriptor}
    artifacts = [
        {"artifactPath": one.path, "checksum": {"algorithm": one.checksum_algorithm, "hash": one.checksum}}
        for one in package.artifacts
        if one.path not in used
    ]
    return msgspec.structs.replace(
        shown,
        app_provider=appd.app_provider,
        app_name=appd.app_name,
        app_software_version=appd.app_soft_version,
        app_d_version=appd.app_d_version,
        software_images=images,
        additional_artifacts=artifacts or None,
        mec_info=list(appd.mec_version),
        signing_certificate=package.signature.certificate or None,
    )


def _checksum(record: AppPkgInfo) -> Checksum:
    algorithm, expected = record.expected
    if record.checksum:
        return Checksum(algorithm="SHA-256", hash=record.checksum)
    return Checksum(algorithm=algorithm or "SHA-256", hash=expected)


def _failure(record: AppPkgInfo) -> dict[str, Any] | None:
    if not record.problem:
        return None
    return {"title": "Onboarding failed", "status": 422, **record.problem}


def _links(call: Call, record: AppPkgInfo) -> dict[str, Any]:
    base = call.href(f"/onboarded_app_packages/{record.app_d_id or record.id}")
    if call.endpoint.path.startswith("/app_packages"):
        base = call.href(f"/app_packages/{record.id}")
    vnf = call.uri(f"/vnfpkgm/v2/vnf_packages/{record.vnf_pkg_id}") if record.vnf_pkg_id else ""
    return links(
        self_=base,
        appD=f"{base}/appd",
        appPkgContent=f"{base}/package_content",
        vnfPkgInfo=vnf,
    )


def find(call: Call) -> AppPkgInfo:
    """The package of the path, by either of its identifiers."""
    id = str(next(iter(call.request.path_params.values())))
    return call.services.applications.onboarded(id, tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make a record, to be filled by package_content."""
    asked = await wire.asked(call, wire.CreateAppPkg)
    told = asked.checksum
    expected = ("SHA-256", told) if isinstance(told, str) else (told.algorithm, told.hash) if told else ("", "")
    wished = AppPkgInfo(
        id="",
        name=asked.app_pkg_name,
        version=asked.app_pkg_version,
        provider=asked.app_provider,
        path=asked.app_pkg_path,
        expected=expected,
        user_defined_data=asked.user_defined_data or {},
    )
    record = await call.services.applications.create(wished, tenant=call.tenant)
    made = render(call, record)
    return call.show(made, rev=record.rev, status=201, location=made.links["self"].href)


async def listing(call: Call) -> Response:
    """All packages of the tenant."""
    records = call.services.applications.packages(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One package."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def modify(call: Call) -> Response:
    """Enable or disable it."""
    asked = await wire.asked(call, wire.AppPkgInfoModifications)
    changed = await call.services.applications.update(
        find(call).id, asked.operational_state, match=call.match, tenant=call.tenant
    )
    return call.show(asked, rev=changed.rev)


async def delete(call: Call) -> Response:
    """Remove it."""
    await call.services.applications.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


async def upload(call: Call) -> Response:
    """Receive, verify and onboard the archive. The answer comes when that is done, so a fault is told at once."""
    record = find(call)
    async with archive.received(call) as source:
        await call.services.applications.upload(record.id, source, tenant=call.tenant)
    return Response(b"", 202)


def onboarded(call: Call) -> tuple[AppPkgInfo, AppPackage]:
    """The package of the path with its content. `ConflictError` before it is onboarded."""
    record = find(call)
    if record.onboarding_state is not OnboardingState.ONBOARDED or record.package is None:
        raise ConflictError(
            f"cannot read the content: the package is {record.onboarding_state}",
            suggestion="upload it with package_content first",
        )
    return record, record.package


async def download(call: Call) -> Response:
    """The archive as it was uploaded."""
    record, _ = onboarded(call)
    return archive.sent(call.services.applications.content(record.id))


async def descriptor(call: Call) -> Response:
    """The AppD, whatever it was written in, as JSON."""
    record, package = onboarded(call)
    chosen = filters.selection(call.request.query_params, ())
    return call.show(filters.select(appd_of(package.appd), chosen), rev=record.rev)


def appd_of(appd: AppD) -> dict[str, Any]:
    """The AppD in the form of the official file: versions in one text, what a connection point inherits once more in
    `inherited_attributes`, and what the file requires also where it is the default."""
    plain: dict[str, Any] = msgspec.to_builtins(appd)
    plain["mecVersion"] = ",".join(appd.mec_version)
    for point in plain.get("appExtCpd", ()):
        own = ("virtualNetworkInterfaceRequirements", "additionalServiceData")
        point["inherited_attributes"] = {name: value for name, value in point.items() if name not in own}
        for data in point.get("additionalServiceData", ()):
            for port in data["portData"]:
                port.setdefault("portConfigurable", False)
    for container in plain.get("osContainerDescriptor", ()):
        container.setdefault("description", container["name"])
    return plain


ZIP = ("application/zip",)


def _resources(root: str, variable: str) -> tuple[Endpoint, ...]:
    one = f"{root}/{{{variable}}}"
    return (
        Endpoint("POST", root, create, "Create an application package", wire.CreateAppPkg, wire.AppPkgInfo, 201),
        Endpoint("GET", root, listing, "List application packages", answer=list[wire.AppPkgInfo], query=LIST_QUERY),
        Endpoint("GET", one, show, "Read an application package", answer=wire.AppPkgInfo),
        Endpoint(
            "PATCH",
            one,
            modify,
            "Enable or disable an application package",
            wire.AppPkgInfoModifications,
            wire.AppPkgInfoModifications,
        ),
        Endpoint("DELETE", one, delete, "Delete an application package", status=204),
        Endpoint("GET", f"{one}/appd", descriptor, "Read the AppD", answer=dict[str, Any]),
        Endpoint("GET", f"{one}/package_content", download, "Download the archive", answer=bytes, produces=ZIP),
        Endpoint("PUT", f"{one}/package_content", upload, "Upload the archive", bytes, status=202, accepts=ARCHIVES),
    )


ROUTES = tuple(endpoint for root, variable in FORMS.items() for endpoint in _resources(root, variable))
