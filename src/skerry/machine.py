"""What this machine can do: drivers, isolation, virtualisation, networking. `skerry doctor` shows it."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from skerry.errors import SkerryError

TUN = Path("/dev/net/tun")
SYS_BPF = {"x86_64": 321, "aarch64": 280}
OVS = "apt-get install openvswitch-switch"
BPF_PROG_LOAD = 5
SOCKET_FILTER = 1


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One ability. `needed` = the embedded driver cannot do without it; `remedy` says what gives it."""

    area: str
    name: str
    present: bool
    detail: str = ""
    remedy: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Everything, in the order in which people read it. Nothing that stays is changed."""
    return [*_drivers(), *_embedded(), *_namespaces(), *_cgroups(), *_virtualisation(), *_networking(), *_packages()]


def _drivers() -> list[Finding]:
    from skerry.vim import catalogue  # noqa: PLC0415  # the drivers' modules only when asked

    found: list[Finding] = []
    for kind in catalogue.driver_types():
        try:
            catalogue.load(kind)
        except SkerryError as error:
            found.append(
                Finding(area="drivers", name=kind, present=False, detail=error.detail, remedy=error.suggestion)
            )
        else:
            found.append(Finding(area="drivers", name=kind, present=True))
    docker = Path("/var/run/docker.sock").exists()
    remedy = "apt-get install docker.io"
    found.append(
        Finding(area="drivers", name="docker engine", present=docker, detail="/var/run/docker.sock", remedy=remedy)
    )
    return found


def _embedded() -> list[Finding]:
    from skerry.vim.local.probe import probe  # noqa: PLC0415  # runs a container

    return [
        Finding(area="embedded", name=a.name, present=a.present, detail=a.detail, remedy=a.remedy, needed=a.needed)
        for a in probe().abilities
        if a.name != "kvm"
    ]


def _namespaces() -> list[Finding]:
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    there = [kind for kind in kinds if Path(f"/proc/self/ns/{kind}").exists()]
    missing = [kind for kind in kinds if kind not in there]
    remedy = "use a kernel with CONFIG_NAMESPACES" if missing else ""
    return [
        Finding(area="isolation", name="namespaces", present=not missing, detail=" ".join(there), remedy=remedy),
    ]


def _cgroups() -> list[Finding]:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    first = [parts[1].rpartition("/")[2] for parts in mounts if parts[2] == "cgroup"]
    second = [parts[1] for parts in mounts if parts[2] == "cgroup2"]
    controllers = " ".join(_read(Path(place) / "cgroup.controllers") for place in second).strip()
    return [
        Finding(area="isolation", name="cgroups v1", present=bool(first), detail=" ".join(sorted(first))),
        Finding(
            area="isolation",
            name="cgroups v2",
            present=bool(second),
            detail=controllers or ("mounted, without controllers" if second else ""),
            remedy="boot with systemd.unified_cgroup_hierarchy=1",
        ),
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _virtualisation() -> list[Finding]:
    there, usable = Path("/dev/kvm").exists(), os.access("/dev/kvm", os.R_OK | os.W_OK)
    qemu = shutil.which("qemu-system-x86_64") or shutil.which("qemu-system-aarch64") or ""
    return [
        Finding(
            area="machines",
            name="kvm",
            present=usable,
            detail="/dev/kvm",
            remedy="run as root or join the group kvm" if there else "enable virtualisation in the firmware",
        ),
        Finding(
            area="machines", name="qemu", present=bool(qemu), detail=qemu, remedy="apt-get install qemu-system-x86"
        ),
    ]


def _packages() -> list[Finding]:
    found = shutil.which("openssl") or ""
    remedy = "apt-get install openssl"
    return [Finding(area="packages", name="signatures", present=bool(found), detail=found, remedy=remedy)]


def _networking() -> list[Finding]:
    from skerry.mep.dns import unbound  # noqa: PLC0415  # only when asked

    resolver = unbound.program()
    switch = shutil.which("ovs-vswitchd") or ""
    tun = TUN.exists()
    return [
        Finding(
            area="network",
            name="open vswitch",
            present=bool(switch),
            detail=switch,
            remedy=OVS,
        ),
        Finding(
            area="network",
            name="unbound",
            present=bool(resolver),
            detail=resolver or "a small responder of our own answers instead",
            remedy="apt-get install unbound",
        ),
        Finding(area="network", name="tun", present=tun, detail=str(TUN), remedy="modprobe tun"),
        _try("network", "raw sockets", _raw_socket, "run as root"),
        _try("network", "ebpf", load_bpf, "run as root on a kernel with CONFIG_BPF_SYSCALL"),
    ]


def _try(area: str, name: str, test: Callable[[], None], remedy: str) -> Finding:
    try:
        test()
    except OSError as error:
        return Finding(area=area, name=name, present=False, detail=error.strerror or str(error), remedy=remedy)
    return Finding(area=area, name=name, present=True)


def _raw_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def load_bpf() -> None:
    """Load the smallest program there is (`return 0`) and let it go. `OSError` where the kernel refuses."""
    number = SYS_BPF.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"not known how to call bpf on {os.uname().machine}")
    program = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = 0; exit
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack("<IIQQ", SOCKET_FILTER, 2, ctypes.addressof(code), ctypes.addressof(licence))
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(number, BPF_PROG_LOAD, buffer, len(buffer))
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(handle)
