"""The Linux calls that Python 3.11 does not offer: mounts, namespaces, inotify. Thin and typed; `OSError` on failure."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 1 << 20
MNT_DETACH = 2
CLONE_NEWNET = 0x40000000
IN_MODIFY = 0x2
IN_MOVE_SELF = 0x800
IN_DELETE_SELF = 0x400
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_TOPDIR_FL = 0x20000

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    arguments = (
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _checked(_libc.mount(*arguments), str(target))


def unmount(target: Path) -> None:
    """Detach everything mounted at `target`; a target that is no mount or is gone is no error."""
    while _libc.umount2(os.fsencode(target), MNT_DETACH) == 0:
        continue


def unshare_network() -> None:
    """Give the calling thread a fresh network namespace."""
    _checked(_libc.unshare(CLONE_NEWNET), "unshare")


def enter_network(descriptor: int) -> None:
    """Move the calling thread into the network namespace of `descriptor`."""
    _checked(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def own_network() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def network_kept() -> Generator[int]:
    """Return the calling thread to its network namespace at the end, whatever the body enters; yields its descriptor."""
    home = own_network()
    try:
        yield home
    finally:
        try:
            enter_network(home)
        finally:
            os.close(home)


def inotify(path: Path, mask: int) -> int:
    """A non-blocking inotify descriptor that watches one path."""
    descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
    try:
        _checked(_libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(mask)), str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def spread(folder: Path) -> None:
    """Let ext4 place each subfolder in another part of the disk, as `chattr +T`; other file systems are left as they are.

    ext4 uses no inode again for a minute after it was freed and looks for others one by one: where instances come and go
    in one place, making a file would soon take a millisecond.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            flags = struct.unpack_from("I", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8)))[0]
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("II", flags | FS_TOPDIR_FL, 0))
    finally:
        os.close(descriptor)
