"""Answers of our own API: instances, operations and packages as people want to see them. The API fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.images import Inventory
from skerry.model.operations import Change, Operation, StepRecord


class View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of our own answers."""


class NodeInfo(View, frozen=True, kw_only=True):
    """The node: who it is, how long it runs, what it holds."""

    name: str
    version: str
    ready: bool
    time: str
    uptime_s: float
    counts: Mapping[str, int]
    vims: list[str]


class VimInfo(View, frozen=True, kw_only=True):
    """A registered infrastructure; secrets among its settings are masked."""

    id: str
    vim_type: str
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""
    seen: Inventory | None = None


class ImageView(View, frozen=True, kw_only=True):
    """An image on an infrastructure. `vim:…` in its name: others brought it there; it is used by that as a source."""

    id: str
    name: str
    size_bytes: int = 0
    command: tuple[str, ...] = ()


class StoredImageView(View, frozen=True, kw_only=True):
    """An image of the node's repository. `checksum` is SHA-256."""

    id: str
    name: str
    state: str
    description: str = ""
    checksum: str = ""
    size_bytes: int = 0
    created_at: str = ""
    problem: str = ""


class KeyView(View, frozen=True, kw_only=True):
    """A key that opens instances."""

    id: str
    name: str
    public_key: str
    key_type: str
    fingerprint: str
    created_at: str = ""


class NewKey(View, frozen=True, kw_only=True):
    """A generated key, with what nobody is told again."""

    key: KeyView
    private_key: str


class FlavourView(View, frozen=True, kw_only=True):
    """What a deployment flavour offers: its levels, its scaling aspects with their greatest level, its inputs."""

    levels: list[str] = []
    default_level: str = ""
    aspects: Mapping[str, int] = {}
    inputs: Mapping[str, str] = {}
    parts: list[str] = []


class SignatureView(View, frozen=True, kw_only=True):
    """How a package is signed: SOL004 option (0: not at all), the signer's name, whether it was verified and if not why."""

    option: int = 0
    signer: str = ""
    verified: bool = False
    warning: str = ""


class PackageView(View, frozen=True, kw_only=True):
    """A VNF package (`kind` vnf), NSD (ns) or application package (app). `descriptor` is the descriptor's own identifier."""

    id: str
    kind: str
    name: str
    version: str
    provider: str
    descriptor: str
    onboarding_state: str
    operational_state: str
    usage_state: str
    size_bytes: int = 0
    created_at: str = ""
    default_flavour: str = ""
    flavours: Mapping[str, FlavourView] = {}
    user_defined_data: Mapping[str, Any] = {}
    problem: Mapping[str, Any] = {}
    signature: SignatureView | None = None


class StepView(View, frozen=True, kw_only=True):
    """One step of an operation: what the plan says and what the journal knows."""

    key: str
    action: str
    note: str = ""
    resource: str = ""
    needs: tuple[str, ...] = ()
    record: StepRecord


class OperationView(View, frozen=True, kw_only=True):
    """An operation with its steps and what they mean."""

    operation: Operation
    changes: tuple[Change, ...] = ()
    steps: list[StepView] = []
    children: list[str] = []


class ExecAnswer(View, frozen=True, kw_only=True):
    """What a command printed and returned."""

    exit_code: int
    stdout: str
    stderr: str


class VnfcView(View, frozen=True, kw_only=True):
    """One VNFC."""

    name: str
    vdu: str
    vim: str
    state: str
    host: str = ""
    id: str = ""
    addresses: list[str] = []


class VnfView(View, frozen=True, kw_only=True):
    """A VNF for people: its state in one word, its VNFCs and addresses. `name` is never empty."""

    id: str
    name: str
    vnfd_id: str
    product: str
    status: str
    instantiation_state: str
    vnfcs: list[VnfcView] = []
    scale: Mapping[str, int] = {}
    ns_id: str = ""
    description: str = ""
    flavour_id: str = ""
    created_at: str = ""
    operation: str = ""


