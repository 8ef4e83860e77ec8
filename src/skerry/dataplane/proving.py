"""Frames that show that a rule works: made so that the rule decides about them, sent as probes, compared with the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from skerry.dataplane import making
from skerry.dataplane.driver import Effective, Probed
from skerry.dataplane.flows import Conn, Connect, DeviceState, Field, Match, Rule, Select
from skerry.dataplane.headers import point
from skerry.dataplane.interpreter import Index, Memory, Outcome, Run
from skerry.dataplane.proof import Tables

_EPHEMERAL, _PORTS = 49152, 16384


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A frame for a port of a device. `cookies` are the rules it passes, `ports` where it leaves (or one of many, `shared`)."""

    port: int
    frame: bytes
    cookies: tuple[int, ...]
    outputs: tuple[tuple[int, bytes], ...]
    shared: bool = False


class Prover:
    """Makes probes for the rules of a device. Sessions are those that it has now."""

    def __init__(self, state: DeviceState, effective: Effective, tables: Tables | None = None) -> None:
        self.state = state
        self._tables = tables or Tables(state)
        self._revision = effective.revision
        self._index = Index(state)
        self._memory = Memory(sessions={session.ue: session for session in effective.sessions})
        self._ports = [port.number for port in state.ports]

    def probe(self, rule: Rule) -> Probe | None:
        """A probe that the rule decides about; None where none can be made (its flows must be pinned, say)."""
        cube = {term.field: (term.value, term.mask) for term in rule.match}
        if any(field in (Field.PIN, Field.NAME, Field.REG0, Field.REG2, Field.REG3) for field in cube):
            return None
        if cube.get(Field.CONN, (Conn.NEW, 0))[0] != Conn.NEW:
            return None
        new = cube.pop(Field.CONN, None) is not None or any(isinstance(action, Connect) for action in rule.actions)
        cube.pop(Field.REG1, None)
        above = [other.match for other in self._tables.higher[id(rule)]]
        values = point(cube, [match for other in above if (match := _as_opened(other)) is not None])
        if values is None:
            return None
        if new:  # its connection must not be known from another probe
            values.setdefault(Field.L4_SRC, _EPHEMERAL + (rule.cookie + self._revision) % _PORTS)
        for port in [values[Field.IN_PORT]] if Field.IN_PORT in values else self._ports:
            found = self._at(rule, port, values)
            if found is not None:
                return found
        return None

    def _at(self, rule: Rule, port: int, values: Mapping[Field, int]) -> Probe | None:
        frame = making.frame(values)
        if not making.fits({field: value for field, value in values.items() if field in _told(rule)}, frame):
            return None
        outcome = self._run(port, frame)
        if all(passed.cookie != rule.cookie for passed, _ in outcome.rules):
            return None
        return Probe(
            port=port,
            frame=frame,
            cookies=tuple(passed.cookie for passed, _ in outcome.rules),
            outputs=tuple(outcome.outputs),
            shared=any(
                isinstance(action, (Select, Connect)) for passed, _ in outcome.rules for action in passed.actions
            ),
        )

    def _run(self, port: int, frame: bytes) -> Outcome:
        return Run(self._index, self._memory.copy(), port, frame, 0.0).go()


def _as_opened(match: Match) -> Match | None:
    """A match as far as a frame is concerned that opens a connection; None if such a one never fits."""
    conn = next((term.value for term in match if term.field is Field.CONN), Conn.NEW)
    return tuple(term for term in match if term.field is not Field.CONN) if conn == Conn.NEW else None


def _told(rule: Rule) -> set[Field]:
    return {term.field for term in rule.match if term.field is not Field.CONN}


def proven(probe: Probe, seen: Probed) -> bool:
    """Whether what was seen is what should be: the same frames at the same ports, or one of a group's."""
    left = Counter((emitted.port, emitted.frame) for emitted in seen.outputs)
    if probe.shared:
        return len(seen.outputs) == len(probe.outputs)
    return left == Counter(probe.outputs)


def counted(effective: Effective) -> Iterable[int]:
    """The rules that real frames have passed."""
    return (one.rule.cookie for one in effective.rules if one.packets)
