"""The micro network functions among VNFCs: what they are, their handlers, another configuration."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skerry.errors import NotFoundError, SkerryError, UnsupportedError
from skerry.lvnf.backend import Handler
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.vim.driver import ComputeStats, Function, Functions, Stats
from skerry.vnfm.desk import Desk
from skerry.vnfm.migrate import is_function


class VnfFunction(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: whose VNFC it is, where, and how it is now. `problem` says why that is not known; `downtime_ms` how long it
    stood still when it last moved."""

    id: str
    vnf: VnfInstance
    vnfc: str
    vim: str
    function: Function | None = None
    stats: ComputeStats | None = None
    problem: str = ""
    downtime_ms: float | None = None


class VnfFunctions:
    """All of a node's. Each has the name that it has on its VIM as its id; tenants see their own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def all(self, *, tenant: str = "") -> list[VnfFunction]:
        """Those of a tenant, by VNF."""
        vnfs = aggregates.vnf_instances.select(self._desk.database, tenant=tenant)
        return [await self._seen(one) for vnf in vnfs for one in _functions(vnf)]

    async def get(self, id: str, *, tenant: str = "") -> VnfFunction:
        """One by its id; `NotFoundError`."""
        return await self._seen(self._find(id, tenant))

    async def handlers(self, id: str, *, tenant: str = "") -> Sequence[Handler]:
        """Its handlers."""
        driver, one = await self._reach(id, tenant)
        return await driver.list_handlers(one.id)

    async def read(self, id: str, handler: str, *, tenant: str = "") -> str:
        """The value of "element.handler", or of a name that the descriptor gives."""
        driver, one = await self._reach(id, tenant)
        return await driver.read_handler(one.id, handler)

    async def write(self, id: str, handler: str, value: str, *, tenant: str = "") -> None:
        """Write a handler."""
        driver, one = await self._reach(id, tenant)
        await driver.write_handler(one.id, handler, value)

    async def swap(self, id: str, configuration: str, *, tenant: str = "") -> VnfFunction:
        """Exchange its configuration while it runs. A healing goes back to the one of the package."""
        driver, one = await self._reach(id, tenant)
        await driver.swap_function(one.id, configuration)
        return await self.get(id, tenant=tenant)

    def place(self, id: str, *, tenant: str = "") -> tuple[str, str]:
        """The VNF and the VNFC that it is."""
        one = self._find(id, tenant)
        return one.vnf.id, one.vnfc

    def _find(self, id: str, tenant: str) -> VnfFunction:
        vnfs = aggregates.vnf_instances.select(self._desk.database, tenant=tenant)
        found = next((one for vnf in vnfs for one in _functions(vnf) if one.id == id), None)
        if found is None:
            raise NotFoundError(f"cannot find the function {id}", suggestion="list them: skerry lvnf list")
        return found

    async def _reach(self, id: str, tenant: str) -> tuple[Functions, VnfFunction]:
        one = self._find(id, tenant)
        driver = await self._desk.vims.driver(one.vim)
        if not isinstance(driver, Functions):
            raise UnsupportedError(f"cannot reach the function {id}: VIM {one.vim} runs none")
        return driver, one

    async def _seen(self, one: VnfFunction) -> VnfFunction:
        try:
            driver, _ = await self._reach(one.id, one.vnf.tenant)
            shown = await driver.get_function(one.id)
        except SkerryError as error:
            return msgspec.structs.replace(one, problem=error.detail)
        stats: ComputeStats | None = None
        if isinstance(driver, Stats):
            try:
                stats = await driver.stats(one.id)
            except SkerryError:
                stats = None  # it does not run
        return msgspec.structs.replace(one, function=shown, stats=stats)


def _functions(vnf: VnfInstance) -> list[VnfFunction]:
    found: list[VnfFunction] = []
    for key, resource in sorted(vnf.resources.items()):
        vnfc = key.removeprefix("compute:")
        if key.startswith("compute:") and is_function(vnf, vnfc):
            power = vnf.resources.get(f"power:{vnfc}")
            stood = power.outputs.get("downtime_ms") if power else None
            spec = resource.spec
            found.append(VnfFunction(id=spec["name"], vnf=vnf, vnfc=vnfc, vim=spec["vim"], downtime_ms=stood))
    return found