class AppView(View, frozen=True, kw_only=True):
    """An application: its state in one word, its MEC host, the addresses of its connection points. `name` is never empty."""

    id: str
    name: str
    app_d_id: str
    product: str
    status: str
    instantiation_state: str
    host: str = ""
    vim: str = ""
    addresses: Mapping[str, str] = {}
    ns_id: str = ""
    vnf_ids: list[str] = []
    description: str = ""
    created_at: str = ""
    operation: str = ""


class HostView(View, frozen=True, kw_only=True):
    """A MEC host: a zone with its infrastructures and platform. `latency_ms` is one way, 0 = unknown."""

    id: str
    name: str
    zone: str = ""
    vims: list[str] = []
    applications: list[str] = []
    features: Mapping[str, str] = {}
    latency_ms: float = 0.0
    orchestrator: str = ""
    country: str = ""
    civic_address: Mapping[str, str] = {}


class SnapshotView(View, frozen=True, kw_only=True):
    """A VNF snapshot: READY, CREATING or EMPTY. `vnfcs` is VNFC → image; `name` is never empty. One that was `brought`
    came in a package, and fits every VNF of its VNFD."""

    id: str
    name: str
    vnf: str
    state: str
    vnf_name: str = ""
    vnfd_id: str = ""
    taken_at: str = ""
    vnfcs: Mapping[str, str] = {}
    size_bytes: int = 0
    brought: bool = False


class MemberView(View, frozen=True, kw_only=True):
    """A VNF of an NS."""

    key: str
    profile: str
    existing: bool = False
    vnf: VnfView


class NestedView(View, frozen=True, kw_only=True):
    """An NS inside an NS."""

    key: str
    profile: str
    existing: bool = False
    id: str
    name: str
    status: str


class NsView(View, frozen=True, kw_only=True):
    """An NS for people: the state of the least advanced of its VNFs and nested NSs, these and its links."""

    id: str
    name: str
    nsd_id: str
    status: str
    ns_state: str
    members: list[MemberView] = []
    nested: list[NestedView] = []
    machines: Mapping[str, str] = {}  # PNF -> its name and addresses
    networks: Mapping[str, str] = {}
    scale: Mapping[str, int] = {}
    description: str = ""
    flavour_id: str = ""
    created_at: str = ""
    operation: str = ""


class JobView(View, frozen=True, kw_only=True):
    """A PM job: what is measured of which VNFs or NSs, how often (seconds), and who is told."""

    id: str
    name: str
    object_type: str
    objects: list[str]
    parts: list[str] = []
    metrics: list[str] = []
    collection_s: int
    reporting_s: int
    boundary: str = ""
    callback_uri: str = ""
    reports: int = 0


class ThresholdView(View, frozen=True, kw_only=True):
    """A threshold: what is compared with which value."""

    id: str
    name: str
    object_type: str
    object: str
    parts: list[str] = []
    metric: str
    value: float
    hysteresis: float
    callback_uri: str = ""


class MeasuredView(View, frozen=True, kw_only=True):
    """One measured value of a report; `part` "" is the whole object."""

    report: str
    at: str
    object: str
    part: str = ""
    metric: str
    value: float


class IndicatorView(View, frozen=True, kw_only=True):
    """An indicator of a VNF; `value` is null until somebody tells it."""

    id: str
    vnf: str
    vnf_name: str
    indicator: str
    name: str = ""
    value: Any = None
    told_at: str = ""


class SubscriptionView(View, frozen=True, kw_only=True):
    """Who is told of what happens. `state`: ACTIVE, FAILING or PARKED; `waiting` counts what is to be delivered, up to 1000."""

    id: str
    api: str
    callback_uri: str
    state: str
    waiting: int = 0
    failing_since: str = ""
    parked_at: str = ""
    error: str = ""
    created_at: str = ""
