"""Requests of our own API. Its answers are `skerry.client.views`; names in snake_case are the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of our own requests: unknown attributes are refused with the nearest known name."""


class VimRequest(Asked, frozen=True, kw_only=True):
    """An infrastructure to register. `settings` are the driver's own."""

    id: str
    vim_type: str
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""


class VimReplacement(Asked, frozen=True, kw_only=True):
    """What an infrastructure is from now on. Its type stays."""

    vim_type: str = ""
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""


class VimChange(Asked, frozen=True, kw_only=True):
    """What to change of an infrastructure."""

    name: str | None = None
    settings: Mapping[str, Any] | None = None
    zone: str | None = None


class VimIds(Asked, frozen=True, kw_only=True):
    """Several infrastructures."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000)]


ImageName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$")]
Tenant = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class VimImageRequest(Asked, frozen=True, kw_only=True):
    """An image to make available on an infrastructure. `source` is `host:PROGRAM`, `docker://REPOSITORY:TAG`, `vim:NAME` (it
    is there), `image:NAME` (of the node's repository) or an http(s) address."""

    name: ImageName
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class ImageRequest(Asked, frozen=True, kw_only=True):
    """An image for the repository. `checksum` is the SHA-256 that its content must have; empty: any will do."""

    name: ImageName
    description: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    checksum: str = ""


class FetchRequest(Asked, frozen=True, kw_only=True):
    """Where a content is, and the credentials that are needed there."""

    uri: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    user_name: str = ""
    password: str = ""


class KeyName(Asked, frozen=True, kw_only=True):
    """A key to make."""

    name: Name


class KeyRequest(Asked, frozen=True, kw_only=True):
    """A public key to import, as in a .pub file of OpenSSH."""

    name: Name
    public_key: str


class PlanRequest(Asked, frozen=True, kw_only=True):
    """An operation to plan without doing it: kind as `ns.scale`, the instance, the body of the ETSI request."""

    kind: Literal[
        "vnf.instantiate",
        "vnf.scale",
        "vnf.scale_to_level",
        "vnf.operate",
        "vnf.heal",
        "vnf.migrate",
        "vnf.terminate",
        "vnf.modify",
        "vnf.change_flavour",
        "vnf.change_package",
        "vnf.change_ext_conn",
        "vnf.create_snapshot",
        "vnf.revert_to_snapshot",
        "ns.instantiate",
        "ns.scale",
        "ns.heal",
        "ns.update",
        "ns.terminate",
        "app.instantiate",
        "app.operate",
        "app.terminate",
        "app.configure",
        "app.relocate",
    ]
    subject: str
    params: Mapping[str, Any] = {}


class HostRequest(Asked, frozen=True, kw_only=True):
    """What is known of a MEC host. `latency_ms` is one way from its users; `civic_address` maps caTypes (RFC 4776)."""

    name: str | None = None
    features: Mapping[str, str] | None = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None
    country: str | None = None
    civic_address: Mapping[str, str] | None = None
    orchestrator: Annotated[str, msgspec.Meta(min_length=1)] | None = None


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """The VNF that an orphan was recorded with."""

    vnf: str


class ExecRequest(Asked, frozen=True, kw_only=True):
    """A command to run inside a VNFC; `vnfc` empty means the only one. `stdin` is text."""

    argv: list[str]
    vnfc: str = ""
    stdin: str = ""
