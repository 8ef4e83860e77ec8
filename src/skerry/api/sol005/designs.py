"""Data types of updates to another flavour or version of the NSD (SOL005 clause 6.5.3)."""

from __future__ import annotations

from skerry.api.sol003.types import Identifier
from skerry.api.wire import Wire


class ChangeNsFlavourData(Wire, frozen=True, kw_only=True):
    """ChangeNsFlavourData (6.5.3.39)."""

    new_ns_flavour_id: Identifier
    instantiation_level_id: str | None = None


class AssocNewNsdVersionData(Wire, frozen=True, kw_only=True):
    """AssocNewNsdVersionData (6.5.3.34). Without `sync` the NS stays as it is."""

    new_nsd_id: Identifier
    sync: bool | None = None
