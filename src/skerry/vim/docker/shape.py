"""What Skerry's values are in the Engine's words, and back. Pure functions."""

from __future__ import annotations

import hashlib
import io
import ipaddress
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.vim import ipam
from skerry.vim.driver import Compute, ComputeSpec, ComputeState, ComputeStats, Network, NetworkSpec, Nic
from skerry.vim.local.oci import DEFAULT_CAPABILITIES

NODE, NAME, OWNER, ROLE = "skerry.node", "skerry.name", "skerry.owner", "skerry.role"
SPEC, ASKED, NICS, GENERATION = "skerry.spec", "skerry.asked", "skerry.nics", "skerry.generation"
_NETWORK = "skerry.network"
_NEVER = "0001-01-01T00:00:00Z"
WITHOUT: Mapping[str, Any] = {"HostConfig": {"NetworkMode": "none"}}
_LOGS = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`options` of a specification that this driver knows."""

    sysctls: Mapping[str, str] = {}
    tmpfs: Mapping[str, str] = {}
    shm_bytes: int = 0
    init: bool = False


class Nested(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's labels say of its instance."""

    spec: ComputeSpec
    asked: str
    nics: tuple[Nic, ...]
    generation: int = 0


def engine_name(node: str, name: str, kind: str = "") -> str:
    """The deterministic name of a container or network in the Engine."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "-" for letter in name)
    return f"skerry-{ipam.digest(node, name)}-{plain[:40]}{kind}"


def fingerprint(spec: ComputeSpec) -> str:
    """Tells two specifications apart."""
    return hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()


def labels_of(node: str, nested: Nested, role: str = "compute") -> dict[str, str]:
    """The labels of an instance's container. The specification's own come first: ours win."""
    spec = nested.spec
    return {
        **spec.labels,
        NODE: node,
        NAME: spec.name,
        OWNER: spec.owner,
        ROLE: role,
        SPEC: msgspec.json.encode(spec).decode(),
        ASKED: nested.asked,
        NICS: msgspec.json.encode(nested.nics).decode(),
        GENERATION: str(nested.generation),
    }


def nested_of(labels: Mapping[str, str]) -> Nested:
    """The inverse of `labels_of`."""
    return Nested(
        spec=msgspec.json.decode(labels[SPEC], type=ComputeSpec),
        asked=labels[ASKED],
        nics=msgspec.json.decode(labels[NICS], type=tuple[Nic, ...]),
        generation=int(labels.get(GENERATION, "0")),
    )


def needs_holder(spec: ComputeSpec) -> bool:
    """Whether its network must be prepared by a container of its own.

    The Engine alone gives a container one interface as asked; the order of more and their MACs it does not keep, and
    it puts a DNS server of its own before the ones that were asked for.
    """
    shaped = any(nic.egress_bps or nic.ingress_bps for nic in spec.nics)
    return len(spec.nics) > 1 or bool(spec.ports) or shaped or bool(spec.dns and spec.nics)


def container(node: str, nested: Nested, image: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """The body that creates an instance's container. `network` is `NetworkMode` and what belongs to it."""
    spec = nested.spec
    options = msgspec.convert(dict(spec.options), Options, strict=False)
    host: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "CapAdd": sorted({*DEFAULT_CAPABILITIES, *(name.upper().removeprefix("CAP_") for name in spec.capabilities)}),
        "PidsLimit": spec.pids or None,
        "ReadonlyRootfs": spec.read_only,
        "RestartPolicy": {"Name": "always" if spec.restart else "no"},
        "LogConfig": _LOGS,
        "Mounts": [
            {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
            for mount in spec.mounts
        ],
        "Sysctls": dict(options.sysctls),
        "Tmpfs": dict(options.tmpfs),
        "Init": options.init,
        **limits(spec.vcpus, spec.memory_bytes),
        **network.get("HostConfig", {}),
    }
    if options.shm_bytes:
        host["ShmSize"] = options.shm_bytes
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Labels": labels_of(node, nested),
        "StopTimeout": max(0, round(spec.grace_s)),
        "HostConfig": host,
        **{key: value for key, value in network.items() if key != "HostConfig"},
    }
    if spec.command:
        body |= {"Entrypoint": [spec.command[0]], "Cmd": list(spec.command[1:])}
    return body


def limits(vcpus: float, memory_bytes: int) -> dict[str, Any]:
    """CPU and memory limits; memory without swap."""
    made: dict[str, Any] = {}
    if vcpus:
        made["NanoCpus"] = round(vcpus * 1e9)
    if memory_bytes:
        made |= {"Memory": memory_bytes, "MemorySwap": memory_bytes}
    return made


def network_identity(spec: ComputeSpec) -> dict[str, Any]:
    """Host name, DNS and hosts file: of the instance's container, or of its holder when it has one."""
    names = [f"{name}:{address}" for name, address in spec.hosts.items()]
    return {"Hostname": spec.hostname or None, "HostConfig": {"Dns": list(spec.dns), "ExtraHosts": names}}


def endpoint(nic: Nic, mac: str = "") -> dict[str, Any]:
    """One interface as the Engine is asked for it."""
    return {"IPAMConfig": {"IPv4Address": nic.ip}, **({"MacAddress": mac} if mac else {})}


