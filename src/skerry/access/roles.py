"""Roles, scopes and what they allow. Pure.

A scope is `API:vMAJOR:all` or `API:vMAJOR:readonly`, such as `vnflcm:v2:readonly`. What a caller may do is what its role
and its scopes both allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from skerry.errors import InvalidError

NODE_TENANT = "default"
"""The tenant of whoever runs the node; its administrators alone see to what all tenants share."""


class Role(StrEnum):
    """What a caller is in its tenant."""

    ADMIN = "admin"
    OPERATOR = "operator"
    GUEST = "guest"
    ACCOUNT_MANAGER = "account_manager"  # of all tenants but the node's, from which it comes


class RoleName(StrEnum):
    """What a role may be called by who gives it: its own name, or that of operators' platforms."""

    ADMIN = "admin"
    OPERATOR = "operator"
    GUEST = "guest"
    ACCOUNT_MANAGER = "account_manager"
    SYSTEM_ADMIN = "system_admin"
    PROJECT_ADMIN = "project_admin"
    PROJECT_USER = "project_user"


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
    Role.ACCOUNT_MANAGER: frozenset({Right.ADMINISTER}),
}
MANAGED = frozenset({Role.ADMIN, Role.OPERATOR, Role.GUEST})
"""The roles of the clients that an account manager sees to, in tenants other than the node's."""

OF_NODE = frozenset({RoleName.SYSTEM_ADMIN, RoleName.ACCOUNT_MANAGER})
"""The names of roles that there are in the tenant of the node only."""


def role_of(name: RoleName, tenant: str) -> Role:
    """The role of this name in a tenant. `InvalidError` where the tenant has none."""
    if (name in OF_NODE and tenant != NODE_TENANT) or (name is RoleName.PROJECT_ADMIN and tenant == NODE_TENANT):
        raise InvalidError(
            f"cannot make a client of the tenant {tenant} {name}",
            suggestion=f"name the tenant {NODE_TENANT}"
            if name in OF_NODE
            else f"name another tenant than {NODE_TENANT}",
        )
    if name in (RoleName.SYSTEM_ADMIN, RoleName.PROJECT_ADMIN):
        return Role.ADMIN
    return Role.OPERATOR if name is RoleName.PROJECT_USER else Role(name)


def role_allows(principal: Principal, right: Right) -> bool:
    """Whether the role is enough. What all tenants share is for the node's own administrators and account managers."""
    shared = right is Right.NODE or principal.role == Role.ACCOUNT_MANAGER
    if shared and principal.tenant != NODE_TENANT:
        return False
    return principal.role in OF_ROLE and right in OF_ROLE[Role(principal.role)]


def scope_for(api: str, right: Right) -> str:
    """The least scope that a right needs; `api` as `vnflcm:v2`."""
    return f"{api}:readonly" if right is Right.READ else f"{api}:all"


def scopes_allow(scopes: frozenset[str] | None, api: str, right: Right) -> bool:
    """Whether the scopes are enough; `all` includes `readonly`."""
    return scopes is None or f"{api}:all" in scopes or (right is Right.READ and f"{api}:readonly" in scopes)


def scopes_of(role: str, apis: Iterable[str]) -> list[str]:
    """Every scope that a role may have; `apis` as `vnflcm:v2`. Clients are seen to by our own API."""
    if role == Role.ACCOUNT_MANAGER:
        apis = [api for api in apis if api.startswith("skerry:")]
    endings = ("readonly",) if role == Role.GUEST else ("all", "readonly")
    return [f"{api}:{ending}" for api in apis for ending in endings]


def covered(scope: str, by: Iterable[str]) -> bool:
    """Whether some of these scopes include this one."""
    held = set(by)
    return scope in held or (scope.endswith(":readonly") and scope.removesuffix("readonly") + "all" in held)


def standard(scopes: Sequence[str]) -> list[str]:
    """Scopes without those that others include, in a fixed order."""
    return sorted({one for one in scopes if not (one.endswith(":readonly") and one[:-8] + "all" in scopes)})
