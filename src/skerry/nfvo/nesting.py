"""What belongs to a composite NS is not removed behind its back. Pure."""

from __future__ import annotations

from skerry.errors import ConflictError
from skerry.model.ns import NsInstance


def require_alone(ns: NsInstance, verb: str, *, within: str = "") -> None:
    """`ConflictError` names the NSs that this one is nested in, unless it is `within` one's own operation and in no other."""
    others = [user for user in ns.users if user != within]
    if others:
        raise ConflictError(
            f"cannot {verb} NS {ns.id}: it is nested in NS {', '.join(others)}",
            suggestion="take it out there (update that NS with REMOVE_NESTED_NS), or terminate that NS",
        )
