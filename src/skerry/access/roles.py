"""Roles, scopes and what they allow. Pure.

A scope is `API:vMAJOR:all` or `API:vMAJOR:readonly`, such as `vnflcm:v2:readonly`. What a caller may do is what its role
and its scopes both allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

NODE_TENANT = "default"
"""The tenant of whoever runs the node; its administrators alone see to what all tenants share."""


class Role(StrEnum):
    """What a caller is in its tenant."""

    ADMIN = "admin"
    OPERATOR = "operator"
    GUEST = "guest"


class Right(StrEnum):
    """What an endpoint needs of its caller."""

    READ = "read"
    CHANGE = "change"
    ADMINISTER = "administer"  # the clients of the caller's tenant
    NODE = "node"  # what all tenants share


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: a name for the records, the tenant whose resources it sees, its role, its scopes (None: all that the role
    allows), and the client it is (empty for a token of the node itself, which has no rate limit)."""

    name: str
    tenant: str = NODE_TENANT
    role: str = Role.ADMIN
    scopes: frozenset[str] | None = None
    client: str = ""


OF_ROLE = {
    Role.ADMIN: frozenset(Right),
    Role.OPERATOR: frozenset({Right.READ, Right.CHANGE}),
    Role.GUEST: frozenset({Right.READ}),
}


def role_allows(principal: Principal, right: Right) -> bool:
    """Whether the role is enough. What all tenants share is for the node's own administrators."""
    if right is Right.NODE and principal.tenant != NODE_TENANT:
        return False
    return principal.role in OF_ROLE and right in OF_ROLE[Role(principal.role)]


def scope_for(api: str, right: Right) -> str:
    """The least scope that a right needs; `api` as `vnflcm:v2`."""
    return f"{api}:readonly" if right is Right.READ else f"{api}:all"


def scopes_allow(scopes: frozenset[str] | None, api: str, right: Right) -> bool:
    """Whether the scopes are enough; `all` includes `readonly`."""
    return scopes is None or f"{api}:all" in scopes or (right is Right.READ and f"{api}:readonly" in scopes)


def scopes_of(role: str, apis: Iterable[str]) -> list[str]:
    """Every scope that a role may have; `apis` as `vnflcm:v2`."""
    endings = ("readonly",) if role == Role.GUEST else ("all", "readonly")
    return [f"{api}:{ending}" for api in apis for ending in endings]


def covered(scope: str, by: Iterable[str]) -> bool:
    """Whether some of these scopes include this one."""
    held = set(by)
    return scope in held or (scope.endswith(":readonly") and scope.removesuffix("readonly") + "all" in held)


def standard(scopes: Sequence[str]) -> list[str]:
    """Scopes without those that others include, in a fixed order."""
    return sorted({one for one in scopes if not (one.endswith(":readonly") and one[:-8] + "all" in scopes)})
