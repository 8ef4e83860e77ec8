"""What others made on the same Engine: containers and networks that do not carry this node's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from skerry.vim.docker import shape
from skerry.vim.docker.engine import Engine
from skerry.vim.driver import Stranger

BUILT_IN = frozenset({"bridge", "host", "none", "ingress", "docker_gwbridge"})
"""Networks that every Engine has."""


async def find(engine: Engine, node: str) -> Sequence[Stranger]:
    """All strangers, by kind and name."""
    containers = await engine.get("/containers/json", all=True)
    networks = await engine.get("/networks")
    found = [
        Stranger(
            kind="compute",
            name=str((one.get("Names") or [one["Id"]])[0]).lstrip("/"),
            id=one["Id"],
            node=_node(one),
            state=one.get("State", ""),
        )
        for one in containers
        if _node(one) != node
    ]
    found += [
        Stranger(kind="network", name=one["Name"], id=one["Id"], node=_node(one))
        for one in networks
        if _node(one) != node and one["Name"] not in BUILT_IN
    ]
    return sorted(found, key=lambda one: (one.kind, one.name))


def _node(one: Mapping[str, Any]) -> str:
    return str((one.get("Labels") or {}).get(shape.NODE, ""))


async def delete(engine: Engine, stranger: Stranger) -> None:
    """Remove it. The volumes of a container stay: they may hold what its owner wants back."""
    id = quote(stranger.id, safe="")
    if stranger.kind == "compute":
        await engine.delete(f"/containers/{id}", force=True)
    else:
        await engine.delete(f"/networks/{id}")
