"""Finds out what this machine can do for the embedded driver, and what to install for more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from skerry.errors import UnsupportedError
from skerry.vim.local import cgroups, hostpack, records, supervise

_PROBE_S = 10.0
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Ability(msgspec.Struct, frozen=True):
    """One ability: what was found, and what gives it where it is missing. `needed` is False for what is optional."""

    name: str
    present: bool
    detail: str = ""
    remedy: str = ""
    needed: bool = True


class Probe(msgspec.Struct, frozen=True):
    """Everything that was found. `usable` when no needed ability is missing; `runtime` is the one to use."""

    abilities: tuple[Ability, ...]
    runtime: str
    cgroups: str

    @property
    def usable(self) -> bool:
        return all(ability.present for ability in self.abilities if ability.needed)


def tool(name: str) -> str:
    """The path of a program, also in the folders that only root has in PATH; "" when it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SEARCH}") or ""


def runtimes(groups: cgroups.Layout) -> list[str]:
    """The installed OCI runtimes, best first: crun is lighter, but refuses a mixture of control group versions."""
    names = ("crun", "runc") if groups.mode == "v2" else ("runc", "crun")
    return [path for path in map(tool, names) if path]


def works(runtime: str) -> str:
    """Run a trivial container; "" when that worked, else what the runtime said."""
    shell = hostpack.shell()
    if not shell:
        return "no busybox to try it with"
    with tempfile.TemporaryDirectory(prefix="skerry-probe-") as name:
        folder = Path(name)
        for part in ("rootfs/bin", "rootfs/proc", "rootfs/dev", "state"):
            (folder / part).mkdir(parents=True)
        shutil.copy2(shell, folder / "rootfs/bin/busybox")
        instance = folder.name
        (folder / supervise.BUNDLE).write_text(json.dumps(_trivial(instance)))
        try:
            return _tried([runtime, f"--root={folder / 'state'}", "run", "--bundle", name, instance])
        finally:
            groups = cgroups.this_machine()
            runner = supervise.Runner(runtime=runtime, shim="", state=folder / "state", cgroup="", groups=groups)
            supervise.destroy(runner, instance, folder, None)


def _tried(call: list[str]) -> str:
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, check=False, timeout=_PROBE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        return str(wrong)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def _trivial(instance: str) -> dict[str, object]:
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/busybox", "true"], "cwd": "/"},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc", "uts")],
            "cgroupsPath": f"/{instance}",
            "resources": {"pids": {"limit": 8}},
        },
    }


def choose(wanted: str, groups: cgroups.Layout) -> tuple[str, str]:
    """The runtime to use and, when there is none, why: the one that is wanted, else the first that works here."""
    candidates = [path for path in [tool(wanted)] if path] if wanted else runtimes(groups)
    if not candidates:
        return "", f"{wanted or 'neither runc nor crun'} is not installed" if wanted else "neither is installed"
    reasons: list[str] = []
    for path in candidates:
        reason = works(path)
        if not reason:
            return path, ""
        reasons.append(f"{path}: {reason}")
    return "", "; ".join(reasons)


def known(note: Path, wanted: str, groups: cgroups.Layout) -> str:
    """The runtime that works here; tried once per installed version, for the trial costs a container's start. What was found
    is kept in the file `note`. `UnsupportedError` when there is none."""
    installed = [(path, Path(path).stat().st_mtime_ns) for path in runtimes(groups)]
    mark = f"{wanted} {groups.mode} {installed}"
    before = records.read(note, tuple[str, str])
    if before and before[0] == mark:
        return before[1]
    runtime, reason = choose(wanted, groups)
    if not runtime:
        raise UnsupportedError(
            f"cannot run containers: no OCI runtime works here ({reason})",
            suggestion="apt-get install runc; `skerry doctor` says more",
        )
    records.write_bytes(note, msgspec.json.encode((mark, runtime)))
    return runtime


def probe(runtime: str = "") -> Probe:
    """Look at this machine. Runs one trivial container; changes nothing that stays."""
    groups = cgroups.this_machine()
    chosen, reason = choose(runtime, groups)
    abilities = (
        Ability("root", os.geteuid() == 0, f"uid {os.geteuid()}", "run Skerry as root"),
        Ability("oci-runtime", bool(chosen), chosen or reason, "apt-get install runc (or crun)"),
        _program("conmon", "conmon", "apt-get install conmon"),
        _program("iproute2", "tc", "apt-get install iproute2"),
        Ability("busybox", bool(hostpack.shell()), hostpack.shell(), "apt-get install busybox-static"),
        Ability("network-namespaces", Path("/proc/self/ns/net").exists(), "", "use a kernel with CONFIG_NET_NS"),
        Ability("overlay", "overlay" in _filesystems(), "", "modprobe overlay"),
        Ability("cgroups", groups.mode != "none", groups.mode, "mount control groups at /sys/fs/cgroup"),
        Ability("seccomp", _seccomp(), "", "use a kernel with CONFIG_SECCOMP_FILTER"),
        _program("skopeo", "skopeo", "apt-get install skopeo (only to pull from registries)", needed=False),
        Ability("kvm", os.access("/dev/kvm", os.R_OK | os.W_OK), "/dev/kvm", "enable virtualisation", needed=False),
    )
    return Probe(abilities, chosen, groups.mode)


def _program(name: str, program: str, remedy: str, needed: bool = True) -> Ability:
    path = tool(program)
    return Ability(name, bool(path), path, remedy, needed)


def _filesystems() -> set[str]:
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines() if line.strip()}
    modules = Path("/lib/modules", os.uname().release, "kernel/fs/overlayfs")
    return known | ({"overlay"} if modules.is_dir() else set())


def _seccomp() -> bool:
    return "\nSeccomp:" in Path("/proc/self/status").read_text()


def bounding_set() -> int:
    """The capabilities that this process may hand on, as a bit set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return -1
