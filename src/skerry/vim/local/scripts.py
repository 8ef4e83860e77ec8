"""Click configurations as images: each a checked text under its name. The functions block: call them in a worker thread."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from skerry.errors import InvalidError, NotFoundError
from skerry.lvnf.described import SUFFIX
from skerry.vim.driver import Image, ImageSpec
from skerry.vim.local import records
from skerry.vim.source import local_path

_MOST = 1 << 20


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and where it is from. It is checked where its values are known."""

    name: str
    text: str

    def public(self) -> Image:
        content = self.text.encode()
        return Image(id=hashlib.sha256(content).hexdigest()[:12], name=self.name, size_bytes=len(content))


def is_script(spec: ImageSpec) -> bool:
    """Whether an image is a Click configuration."""
    return spec.source.endswith(SUFFIX)


class Scripts:
    """The configurations in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Have the folder."""
        records.prepare(self._folder)

    def ensure(self, spec: ImageSpec) -> Script:
        """Have it, as it is in its file now."""
        path = local_path(spec)
        if path.stat().st_size > _MOST:
            raise InvalidError(f"cannot use the Click configuration {spec.name}: it is larger than {_MOST} bytes")
        try:
            script = Script(name=spec.name, text=path.read_text())
        except UnicodeDecodeError as wrong:
            raise InvalidError(f"cannot use the Click configuration {spec.name}: it is no text") from wrong
        records.write(self._file(spec.name), script)
        return script

    def find(self, name: str) -> Script | None:
        """A configuration by name."""
        return records.read(self._file(name), Script)

    def get(self, name: str) -> Script:
        """A configuration by name; `NotFoundError`."""
        found = self.find(name)
        if found is None:
            raise NotFoundError(
                f"cannot find the Click configuration {name}", suggestion=f"put it into the package as a {SUFFIX} file"
            )
        return found

    def all(self) -> list[Script]:
        """Every configuration, by name."""
        found = (records.read(file, Script) for file in self._folder.glob("*.json"))
        return sorted((script for script in found if script), key=lambda script: script.name)

    def delete(self, name: str) -> None:
        """Forget it."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
