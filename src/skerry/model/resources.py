"""The resource graph of an instance: what it shall have and what it has, by key.

A key is stable for the life of the instance (`network:sip`, `compute:server-0`), so that a plan is the difference of two
graphs and a driver's names follow from instance and key.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec


class ResourceState(enum.StrEnum):
    """What is known of a recorded resource."""

    PLANNED = "PLANNED"  # its creation was journalled, the effect may or may not be there
    PRESENT = "PRESENT"
    FAILED = "FAILED"  # found broken or gone; healing replaces it


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resource as it shall be. `kind` selects the step handlers.

    `needs` are keys that it is built on: they exist before it, go after it, and their replacement replaces it too.
    `after` are keys that only come first (a start order). A change of a spec field named in `in_place` is an update;
    a change of any other replaces the resource; one named in `quiet` is no change at all.
    """

    key: str
    kind: str
    spec: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    note: str = ""
    timeout_s: float = 300.0


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resource as recorded. `outputs` is what its creation returned (id, addresses …)."""

    key: str
    kind: str
    spec: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    state: ResourceState = ResourceState.PRESENT
    outputs: Mapping[str, Any] = {}
    created_at: str = ""
    note: str = ""


Graph = Mapping[str, Wanted]
Recorded = Mapping[str, Resource]
