"""What a driver answers that has micro network functions (fits `driver.Functions`)."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.lvnf.backend import Handler
from skerry.vim.driver import DriverContext, Function, Handover
from skerry.vim.local.edge import Edge
from skerry.vim.local.functions import Functions
from skerry.vim.local.settings import EdgeSettings


class FunctionHost(Edge):
    """An edge host with functions on its networks."""

    def __init__(self, settings: EdgeSettings, context: DriverContext) -> None:
        super().__init__(settings, context)
        self.functions = Functions(self)

    def only_functions(self) -> bool:
        """Whether it runs nothing else."""
        return False

    async def list_functions(self) -> Sequence[Function]:
        """All of this node's."""
        return await self.functions.shown()

    async def get_function(self, name: str) -> Function:
        """One by name."""
        return await self.functions.show(name)

    async def list_handlers(self, name: str) -> Sequence[Handler]:
        """Its handlers."""
        return await self.functions.handlers(name)

    async def read_handler(self, name: str, handler: str) -> str:
        """A handler's value."""
        return await self.functions.read(name, handler)

    async def write_handler(self, name: str, handler: str, value: str) -> None:
        """Write a handler."""
        await self.functions.write(name, handler, value)

    async def swap_function(self, name: str, configuration: str) -> Function:
        """Exchange its configuration."""
        return await self.functions.swap(name, configuration)

    async def hand_over(self, name: str) -> Handover:
        """Stop it to go on elsewhere."""
        return await self.functions.hand_over(name)

    async def take_over(self, name: str, brought: Handover) -> Function:
        """Start it with what it brings from elsewhere."""
        return await self.functions.take_over(name, brought)
