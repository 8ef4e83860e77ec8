"""The protocol between a node and its agents: JSON texts on a WebSocket, one message each; `type` says which.

The agent begins with `hello`, which it repeats as its heartbeat, and after the node's `welcome` sends an `lvnf_status` for
each of its functions, then `caps`; so it does after every reconnect. The node asks with `add_lvnf`, `del_lvnf`,
`lvnf_status`, `lvnf_stats`, `lvnf_get` and `lvnf_set`; each is answered by one `answer` with the same `id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

VERSION = 1
BEAT_S = 2.0
"""Seconds between two heartbeats."""
MISSED = 3
"""So many heartbeats may be missing; with the next one that is, the agent counts as lost."""
LARGEST = 1 << 20
"""Bytes that one message may have."""
FUNCTIONS = 4096
"""Functions that one agent has at most."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
"""Names of agents and functions."""
Control = Annotated[str, Meta(pattern=r"^$|^127(\.[0-9]{1,3}){3}:[0-9]{1,5}$")]
"""Addresses of loopback where ControlSockets are served."""
Interface = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$")]
"""Names of network interfaces."""


class PortKind(StrEnum):
    """Where a port of a function leads: to the agent's bridge, or to the kernel of its machine as with Click's KernelTap."""

    BRIDGE = "bridge"
    TAP = "tap"


class PortSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A port of a function. `device` is its name in the configuration; `mac` empty: one made of the names.

    For a tap, `name` is the interface that the machine gets (needed) and `address` its own address there, "10.0.0.1/24".
    """

    device: Interface
    kind: PortKind = PortKind.BRIDGE
    mac: Annotated[str, Meta(pattern=r"^$|^([0-9a-f]{2}:){5}[0-9a-f]{2}$")] = ""
    name: Annotated[str, Meta(pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$")] = ""
    address: Annotated[str, Meta(max_length=50)] = ""


class FunctionSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A function as it is wanted: a Click configuration and its ports. `backend` empty: the agent chooses. `control` is an
    address of loopback on the agent's machine, "127.0.0.1:7777", where it serves the function's ControlSocket ("" = none)."""

    name: Name
    configuration: Annotated[str, Meta(max_length=500_000)]
    ports: tuple[PortSpec, ...] = ()
    backend: Annotated[str, Meta(max_length=40)] = ""
    control: Control = ""


class State(StrEnum):
    """How a function is."""

    SPAWNING = "spawning"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The machine since the last heartbeat: the share of its processors that was busy (0 to 1), how many they are, the load
    average of a minute, memory in bytes."""

    busy: float
    count: int
    load: float
    memory_bytes: int
    memory_free_bytes: int


# -- agent to node ----------------------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """I am here. `seq` counts up; `every_ms` is when the next one comes."""

    agent: Name
    seq: int
    every_ms: Annotated[int, Meta(ge=50, le=60_000)]
    cpu: Cpu
    version: int = VERSION


class Caps(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="caps"):
    """What this agent can: back ends, element classes, kinds of ports; its bridge; its own program's version."""

    backends: tuple[str, ...]
    elements: tuple[str, ...]
    ports: tuple[PortKind, ...]
    bridge: str = ""
    program: str = ""


class PortStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A port as it is: its interface on the machine, and whether the bridge floods to it."""

    device: str
    kind: PortKind
    interface: str
    mac: str
    no_flood: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lvnf_status"):
    """How a function is. `times_ms`: how long its last start and stop took; `gone`: it was deleted."""

    lvnf: str
    state: State
    backend: str = ""
    why: tuple[str, ...] = ()
    ports: tuple[PortStatus, ...] = ()
    times_ms: Mapping[str, float] = {}
    trouble: str = ""
    gone: bool = False


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a function uses: memory in bytes, processor seconds since its start, processes; how long it has been running."""

    memory_bytes: int
    cpu_seconds: float
    pids: int
    uptime_s: float


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was not done. `kind`: invalid, not-found, conflict or failed."""

    kind: str
    detail: str
    suggestion: str = ""
    faults: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="answer"):
    """The answer to a question: what it asks for, or why it was not done."""

    id: int
    status: Status | None = None
    stats: Stats | None = None
    value: str | None = None
    trouble: Trouble | None = None


# -- node to agent ----------------------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="welcome"):
    """The node knows the agent from now on."""

    node: str


class AddLvnf(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="add_lvnf"):
    """Run a function. One of this name that runs gets the new configuration without losing a packet."""

    id: int
    lvnf: FunctionSpec


class DelLvnf(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="del_lvnf"):
    """Stop a function and forget it. One that is not there is no error."""

    id: int
    lvnf: str


class AskStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lvnf_status"):
    """How is it?"""

    id: int
    lvnf: str


class AskStats(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lvnf_stats"):
    """What does it use?"""

    id: int
    lvnf: str


class GetHandler(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lvnf_get"):
    """Read a handler, "element.handler"."""

    id: int
    lvnf: str
    handler: str


class SetHandler(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="lvnf_set"):
    """Write a handler."""

    id: int
    lvnf: str
    handler: str
    value: str


FromAgent = Hello | Caps | Status | Answer
Question = AddLvnf | DelLvnf | AskStatus | AskStats | GetHandler | SetHandler
FromNode = Welcome | AddLvnf | DelLvnf | AskStatus | AskStats | GetHandler | SetHandler

encode = msgspec.json.Encoder().encode
decode_from_agent = msgspec.json.Decoder(FromAgent).decode
decode_from_node = msgspec.json.Decoder(FromNode).decode


def port_faults(ports: Sequence[PortSpec]) -> Sequence[str]:
    """What is wrong with these ports as a whole, a sentence each."""
    devices = [port.device for port in ports]
    taps = [port.name for port in ports if port.kind is PortKind.TAP]
    told = [f"the device {one} is named twice" for one in sorted(set(devices)) if devices.count(one) > 1]
    told += [f"the interface {one} is named twice" for one in sorted(set(taps)) if one and taps.count(one) > 1]
    told += [f"the tap {port.device} has no name" for port in ports if port.kind is PortKind.TAP and not port.name]
    return told
