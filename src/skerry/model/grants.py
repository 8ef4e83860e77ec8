"""Grants for VNF managers of others, as recorded (SOL003 clause 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.quotas import Needed
from skerry.model.vnf import Record

TYPES = ("COMPUTE", "VL", "STORAGE", "LINKPORT", "OSCONTAINER")


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """ResourceDefinition (9.5.3.2): one resource that the VNFM asks for. `template` is its node in the VNFD, `vdu` the VDU
    that it is of; `vim` where it is already."""

    id: str
    type: str
    template: str = ""
    vdu: str = ""
    vim: str = ""


class Together(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """PlacementConstraint (9.5.3.6) or VimConstraint (9.5.3.6a): resources that shall be together, or apart (`anti`). `new` are
    those of the request, by their definitions; `there` others, resource -> VIM connection. With `best_effort` it is a wish."""

    scope: str
    anti: bool = False
    new: tuple[str, ...] = ()
    there: Mapping[str, str] = {}
    best_effort: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """GrantRequest (9.5.2.2), reduced to what decides."""

    vnf_instance_id: str
    vnf_lcm_op_occ_id: str
    vnfd_id: str
    operation: str
    flavour_id: str = ""
    add: tuple[Definition, ...] = ()
    temporary: tuple[Definition, ...] = ()
    remove: tuple[Definition, ...] = ()
    update: tuple[Definition, ...] = ()
    together: tuple[Together, ...] = ()


class GrantRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Grant (9.5.2.3): where each resource goes (definition -> VIM connection). `links` are those of the request; `takes` and
    `gives` what quotas count, `vnf` the VNF of this node that its manager asks for ("" = one of its own)."""

    asked: Asked
    places: Mapping[str, str] = {}
    links: Mapping[str, Any] = {}
    takes: Needed = Needed()
    gives: Needed = Needed()
    vnf: str = ""
