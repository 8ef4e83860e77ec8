"""From an instance's specification to an OCI runtime bundle (runtime-spec 1.0.2): pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import Fault
from skerry.vim.driver import ComputeSpec, Nic, Port
from skerry.vim.local import seccomp

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CPU_PERIOD_US = 100_000

DEFAULT_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
)

# Bit numbers of linux/capability.h; a capability is checked against the machine's bounding set by its number.
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]

_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
]
_READ_ONLY = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
]

_SETTINGS = "/proc/sys"
_FOREIGN_SETTINGS = ("abi", "crypto", "debug", "dev", "fs", "kernel", "sunrpc", "user", "vm")
_TUNNELS: Mapping[str, Any] = {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666}
_WHICH = ("type", "major", "minor")

_SHARED_MEMORY, _SCRATCH = "/dev/shm", "/tmp"  # noqa: S108 - inside the instance
_TMPFS = ["nosuid", "nodev", "noexec"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bundle's parts are on this host. `files` maps paths in the instance to host files, hosts and resolv first."""

    root: str
    network: str
    cgroup: str
    files: Mapping[str, str]
    uid: int = 0
    gid: int = 0
    swap_accounted: bool = False


def bundle(
    spec: ComputeSpec, place: Place, *, program: Sequence[str], env: Mapping[str, str], folder: str = "/"
) -> dict[str, Any]:
    """The `config.json` of an instance."""
    return {
        "ociVersion": "1.0.2",
        "process": _process(spec, place, program, env, folder),
        "root": {"path": place.root, "readonly": spec.read_only},
        "hostname": hostname(spec),
        "mounts": _mounts(spec, place),
        "annotations": {"skerry.owner": spec.owner, "skerry.name": spec.name},
        "linux": {
            "namespaces": [
                {"type": "pid"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "mount"},
                {"type": "network", "path": place.network},
            ],
            "cgroupsPath": place.cgroup,
            "devices": [_TUNNELS] if _administers_network(spec) else [],
            "resources": resources(spec, place.swap_accounted),
            "seccomp": seccomp.profile(_capabilities(spec)),
            "maskedPaths": _MASKED,
            "readonlyPaths": _read_only(spec),
            "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"},
        },
    }


def hostname(spec: ComputeSpec) -> str:
    """The instance's own host name: as asked, else its name as a DNS label."""
    label = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in spec.name.lower())
    return spec.hostname or label.strip("-")[-63:].strip("-") or "instance"


def resources(spec: ComputeSpec, swap_accounted: bool) -> dict[str, Any]:
    """Limits of CPU, memory and processes, and no device but the harmless ones."""
    limits: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if _administers_network(spec):
        limits["devices"].append({"allow": True, **{key: _TUNNELS[key] for key in _WHICH}, "access": "rw"})
    if spec.pids:
        limits["pids"] = {"limit": spec.pids}
    if spec.vcpus:
        limits["cpu"] = {"period": _CPU_PERIOD_US, "quota": cpu_quota(spec.vcpus)}
    if spec.memory_bytes:
        limits["memory"] = {"limit": spec.memory_bytes}
        if swap_accounted:
            limits["memory"]["swap"] = spec.memory_bytes
    return limits


def _administers_network(spec: ComputeSpec) -> bool:
    """Whether the instance may change its own network: it may make tunnels there, too, and set how its kernel forwards."""
    return "NET_ADMIN" in _capabilities(spec)


def _read_only(spec: ComputeSpec) -> list[str]:
    """Of the kernel's settings, those below `net` are of the instance's own network namespace."""
    if not _administers_network(spec):
        return _READ_ONLY
    return [path for path in _READ_ONLY if path != _SETTINGS] + [f"{_SETTINGS}/{name}" for name in _FOREIGN_SETTINGS]


def cpu_quota(vcpus: float) -> int:
    """Microseconds per period of 100 ms; the kernel takes no less than 1 ms."""
    return max(1000, round(vcpus * _CPU_PERIOD_US))


def _capabilities(spec: ComputeSpec) -> list[str]:
    return sorted({*DEFAULT_CAPABILITIES, *(name.upper().removeprefix("CAP_") for name in spec.capabilities)})


def _process(
    spec: ComputeSpec, place: Place, program: Sequence[str], env: Mapping[str, str], folder: str
) -> dict[str, Any]:
    held = [f"CAP_{name}" for name in _capabilities(spec)]
    bounds = {"bounding": held, "effective": held, "permitted": held}
    surroundings = {"PATH": _PATH, "HOSTNAME": hostname(spec), "HOME": "/root" if place.uid == 0 else "/", **env}
    return {
        "terminal": False,
        "user": {"uid": place.uid, "gid": place.gid},
        "args": list(program),
        "env": [f"{name}={value}" for name, value in surroundings.items()],
        "cwd": folder or "/",
        "capabilities": bounds,
        "noNewPrivileges": True,
    }


