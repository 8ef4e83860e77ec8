"""VNF life-cycle management (SOL003 clause 5): VNF instances and the tasks on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from starlette.responses import Response

from skerry.api import body, filters
from skerry.api.refusals import refuse
from skerry.api.route import LIST_QUERY, Call, Endpoint, Handler
from skerry.api.sol003 import translate
from skerry.api.sol003 import types as wire
from skerry.api.sol003.unserved import UNSERVED
from skerry.api.wire import Links, links
from skerry.errors import InvalidError, NotFoundError
from skerry.model.configuration import shown as masked
from skerry.model.descriptors import DeploymentFlavour
from skerry.model.queries import Condition, Place
from skerry.model.states import InstantiationState
from skerry.model.vnf import VnfInstance, VnfSketch

MAPS = {
    "vnfConfigurableProperties": "vnf_configurable_properties",
    "metadata": "metadata",
    "extensions": "extensions",
}
COLUMNS = {
    "vnfInstanceName": "vnf_instance_name",
    "vnfdId": "vnfd_id",
    "vnfProvider": "vnf_provider",
    "vnfProductName": "vnf_product_name",
    "vnfSoftwareVersion": "vnf_software_version",
    "vnfdVersion": "vnfd_version",
    "instantiationState": "instantiation_state",
}
"""Attributes by which the store itself can filter."""

HIDDEN = ("vnfConfigurableProperties", "vimConnectionInfo", "instantiatedVnfInfo", "metadata", "extensions")


SKETCHED = frozenset(
    {
        "vnfInstanceDescription",
        "vnfConfigurableProperties",
        "metadata",
        "extensions",
        "instantiatedVnfInfo/flavourId",
        "instantiatedVnfInfo/vnfState",
    }
)
"""Attributes that a sketch has as they are shown."""


def sieve_of(terms: Sequence[filters.Term]) -> Callable[[VnfSketch], bool]:
    """Whether terms about such attributes hold for a sketch."""
    heads = {term.path[0] for term in terms}
    instantiated = "instantiatedVnfInfo" in heads
    maps = {name: attribute for name, attribute in MAPS.items() if name in heads}

    def keep(sketch: VnfSketch) -> bool:
        told: dict[str, Any] = {}
        if sketch.vnf_instance_description:
            told["vnfInstanceDescription"] = sketch.vnf_instance_description
        if instantiated and sketch.instantiation_state == InstantiationState.INSTANTIATED:
            told["instantiatedVnfInfo"] = {"flavourId": sketch.flavour_id, "vnfState": sketch.vnf_state}
        for name, attribute in maps.items():
            if value := getattr(sketch, attribute):
                told[name] = masked(value)
        return filters.matches(told, terms)

    return keep


def flavour_of(call: Call, record: VnfInstance) -> DeploymentFlavour | None:
    """The flavour that the instance has, as its package declares it."""
    try:
        package = call.services.catalogue.vnf_package(record.vnf_pkg_id, tenant=call.tenant).package
    except NotFoundError:
        return None
    return package.vnfd.flavours.get(record.flavour_id) if package else None


def render(call: Call, record: VnfInstance) -> wire.VnfInstance:
    """The instance on the wire."""
    return translate.instance(
        record,
        flavour_of(call, record),
        call.services.nfvo.vims(),
        links=_links(call, record),
        version=call.version,
    )


def _links(call: Call, record: VnfInstance) -> Links:
    base = call.href(f"/vnf_instances/{record.id}")
    if record.instantiation_state is InstantiationState.NOT_INSTANTIATED:
        return links(self_=base, instantiate=f"{base}/instantiate")
    return links(
        self_=base,
        terminate=f"{base}/terminate",
        scale=f"{base}/scale" if record.max_scale_levels else "",
        scaleToLevel=f"{base}/scale_to_level" if record.max_scale_levels else "",
        heal=f"{base}/heal",
        operate=f"{base}/operate",
        changeFlavour=f"{base}/change_flavour",
        changeExtConn=f"{base}/change_ext_conn",
        changeCurrentVnfPkg=f"{base}/change_vnfpkg" if call.version > 1 else "",
        createSnapshot=f"{base}/create_snapshot" if call.version > 1 else "",
        revertToSnapshot=f"{base}/revert_to_snapshot" if call.version > 1 else "",
    )


def find(call: Call) -> VnfInstance:
    """The instance of the path."""
    return call.services.vnfm.instance(call.path("vnfInstanceId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make a record; nothing is allocated yet."""
    asked = await call.body(wire.CreateVnfRequest)
    record = await call.services.vnfm.create(
        asked.vnfd_id,
        name=asked.vnf_instance_name,
        description=asked.vnf_instance_description,
        metadata=asked.metadata,
        tenant=call.tenant,
    )
    return call.show(
        render(call, record), rev=record.rev, status=201, location=call.href(f"/vnf_instances/{record.id}")
    )


