"""Finds the resource of a path among several hundred without trying them one after the other.

Starlette matches its routes in their order, a regular expression each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Match, Route

FOUND = "skerry.route"


class Apis(BaseRoute):
    """The routes of all APIs, found by the first two segments of their paths, such as `/vnflcm/v2`, and there by their
    number of segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        self._by_length: dict[tuple[str, int], list[Route]] = {}
        self._of_any_length: dict[str, list[Route]] = {}
        for route in self.routes:
            root = root_of(route.path).partition("/{")[0]
            if ":path}" in route.path:
                self._of_any_length.setdefault(root, []).append(route)
            else:
                self._by_length.setdefault((root, route.path.count("/")), []).append(route)

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """Whether the path is one of these."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path: str = scope["path"]
        root = root_of(path)
        for beginning in (root, root[: root.rfind("/")]):  # the second segment of a few is variable
            for routes in (
                self._by_length.get((beginning, path.count("/")), ()),
                self._of_any_length.get(beginning, ()),
            ):
                for route in routes:
                    match, found = route.matches(scope)
                    if match is not Match.NONE:
                        return match, {**found, FOUND: route}
        return Match.NONE, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve what was found."""
        await scope[FOUND].handle(scope, receive, send)


def root_of(path: str) -> str:
    """The first two segments of a path."""
    second = path.find("/", path.find("/", 1) + 1)
    return path if second < 0 else path[:second]
