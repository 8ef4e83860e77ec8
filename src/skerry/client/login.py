"""Access tokens for the command line: fetched with client credentials, kept in a private file until they expire."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.client.http import Http
from skerry.client.profile import Profile, config_file
from skerry.errors import InvalidError, UnauthorizedError

SPARE_S = 30.0
"""A token that ends this soon is not used any more."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A token as kept: for which endpoint and credentials, until when (seconds of Unix time)."""

    of: str
    token: str
    until: float


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the token endpoint."""

    access_token: str
    expires_in: int
    scope: str = ""


def with_token(profile: Profile, env: Mapping[str, str]) -> Profile:
    """The profile with an access token where it has client credentials and no token of its own."""
    if profile.token or not profile.client_id:
        return profile
    file = token_file(env)
    kept = _read(file)
    if kept is None or kept.of != _of(profile) or kept.until - SPARE_S < time.time():
        kept = fetch(profile)
        write(file, msgspec.json.encode(kept))
    return msgspec.structs.replace(profile, token=kept.token)


def fetch(profile: Profile) -> Kept:
    """A new token from the node (RFC 6749 4.4). `UnauthorizedError` for wrong credentials."""
    http = Http(profile)
    form = {
        "grant_type": "client_credentials",
        "client_id": profile.client_id,
        "client_secret": profile.client_secret,
    }
    try:
        answer = http.send("POST", "/oauth2/token", data=form)
    except UnauthorizedError as error:
        raise UnauthorizedError(
            f"cannot log in as {profile.client_id}: the id is unknown or the secret is wrong",
            suggestion="`skerry config login` with the id and secret of a client",
        ) from error
    finally:
        http.close()
    granted = msgspec.json.decode(answer.content, type=Granted)
    return Kept(of=_of(profile), token=granted.access_token, until=time.time() + granted.expires_in)


def token_file(env: Mapping[str, str]) -> Path:
    """Where the token is kept, beside the user's own file."""
    return config_file(env).with_name("token.json")


def forget(env: Mapping[str, str]) -> None:
    """Remove what is kept."""
    token_file(env).unlink(missing_ok=True)


def end(profile: Profile, env: Mapping[str, str]) -> None:
    """Revoke what is kept (RFC 7009), then forget it."""
    kept = _read(token_file(env))
    if kept is not None and profile.client_id:
        http = Http(profile)
        form = {"token": kept.token, "client_id": profile.client_id, "client_secret": profile.client_secret}
        try:
            http.send("POST", "/oauth2/revoke", data=form)
        finally:
            http.close()
    forget(env)


def write(file: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone."""
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise InvalidError(f"cannot write {file}: {error.strerror}", suggestion="make the folder writable") from error
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    draft.replace(file)


def _read(file: Path) -> Kept | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return None


def _of(profile: Profile) -> str:
    """What tells these credentials from others, without holding them."""
    return hashlib.sha256("\n".join((profile.endpoint, profile.client_id, profile.client_secret)).encode()).hexdigest()
