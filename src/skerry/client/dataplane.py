"""The data plane of a node, as the API shows it and the command line asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.client.http import Http
from skerry.client.views import View
from skerry.dataplane.intents import Device, Intents, Link, Port
from skerry.errors import Fault

ROOT = "/skerry/v1/dataplane"


class RuleShown(View, frozen=True, kw_only=True):
    """A rule of a device: what it matches and does as text, how far it is (REQUESTED, EFFECTIVE, VERIFIED, FOREIGN)."""

    id: str
    device: str
    table: int
    priority: int
    match: str
    actions: tuple[str, ...]
    intent: str = ""
    tenant: str = ""
    state: str
    packets: int = 0
    bytes: int = 0
    verified_at: str = ""


class ConnectionShown(View, frozen=True, kw_only=True):
    """A connection that a device remembers: what its opener sends and what that becomes, as `SOURCE:PORT > TARGET:PORT`."""

    device: str
    zone: str
    proto: int
    opened: str
    onward: str
    answered: bool = False


class DropShown(View, frozen=True, kw_only=True):
    """How many frames were dropped for a reason. `port` is where they came in, "" where the engine does not know it."""

    device: str
    port: str = ""
    reason: str
    packets: int


class DeviceShown(View, frozen=True, kw_only=True):
    """A device, the engine that serves it, and what is wrong with it, if something is."""

    id: str
    engine: str = ""
    namespace: str = ""
    revision: int = 0
    served: bool = False
    trouble: str = ""


class HopShown(View, frozen=True, kw_only=True):
    """A function of a chain and where frames go in and come back (DEVICE:PORT). `si` is the service index on the way there."""

    function: str
    si: int
    entry: str
    leave: str
    aware: bool = False


class ChainShown(View, frozen=True, kw_only=True):
    """A chain as it is laid out: service path identifiers and functions, of each direction."""

    id: str
    spi: int
    reverse_spi: int = 0
    hops: tuple[tuple[HopShown, ...], ...] = ()
    reverse: tuple[tuple[HopShown, ...], ...] = ()
    unreachable: tuple[Fault, ...] = ()


class NextShown(View, frozen=True, kw_only=True):
    """A next hop of a port: the flowspace (an OpenFlow match string) and the port where it goes."""

    match: str
    next: str
    priority: int = 500


class SentShown(View, frozen=True, kw_only=True):
    """A frame that left: the port, what is behind it (link, function, out), its bytes in hexadecimal."""

    port: str
    to: str
    frame: str
    function: str = ""


class StepShown(View, frozen=True, kw_only=True):
    """One device on the way of a traced frame. Rules as `TABLE/PRIORITY INTENT: MATCH -> ACTIONS`."""

    device: str
    port: str
    rules: tuple[str, ...] = ()
    sent: tuple[SentShown, ...] = ()
    notes: tuple[str, ...] = ()


class TraceShown(View, frozen=True, kw_only=True):
    """The way of a frame: devices, functions in order, where it left. `looped`: it never ends."""

    frame: str
    steps: tuple[StepShown, ...] = ()
    functions: tuple[str, ...] = ()
    outputs: tuple[SentShown, ...] = ()
    looped: bool = False


class DataPlaneClient:
    """What a node can be asked about its data plane."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def devices(self) -> list[DeviceShown]:
        """Devices."""
        return self.http.every(f"{ROOT}/devices", DeviceShown)

    def ports(self) -> list[Port]:
        """Ports."""
        return self.http.every(f"{ROOT}/ports", Port)

    def links(self) -> list[Link]:
        """Links."""
        return self.http.every(f"{ROOT}/links", Link)

    def put_topology(self, topology: Mapping[str, Any]) -> None:
        """Add devices, ports and links, or change them, all at once."""
        self.http.send("PUT", f"{ROOT}/topology", json=topology)

    def put_device(self, device: Device) -> None:
        """Add a device, or change it."""
        self.http.send("PUT", f"{ROOT}/devices/{device.id}", json=msgspec.to_builtins(device))

    def delete(self, kind: str, id: str) -> None:
        """Remove a device, port, link or intent (`kind` in the plural)."""
        self.http.send("DELETE", f"{ROOT}/{kind}/{id}")

    def intents(self, owner: str = "") -> list[Intents]:
        """What was asked for."""
        found: list[Intents] = self.http.every(f"{ROOT}/intents", Intents, owner=owner)  # type: ignore[arg-type]
        return found

    def put_intents(self, intents: Sequence[Mapping[str, Any]]) -> None:
        """Put several intents in one change."""
        self.http.post(f"{ROOT}/intents", list(intents))

    def rules(self, device: str = "", owner: str = "") -> list[RuleShown]:
        """Rules with their states."""
        return self.http.get(f"{ROOT}/rules", list[RuleShown], device=device, intent=owner)

    def drops(self, device: str = "") -> list[DropShown]:
        """Frames that were dropped, by reason."""
        return self.http.get(f"{ROOT}/drops", list[DropShown], device=device)

    def connections(self, device: str = "") -> list[ConnectionShown]:
        """Connections that devices remember."""
        return self.http.get(f"{ROOT}/connections", list[ConnectionShown], device=device)

    def chains(self) -> list[ChainShown]:
        """Chains as they are laid out."""
        return self.http.every(f"{ROOT}/chains", ChainShown)

    def next_hops(self, port: str) -> list[NextShown]:
        """The next hops of a port."""
        return self.http.get(f"{ROOT}/ports/{port}/next", list[NextShown])

    def put_next(self, port: str, match: str, next: str) -> None:
        """Set the next hop of a port on a flowspace."""
        self.http.send("PUT", f"{ROOT}/ports/{port}/next", json={"match": match, "next": next})

    def delete_next(self, port: str, match: str | None = None) -> None:
        """Remove the next hops of a port, or the one on a flowspace."""
        from urllib.parse import quote  # noqa: PLC0415

        self.http.send("DELETE", f"{ROOT}/ports/{port}/next" + ("" if match is None else f"?match={quote(match)}"))

    def graph(self, owner: str = "") -> dict[str, Any]:
        """The forwarding graph."""
        return self.http.get(f"{ROOT}/graph", dict[str, Any], owner=owner)

    def put_graph(self, graph: Mapping[str, Any]) -> None:
        """Do as a forwarding graph says."""
        self.http.send("PUT", f"{ROOT}/graph", json=graph)

    def trace(self, port: str, *, frame: str = "", fields: Mapping[str, Any] | None = None) -> TraceShown:
        """Where a frame goes."""
        asked = {"port": port, "frame": frame, "fields": fields or {}}
        return msgspec.json.decode(self.http.post(f"{ROOT}/trace", asked).content, type=TraceShown)
