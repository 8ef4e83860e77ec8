"""The keys that sign access tokens: EC P-256, made when first needed, replaced in time, kept private.

A replaced key verifies for as long as a token that it signed may live. `cryptography` is imported only when a key is made
or used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from skerry.access.files import private_folder, write_private
from skerry.errors import UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

LEEWAY = timedelta(minutes=1)


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as kept: its name in tokens, its PEM, when it was made."""

    kid: str
    pem: str
    made_at: datetime


def current(
    keys: Sequence[StoredKey], now: datetime, *, every: timedelta, life: timedelta, make: Callable[[], StoredKey]
) -> tuple[StoredKey, ...]:
    """The keys to go on with, newest first: a new one when the newest is older than `every`, none that no valid token (of at
    most `life`) can be signed with. Pure but for `make`."""
    kept = tuple(key for key in keys if now - key.made_at <= every + life + LEEWAY)
    if not kept or now - kept[0].made_at > every:
        return (make(), *kept)
    return kept


class SigningKeys:
    """The keys of a node, in one private file."""

    def __init__(self, folder: Path, *, every: timedelta, life: timedelta, random: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._every = every
        self._life = life
        self._random = random
        self._kept: tuple[StoredKey, ...] | None = None
        self._loaded: dict[str, ec.EllipticCurvePrivateKey] = {}

    @property
    def _file(self) -> Path:
        return self._folder / "signing.json"

    def _keys(self) -> tuple[StoredKey, ...]:
        if self._kept is None:
            try:
                self._kept = msgspec.json.decode(self._file.read_bytes(), type=tuple[StoredKey, ...])
            except FileNotFoundError:
                self._kept = ()
            except (OSError, msgspec.DecodeError) as error:
                raise UnavailableError(
                    f"cannot read the signing keys in {self._file}: {error}",
                    suggestion="remove the file; a new key is made and every access token ends",
                ) from error
        return self._kept

    def _fresh(self, now: datetime) -> tuple[StoredKey, ...]:
        old = self._keys()
        new = current(old, now, every=self._every, life=self._life, make=lambda: self._make(now))
        if new != old:
            private_folder(self._folder)
            write_private(self._file, msgspec.json.encode(new))
            self._kept = new
        return new

    def _make(self, now: datetime) -> StoredKey:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return StoredKey(kid=self._random(8).hex(), pem=pem.decode(), made_at=now)

    def _load(self, key: StoredKey) -> ec.EllipticCurvePrivateKey:
        if key.kid not in self._loaded:
            from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
            from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

            loaded = load_pem_private_key(key.pem.encode(), None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)  # noqa: S101  # we wrote it
            self._loaded[key.kid] = loaded
        return self._loaded[key.kid]

    def signer(self, now: datetime) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """The name and key to sign with."""
        newest = self._fresh(now)[0]
        return newest.kid, self._load(newest)

    def verifier(self, kid: str) -> ec.EllipticCurvePublicKey | None:
        """The public key of a name, None if there is none (any more)."""
        found = next((key for key in self._keys() if key.kid == kid), None)
        return self._load(found).public_key() if found else None

    def jwks(self, now: datetime) -> Mapping[str, Any]:
        """The public keys as a JSON Web Key Set (RFC 7517)."""
        from jwt.algorithms import ECAlgorithm  # noqa: PLC0415

        return {
            "keys": [
                {
                    **ECAlgorithm.to_jwk(self._load(key).public_key(), as_dict=True),
                    "kid": key.kid,
                    "use": "sig",
                    "alg": "ES256",
                }
                for key in self._fresh(now)
            ]
        }
