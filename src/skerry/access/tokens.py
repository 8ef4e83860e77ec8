"""Bearer tokens: random, stored as a hash, compared in constant time.

A token has 256 random bits, so one round of SHA-256 is as hard to turn back as the token is to guess.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from skerry.access.files import private_folder, write_private
from skerry.access.roles import Principal
from skerry.errors import UnauthorizedError, UnavailableError

PREFIX = "sk_"
"""Marks a token, so that scanners for leaked secrets can find one."""

HINT = "give a token: `Authorization: Bearer …`; on the node's own machine the CLI finds it by itself"


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as kept: SHA-256 of the clear token, lower-case hex."""

    sha256: str
    name: str = "admin"
    tenant: str = "default"
    role: str = "admin"


class Tokens:
    """Knows the valid tokens and says whose they are."""

    def __init__(self, known: Sequence[StoredToken]) -> None:
        self._known = tuple(known)

    def check(self, authorization: str) -> Principal:
        """The caller of an `Authorization` header. `UnauthorizedError` if it is none of ours."""
        scheme, _, token = authorization.strip().partition(" ")
        if not authorization.strip():
            raise UnauthorizedError("cannot tell who you are: the request has no token", suggestion=HINT)
        if scheme.lower() != "bearer":
            raise UnauthorizedError("cannot use this authorization: it is no bearer token", suggestion=HINT)
        given = digest(token.strip())
        # Every known token is compared, so that the time tells nothing about which one was near.
        matches = [stored for stored in self._known if hmac.compare_digest(stored.sha256, given)]
        if not matches:
            raise UnauthorizedError("cannot accept this token: it is unknown or was replaced", suggestion=HINT)
        found = matches[0]
        return Principal(name=found.name, tenant=found.tenant, role=found.role)


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def ensure_tokens(folder: Path, random: Callable[[int], bytes]) -> Tokens:
    """The tokens of `folder`; at the first start makes the administrator's and leaves it clear in `admin.token` (0600)."""
    private_folder(folder)
    store = folder / "tokens.json"
    if not store.exists():
        token = PREFIX + random(32).hex()
        write_private(folder / "admin.token", token.encode() + b"\n")
        write_private(store, msgspec.json.encode([StoredToken(sha256=digest(token))]))
    try:
        return Tokens(msgspec.json.decode(store.read_bytes(), type=list[StoredToken]))
    except msgspec.DecodeError as error:
        raise UnavailableError(
            f"cannot read the tokens in {store}: {error}",
            suggestion="remove the file; the next start makes a new token",
        ) from error
