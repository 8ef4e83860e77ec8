"""Access tokens as JWT (RFC 9068, ES256): made, verified, revoked.

A verified token is remembered until it expires, so that only its first request pays for the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from skerry.access.clients import Client
from skerry.access.files import private_folder, write_private
from skerry.access.keys import SigningKeys
from skerry.access.tokens import digest
from skerry.errors import UnauthorizedError, UnavailableError

AUDIENCE = "skerry"
TYPE = "at+jwt"
REMEMBERED = 4096
HINT = "ask for a new token at /oauth2/token"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says. `gen` is the client's generation when it was issued."""

    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    jti: str
    client_id: str
    scope: str
    tenant: str
    role: str
    gen: int


class Bearer:
    """Issues and verifies the tokens of one node. Revocations are kept until the token would have expired."""

    def __init__(
        self, folder: Path, keys: SigningKeys, *, issuer: str, life: timedelta, random: Callable[[int], bytes]
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._issuer = issuer
        self._life = life
        self._random = random
        self._verified: dict[str, Claims] = {}
        self._revoked: dict[str, int] | None = None

    def issue(self, client: Client, scopes: list[str], now: datetime) -> tuple[str, Claims]:
        """A signed token for a client."""
        import jwt  # noqa: PLC0415

        kid, key = self._keys.signer(now)
        issued = int(now.timestamp())
        claims = Claims(
            iss=self._issuer,
            sub=client.id,
            aud=AUDIENCE,
            iat=issued,
            exp=issued + int(self._life.total_seconds()),
            jti=self._random(16).hex(),
            client_id=client.id,
            scope=" ".join(scopes),
            tenant=client.tenant,
            role=client.role,
            gen=client.generation,
        )
        headers = {"kid": kid, "typ": TYPE}
        return jwt.encode(msgspec.structs.asdict(claims), key, algorithm="ES256", headers=headers), claims

    def verify(self, token: str, now: datetime) -> Claims:
        """What a token says. `UnauthorizedError` where it is not ours, expired or revoked."""
        key = digest(token)
        claims = self._verified.get(key)
        if claims is None:
            claims = self._decode(token)
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[key] = claims
        if claims.exp <= now.timestamp():
            self._verified.pop(key, None)
            raise UnauthorizedError("cannot accept this token: it has expired", suggestion=HINT)
        if claims.jti in self._ended():
            raise UnauthorizedError("cannot accept this token: it was revoked", suggestion=HINT)
        return claims

    def _decode(self, token: str) -> Claims:
        import jwt  # noqa: PLC0415

        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.verifier(str(header.get("kid", "")))
            if key is None or header.get("typ") != TYPE:
                raise UnauthorizedError("cannot accept this token: no key of this node signed it", suggestion=HINT)
            said: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=self._issuer,
                # The times are compared with the node's own clock, by `verify`.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "jti"]},
            )
            return msgspec.convert(said, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, RecursionError) as error:
            raise UnauthorizedError("cannot accept this token: it is not valid", suggestion=HINT) from error

    def revoke(self, claims: Claims, now: datetime) -> None:
        """End a token before its time, durably."""
        kept = {jti: exp for jti, exp in self._ended().items() if exp > now.timestamp()} | {claims.jti: claims.exp}
        private_folder(self._folder)
        write_private(self._folder / "revoked.json", msgspec.json.encode(kept))
        self._revoked = kept

    def _ended(self) -> dict[str, int]:
        if self._revoked is None:
            file = self._folder / "revoked.json"
            try:
                self._revoked = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
            except FileNotFoundError:
                self._revoked = {}
            except (OSError, msgspec.DecodeError) as error:
                raise UnavailableError(
                    f"cannot read the revoked tokens in {file}: {error}",
                    suggestion="rotate the secrets of the clients, then remove the file",
                ) from error
        return self._revoked
