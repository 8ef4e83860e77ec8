"""What the data plane shows of itself."""

from __future__ import annotations

import enum

import msgspec

from skerry.dataplane.connections import Connection, ends_told
from skerry.dataplane.driver import Remembered
from skerry.dataplane.flows import DeviceState, Rule, Track
from skerry.dataplane.intents import Device
from skerry.dataplane.sheets import ARRIVE


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


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that a device remembers; `zone` is the intent."""

    device: str
    zone: str
    connection: Remembered


def zones_of(state: DeviceState) -> dict[int, Rule]:
    """A rule that tracks, for each zone of a device."""
    rules = ((action.zone, rule) for rule in state.rules for action in rule.actions if isinstance(action, Track))
    return {zone: rule for zone, rule in rules if rule.table == ARRIVE}


def connection_of(told: Remembered, now: float) -> Connection:
    """A connection as the reference keeps it, seen now."""
    opened, onward = (ends_told(told.proto, ends) for ends in (told.opened, told.onward))
    return Connection(told.zone, opened, onward, 86_400, now, answered=told.answered)


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device, the engine that serves it, and what is wrong with it, if something is."""

    device: Device
    engine: str
    revision: int
    served: bool
    trouble: str = ""
