"""The contract between Skerry and a virtualised infrastructure manager (VIM).

A driver is one module in `skerry/vim/drivers/` with a class `Driver`. Everything is asynchronous, every effect is
idempotent by its deterministic name: creating what exists with the same spec returns it, deleting what is gone succeeds.
Everything a driver makes carries an owner label, so that a sweep can tell our own from foreign and list orphans.

The mandatory part is small (`Driver`); what not every infrastructure can do is an optional protocol of its own
(`Exec`, `Inward`, `Logs`, `Stats`, `Written`, `Events`, `Resize`, `Taps`, `Snapshots`, `Exports`, `Present`,
`Strangers`, `Functions`, and `Cabled` of `skerry.vim.cabling`), tested with `isinstance`, never by a driver's type.

A compute resource is created first and started later: `create_compute` allocates its addresses (so that other instances
can learn them) and `start_compute` runs it with the environment known by then.

Errors: `DriverError` (with `transient` where repeating may help), `InvalidError` for a spec that can never work,
`NotFoundError` for an unknown name, `ConflictError` for a transition that the state forbids, `RejectedError` when the
capacity is exhausted, `UnsupportedError` for an ability the machine lacks.
"""

from __future__ import annotations

import builtins
import enum
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from skerry.lvnf.backend import Handler
from skerry.model.time import Clock


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the contract's values: frozen, keyword only, JSON-able by msgspec."""


class ComputeState(enum.StrEnum):
    """States of a compute resource. `TRANSITIONS` is the only table of allowed moves."""

    UNAVAILABLE = "UNAVAILABLE"  # known by name, its resources are not all there
    CREATED = "CREATED"  # addresses allocated, never started
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    EXITED = "EXITED"  # stopped on request, or its program ended with 0
    FAILED = "FAILED"  # its program ended with another code or was killed; may only be deleted


TRANSITIONS: Mapping[ComputeState, frozenset[ComputeState]] = {
    ComputeState.UNAVAILABLE: frozenset({ComputeState.CREATED}),
    ComputeState.CREATED: frozenset({ComputeState.RUNNING, ComputeState.FAILED}),
    ComputeState.RUNNING: frozenset({ComputeState.STOPPING, ComputeState.EXITED, ComputeState.FAILED}),
    ComputeState.STOPPING: frozenset({ComputeState.EXITED, ComputeState.FAILED}),
    ComputeState.EXITED: frozenset({ComputeState.RUNNING, ComputeState.FAILED}),
    ComputeState.FAILED: frozenset(),
}


class Capacity(Value, frozen=True, kw_only=True):
    """What the infrastructure has and what is given away. Units: whole vCPUs (fractions allowed), bytes, counts."""

    vcpus: float
    memory_bytes: int
    storage_bytes: int
    instances: int
    used_vcpus: float = 0.0
    used_memory_bytes: int = 0
    used_storage_bytes: int = 0
    used_instances: int = 0


class ImageSpec(Value, frozen=True, kw_only=True):
    """A software image to make available.

    `source` is one of: a path to an OCI archive or layout, a Docker-style tar or a root directory; `host:NAME[,NAME…]`
    (programs installed on this host, packed or overlaid read-only, with a busybox shell); `docker://REPOSITORY:TAG`
    (pulled from a registry); `vim:NAME` (it is there under that name; drivers with `Present`). `name` is deterministic: its
    content's identity (digest or source), so that equal images are stored once. `checksum` is lower-case hex,
    `checksum_algorithm` e.g. "sha-256".
    """

    name: str
    source: str
    checksum: str = ""
    checksum_algorithm: str = ""
    labels: Mapping[str, str] = {}


class Image(Value, frozen=True, kw_only=True):
    """An image that the infrastructure has. `id` is the infrastructure's own identifier."""

    id: str
    name: str
    size_bytes: int = 0
    command: tuple[str, ...] = ()  # entrypoint and command of the image itself, if it has any
    env: Mapping[str, str] = {}


class NetworkSpec(Value, frozen=True, kw_only=True):
    """A virtual link. Without `cidr` the driver picks a free subnet and keeps it as long as the network lives."""

    name: str
    owner: str
    cidr: str = ""
    gateway: str = ""  # an address of `cidr` that no instance gets; "" = the first one is reserved
    mtu: int = 1500
    labels: Mapping[str, str] = {}


class Network(Value, frozen=True, kw_only=True):
    """A virtual link that exists."""

    id: str
    name: str
    owner: str
    cidr: str
    gateway: str
    mtu: int = 1500
    labels: Mapping[str, str] = {}


