"""Shortages of resources, quotas of tenants, and what counts towards them."""

from __future__ import annotations

import msgspec

from skerry.model.quotas import Claim, Needed, Shortage, TenantQuota
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection, rows

shortages = Collection("quota_shortages", Shortage, "shortage", {"vim": lambda doc: doc.vim})
tenant_quotas = Collection("tenant_quotas", TenantQuota, "quota of the tenant")
claims = Collection("quota_claims", Claim, "claim")


class _Spec(msgspec.Struct):
    """What quotas need of the specification of a resource."""

    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0


class _Resource(msgspec.Struct):
    """What quotas need of a recorded resource."""

    kind: str
    spec: _Spec


class _Vnf(msgspec.Struct):
    """What quotas need of a recorded VNF."""

    id: str
    resources: dict[str, _Resource] = {}


_vnf = msgspec.json.Decoder(_Vnf, strict=False).decode


def allocated(source: Transaction | Database, tenant: str) -> dict[str, dict[str, Needed]]:
    """VNF -> VNFC -> what it has, of all VNFs of a tenant that are recorded with resources here."""
    found: dict[str, dict[str, Needed]] = {}
    for (doc,) in rows(source, "SELECT doc FROM vnf_instances WHERE tenant = ?", (tenant,)):
        vnf = _vnf(doc)
        vnfcs = {
            key.removeprefix("compute:"): Needed(
                vcpus=one.spec.vcpus,
                memory_bytes=one.spec.memory_bytes,
                storage_bytes=one.spec.storage_bytes,
                instances=1,
            )
            for key, one in vnf.resources.items()
            if one.kind == "compute"
        }
        if vnfcs:
            found[vnf.id] = vnfcs
    return found
