"""Who a caller is, whatever it shows: a token of the node, an OAuth2 access token, a client certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from skerry.access.bearer import HINT, Bearer, Claims
from skerry.access.certificates import issue_client
from skerry.access.clients import Client, Clients
from skerry.access.elsewhere import Elsewhere
from skerry.access.keys import SigningKeys
from skerry.access.limits import Limiter
from skerry.access.roles import Principal, Role, covered, scopes_of, standard
from skerry.access.tokens import PREFIX, Tokens
from skerry.errors import InvalidError, UnauthorizedError
from skerry.model.time import Clock, stamp


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified client certificate says: its common name (the client's id) and serial number (hex)."""

    name: str
    serial: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the node's settings say about access. Times in seconds; a rate of 0 is no limit."""

    issuer: str
    token_life_s: int
    key_days: float
    rate_per_s: float
    burst: float
    anonymous: bool = False  # who shows nothing is let in as administrator


RECORDED_OF_ONE = (1 / 60, 10.0)
RECORDED_OF_ALL = (1 / 10, 100.0)
"""Records of refused calls: a second, and at once."""

ANONYMOUS = Principal(name="anonymous")


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A new access token: the clear token, its scopes, its life in seconds."""

    token: str
    scope: str
    expires_in: int


class Authority:
    """The access of one node. `apis` are all that scopes can be for, as `vnflcm:v2`."""

    def __init__(
        self,
        folder: Path,
        tokens: Tokens,
        policy: Policy,
        *,
        apis: Iterable[str],
        clock: Clock,
        random: Callable[[int], bytes],
        clients: Clients | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self.apis = tuple(apis)
        self.clients = clients or Clients(folder, random)
        self._tokens = tokens
        self._policy = policy
        self._clock = clock
        self._random = random
        self._limiter = Limiter()
        self._records = Limiter()
        life = timedelta(seconds=policy.token_life_s)
        self._keys = SigningKeys(folder, every=timedelta(days=policy.key_days), life=life, random=random)
        self._bearer = Bearer(folder, self._keys, issuer=policy.issuer, life=life, random=random)

    def principal(self, authorization: str, peer: Peer | None) -> Principal:
        """The caller by its `Authorization` header, or by its certificate where there is none. `UnauthorizedError` if it is
        nobody we know."""
        scheme, _, token = authorization.strip().partition(" ")
        if peer is not None and not authorization.strip():
            return self.by_certificate(peer)
        if self._policy.anonymous and not authorization.strip():
            return ANONYMOUS
        if scheme.lower() == "bearer" and token.count(".") == 2 and not token.startswith(PREFIX):
            other = self._elsewhere.principal(token.strip()) if self._elsewhere else None
            if other is not None:
                return other
            claims, client = self._current(token.strip())
            return _principal(client, claims.scope.split())
        return self._tokens.check(authorization)

    async def meet(self, authorization: str, address: str) -> None:
        """Before `principal`: ask the node where callers log in, where there is one and the token is not our own."""
        if self._elsewhere is not None:
            await self._elsewhere.meet(authorization, self._policy.issuer, address)

    def validate(self, token: str) -> tuple[Claims, Principal]:
        """What a token of this node says, and whose it is. `UnauthorizedError` where it is not valid."""
        claims, client = self._current(token)
        return claims, _principal(client, claims.scope.split())

    def refresh(self, token: str) -> Issued:
        """Another token in place of a valid one, which ends."""
        claims, client = self._current(token)
        made = self.issue(client, claims.scope)
        self._bearer.revoke(claims, self._clock.now())
        return made

    def log_out(self, token: str) -> None:
        """End a token; one that is not valid is ended already."""
        try:
            claims, _ = self._current(token)
        except UnauthorizedError:
            return
        self._bearer.revoke(claims, self._clock.now())

    @property
    def every_scope(self) -> list[str]:
        """Every scope there is."""
        return scopes_of(Role.ADMIN, self.apis)

    def create(
        self, name: str, *, tenant: str, role: str, scopes: tuple[str, ...] = (), rate_per_s: float = 0.0
    ) -> tuple[Client, str]:
        """Make a client; returns it with its secret, which nobody can ask for again."""
        client = Client(
            id=str(UUID(bytes=self._random(16), version=4)),
            name=name,
            tenant=tenant,
            role=role,
            scopes=scopes,
            rate_per_s=rate_per_s,
            created_at=stamp(self._clock.now()),
        )
        return self.clients.add(client)

    def by_certificate(self, peer: Peer) -> Principal:
        """The client that a certificate was issued to."""
        client = self.clients.find(peer.name)
        if client is None or peer.serial not in client.certificates:
            raise UnauthorizedError(
                "cannot accept this client certificate: its client is gone or has a newer secret",
                suggestion="issue another with `skerry access client certificate`",
            )
        return _principal(client, self.held(client))

    def wait(self, principal: Principal) -> float:
        """0 if the caller may go on now, else the seconds until it may. Tokens of the node itself have no limit."""
        if not principal.client:
            return 0.0
        client = self.clients.find(principal.client)  # None for one of another node
        own = client.rate_per_s if client else 0.0
        burst = max(1.0, own * 2) if own else max(self._policy.burst, 1.0)
        return self._limiter.wait(principal.client, own or self._policy.rate_per_s, burst, self._clock.monotonic())

    def is_worth_a_record(self, refused: Principal) -> bool:
        """Whether the audit shall hold one more refused call of a caller: some at first, then now and then, of all callers
        together not many."""
        now = self._clock.monotonic()
        if self._records.wait(f"{refused.tenant} {refused.name}", *RECORDED_OF_ONE, now):
            return False
        return not self._records.wait("", *RECORDED_OF_ALL, now)

    def wait_at(self, address: str) -> float:
        """The same for callers that did not say yet who they are, by their address."""
        now = self._clock.monotonic()
        return self._limiter.wait(f"address {address}", self._policy.rate_per_s, max(self._policy.burst, 1.0), now)

    def issue(self, client: Client, wanted: str) -> Issued:
        """An access token with the scopes that are wanted (none: all that the client may have). `InvalidError` for a scope
        that it may not have."""
        held = self.held(client)
        scopes = wanted.split() or held
        beyond = [scope for scope in scopes if not covered(scope, held)]
        if beyond:
            raise InvalidError(
                f"cannot grant the scope {' '.join(beyond)[:200]} to this client",
                suggestion="ask for less, or for no scope to get all that the client may have",
            )
        token, claims = self._bearer.issue(client, standard(scopes), self._clock.now())
        return Issued(token=token, scope=claims.scope, expires_in=claims.exp - claims.iat)

    def inspect(self, token: str, client: Client) -> Mapping[str, Any]:
        """RFC 7662: what a token says, for a client of its tenant; `{"active": false}` for all else."""
        try:
            claims, _ = self._current(token)
        except UnauthorizedError:
            return {"active": False}
        if claims.tenant != client.tenant:
            return {"active": False}
        return {"active": True, "token_type": "Bearer", **msgspec.structs.asdict(claims)}

    def revoke(self, token: str, client: Client) -> bool:
        """RFC 7009: end a token. False where it is another client's; one that is not valid is ended already."""
        try:
            claims, owner = self._current(token)
        except UnauthorizedError:
            return True
        if owner.id != client.id:
            return False
        self._bearer.revoke(claims, self._clock.now())
        return True

    def jwks(self) -> Mapping[str, Any]:
        """The public keys that verify access tokens (RFC 7517)."""
        return self._keys.jwks(self._clock.now())

    def certify(self, id: str, tls: Path) -> tuple[str, str]:
        """A certificate of the node's authority for a client, and its key, both PEM; the key is kept nowhere."""
        client = self.clients.get(id)
        certificate, key, serial = issue_client(tls, client.id, self._clock.now())
        self.clients.certified(id, serial)
        return certificate, key

    def held(self, client: Client) -> list[str]:
        """The scopes that a client may have: those of its role, or those among its own that its role allows."""
        of_role = scopes_of(client.role, self.apis)
        if not client.scopes:
            return standard(of_role)
        return standard([scope for scope in of_role if covered(scope, client.scopes)])

    def reach(self, client: Client) -> list[str]:
        """The scopes that a client may have or hand out: an account manager hands out those that it has not got itself."""
        return self.every_scope if client.role == Role.ACCOUNT_MANAGER else self.held(client)

    def _current(self, token: str) -> tuple[Claims, Client]:
        """What a valid token says, and its client, which is still there and has not got another secret since."""
        claims = self._bearer.verify(token, self._clock.now())
        client = self.clients.find(claims.client_id)
        if client is None or client.generation != claims.gen:
            raise UnauthorizedError(
                "cannot accept this token: its client is gone or has a newer secret", suggestion=HINT
            )
        return claims, client


def _principal(client: Client, scopes: Iterable[str]) -> Principal:
    return Principal(
        name=client.name, tenant=client.tenant, role=client.role, scopes=frozenset(scopes), client=client.id
    )
