"""The door for agents of micro network functions: one WebSocket each, `skerry.lvnf.agent.messages` is what it carries.

An agent shows the certificate, or a token, of a client of the node's own tenant; the scope `lvnf_agent:v1:all` is enough. It
goes by the name of that client. Whoever shows a token of the node itself may come under any name.
"""

from __future__ import annotations

import asyncio

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from skerry.access.roles import NODE_TENANT, Principal, Right
from skerry.api import rights
from skerry.api.problem import HttpError
from skerry.api.route import Api
from skerry.api.services import Services
from skerry.errors import ForbiddenError, SkerryError

API = Api("lvnf_agent", "Agents of micro network functions", {1: "1.0.0"}, ())
_REFUSED, _LOST = 1008, 1001


def _permit(principal: Principal) -> str:
    """The name that the agent must go by; "" for any."""
    try:
        rights.check(principal, API.root(1), "/connect", Right.CHANGE)
    except HttpError as error:
        raise ForbiddenError(error.detail, suggestion=error.suggestion) from error
    if principal.tenant != NODE_TENANT:
        raise ForbiddenError(
            f"cannot take an agent of the tenant {principal.tenant}",
            suggestion=f"make its client one of the tenant {NODE_TENANT}",
        )
    return principal.name if principal.client else ""


async def _serve(socket: WebSocket, services: Services) -> None:
    """One connection, until one of both ends it or the agent is lost."""
    try:
        name = _permit(socket.scope["skerry.principal"])
    except SkerryError as error:
        await socket.close(_REFUSED, error.detail[:100])
        return
    await socket.accept()
    over = asyncio.Event()
    session = services.lvnf_agents.connect(name, lambda text: socket.send_text(text.decode()), over.set)

    async def read() -> None:
        while True:
            await session.hear((await socket.receive_text()).encode())

    async def hang() -> None:
        await over.wait()

    tasks = [asyncio.create_task(read()), asyncio.create_task(hang())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        session.ended()
        for task in tasks:
            task.cancel()
        why, _ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(why, SkerryError):
        await socket.close(_REFUSED, why.detail[:100])
    elif over.is_set():
        await socket.close(_LOST, "the node hangs up")
    elif isinstance(why, Exception) and not isinstance(why, WebSocketDisconnect | KeyError | asyncio.CancelledError):
        raise why


def routes(services: Services) -> list[BaseRoute]:
    """The door."""

    async def door(socket: WebSocket) -> None:
        await _serve(socket, services)

    return [WebSocketRoute(f"{API.root(1)}/connect", door)]
