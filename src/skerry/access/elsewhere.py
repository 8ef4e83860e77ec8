"""Callers who logged in at another node: this node asks that one whose their token is, and remembers the answer for seconds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from skerry.access.limits import Limiter
from skerry.access.roles import NODE_TENANT, Principal, Role
from skerry.access.tokens import digest
from skerry.errors import SkerryError
from skerry.model.time import Clock

LIFE_S = 5.0
"""How long an answer counts: so long may a token be used here after its owner has logged out there."""

MOST = 4096
RATE_PER_S = 50.0

Ask = Callable[[str], Awaitable[Principal | None]]
"""Whose a token is, as the other node says; None for nobody's. `SkerryError` where it does not answer."""


RANKS = (Role.GUEST, Role.OPERATOR, Role.ADMIN)


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """Which callers of another node count here, and as what. `tenants`: as which tenant here those of a tenant there are; none
    named: all tenants, by their names. `most`: no role is more than this one here."""

    tenants: Mapping[str, str] = {}
    most: Role = Role.OPERATOR

    def admit(self, who: Principal) -> Principal | None:
        """The caller as it is here, None where it is nobody. The other node's own parts, applications among them, have names
        that people cannot choose: what keeps each of them to its own there is not known here. Pure."""
        tenant = self.tenants.get(who.tenant) if self.tenants else who.tenant
        if tenant is None or " " in who.name:
            return None
        if who.role == Role.ACCOUNT_MANAGER:
            return who if self.most is Role.ADMIN and (who.tenant, tenant) == (NODE_TENANT, NODE_TENANT) else None
        role = min(Role(who.role), self.most, key=RANKS.index)
        return msgspec.structs.replace(who, tenant=tenant, role=role)


class _Known(msgspec.Struct, frozen=True):
    principal: Principal | None
    until: float


class _Issuer(msgspec.Struct, frozen=True):
    iss: str = ""


class Elsewhere:
    """The callers of one other node."""

    def __init__(self, ask: Ask, clock: Clock, welcome: Welcome | None = None) -> None:
        self._ask, self._clock, self._welcome = ask, clock, welcome or Welcome()
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
        here = self._welcome.admit(principal) if principal else None
        self._known[digest(token)] = _Known(here, self._clock.monotonic() + LIFE_S)

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
