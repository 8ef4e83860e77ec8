"""What an operation does to nested network services, as the outcome of its plan has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

OUTCOME = "nested"
"""Where the outcome of a plan has the nested NSs that it touches."""


class NestedChange(msgspec.Struct, frozen=True, kw_only=True):
    """AffectedNs (SOL005 6.5.3.6) without its result, which the operation's state says."""

    ns_instance_id: str
    nsd_id: str
    change_type: str


def changes_in(outcome: Mapping[str, Any]) -> tuple[NestedChange, ...]:
    """Those that a plan's outcome has."""
    return msgspec.convert(outcome.get(OUTCOME, ()), tuple[NestedChange, ...])
