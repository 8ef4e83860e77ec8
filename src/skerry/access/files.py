"""Small private files: written atomically, readable by their owner alone. A folder has one node."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from skerry.errors import ConflictError, UnavailableError

PATIENCE_S = 3.0
"""So long a node waits for the one before it to end."""


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700 where it is missing. `UnavailableError` where this machine refuses."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UnavailableError(
            f"cannot make the folder {path}: {error.strerror}",
            suggestion="choose a folder that you may write with --data-dir or the setting data_dir",
        ) from error
    return path


@contextmanager
def only_user(folder: Path) -> Generator[None]:
    """Keep other nodes from the folder. `ConflictError` if one has it, and still after a while: it may be about to end."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from error
    with open(handle, "r+") as lock:
        last = time.monotonic() + PATIENCE_S
        while not _locked(lock):
            if time.monotonic() > last:
                raise ConflictError(
                    f"cannot start a node on {folder}: process {lock.read().strip()} is one",
                    suggestion="use that one, stop it, or choose another folder with --data-dir or the setting data_dir",
                )
            time.sleep(0.05)
        os.ftruncate(handle, 0)
        with suppress(OSError):  # a full disk: the others are kept out all the same
            os.write(handle, f"{os.getpid()}\n".encode())
        yield


def _locked(file: TextIO) -> bool:
    """Take the lock if it is free. It ends with the process, however that ends, and no child has it. Where the file system
    has no locks, it counts as taken."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step, mode 0600: a reader sees the old content or the new, also after a power cut.
    `UnavailableError` where it cannot be written: no room, no right.
    """
    try:
        _replace(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UnavailableError:
    told = "make room on the disk, and make the folder writable"
    return UnavailableError(f"cannot write {path}: {error.strerror}", suggestion=told)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
