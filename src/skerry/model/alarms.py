"""Alarms as recorded (SOL003 7.5.2.4, SOL005 8.5.2.4). Enum values are ETSI's literals."""

from __future__ import annotations

import enum

import msgspec

from skerry.model.vnf import Record


class Scope(enum.StrEnum):
    """Whose alarm it is: that of a VNF, the one that follows from it for the NS that the VNF is a member of, or that of a host,
    which no API of ETSI knows."""

    VNF = "VNF"
    NS = "NS"
    HOST = "HOST"


class Severity(enum.StrEnum):
    """PerceivedSeverityType (SOL003 7.5.4.3), the worst first."""

    CRITICAL = "CRITICAL"
    MAJOR = "MAJOR"
    MINOR = "MINOR"
    WARNING = "WARNING"
    INDETERMINATE = "INDETERMINATE"
    CLEARED = "CLEARED"


class EventType(enum.StrEnum):
    """EventType (SOL003 7.5.4.5)."""

    COMMUNICATIONS_ALARM = "COMMUNICATIONS_ALARM"
    PROCESSING_ERROR_ALARM = "PROCESSING_ERROR_ALARM"
    ENVIRONMENTAL_ALARM = "ENVIRONMENTAL_ALARM"
    QOS_ALARM = "QOS_ALARM"
    EQUIPMENT_ALARM = "EQUIPMENT_ALARM"


class AckState(enum.StrEnum):
    """Whether somebody said that he knows of it (SOL003 7.5.2.4)."""

    UNACKNOWLEDGED = "UNACKNOWLEDGED"
    ACKNOWLEDGED = "ACKNOWLEDGED"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, in the standard's words and in ours. Two looks at one fault give equal causes."""

    event_type: EventType
    fault_type: str
    probable_cause: str
    severity: Severity


class Faulty(msgspec.Struct, frozen=True, kw_only=True):
    """The broken resource: its owner, its key in the owner's resource graph, and how its VIM calls it. `above` are the NSs in
    which the NS of the VNF is nested, each with the one directly inside it."""

    vnf_id: str
    key: str
    tenant: str = ""
    ns_id: str = ""
    vim: str = ""
    resource_id: str = ""
    above: tuple[tuple[str, str], ...] = ()


class Alarm(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One alarm, standing or over. Times are RFC 3339, "" = it has not happened.

    `managed_object` is the VNF or NS, `nested` the NS inside it that is affected, "" where the VNF is its own member.
    `proposed` is the severity that somebody gave it, in place of its cause's. `root` is the alarm that it follows from ("" = it
    is the root cause itself); `correlated` are the alarms that follow from it, or that it follows from.
    """

    scope: Scope
    managed_object: str
    faulty: Faulty
    cause: Cause
    raised_at: str
    event_at: str
    changed_at: str = ""
    cleared_at: str = ""
    acknowledged_at: str = ""
    ack_state: AckState = AckState.UNACKNOWLEDGED
    root: str = ""
    correlated: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    nested: str = ""
    proposed: Severity | None = None

    @property
    def severity(self) -> Severity:
        """As perceived now: an alarm that is over is CLEARED."""
        return Severity.CLEARED if self.cleared_at else self.rated

    @property
    def rated(self) -> Severity:
        """As perceived while it stands."""
        return self.proposed or self.cause.severity

    @property
    def standing(self) -> str:
        """ "yes" while it is not cleared (a column of the store)."""
        return "" if self.cleared_at else "yes"
