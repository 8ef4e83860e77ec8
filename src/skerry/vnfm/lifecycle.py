"""The VNF manager as others call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from skerry.model.operations import Event, Operation, Plan
from skerry.model.queries import Condition, Place
from skerry.model.states import InstantiationState
from skerry.model.time import Ids, stamp
from skerry.model.vnf import VnfInstance, VnfSketch
from skerry.notifications import facts
from skerry.policy.alarms import as_event
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.store.documents import Revs, Sieve
from skerry.vim.driver import ComputeStats, Driver, Exec, ExecResult, LogLine, Logs, Stats
from skerry.vnfm.change import ChangeFlavour, ChangePackage
from skerry.vnfm.connect import ChangeExtConn
from skerry.vnfm.desk import Desk
from skerry.vnfm.functions import VnfFunctions
from skerry.vnfm.heal import Heal
from skerry.vnfm.instantiate import Instantiate
from skerry.vnfm.membership import require_alone
from skerry.vnfm.migrate import Migrate, Moving
from skerry.vnfm.modify import Modify
from skerry.vnfm.operate import Operate
from skerry.vnfm.packages import usable
from skerry.vnfm.revert import Revert
from skerry.vnfm.scale import Scale, ScaleToLevel
from skerry.vnfm.snapshot import CreateSnapshot, RevertToSnapshot, SnapshotRecords
from skerry.vnfm.status import status
from skerry.vnfm.steps import Steps
from skerry.vnfm.terminate import Terminate

KINDS = (
    Instantiate,
    Scale,
    ScaleToLevel,
    Operate,
    Heal,
    Terminate,
    Modify,
    ChangeFlavour,
    ChangePackage,
    ChangeExtConn,
    Revert,
    CreateSnapshot,
    RevertToSnapshot,
    Migrate,
)


class Vnfm:
    """Creates, runs and deletes VNF instances."""

    def __init__(self, desk: Desk, engine: Engine, ids: Ids) -> None:
        self.desk = desk
        self.engine = engine
        self._ids = ids
        for kind in KINDS:
            engine.add_kind(kind(desk))
        steps = Steps(desk)
        steps.register(engine)
        Moving(desk, steps).register(engine)
        self.snapshots = SnapshotRecords(desk, engine, ids)
        self.functions = VnfFunctions(desk)

    async def create(
        self,
        vnfd_id: str,
        *,
        name: str = "",
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
        tenant: str = "",
        id: str = "",
        ns_id: str = "",
    ) -> VnfInstance:
        """A record NOT_INSTANTIATED (SOL003 5.4.2.3.1). `id` is for callers that derive identifiers; it may exist then."""

        def work(tx: Transaction) -> VnfInstance:
            if id and (there := aggregates.vnf_instances.find(tx, id)):
                return there
            info = usable(aggregates.vnf_packages.select(tx, vnfd_id=vnfd_id), vnfd_id, tenant)
            vnfd = info.package.vnfd  # type: ignore[union-attr]
            instance = VnfInstance(
                id=id or self._ids.new(),
                tenant=tenant,
                created_at=stamp(self.desk.clock.now()),
                vnfd_id=vnfd.id,
                vnf_pkg_id=info.id,
                vnf_instance_name=name,
                vnf_instance_description=description,
                vnf_provider=vnfd.provider,
                vnf_product_name=vnfd.product_name,
                vnf_software_version=vnfd.software_version,
                vnfd_version=vnfd.version,
                metadata={**vnfd.metadata, **(metadata or {})},
                extensions=vnfd.extensions,
                ns_id=ns_id,
                manager=self.desk.manager_of(vnfd.vnfm_info),
            )
            made = aggregates.vnf_instances.insert(tx, instance)
            self.engine.events.add(
                tx, "resource", subject=made.id, name="vnf", state="CREATED", detail=name, data=facts.of_vnf(made)
            )
            return made

        if not aggregates.vnf_packages.select(self.desk.database, vnfd_id=vnfd_id, tenant=tenant):
            await self.desk.fetch(vnfd_id, tenant)
        return await self.desk.database.write(work)

    async def delete(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        """Remove a record that has no resources (5.4.3.3.5)."""

        def work(tx: Transaction) -> None:
            instance = aggregates.vnf_instances.matching(tx, id, tenant, match)
            if held := journal.holder(tx, id):
                raise ConflictError(
                    f"cannot delete VNF {id}: operation {held.id} ({held.kind}) is {held.state}",
                    suggestion="wait for it, or cancel, roll back or fail it",
                )
            if instance.instantiation_state is InstantiationState.INSTANTIATED or instance.resources:
                raise ConflictError(f"cannot delete VNF {id}: it still has resources", suggestion="terminate it first")
            aggregates.vnf_instances.delete(tx, id)
            self.engine.events.add(tx, "resource", subject=id, name="vnf", state="DELETED", data=facts.of_vnf(instance))

        await self.desk.database.write(work)

    async def discard(self, id: str, *, tenant: str = "") -> None:
        """End whatever operation holds the VNF, remove all that it has at once, and delete its record, in every state."""
        instance = self.instance(id, tenant=tenant)
        require_alone(self.desk.database, instance, "discard")
        await self.engine.children.release(id)
        instance = self.instance(id, tenant=tenant)
        if instance.instantiation_state is InstantiationState.INSTANTIATED or instance.resources:
            await self.engine.complete("vnf.terminate", id, {"terminationType": "FORCEFUL"}, tenant=tenant)
        await self.delete(id, tenant=tenant)

    def status(self, id: str, *, tenant: str = "") -> str:
        """The VNF's state in one word (see `vnfm.status`)."""
        return status(self.instance(id, tenant=tenant), self.engine.newest(id))

    def alarms(self, *, tenant: str = "") -> list[Event]:
        """What was found broken in a VNF, or of the node's hosts, and is not mended yet, oldest first."""
        standing = (*self.desk.alarms.roots(), *self.desk.alarms.hosts())
        return [as_event(alarm) for alarm in standing if alarm.tenant == tenant]

    def instances(self, *, tenant: str = "") -> list[VnfInstance]:
        return aggregates.vnf_instances.select(self.desk.database, tenant=tenant)

    def part(
        self,
        *,
        after: Place,
        limit: int,
        conditions: Sequence[Condition] = (),
        keep: Callable[[VnfSketch], bool] | None = None,
        tenant: str = "",
    ) -> tuple[list[VnfInstance], Place | None]:
        """A part of `instances` in the order of creation: those that `keep` lets through, and from where to go on (None where
        this is the end)."""
        return aggregates.vnf_instances.part(
            self.desk.database,
            tenant=tenant,
            after=after,
            limit=limit,
            conditions=conditions,
            sieve=Sieve(VnfSketch, keep) if keep else None,
        )

    def instance(self, id: str, *, tenant: str = "") -> VnfInstance:
        return aggregates.vnf_instances.get(self.desk.database, id, tenant=tenant)

    async def start(
        self, kind: str, id: str, params: Mapping[str, Any], *, match: Revs = None, tenant: str = ""
    ) -> Operation:
        """Begin an operation; it goes on by itself. `PreconditionError` where the VNF is in none of the revisions `match`."""
        self.instance(id, tenant=tenant)

        def check(tx: Transaction) -> None:
            aggregates.vnf_instances.matching(tx, id, tenant, match)

        return await self.engine.submit(kind, id, params, tenant=tenant, check=check if match is not None else None)

    async def plan(self, kind: str, id: str, params: Mapping[str, Any], *, tenant: str = "") -> Plan:
        """What an operation would do; nothing is changed."""
        self.instance(id, tenant=tenant)
        return await self.engine.preview(kind, id, params, tenant=tenant)

    async def exec(
        self, id: str, vnfc: str, argv: Sequence[str], *, stdin: bytes = b"", tenant: str = "", timeout_s: float = 60.0
    ) -> ExecResult:
        """Run a command inside a VNFC ("" = the only one)."""
        driver, name = await self._reach(id, vnfc, tenant)
        if not isinstance(driver, Exec):
            raise UnsupportedError(f"cannot run commands in {name}: its VIM cannot")
        return await driver.exec(name, argv, stdin=stdin, timeout_s=timeout_s)

    async def logs(
        self, id: str, vnfc: str, *, follow: bool = False, tail: int | None = None, tenant: str = ""
    ) -> AsyncIterator[LogLine]:
        """What a VNFC's program printed."""
        driver, name = await self._reach(id, vnfc, tenant)
        if not isinstance(driver, Logs):
            raise UnsupportedError(f"cannot read the log of {name}: its VIM cannot")
        return driver.logs(name, follow=follow, tail=tail)

    async def stats(self, id: str, vnfc: str, *, tenant: str = "") -> ComputeStats:
        """Counters of a VNFC."""
        driver, name = await self._reach(id, vnfc, tenant)
        if not isinstance(driver, Stats):
            raise UnsupportedError(f"cannot read counters of {name}: its VIM cannot")
        return await driver.stats(name)

    async def _reach(self, id: str, vnfc: str, tenant: str) -> tuple[Driver, str]:
        """The driver and name of a VNFC that exists."""
        instance = self.instance(id, tenant=tenant)
        known = {key.removeprefix("compute:"): r for key, r in instance.resources.items() if r.kind == "compute"}
        if not vnfc and len(known) == 1:
            vnfc = next(iter(known))
        if vnfc not in known:
            there = ", ".join(sorted(known)) or "none"
            if vnfc or not known:
                raise NotFoundError(
                    f"cannot find VNFC {vnfc or 'of any name'} in VNF {id}", suggestion=f"it has: {there}"
                )
            raise InvalidError(
                f"cannot tell which VNFC of VNF {id} is meant", suggestion=f"name one of: {there} (--vnfc)"
            )
        spec = known[vnfc].spec
        return await self.desk.vims.driver(spec["vim"]), spec["name"]
