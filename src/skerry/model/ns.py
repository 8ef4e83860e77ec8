"""Network service instances and their descriptors as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.descriptors import NsDeploymentFlavour, NsPackage, PnfPackage, Vnffg
from skerry.model.resources import Resource
from skerry.model.saps import AccessPoint
from skerry.model.states import InstantiationState, OnboardingState, OperationalState, UsageState
from skerry.model.vnf import Record
from skerry.model.wan import WanConnections

FORWARDING = "forwarding:paths"
"""The key of the resource that stands for all forwarding paths of an NS."""


class NsdInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """NsdInfo (SOL005 5.5.2.2)."""

    onboarding_state: OnboardingState = OnboardingState.CREATED
    operational_state: OperationalState = OperationalState.DISABLED
    usage_state: UsageState = UsageState.NOT_IN_USE
    user_defined_data: Mapping[str, Any] = {}
    package: NsPackage | None = None
    checksum: str = ""
    size_bytes: int = 0
    problem: Mapping[str, Any] = {}
    onboarded_at: str = ""

    @property
    def nsd_id(self) -> str:
        return self.package.nsd.id if self.package else ""


class PnfdInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """PnfdInfo (SOL005 5.5.2.5). It has no operational state: nothing is deployed of it."""

    onboarding_state: OnboardingState = OnboardingState.CREATED
    usage_state: UsageState = UsageState.NOT_IN_USE
    user_defined_data: Mapping[str, Any] = {}
    package: PnfPackage | None = None
    checksum: str = ""
    size_bytes: int = 0
    problem: Mapping[str, Any] = {}
    onboarded_at: str = ""

    @property
    def pnfd_id(self) -> str:
        return self.package.pnfd.id if self.package else ""


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A VNF of the NS: which profile of the NSD it fills, and whether it existed before (then it is never deleted)."""

    profile: str
    vnf_instance_id: str
    existing: bool = False


class NestedNs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An NS inside the NS: which NS profile it fills, and whether it existed before (then it is never terminated)."""

    profile: str
    ns_instance_id: str
    existing: bool = False


class NsInstance(Record, frozen=True, kw_only=True, omit_defaults=True):
    """NsInstance (SOL005 6.5.2.10) with the resource graph that it has (virtual links and member VNFs).

    `counts` is VNF profile → number of VNFs; `existing` maps a profile to VNF instances to use instead of new ones;
    `placement` maps "profile/vdu" or "profile" to the VIM connection that the request chose; `links` is NS virtual link
    → VIM connection. `nested` are the NSs inside it, `nested_params` NS profile → additional parameters of those that it
    makes, `users` the NSs that it is nested in. `vnffgs` are its forwarding graphs since one was added, changed or
    removed, None while they are the NSD's, and so are `saps` its service access points; `steered` VNF profile → the
    connection points that the data plane alone serves.
    """

    nsd_id: str
    nsd_info_id: str
    ns_instance_name: str = ""
    ns_instance_description: str = ""
    ns_state: InstantiationState = InstantiationState.NOT_INSTANTIATED
    flavour_id: str = ""
    level_id: str = ""
    scale_status: Mapping[str, int] = {}
    counts: Mapping[str, int] = {}
    members: Mapping[str, Member] = {}
    nested: Mapping[str, NestedNs] = {}
    nested_params: Mapping[str, Mapping[str, Any]] = {}
    users: tuple[str, ...] = ()
    joined: Mapping[str, tuple[str, str]] = {}  # virtual link -> (VIM, network) of the NS that made it
    kept: NsDeploymentFlavour | None = None  # what is there follows this flavour of an earlier version of the NSD
    existing: Mapping[str, tuple[str, ...]] = {}
    stopped: tuple[str, ...] = ()  # member keys that were stopped by an update
    placement: Mapping[str, str] = {}
    inputs: Mapping[str, Any] = {}
    properties: Mapping[str, Mapping[str, Any]] = {}  # VNF profile or member -> values of requests, before the NSD's
    affinity: tuple[Mapping[str, Any], ...] = ()  # rules of the request that made it
    told: Mapping[str, Mapping[str, Any]] = {}  # VNF profile or member -> names, metadata, extensions of requests
    vnffgs: Mapping[str, Vnffg] | None = None
    saps: Mapping[str, AccessPoint] | None = None
    steered: Mapping[str, tuple[str, ...]] = {}
    ssh_keys: tuple[str, ...] = ()  # names of keys that open every VNFC of every member
    wan: WanConnections = {}
    resources: Mapping[str, Resource] = {}
    failed: bool = False
