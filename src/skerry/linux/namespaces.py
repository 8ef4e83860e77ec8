"""Network namespaces by name, as `ip netns` shows them, without a process for each.

What enters a namespace moves the calling thread for the time of the block: call it in a worker thread. A name that was
left behind by a crash or a reboot, as a plain file, counts as absent and is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from skerry.linux import syscalls

FOLDER = Path("/run/netns")


def place(name: str) -> Path:
    """Where the namespace of this name is bound."""
    return FOLDER / name


def enter(path: Path) -> None:
    """Move the calling thread into the namespace bound at `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.enter_network(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def inside(path: Path) -> Generator[int]:
    """The calling thread is in the namespace bound at `path` within the block; yields a descriptor of its own one."""
    with syscalls.network_kept() as home:
        enter(path)
        yield home


def pinned(path: Path) -> bool:
    """True when a namespace is bound at `path`: a plain file there is the rest of a crash or of a reboot."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def pin_new(path: Path, settings: Mapping[str, str] | None = None, *, stay: bool = False) -> None:
    """Make a network namespace that lives on at `path`, with these kernel settings; `stay` leaves the thread in it."""
    _shared_folder()
    with syscalls.network_kept() as home:
        syscalls.unshare_network()
        sysctl(settings or {})
        path.touch(0o444)
        syscalls.mount("/proc/thread-self/ns/net", path, flags=syscalls.MS_BIND)
        fresh = syscalls.own_network() if stay else os.dup(home)
    try:
        syscalls.enter_network(fresh)
    finally:
        os.close(fresh)


def _shared_folder() -> None:
    """Make /run/netns as `ip netns` does: a shared mount, so that namespaces bound there are seen everywhere."""
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        syscalls.mount("", FOLDER, "none", syscalls.MS_SHARED | syscalls.MS_REC)
    except OSError:
        syscalls.mount(str(FOLDER), FOLDER, "none", syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount("", FOLDER, "none", syscalls.MS_SHARED | syscalls.MS_REC)


def unpin(path: Path) -> None:
    """Let the namespace bound at `path` go; one that is gone is no error."""
    syscalls.unmount(path)
    path.unlink(missing_ok=True)


def sysctl(settings: Mapping[str, str]) -> None:
    """Write kernel settings of the calling thread's network namespace; one that this kernel lacks has no effect to set."""
    for name, value in settings.items():
        try:
            Path("/proc/sys", name).write_text(value)
        except FileNotFoundError:
            continue
