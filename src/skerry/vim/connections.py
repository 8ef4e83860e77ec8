"""The VIMs that a node may use: their drivers, opened on first use and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError, NotFoundError
from skerry.model.vnf import VimConnection
from skerry.vim import catalogue
from skerry.vim.driver import Driver, DriverContext


class Vims:
    """Drivers by VIM connection id. `context` makes what a driver needs of its node."""

    def __init__(self, context: Callable[[str], DriverContext]) -> None:
        self._context = context
        self._connections: dict[str, VimConnection] = {}
        self._drivers: dict[str, Driver] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.on_open: list[Callable[[str, Driver], None]] = []

    def add(self, connection: VimConnection) -> None:
        """Make a connection known. `InvalidError` if its type or settings are wrong; nothing is opened yet."""
        self.check(connection)
        self._connections[connection.id] = connection

    @staticmethod
    def check(connection: VimConnection) -> Any:
        """The typed settings of a connection, or `InvalidError`."""
        try:
            return msgspec.convert(connection.settings, catalogue.load(connection.vim_type).settings_type)
        except msgspec.ValidationError as error:
            fault = Fault(message=str(error), path="/interfaceInfo", code="vim-settings")
            raise InvalidError(f"cannot use VIM {connection.id}: {error}", faults=[fault]) from error

    def connections(self) -> list[VimConnection]:
        return list(self._connections.values())

    def get(self, id: str) -> VimConnection:
        if id not in self._connections:
            known = ", ".join(sorted(self._connections)) or "none"
            raise NotFoundError(f"cannot find VIM {id}", suggestion=f"the VIMs are: {known}")
        return self._connections[id]

    async def driver(self, id: str) -> Driver:
        """The open driver of a VIM. `UnavailableError` when it cannot be reached."""
        if id in self._drivers:
            return self._drivers[id]
        connection = self.get(id)
        async with self._locks.setdefault(id, asyncio.Lock()):
            if id not in self._drivers:
                driver = catalogue.load(connection.vim_type)(self.check(connection), self._context(id))
                await driver.open()
                self._drivers[id] = driver
                for tell in self.on_open:
                    tell(id, driver)
        return self._drivers[id]

    async def reopen(self, connection: VimConnection) -> None:
        """Replace a connection by one with other settings. Where its driver cannot open with them, that of before stays."""
        self.check(connection)
        known = self.get(connection.id)
        await self.remove(connection.id)
        self._connections[connection.id] = connection
        try:
            await self.driver(connection.id)
        except BaseException:
            self._connections[connection.id] = known
            raise

    def opened(self) -> dict[str, Driver]:
        """The drivers that are open now."""
        return dict(self._drivers)

    async def remove(self, id: str) -> None:
        """Forget a VIM; what runs there keeps running."""
        self._connections.pop(id, None)
        driver = self._drivers.pop(id, None)
        if driver is not None:
            await driver.close()

    async def close(self) -> None:
        drivers, self._drivers = self._drivers, {}
        for driver in drivers.values():
            await driver.close()
