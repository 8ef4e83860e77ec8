"""Completion in shells: names and ids of what a node has, asked when a word is completed."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from skerry.cli.output import short
from skerry.client.node import NodeClient
from skerry.client.profile import Profile, find
from skerry.errors import SkerryError

PATIENCE_S = 3.0
"""So long a shell waits for the node."""
WORD = re.compile(r"[\w.@+-]+")
"""What every shell takes for one word. Names with anything else (`:` ends words in bash) are completed by their ids."""


class Offer(NamedTuple):
    """Something that a word may mean."""

    id: str
    name: str = ""
    about: str = ""


def _named(found: Iterable[Any], about: str = "") -> list[Offer]:
    return [Offer(one.id, one.name, str(getattr(one, about, ""))) for one in found]


def _packages(*kinds: str) -> Callable[[NodeClient], list[Offer]]:
    return lambda node: [
        Offer(one.id, one.name, one.version) for one in node.packages() if not kinds or one.kind in kinds
    ]


def _instances(node: NodeClient) -> list[Offer]:
    return [*_named(node.nss(), "status"), *_named(node.vnfs(), "status"), *_named(node.apps(), "status")]


def _operations(node: NodeClient) -> list[Offer]:
    return [Offer(one.id, about=f"{one.kind} {one.state}") for one in node.operations()]


def _clients(node: NodeClient) -> list[Offer]:
    from skerry.client.access import AccessClient  # noqa: PLC0415  # only what is asked for

    return _named(AccessClient(node.http).all(), "role")


def _functions(node: NodeClient) -> list[Offer]:
    from skerry.client.lvnf import LvnfClient  # noqa: PLC0415

    return [Offer(one.id, one.id, one.state) for one in LvnfClient(node.http).all()]


def _agents(node: NodeClient) -> list[Offer]:
    from skerry.client.lvnf_agents import LvnfAgentsClient  # noqa: PLC0415

    return [Offer(one.id, one.id, one.state) for one in LvnfAgentsClient(node.http).agents()]


def _jobs(node: NodeClient) -> list[Offer]:
    from skerry.client.measuring import Measuring  # noqa: PLC0415

    return [Offer(one.id, about=one.name) for one in Measuring(node.http).jobs()]


def _images(node: NodeClient) -> list[Offer]:
    from skerry.client.stores import Stores  # noqa: PLC0415

    return _named(Stores(node.http).images(), "state")


def _keys(node: NodeClient) -> list[Offer]:
    from skerry.client.stores import Stores  # noqa: PLC0415

    return _named(Stores(node.http).keys(), "fingerprint")


LISTS: Mapping[str, Callable[[NodeClient], list[Offer]]] = {
    "agent": _agents,
    "app": lambda node: _named(node.apps(), "status"),
    "client": _clients,
    "function": _functions,
    "host": lambda node: [Offer(one.id, one.id) for one in node.hosts()],
    "image": _images,
    "job": _jobs,
    "key": _keys,
    "ns": lambda node: _named(node.nss(), "status"),
    "nsd": _packages("ns"),
    "object": lambda node: [*_named(node.vnfs(), "status"), *_named(node.nss(), "status")],
    "operation": _operations,
    "package": _packages(),
    "snapshot": lambda node: _named(node.snapshots(), "state"),
    "subject": _instances,
    "vim": lambda node: [Offer(one.id, one.id, one.vim_type) for one in node.vims()],
    "vnf": lambda node: _named(node.vnfs(), "status"),
}
"""How a parameter is called (one or several) -> what it may be."""

PACKAGES_OF = {"vnf": _packages("vnf"), "app": _packages("app")}
"""The group of a command -> the packages that it takes."""


def offers(ctx: click.Context, of: str, incomplete: str) -> list[CompletionItem]:
    """Names that begin so; of an id what tables show of it. Nothing where no node answers."""
    group = ctx.parent.info_name if ctx.parent and of == "package" else None
    listed = PACKAGES_OF.get(group or "", LISTS[of])
    try:
        node = NodeClient(_profile(ctx), timeout_s=PATIENCE_S)
        try:
            return [CompletionItem(word, help=about) for word, about in _words(listed(node), incomplete)]
        finally:
            node.close()
    except SkerryError:
        return []


def _profile(ctx: click.Context) -> Profile:
    from skerry.client.login import with_token  # noqa: PLC0415

    given = ctx.find_root().params
    chosen = find(os.environ, Profile(**{key: given.get(key) or "" for key in ("endpoint", "token_file", "ca")}))
    return with_token(chosen, os.environ)


def _words(found: list[Offer], incomplete: str) -> Iterable[tuple[str, str]]:
    names = Counter(one.name for one in found)
    for one in found:
        if names[one.name] == 1 and WORD.fullmatch(one.name) and one.name.startswith(incomplete):
            yield one.name, one.about
        elif one.id.startswith(incomplete) and (incomplete or names[one.name] > 1 or not WORD.fullmatch(one.name)):
            yield (short(one.id) if len(incomplete) <= len(short(one.id)) else one.id), one.name or one.about
