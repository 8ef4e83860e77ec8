"""Our own API: VNF packages and NSDs in one list, with what their flavours offer."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.own.applications import view_package
from skerry.api.route import Call, Endpoint
from skerry.client.views import FlavourView, PackageView, SignatureView
from skerry.errors import NotFoundError
from skerry.model.descriptors import DeploymentFlavour, NsDeploymentFlavour, PackageSignature
from skerry.model.ns import NsdInfo
from skerry.model.vnf import VnfPkgInfo


def view_vnf_package(record: VnfPkgInfo) -> PackageView:
    """A VNF package."""
    vnfd = record.package.vnfd if record.package else None
    return PackageView(
        id=record.id,
        kind="vnf",
        name=(vnfd.product_name or vnfd.name) if vnfd else "",
        version=vnfd.version if vnfd else "",
        provider=vnfd.provider if vnfd else "",
        descriptor=vnfd.id if vnfd else "",
        onboarding_state=record.onboarding_state,
        operational_state=record.operational_state,
        usage_state=record.usage_state,
        size_bytes=record.size_bytes,
        created_at=record.created_at,
        default_flavour=(vnfd.default_flavour or next(iter(vnfd.flavours), "")) if vnfd else "",
        flavours={id: _vnf_flavour(flavour) for id, flavour in vnfd.flavours.items()} if vnfd else {},
        user_defined_data=record.user_defined_data,
        problem=record.problem,
        signature=_signature(record.package.signature) if record.package else None,
    )


def _signature(found: PackageSignature) -> SignatureView:
    return SignatureView(option=found.option, signer=found.signer, verified=found.verified, warning=found.warning)


def _vnf_flavour(flavour: DeploymentFlavour) -> FlavourView:
    return FlavourView(
        levels=list(flavour.instantiation_levels),
        default_level=flavour.default_instantiation_level_id,
        aspects={id: aspect.max_scale_level for id, aspect in flavour.scaling_aspects.items()},
        inputs={name: parameter.type for name, parameter in flavour.inputs.items()},
        parts=list(flavour.vdus),
    )


def view_nsd(record: NsdInfo) -> PackageView:
    """An NSD."""
    nsd = record.package.nsd if record.package else None
    return PackageView(
        id=record.id,
        kind="ns",
        name=nsd.name if nsd else "",
        version=nsd.version if nsd else "",
        provider=nsd.designer if nsd else "",
        descriptor=nsd.id if nsd else "",
        onboarding_state=record.onboarding_state,
        operational_state=record.operational_state,
        usage_state=record.usage_state,
        size_bytes=record.size_bytes,
        created_at=record.created_at,
        default_flavour=(nsd.default_flavour or next(iter(nsd.flavours), "")) if nsd else "",
        flavours={id: _ns_flavour(flavour) for id, flavour in nsd.flavours.items()} if nsd else {},
        user_defined_data=record.user_defined_data,
        problem=record.problem,
        signature=_signature(record.package.signature) if record.package else None,
    )


def _ns_flavour(flavour: NsDeploymentFlavour) -> FlavourView:
    return FlavourView(
        levels=list(flavour.levels),
        default_level=flavour.default_level_id,
        aspects={id: aspect.max_scale_level for id, aspect in flavour.scaling_aspects.items()},
        inputs={name: parameter.type for name, parameter in flavour.inputs.items()},
        parts=list(flavour.vnf_profiles),
    )


def everything(call: Call) -> list[PackageView]:
    """All packages of the tenant; what was made of an application package for the NFVO is part of that."""
    catalogue = call.services.catalogue
    packages = call.services.applications.packages(tenant=call.tenant)
    inside = {id for one in packages for id in ("" if one.master else one.vnf_pkg_id, one.nsd_info_id)}
    vnfs = [
        view_vnf_package(record) for record in catalogue.vnf_packages(tenant=call.tenant) if record.id not in inside
    ]
    nsds = [view_nsd(record) for record in catalogue.nsds(tenant=call.tenant) if record.id not in inside]
    return [*vnfs, *nsds, *(view_package(record) for record in packages)]


async def listing(call: Call) -> Response:
    """VNF packages, NSDs and application packages."""
    return call.listed(everything(call), lambda view: view)


async def show(call: Call) -> Response:
    """One of them."""
    wanted = call.path("packageId")
    found = next((view for view in everything(call) if view.id == wanted), None)
    if found is None:
        raise NotFoundError(
            f"cannot find the package {wanted}", suggestion="`skerry package list` shows those there are"
        )
    return call.show(found)


ROUTES = (
    Endpoint("GET", "/packages", listing, "List VNF packages, NSDs and application packages", answer=list[PackageView]),
    Endpoint("GET", "/packages/{packageId}", show, "Read a package", answer=PackageView),
)
