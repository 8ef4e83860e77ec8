"""Traffic and DNS rules of applications (MEC 011 7.2.7 to 7.2.10).

ACTIVE is recorded, and answered, when the data plane or the DNS server has confirmed it. What is about to change is recorded
before; a restart goes on with it. The rules of one application change one after the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import NotFoundError, SkerryError
from skerry.mep import ownership
from skerry.mep.dns.contract import Record, record_of
from skerry.mep.dns.names import Names
from skerry.mep.steering import Steering, UndecidedError
from skerry.model.mec import App, DnsRule, Rule, RuleState, TrafficRule
from skerry.model.time import Clock, stamp
from skerry.store import mec as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

log = logging.getLogger(__name__)


class Rules:
    """The rules of every application of the platform."""

    def __init__(self, database: Database, events: EventLog, clock: Clock, steering: Steering, names: Names) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._steering = steering
        self._names = names
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self, names: Sequence[Record] = ()) -> None:
        """Put in force what is recorded as ACTIVE or was about to be; whatever else is in force of earlier goes. `names` are
        answered besides."""
        rules = store.rules.select(self._database)
        dns = [rule for rule in rules if rule.dns is not None]
        told = [record for rule in dns for record in _records(rule.wanted_dns or rule.dns, rule)]
        await self._names.load([*told, *names])
        for rule in dns:
            if rule.wanted_dns is not None:
                await self._settle(msgspec.structs.replace(rule, dns=rule.wanted_dns, wanted_dns=None, verified=True))
        await self._restore_traffic([rule for rule in rules if rule.traffic is not None])

    async def _restore_traffic(self, rules: Sequence[Rule]) -> None:
        owners = {rule.app_id for rule in rules}
        for gone in set(await self._steering.owners()) - owners:
            await self._steering.remove(gone)
        for owner in sorted(owners):
            app = store.apps.find(self._database, owner)
            if app is None or self._steering.durable(app):
                continue  # `resume` sees to the latter
            try:
                await self._restore(app, [rule for rule in rules if rule.app_id == owner])
            except SkerryError as error:
                log.warning("traffic rules of %s are not in force: %s", owner, error.detail)

    async def resume(self) -> None:
        """Once the whole node runs: go on with changes of rules that others keep in force. What is refused now stays."""
        rules = store.rules.select(self._database, kind="traffic")
        for owner in sorted({rule.app_id for rule in rules if rule.wanted_traffic is not None}):
            app = store.apps.find(self._database, owner)
            if app is None or not self._steering.durable(app):
                continue
            async with self._lock(owner):
                mine = [rule for rule in self.all("traffic", app_id=owner) if rule.traffic is not None]
                try:
                    await self._restore(app, mine)
                except UndecidedError:
                    return
                except SkerryError as error:
                    log.warning("a change of traffic rules of %s was given up: %s", owner, error.detail)
                    for rule in mine:
                        if rule.wanted_traffic is not None:
                            await self._give_up(rule, rule)

    async def _restore(self, app: App, rules: Sequence[Rule]) -> None:
        wanted = [traffic for rule in rules if (traffic := rule.wanted_traffic or rule.traffic)]
        proof = await self._steering.put(app, [rule for rule in wanted if rule.state is RuleState.ACTIVE])
        for rule in rules:
            traffic = rule.wanted_traffic or rule.traffic
            verified = traffic is not None and proof.get(traffic.traffic_rule_id, False)
            settled = msgspec.structs.replace(rule, traffic=traffic, wanted_traffic=None, verified=verified)
            if settled != rule:
                await self._settle(settled)

    # -- reading ------------------------------------------------------------------------------------------------------

    def all(self, kind: str, *, app_id: str = "", tenant: str = "") -> list[Rule]:
        """The rules of a kind (`traffic` or `dns`): of one application, or of a tenant."""
        chosen = {"app": app_id} if app_id else {"tenant": tenant}
        return store.rules.select(self._database, kind=kind, **chosen)

    def everything(self, app_id: str) -> list[Rule]:
        """The rules of both kinds of an application."""
        return [*self.all("traffic", app_id=app_id), *self.all("dns", app_id=app_id)]

    def get(self, kind: str, app_id: str, id: str) -> Rule:
        """One rule of an application."""
        rule = store.rules.find(self._database, _key(kind, app_id, id))
        if rule is None:
            raise NotFoundError(
                f"cannot find the {kind} rule {id}", suggestion=f"list the {kind} rules of the application"
            )
        return rule

    def find(self, kind: str, app_id: str, id: str) -> Rule | None:
        """One rule, or None."""
        return store.rules.find(self._database, _key(kind, app_id, id))

    # -- changing -----------------------------------------------------------------------------------------------------

    async def put_traffic(self, app: App, wanted: TrafficRule, *, match: Revs = None) -> Rule:
        """Make or replace a traffic rule; returns when its state is in effect. `PreconditionError` where there is none in one
        of the revisions `match`."""
        async with self._lock(app.id):
            old = self._old("traffic", app.id, wanted.traffic_rule_id, match)
            before = old.traffic if old else None
            if old is not None and before == wanted and _settled(old, app, wanted.state):
                return old
            begun = await self._begin(app, old, traffic=wanted)
            try:
                proof = await self._steer(app)
            except UndecidedError:
                raise
            except SkerryError:
                await self._give_up(begun, old)
                raise
            verified = wanted.state is RuleState.ACTIVE and proof.get(wanted.traffic_rule_id, False)
            return await self._settle(
                msgspec.structs.replace(begun, traffic=wanted, wanted_traffic=None, verified=verified)
            )

    async def put_dns(self, app: App, wanted: DnsRule, *, match: Revs = None) -> Rule:
        """Make or replace a DNS rule; returns when the server answers so. `PreconditionError` as for `put_traffic`."""
        async with self._lock(app.id):
            old = self._old("dns", app.id, wanted.dns_rule_id, match)
            before = old.dns if old else None
            if old is not None and before == wanted and _settled(old, app, wanted.state):
                return old
            begun = await self._begin(app, old, dns=wanted)
            add, remove = _records(wanted, begun), self._unshared(_records(before, old or begun), begun)
            try:
                verified = await self._names.change(add, [one for one in remove if one not in add])
            except SkerryError:
                await self._give_up(begun, old)
                raise
            active = wanted.state is RuleState.ACTIVE
            return await self._settle(
                msgspec.structs.replace(begun, dns=wanted, wanted_dns=None, verified=active and verified)
            )

    async def replace_all(self, app: App, traffic: Sequence[TrafficRule], dns: Sequence[DnsRule]) -> None:
        """These are the application's rules; those that are not named any more go."""
        kept = {_key("traffic", app.id, one.traffic_rule_id) for one in traffic}
        kept |= {_key("dns", app.id, one.dns_rule_id) for one in dns}
        for rule in self.everything(app.id):
            if rule.id not in kept:
                await self._drop(app, rule)
        for one in traffic:
            await self.put_traffic(app, one)
        for name in dns:
            await self.put_dns(app, name)

    async def withdraw(self, app: App) -> None:
        """All of an application's rules become INACTIVE."""
        for rule in self.all("dns", app_id=app.id):
            if rule.dns is not None:
                await self.put_dns(app, msgspec.structs.replace(rule.dns, state=RuleState.INACTIVE))
        for rule in self.all("traffic", app_id=app.id):
            if rule.traffic is not None:
                await self.put_traffic(app, msgspec.structs.replace(rule.traffic, state=RuleState.INACTIVE))

    async def release(self, app_id: str) -> None:
        """Nothing of an application is in force any more; its rules are still recorded. Repeatable."""
        async with self._lock(app_id):
            gone = [rule for rule in self.all("dns", app_id=app_id) if rule.dns is not None]
            records = {one for rule in gone for wish in (rule.dns, rule.wanted_dns) for one in _records(wish, rule)}
            kept = {one for one in records if self._elsewhere(one, app_id)}
            await self._names.change((), sorted(records - kept))
            await self._steering.remove(app_id)
        self._locks.pop(app_id, None)

    @staticmethod
    def removing(tx: Transaction, app_id: str) -> None:
        """Inside a transaction: forget all of an application's."""
        for rule in store.rules.select(tx, app=app_id):
            store.rules.delete(tx, rule.id)

    # -- one change ---------------------------------------------------------------------------------------------------

    def _lock(self, app_id: str) -> asyncio.Lock:
        return self._locks.setdefault(app_id, asyncio.Lock())

    def _old(self, kind: str, app_id: str, id: str, match: Revs) -> Rule | None:
        """The rule that is replaced. It stays at its revision while the lock of its application is held, and `_begin`
        compares that once more in its transaction."""
        if match is None:
            return self.find(kind, app_id, id)
        rule = self.get(kind, app_id, id)
        return store.rules.matching(self._database, rule.id, rule.tenant, match)

    async def _begin(
        self,
        app: App,
        old: Rule | None,
        *,
        traffic: TrafficRule | None = None,
        dns: DnsRule | None = None,
    ) -> Rule:
        """Record what is about to be. `PreconditionError` where the rule is not as it was any more."""
        if old is not None:
            wished = msgspec.structs.replace(old, zone=app.zone, wanted_traffic=traffic, wanted_dns=dns)

            def change(tx: Transaction) -> Rule:
                ownership.require_rule(tx, wished, old.dns)
                return store.rules.put(tx, wished)

            return await self._database.write(change)
        kind, id = ("traffic", traffic.traffic_rule_id) if traffic else ("dns", dns.dns_rule_id if dns else "")
        new = Rule(
            id=_key(kind, app.id, id),
            tenant=app.tenant,
            created_at=stamp(self._clock.now()),
            app_id=app.id,
            zone=app.zone,
            traffic=msgspec.structs.replace(traffic, state=RuleState.INACTIVE) if traffic else None,
            dns=msgspec.structs.replace(dns, state=RuleState.INACTIVE) if dns else None,
            wanted_traffic=traffic,
            wanted_dns=dns,
        )

        def work(tx: Transaction) -> Rule:
            store.apps.get(tx, app.id)
            ownership.require_rule(tx, new)
            return store.rules.insert(tx, new)

        return await self._database.write(work)

    async def _settle(self, rule: Rule) -> Rule:
        """It is in effect."""
        shown = rule.traffic or rule.dns
        state = shown.state.value if shown else ""

        def work(tx: Transaction) -> Rule:
            data = {"tenant": rule.tenant, "appInstanceId": rule.app_id, "verified": rule.verified}
            self._events.add(tx, "mec", subject=rule.id, name=f"{rule.kind} rule", state=state, data=data)
            return store.rules.put(tx, rule)

        return await self._database.write(work)

    async def _give_up(self, begun: Rule, old: Rule | None) -> None:
        """It was refused: what was before is still in effect."""

        def work(tx: Transaction) -> None:
            if old is None:
                store.rules.delete(tx, begun.id)
            else:
                store.rules.put(tx, msgspec.structs.replace(begun, zone=old.zone, wanted_traffic=None, wanted_dns=None))

        await self._database.write(work)

    async def _drop(self, app: App, rule: Rule) -> None:
        async with self._lock(app.id):
            if rule.dns is not None:
                await self._names.change((), self._unshared(_records(rule.dns, rule), rule))
            await self._database.write(lambda tx: store.rules.delete(tx, rule.id))
            if rule.traffic is not None:
                await self._steer(app)

    async def _steer(self, app: App) -> dict[str, bool]:
        """Make the data plane have exactly the ACTIVE rules of an application."""
        rules = [rule.wanted_traffic or rule.traffic for rule in self.all("traffic", app_id=app.id)]
        active = [rule for rule in rules if rule is not None and rule.state is RuleState.ACTIVE]
        return dict(await self._steering.put(app, active))

    def _unshared(self, records: Sequence[Record], rule: Rule) -> list[Record]:
        """Those that no other rule gives, too."""
        others = [other for other in self.all("dns", tenant=rule.tenant) if other.id != rule.id]
        given = {one for other in others for one in _records(other.dns, other)}
        return [one for one in records if one not in given]

    def _elsewhere(self, record: Record, app_id: str) -> bool:
        """Whether another application gives the same answer."""
        rules = store.rules.select(self._database, kind="dns")
        return any(record in _records(rule.dns, rule) for rule in rules if rule.app_id != app_id)


