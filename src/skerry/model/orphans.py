"""Orphans: what infrastructure and records disagree about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Orphan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One disagreement. `what` is "unowned" (this node made it and nobody records it), "missing" (recorded, does not exist) or
    "foreign" (somebody else made it)."""

    what: Literal["unowned", "missing", "foreign"]
    vim: str
    kind: str
    name: str
    instance: str = ""  # the owner by label, or by record
    key: str = ""  # the resource key, where it is known
    adoptable: bool = False
    node: str = ""  # the other Skerry node that a foreign one belongs to, "" = no label of ours
    state: str = ""  # of a foreign one, in its infrastructure's words

    @property
    def ways(self) -> tuple[str, ...]:
        """What can be done about it."""
        if self.what == "missing":
            return ("recreate",) if self.kind == "compute" else ()
        return ("adopt", "delete") if self.adoptable else ("delete",)


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The orphans, the VIMs that could not be asked (id → why), and what others made on the VIMs: that is no disagreement, but
    a node is the sole controller of few infrastructures."""

    orphans: tuple[Orphan, ...]
    unanswered: Mapping[str, str]
    foreign: tuple[Orphan, ...] = ()
