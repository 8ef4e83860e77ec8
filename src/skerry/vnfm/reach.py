"""What a VNF may be attached to: networks of the infrastructure, and those that instances of its own tenant brought."""

from __future__ import annotations

from skerry.errors import Fault, InvalidError
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.vnfm.goal import Goal
from skerry.vnfm.naming import instance_prefix


def require_networks(source: Database | Transaction, instance: VnfInstance, goal: Goal) -> None:
    """`InvalidError` where a network is new to the instance and belongs to instances of other tenants; it says no more than
    of one that is not there."""
    pairs = (
        ("/extVirtualLinks", instance.ext_links, goal.ext_links),
        ("/extManagedVirtualLinks", instance.managed_links, goal.managed_links),
    )
    faults = [
        Fault(message=f"there is no network {network}", path=path, code="network")
        for path, held, wished in pairs
        for network in sorted({link.network for link in wished.values()} - {link.network for link in held.values()})
        if _is_of_others(source, network, instance.tenant)
    ]
    if faults:
        raise InvalidError(
            "cannot attach: " + "; ".join(fault.message for fault in faults),
            faults=faults,
            suggestion="name a network of the infrastructure, or of an instance of yours",
        )


def _is_of_others(source: Database | Transaction, network: str, tenant: str) -> bool:
    prefix = instance_prefix(network)
    if prefix == "-":
        return False
    owners = [
        *(one.tenant for one in aggregates.vnf_instances.starting(source, prefix)),
        *(one.tenant for one in aggregates.ns_instances.starting(source, prefix)),
    ]
    return bool(owners) and tenant not in owners