def _key(kind: str, app_id: str, id: str) -> str:
    return f"{app_id}/{kind}/{id}"


def answers_of(rules: Sequence[Rule]) -> set[Record]:
    """The answers that these rules give. Pure."""
    return {record for rule in rules for record in _records(rule.wanted_dns or rule.dns, rule)}


def _settled(rule: Rule, app: App, state: RuleState) -> bool:
    """Whether nothing is left to do for a rule that is asked for as it is."""
    return rule.zone == app.zone and (rule.verified or state is RuleState.INACTIVE)


def following(
    app_id: str,
    traffic: Sequence[TrafficRule],
    dns: Sequence[DnsRule],
    had: Mapping[str, Rule],
    moved: Mapping[str, str],
) -> tuple[list[TrafficRule], list[DnsRule]]:
    """A descriptor's rules as an application had changed them before it moved, with its new addresses. Pure."""
    flows: list[TrafficRule] = []
    for rule in traffic:
        known = had.get(_key("traffic", app_id, rule.traffic_rule_id))
        flows.append(_led(known.traffic, moved) if known and known.traffic else rule)
    names: list[DnsRule] = []
    for name in dns:
        known = had.get(_key("dns", app_id, name.dns_rule_id))
        there = known.dns if known and known.dns else name
        names.append(msgspec.structs.replace(there, ip_address=moved.get(there.ip_address, there.ip_address)))
    return flows, names


def _led(rule: TrafficRule, moved: Mapping[str, str]) -> TrafficRule:
    ends = tuple(
        msgspec.structs.replace(one, dst_ip_address=moved.get(one.dst_ip_address or "", one.dst_ip_address))
        for one in rule.interfaces
    )
    to = rule.dst_interface if not ends else ends if isinstance(rule.dst_interface, tuple) else ends[0]
    return msgspec.structs.replace(rule, dst_interface=to)


def _records(rule: DnsRule | None, of: Rule) -> list[Record]:
    """The answers that a rule gives in its state."""
    return [record_of(rule, of.zone)] if rule is not None and rule.state is RuleState.ACTIVE else []
