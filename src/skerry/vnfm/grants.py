"""Grants: the VNFM asks before it allocates (SOL003 clause 9). It holds no credentials of any VIM; the answer names where.

The circle of ETSI (the NFVO calls the VNFM, the VNFM asks for grants) is cut here: whoever fits `Granter` may answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from skerry.model.operations import Verdict


class ResourceRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One VNFC to place: what it takes, which links it is on, and the VIM that the request chose ("" = any). `forms`: it can be
    a container, a (micro network) function, or both; as a function it takes `function_bytes` of memory."""

    vnfc: str
    vdu: str
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    vim: str = ""
    forms: tuple[str, ...] = ("container",)
    function_bytes: int = 0
    function: bool = False  # of one that stays: whether it is one


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """GrantRequest (SOL003 9.5.2.2), reduced to what decides: what to add, what goes, what stays and gets another size
    (`update`), and where the VNF already is."""

    vnf_instance_id: str
    vnfd_id: str
    operation: str
    tenant: str
    add: tuple[ResourceRequest, ...] = ()
    remove: tuple[ResourceRequest, ...] = ()
    update: tuple[ResourceRequest, ...] = ()
    present: Mapping[str, str] = {}  # VNFC -> VIM
    operation_id: str = ""
    flavour_id: str = ""
    prefer: tuple[str, ...] = ()  # VIMs of the links that it joins, best first


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Grant (SOL003 9.5.2.3): the VIM connection of each added VNFC, and why that one and not another; `functions` are those
    that shall be micro network functions there."""

    id: str
    placement: Mapping[str, str]
    verdicts: tuple[Verdict, ...] = ()
    functions: tuple[str, ...] = ()


class Granter(Protocol):
    """Answers grant requests; `RejectedError` says which constraint or quota refuses, and nothing is allocated."""

    async def grant(self, request: GrantRequest) -> Grant: ...
