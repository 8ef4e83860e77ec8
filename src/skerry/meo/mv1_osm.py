"""The NFVO of Open Source MANO below this orchestrator of applications: SOL005 as its northbound interface has it.

Its packages are its own kind (SOL006): those of the applications are onboarded there by hand, with the identifiers that this
orchestrator asks for. The rest (tokens, services, their operations) is done from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from skerry.errors import DriverError
from skerry.meo.mv1 import Caller, Point, Wish, identifier
from skerry.vnfm.foreign import Exchange, read_object

GOING = ("STARTING", "PROCESSING", "ROLLING_BACK", "QUEUED")
NSLCM = "/nslcm/v1"
INSTANCES = f"{NSLCM}/ns_instances"


class Osm:
    """Fits `meo.mv1.Services`. `user` and `password` are of a user of the project; `account` is the VIM account to use."""

    def __init__(
        self,
        root: str,
        exchange: Exchange,
        *,
        user: str,
        password: str,
        project: str,
        account: str,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._caller = Caller(root, exchange, pause)
        self._login = {"username": user, "password": password, "project_id": project}
        self._account = account

    async def bring_up(self, wish: Wish) -> str:
        """Create and instantiate; both are one request there."""
        who = await self._who()
        known = await self._named(wish.name, who)
        if known is None:
            body = {
                "nsName": wish.name,
                "nsdId": await self._descriptor(wish.nsd_id, who),
                "nsDescription": "an edge application",
                "vimAccountId": self._account,
            }
            where = f"{NSLCM}/ns_instances_content"
            begun = await self._caller.call("POST", where, body, headers=who, once=True)
            await self._follow(identifier(begun, "nslcmop_id"), who)
            return identifier(begun)
        id = str(known["_id"])
        for operation in await self._operations(id, who):
            await self._follow(str(operation["_id"]), who)
        return id

    async def points(self, id: str) -> list[Point]:
        """The interfaces of its VNFs that are external connection points."""
        found: list[Point] = []
        for vnf in await self._vnfs(id, await self._who()):
            interfaces = [one for vdu in vnf.get("vdur", ()) for one in vdu.get("interfaces", ())]
            found += [
                Point(
                    str(one["external-connection-point-ref"]), str(one["ip-address"]), str(one.get("mac-address") or "")
                )
                for one in interfaces
                if one.get("external-connection-point-ref") and one.get("ip-address")
            ]
        return found

    async def switch(self, id: str, *, running: bool, graceful: bool) -> None:
        """OPERATE_VNF, one VNF after the other, as is the way there."""
        who = await self._who()
        for vnf in await self._vnfs(id, who):
            entry = {"vnfInstanceId": vnf["_id"], "changeStateTo": "start" if running else "stop"}
            request = {"updateType": "OPERATE_VNF", "operateVnfData": {**entry, "additionalParam": {"run-day1": False}}}
            where = f"{INSTANCES}/{id}/update"
            begun = await self._caller.call("POST", where, request, headers=who, once=True)
            await self._follow(identifier(begun), who)

    async def remove(self, name: str) -> None:
        """Terminate and delete; a service that failed there is terminated all the same."""
        who = await self._who()
        known = await self._named(name, who)
        if known is None:
            return
        one = f"{INSTANCES}/{known['_id']}"
        if known.get("nsState") != "NOT_INSTANTIATED":
            begun = await self._caller.call("POST", f"{one}/terminate", {}, headers=who, once=True)
            await self._follow(identifier(begun), who)
        await self._caller.call("DELETE", one, headers=who, allowed=(404,))

    async def _who(self) -> dict[str, str]:
        """Log in: tokens there last an hour, operations may last longer."""
        token = read_object((await self._caller.call("POST", "/admin/v1/tokens", self._login)).body)
        if not token.get("id"):
            raise DriverError("cannot log in at the NFVO: it answers no token", call="POST /admin/v1/tokens")
        return {"Authorization": f"Bearer {token['id']}"}

    async def _descriptor(self, nsd_id: str, who: Mapping[str, str]) -> str:
        found = await self._caller.all(f"/nsd/v1/ns_descriptors?id={quote(nsd_id, safe='')}", who)
        mine = [one for one in found if one.get("id") == nsd_id]
        if not mine:
            raise DriverError(
                f"cannot find NSD {nsd_id} at the NFVO",
                suggestion="onboard the application's package there, in its own kind, with this identifier",
            )
        return str(mine[0]["_id"])

    async def _named(self, name: str, who: Mapping[str, str]) -> dict[str, Any] | None:
        found = await self._caller.all(f"{INSTANCES}?name={quote(name, safe='')}", who)
        return next((one for one in found if one.get("name") == name), None)

    async def _vnfs(self, id: str, who: Mapping[str, str]) -> list[dict[str, Any]]:
        found = await self._caller.all(f"{NSLCM}/vnf_instances?nsr-id-ref={quote(id, safe='')}", who)
        return [one for one in found if one.get("nsr-id-ref") == id]

    async def _operations(self, id: str, who: Mapping[str, str]) -> list[dict[str, Any]]:
        found = await self._caller.all(f"{NSLCM}/ns_lcm_op_occs?nsInstanceId={quote(id, safe='')}", who)
        return [one for one in found if one.get("nsInstanceId") == id and one.get("lcmOperationType") == "instantiate"]

    async def _follow(self, operation: str, who: Mapping[str, str]) -> None:
        where = f"{NSLCM}/ns_lcm_op_occs/{operation}"
        await self._caller.until(where, "operationState", ("COMPLETED",), GOING, who)
