"""Grants for platform managers of elsewhere (MEC 010-2 clause 7.5): where an application's resources may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.errors import ConflictError
from skerry.meo.instantiate import InstantiateApp
from skerry.meo.lifecycle import Meo
from skerry.model.app import AppGrant, AppInstance
from skerry.model.time import Ids, stamp
from skerry.store import applications


class Granting:
    """Answers grant requests, and remembers the answers."""

    def __init__(self, meo: Meo, ids: Ids) -> None:
        self._meo = meo
        self._ids = ids

    async def grant(self, request: Mapping[str, Any], *, tenant: str = "") -> AppGrant:
        """A GrantRequest (6.2.4.2) answered: the host and infrastructure of each added resource. `InvalidError` tells for every
        host why nothing fits."""
        instance = self._meo.instance(request["appInstanceId"], tenant=tenant)
        if instance.app_d_id != request["appDId"]:
            raise ConflictError(
                f"cannot grant for AppD {request['appDId']}: application {instance.id} is of {instance.app_d_id}"
            )
        vim, zone = await self._place(instance) if request.get("addResources") else (instance.vim, instance.host)
        desk = self._meo.desk
        made = AppGrant(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(desk.clock.now()),
            app_instance_id=instance.id,
            app_lcm_op_occ_id=request["appLcmOpOccId"],
            body=self._body(request, vim, zone),
        )
        return await desk.database.write(lambda tx: applications.grants.insert(tx, made))

    async def _place(self, instance: AppInstance) -> tuple[str, str]:
        """Infrastructure and host of new resources: where it is, else where it may be."""
        if instance.vim:
            return instance.vim, instance.host
        operation = InstantiateApp(self._meo.desk)
        goal, _ = await operation.place(instance, operation.goal(instance, {}), {})
        return goal.vim, goal.host

    def _body(self, request: Mapping[str, Any], vim: str, zone: str) -> dict[str, Any]:
        """The attributes of the Grant (6.2.4.3) that say where."""
        body: dict[str, Any] = {}
        for connection in self._meo.desk.nfvo.vims():
            if connection.id == vim:
                body["vimConnections"] = [{vim: {"id": vim, "vimId": vim, "vimType": connection.vim_type}}]
                body["zones"] = [{"id": zone, "zoneId": zone, "vimConnectionId": vim}]
        where = {"vimConnectionId": vim, "zoneId": zone}
        for name in ("addResources", "tempResources", "removeResources", "updateResources"):
            fresh = where if name in ("addResources", "tempResources") else {}
            if listed := request.get(name):
                body[name] = [{"resourceDefinitionId": one["id"], **fresh} for one in listed]
        return body

    def get(self, id: str, *, tenant: str = "") -> AppGrant:
        """A grant that was given."""
        return applications.grants.get(self._meo.desk.database, id, tenant=tenant)
