"""Data types of our own API. Names in snake_case are the model's own structs, shown as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skerry.model.operations import Change, Operation, StepRecord


class Own(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of our own answers."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of our own requests: unknown attributes are refused with the nearest known name."""


class NodeInfo(Own, frozen=True, kw_only=True):
    """The node: who it is, how long it runs, what it holds."""

    name: str
    version: str
    ready: bool
    time: str
    uptime_s: float
    counts: Mapping[str, int]
    vims: list[str]


class VimRequest(Asked, frozen=True, kw_only=True):
    """An infrastructure to register. `settings` are the driver's own."""

    id: str
    vim_type: str
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""


class VimInfo(Own, frozen=True, kw_only=True):
    """A registered infrastructure; secrets among its settings are masked."""

    id: str
    vim_type: str
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""


class PlanRequest(Asked, frozen=True, kw_only=True):
    """An operation to plan without doing it: kind as `ns.scale`, the instance, the body of the ETSI request."""

    kind: Literal[
        "vnf.instantiate",
        "vnf.scale",
        "vnf.scale_to_level",
        "vnf.operate",
        "vnf.heal",
        "vnf.terminate",
        "vnf.modify",
        "ns.instantiate",
        "ns.scale",
        "ns.heal",
        "ns.update",
        "ns.terminate",
    ]
    subject: str
    params: Mapping[str, Any] = {}


class StepView(Own, frozen=True, kw_only=True):
    """One step of an operation: what the plan says and what the journal knows."""

    key: str
    action: str
    note: str = ""
    resource: str = ""
    needs: tuple[str, ...] = ()
    record: StepRecord


class OperationView(Own, frozen=True, kw_only=True):
    """An operation with its steps and what they mean."""

    operation: Operation
    changes: tuple[Change, ...] = ()
    steps: list[StepView] = []
    children: list[str] = []


class ExecRequest(Asked, frozen=True, kw_only=True):
    """A command to run inside a VNFC; `vnfc` empty means the only one. `stdin` is text."""

    argv: list[str]
    vnfc: str = ""
    stdin: str = ""


class ExecAnswer(Own, frozen=True, kw_only=True):
    """What it printed and returned."""

    exit_code: int
    stdout: str
    stderr: str


class VnfcView(Own, frozen=True, kw_only=True):
    """One VNFC."""

    name: str
    vdu: str
    vim: str
    state: str
    host: str = ""
    id: str = ""
    addresses: list[str] = []


class VnfView(Own, frozen=True, kw_only=True):
    """A VNF for people: its state in one word, its VNFCs and addresses. `name` is never empty."""

    id: str
    name: str
    vnfd_id: str
    product: str
    status: str
    instantiation_state: str
    vnfcs: list[VnfcView]
    scale: Mapping[str, int]
    ns_id: str = ""
    description: str = ""
    flavour_id: str = ""
    created_at: str = ""
    operation: str = ""


class MemberView(Own, frozen=True, kw_only=True):
    """A VNF of an NS."""

    key: str
    profile: str
    existing: bool = False
    vnf: VnfView


class NsView(Own, frozen=True, kw_only=True):
    """An NS for people: the state of the least advanced of its VNFs, its members and links."""

    id: str
    name: str
    nsd_id: str
    status: str
    ns_state: str
    members: list[MemberView]
    networks: Mapping[str, str]
    scale: Mapping[str, int]
    description: str = ""
    flavour_id: str = ""
    created_at: str = ""
    operation: str = ""
