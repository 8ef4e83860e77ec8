"""Data types of updates to another flavour or version of the NSD, and to another NS (SOL005 clause 6.5.3)."""

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


class MoveVnfInstanceData(Wire, frozen=True, kw_only=True):
    """MoveVnfInstanceData (6.5.3.35)."""

    target_ns_instance_id: Identifier
    vnf_instance_id: list[Identifier] | None = None
