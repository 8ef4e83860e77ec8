"""Software images that a node keeps itself, and keys that open instances."""

from __future__ import annotations

import enum

import msgspec

from skerry.model.vnf import Record


class ImageState(enum.StrEnum):
    """States of an image of the repository."""

    CREATED = "CREATED"  # named, its content has not come yet
    FETCHING = "FETCHING"
    READY = "READY"
    ERROR = "ERROR"  # `problem` says why; the content may be sent again


class StoredImage(Record, frozen=True, kw_only=True, omit_defaults=True):
    """An image of a node's repository, of one tenant. `name` is what descriptors call it; `checksum` is SHA-256, lower-case
    hex: what was promised until the content is there, and then that of the content."""

    name: str
    description: str = ""
    state: ImageState = ImageState.CREATED
    checksum: str = ""
    size_bytes: int = 0
    problem: str = ""


class KeyPair(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A public key of a tenant, under a name. `public_key` is a line as in authorized_keys (OpenSSH); the private key is kept
    nowhere. `fingerprint` is OpenSSH's: `SHA256:` and base64."""

    name: str
    public_key: str
    key_type: str
    fingerprint: str


class Inventory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an infrastructure had when it was last looked at. `images` are those that instances can use; `found` those that
    others brought there, usable as `vim:NAME`."""

    at: str
    capacity: dict[str, float]
    images: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    networks: int = 0
    instances: int = 0


class OutsideImages(msgspec.Struct, frozen=True, kw_only=True):
    """Which images of VNFCs a VNF snapshot package is to refer to instead of having them (SOL005 11.5.2.6): all, or none, and
    the other way round those of `other`. `root` is the address of the package's artifacts."""

    all: bool = False
    other: tuple[str, ...] = ()
    root: str = ""

    def leaves(self, vnfc: str) -> bool:
        """Whether the image of a VNFC stays outside."""
        return self.all != (vnfc in self.other)