class NicSpec(Value, frozen=True, kw_only=True):
    """One network interface, in the order in which the instance sees it (eth0, eth1, …).

    Without `ip` the driver allocates a free address at creation; without `mac` it derives one from the names, so that
    a re-created instance keeps it. Bandwidths are bit/s, 0 = not limited; egress is what the instance sends. A `steered`
    interface has an address of the network and is not connected to it: a data plane alone brings and takes its frames
    (`Taps`); drivers without taps refuse it. `avoid` are addresses of the network that somebody else has.
    """

    network: str
    ip: str = ""
    mac: str = ""
    egress_bps: int = 0
    ingress_bps: int = 0
    steered: bool = False
    avoid: tuple[str, ...] = ()


class Nic(Value, frozen=True, kw_only=True):
    """One network interface that exists. `device` is its name inside the instance; `ip` has no prefix length."""

    network: str
    device: str
    ip: str
    mac: str


class Mount(Value, frozen=True, kw_only=True):
    """A host directory or file inside the instance."""

    source: str
    target: str
    read_only: bool = True


class File(Value, frozen=True, kw_only=True):
    """A file written into the instance before it starts. `content` is bytes; `mode` as in chmod."""

    path: str
    content: bytes
    mode: int = 0o644


class Port(Value, frozen=True, kw_only=True):
    """A port of an instance, and the host's port that leads to it. `host` 0: it is exposed, no port of the host leads to it;
    in its networks it is reached like any other. `protocol` is tcp, udp or sctp."""

    host: int
    instance: int
    protocol: str = "tcp"


class ComputeSpec(Value, frozen=True, kw_only=True):
    """A compute resource (container, virtual machine …) as it shall be.

    `vcpus` 0 and `*_bytes` 0 mean "no limit". `command` replaces the image's own entrypoint and command when given.
    `capabilities` are added to the small default set ("NET_ADMIN" form, without CAP_).
    """

    name: str
    owner: str
    image: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    hostname: str = ""
    nics: tuple[NicSpec, ...] = ()
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    pids: int = 512
    mounts: tuple[Mount, ...] = ()
    files: tuple[File, ...] = ()
    ports: tuple[Port, ...] = ()
    dns: tuple[str, ...] = ()
    hosts: Mapping[str, str] = {}  # name -> address, for the instance's hosts file
    capabilities: tuple[str, ...] = ()
    read_only: bool = False
    restart: bool = False  # started again by the infrastructure when its program ends
    grace_s: float = 10.0  # how long a stop waits before it kills
    labels: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}  # settings of one driver type (SOL001 vim_specific_properties)

    @property
    def published(self) -> tuple[Port, ...]:
        """The ports that a port of the host leads to."""
        return tuple(port for port in self.ports if port.host)


class Compute(Value, frozen=True, kw_only=True):
    """A compute resource that exists. `id` is how the infrastructure knows it and stays as long as the resource does;
    `exit_code` is None while it never ended; `host` names the machine it is on."""

    id: str
    name: str
    owner: str
    state: ComputeState
    image: str
    nics: tuple[Nic, ...] = ()
    host: str = ""
    exit_code: int | None = None
    pid: int | None = None
    started_at: str = ""
    labels: Mapping[str, str] = {}
    env: Mapping[str, str] = {}


class ExecResult(Value, frozen=True, kw_only=True):
    """What a command inside an instance printed and returned."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""


class LogLine(Value, frozen=True, kw_only=True):
    """One line that the instance's program printed. `time` is RFC 3339; `stream` stdout or stderr."""

    time: str
    stream: str
    text: str


class ComputeStats(Value, frozen=True, kw_only=True):
    """Counters since start: CPU seconds, memory in use (bytes), bytes and packets by device as seen by the instance."""

    cpu_seconds: float
    memory_bytes: int
    pids: int
    rx_bytes: Mapping[str, int] = {}
    tx_bytes: Mapping[str, int] = {}
    rx_packets: Mapping[str, int] = {}
    tx_packets: Mapping[str, int] = {}


class VimEvent(Value, frozen=True, kw_only=True):
    """Something happened to a resource. `action` is created, started, exited, killed, deleted, oom or changed."""

    kind: str  # "compute" or "network"
    name: str
    action: str
    time: str
    exit_code: int | None = None


class Stranger(Value, frozen=True, kw_only=True):
    """A container or network on the infrastructure that this node did not make. `node` is the other Skerry node whose label it
    carries, "" where it carries none; `state` is in the infrastructure's own words."""

    kind: str  # "compute" or "network"
    name: str
    id: str = ""
    node: str = ""
    state: str = ""


