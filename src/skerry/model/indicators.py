"""Indicators of VNFs as recorded (SOL003 clause 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.vnf import Record


class VnfIndicators(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a VNF indicates; the identifier is the VNF's. `supported` is indicator -> its name, `values` what is known of them,
    `told_at` when it was told (RFC 3339)."""

    supported: Mapping[str, str] = {}
    values: Mapping[str, Any] = {}
    told_at: Mapping[str, str] = {}


class Indicator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One indicator of one VNF (VnfIndicator, SOL003 8.5.2.2); `value` is None until somebody tells it."""

    id: str
    vnf: str
    indicator: str
    name: str = ""
    value: Any = None
    told_at: str = ""
