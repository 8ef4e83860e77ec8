"""Small private files: written atomically, readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from skerry.errors import UnavailableError


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


def write_private(path: Path, content: bytes) -> None:
    """Replace the file in one step, mode 0600: a reader sees the old content or the new, also after a power cut."""
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
