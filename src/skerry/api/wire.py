"""Data types that several specifications share on the wire (SOL013, SOL003 clause 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of wire types: camelCase names, absent where they have their default. Unknown attributes of requests are
    ignored, as SOL013 wants of a receiver that is older than its peer."""


class Link(Wire, frozen=True, kw_only=True):
    """Link (SOL003 4.4.1.3)."""

    href: str


Links = Mapping[str, Link]
KeyValuePairs = Mapping[str, Any]


class Checksum(Wire, frozen=True, kw_only=True):
    """Checksum (SOL005 9.5.3.2)."""

    algorithm: str
    hash: str


class ResourceHandle(Wire, frozen=True, kw_only=True):
    """ResourceHandle (SOL003 4.4.1.7); `vim_id` is its name in SOL005 6.5.3.56."""

    resource_id: str
    vim_connection_id: str | None = None
    vim_id: str | None = None
    vim_level_resource_type: str | None = None


def links(**targets: str) -> dict[str, Link]:
    """Links by name; those without a target are left out. Underscores at the end keep Python's own words usable."""
    return {name.rstrip("_"): Link(href=href) for name, href in targets.items() if href}
