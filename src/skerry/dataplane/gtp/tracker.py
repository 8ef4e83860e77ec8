"""Makes sessions of what control planes and user data say. Pure: the time comes in, changes go out.

A bearer is complete when its UE's address and both ends are known. Where the control plane is silent about the address (its
NAS part is ciphered), the uplink that user data taught joins the two. A TEID or an address that is given anew belongs to
the newer bearer from then on; what was begun and never completed is forgotten after a while.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skerry.dataplane.flows import Origin, Session, Tunnel
from skerry.dataplane.gtp.facts import End, Fact

PENDING_S = 60.0


class Sides(msgspec.Struct, frozen=True):
    """The MAC addresses of the two neighbours of the line that the gateway sits in: control planes do not tell them."""

    ran: int
    core: int


class Changes(msgspec.Struct):
    """What the engine is to be told: sessions to put, UEs to forget."""

    put: dict[str, Session] = {}
    gone: set[str] = set()


class _Bearer(msgspec.Struct):
    keys: set[str]
    began: float
    ue: str = ""
    core: End | None = None
    ran: End | None = None
    qfi: int | None = None
    group: str = ""
    told: Session | None = None


class Tracker:
    """All bearers of a gateway."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._by_key: dict[str, _Bearer] = {}
        self._bearers: dict[int, _Bearer] = {}
        self._uplinks: dict[End, str] = {}

    def feed(self, facts: Iterable[Fact], now: float) -> Changes:
        """Take facts in; what changes by them."""
        changes = Changes()
        for fact in facts:
            self._take(fact, now, changes)
        self._expire(now, changes)
        return changes

    def learned(self, sessions: Iterable[Session]) -> Changes:
        """Take in what the engine learned from user data: whose uplink goes to which end."""
        changes = Changes()
        for session in sessions:
            if session.origin is Origin.LEARNED and session.up:
                end = End(session.up.dst, session.up.teid)
                self._uplinks[end] = session.ue
                for bearer in [one for one in self._bearers.values() if one.core == end and one.ue != session.ue]:
                    bearer.ue = session.ue
                    self._tell(bearer, changes)
        return changes

    def sessions(self) -> list[Session]:
        """Every complete session, for an engine that lost them."""
        return [one.told for one in self._bearers.values() if one.told]

    def _take(self, fact: Fact, now: float, changes: Changes) -> None:
        if fact.group_gone:
            for one in [one for one in self._bearers.values() if one.group == fact.group_gone]:
                self._forget(one, changes)
            return
        bearer = next((self._by_key[key] for key in fact.keys if key in self._by_key), None)
        if fact.gone:
            if bearer:
                self._forget(bearer, changes)
            return
        if bearer is None or fact.opens:
            if bearer:
                self._let_key_go(bearer, fact.keys)
            bearer = _Bearer(keys=set(), began=now)
            self._bearers[id(bearer)] = bearer
        for key in fact.keys:
            bearer.keys.add(key)
            self._by_key[key] = bearer
        self._note(bearer, fact)
        self._reused(bearer, fact, changes)
        self._tell(bearer, changes)

    def _let_key_go(self, bearer: _Bearer, keys: Iterable[str]) -> None:
        """A sequence number that comes round again names a new bearer; the older one keeps its other names."""
        for key in keys:
            bearer.keys.discard(key)
            self._by_key.pop(key, None)

    def _note(self, bearer: _Bearer, fact: Fact) -> None:
        bearer.ue, bearer.group = fact.ue or bearer.ue, fact.group or bearer.group
        bearer.core, bearer.ran = fact.core or bearer.core, fact.ran or bearer.ran
        bearer.qfi = bearer.qfi if fact.qfi is None else fact.qfi
        if not bearer.ue and bearer.core:
            bearer.ue = self._uplinks.get(bearer.core, "")

    def _reused(self, bearer: _Bearer, fact: Fact, changes: Changes) -> None:
        """An end or an address that another bearer had is this one's now."""
        for other in list(self._bearers.values()):
            if other is bearer:
                continue
            same_core = fact.core is not None and other.core == fact.core
            same_ran = fact.ran is not None and other.ran == fact.ran
            if same_core or same_ran or (fact.ue and other.ue == fact.ue and fact.core):
                self._forget(other, changes)
        if fact.core and fact.core in self._uplinks and self._uplinks[fact.core] != bearer.ue:
            del self._uplinks[fact.core]

    def _forget(self, bearer: _Bearer, changes: Changes) -> None:
        for key in bearer.keys:
            if self._by_key.get(key) is bearer:
                del self._by_key[key]
        self._bearers.pop(id(bearer), None)
        if bearer.core:
            self._uplinks.pop(bearer.core, None)
        if bearer.told:
            changes.put.pop(bearer.told.ue, None)
            changes.gone.add(bearer.told.ue)

    def _tell(self, bearer: _Bearer, changes: Changes) -> None:
        if not (bearer.ue and bearer.core and bearer.ran):
            return
        session = self._session(bearer.ue, bearer.core, bearer.ran, bearer.qfi)
        if session == bearer.told:
            return
        if bearer.told and bearer.told.ue != session.ue:
            changes.gone.add(bearer.told.ue)
        bearer.told = session
        changes.gone.discard(session.ue)
        changes.put[session.ue] = session

    def _session(self, ue: str, core: End, ran: End, qfi: int | None) -> Session:
        sides = self._sides
        up = Tunnel(teid=core.teid, src=ran.address, dst=core.address, eth_src=sides.ran, eth_dst=sides.core, qfi=qfi)
        down = Tunnel(teid=ran.teid, src=core.address, dst=ran.address, eth_src=sides.core, eth_dst=sides.ran, qfi=qfi)
        return Session(ue=ue, up=up, down=down, origin=Origin.SNOOPED)

    def _expire(self, now: float, changes: Changes) -> None:
        for bearer in list(self._bearers.values()):
            if bearer.told is None and now - bearer.began > PENDING_S and not (bearer.core and bearer.ran):
                self._forget(bearer, changes)
