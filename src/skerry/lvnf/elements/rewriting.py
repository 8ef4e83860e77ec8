"""IPRewriter: network address translation of TCP and UDP flows."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Behaviour, Push, Read, Task, Write, button
from skerry.lvnf.elements.headers import address_text
from skerry.lvnf.elements.packet import Packet, adjusted, difference

_TCP = 6
_UDP = 17
_DONE = 240.0
"""Seconds that a finished TCP connection is remembered, Click's default."""

_REAP = 10.0
CAPACITY = 65536
"""How many flows are known at once, Click's default; a new one beyond is dropped."""

_FIN = 0x01
_RST = 0x04


class Flow:
    """One direction of a mapping: the key of its packets, what replaces it, where they leave. Keys are the protocol's byte,
    the addresses and the ports, as they are in packets."""

    __slots__ = ("address_change", "addresses", "change", "finished", "key", "new", "other", "output", "seen")
    other: Flow

    def __init__(self, key: bytes, new: bytes, output: int, now: float) -> None:
        self.key = key
        self.new = new
        self.output = output
        self.seen = now
        self.finished = False
        self.addresses = new[1:9]
        self.address_change = difference(key[1:9], new[1:9])
        self.change = difference(key[1:], new[1:])

    def text(self) -> str:
        """As Click prints a mapping."""
        return f"{_flow_text(self.key)} => {_flow_text(self.new)} [{self.output}]\n"


def _flow_text(key: bytes) -> str:
    source, destination = address_text(key[1:5]), address_text(key[5:9])
    ports = int.from_bytes(key[9:11], "big"), int.from_bytes(key[11:13], "big")
    return f"({source}, {ports[0]}, {destination}, {ports[1]})"


def _reversed(key: bytes) -> bytes:
    return key[:1] + key[5:9] + key[1:5] + key[11:13] + key[9:11]


