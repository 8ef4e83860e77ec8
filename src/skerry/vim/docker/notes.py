"""What the Engine cannot remember of an instance: changes for its next start, and that its end was asked for."""

from __future__ import annotations

from pathlib import Path

import msgspec

from skerry.vim import ipam
from skerry.vim.driver import ComputeSpec


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`pending` is the specification for the next start; `stopped_at` the start (the Engine's words) that was ended."""

    pending: ComputeSpec | None = None
    stopped_at: str = ""


class Notes:
    """Notes by instance, a file each, replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> Note:
        """The instance's note; an empty one if there is none."""
        try:
            return msgspec.json.decode(self._path(name).read_bytes(), type=Note)
        except FileNotFoundError:
            return Note()

    def put(self, name: str, note: Note) -> None:
        """Keep a note."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(note))
        fresh.replace(path)

    def drop(self, name: str) -> None:
        """Forget it."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{ipam.digest(name, length=24)}.json"
