"""Data types of nested NSs on the wire (SOL005 clause 6.5.3)."""

from __future__ import annotations

from skerry.api.sol003.types import Identifier
from skerry.api.wire import KeyValuePairs, Wire


class NestedNsInstanceData(Wire, frozen=True, kw_only=True):
    """NestedNsInstanceData (6.5.3.19a): an existing NS to use as a nested one."""

    nested_ns_instance_id: Identifier
    ns_profile_id: str | None = None


class ParamsForNestedNs(Wire, frozen=True, kw_only=True):
    """ParamsForNestedNs (6.5.3.21a): `additionalParamsForNs` of the nested NSs that are made of a profile."""

    ns_profile_id: Identifier
    additional_param: list[KeyValuePairs] | None = None
