"""A real node in this process, reached through its ASGI application, on the simulated driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from skerry.access.tokens import StoredToken, Tokens, digest
from skerry.api.app import build
from skerry.mep.steering import Steering
from skerry.packages import build as build_package
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.etsi.judge import HOME, Judge

EXAMPLES = Path(__file__).parents[2] / "examples" / "sip"
TOKEN = "sk_of-the-tests"
VNFD = "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e01"
JSON = {"Content-Type": "application/json"}


class Rig:
    """The node, a client with a token, and shortcuts of the journeys that tests make."""

    def __init__(self, node: Node, client: httpx.AsyncClient, folder: Path, app: Starlette) -> None:
        self.node = node
        self.app = app
        self.client = client
        self.folder = folder

    def archive(self, name: str) -> Path:
        """One of the example packages as a file."""
        target = self.folder / f"{name}.csar"
        return target if target.exists() else build_package(EXAMPLES / name, target)

    async def onboard(self, name: str, root: str = "/vnfpkgm/v2/vnf_packages", content: str = "package_content") -> str:
        """Create and upload; returns the record's id."""
        created = await self.client.post(root, json={"userDefinedData": {"from": name}})
        assert created.status_code == 201, created.text
        id = str(created.json()["id"])
        put = await self.client.put(
            f"{root}/{id}/{content}",
            content=self.archive(name).read_bytes(),
            headers={"Content-Type": "application/zip"},
        )
        assert put.status_code in (202, 204), put.text
        return id

    async def onboard_all(self) -> str:
        """Client, server and service; returns the NSD's record id."""
        await self.onboard("server")
        await self.onboard("client")
        return await self.onboard("service", "/nsd/v2/ns_descriptors", "nsd_content")

    async def finished(self, response: httpx.Response) -> dict[str, Any]:
        """The operation that an accepted request began, once it has settled."""
        assert response.status_code == 202, response.text
        id = response.headers["Location"].rpartition("/")[2]
        await self.node.engine.wait(id, 10)
        read = await self.client.get(response.headers["Location"])
        assert read.status_code == 200, read.text
        return dict(read.json())

    async def vnf(self, vnfd: str = VNFD) -> str:
        """An instantiated server; returns its id."""
        created = await self.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": vnfd, "vnfInstanceName": "one"})
        assert created.status_code == 201, created.text
        id = str(created.json()["id"])
        done = await self.finished(
            await self.client.post(f"/vnflcm/v2/vnf_instances/{id}/instantiate", json={"flavourId": "default"})
        )
        assert done["operationState"] == "COMPLETED", done
        return id


@asynccontextmanager
async def running(
    folder: Path, *, defects: bool = True, steering: Steering | None = None, **changes: Any
) -> AsyncGenerator[Rig]:
    """A started node with one simulated infrastructure of its own. `defects`: unknown errors end the test."""
    settings = Settings(
        data_dir=folder / "node",
        **{"vims": (Vim(id="sim", type="simulated", settings={"world": str(folder)}),), **changes},
    )
    node = Node(settings, steering=steering)
    tokens = Tokens([StoredToken(sha256=digest(TOKEN))])
    await node.start()
    app = build(node, tokens)
    transport = httpx.ASGITransport(app, raise_app_exceptions=defects)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="https://node", headers=headers) as client:
            if HOME.is_dir():  # whatever a test is about, each answer fits the official files
                client.event_hooks = {"response": [Judge()]}
            yield Rig(node, client, folder, app)
    finally:
        await node.stop()
