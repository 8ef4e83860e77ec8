"""Grants (SOL003 clause 9): VNF managers of others ask before they allocate."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import body
from skerry.api.refusals import Unserved, below, refuse
from skerry.api.route import Api, Call, Endpoint
from skerry.api.sol003 import translate
from skerry.api.sol003.types import VimConnectionInfo
from skerry.api.wire import KeyValuePairs, Link, Links, Wire, links
from skerry.model.grants import Asked, Definition, GrantRecord, Together

Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
Operation = Literal[
    "INSTANTIATE",
    "SCALE",
    "SCALE_TO_LEVEL",
    "CHANGE_FLAVOUR",
    "TERMINATE",
    "HEAL",
    "OPERATE",
    "CHANGE_EXT_CONN",
    "CREATE_SNAPSHOT",
    "REVERT_TO_SNAPSHOT",
    "CHANGE_VNFPKG",
]


_RESOURCE: Unserved = {
    "snapshotResDef": "what comes of a snapshot is placed by its VNF manager",
}
UNSERVED = {path: why for part in ("addResources", "tempResources") for path, why in below(part, _RESOURCE).items()}


class Resource(Wire, frozen=True, kw_only=True):
    """ResourceHandle (4.4.1.7). What it says besides the place decides nothing."""

    resource_id: str = ""
    vim_connection_id: str | None = None
    resource_provider_id: str | None = None
    vim_level_resource_type: str | None = None


class ResourceDefinition(Wire, frozen=True, kw_only=True):
    """ResourceDefinition (9.5.3.2). In V2.6.1 `resourceTemplateId` is optional where there is a VDU. Of a connection point the
    second template, and of which of two VNFDs a resource is, decide nothing: it is placed with its VDU."""

    id: Identifier
    type: Literal["COMPUTE", "VL", "STORAGE", "LINKPORT", "OSCONTAINER"]
    vdu_id: str | None = None
    resource_template_id: str | list[str] | None = None
    secondary_resource_template_id: str | None = None
    vnfd_id: str | None = None
    snapshot_res_def: KeyValuePairs | None = None
    resource: Resource | None = None


class RequestLinks(Wire, frozen=True, kw_only=True):
    """Links of a request."""

    vnf_lcm_op_occ: Link
    vnf_instance: Link


class ConstraintResource(Wire, frozen=True, kw_only=True):
    """ConstraintResourceRef (9.5.3.7). `resource_id` is that of a definition of the request (GRANT) or of a VIM (RES_MGMT)."""

    id_type: Literal["RES_MGMT", "GRANT"]
    resource_id: Identifier
    vim_connection_id: str | None = None
    resource_provider_id: str | None = None


class PlacementConstraint(Wire, frozen=True, kw_only=True):
    """PlacementConstraint (9.5.3.6)."""

    affinity_or_anti_affinity: Literal["AFFINITY", "ANTI_AFFINITY"]
    scope: Literal["NFVI_POP", "ZONE", "ZONE_GROUP", "NFVI_NODE"]
    resource: list[ConstraintResource]
    fallback_best_effort: bool = False


class VimConstraint(Wire, frozen=True, kw_only=True):
    """VimConstraint (9.5.3.6a): one VIM for all. A VIM has one resource group."""

    resource: list[ConstraintResource]
    same_resource_group: bool = False


class GrantRequest(Wire, frozen=True, kw_only=True):
    """GrantRequest (9.5.2.2)."""

    vnf_instance_id: Identifier
    vnf_lcm_op_occ_id: Identifier
    vnfd_id: Identifier
    operation: Operation
    is_automatic_invocation: bool
    links: RequestLinks = msgspec.field(name="_links")
    dst_vnfd_id: Identifier | None = None
    flavour_id: str | None = None
    instantiation_level_id: str | None = None
    add_resources: list[ResourceDefinition] = []
    temp_resources: list[ResourceDefinition] = []
    remove_resources: list[ResourceDefinition] = []
    update_resources: list[ResourceDefinition] = []
    placement_constraints: list[PlacementConstraint] = []
    vim_constraints: list[VimConstraint] = []
    additional_params: KeyValuePairs | None = None


class GrantInfo(Wire, frozen=True, kw_only=True):
    """GrantInfo (9.5.3.3)."""

    resource_definition_id: str
    vim_connection_id: str | None = None


class Grant(Wire, frozen=True, kw_only=True):
    """Grant (9.5.2.3). `vimConnections` is the name of `vimConnectionInfo` in V2.6.1."""

    id: str
    vnf_instance_id: str
    vnf_lcm_op_occ_id: str
    links: Links = msgspec.field(name="_links")
    vim_connection_info: dict[str, VimConnectionInfo] | None = None
    vim_connections: list[VimConnectionInfo] | None = None
    add_resources: list[GrantInfo] | None = None
    temp_resources: list[GrantInfo] | None = None
    remove_resources: list[GrantInfo] | None = None
    update_resources: list[GrantInfo] | None = None


def _asked(request: GrantRequest) -> Asked:
    return Asked(
        vnf_instance_id=request.vnf_instance_id,
        vnf_lcm_op_occ_id=request.vnf_lcm_op_occ_id,
        vnfd_id=request.dst_vnfd_id or request.vnfd_id,
        operation=request.operation,
        flavour_id=request.flavour_id or "",
        add=_definitions(request.add_resources),
        temporary=_definitions(request.temp_resources),
        remove=_definitions(request.remove_resources),
        update=_definitions(request.update_resources),
        together=(
            *(
                _together(one.resource, one.scope, one.affinity_or_anti_affinity, best_effort=one.fallback_best_effort)
                for one in request.placement_constraints
            ),
            *(_together(one.resource, "NFVI_POP", "AFFINITY") for one in request.vim_constraints),
        ),
    )


def _together(resources: list[ConstraintResource], scope: str, kind: str, *, best_effort: bool = False) -> Together:
    return Together(
        scope=scope,
        anti=kind == "ANTI_AFFINITY",
        new=tuple(one.resource_id for one in resources if one.id_type == "GRANT"),
        there={one.resource_id: one.vim_connection_id or "" for one in resources if one.id_type == "RES_MGMT"},
        best_effort=best_effort,
    )


def _definitions(given: list[ResourceDefinition]) -> tuple[Definition, ...]:
    return tuple(
        Definition(
            id=one.id,
            type=one.type,
            template=_template(one.resource_template_id),
            vdu=one.vdu_id or "",
            vim=(one.resource.vim_connection_id or "") if one.resource else "",
        )
        for one in given
    )


def _template(given: str | list[str] | None) -> str:
    return given if isinstance(given, str) else next(iter(given or ()), "")


def render(call: Call, record: GrantRecord) -> Grant:
    """The grant on the wire: where each resource goes, and how the VNFM reaches what it needs there."""
    used = set(record.places.values())
    vims = {vim.id: translate.connection(vim) for vim in call.services.nfvo.vims() if vim.id in used}
    asked = record.asked
    return Grant(
        id=record.id,
        vnf_instance_id=asked.vnf_instance_id,
        vnf_lcm_op_occ_id=asked.vnf_lcm_op_occ_id,
        links={**links(self_=call.href(f"/grants/{record.id}")), **msgspec.convert(record.links, dict[str, Link])},
        vim_connection_info=vims or None,
        vim_connections=translate.listed(vims) or None,
        add_resources=_infos(record, asked.add),
        temp_resources=_infos(record, asked.temporary),
        remove_resources=_infos(record, asked.remove),
        update_resources=_infos(record, asked.update),
    )


def _infos(record: GrantRecord, definitions: tuple[Definition, ...]) -> list[GrantInfo] | None:
    return [
        GrantInfo(resource_definition_id=one.id, vim_connection_id=record.places.get(one.id)) for one in definitions
    ] or None


async def request(call: Call) -> Response:
    """Decide at once (synchronous mode): 201 with the grant, 403 where it is refused."""
    given = body.convert(refuse(await call.json(), UNSERVED), GrantRequest)
    record = await call.services.grants.grant(_asked(given), msgspec.to_builtins(given.links), tenant=call.tenant)
    made = render(call, record)
    return call.show(made, status=201, location=made.links["self"].href)


async def show(call: Call) -> Response:
    """A grant that was given."""
    return call.show(render(call, call.services.grants.grant_of(call.path("grantId"), tenant=call.tenant)))


API = Api(
    "grant",
    "SOL003 VNF life-cycle operation granting",
    {1: "1.4.0"},
    (
        Endpoint("POST", "/grants", request, "Ask for a grant", GrantRequest, Grant, 201),
        Endpoint("GET", "/grants/{grantId}", show, "Read a grant", answer=Grant),
    ),
)
