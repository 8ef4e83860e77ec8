"""Quotas of tenants: what each may have at most, compared by whoever grants.

What a tenant has is what its VNFs are recorded with, plus what was granted and is not made yet. A grant is written down (a
claim) in the transaction that compares, so grants at the same time cannot exceed a quota together. A claim ends by itself
with its operation. Who asks for no more of something than before is never refused for it: a quota below what is there stops
growth, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from skerry.errors import Fault, RejectedError
from skerry.model.grants import GrantRecord
from skerry.model.operations import Operation
from skerry.model.quotas import (
    AMOUNTS,
    Claim,
    Limits,
    Needed,
    ResourceType,
    TenantQuota,
    TenantUsage,
    beyond,
    total,
)
from skerry.model.states import FINAL, InstantiationState, OperationState
from skerry.model.time import Clock, stamp
from skerry.store import aggregates, applications, journal
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs
from skerry.store.quotas import allocated, claims, tenant_quotas

WORDS = {
    "vcpus": "vCPUs",
    "memory_bytes": "bytes of memory",
    "storage_bytes": "bytes of storage",
    "instances": "instances",
    "ns": "network services",
    "apps": "applications",
}
_HAIR = 1e-9  # sums of fractions of a vCPU are not exact
_UNDONE = frozenset({OperationState.FAILED, OperationState.ROLLED_BACK})
_NOTHING: Mapping[str, Needed] = {}

Source = Transaction | Database
T = TypeVar("T")


class TenantQuotas:
    """Keeps the limits and compares with them. `changed` is called when limits were."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.changed: Callable[[], None] = lambda: None

    # -- who runs the node --------------------------------------------------------------------------------------------

    def all(self) -> Sequence[TenantQuota]:
        """Every tenant that has limits."""
        return tenant_quotas.select(self._database)

    def get(self, tenant: str) -> TenantQuota:
        """The limits of a tenant. `NotFoundError` where it has none."""
        return tenant_quotas.get(self._database, tenant)

    async def put(self, tenant: str, limits: Limits, *, match: Revs = None) -> TenantQuota:
        """These are the tenant's limits now; what it has stays, whatever they are. `PreconditionError` where they are in none
        of the revisions `match`."""

        def work(tx: Transaction) -> TenantQuota:
            if match is None and tenant_quotas.find(tx, tenant) is None:
                fresh = TenantQuota(id=tenant, tenant=tenant, created_at=stamp(self._clock.now()), limits=limits)
                return tenant_quotas.insert(tx, fresh)
            known = tenant_quotas.matching(tx, tenant, tenant, match)
            return tenant_quotas.put(tx, msgspec.structs.replace(known, limits=limits))

        made = await self._database.write(work)
        self.changed()
        return made

    async def remove(self, tenant: str, *, match: Revs = None) -> None:
        """The tenant has no limits any more."""

        def work(tx: Transaction) -> None:
            tenant_quotas.matching(tx, tenant, tenant, match)
            tenant_quotas.delete(tx, tenant)

        await self._database.write(work)
        self.changed()

    def usage(self, tenant: str) -> TenantUsage:
        """What counts towards a tenant's limits now."""
        return usage(self._database, tenant)

    # -- who grants ---------------------------------------------------------------------------------------------------

    async def claim(self, tenant: str, operation: str, takes: Mapping[str, Needed], vnf: str = "") -> None:
        """Grant this to an operation (on `vnf`, if it is of one). `RejectedError` names each limit, what is used and what was
        asked for. Of an operation that is not recorded, which is only planned, nothing is kept."""
        if tenant_quotas.find(self._database, tenant) is None:
            return
        if journal.operations.find(self._database, operation) is None:
            self.require(tenant, [self.growth(tenant, vnf, takes)])
            return
        await self._database.write(lambda tx: self._claim(tx, tenant, operation, takes))

    def _claim(self, tx: Transaction, tenant: str, operation: str, takes: Mapping[str, Needed]) -> None:
        doing = journal.operations.get(tx, operation)
        known = claims.find(tx, operation)
        if known is not None:  # it was planned before, and is again
            claims.delete(tx, operation)
        _sweep(tx, tenant)
        claim = Claim(
            id=operation,
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            subject=doing.subject,
            takes=takes,
            parent=doing.parent,
        )
        within(tx, tenant, lambda: claims.insert(tx, claim))

    def growth(self, tenant: str, vnf: str, takes: Mapping[str, Needed]) -> Needed:
        """What is asked for more than the VNF has: VNFCs that are there are made anew, or get another size."""
        has = allocated(self._database, tenant).get(vnf, _NOTHING)
        return total(beyond(one, has.get(name, Needed())) for name, one in takes.items())

    def require(self, tenant: str, takes: Iterable[Needed]) -> None:
        """`RejectedError` where the quota has no room for this besides what there is now."""
        if tenant_quotas.find(self._database, tenant) is not None:
            now = taken(self._database, tenant)
            require(self._database, tenant, now, _more(now, total(takes)))

    def lacking(self, tenant: str, needed: Needed) -> set[ResourceType]:
        """The types of resources of which a tenant's quota leaves too little for this."""
        quota = tenant_quotas.find(self._database, tenant)
        if quota is None:
            return set()
        now = taken(self._database, tenant)
        return {_type(name) for name, *_ in exceeded(quota.limits, now, _more(now, needed))}


