"""Where images come from, as far as all drivers agree on it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from skerry.errors import InvalidError
from skerry.vim.driver import ImageSpec

_ALGORITHMS = {"": "sha256", "sha-256": "sha256", "sha256": "sha256", "sha-512": "sha512", "sha512": "sha512"}


def local_path(spec: ImageSpec) -> Path:
    """The file or directory that an image comes from, its checksum verified. `InvalidError` when that cannot be.

    Blocks while it reads: call it in a worker thread where that matters.
    """
    path = Path(spec.source)
    if not path.exists():
        raise InvalidError(
            f"cannot make the image {spec.name} available: {spec.source} does not exist",
            suggestion="give a file, a directory, host:PROGRAM or docker://REPOSITORY:TAG",
        )
    if path.is_file() and spec.checksum:
        _verify(spec, path)
    return path


def _verify(spec: ImageSpec, path: Path) -> None:
    algorithm = _ALGORITHMS.get(spec.checksum_algorithm.lower())
    if algorithm is None:
        raise InvalidError(
            f"cannot verify the image {spec.name}: the algorithm {spec.checksum_algorithm} is not known",
            suggestion="use sha-256 or sha-512",
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != spec.checksum.lower():
        raise InvalidError(
            f"cannot use the image {spec.name}: its {algorithm} is {found}, not {spec.checksum}",
            suggestion="fetch the file again or correct the checksum in the package",
        )
