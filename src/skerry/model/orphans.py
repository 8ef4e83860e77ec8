"""Orphans: what infrastructure and records disagree about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Orphan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One disagreement. `what` is "unowned" (exists, nobody records it) or "missing" (recorded, does not exist)."""

    what: Literal["unowned", "missing"]
    vim: str
    kind: str
    name: str
    instance: str = ""  # the owner by label, or by record
    key: str = ""  # the resource key, where it is known
    adoptable: bool = False

    @property
    def ways(self) -> tuple[str, ...]:
        """What can be done about it."""
        if self.what == "missing":
            return ("recreate",) if self.kind == "compute" else ()
        return ("adopt", "delete") if self.adoptable else ("delete",)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The orphans, and the VIMs that could not be asked (id → why)."""

    orphans: tuple[Orphan, ...]
    unanswered: Mapping[str, str]
