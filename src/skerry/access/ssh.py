"""Keys that open instances by SSH: read, made, told apart. `cryptography` is imported only when one is made."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

from skerry.errors import InvalidError

TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
LONGEST = 16 << 10


class PublicKey(NamedTuple):
    """A public key: its line for authorized_keys (type, base64, comment), its type, its fingerprint as OpenSSH shows it."""

    line: str
    type: str
    fingerprint: str


def read(text: str) -> PublicKey:
    """A public key as a file of OpenSSH has it. `InvalidError` for anything else: options before it would be obeyed by
    servers, so they are refused too."""
    line = text.strip()
    if len(line) > LONGEST or any(not char.isprintable() for char in line):
        raise _unusable("it is not one line")
    kind, _, rest = line.partition(" ")
    if line.startswith("-----BEGIN"):
        raise _unusable("it is a private key; keep that to yourself")
    if kind not in TYPES:
        raise _unusable(f"it does not begin with a type of key: {', '.join(TYPES)}")
    encoded, _, comment = rest.strip().partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _unusable("what follows the type is not base64") from error
    if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != kind.encode() or len(blob) < 4 + len(kind) + 32:
        raise _unusable("its content is not of its type")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(
        line=" ".join(part for part in (kind, encoded, comment.strip()) if part),
        type=kind,
        fingerprint=f"SHA256:{digest}",
    )


def generate(secret: bytes, comment: str) -> tuple[str, PublicKey]:
    """An Ed25519 key pair from 32 random bytes: the private key as a file of OpenSSH, and the public one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.from_private_bytes(secret)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, read(f"{public} {comment}")


def _unusable(why: str) -> InvalidError:
    return InvalidError(
        f"cannot use the public key: {why}", suggestion="give the content of a .pub file, such as ~/.ssh/id_ed25519.pub"
    )
