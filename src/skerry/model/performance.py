"""Performance management as recorded: PM jobs, thresholds, measured values and reports (SOL003 clause 6, SOL005 clause 7)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.vnf import Record


class ObjectType(enum.StrEnum):
    """What is measured (SOL003 6.2, SOL005 7.2)."""

    VNF = "Vnf"
    VNFC = "Vnfc"
    INT_CP = "VnfIntCp"
    EXT_CP = "VnfExtCp"
    NS = "Ns"
    SAP = "Sap"


class Direction(enum.StrEnum):
    """CrossingDirectionType (SOL003 6.5.4.2)."""

    UP = "UP"
    DOWN = "DOWN"


class PmJob(Record, frozen=True, kw_only=True, omit_defaults=True):
    """PmJob (SOL003 6.5.2.7). `api` is vnfpm or nspm; `objects` are VNFs or NSs; periods are seconds; `boundary` is when
    collection ends (RFC 3339, "" = never). `callback_uri` is "" for a job of version 1, whose subscribers are told."""

    api: str
    object_type: ObjectType
    objects: tuple[str, ...]
    sub_objects: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    collection_s: int
    reporting_s: int
    boundary: str = ""
    callback_uri: str = ""


class Threshold(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Threshold (SOL003 6.5.2.9) of type SIMPLE. `object` is a VNF or NS."""

    api: str
    object_type: ObjectType
    object: str
    sub_objects: tuple[str, ...] = ()
    metric: str
    value: float
    hysteresis: float
    callback_uri: str = ""


class Value(msgspec.Struct, frozen=True, array_like=True):
    """One measured value: of which object and part of it ("" = the whole), which metric, when (RFC 3339)."""

    object_type: ObjectType
    object: str
    sub_object: str
    metric: str
    at: str
    value: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a report without its values. Times are RFC 3339."""

    id: str
    job: str
    ready_at: str
    expires_at: str
    size_bytes: int


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold was crossed."""

    threshold: Threshold
    sub_object: str
    direction: Direction
    value: float


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a VNFC used by now, at one moment (seconds of the node's clock). `vcpus`, `memory_bytes` and `storage_bytes` are
    what it may use; `counters` is None where it does not run."""

    id: str
    vnf: str
    vnf_name: str
    vnfc: str
    vim: str
    at: float
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    counters: Mapping[str, Any] | None = None
