"""What each endpoint needs of its caller: the one table of roles and scopes by route.

Reading needs `API:vN:readonly`, changing `API:vN:all` and the role operator. The exceptions are below.
"""

from __future__ import annotations

from collections.abc import Iterable

from skerry.access.roles import NODE_TENANT, Principal, Right, role_allows, scope_for, scopes_allow
from skerry.api.problem import HttpError
from skerry.errors import ForbiddenError

READING = frozenset({"GET", "HEAD"})

OWN: tuple[tuple[str, str, Right], ...] = (
    ("POST", "/plan", Right.READ),
    ("*", "/access/clients", Right.ADMINISTER),
    ("*", "/access/quotas", Right.NODE),
    ("POST", "/vims", Right.NODE),
    ("DELETE", "/vims", Right.NODE),
    ("PATCH", "/vims", Right.NODE),
    ("PUT", "/vims", Right.NODE),
    ("GET", "/vims/{vimId}/resources", Right.NODE),
    ("GET", "/vims/{vimId}/images", Right.NODE),
    ("PUT", "/hosts", Right.NODE),
    ("DELETE", "/hosts", Right.NODE),
    ("*", "/lvnf-agents", Right.NODE),
    ("GET", "/dataplane", Right.READ),
    ("POST", "/dataplane/trace", Right.READ),
    ("*", "/dataplane/ports/{portId}/next", Right.CHANGE),
    ("*", "/dataplane/devices", Right.NODE),
    ("*", "/dataplane/ports", Right.NODE),
    ("*", "/dataplane/links", Right.NODE),
    ("*", "/dataplane/topology", Right.NODE),
    ("*", "/orphans", Right.NODE),
    ("*", "/backup", Right.NODE),
)
"""Exceptions of our own API: method, beginning of the path, right. What several tenants share is for the node's own
administrators; a plan changes nothing."""

FREE = ("/api_versions", "/access/me")
"""What every caller may read, whatever its role and scopes: which versions of an API there are, and who it is itself."""

NEEDS = {
    Right.READ: "a role",
    Right.CHANGE: "the role operator or admin",
    Right.ADMINISTER: "the role admin or account_manager",
    Right.NODE: f"the role admin in the tenant {NODE_TENANT}",
}


def of(root: str, method: str, path: str) -> Right:
    """The right that an endpoint needs; `root` as `/vnflcm/v2`."""
    if root.startswith("/skerry/"):
        for wanted, beginning, right in OWN:
            below = path == beginning or path.startswith(f"{beginning}/")
            if below and wanted in ("*", "GET" if method == "HEAD" else method):
                return right
    if root == "/mp1/v1" and path.startswith("/notifications/"):
        return Right.CHANGE  # to fetch what waits is to settle what came before
    return Right.READ if method in READING else Right.CHANGE


def name_of(root: str) -> str:
    """The API of a root as scopes name it: `/vnflcm/v2` -> `vnflcm:v2`."""
    return root.strip("/").replace("/", ":")


def check(principal: Principal, root: str, path: str, right: Right) -> None:
    """`ForbiddenError` or its like with the missing scope where the caller may not."""
    if path in FREE:
        return
    if not role_allows(principal, right):
        raise ForbiddenError(
            f"cannot do this as {principal.role or 'nobody'} of the tenant {principal.tenant}",
            suggestion=f"it needs {NEEDS[right]}",
        )
    api = name_of(root)
    if not scopes_allow(principal.scopes, api, right):
        missing = scope_for(api, right)
        raise HttpError(
            403,
            f"cannot do this with the scopes of this token: it needs {missing}",
            suggestion=f"ask for a token with the scope {missing}",
            headers={"WWW-Authenticate": f'Bearer realm="skerry", error="insufficient_scope", scope="{missing}"'},
        )


def names(roots: Iterable[str]) -> tuple[str, ...]:
    """Every API that a scope can be for."""
    return tuple(name_of(root) for root in roots)
