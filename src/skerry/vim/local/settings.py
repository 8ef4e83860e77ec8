"""Typed settings of the drivers of this host."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class EdgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that all drivers of this host have. A capacity of 0 is read from the machine.

    `cpu_ratio` is how many vCPUs one processor counts for; `workers` is how many instances are made at a time. `ports` says
    what is cabled to the machine: "PNF/CONNECTION POINT" (of a tenant "TENANT:PNF/…") → network interface. Such an
    interface is the PNF's alone.
    """

    host: str = "host1"
    pool: str = "172.20.0.0/14"
    vcpus: float = 0.0
    cpu_ratio: float = 32.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    instances: int = 1000
    workers: int = 8
    ports: Mapping[str, str] = {}


class LocalSettings(EdgeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Access settings of the type LOCAL. A capacity of 0 is read from the machine.

    `cpu_ratio` is how many vCPUs one processor counts for; `images` is where images are kept ("" = with the rest);
    `workers` is how many instances are made at a time. `ports` says what is cabled to the machine:
    "PNF/CONNECTION POINT" (of a tenant "TENANT:PNF/…") → network interface. Such an
    interface is the PNF's alone.
    """

    runtime: str = ""
    images: str = ""
    image_max_bytes: int = 20 << 30
    image_max_files: int = 500_000
    registry_tls_verify: bool = True
