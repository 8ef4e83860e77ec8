"""Whose a name of the DNS is, between tenants. Reads of one transaction; decides, changes nothing.

A name is its nearest zone's tenant's. In no zone it is the tenant's whose rules have it, in force or not: an application that
stands still keeps its names. What one tenant answers is no other's to answer, nor to have in a zone of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set

from skerry.access.roles import NODE_TENANT
from skerry.errors import ConflictError, Fault, ForbiddenError, InvalidError
from skerry.model.mec import NAME, DnsRule, DnsZone, Rule, RuleState
from skerry.store import mec as store
from skerry.store.database import Transaction


def plain(name: str) -> str:
    """A name as it is compared: in lower case, without the last dot. `InvalidError` for what is no name."""
    if not re.fullmatch(NAME, name):
        fault = Fault(message=f"{name[:80]!r} is no domain name", code="name", path="/name")
        raise InvalidError("cannot use the name", faults=[fault], suggestion="write labels and dots, as edge.example")
    return name.rstrip(".").lower()


def within(name: str, zone: str) -> bool:
    """Whether a name is in a zone."""
    return name == zone or name.endswith(f".{zone}")


def nearest(name: str, zones: Iterable[DnsZone]) -> DnsZone | None:
    """The zone that a name is in, None where it is in none."""
    return max((zone for zone in zones if within(name, zone.id)), key=lambda zone: len(zone.id), default=None)


def require_rule(tx: Transaction, rule: Rule, had: DnsRule | None = None) -> None:
    """`ConflictError` where the name that a rule is about to have is another tenant's. Not to answer any more for one that it
    `had` is never refused."""
    wanted = rule.wanted_dns
    if wanted is None or (wanted.state is RuleState.INACTIVE and had and _name(had) == _name(wanted)):
        return
    name = _name(wanted)
    zone = nearest(name, store.zones.select(tx))
    others = [other for other in store.rules.select(tx, kind="dns") if other.tenant != rule.tenant]
    near = [other for other in others if rule.zone == other.zone or "" in (rule.zone, other.zone)]
    if (zone is not None and zone.tenant != rule.tenant) or any(name in _names(other) for other in near):
        raise _taken(f"answer for {name}")


def require_records(tx: Transaction, names: Set[str], zone: DnsZone) -> None:
    """`ConflictError` where a name that a zone is about to answer is another tenant's: a nearer zone's, or an application's."""
    if not names:
        return
    others = [other for other in store.zones.select(tx) if other.tenant != zone.tenant and within(other.id, zone.id)]
    rules = [rule for rule in store.rules.select(tx, kind="dns") if rule.tenant != zone.tenant]
    taken = {name for rule in rules for name in _names(rule)} & names
    taken |= {name for name in names if any(within(name, other.id) for other in others)}
    if taken:
        raise _taken(f"answer for {min(taken)}")


def require_zone(tx: Transaction, id: str, tenant: str, *, assigned: bool) -> None:
    """Whether a tenant may have a new zone. `assigned`: who runs the node gives it, also out of or around zones of others; what
    others answer in it must end first."""
    zones = store.zones.select(tx)
    if any(zone.id == id for zone in zones):
        raise _taken(f"make the zone {id}")
    others = [zone for zone in zones if zone.tenant != tenant]
    if not assigned:
        if "." not in id and tenant != NODE_TENANT:
            raise ForbiddenError(
                f"cannot make the zone {id}: it is a top-level domain",
                suggestion="make a zone in it, or have who runs the node assign it",
            )
        if any(within(id, other.id) or within(other.id, id) for other in others):
            raise _taken(f"make the zone {id}")
    names = sorted({name for name in _names_of_others(tx, others, tenant) if _would_be_in(name, id, zones)})
    if names and assigned:
        raise ConflictError(
            f"cannot assign the zone {id}: other tenants answer for {', '.join(names[:5])}",
            suggestion="end these answers first, as a client of their tenants",
        )
    if names:
        raise _taken(f"make the zone {id}")


def _would_be_in(name: str, id: str, zones: Iterable[DnsZone]) -> bool:
    """Whether a new zone would be the nearest of a name."""
    there = nearest(name, zones)
    return within(name, id) and (there is None or len(there.id) < len(id))


def _names_of_others(tx: Transaction, zones: Iterable[DnsZone], tenant: str) -> Iterator[str]:
    """What other tenants' applications have, and what their zones answer."""
    for rule in store.rules.select(tx, kind="dns"):
        if rule.tenant != tenant:
            yield from _names(rule)
    for zone in zones:
        yield from (plain(record.name) for record in zone.records)


def _names(rule: Rule) -> set[str]:
    """The names of a rule; while it changes, both."""
    return {_name(one) for one in (rule.dns, rule.wanted_dns) if one is not None}


def _name(rule: DnsRule) -> str:
    return rule.domain_name.rstrip(".").lower()


def _taken(what: str) -> ConflictError:
    return ConflictError(
        f"cannot {what}: the name is taken",
        suggestion="use another name, or have who runs the node assign you its zone",
    )
