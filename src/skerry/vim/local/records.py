"""What the embedded driver remembers, as files. Every file is replaced atomically, so a crash leaves the old or the new one.

Nothing here is synced to the disk: what runs does not survive a power cut, a crash of Skerry alone loses no write.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from skerry.vim.driver import ComputeSpec, ComputeState, Nic

T = TypeVar("T")

_GONE, _FRESH = ".gone", ".new"


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file for the instance: where it shall be, and the name of its content in the instance's folder."""

    path: str
    content: str
    mode: int


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process that cannot be mistaken for a later one with its number: `started` is its start in clock ticks."""

    pid: int
    started: int


class Creation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an instance is, written when it is created and changed by a resize only. `layers` are its image's."""

    id: str
    spec: ComputeSpec
    nics: tuple[Nic, ...]
    image: str
    layers: tuple[str, ...]
    program: tuple[str, ...]
    base_env: dict[str, str] = {}
    folder: str = "/"
    user: str = ""
    stop_signal: int = 15


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an instance is. `asked` says that its end was asked for; `boot` is the machine's boot during its last start."""

    state: ComputeState = ComputeState.UNAVAILABLE
    env: dict[str, str] = {}
    files: tuple[Stored, ...] = ()
    hosts: dict[str, str] = {}
    program: tuple[str, ...] = ()  # replaces the one of the creation
    process: Process | None = None
    shim: Process | None = None
    boot: str = ""
    exit_code: int | None = None
    started_at: str = ""
    asked: bool = False
    vcpus: float = 0.0  # limits that a resize set, 0 = as created
    memory_bytes: int = 0


def write(path: Path, value: msgspec.Struct) -> None:
    """Replace a file by this value."""
    write_bytes(path, msgspec.json.encode(value))


def write_bytes(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file's content atomically."""
    fresh = path.with_name(f".{path.name}.{threading.get_ident():x}{_FRESH}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
    fresh.replace(path)


def read(path: Path, kind: type[T]) -> T | None:
    """The value in a file; None when it is not there or not whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def prepare(folder: Path) -> None:
    """Have a folder for records, without those that a crash left half written. Nobody may be writing there."""
    folder.mkdir(parents=True, exist_ok=True)
    for rest in folder.glob(f".*{_FRESH}"):
        rest.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder; after a crash in the middle it no longer counts and `sweep` finishes."""
    gone = folder.with_name(folder.name + _GONE)
    shutil.rmtree(gone, ignore_errors=True)
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    if not gone.is_dir():
        gone.unlink()
        return
    shutil.rmtree(gone)


def sweep(parent: Path) -> Iterator[Path]:
    """The folders in `parent` that count, having removed the rests of those that were discarded."""
    for folder in sorted(parent.iterdir()):
        if folder.name.endswith(_GONE):
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.is_dir():
            yield folder


def same(one: msgspec.Struct, other: msgspec.Struct) -> bool:
    """True when two values are the same in JSON, in which a list equals a tuple."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
