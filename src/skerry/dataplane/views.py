"""What the data plane shows of itself."""

from __future__ import annotations

import enum

import msgspec

from skerry.dataplane.flows import Rule
from skerry.dataplane.intents import Device


class RuleState(enum.StrEnum):
    """How far a rule is."""

    REQUESTED = "REQUESTED"  # compiled, not read back
    EFFECTIVE = "EFFECTIVE"  # read back from the device
    VERIFIED = "VERIFIED"  # a probe was seen where it should be, or frames have passed it
    FOREIGN = "FOREIGN"  # on the device, and nobody asked for it


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, its state and its counters. `verified_at` (RFC 3339) is empty until it was."""

    device: str
    rule: Rule
    state: RuleState
    packets: int = 0
    bytes: int = 0
    verified_at: str = ""


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device, the engine that serves it, and what is wrong with it, if something is."""

    device: Device
    engine: str
    revision: int
    served: bool
    trouble: str = ""
