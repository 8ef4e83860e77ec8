"""Quotas of tenants, and shortages: what was refused for want of room, as recorded until there is room again (SOL003 clause
11)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec

from skerry.model.vnf import Record


class ResourceType(enum.StrEnum):
    """What a quota is of (SOL003 11.5.3.2)."""

    COMPUTE = "COMPUTE"
    STORAGE = "STORAGE"
    NETWORK = "NETWORK"


class Needed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much room was asked for: whole vCPUs, bytes, counts."""

    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    instances: int = 0


AMOUNTS = Needed.__struct_fields__
"""What `Needed` counts."""


def total(parts: Iterable[Needed]) -> Needed:
    """All of these together."""
    known = list(parts)
    return Needed(
        vcpus=sum(one.vcpus for one in known),
        memory_bytes=sum(one.memory_bytes for one in known),
        storage_bytes=sum(one.storage_bytes for one in known),
        instances=sum(one.instances for one in known),
    )


def beyond(wanted: Needed, there: Needed) -> Needed:
    """What is wanted more than there is."""
    more = {name: max(0, getattr(wanted, name) - getattr(there, name)) for name in AMOUNTS}
    return msgspec.convert(more, Needed)


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that a tenant may have; None = as much as there is. `instances` are VNFCs, `ns` network services that are no
    part of something else, `apps` edge applications."""

    vcpus: float | None = None
    memory_bytes: int | None = None
    storage_bytes: int | None = None
    instances: int | None = None
    ns: int | None = None
    apps: int | None = None


class TenantUsage(Needed, frozen=True, kw_only=True, omit_defaults=False):
    """What a tenant has, and what was granted to operations that have not made it yet."""

    ns: int = 0
    apps: int = 0


class TenantQuota(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of a tenant; its identifier is the tenant's name."""

    limits: Limits = Limits()


class Claim(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What was granted to an operation (its identifier): VNFC (or part of an NS) -> amount. It counts, as far as it was not
    made, until the operation is over; what `parent` got is for what it starts."""

    subject: str
    takes: Mapping[str, Needed]
    parent: str = ""


class Shortage(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant was refused resources of a type on a VIM, or by its quota ("")."""

    vim: str
    type: ResourceType
    needed: Needed