class Tap(Value, frozen=True, kw_only=True):
    """Where the traffic of one interface of an instance can be steered: the host's end of it. `interface` is in the network
    namespace `namespace` ("" is the host's own); `engine` names the data-plane engine where only one can have it."""

    network: str
    interface: str
    namespace: str = ""
    mac: str = ""
    ip: str = ""
    engine: str = ""


class FunctionState(enum.StrEnum):
    """States of a micro network function."""

    SPAWNING = "spawning"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    MIGRATING_STOP = "migrating_stop"  # its state is read, then it stops here
    MIGRATING_START = "migrating_start"  # it starts here with the state that it had elsewhere


class Function(Value, frozen=True, kw_only=True):
    """A compute resource that is a micro network function: a Click configuration. `why` has the reasons for its back end;
    `times_ms` says how long it last was in each state that it has left; `handlers` are the names that its descriptor gives to
    handlers (name → "element.handler")."""

    name: str
    owner: str
    state: FunctionState
    since: str
    backend: str = ""
    why: tuple[str, ...] = ()
    times_ms: Mapping[str, float] = {}
    configuration: str = ""
    handlers: Mapping[str, str] = {}
    state_handlers: tuple[str, ...] = ()


class Handover(Value, frozen=True, kw_only=True):
    """What a function takes along when it moves: its state by the names of its state handlers, and its configuration where that
    is not its image's any more."""

    state: Mapping[str, str] = {}
    configuration: str = ""


class DriverContext(Value, frozen=True, kw_only=True):
    """What wiring hands to a driver.

    `node` is this node's id: the value of the label `skerry.owner` prefix; `data_dir` is the driver's private folder,
    which survives restarts; `clock` is the only source of time.
    """

    node: str
    data_dir: Path
    clock: Clock


