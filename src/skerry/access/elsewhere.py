"""Callers who logged in at another node: this node asks that one whose their token is, and remembers the answer for seconds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

import msgspec

from skerry.access.limits import Limiter
from skerry.access.roles import Principal
from skerry.access.tokens import digest
from skerry.errors import SkerryError
from skerry.model.time import Clock

LIFE_S = 5.0
"""How long an answer counts: so long may a token be used here after its owner has logged out there."""

MOST = 4096
RATE_PER_S = 50.0

Ask = Callable[[str], Awaitable[Principal | None]]
"""Whose a token is, as the other node says; None for nobody's. `SkerryError` where it does not answer."""


class _Known(msgspec.Struct, frozen=True):
    principal: Principal | None
    until: float


class _Issuer(msgspec.Struct, frozen=True):
    iss: str = ""


class Elsewhere:
    """The callers of one other node."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._known: dict[str, _Known] = {}
        self._limiter = Limiter()

    async def meet(self, authorization: str, own: str, address: str) -> None:
        """Find out whose the token of a request is, unless it is of the issuer `own`, known, or no token with an issuer. Each
        `address` has a rate of its own, so that nobody's made-up tokens keep others out."""
        token = authorization.partition(" ")[2].strip()
        if issuer(token) in ("", own) or self._current(token) is not None:
            return
        if self._limiter.wait(address, RATE_PER_S, RATE_PER_S, self._clock.monotonic()):
            return
        try:
            principal = await self._ask(token)
        except SkerryError:
            return  # who cannot be asked vouches for nobody
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[digest(token)] = _Known(principal, self._clock.monotonic() + LIFE_S)

    def principal(self, token: str) -> Principal | None:
        """Who it is, as far as is known."""
        known = self._current(token)
        return known.principal if known else None

    def _current(self, token: str) -> _Known | None:
        known = self._known.get(digest(token))
        return known if known and known.until > self._clock.monotonic() else None


def issuer(token: str) -> str:
    """What a JWT says of its issuer, without a look at its signature; "" for anything else."""
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        return ""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="), type=_Issuer).iss
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return ""