async def listing(call: Call) -> Response:
    """All instances of the tenant."""
    vims = call.services.nfvo.vims()
    flavours: dict[tuple[str, str], DeploymentFlavour | None] = {}

    early = filters.among(call.terms(), SKETCHED)
    keep = sieve_of(early) if early else None

    def fetch(after: Place, limit: int, conditions: Sequence[Condition]) -> tuple[Sequence[VnfInstance], Place | None]:
        return call.services.vnfm.part(after=after, limit=limit, conditions=conditions, keep=keep, tenant=call.tenant)

    def shown(record: VnfInstance) -> wire.VnfInstance:
        flavour = None
        if record.instantiation_state is InstantiationState.INSTANTIATED:
            key = (record.vnf_pkg_id, record.flavour_id)
            flavour = flavours[key] if key in flavours else flavours.setdefault(key, flavour_of(call, record))
        return translate.instance(record, flavour, vims, links=_links(call, record), version=call.version)

    return await call.paged(fetch, shown, HIDDEN, COLUMNS)


async def show(call: Call) -> Response:
    """One instance."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def delete(call: Call) -> Response:
    """Remove the record."""
    await call.services.vnfm.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


def modification(value: Any, record: VnfInstance) -> dict[str, Any]:
    """A checked merge patch (RFC 7396): a null instead of a map removes everything that is in it."""
    known = body.params(value, wire.VnfInfoModificationRequest)
    for name, attribute in MAPS.items():
        if value.get(name, known) is None:
            known[name] = dict.fromkeys(getattr(record, attribute))
    return known


async def modify(call: Call) -> Response:
    """Change names, properties, metadata: an operation of its own."""
    record = find(call)
    given = modification(await call.json(), record)
    if not given:
        raise InvalidError("cannot modify nothing", suggestion="send at least one attribute")
    return await begin(call, "vnf.modify", record.id, given, call.match)


async def begin(call: Call, kind: str, id: str, params: Any, match: Set[int] | None = None) -> Response:
    """Start an operation and tell where to follow it."""
    operation = await call.services.vnfm.start(kind, id, translate.normal(params), match=match, tenant=call.tenant)
    return call.accepted(call.href(f"/vnf_lcm_op_occs/{operation.id}"))


def checked(verb: str, value: Any, kind: type[Any]) -> dict[str, Any]:
    """The request of an operation as plain values. `InvalidError` for what is wrong in it, or that nothing here obeys."""
    return body.params(refuse(value, UNSERVED.get(verb, {})), kind)


def task(name: str, kind: type[Any]) -> Handler:
    """The handler of one task resource (`POST …/{vnfInstanceId}/{name}`)."""

    async def handler(call: Call) -> Response:
        record = find(call)
        verb = VERBS.get(name, name)
        return await begin(call, f"vnf.{verb}", record.id, checked(verb, await call.json(), kind))

    return handler


ONE = "/vnf_instances/{vnfInstanceId}"
TASKS: dict[str, type[Any]] = {
    "instantiate": wire.InstantiateVnfRequest,
    "scale": wire.ScaleVnfRequest,
    "scale_to_level": wire.ScaleVnfToLevelRequest,
    "operate": wire.OperateVnfRequest,
    "heal": wire.HealVnfRequest,
    "terminate": wire.TerminateVnfRequest,
    "change_flavour": wire.ChangeVnfFlavourRequest,
    "change_ext_conn": wire.ChangeExtVnfConnectivityRequest,
    "change_vnfpkg": wire.ChangeCurrentVnfPkgRequest,
    "create_snapshot": wire.CreateVnfSnapshotRequest,
    "revert_to_snapshot": wire.RevertToVnfSnapshotRequest,
}
VERBS = {"change_vnfpkg": "change_package"}
"""Tasks whose operation has another name inside."""

SINCE = {"change_vnfpkg": 2, "create_snapshot": 2, "revert_to_snapshot": 2}
SUMMARIES = {
    "instantiate": "Instantiate a VNF",
    "scale": "Scale a VNF by steps",
    "scale_to_level": "Scale a VNF to a level",
    "operate": "Start or stop a VNF",
    "heal": "Heal a VNF",
    "terminate": "Terminate a VNF",
    "change_ext_conn": "Change the networks that a VNF is attached to",
    "change_flavour": "Change the deployment flavour of a VNF",
    "change_vnfpkg": "Change the package of a VNF",
    "create_snapshot": "Take a snapshot of a VNF",
    "revert_to_snapshot": "Revert a VNF to a snapshot",
}

ROUTES = (
    Endpoint("POST", "/vnf_instances", create, "Create a VNF instance", wire.CreateVnfRequest, wire.VnfInstance, 201),
    Endpoint("GET", "/vnf_instances", listing, "List VNF instances", answer=list[wire.VnfInstance], query=LIST_QUERY),
    Endpoint("GET", ONE, show, "Read a VNF instance", answer=wire.VnfInstance),
    Endpoint("PATCH", ONE, modify, "Modify a VNF instance", wire.VnfInfoModificationRequest, status=202),
    Endpoint("DELETE", ONE, delete, "Delete a VNF instance", status=204),
    *(
        Endpoint("POST", f"{ONE}/{name}", task(name, kind), SUMMARIES[name], kind, status=202, since=SINCE.get(name, 1))
        for name, kind in TASKS.items()
    ),
)
