"""The contract of a back end: what turns a checked graph into something that moves packets. Calls block: use threads.

A function's ports are interfaces of one network namespace; the graph names them by device ("eth0"). What a back end starts
goes on when this process dies and is found again by its name (`adopt`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from skerry.lvnf.graph import Graph


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a function runs. `name` is deterministic; `folder` is its own (state, sockets, log); `namespace` is the file of its
    network namespace, None this process's own; `devices` maps the graph's device names to interface names in it;
    `memory_bytes` is the most of its own that a process may have beside what every one needs, 0 for no limit."""

    name: str
    folder: Path
    namespace: Path | None = None
    devices: Mapping[str, str] = {}
    memory_bytes: int = 0


class HandlerKind(enum.StrEnum):
    """What a handler can do."""

    READ = "read"
    WRITE = "write"
    BOTH = "both"


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of an element, "counter.count" written out: element and name."""

    element: str
    name: str
    kind: HandlerKind


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running function uses: memory in bytes, processor seconds since its start, processes."""

    memory_bytes: int
    cpu_seconds: float
    pids: int = 0


class Running(Protocol):
    """A running function. Errors: `NotFoundError` for a handler that is not there, `InvalidError` for a value that it refuses,
    `ConflictError` when the function has stopped, `DriverError` when the kernel or the process refuses."""

    @property
    def graph(self) -> Graph: ...

    def handlers(self) -> Sequence[Handler]: ...

    def read(self, element: str, handler: str) -> str:
        """A handler's value as Click prints it."""
        ...

    def write(self, element: str, handler: str, value: str) -> None: ...

    def replace(self, graph: Graph) -> None:
        """Swap the configuration without losing a packet; elements with the same name and class keep their state. On an error
        the old one goes on."""
        ...

    def alive(self) -> bool: ...

    def usage(self) -> Usage: ...

    def stop(self) -> None:
        """Stop it and take away all that it made. Stopping what has stopped changes nothing."""
        ...

    def detach(self) -> None:
        """Let go of it without stopping it: it goes on by itself."""
        ...


class Backend(Protocol):
    """One way to run graphs."""

    name: str

    def refusals(self, graph: Graph) -> Sequence[str]:
        """Why this back end cannot run the graph, a sentence for each cause; empty when it can."""
        ...

    def start(self, graph: Graph, place: Place) -> Running:
        """Run it. What an earlier start of the same name left behind is taken away first."""
        ...

    def adopt(self, place: Place) -> Running | None:
        """What runs under this name since an earlier life of this process; None when nothing does."""
        ...
