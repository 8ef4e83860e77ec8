"""Which network service a VNF is part of: what belongs to one is not removed behind its back."""

from __future__ import annotations

from skerry.errors import ConflictError
from skerry.model.saps import reserved
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.store.database import Database, Transaction


def ns_of(source: Database | Transaction, vnf: VnfInstance) -> str:
    """The NS that made this VNF or has taken it in; "" when it stands alone."""
    if vnf.ns_id and aggregates.ns_instances.find(source, vnf.ns_id):
        return vnf.ns_id
    for ns in aggregates.ns_instances.select(source, tenant=vnf.tenant):
        for resource in ns.resources.values():
            named = (resource.spec.get("existing"), resource.outputs.get("vnf_instance_id"))
            if resource.kind == "member" and vnf.id in named:
                return ns.id
    return ""


def reserved_from(source: Database | Transaction, vnf: VnfInstance) -> dict[str, list[str]]:
    """Network -> the addresses on it that the NS of a VNF keeps for whoever is connected at its access points."""
    ns = aggregates.ns_instances.find(source, vnf.ns_id) if vnf.ns_id else None
    if ns is None or not ns.saps:
        return {}
    networks = {key: one for key, one in ns.resources.items() if one.kind == "network"}
    return reserved(ns.saps, {one.spec["name"]: key.split(":")[1].partition("@")[0] for key, one in networks.items()})


def require_alone(source: Database | Transaction, vnf: VnfInstance, verb: str, *, within: str = "") -> None:
    """`ConflictError` names the NS that the VNF is part of, unless it is `within` that one's own operation."""
    ns = ns_of(source, vnf)
    if ns and ns != within:
        raise ConflictError(
            f"cannot {verb} VNF {vnf.id}: it is part of NS {ns}",
            suggestion="remove it from the NS (update it with REMOVE_VNF), or terminate the NS",
        )
