"""The contract between the data plane and its engines (Open vSwitch, eBPF, the simulated one).

An engine is one module in `skerry/dataplane/drivers/` with a class `Driver`. It serves devices: independent switches, each in
a network namespace (or in the root one), each with its ports and the state of `skerry.dataplane.flows`.

Names and adoption. Everything is idempotent by deterministic names: preparing, attaching or applying what is there already
changes nothing. What an engine makes on the machine is named by `resource_name(node, device)` and carries owner labels where
the infrastructure has room for any (OVSDB `external_ids`: `skerry.node`, `skerry.device`, `skerry.owner`; pinned BPF objects:
the folders of their path), so that nothing depends on memory: after `kill -9` forwarding goes on, and a new `Driver` object
finds rules, revision, groups, learned sessions and ports again with `prepare` and `read_back`.

Errors: `UnsupportedError` for a state that the engine lacks an ability for (nothing was changed), `InvalidError` for a state
that breaks the rules of `flows`, `NotFoundError` for an unknown device or port, `DriverError` (`transient` where repeating
helps) for what the machine refuses; a failed `apply` leaves the state before it in effect.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from skerry.dataplane.flows import (
    Change,
    DeviceState,
    Domain,
    Dropped,
    Field,
    Group,
    Meter,
    Named,
    PortState,
    Rule,
    Session,
    Value,
)
from skerry.model.time import Clock

ANY_MAC = 0


class EngineContext(Value, frozen=True, kw_only=True):
    """What wiring hands to an engine: the node's name (owner of all it makes), a private folder that survives restarts, the
    only source of time."""

    node: str
    data_dir: Path
    clock: Clock


class Capabilities(Value, frozen=True, kw_only=True):
    """What an engine can do on this machine. `actions` are the tags of `flows.Action` (`"output"`, `"gtpdecap"` …).

    `missing` names what the machine lacks for the engine to work at all; "" where it works. `limits` are sentences about
    what is narrower than the contract says, such as GTP-U without extension headers.
    """

    fields: frozenset[Field]
    actions: frozenset[str]
    missing: str = ""
    limits: tuple[str, ...] = ()
    gtp_extensions: bool = False  # matches and decapsulates GTP-U with extension headers
    max_rules: int = 1 << 20


class DeviceSpec(Value, frozen=True, kw_only=True):
    """A device to serve. `namespace` is the name of a network namespace under /run/netns, "" the one Skerry runs in. The
    namespace exists and stays; the engine neither makes nor deletes it."""

    name: str
    namespace: str = ""
    owner: str = ""


class Counted(Value, frozen=True, kw_only=True):
    """A rule as the engine has it, with its counters since it was put."""

    rule: Rule
    packets: int = 0
    bytes: int = 0


class Effective(Value, frozen=True, kw_only=True):
    """The state that is really in effect, read from the engine's own tables (not from a memory of what was asked).

    Rules come back as they were put (same identity, cookie and actions; `owner` and `tenant` may be empty where the engine
    has no room for them). Sessions include learned and snooped ones. `dropped` counts by port and reason since the device
    was made; reasons that an engine cannot tell are missing.
    """

    device: str
    revision: int = 0
    ports: tuple[PortState, ...] = ()
    rules: tuple[Counted, ...] = ()
    groups: tuple[Group, ...] = ()
    meters: tuple[Meter, ...] = ()
    domains: tuple[Domain, ...] = ()
    sessions: tuple[Session, ...] = ()
    names: tuple[Named, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def state(self) -> DeviceState:
        """The same without counters."""
        return DeviceState(
            device=self.device,
            ports=self.ports,
            rules=tuple(one.rule for one in self.rules),
            groups=self.groups,
            meters=self.meters,
            domains=self.domains,
            sessions=self.sessions,
            names=self.names,
        )


class Emitted(Value, frozen=True, kw_only=True):
    """A frame that left a device at a port."""

    port: int
    frame: bytes


class Probed(Value, frozen=True, kw_only=True):
    """What became of a probe. `cookies` are the rules it passed, in order, as far as the engine can tell; `dry` says that
    nothing was really sent and no counter moved."""

    outputs: tuple[Emitted, ...] = ()
    cookies: tuple[int, ...] = ()
    dry: bool = True


class Remembered(Value, frozen=True, kw_only=True):
    """A connection that a device remembers: what its opener sends (source, port, target, port; of an echo, its identifier is
    the first port), and what that becomes. `answered` as far as the engine tells."""

    zone: int
    proto: int
    opened: tuple[str, int, str, int]
    onward: tuple[str, int, str, int]
    answered: bool = False


class EventKind(enum.StrEnum):
    """What engines tell."""

    PORT_UP = "port-up"
    PORT_DOWN = "port-down"
    LOST = "lost"  # the device's state is gone or was changed behind our back; `detail` says how
    SESSION = "session"  # a session was learned, changed or aged; `detail` is its UE
    NO_SESSION = "no-session"  # frames were dropped because no tunnel of their UE is known


class EngineEvent(Value, frozen=True, kw_only=True):
    """Something happened on a device. `port` is 0 where none is meant."""

    device: str
    kind: EventKind
    port: int = 0
    detail: str = ""


class Driver(Protocol):
    """What every engine does. `type` is its name in settings and topologies."""

    type: ClassVar[str]

    def __init__(self, context: EngineContext) -> None: ...

    def capabilities(self) -> Capabilities:
        """What this machine lets the engine do. Looks, makes nothing, takes milliseconds; may be called before `open`."""
        ...

    async def open(self) -> None:
        """Connect to what runs of this node, or start nothing yet. `UnavailableError` when the machine lacks something."""
        ...

    async def close(self) -> None:
        """Let go of connections. Forwarding goes on."""
        ...

    async def devices(self) -> Sequence[DeviceSpec]:
        """Every device that this node made on the machine, whoever asked for it."""
        ...

    async def prepare(self, spec: DeviceSpec) -> None:
        """Make the device with no ports and no rules, or adopt it as it is."""
        ...

    async def teardown(self, device: str) -> None:
        """Remove the device and all that was made for it; its interfaces go back as they were. Succeeds when it is gone."""
        ...

    async def attach(self, device: str, port: PortState) -> None:
        """Add a port, or make it whole again where its interface is another one now, behind the same name. The interface is
        there and is set up; the engine switches off what breaks it (checksum offload of
        veth for a userspace switch) on its own side. `ConflictError` when the number stands for another port."""
        ...

    async def detach(self, device: str, port: int) -> None:
        """Remove a port. Succeeds when it is gone."""
        ...

    async def apply(self, change: Change) -> None:
        """Do a change, all of it at one moment or nothing. Repeating it changes nothing."""
        ...

    async def read_back(self, device: str) -> Effective:
        """What is in effect, with counters."""
        ...

    async def put_sessions(self, device: str, sessions: Sequence[Session], gone: Sequence[str] = ()) -> None:
        """Add or replace sessions that were snooped, and forget those of the UEs `gone`, outside of any revision. Static
        ones stay as they are."""
        ...

    async def connections(self, device: str) -> Sequence[Remembered]:
        """The connections that are remembered now, by `Connect` of the device."""
        ...

    async def probe(self, device: str, port: int, frame: bytes) -> Probed:
        """Run a frame through the effective state as if it had come in at the port, and tell what leaves. Dry wherever the
        engine can; otherwise the frame is really sent and the counters move."""
        ...

    async def inject(self, device: str, port: int, frame: bytes) -> None:
        """Really process a frame as if it had come in at the port."""
        ...

    def observe(self, device: str, ports: Sequence[int]) -> AbstractAsyncContextManager[AsyncIterator[Emitted]]:
        """While entered, every frame that leaves at one of these ports, from the moment of entering on."""
        ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """What happens on the devices, from now on."""
        ...


def resource_name(node: str, device: str, part: str = "") -> str:
    """A name of at most 15 characters (the limit of interfaces) that is the same at every start: `sk` and 10 hexadecimal
    digits of node and device, and up to 3 characters of `part`."""
    digest = hashlib.blake2b(f"{node}/{device}".encode(), digest_size=5).hexdigest()
    return f"sk{digest}{part[:3]}"


def labels(node: str, device: str, owner: str = "") -> Mapping[str, str]:
    """The owner labels of what is made for a device."""
    return {"skerry.node": node, "skerry.device": device, "skerry.owner": owner}


def encode_state(state: DeviceState) -> bytes:
    """A state as JSON, for engines that keep their state in a file beside what they cannot write into the kernel."""
    return msgspec.json.encode(state)


def decode_state(data: bytes) -> DeviceState:
    """The state of `encode_state`."""
    return msgspec.json.decode(data, type=DeviceState)
