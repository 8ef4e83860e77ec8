"""What an NS operation does to the VNFs and forwarding graphs of its NS, as its plan remembers it: a VNF that is gone is told
of as well as one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

VNFS, GRAPHS = "vnfs", "graphs"
"""Where the outcome of a plan has them."""

VERBS: Mapping[str, str] = {
    "vnf.operate": "OPERATE",
    "vnf.modify": "MODIFY_INFORMATION",
    "vnf.change_flavour": "CHANGE_FLAVOUR",
    "vnf.change_ext_conn": "CHANGE_EXTERNAL_VNF_CONNECTIVITY",
    "vnf.change_package": "CHANGE_VNFPKG",
    "vnf.scale": "SCALE",
    "vnf.scale_to_level": "SCALE",
    "vnf.heal": "HEAL",
    "vnf.revert_to_snapshot": "HEAL",  # the standard has no word of its own; it brings a working state back
}
"""Operation on a member -> changeType of AffectedVnf (SOL005 6.5.3.2). A snapshot that is taken changes nothing."""


class VnfChange(msgspec.Struct, frozen=True, kw_only=True):
    """AffectedVnf (SOL005 6.5.3.2) without its result, which the operation's state says."""

    vnf_instance_id: str
    vnfd_id: str
    profile: str
    name: str
    change_type: str
    changed: Mapping[str, Any] = {}  # what a modification says


class GraphChange(msgspec.Struct, frozen=True, kw_only=True):
    """AffectedVnffg (SOL005 6.5.3.5) without its result. VNFFG and VNFFGD have one identifier."""

    id: str
    change_type: Literal["ADD", "DELETE", "MODIFY"]


def vnfs_in(outcome: Mapping[str, Any]) -> tuple[VnfChange, ...]:
    """Those that a plan's outcome has."""
    return msgspec.convert(outcome.get(VNFS, ()), tuple[VnfChange, ...])


def graphs_in(outcome: Mapping[str, Any]) -> tuple[GraphChange, ...]:
    """Those that a plan's outcome has."""
    return msgspec.convert(outcome.get(GRAPHS, ()), tuple[GraphChange, ...])
