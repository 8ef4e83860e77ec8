"""The NFV orchestrator as others call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, InvalidError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation, Plan
from skerry.model.states import InstantiationState, OperationalState
from skerry.model.time import Ids, stamp
from skerry.model.vnf import VimConnection
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.forwarding_steps import ForwardingSteps, PathKeeper, Paths
from skerry.nfvo.heal import HealNs
from skerry.nfvo.infrastructures import require_unused
from skerry.nfvo.instantiate import InstantiateNs
from skerry.nfvo.moving_steps import MovingSteps, ReceiveVnfs, ReleaseVnfs, unwind
from skerry.nfvo.nested_steps import NestedSteps
from skerry.nfvo.nesting import require_alone
from skerry.nfvo.pnf_steps import PnfSteps
from skerry.nfvo.scale import ScaleNs
from skerry.nfvo.status import status
from skerry.nfvo.steps import MemberSteps
from skerry.nfvo.tenant_quotas import require_one_more
from skerry.nfvo.terminate import TerminateNs
from skerry.nfvo.update import UpdateNs
from skerry.nfvo.waiting import WaitingSteps
from skerry.notifications import facts
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.store.documents import Revs
from skerry.vim.driver import Placed

KINDS = (InstantiateNs, ScaleNs, HealNs, UpdateNs, ReceiveVnfs, ReleaseVnfs, TerminateNs)


class Nfvo:
    """Creates, runs and deletes NS instances; keeps the VIM connections."""

    def __init__(self, desk: NsDesk, engine: Engine, ids: Ids) -> None:
        self.desk = desk
        self.engine = engine
        self._ids = ids
        for kind in KINDS:
            engine.add_kind(kind(desk))
        members = MemberSteps(desk)
        members.register(engine)
        MovingSteps(members).register(engine)
        NestedSteps(desk, self).register(engine)
        PnfSteps(desk).register(engine)
        WaitingSteps(desk).register(engine)
        paths = Paths(desk)
        ForwardingSteps(paths).register(engine)
        self.keeper = PathKeeper(paths, engine)

    async def create(
        self, nsd_id: str, *, name: str = "", description: str = "", tenant: str = "", id: str = "", within: str = ""
    ) -> NsInstance:
        """A record NOT_INSTANTIATED (SOL005 6.4.2.3.1). `id` is for callers that derive identifiers; it may exist then.
        `within` is the NS that it is nested in."""

        def work(tx: Transaction) -> NsInstance:
            if id and (there := aggregates.ns_instances.find(tx, id)):
                return there
            found = [info for info in aggregates.nsds.select(tx, nsd_id=nsd_id) if info.tenant == tenant]
            if not found:
                raise InvalidError(f"cannot find NSD {nsd_id}", suggestion="onboard it first")
            if found[-1].operational_state is not OperationalState.ENABLED:
                raise ConflictError(f"cannot use NSD {nsd_id}: it is disabled", suggestion="enable it first")
            if not id:
                require_one_more(tx, tenant, "ns")
            instance = NsInstance(
                id=id or self._ids.new(),
                tenant=tenant,
                created_at=stamp(self.desk.clock.now()),
                nsd_id=nsd_id,
                nsd_info_id=found[-1].id,
                ns_instance_name=name,
                ns_instance_description=description,
                users=(within,) if within else (),
            )
            made = aggregates.ns_instances.insert(tx, instance)
            self._tell(tx, made, "CREATED", name)
            return made

        return await self.desk.database.write(work)

    async def delete(self, id: str, *, match: Revs = None, tenant: str = "", within: str = "") -> None:
        """Remove a record that has no resources (6.4.3.3.3)."""

        def work(tx: Transaction) -> None:
            instance = aggregates.ns_instances.matching(tx, id, tenant, match)
            require_alone(instance, "delete", within=within)
            if held := journal.holder(tx, id):
                raise ConflictError(
                    f"cannot delete NS {id}: operation {held.id} ({held.kind}) is {held.state}",
                    suggestion="wait for it, or cancel, roll back or fail it",
                )
            if instance.ns_state is InstantiationState.INSTANTIATED or instance.resources:
                raise ConflictError(f"cannot delete NS {id}: it still has resources", suggestion="terminate it first")
            aggregates.ns_instances.delete(tx, id)
            self._tell(tx, instance, "DELETED")

        await self.desk.database.write(work)

    def _tell(self, tx: Transaction, instance: NsInstance, state: str, detail: str = "") -> None:
        nsd = aggregates.nsds.find(tx, instance.nsd_info_id)
        vnfds = nsd.package.nsd.vnfd_ids if nsd and nsd.package else ()
        data = facts.of_ns(instance, vnfds)
        self.engine.events.add(tx, "resource", subject=instance.id, name="ns", state=state, detail=detail, data=data)

    async def discard(self, id: str, *, tenant: str = "") -> None:
        """End whatever operation holds the NS, remove all that it has at once, and delete its record, in every state."""
        require_alone(self.instance(id, tenant=tenant), "discard")
        await unwind(self.engine, id)
        await self.engine.children.release(id)
        instance = self.instance(id, tenant=tenant)
        if instance.ns_state is InstantiationState.INSTANTIATED or instance.resources:
            params = {"additionalParams": {"terminationType": "FORCEFUL"}}
            await self.engine.complete("ns.terminate", id, params, tenant=tenant)
        await self.delete(id, tenant=tenant)

    def status(self, id: str, *, tenant: str = "") -> str:
        """The NS's state in one word (see `nfvo.status`)."""
        instance = self.instance(id, tenant=tenant)
        members = [self.desk.vnfm.status(m.vnf_instance_id, tenant=tenant) for m in instance.members.values()]
        members += [self.status(inner.ns_instance_id, tenant=tenant) for inner in instance.nested.values()]
        return status(instance, self.engine.newest(id), members)

    def instances(self, *, tenant: str = "") -> list[NsInstance]:
        return aggregates.ns_instances.select(self.desk.database, tenant=tenant)

    def instance(self, id: str, *, tenant: str = "") -> NsInstance:
        return aggregates.ns_instances.get(self.desk.database, id, tenant=tenant)

    async def start(self, kind: str, id: str, params: Mapping[str, Any], *, tenant: str = "") -> Operation:
        """Begin an operation; it goes on by itself. The record of a snapshot that it takes is made with it."""
        self.instance(id, tenant=tenant)
        if params.get("updateType") != "CREATE_VNF_SNAPSHOT":
            return await self.engine.submit(kind, id, params, tenant=tenant)
        empty = self.desk.vnfm.snapshots.empty(tenant=tenant)
        data = {**params["createSnapshotData"], "vnfSnapshotInfoId": empty.id}
        return await self.engine.submit(
            kind,
            id,
            {**params, "createSnapshotData": data},
            tenant=tenant,
            check=lambda tx: aggregates.vnf_snapshots.insert(tx, empty),
        )

    async def plan(self, kind: str, id: str, params: Mapping[str, Any], *, tenant: str = "") -> Plan:
        """What an operation would do; nothing is changed."""
        self.instance(id, tenant=tenant)
        return await self.engine.preview(kind, id, params, tenant=tenant)

    # -- VIMs ---------------------------------------------------------------------------------------------------------

    async def register_vim(self, connection: VimConnection) -> VimConnection:
        """Make a VIM known after its driver could open it: wrong credentials are refused here, not at the first VNF."""
        if aggregates.vims.find(self.desk.database, connection.id):
            raise ConflictError(f"cannot register VIM {connection.id}: it exists", suggestion="choose another id")
        self.desk.vims.add(connection)
        try:
            await self.desk.vims.driver(connection.id)
            return await self.desk.database.write(lambda tx: aggregates.vims.insert(tx, connection))
        except BaseException:
            await self.desk.vims.remove(connection.id)
            raise

    def vims(self) -> list[VimConnection]:
        return self.desk.vims.connections()

    async def delete_vim(self, id: str) -> None:
        """Forget a VIM that no instance uses."""
        self.desk.vims.get(id)
        require_unused(self.desk.database, [id])
        await self.desk.database.write(lambda tx: aggregates.vims.delete(tx, id))
        await self.desk.vims.remove(id)

    async def vim_resources(self, id: str) -> dict[str, Any]:
        """What the VIM has now, read from its driver; `namespace` is where its instances' interfaces can be steered."""
        driver = await self.desk.vims.driver(id)
        return {
            "capacity": await driver.capacity(),
            "images": list(await driver.list_images()),
            "networks": list(await driver.list_networks()),
            "compute": list(await driver.list_compute()),
            **({"namespace": driver.namespace} if isinstance(driver, Placed) else {}),
        }