# -- counting --------------------------------------------------------------------------------------------------------


def usage(source: Source, tenant: str, there: Mapping[str, Mapping[str, Needed]] | None = None) -> TenantUsage:
    """What counts towards a tenant's limits."""
    counted = msgspec.structs.asdict(taken(source, tenant, there))
    numbers = {"ns": services(source, tenant), "apps": applications.instances.count(source, tenant=tenant)}
    return TenantUsage(**{**counted, **numbers})


def taken(source: Source, tenant: str, there: Mapping[str, Mapping[str, Needed]] | None = None) -> TenantUsage:
    """The amounts that count: what there is (`there` where that is known), what is granted, and what others manage on the
    tenant's behalf. How many services there are is not looked for: a grant adds none."""
    there = allocated(source, tenant) if there is None else there
    parts = [one for vnfcs in there.values() for one in vnfcs.values()]
    grants = [one for one in aggregates.grants.select(source, tenant=tenant) if _stands(source, one)]
    parts += _granted(source, tenant, there, grants)
    parts += elsewhere(grants).values()
    return TenantUsage(**msgspec.structs.asdict(total(parts)))


def services(source: Source, tenant: str) -> int:
    """The network services of a tenant that neither are nested in others nor are applications."""
    apps = {app.ns_id for app in applications.instances.select(source, tenant=tenant)}
    return sum(not ns.users and ns.id not in apps for ns in aggregates.ns_instances.select(source, tenant=tenant))


def _stands(source: Source, grant: GrantRecord) -> bool:
    """Whether a grant for a manager of others still counts: not when this node knows that the VNF is gone."""
    if not grant.vnf:
        return True
    vnf = aggregates.vnf_instances.find(source, grant.vnf)
    if vnf is None:
        return False
    return vnf.instantiation_state is InstantiationState.INSTANTIATED or journal.holder(source, vnf.id) is not None


def _granted(
    source: Source, tenant: str, there: Mapping[str, Mapping[str, Needed]], grants: Sequence[GrantRecord]
) -> list[Needed]:
    """What was granted to operations that go on, as far as it is not there."""
    known = claims.select(source, tenant=tenant)
    found: list[Needed] = []
    for claim in known:
        operation = journal.operations.find(source, claim.id)
        if operation is None or operation.state in FINAL:
            continue
        if operation.kind.startswith("vnf."):
            has = there.get(claim.subject, _NOTHING)
            found += [beyond(one, has.get(name, Needed())) for name, one in claim.takes.items()]
        else:
            drawn = [one for child in known if _drew(source, child, claim.id) for one in child.takes.values()]
            drawn += [one.takes for one in grants if _drawn(source, one, claim.id)]
            found.append(beyond(total(claim.takes.values()), total(drawn)))
    return found


def _drew(source: Source, child: Claim, parent: str) -> bool:
    """Whether this claim was of what its parent was granted, and stands."""
    if child.parent != parent:
        return False
    operation = journal.operations.find(source, child.id)
    return operation is not None and operation.kind.startswith("vnf.") and operation.state not in _UNDONE


