"""Unpacks image layers into folders that an overlay can stack, and trusts no name in them.

Every path is walked component by component with file descriptors and without following symbolic links, so neither `..`
nor a link nor a race can lead outside. Whiteouts become the overlay's own. Device nodes are left out.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from skerry.errors import InvalidError, TooLargeError, UnsupportedError

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_ZSTD = b"\x28\xb5\x2f\xfd"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CAPABILITY = "SCHILY.xattr.security.capability"


def unpack(stream: IO[bytes], folder: Path, *, max_bytes: int, max_files: int) -> int:
    """Unpack one layer (a tar, maybe compressed with gzip, bzip2 or xz) into an empty folder; returns its size in bytes.

    `InvalidError` for a path that leads outside, `TooLargeError` beyond the bounds.
    """
    total = 0
    root = os.open(folder, _FLAGS)
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for count, member in enumerate(tar):
                total += member.size
                if count >= max_files or total > max_bytes:
                    raise TooLargeError(
                        f"cannot unpack the image: it has more than {max_files} files or {max_bytes} bytes",
                        suggestion="use a smaller image or raise the driver's limits",
                    )
                _member(tar, member, root)
    except tarfile.TarError as wrong:
        raise InvalidError(f"cannot unpack the image: a layer is no whole tar archive ({wrong})") from wrong
    finally:
        os.close(root)
    return total


def refuse_zstd(head: bytes) -> None:
    """Say clearly that a layer is compressed in a way that Python cannot read."""
    if head.startswith(_ZSTD):
        raise UnsupportedError(
            "cannot unpack the image: its layers are compressed with zstd",
            suggestion="convert it, e.g. skopeo copy --dest-compress-format gzip",
        )


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise InvalidError(f"cannot unpack the image: the path {name!r} leads outside of it")
    return parts


@contextmanager
def _parent(root: int, parts: list[str]) -> Generator[int]:
    """The folder of a path's last component, made where missing."""
    at = os.dup(root)
    try:
        for part in parts[:-1]:
            at = _step(at, part)
        yield at
    finally:
        os.close(at)


def _step(at: int, part: str) -> int:
    try:
        inner = os.open(part, _FLAGS, dir_fd=at)
    except FileNotFoundError:
        os.mkdir(part, 0o755, dir_fd=at)
        inner = os.open(part, _FLAGS, dir_fd=at)
    except OSError as wrong:
        raise InvalidError(f"cannot unpack the image: a path goes through {part!r}, which is no folder") from wrong
    os.close(at)
    return inner


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, root: int) -> None:
    parts = _parts(member.name)
    if not parts:
        return
    with _parent(root, parts) as at:
        name = parts[-1]
        if name == _OPAQUE:
            os.setxattr(f"/proc/self/fd/{at}", "trusted.overlay.opaque", b"y")
        elif name.startswith(_WHITEOUT):
            _clear(at, name.removeprefix(_WHITEOUT))
            os.mknod(name.removeprefix(_WHITEOUT), stat.S_IFCHR, os.makedev(0, 0), dir_fd=at)
        elif _make(tar, member, root, at, name):
            _own(member, at, name)


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, root: int, at: int, name: str) -> bool:
    """Make the entry; True when owner, mode and time are to be set (a device is left out, a hard link has its target's)."""
    if member.isdir():
        _folder(at, name)
        return True
    _clear(at, name)
    if member.issym():
        os.symlink(member.linkname, name, dir_fd=at)
    elif member.islnk():
        target = _parts(member.linkname)
        with _parent(root, target) as source:
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False)
        return False
    elif member.isfifo():
        os.mkfifo(name, 0o600, dir_fd=at)
    elif member.isreg():
        _file(tar, member, at, name)
    else:
        return False
    return True


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo, at: int, name: str) -> None:
    content = tar.extractfile(member)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=at), "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file, 1 << 20)


def _folder(at: int, name: str) -> None:
    try:
        kind = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=at)
        return
    if not stat.S_ISDIR(kind):
        _clear(at, name)
        os.mkdir(name, 0o755, dir_fd=at)


def _own(member: tarfile.TarInfo, at: int, name: str) -> None:
    os.chown(name, member.uid, member.gid, dir_fd=at, follow_symlinks=False)
    if member.issym():
        return
    inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        os.fchmod(inner, member.mode & 0o7777)
        capability = member.pax_headers.get(_CAPABILITY)
        if capability and member.isreg():
            os.setxattr(inner, "security.capability", capability.encode("utf-8", "surrogateescape"))
        os.utime(inner, (member.mtime, member.mtime))
    finally:
        os.close(inner)


def _clear(at: int, name: str) -> None:
    """Remove what an earlier entry of the same layer left at this name."""
    try:
        kind = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        shutil.rmtree(name, dir_fd=at)
    else:
        os.unlink(name, dir_fd=at)
