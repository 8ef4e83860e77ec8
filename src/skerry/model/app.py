"""Application packages, instances and MEC hosts as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.model.appd import AppD, PlatformPart
from skerry.model.descriptors import Artifact, PackageSignature, Part, VnfPackage
from skerry.model.resources import Resource
from skerry.model.states import AppOperationalState, InstantiationState, OnboardingState, OperationalState, UsageState
from skerry.model.vnf import Record


class AppPackage(Part, frozen=True):
    """What an application package says. `nfv` is the VNFD that it carries besides the AppD, if it does."""

    appd: AppD
    nfv: VnfPackage | None = None
    artifacts: tuple[Artifact, ...] = ()
    manifest: Mapping[str, str] = {}
    signature: PackageSignature = PackageSignature()


class AppPkgInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """AppPkgInfo (MEC 010-2 6.2.3.3). `vnf_pkg_id` and `nsd_info_id` are what the NFVO holds for it; the package here has no
    NFV part. `master` is the VNF package that it came with, when it was onboarded at the NFVO."""

    name: str = ""
    version: str = ""
    provider: str = ""
    path: str = ""
    expected: tuple[str, str] = ("", "")  # checksum that the creator named: algorithm, hash
    onboarding_state: OnboardingState = OnboardingState.CREATED
    operational_state: OperationalState = OperationalState.DISABLED
    usage_state: UsageState = UsageState.NOT_IN_USE
    user_defined_data: Mapping[str, Any] = {}
    package: AppPackage | None = None
    vnf_pkg_id: str = ""
    nsd_info_id: str = ""
    master: str = ""
    checksum: str = ""  # SHA-256 of the archive, lower-case hex
    size_bytes: int = 0
    problem: Mapping[str, Any] = {}
    onboarded_at: str = ""

    @property
    def app_d_id(self) -> str:
        return self.package.appd.app_d_id if self.package else ""


class AppInstance(Record, frozen=True, kw_only=True, omit_defaults=True):
    """AppInstanceInfo (MEC 010-2 6.2.2.4) with the resource graph that it has.

    `host` is the MEC host that it is on; `wanted_host` the one that its creator asked for. `config` overrides what the
    descriptor asks of the platform. `client_secret` goes into the containers' environment and to the platform, nowhere else.
    """

    app_d_id: str
    app_pkg_id: str
    app_instance_name: str = ""
    app_instance_description: str = ""
    app_provider: str = ""
    app_name: str = ""
    app_soft_version: str = ""
    app_d_version: str = ""
    instantiation_state: InstantiationState = InstantiationState.NOT_INSTANTIATED
    operational_state: AppOperationalState = AppOperationalState.STOPPED
    host: str = ""
    wanted_host: str = ""
    vim: str = ""
    ns_id: str = ""
    client_secret: str = ""
    config: PlatformPart | None = None
    resources: Mapping[str, Resource] = {}
    failed: bool = False

    def __repr__(self) -> str:
        return f"AppInstance(id={self.id!r}, app_name={self.app_name!r}, state={self.instantiation_state.value!r})"


class MecHost(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A MEC host: a zone with its platform and platform manager. `latency_ns` is one way from the users at the zone's edge
    (0 = unknown); `orchestrator` is the MEO that manages it ("" = none yet); `features` is name → version."""

    zone: str
    name: str = ""
    features: Mapping[str, str] = {}
    latency_ns: int = 0
    orchestrator: str = ""
    country: str = ""
    civic_address: Mapping[str, str] = {}  # caType (RFC 4776) as text -> value


class AppGrant(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A grant that the orchestrator gave (MEC 010-2 6.2.4.3), as it was answered."""

    app_instance_id: str
    app_lcm_op_occ_id: str
    body: Mapping[str, Any] = {}