def _drawn(source: Source, grant: GrantRecord, parent: str) -> bool:
    """Whether a manager of others asked for this on behalf of an operation that `parent` began."""
    held = journal.holder(source, grant.vnf) if grant.vnf else None
    return held is not None and held.parent == parent


def _sweep(tx: Transaction, tenant: str) -> None:
    """Forget claims of operations that are over, with those that they were parts of."""
    for claim in claims.select(tx, tenant=tenant):
        if all(_over(journal.operations.find(tx, id)) for id in (claim.id, claim.parent) if id):
            claims.delete(tx, claim.id)


def _over(operation: Operation | None) -> bool:
    return operation is None or operation.state in FINAL


def elsewhere(grants: Iterable[GrantRecord]) -> dict[str, Needed]:
    """VNF -> what managers of others have for it: what was granted to them without what they gave back. Of an operation that
    was granted again the last grant counts, and who is instantiated had nothing before. Pure."""
    held: dict[str, Needed] = {}
    last = {(grant.asked.vnf_instance_id, grant.asked.vnf_lcm_op_occ_id): grant for grant in grants}
    for (vnf, _), grant in last.items():
        before = Needed() if grant.asked.operation == "INSTANTIATE" else held.get(vnf, Needed())
        if grant.asked.operation == "TERMINATE":
            held.pop(vnf, None)
        else:
            held[vnf] = beyond(total((before, grant.takes)), grant.gives)
    return held


# -- comparing -------------------------------------------------------------------------------------------------------


def exceeded(limits: Limits, before: TenantUsage, after: TenantUsage) -> list[tuple[str, float, float, float]]:
    """Each limit that would be exceeded by more than it is: its name, the limit, what is used, what is asked for. Pure."""
    found: list[tuple[str, float, float, float]] = []
    for name in WORDS:
        most, had, has = (getattr(one, name) for one in (limits, before, after))
        if most is not None and has > most + _HAIR and has > had + _HAIR:
            found.append((name, most, had, has - had))
    return found


def require(source: Source, tenant: str, before: TenantUsage, after: TenantUsage) -> None:
    """`RejectedError` names every limit of a tenant that would be exceeded."""
    quota = tenant_quotas.find(source, tenant)
    if quota is None or not (over := exceeded(quota.limits, before, after)):
        return
    lines = [
        (name, f"{WORDS[name]}: the limit is {most:,.12g}, used are {had:,.12g}, asked for are {more:,.12g}")
        for name, most, had, more in over
    ]
    raise RejectedError(
        f"cannot grant this within the quota of the tenant {tenant}: " + "; ".join(line for _, line in lines),
        suggestion="terminate something, or ask whoever runs the node for a higher limit",
        faults=[Fault(message=line, code="quota", path=f"/{name}") for name, line in lines],
    )


def within(tx: Transaction, tenant: str, grant: Callable[[], T]) -> T:
    """Write a grant down. `RejectedError` where that exceeds a limit of the tenant: the transaction is to be given up."""
    if tenant_quotas.find(tx, tenant) is None:
        return grant()
    there = allocated(tx, tenant)
    before = taken(tx, tenant, there)
    made = grant()
    require(tx, tenant, before, taken(tx, tenant, there))
    return made


def require_one_more(tx: Transaction, tenant: str, kind: str) -> None:
    """`RejectedError` where a tenant may have no further one of a kind (`ns` or `apps`). In the transaction that makes it."""
    quota = tenant_quotas.find(tx, tenant)
    if quota is None or getattr(quota.limits, kind) is None:
        return
    count = services(tx, tenant) if kind == "ns" else applications.instances.count(tx, tenant=tenant)
    counted: dict[str, Any] = {kind: count}
    require(tx, tenant, TenantUsage(**counted), TenantUsage(**{kind: count + 1}))


def _more(now: TenantUsage, needed: Needed) -> TenantUsage:
    return msgspec.structs.replace(now, **{name: getattr(now, name) + getattr(needed, name) for name in AMOUNTS})


def _type(name: str) -> ResourceType:
    return ResourceType.STORAGE if name == "storage_bytes" else ResourceType.COMPUTE
