"""NFVI capacity as recorded and measured (SOL005 clause 10)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skerry.model.vnf import Record

MIB, GIB = 1 << 20, 1 << 30


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """NfviCapacityMeasurement (10.5.2.6): one kind of capacity of a VIM. The standard names no measurements; ours are
    `vcpus` (cores), `memory` (MiB), `storage` (GiB) and `instances` (a count)."""

    type: str
    name: str
    unit: str
    total: float
    allocated: float

    @property
    def available(self) -> float:
        """What is left."""
        return self.total - self.allocated

    def of(self, kind: str) -> float:
        """The value of a capacityType (10.5.3.2). Nothing is ever reserved."""
        values: Mapping[str, float] = {
            "TOTAL": self.total,
            "ALLOCATED": self.allocated,
            "AVAILABLE": self.available,
            "RESERVED": 0.0,
        }
        return values[kind]


class CapacityInfo(msgspec.Struct, frozen=True, kw_only=True):
    """NfviCapacityInfo (10.5.2.4) of a VIM now. `created_at` is when it was measured (RFC 3339)."""

    id: str
    zone: str
    created_at: str
    measurements: tuple[Measurement, ...]


class CapacityThreshold(Record, frozen=True, kw_only=True, omit_defaults=True):
    """CapacityThreshold (10.5.2.7) of type SIMPLE on a VIM. `crossed` is the direction told last ("" = none yet)."""

    vim: str
    type: str
    name: str
    kind: str
    value: float
    hysteresis: float
    callback_uri: str
    crossed: str = ""


def direction(threshold: CapacityThreshold, value: float) -> str:
    """UP or DOWN when the value has crossed the threshold since it was told last, by at least the hysteresis on the way back;
    "" otherwise. A value that starts above the threshold has not crossed it."""
    if threshold.crossed != "DOWN" and value < threshold.value - (threshold.hysteresis if threshold.crossed else 0):
        return "DOWN"
    if threshold.crossed == "DOWN" and value >= threshold.value + threshold.hysteresis:
        return "UP"
    return ""
