"""Skerry's side: a whole node in this process, with its store on disk and its drivers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.core import payload
from benchmarks.core.payload import Bell
from skerry.model.operations import Operation
from skerry.settings import Settings, Vim
from skerry.wiring import Node

LIMIT_S = 120.0


class Skerry:
    """A started node with packages onboarded. `bell` None: its VIMs run no programs (simulated)."""

    def __init__(self, node: Node, bell: Bell | None) -> None:
        self._node = node
        self._bell = bell
        self.vnfs: list[str] = []

    @classmethod
    async def start(
        cls, folder: Path, csars: Sequence[Path], vims: Mapping[str, Mapping[str, Any]], bell: Bell | None
    ) -> Skerry:
        """`vims` maps a driver's type to its settings; the type is the VIM's id too."""
        wished = tuple(Vim(id=type, type=type, settings=settings) for type, settings in vims.items())
        node = Node(Settings(data_dir=folder, node=f"bench{os.getpid() % 100000}", vims=wished))
        await node.start()
        for csar in csars:
            info = await node.catalogue.create_vnf_package({})
            await node.catalogue.upload_vnf_package(info.id, csar)
        return cls(node, bell)

    def on(self, vim: str, vnfd_id: str = payload.TWO_NICS) -> SkerrySide:
        """The side that instantiates this descriptor on this VIM."""
        return SkerrySide(self, vim, vnfd_id)

    async def instantiate(self, vim: str, count: int, vnfd_id: str = payload.TWO_NICS) -> float:
        """Seconds until `count` VNFs are COMPLETED and their programs run. Their records are made before."""
        made = await asyncio.gather(*(self._node.vnfm.create(vnfd_id) for _ in range(count)))
        self.vnfs = [vnf.id for vnf in made]
        params = {"flavourId": "default", "additionalParams": {"placement": {"*": vim}}}
        heard = asyncio.ensure_future(self._bell.rung(count)) if self._bell else None
        await asyncio.sleep(0)
        begun = time.perf_counter()
        await asyncio.gather(*(self._run("vnf.instantiate", id, params) for id in self.vnfs))
        ended = time.perf_counter()
        return max(ended, await heard if heard else 0.0) - begun

    async def clear(self) -> None:
        """Terminate and delete what was instantiated."""
        force = {"terminationType": "FORCEFUL"}
        await asyncio.gather(*(self._run("vnf.terminate", id, force) for id in self.vnfs))
        for id in self.vnfs:
            await self._node.vnfm.delete(id)
        self.vnfs = []

    async def _run(self, kind: str, id: str, params: Mapping[str, Any]) -> Operation:
        begun = await self._node.vnfm.start(kind, id, params)
        ended = await self._node.engine.wait(begun.id, LIMIT_S)
        if ended.state != "COMPLETED":
            raise RuntimeError(f"{kind} is {ended.state}: {ended.error}")
        return ended

    def bundle(self) -> tuple[Path, dict[str, Any]]:
        """The folder and OCI configuration of the one instance that runs on the local VIM."""
        (file,) = (self._node.settings.data_dir / "vims" / "local" / "compute").glob("*/config.json")
        return file.parent, json.loads(file.read_text())

    async def stop(self) -> None:
        """End the node and whatever it still runs, as after a measurement that failed."""
        await self._node.engine.stop()
        for driver in self._node.vims.opened().values():
            for compute in await driver.list_compute():
                await driver.delete_compute(compute.name)
            for network in await driver.list_networks():
                await driver.delete_network(network.name)
        await self._node.stop()


class SkerrySide:
    """Fits `Side`: Skerry with one descriptor on one VIM."""

    def __init__(self, skerry: Skerry, vim: str, vnfd_id: str) -> None:
        self._skerry = skerry
        self._vim = vim
        self._vnfd_id = vnfd_id

    async def run(self, count: int) -> float:
        return await self._skerry.instantiate(self._vim, count, self._vnfd_id)

    async def clear(self) -> None:
        await self._skerry.clear()