class IPRewriter(Task[configs.IPRewriter]):
    """Knows flows, makes mappings for new ones, rewrites."""

    def prepare(self) -> None:
        self._now = self.context.now
        self.flows: dict[bytes, Flow] = {}
        self.failures = 0
        self.ports = [rule.source_port or 0 for rule in self.config.rules]
        self._reap_at = self._now() + _REAP

    def entry(self, input: int) -> Push:
        return functools.partial(self._take, input)

    def _take(self, input: int, packet: Packet) -> None:
        data = packet.data
        header = (data[0] & 0x0F) * 4 if data else 0
        if header < 20 or len(data) < header + 8 or data[9] not in {_TCP, _UDP} or data[6] & 0x1F or data[7]:
            self._leave(input, packet)
            return
        key = data[9:10] + data[12:20] + data[header : header + 4]
        now = self._now()
        flow = self.flows.get(key)
        if flow is not None and self._expired(flow, now):
            self._forget(flow)
            flow = None
        if flow is None:
            flow = self._map(input, key, packet, now)
            if flow is None:
                return
        flow.seen = now
        packet.data = self._rewritten(flow, data, header)
        self.out[flow.output](packet)

    def _leave(self, input: int, packet: Packet) -> None:
        rule = self.config.rules[input]
        if rule.kind == "pass":
            self.out[rule.forward](packet)

    def _map(self, input: int, key: bytes, packet: Packet, now: float) -> Flow | None:
        """A mapping for a new flow; None where the packet went on without one, or is dropped."""
        rule = self.config.rules[input]
        if rule.kind in {"pass", "drop"}:
            self._leave(input, packet)
            return None
        new = self._free(input, rule, key) if rule.kind == "pattern" else key
        back = _reversed(new) if new else b""
        if new is None or back in self.flows or len(self.flows) >= 2 * CAPACITY:
            self.failures += 1
            return None
        flow = Flow(key, new, rule.forward, now)
        reply = Flow(back, _reversed(key), rule.reverse, now)
        flow.other, reply.other = reply, flow
        self.flows[key] = flow
        self.flows[back] = reply
        return flow

    def _free(self, input: int, rule: configs.IPRewriterInput, key: bytes) -> bytes | None:
        """The flow under the rule's pattern, with the next port that is free."""
        start = key[:1] + (rule.source or key[1:5]) + (rule.destination or key[5:9])
        end = key[11:13] if rule.destination_port is None else rule.destination_port.to_bytes(2, "big")
        if rule.source_port is None:
            return start + key[9:11] + end
        first, last = rule.source_port, rule.source_port_last
        if last is None or last <= first:
            return start + first.to_bytes(2, "big") + end
        port = self.ports[input]
        for _ in range(last - first + 1):
            new = start + port.to_bytes(2, "big") + end
            port = first if port >= last else port + 1
            if _reversed(new) not in self.flows:
                self.ports[input] = port
                return new
        return None

    def _rewritten(self, flow: Flow, data: bytes, header: int) -> bytes:
        if data[9] == _TCP:
            if data[header + 13 : header + 14] > b"\0":
                self._watch(flow, data[header + 13])
            at = header + 16
        else:
            at = header + 6
        if flow.key == flow.new:
            return data
        checksum = adjusted(data[10] << 8 | data[11], flow.address_change)
        middle = data[header + 4 : at]
        field = data[at : at + 2]
        rest = data[at + 2 :]
        if len(field) == 2 and (data[9] == _TCP or field != b"\0\0"):
            number = adjusted(field[0] << 8 | field[1], flow.change)
            field = (number or 0xFFFF if data[9] == _UDP else number).to_bytes(2, "big")
        return b"".join(
            (
                data[:10],
                checksum.to_bytes(2, "big"),
                flow.addresses,
                data[20:header],
                flow.new[9:13],
                middle,
                field,
                rest,
            )
        )

    def _watch(self, flow: Flow, flags: int) -> None:
        """Note the end of connections: a FIN of each side, or a reset."""
        if flags & _FIN:
            flow.finished = True
        if flags & _RST:
            flow.finished = flow.other.finished = True

    def _expired(self, flow: Flow, now: float) -> bool:
        if flow.key[0] == _UDP:
            limit = self.config.udp_timeout
        elif flow.finished and flow.other.finished:
            limit = min(_DONE, self.config.tcp_timeout)
        else:
            limit = self.config.tcp_timeout
        return now - max(flow.seen, flow.other.seen) > limit

    def _forget(self, flow: Flow) -> None:
        self.flows.pop(flow.key, None)
        self.flows.pop(flow.other.key, None)

    def task_due(self) -> float | None:
        return self._reap_at if self.flows else None

    def run(self) -> None:
        now = self._now()
        if now < self._reap_at:
            return
        self._reap_at = now + _REAP
        for flow in [one for one in self.flows.values() if self._expired(one, now)]:
            self._forget(flow)

    def forward(self) -> list[Flow]:
        """The direction of each mapping that made it."""
        seen: set[int] = set()
        made: list[Flow] = []
        for flow in self.flows.values():
            if id(flow) not in seen:
                seen.add(id(flow.other))
                made.append(flow)
        return made

    def _table(self, protocol: int) -> str:
        return "".join(flow.text() for flow in self.forward() if flow.key[0] == protocol)

    def reads(self) -> Mapping[str, Read]:
        return {
            "nmappings": lambda: str(len(self.forward())),
            "mapping_failures": lambda: str(self.failures),
            "table": lambda: self._table(_TCP) + self._table(_UDP),
            "tcp_table": lambda: self._table(_TCP),
            "udp_table": lambda: self._table(_UDP),
        }

    def writes(self) -> Mapping[str, Write]:
        return {"clear": button(self.flows.clear)}

    def adopt(self, old: Behaviour[configs.IPRewriter]) -> None:
        if not isinstance(old, IPRewriter):
            return
        self.failures = old.failures
        if old.config.rules == self.config.rules:
            self.ports = list(old.ports)
        for flow in old.forward():
            if max(flow.output, flow.other.output) < len(self.out):
                self.flows[flow.key] = flow
                self.flows[flow.other.key] = flow.other
