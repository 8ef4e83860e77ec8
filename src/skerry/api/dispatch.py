"""Finds the resource of a path among several hundred without trying them one after the other.

Starlette matches its routes in their order, a regular expression each. Here the routes of an API lie behind its root, and
there by their number of segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Match, Route

FOUND = "skerry.route"


class Below(BaseRoute):
    """The routes whose paths begin with a root, such as `/vnflcm/v2`."""

    def __init__(self, root: str, routes: Iterable[Route]) -> None:
        self.root = root
        self.routes = list(routes)
        self._by_length: dict[int, list[Route]] = {}
        self._of_any_length: list[Route] = []
        for route in self.routes:
            if ":path}" in route.path:
                self._of_any_length.append(route)
            else:
                self._by_length.setdefault(route.path.count("/"), []).append(route)

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """Whether the path is one of these."""
        path: str = scope["path"]
        if scope["type"] != "http" or not path.startswith(self.root):
            return Match.NONE, {}
        for routes in (self._by_length.get(path.count("/"), ()), self._of_any_length):
            for route in routes:
                match, found = route.matches(scope)
                if match is not Match.NONE:
                    return match, {**found, FOUND: route}
        return Match.NONE, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve what was found."""
        await scope[FOUND].handle(scope, receive, send)


def grouped(routes: Iterable[Route]) -> list[BaseRoute]:
    """Routes behind the roots of their APIs: the first two segments of their paths, as far as they are fixed."""
    roots: dict[str, list[Route]] = {}
    for route in routes:
        root = "/".join(route.path.split("/")[:3])
        roots.setdefault(root.partition("{")[0], []).append(route)
    # Of `/vnflcm/v2` and `/vnflcm`, the longer one is looked at first.
    return [Below(root, roots[root]) for root in sorted(roots, reverse=True)]