def _mount(target: str, kind: str, source: str, options: Sequence[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _bind(source: str, target: str, read_only: bool) -> dict[str, Any]:
    options = ["rbind", "ro" if read_only else "rw", "nosuid", "nodev"]
    return _mount(target, "bind", source, options)


def _mounts(spec: ComputeSpec, place: Place) -> list[dict[str, Any]]:
    system = [
        _mount("/proc", "proc", "proc", _TMPFS),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            [
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
            ],
        ),
        _mount(_SHARED_MEMORY, "tmpfs", "shm", [*_TMPFS, "mode=1777", "size=65536k"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", _TMPFS),
        _mount("/sys", "sysfs", "sysfs", [*_TMPFS, "ro"]),
        _mount(_SCRATCH, "tmpfs", "tmpfs", ["nosuid", "nodev", "mode=1777"]),
    ]
    if spec.read_only:
        system.append(_mount("/run", "tmpfs", "tmpfs", ["nosuid", "nodev", "mode=755"]))
    own = [_bind(source, target, spec.read_only) for target, source in place.files.items()]
    return system + [_bind(mount.source, mount.target, mount.read_only) for mount in spec.mounts] + own


def user_ids(user: str, passwd: str, group: str) -> tuple[int, int]:
    """uid and gid of an image's `User` ("name", "uid", "name:group", "uid:gid") by its own account files.

    `KeyError` when the image has no such account.
    """
    name, _, group_name = user.partition(":")
    accounts = {fields[0]: fields for fields in (line.split(":") for line in passwd.splitlines()) if len(fields) >= 4}
    groups = {fields[0]: fields[2] for fields in (line.split(":") for line in group.splitlines()) if len(fields) >= 3}
    if name.isdecimal():
        known = next((fields for fields in accounts.values() if fields[2] == name), None)
        uid, gid = int(name), int(known[3]) if known else 0
    else:
        uid, gid = (int(number) for number in accounts[name or "root"][2:4]) if name else (0, 0)
    if group_name:
        gid = int(group_name if group_name.isdecimal() else groups[group_name])
    return uid, gid


def hosts_file(spec: ComputeSpec, nics: Sequence[Nic]) -> str:
    """/etc/hosts: itself by its first address, and the names it was given."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    if nics:
        lines.append(f"{nics[0].ip} {hostname(spec)}")
    lines += [f"{address} {name}" for name, address in spec.hosts.items()]
    return "\n".join(lines) + "\n"


def resolver_file(spec: ComputeSpec) -> str:
    """/etc/resolv.conf: the servers asked for and no other; the host's own would leak its network."""
    return "".join(f"nameserver {server}\n" for server in spec.dns)


def faults(spec: ComputeSpec, bounding: int) -> list[Fault]:
    """Everything that is wrong with a specification for this machine, without asking the disk."""
    found: list[Fault] = []
    if spec.vcpus < 0 or spec.memory_bytes < 0 or spec.pids < 0:
        found.append(Fault(message="a limit is negative", code="limit", path="vcpus"))
    if 0 < spec.memory_bytes < 4 << 20:
        found.append(Fault(message="less than 4 MiB of memory starts no program", code="limit", path="memory_bytes"))
    found += [fault for fault in (_dns_fault(server) for server in spec.dns) if fault]
    found += [fault for fault in (_capability_fault(name, bounding) for name in spec.capabilities) if fault]
    found += [fault for fault in (_port_fault(spec, port) for port in spec.ports) if fault]
    targets = [("files", file.path) for file in spec.files] + [("mounts", mount.target) for mount in spec.mounts]
    for field, target in targets:
        if not target.startswith("/") or ".." in target.split("/") or target.rstrip("/") == "":
            found.append(Fault(message=f"{target!r} is no absolute path", code="path", path=field))
    for name, value in spec.env.items():
        if "=" in name or "\0" in name + value:
            found.append(Fault(message=f"the variable {name!r} has a character that none may have", path="env"))
    return found


def _port_fault(spec: ComputeSpec, port: Port) -> Fault | None:
    if not (0 <= port.host < 65536 and 0 < port.instance < 65536):
        return Fault(message=f"{port.host}:{port.instance} are no port numbers", code="port", path="ports")
    if port.host and port.protocol not in {"tcp", "udp"}:
        return Fault(message=f"the protocol {port.protocol} cannot be published", code="port", path="ports")
    if port.host and not spec.nics:
        return Fault(message="an instance without a network has no port to publish", code="port", path="ports")
    return None


def _dns_fault(server: str) -> Fault | None:
    try:
        ipaddress.ip_address(server)
    except ValueError:
        return Fault(message=f"the DNS server {server} is no address", code="dns", path="dns")
    return None


def _capability_fault(name: str, bounding: int) -> Fault | None:
    plain = name.upper().removeprefix("CAP_")
    if plain not in CAPABILITIES:
        return Fault(message=f"there is no capability {name}", code="capability", path="capabilities")
    if not bounding >> CAPABILITIES.index(plain) & 1:
        return Fault(
            message=f"this machine does not give the capability {plain}", code="capability", path="capabilities"
        )
    return None