class Driver(Protocol):
    """What every driver does. `type` is the SOL003 vimType it serves; `settings_type` the typed access settings."""

    type: ClassVar[str]
    settings_type: ClassVar[builtins.type[msgspec.Struct]]

    def __init__(self, settings: Any, context: DriverContext) -> None: ...

    async def open(self) -> None:
        """Connect and check the credentials. `UnavailableError` or `UnauthorizedError` when that fails."""
        ...

    async def close(self) -> None:
        """Let go of connections. What runs keeps running."""
        ...

    async def capacity(self) -> Capacity: ...

    async def ensure_image(self, spec: ImageSpec) -> Image:
        """Make the image available; returns at once when it is. A source that cannot be reached is a clear error."""
        ...

    async def list_images(self) -> Sequence[Image]: ...

    async def delete_image(self, name: str) -> None:
        """Remove an image. `ConflictError` while an instance uses it."""
        ...

    async def create_network(self, spec: NetworkSpec) -> Network: ...

    async def delete_network(self, name: str) -> None:
        """Remove a network. `ConflictError` while an instance is attached."""
        ...

    async def list_networks(self) -> Sequence[Network]:
        """Every network that this node made (by label), of whatever owner."""
        ...

    async def create_compute(self, spec: ComputeSpec) -> Compute:
        """Allocate the instance and its addresses without starting it.

        `NotFoundError` for an image that is not there, `InvalidError` for a network that is not, `ConflictError` when
        the name stands for another specification.
        """
        ...

    async def set_environment(
        self,
        name: str,
        env: Mapping[str, str],
        files: Sequence[File] = (),
        *,
        command: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> Compute:
        """What the next start uses: merged into the environment, files and hosts file; an empty value removes a variable.
        `command` replaces the command when given: addresses that it needs are known by now."""
        ...

    async def start_compute(self, name: str) -> Compute:
        """Run it. Starting what runs changes nothing; `ConflictError` when it is FAILED."""
        ...

    async def stop_compute(self, name: str, grace_s: float | None = None) -> Compute:
        """Stop it: ask, wait `grace_s` (the spec's where None), kill. It is EXITED then, whatever its code.

        Stopping what does not run (CREATED, EXITED) changes nothing; `ConflictError` when it is FAILED.
        """
        ...

    async def delete_compute(self, name: str) -> None:
        """Stop at once and remove, with its addresses and interfaces, in every state."""
        ...

    async def get_compute(self, name: str) -> Compute:
        """The instance as it is now (read from the infrastructure). `NotFoundError` if there is none."""
        ...

    async def list_compute(self) -> Sequence[Compute]:
        """Every instance that this node made (by label), of whatever owner."""
        ...


@runtime_checkable
class Exec(Protocol):
    """Runs a command inside a running instance. `ConflictError` when it does not run; a command that is not done after
    `timeout_s` is killed and is a `DriverError`; a program that is not there is exit code 126 or 127."""

    async def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> ExecResult: ...


@runtime_checkable
class Logs(Protocol):
    """Reads what the instance's program printed; with `follow` it goes on until the instance is deleted."""

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[LogLine]: ...


@runtime_checkable
class Inward(Protocol):
    """Lets the node listen where only instances come from: a listening TCP socket on an address of one of its networks, such
    as a gateway. `OSError` where there is no such address."""

    async def inner_socket(self, address: str, port: int) -> socket.socket: ...


@runtime_checkable
class Stats(Protocol):
    """Counters of a running instance."""

    async def stats(self, name: str) -> ComputeStats: ...


@runtime_checkable
class Written(Protocol):
    """How much an instance has written on top of its image, in bytes on disk; 0 before its first start. The look may be
    costly: it is asked for only where somebody measures it."""

    async def written_bytes(self, name: str) -> int: ...


@runtime_checkable
class Events(Protocol):
    """Tells at once what happens to resources of this node, also behind Skerry's back."""

    def events(self) -> AsyncIterator[VimEvent]: ...


@runtime_checkable
class Resize(Protocol):
    """Changes the limits of a running instance without a restart. 0 = leave as it is."""

    async def resize(self, name: str, *, vcpus: float = 0.0, memory_bytes: int = 0) -> Compute: ...


@runtime_checkable
class Taps(Protocol):
    """Lets a data plane steer what instances send and receive."""

    async def taps(self, name: str) -> Sequence[Tap]:
        """The host's ends of an instance's interfaces, in the instance's order, whether it runs or not. They have the same
        names whenever it is started again."""
        ...


@runtime_checkable
class Placed(Protocol):
    """Says in which network namespace its taps are ("" is the host's own): whoever brings interfaces of users and of the core
    there has the data plane lead between them and instances."""

    @property
    def namespace(self) -> str: ...


@runtime_checkable
class Snapshots(Protocol):
    """Makes an image of what an instance has written, on top of its own image, whatever state the instance is in: what a
    power cut would leave. Memory, mounts and the files of its specification are not in it. `delete_image` removes it."""

    async def snapshot_compute(self, name: str, image: str) -> Image:
        """The image of this name; one that exists is returned as it is. `NotFoundError` for an unknown instance."""
        ...


@runtime_checkable
class Exports(Protocol):
    """Writes an image into a file that `ensure_image` of this and of other infrastructures takes as its source: an OCI archive
    or what `docker save` writes, with every layer in it."""

    async def export_image(self, name: str, target: Path, max_bytes: int) -> None:
        """Write the file in pieces. `NotFoundError` for an unknown image, `TooLargeError` for one that would be larger."""
        ...


@runtime_checkable
class Present(Protocol):
    """Sees images that others brought to the infrastructure. `ensure_image` takes one as the source `vim:NAME`."""

    async def list_present(self) -> Sequence[Image]:
        """Those images, by the infrastructure's own names."""
        ...


@runtime_checkable
class Strangers(Protocol):
    """Sees what others made on the infrastructure, beside this node. Nothing of it is ever touched unless `delete_stranger` is
    asked for."""

    async def list_strangers(self) -> Sequence[Stranger]:
        """All of it, but for what belongs to the infrastructure itself."""
        ...

    async def delete_stranger(self, stranger: Stranger) -> None:
        """Remove it, running or not. One that is gone is no error."""
        ...


@runtime_checkable
class Functions(Protocol):
    """Runs micro network functions, alone or beside other instances: each is a compute resource whose image is a Click
    configuration. `NotFoundError` for an instance that is none, `ConflictError` where it does not run."""

    def only_functions(self) -> bool:
        """Whether it runs nothing else."""
        ...

    async def list_functions(self) -> Sequence[Function]:
        """All of this node's."""
        ...

    async def get_function(self, name: str) -> Function: ...

    async def list_handlers(self, name: str) -> Sequence[Handler]: ...

    async def read_handler(self, name: str, handler: str) -> str:
        """The value of "element.handler", or of a name that the descriptor gives."""
        ...

    async def write_handler(self, name: str, handler: str, value: str) -> None: ...

    async def swap_function(self, name: str, configuration: str) -> Function:
        """Exchange the configuration of a running function: no packet is lost, elements of the same name and class keep their
        state. `InvalidError` with every fault; the old one goes on then."""
        ...

    async def hand_over(self, name: str) -> Handover:
        """Stop it for good here, to go on elsewhere. Doing it again gives the same."""
        ...

    async def take_over(self, name: str, brought: Handover) -> Function:
        """Start it with what it brings from elsewhere."""
        ...
