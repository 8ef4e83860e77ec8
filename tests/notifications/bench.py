"""The service on a store of its own with simulated subscribers, in virtual time or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry.engine.events import EventLog
from skerry.model.notifications import Subscription
from skerry.model.time import Clock, Ids
from skerry.notifications.sending import Sender
from skerry.notifications.service import Notifications, Rules
from skerry.notifications.simulated import SimulatedSubscribers
from skerry.store.database import Database

VNF = {
    "tenant": "t",
    "vnfInstanceName": "one",
    "vnfdId": "vnfd-1",
    "vnfProvider": "acme",
    "vnfProductName": "sip",
    "vnfSoftwareVersion": "1.0",
    "vnfdVersion": "1.1",
}


class Bench:
    """A node's part that notifies. `restart` is what a new process finds after `kill -9`."""

    def __init__(
        self, clock: Clock, ids: Ids, *, path: Path | str = ":memory:", sender: Sender | None = None, **rules: Any
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.rules = Rules(**rules)
        self.world = SimulatedSubscribers()
        self.sender = sender or self.world
        self.store = Database(path, inline=True)
        self.store.open()
        self.service = self._service()

    def _service(self) -> Notifications:
        self.events = EventLog(self.store, self.clock)
        return Notifications(self.store, self.events, self.clock, self.ids, self.sender, self.rules)

    async def start(self) -> None:
        await self.service.start()

    async def restart(self) -> None:
        """The process ends without a word, another begins: nothing is settled on the way."""
        await self.service.stop()
        self.service = self._service()
        await self.service.start()

    async def subscribe(
        self, uri: str = "http://a/n", filter: Mapping[str, Any] | None = None, tenant: str = "t", **more: Any
    ) -> Subscription:
        made, _ = await self.service.subscribe(
            "vnflcm", "2.3.0", uri, filter=filter, root="https://node:8443", tenant=tenant, **more
        )
        return made

    async def create(self, id: str, **facts: Any) -> None:
        """A VNF's record appears."""
        data = {**VNF, "vnfInstanceId": id, **facts}
        await self.store.write(
            lambda tx: self.events.add(tx, "resource", subject=id, name="vnf", state="CREATED", data=data)
        )

    async def delete(self, id: str, **facts: Any) -> None:
        """A VNF's record disappears."""
        data = {**VNF, "vnfInstanceId": id, **facts}
        await self.store.write(
            lambda tx: self.events.add(tx, "resource", subject=id, name="vnf", state="DELETED", data=data)
        )

    def told(self, uri: str = "http://a/n") -> list[str]:
        """The VNFs of the notifications that arrived at an address."""
        return [body["vnfInstanceId"] for body in self.world.received.get(uri, [])]

    def said(self) -> list[str]:
        """States of the events about subscriptions."""
        return [event.state for event in self.events.since(0) if event.kind == "subscription"]
