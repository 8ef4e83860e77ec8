"""The orchestrator of applications as others call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, InvalidError
from skerry.meo.configure import ConfigureApp
from skerry.meo.desk import MeoDesk, require_enabled
from skerry.meo.goal import PLATFORM
from skerry.meo.instantiate import InstantiateApp
from skerry.meo.operate import OperateApp
from skerry.meo.operation import require, state_of
from skerry.meo.relocate import RelocateApp
from skerry.meo.state import FOLDER, VARIABLE, StateSteps, transfers
from skerry.meo.steps import AppSteps
from skerry.meo.terminate import TerminateApp
from skerry.model.app import AppInstance
from skerry.model.operations import Operation, Plan
from skerry.model.platform import Access, AppAddress
from skerry.model.states import FINAL, AppOperationalState, OperationState
from skerry.model.time import Ids, stamp
from skerry.model.vnf import VnfInstance
from skerry.nfvo.tenant_quotas import require_one_more
from skerry.notifications import facts
from skerry.store import applications, journal
from skerry.store.database import Transaction
from skerry.store.documents import Revs

TOKENS = "/oauth2/token"
KINDS = (InstantiateApp, OperateApp, TerminateApp, ConfigureApp, RelocateApp)


class Meo:
    """Creates, runs and deletes application instances."""

    def __init__(self, desk: MeoDesk, engine: Engine, ids: Ids) -> None:
        self.desk = desk
        self.engine = engine
        self.hosts = desk.hosts
        self._ids = ids
        for kind in KINDS:
            engine.add_kind(kind(desk))
        AppSteps(desk).register(engine)
        StateSteps(desk).register(engine)

    async def create(
        self,
        app_d_id: str,
        *,
        name: str = "",
        description: str = "",
        placement: Mapping[str, Any] | None = None,
        tenant: str = "",
    ) -> AppInstance:
        """A record NOT_INSTANTIATED (MEC 010-2 7.4.1.3.1). `placement` is a MepInformation: the host that it is for."""
        host = self.hosts.named(placement) if placement else ""

        def work(tx: Transaction) -> AppInstance:
            found = applications.packages.select(tx, app_d_id=app_d_id, tenant=tenant)
            if not found:
                raise InvalidError(
                    f"cannot find an application package with AppD {app_d_id}", suggestion="onboard its package first"
                )
            info = found[-1]
            require_enabled(info)
            appd = info.package.appd  # type: ignore[union-attr]
            require_one_more(tx, tenant, "apps")
            instance = AppInstance(
                id=self._ids.new(),
                tenant=tenant,
                created_at=stamp(self.desk.clock.now()),
                app_d_id=appd.app_d_id,
                app_pkg_id=info.id,
                app_instance_name=name,
                app_instance_description=description,
                app_provider=appd.app_provider,
                app_name=appd.app_name,
                app_soft_version=appd.app_soft_version,
                app_d_version=appd.app_d_version,
                wanted_host=host,
                client_secret=(self._ids.new() + self._ids.new()).replace("-", ""),
            )
            made = applications.instances.insert(tx, instance)
            self._tell(tx, made, "CREATED", name)
            return made

        return await self.desk.database.write(work)

    async def delete(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        """Remove a record that has no resources (7.4.2.3.4)."""

        def work(tx: Transaction) -> None:
            instance = applications.instances.matching(tx, id, tenant, match)
            if held := journal.holder(tx, id):
                raise ConflictError(
                    f"cannot delete application {id}: operation {held.id} ({held.kind}) is {held.state}",
                    suggestion="wait for it, or cancel or fail it",
                )
            require(instance, "delete")
            if instance.resources:
                raise ConflictError(
                    f"cannot delete application {id}: it has resources", suggestion="terminate it first"
                )
            applications.instances.delete(tx, id)
            self._tell(tx, instance, "DELETED")

        await self.desk.database.write(work)

    def _tell(self, tx: Transaction, instance: AppInstance, state: str, detail: str = "") -> None:
        data = facts.of_app(instance)
        self.engine.events.add(tx, "resource", subject=instance.id, name="app", state=state, detail=detail, data=data)

    async def discard(self, id: str, *, tenant: str = "") -> None:
        """End whatever operation holds the application, remove all that it has at once, and delete its record."""
        self.instance(id, tenant=tenant)
        await self.engine.children.release(id)
        instance = self.instance(id, tenant=tenant)
        if instance.host or instance.resources:
            await self.engine.complete("app.terminate", id, {"terminationType": "FORCEFUL"}, tenant=tenant)
        await self.delete(id, tenant=tenant)

    def instances(self, *, tenant: str = "") -> list[AppInstance]:
        return applications.instances.select(self.desk.database, tenant=tenant)

    def instance(self, id: str, *, tenant: str = "") -> AppInstance:
        return applications.instances.get(self.desk.database, id, tenant=tenant)

    def status(self, id: str, *, tenant: str = "") -> str:
        """The application's state in one word: what happens to it, ERROR, or its state."""
        instance = self.instance(id, tenant=tenant)
        newest = self.engine.newest(id)
        if newest is not None and newest.state not in FINAL and newest.state is not OperationState.FAILED_TEMP:
            return f"{newest.kind.partition('.')[2].upper()} …"
        return "ERROR" if instance.failed else state_of(instance)

    def addresses(self, id: str, *, tenant: str = "") -> tuple[AppAddress, ...]:
        """The addresses of an application's connection points."""
        return self.desk.addresses(self.instance(id, tenant=tenant))

    def ns_id(self, id: str, *, tenant: str = "") -> str:
        """The network service that the application is, by its identifier at the NFVO that has it; "" while it is none."""
        instance = self.instance(id, tenant=tenant)
        return str(self.desk.service(instance).get("ns_id") or instance.ns_id)

    def vnf_ids(self, id: str, *, tenant: str = "") -> tuple[str, ...]:
        """The VNFs that the application is to the NFVO."""
        return tuple(vnf.id for vnf in self.desk.vnfs(self.instance(id, tenant=tenant)))

    async def start(self, kind: str, id: str, params: Mapping[str, Any], *, tenant: str = "") -> Operation:
        """Begin an operation; it goes on by itself. An application that has no place now is refused here."""
        instance = self.instance(id, tenant=tenant)
        if kind in (InstantiateApp.name, RelocateApp.name):
            require(instance, kind.partition(".")[2])
            operation = InstantiateApp(self.desk) if kind == InstantiateApp.name else RelocateApp(self.desk)
            await operation.place(instance, operation.goal(instance, params), params)
        return await self.engine.submit(kind, id, params, tenant=tenant)

    async def plan(self, kind: str, id: str, params: Mapping[str, Any], *, tenant: str = "") -> Plan:
        """What an operation would do; nothing is changed."""
        self.instance(id, tenant=tenant)
        return await self.engine.preview(kind, id, params, tenant=tenant)

    async def start_doors(self) -> None:
        """After a start of the node: let running applications in again."""
        for instance in applications.instances.select(self.desk.database):
            if instance.operational_state is AppOperationalState.STARTED:
                for vnf in self.desk.vnfs(instance):
                    await self._door(vnf)

    async def environment(self, vnf: VnfInstance) -> dict[str, str]:
        """What the containers of an application find in their environment; nothing for VNFs that are none."""
        if not vnf.ns_id:
            return {}
        found = applications.instances.select(self.desk.database, ns_id=vnf.ns_id)
        known = found[0].resources.get(PLATFORM) if found else None
        if known is None:
            return {}
        instance, access = found[0], msgspec.convert(known.outputs.get("access", {}), Access)
        if not access.mp1_endpoint and (way := await self._door(vnf)):
            env = {**access.env, "SKERRY_MP1": way, "SKERRY_APP_INSTANCE_ID": instance.id}
            access = Access(mp1_endpoint=way, token_endpoint=way + TOKENS, env=env)
        told = {
            "MEC_APP_INSTANCE_ID": instance.id,
            "MEC_APP_D_ID": instance.app_d_id,
            "MEC_MP1_ENDPOINT": access.mp1_endpoint,
            "MEC_TOKEN_ENDPOINT": access.token_endpoint,
            "MEC_CLIENT_ID": instance.id,
            "MEC_CLIENT_SECRET": instance.client_secret,
            VARIABLE: FOLDER if transfers(self.desk.appd(instance)) else "",
            **access.env,
        }
        return {name: value for name, value in told.items() if value}

    async def _door(self, vnf: VnfInstance) -> str:
        """The node's URL as this VNF's containers reach it through the gateway of their first network; "" for none."""
        vim, gateway = self.desk.gateway(vnf)
        if not gateway:
            return ""
        return await self.desk.doors.open(vim, await self.desk.nfvo.desk.vims.driver(vim), gateway)
