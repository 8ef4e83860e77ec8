"""The default system call filter: what a contained program has no business with. Denied calls fail with EPERM.

A capability that an instance was given opens the calls which that capability is for.
"""

from __future__ import annotations

import platform
from collections.abc import Collection
from typing import Any

_EPERM, _ENOSYS = 1, 38
_NEW_USER_NAMESPACE = 0x10000000

_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "riscv64": ["SCMP_ARCH_RISCV64"],
    "ppc64le": ["SCMP_ARCH_PPC64LE"],
    "s390x": ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
}

_ALWAYS = [
    "_sysctl",
    "add_key",
    "afs_syscall",
    "create_module",
    "fanotify_init",
    "get_kernel_syms",
    "get_mempolicy",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "move_pages",
    "nfsservctl",
    "perf_event_open",
    "query_module",
    "quotactl",
    "request_key",
    "set_mempolicy",
    "sysfs",
    "uselib",
    "userfaultfd",
    "ustat",
    "vm86",
    "vm86old",
    "vmsplice",
]

_BY_CAPABILITY = {
    "SYS_ADMIN": [
        "bpf",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "pivot_root",
        "setdomainname",
        "sethostname",
        "setns",
        "swapoff",
        "swapon",
        "syslog",
        "umount",
        "umount2",
        "unshare",
    ],
    "SYS_BOOT": ["reboot", "kexec_load", "kexec_file_load"],
    "SYS_MODULE": ["init_module", "finit_module", "delete_module"],
    "SYS_PTRACE": ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"],
    "SYS_TIME": [
        "settimeofday",
        "stime",
        "clock_settime",
        "clock_settime64",
        "adjtimex",
        "clock_adjtime",
    ],
    "SYS_PACCT": ["acct"],
    "DAC_READ_SEARCH": ["open_by_handle_at", "name_to_handle_at"],
}


def profile(capabilities: Collection[str], machine: str = "") -> dict[str, Any]:
    """The `linux.seccomp` object of an OCI bundle for an instance with these capabilities."""
    denied = [*_ALWAYS]
    for capability, calls in _BY_CAPABILITY.items():
        if capability not in capabilities:
            denied += calls
    rules: list[dict[str, Any]] = [{"names": sorted(denied), "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM}]
    if "SYS_ADMIN" not in capabilities:
        rules += _no_user_namespaces()
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": _ARCHITECTURES.get(machine or platform.machine(), []),
        "syscalls": rules,
    }


def _no_user_namespaces() -> list[dict[str, Any]]:
    """A new user namespace would bring every capability back; clone3 hides its flags, so libc shall use clone."""
    flag = {"index": 0, "value": _NEW_USER_NAMESPACE, "valueTwo": _NEW_USER_NAMESPACE, "op": "SCMP_CMP_MASKED_EQ"}
    return [
        {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, "args": [flag]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]
