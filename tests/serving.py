"""Serves the node of a test on a loopback socket, for clients that need one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from skerry.connection import Bounded, Quiet
from skerry.serve import configured
from tests.api.rig import Rig


@asynccontextmanager
async def served(
    rig: Rig, port: int = 0, http: type[Bounded] = Bounded, app: ASGIApp | None = None
) -> AsyncGenerator[str]:
    """The node's URL while it is served, at this port or any; or that of another application in its place."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        listener.setblocking(False)
        config = configured(app or rig.app, rig.node.settings, None)
        config.http = http
        server = Quiet(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
