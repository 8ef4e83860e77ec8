"""Shortages: what was refused for want of room, as recorded until there is room again (SOL003 clause 11)."""

from __future__ import annotations

import enum

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


class Shortage(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant was refused resources of a type on a VIM."""

    vim: str
    type: ResourceType
    needed: Needed
