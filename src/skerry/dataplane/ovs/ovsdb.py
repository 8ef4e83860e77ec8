"""The database of one Open vSwitch (`ovs-vswitchd.conf.db(5)`): bridges, ports, labels. A change is done when the switch
says that it applied it, not when the database has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.dataplane.ovs.jsonrpc import Peer
from skerry.errors import DriverError

DATABASE = "Open_vSwitch"
_APPLIED_S = 10.0
_INTERFACE = ("name", "ofport", "error", "external_ids")


class Interface(msgspec.Struct, frozen=True):
    """One interface of a bridge. `number` is its OpenFlow port (-1: the switch could not open it; `error` says why)."""

    name: str
    number: int
    error: str
    labels: Mapping[str, str]


class BridgeRow(msgspec.Struct, frozen=True):
    """One bridge with its labels and interfaces (without its own local one)."""

    name: str
    labels: Mapping[str, str]
    interfaces: tuple[Interface, ...]


class Database:
    """A connection to ovsdb-server."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._applied = 0
        self._news = asyncio.Event()
        self._states: dict[str, tuple[str, bool]] = {}  # row -> interface, up
        self.changed: Callable[[str, bool], None] | None = None
        self.lost: Callable[[], None] | None = None

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Connect and follow what the switch applies."""
        database = cls(await Peer.open(path, "the database of Open vSwitch"))
        database._peer.notified = database._notified
        wanted = {"Open_vSwitch": {"columns": ["cur_cfg"]}, "Interface": {"columns": ["name", "link_state"]}}
        database._update(await database._peer.call("monitor", DATABASE, None, wanted))
        return database

    @property
    def alive(self) -> bool:
        """Whether the server is still there."""
        return self._peer.alive

    async def close(self) -> None:
        """Hang up."""
        self.lost = self._peer.notified = None
        await self._peer.close()

    async def bridges(self) -> list[BridgeRow]:
        """Every bridge."""
        rows = await self._peer.call(
            "transact",
            DATABASE,
            _select("Bridge", ("name", "external_ids", "ports")),
            _select("Port", ("_uuid", "interfaces")),
            _select("Interface", ("_uuid", *_INTERFACE)),
        )
        bridges, ports, interfaces = (_checked(one)["rows"] for one in rows)
        by_id = {row["_uuid"][1]: _interface(row) for row in interfaces}
        holds = {row["_uuid"][1]: [by_id[one] for one in _set(row["interfaces"]) if one in by_id] for row in ports}
        return [
            BridgeRow(
                name=row["name"],
                labels=_map(row["external_ids"]),
                interfaces=tuple(
                    one for port in _set(row["ports"]) for one in holds.get(port, ()) if one.name != row["name"]
                ),
            )
            for row in bridges
        ]

    async def add_bridge(self, name: str, labels: Mapping[str, str], *, mac: str) -> None:
        """Make a userspace bridge that forwards nothing by itself and speaks to no controller."""
        bridge = {
            "name": name,
            "datapath_type": "netdev",
            "fail_mode": "secure",
            "protocols": ["set", ["OpenFlow10", "OpenFlow13", "OpenFlow15"]],
            "other_config": _wire_map({"disable-in-band": "true", "hwaddr": mac}),
            "external_ids": _wire_map(labels),
            "ports": ["named-uuid", "port"],
        }
        await self._change(
            {"op": "insert", "table": "Interface", "row": {"name": name, "type": "internal"}, "uuid-name": "interface"},
            {
                "op": "insert",
                "table": "Port",
                "row": {"name": name, "interfaces": ["named-uuid", "interface"]},
                "uuid-name": "port",
            },
            {"op": "insert", "table": "Bridge", "row": bridge, "uuid-name": "bridge"},
            _mutate("Open_vSwitch", [], "bridges", "insert", ["named-uuid", "bridge"]),
        )

    async def delete_bridge(self, name: str) -> None:
        """Delete a bridge with its ports; one that is gone is no error."""
        row = await self._id("Bridge", name)
        if row:
            await self._change(_mutate("Open_vSwitch", [], "bridges", "delete", ["uuid", row]))

    async def add_port(
        self, bridge: str, interface: str, *, number: int, labels: Mapping[str, str], type: str = "", mac: str = ""
    ) -> Interface:
        """Add an interface as a port of this number and wait until the switch has it. `DriverError` when it cannot."""
        row = {"name": interface, "type": type, "ofport_request": number, "external_ids": _wire_map(labels)}
        if mac:
            row["mac"] = mac
        await self._change(
            {"op": "insert", "table": "Interface", "row": row, "uuid-name": "interface"},
            {
                "op": "insert",
                "table": "Port",
                "row": {"name": interface, "interfaces": ["named-uuid", "interface"]},
                "uuid-name": "port",
            },
            _mutate("Bridge", [["name", "==", bridge]], "ports", "insert", ["named-uuid", "port"]),
        )
        rows = await self._transact(_select("Interface", ("_uuid", *_INTERFACE), [["name", "==", interface]]))
        made = _interface(rows[0]["rows"][0])
        if made.number != number:
            await self.delete_port(bridge, interface)
            reason = made.error or f"it has the number {made.number}"
            raise DriverError(f"cannot attach {interface} as port {number}: {reason}", answer=reason)
        return made

    async def number(self, interface: str) -> int:
        """The number of the port that an interface is, -1 where the switch could not open it, 0 for none."""
        rows = (await self._transact(_select("Interface", _INTERFACE, [["name", "==", interface]])))[0]["rows"]
        return _interface(rows[0]).number if rows else 0

    async def delete_port(self, bridge: str, interface: str) -> None:
        """Take a port off a bridge; one that is gone is no error."""
        row = await self._id("Port", interface)
        if row:
            await self._change(_mutate("Bridge", [["name", "==", bridge]], "ports", "delete", ["uuid", row]))

    # -- connections --------------------------------------------------------------------------------------------------

    async def put_zone(self, zone: int, idle: Mapping[str, int], labels: Mapping[str, str]) -> None:
        """How long connections of a zone may be idle, in seconds by state, as the switch names states."""
        datapath = await self._datapath()
        row = {"timeout_policy": ["named-uuid", "policy"], "external_ids": _wire_map(labels)}
        timeouts = ["map", [[state, seconds] for state, seconds in idle.items()]]
        where = [["_uuid", "==", ["uuid", datapath]]]
        await self._change(
            {"op": "insert", "table": "CT_Timeout_Policy", "row": {"timeouts": timeouts}, "uuid-name": "policy"},
            {"op": "insert", "table": "CT_Zone", "row": row, "uuid-name": "zone"},
            _mutate("Datapath", where, "ct_zones", "delete", ["set", [zone]]),
            _mutate("Datapath", where, "ct_zones", "insert", ["map", [[zone, ["named-uuid", "zone"]]]]),
        )

    async def _datapath(self) -> str:
        """The row of the userspace datapath, made where there is none."""
        rows = await self._transact(_select("Open_vSwitch", ("datapaths",)))
        known = dict(rows[0]["rows"][0]["datapaths"][1])
        if "netdev" in known:
            return str(known["netdev"][1])
        made = {"op": "insert", "table": "Datapath", "row": {"datapath_version": "netdev"}, "uuid-name": "datapath"}
        entry = ["map", [["netdev", ["named-uuid", "datapath"]]]]
        answer = await self._transact(made, _mutate("Open_vSwitch", [], "datapaths", "insert", entry))
        return str(answer[0]["uuid"][1])

    async def zones(self) -> Mapping[int, Mapping[str, str]]:
        """The labels of every zone."""
        rows = await self._transact(_select("Datapath", ("ct_zones",)), _select("CT_Zone", ("_uuid", "external_ids")))
        labels = {row["_uuid"][1]: _map(row["external_ids"]) for row in rows[1]["rows"]}
        return {zone: labels[row[1]] for one in rows[0]["rows"] for zone, row in one["ct_zones"][1] if row[1] in labels}

    async def delete_zones(self, zones: Sequence[int]) -> None:
        """Forget how long connections of zones may be idle."""
        if zones:
            await self._change(_mutate("Datapath", [], "ct_zones", "delete", ["set", list(zones)]))

    async def _id(self, table: str, name: str) -> str:
        rows = (await self._transact(_select(table, ("_uuid",), [["name", "==", name]])))[0]["rows"]
        return rows[0]["_uuid"][1] if rows else ""

    async def _transact(self, *operations: Mapping[str, Any]) -> list[Any]:
        answer = await self._peer.call("transact", DATABASE, *operations)
        return [_checked(one) for one in answer]

    async def _change(self, *operations: Mapping[str, Any]) -> None:
        """Change the database, and wait until the switch is as the database says."""
        count = _mutate("Open_vSwitch", [], "next_cfg", "+=", 1)
        answer = await self._transact(*operations, count, _select("Open_vSwitch", ("next_cfg",)))
        number = answer[-1]["rows"][0]["next_cfg"]
        try:
            async with asyncio.timeout(_APPLIED_S):
                while self._applied < number:
                    self._news.clear()
                    if not self.alive:
                        raise DriverError("cannot change the switch: its database hung up", transient=True)
                    await self._news.wait()
        except TimeoutError as error:
            raise DriverError(
                f"cannot see that the switch applied a change within {_APPLIED_S:.0f} s", transient=True
            ) from error

    def _notified(self, method: str, params: Any) -> None:
        if method == "update":
            self._update(params[1])
        elif not method:
            self._news.set()
            if self.lost:
                self.lost()

    def _update(self, tables: Mapping[str, Any]) -> None:
        for change in tables.get("Open_vSwitch", {}).values():
            self._applied = change.get("new", {}).get("cur_cfg", self._applied)
        self._news.set()
        for row, change in tables.get("Interface", {}).items():
            self._link(row, change.get("new"))

    def _link(self, row: str, new: Mapping[str, Any] | None) -> None:
        """A link that is not there any more is down."""
        before = self._states.pop(row, None)
        up = new is not None and new["link_state"] == "up"
        if new is not None:
            self._states[row] = (new["name"], up)
        if before is not None and before[1] != up and self.changed:
            self.changed(before[0], up)


def _select(table: str, columns: Sequence[str], where: Sequence[Any] = ()) -> Mapping[str, Any]:
    return {"op": "select", "table": table, "where": list(where), "columns": list(columns)}


def _mutate(table: str, where: Sequence[Any], column: str, how: str, value: Any) -> Mapping[str, Any]:
    return {"op": "mutate", "table": table, "where": list(where), "mutations": [[column, how, value]]}


def _checked(one: Any) -> Any:
    if one is None:
        raise DriverError("cannot change the switch: an operation before this one was refused")
    if "error" in one:
        text = f"{one['error']}: {one.get('details', '')}".strip(": ")
        raise DriverError(f"cannot change the switch: {text}", answer=text)
    return one


def _wire_map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in values.items()]]


def _map(wire: Any) -> dict[str, str]:
    return dict(wire[1])


def _set(wire: Any) -> list[str]:
    """The row ids of a set, which stands alone where there is one."""
    return [one[1] for one in wire[1]] if wire[0] == "set" else [wire[1]]


def _interface(row: Mapping[str, Any]) -> Interface:
    number, error = row["ofport"], row["error"]
    return Interface(
        name=row["name"],
        number=number if isinstance(number, int) else 0,
        error=error if isinstance(error, str) else "",
        labels=_map(row["external_ids"]),
    )
