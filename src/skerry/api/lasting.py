"""Answers that go on for as long as somebody reads: they end when the caller is no longer let in.

A token expires, is revoked, or ends with its client's secret; what it began must not outlive it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from skerry.access.authority import Authority
from skerry.api.route import Call
from skerry.errors import UnauthorizedError

T = TypeVar("T")


async def while_known(call: Call, parts: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    """The parts of an answer; before each the caller is looked at again."""
    async with aclosing(parts):
        async for part in parts:
            if not await _is_known(call):
                return
            yield part


async def _is_known(call: Call) -> bool:
    authority: Authority = call.request.app.state.authority
    shown = call.request.headers.get("authorization", "")
    client = call.request.client
    await authority.meet(shown, client.host if client else "")
    try:
        now = authority.principal(shown, call.request.scope.get("skerry.peer"))
    except UnauthorizedError:
        return False
    return (now.tenant, now.role, now.scopes) == (call.principal.tenant, call.principal.role, call.principal.scopes)