def ports(spec: ComputeSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Exposed ports, and the bindings of those that are published."""
    bindings: dict[str, Any] = {}
    for port in spec.published:
        bindings.setdefault(f"{port.instance}/{port.protocol}", []).append({"HostPort": str(port.host)})
    return {f"{port.instance}/{port.protocol}": {} for port in spec.ports}, bindings


def file_tar(spec: ComputeSpec) -> bytes:
    """The instance's files as a tar of its root."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for file in spec.files:
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size, info.mode = len(file.content), file.mode
            tar.addfile(info, io.BytesIO(file.content))
    return made.getvalue()


def check(spec: ComputeSpec) -> None:
    """Refuse what can never work, every fault at once."""
    faults = [
        Fault(message=f"{file.path} is no absolute path", code="file", path="files")
        for file in spec.files
        if not file.path.startswith("/") or ".." in file.path.split("/")
    ]
    faults += [
        Fault(message=f"{path} is no absolute path", code="mount", path="mounts")
        for mount in spec.mounts
        for path in (mount.source, mount.target)
        if not path.startswith("/")
    ]
    names = [nic.network for nic in spec.nics]
    faults += [
        Fault(message=f"the Engine attaches an instance to {name} only once", code="nic", path="nics")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    faults += [
        Fault(message=f"no data plane can steer eth{index}, which the Engine keeps", code="nic", path="nics")
        for index, nic in enumerate(spec.nics)
        if nic.steered
    ]
    if faults:
        raise InvalidError(f"cannot create the instance {spec.name}: {faults[0].message}", faults=faults)


def state_of(state: Mapping[str, Any], stopped_at: str) -> ComputeState:
    """An instance's state out of the Engine's. `stopped_at` is the start that we were asked to end."""
    if state["Status"] == "created":
        return ComputeState.CREATED
    if state["Status"] in ("running", "paused", "restarting"):
        return ComputeState.RUNNING
    asked = bool(stopped_at) and state.get("StartedAt") == stopped_at
    return ComputeState.EXITED if asked or state.get("ExitCode") == 0 else ComputeState.FAILED


def compute_of(found: Mapping[str, Any], *, spec: ComputeSpec, stopped_at: str, host: str) -> Compute:
    """An instance as the Engine sees it now; `spec` with what was merged into it since."""
    labels, state = found["Config"]["Labels"], found["State"]
    nested = nested_of(labels)
    now = state_of(state, stopped_at)
    ended = now in (ComputeState.EXITED, ComputeState.FAILED)
    return Compute(
        id=found["Name"].lstrip("/"),  # the Engine makes a new number whenever the environment changes; this stays
        name=spec.name,
        owner=spec.owner,
        state=now,
        image=spec.image,
        nics=nested.nics,
        host=host,
        exit_code=state["ExitCode"] if ended else None,
        pid=state["Pid"] or None,
        started_at="" if state["StartedAt"] == _NEVER else state["StartedAt"],
        labels=dict(spec.labels),
        env=dict(spec.env),
    )


def network_body(node: str, spec: NetworkSpec, cidr: str, gateway: str) -> dict[str, Any]:
    """The body that creates a network: a bridge without a way out."""
    network = Network(
        id="",
        name=spec.name,
        owner=spec.owner,
        cidr=cidr,
        gateway=gateway,
        mtu=spec.mtu,
        labels=dict(spec.labels),
    )
    return {
        "Name": engine_name(node, spec.name),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": True,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": cidr, "Gateway": gateway}]},
        "Options": {"com.docker.network.driver.mtu": str(spec.mtu)},
        "Labels": {
            **spec.labels,
            NODE: node,
            NAME: spec.name,
            OWNER: spec.owner,
            ROLE: "network",
            _NETWORK: msgspec.json.encode(network).decode(),
        },
    }


def network_of(found: Mapping[str, Any]) -> Network:
    """A network of this node out of the Engine's."""
    network = msgspec.json.decode(found["Labels"][_NETWORK], type=Network)
    return msgspec.structs.replace(network, id=found["Id"])


def subnets_of(networks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every IPv4 subnet that the Engine gave away, to whomever."""
    found = [config.get("Subnet", "") for net in networks for config in (net.get("IPAM") or {}).get("Config") or ()]
    return [cidr for cidr in found if cidr and ipaddress.ip_network(cidr).version == 4]


def stats_of(found: Mapping[str, Any], devices: Sequence[str]) -> ComputeStats:
    """Counters out of the Engine's."""
    memory = found.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    nets = {name: counters for name, counters in (found.get("networks") or {}).items() if name in devices}
    return ComputeStats(
        cpu_seconds=found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory_bytes=max(0, memory.get("usage", 0) - cache),
        pids=(found.get("pids_stats") or {}).get("current", 0),
        rx_bytes={name: one["rx_bytes"] for name, one in nets.items()},
        tx_bytes={name: one["tx_bytes"] for name, one in nets.items()},
        rx_packets={name: one["rx_packets"] for name, one in nets.items()},
        tx_packets={name: one["tx_packets"] for name, one in nets.items()},
    )
