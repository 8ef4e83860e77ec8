"""Which rules were seen to work: probes for new ones, what is remembered of them durably, what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from skerry.dataplane.driver import Effective
from skerry.dataplane.flows import DeviceState, Rule
from skerry.dataplane.hosting import Hosting
from skerry.dataplane.proof import Tables
from skerry.dataplane.proving import Prover, counted, proven
from skerry.dataplane.records import PROVEN, ProvenRecord, Record
from skerry.dataplane.views import RuleState, RuleView
from skerry.model.time import Clock, stamp

MOST_PROBES = 64
_PARTS = 64
"""A change rewrites the parts that its rules are in."""


class Proven:
    """The rules that were seen to work, by device and cookie, and since when. What is kept of them durably is divided into
    parts, so that a few rules more or less are a few small records."""

    def __init__(self) -> None:
        self._times: dict[str, list[dict[int, str]]] = {}
        self._changed: set[tuple[str, int]] = set()

    def load(self, records: Iterable[Record]) -> None:
        """What an earlier process knew."""
        for record in records:
            if isinstance(body := record.body, ProvenRecord):
                self._parts(body.device)[body.part].update(body.times)

    def _parts(self, device: str) -> list[dict[int, str]]:
        found = self._times.get(device)
        if found is None:
            found = self._times[device] = [{} for _ in range(_PARTS)]
        return found

    def since(self, device: str, cookie: int) -> str:
        """When it was seen to work, "" if never."""
        return self._parts(device)[cookie % _PARTS].get(cookie, "")

    def unseen(self, device: str, rules: Iterable[Rule]) -> list[Rule]:
        """Those that nobody has seen work."""
        parts = self._parts(device)
        return [rule for rule in rules if rule.cookie not in parts[rule.cookie % _PARTS]]

    def mark(self, device: str, cookies: Iterable[int], now: str) -> None:
        """They work; what was known of them stays."""
        for cookie in cookies:
            part = cookie % _PARTS
            if self._parts(device)[part].setdefault(cookie, now) == now:
                self._changed.add((device, part))

    def drop(self, device: str, cookies: Iterable[int]) -> None:
        """Nothing is known of them any more."""
        for cookie in cookies:
            part = cookie % _PARTS
            if self._parts(device)[part].pop(cookie, None) is not None:
                self._changed.add((device, part))

    def keep(self, device: str, cookies: Iterable[int]) -> None:
        """Nothing is known of any others."""
        kept = set(cookies)
        self.drop(device, [one for part in self._parts(device) for one in part if one not in kept])

    def gone(self, devices: Iterable[str]) -> None:
        """Nothing is known of any other device."""
        for device in self._times.keys() - set(devices):
            self.keep(device, ())

    def news(self) -> tuple[list[Record], list[str]]:
        """What to keep durably, and what no longer, since this was asked."""
        put: list[Record] = []
        drop: list[str] = []
        for device, part in sorted(self._changed):
            id, times = f"{PROVEN}{device}/{part}", dict(self._parts(device)[part])
            if times:
                put.append(Record(id=id, body=ProvenRecord(device=device, part=part, times=times)))
            else:
                drop.append(id)
        self._changed.clear()
        return put, drop


class Waiting(NamedTuple):
    """Rules of a device that are still to be probed."""

    prover: Prover
    rules: Sequence[Rule]


class Proofs:
    """Probes rules and remembers what was seen."""

    def __init__(self, hosting: Hosting, clock: Clock) -> None:
        self.proven = Proven()
        self._hosting, self._clock = hosting, clock
        self._dry: dict[str, bool] = {}

    async def show(
        self, state: DeviceState, cookies: set[int], *, others: bool = False, tables: Tables | None = None
    ) -> Waiting | None:
        """Read a device back and probe these rules, as many as can be done at once; the rest, where probes leave no trace. So
        are `others` that nobody has seen work, in any case where that is said. `tables` are those of the state, where they are
        at hand."""
        device = state.device
        effective = await self._hosting.engine_of(device).read_back(device)
        there = {one.rule.cookie for one in effective.rules}
        self.proven.keep(device, there - cookies)
        unseen = [one for one in self.proven.unseen(device, state.rules) if one.owner and one.cookie in there]
        mine = [rule for rule in unseen if rule.cookie in cookies]
        rest = [rule for rule in unseen if rule.cookie not in cookies] if others or self._dry.get(device) else []
        waiting = [*mine, *rest]
        if not waiting:
            return None
        prover = Prover(state, effective, tables)
        self._dry[device] = await self.probe(prover, waiting[:MOST_PROBES])
        more = waiting[MOST_PROBES:] if self._dry[device] else []
        return Waiting(prover, more) if more else None

    async def probe(self, prover: Prover, rules: Sequence[Rule]) -> bool:
        """Probe rules; whether that left no trace, so that more may be probed."""
        device = prover.state.device
        engine, now = self._hosting.engine_of(device), stamp(self._clock.now())
        dry = True
        for rule in rules:
            probe = None if self.proven.since(device, rule.cookie) else prover.probe(rule)
            if probe is not None:
                seen = await engine.probe(device, probe.port, probe.frame)
                dry = dry and seen.dry
                if proven(probe, seen):
                    self.proven.mark(device, probe.cookies, now)
        return dry

    def views(self, state: DeviceState, effective: Effective, owner: str = "") -> list[RuleView]:
        """The rules of a device, or of one owner there, with their states. Real frames that passed a rule have shown it too."""
        device = state.device
        self.proven.mark(device, counted(effective), stamp(self._clock.now()))
        there = {one.rule.key: one for one in effective.rules}
        views: list[RuleView] = []
        for rule in state.rules:
            if owner not in ("", rule.owner):
                continue
            one = there.pop(rule.key, None)
            same = one is not None and one.rule.actions == rule.actions
            since = self.proven.since(device, rule.cookie) if same else ""
            how = RuleState.VERIFIED if since else RuleState.EFFECTIVE if same else RuleState.REQUESTED
            counts = (one.packets, one.bytes) if one else (0, 0)
            views.append(
                RuleView(device=device, rule=rule, state=how, packets=counts[0], bytes=counts[1], verified_at=since)
            )
        foreign = (
            RuleView(device=device, rule=one.rule, state=RuleState.FOREIGN, packets=one.packets, bytes=one.bytes)
            for one in there.values()
        )
        return views if owner else [*views, *foreign]
