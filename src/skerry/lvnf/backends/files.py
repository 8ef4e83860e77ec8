"""The files of a function that runs as a process, and who that process is."""

from __future__ import annotations

from pathlib import Path

import msgspec

GRAPH = "graph.json"
"""The configuration that it was started with."""
LOCK = "lock"
"""Held by the function while it lives."""
PROCESS = "process.json"
"""Who it is, written by itself."""
LOG = "log"
"""What its elements printed."""
TROUBLE = "trouble"
"""What Python printed when it died of an error."""
ENDED = "ended"
"""Not empty once its configuration has said stop."""
NODE = "node"
"""Its socket for the node."""
CONTROL = "control"
"""Its ControlSocket."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A process that cannot be mistaken for a later one with its number: `started` is its start in clock ticks, in this
    boot."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Identity | None:
    """A living process; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else Identity(pid=pid, started=int(fields[19]), boot=boot)
