"""The NFVO's answer to grant requests: placement over the VIMs that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from skerry.errors import DriverError, RejectedError, UnauthorizedError, UnavailableError
from skerry.model.time import Ids
from skerry.placement.solve import CONTAINER, FUNCTION, Choice, Demand, Site, place
from skerry.vim.connections import Vims
from skerry.vim.driver import Capacity, Driver, Functions
from skerry.vnfm.grants import Grant, GrantRequest, ResourceRequest

NOTHING = Capacity(vcpus=0, memory_bytes=0, storage_bytes=0, instances=0)


Refused = Callable[[str, Sequence[Site], Sequence[Demand], str], Awaitable[None]]
"""Told of a refusal: the tenant, the sites that were asked, the demands, the operation of this node that asked ("" = none)."""


class PlacingGranter:
    """Fits `vnfm.grants.Granter`."""

    def __init__(self, vims: Vims, ids: Ids) -> None:
        self._vims = vims
        self._ids = ids
        self.on_refused: Refused | None = None

    async def grant(self, request: GrantRequest) -> Grant:
        here = tuple(dict.fromkeys((*request.present.values(), *request.prefer)))
        demands = [demand(asked.vnfc, asked) for asked in request.add]
        choice = await self.choose(demands, here, tenant=request.tenant, operation=request.operation_id)
        functions = tuple(sorted(choice.functions))
        return Grant(id=self._ids.new(), placement=choice.placement, verdicts=choice.verdicts, functions=functions)

    async def choose(
        self, demands: Sequence[Demand], prefer: Sequence[str], *, tenant: str = "", operation: str = ""
    ) -> Choice:
        """Where these demands of a tenant go, with the reasons. Only the VIMs that matter are asked."""
        named = {demand.site for demand in demands}
        asked = [c.id for c in self._vims.connections() if "" in named or c.id in named]
        sites = await asyncio.gather(*(self._site(id) for id in asked))
        try:
            return place(demands, sites, prefer)
        except RejectedError:
            if self.on_refused and (tenant or operation):
                await self.on_refused(tenant, sites, demands, operation)
            raise

    async def _site(self, id: str) -> Site:
        try:
            driver = await self._vims.driver(id)
            return Site(id=id, capacity=await driver.capacity(), forms=forms_of(driver))
        except (DriverError, UnavailableError, UnauthorizedError) as error:
            return Site(id=id, capacity=NOTHING, problem=error.detail)


def demand(name: str, asked: ResourceRequest) -> Demand:
    """A resource request as placement sees it."""
    return Demand(
        name=name,
        vcpus=asked.vcpus,
        memory_bytes=asked.memory_bytes,
        storage_bytes=asked.storage_bytes,
        site=asked.vim,
        forms=asked.forms,
        function_bytes=asked.function_bytes,
    )


def forms_of(driver: Driver) -> frozenset[str]:
    """What a VIM runs."""
    if not isinstance(driver, Functions):
        return frozenset({CONTAINER})
    return frozenset({FUNCTION} if driver.only_functions() else {CONTAINER, FUNCTION})
