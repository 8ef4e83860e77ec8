"""Control groups, versions 1, 2 and hybrid: what the machine has, an instance's counters, and their removal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_CONTROLLERS = frozenset({"cpu", "cpuacct", "memory", "pids", "devices", "freezer", "blkio", "cpuset", "systemd"})
_REMOVAL_S = 3.0


class Layout(msgspec.Struct, frozen=True):
    """How control groups are mounted. `mode` is "v1", "v2", "hybrid" or "none"; `v1` maps a controller to its mount."""

    mode: str
    v1: Mapping[str, str] = {}
    v2: str = ""
    swap: bool = False

    def roots(self) -> tuple[Path, ...]:
        """Every mounted hierarchy."""
        found = dict.fromkeys(self.v1.values())
        return tuple(Path(root) for root in (*found, self.v2) if root)


class Counters(msgspec.Struct, frozen=True):
    """An instance's use: CPU in seconds since its start, memory in bytes without the reclaimable cache, processes."""

    cpu_seconds: float
    memory_bytes: int
    pids: int


def layout(mounts: str) -> Layout:
    """Read /proc/self/mounts. Pure but for asking whether swap is accounted."""
    v1: dict[str, str] = {}
    v2 = ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        if fields[2] == "cgroup2":
            v2 = v2 or fields[1]
        elif fields[2] == "cgroup":
            for option in fields[3].replace("name=", "").split(","):
                if option in _CONTROLLERS:
                    v1.setdefault(option, fields[1])
    mode = ("hybrid" if v2 else "v1") if "memory" in v1 else ("v2" if v2 else "none")
    accounted = Path(v1["memory"], "memory.memsw.limit_in_bytes").exists() if "memory" in v1 else mode == "v2"
    return Layout(mode, v1, v2, accounted)


def this_machine() -> Layout:
    """The layout of this machine."""
    return layout(Path("/proc/self/mounts").read_text())


def counters(groups: Layout, path: str) -> Counters:
    """Read an instance's counters; `FileNotFoundError` when its groups are gone."""
    if groups.mode == "v2":
        home = _at(groups.v2, path)
        used = int(_fields(home / "cpu.stat")["usage_usec"]) / 1e6
        memory = int((home / "memory.current").read_text())
        cache = int(_fields(home / "memory.stat").get("inactive_file", "0"))
        return Counters(used, max(0, memory - cache), int((home / "pids.current").read_text()))
    used = int((_at(groups.v1["cpuacct"], path) / "cpuacct.usage").read_text()) / 1e9
    home = _at(groups.v1["memory"], path)
    memory = int((home / "memory.usage_in_bytes").read_text())
    cache = int(_fields(home / "memory.stat").get("total_inactive_file", "0"))
    return Counters(used, max(0, memory - cache), int((_at(groups.v1["pids"], path) / "pids.current").read_text()))


def out_of_memory(groups: Layout, path: str) -> bool:
    """True when the kernel killed a process of the instance for want of memory."""
    file = "memory.events" if groups.mode == "v2" else "memory.oom_control"
    root = groups.v2 if groups.mode == "v2" else groups.v1.get("memory", "")
    try:
        return int(_fields(_at(root, path) / file).get("oom_kill", "0")) > 0
    except FileNotFoundError:
        return False


def processes(groups: Layout, path: str) -> set[int]:
    """Every process in the instance's groups, whichever hierarchy knows it."""
    found: set[int] = set()
    for root in groups.roots():
        for folder in _tree(_at(str(root), path)):
            try:
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
            except OSError:
                continue
    return found


def remove(groups: Layout, path: str) -> list[str]:
    """Remove the instance's groups once their processes are gone; returns those that did not go within 3 s."""
    deadline = time.monotonic() + _REMOVAL_S
    left = [_at(str(root), path) for root in groups.roots()]
    while True:
        left = [folder for folder in left if not _removed(folder)]
        if not left or time.monotonic() > deadline:
            return [str(folder) for folder in left]
        time.sleep(0.002)


def remove_empty(groups: Layout, path: str) -> None:
    """Remove a parent group where it has no children left."""
    for root in groups.roots():
        try:
            _at(str(root), path).rmdir()
        except OSError:
            continue


def _at(root: str, path: str) -> Path:
    return Path(root, path.lstrip("/"))


def _tree(folder: Path) -> Iterable[Path]:
    """The folder and its subgroups, innermost first."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        if child.is_dir():
            yield from _tree(child)
    yield folder


def _removed(folder: Path) -> bool:
    try:
        for group in list(_tree(folder)):
            group.rmdir()
    except FileNotFoundError:
        return not folder.exists()
    except OSError:
        return False
    return True


def _fields(file: Path) -> dict[str, str]:
    return dict(line.split(None, 1) for line in file.read_text().splitlines() if " " in line)
