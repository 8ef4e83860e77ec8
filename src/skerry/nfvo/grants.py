"""The NFVO's answer to grant requests: placement over the VIMs that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from skerry.errors import DriverError, RejectedError, UnauthorizedError, UnavailableError
from skerry.model.quotas import Needed
from skerry.model.time import Ids
from skerry.model.vnf import VimConnection
from skerry.nfvo.tenant_quotas import TenantQuotas
from skerry.placement.solve import CONTAINER, FUNCTION, Choice, Demand, Site, place
from skerry.vim.connections import Vims
from skerry.vim.driver import Capacity, Driver, Functions
from skerry.vnfm.grants import Grant, GrantRequest, ResourceRequest

NOTHING = Capacity(vcpus=0, memory_bytes=0, storage_bytes=0, instances=0)


Refused = Callable[[str, Sequence[Site], Sequence[Demand], str], Awaitable[None]]
"""Told of a refusal: the tenant, the sites that were asked, the demands, the operation of this node that asked ("" = none)."""

OverQuota = Callable[[str, Needed, str], Awaitable[None]]
"""Told that a tenant's quota refused so much, and the operation of this node that asked for it ("" = none)."""


class PlacingGranter:
    """Fits `vnfm.grants.Granter`."""

    def __init__(self, vims: Vims, ids: Ids, quotas: TenantQuotas | None = None) -> None:
        self._vims = vims
        self._ids = ids
        self._quotas = quotas
        self.on_refused: Refused | None = None
        self.on_over_quota: OverQuota | None = None

    def connections(self) -> list[VimConnection]:
        """The infrastructures that there are to choose from."""
        return self._vims.connections()

    async def grant(self, request: GrantRequest) -> Grant:
        here = tuple(dict.fromkeys((*request.present.values(), *request.prefer)))
        demands = [demand(asked.vnfc, asked) for asked in request.add]
        choice = await self.choose(demands, here, tenant=request.tenant, operation=request.operation_id)
        changed = {one.vnfc: needed(demand(one.vnfc, one), function=one.function) for one in request.update}
        wanted = {**takes(demands, choice), **changed}
        await self._claim(request.tenant, request.operation_id, wanted, request.vnf_instance_id)
        functions = tuple(sorted(choice.functions))
        return Grant(id=self._ids.new(), placement=choice.placement, verdicts=choice.verdicts, functions=functions)

    async def reserve(self, demands: Sequence[Demand], prefer: Sequence[str], *, tenant: str, operation: str) -> Choice:
        """`choose`, and grant all of that to an operation, for those that it starts."""
        choice = await self.choose(demands, prefer, tenant=tenant, operation=operation)
        await self._claim(tenant, operation, takes(demands, choice))
        return choice

    async def _claim(self, tenant: str, operation: str, wanted: Mapping[str, Needed], vnf: str = "") -> None:
        if self._quotas is None:
            return
        try:
            await self._quotas.claim(tenant, operation, wanted, vnf)
        except RejectedError:
            if self.on_over_quota:
                await self.on_over_quota(tenant, self._quotas.growth(tenant, vnf, wanted), operation)
            raise

    def require(self, demands: Sequence[Demand], *, tenant: str) -> None:
        """`RejectedError` where the tenant's quota has no room for all of this, in its preferred form."""
        if self._quotas is not None:
            self._quotas.require(tenant, [needed(one, function=one.forms[0] == FUNCTION) for one in demands])

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


def needed(one: Demand, *, function: bool) -> Needed:
    """What a demand takes in one of its forms."""
    if function:
        return Needed(memory_bytes=one.function_bytes, instances=1)
    return Needed(vcpus=one.vcpus, memory_bytes=one.memory_bytes, storage_bytes=one.storage_bytes, instances=1)


def takes(demands: Sequence[Demand], choice: Choice) -> dict[str, Needed]:
    """What each demand takes as it was placed."""
    return {one.name: needed(one, function=one.name in choice.functions) for one in demands}


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
