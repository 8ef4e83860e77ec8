"""The reference page of VIM drivers: which there are, what each can do, its settings."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import msgspec

from skerry.vim import cabling
from skerry.vim import driver as contract
from skerry.vim.catalogue import abilities, driver_types, load
from tools.pages import code, page, paragraph, prose, table

INTRODUCTION = """\
A driver makes one kind of infrastructure usable. All do everything of the contract (`skerry.vim.driver.Driver`): images,
networks, compute resources with addresses, limits, files and environment. What not every infrastructure can do is an ability
of its own. One [conformance suite](../how-to/add-a-driver.md) runs over every driver in the folder.
"""
ABILITIES = ("cabled", "events", "exec", "logs", "resize", "snapshots", "stats", "strangers", "taps", "written")


def drivers() -> str:
    """The page."""
    own = [type_ for type_, module in driver_types().items() if module.startswith("skerry.")]
    matrix = [
        (f"[{code(type_)}](#{type_.lower()})", *("yes" if one in abilities(load(type_)) else "no" for one in ABILITIES))
        for type_ in own
    ]
    meaning = [(code(one), prose(getattr(_home(one), one.capitalize()).__doc__)) for one in ABILITIES]
    return page(
        "VIM drivers",
        INTRODUCTION,
        table(("Type", *ABILITIES), matrix),
        "## Abilities",
        table(("Ability", "What it does"), meaning),
        *(part for type_ in own for part in _driver(type_)),
    )


def _home(ability: str) -> ModuleType:
    return cabling if ability == "cabled" else contract


def _driver(type_: str) -> list[str]:
    found = load(type_)
    text = inspect.getmodule(found)
    settings = found.settings_type
    rows = [_setting(field) for field in msgspec.structs.fields(settings)]
    return [
        f"## {type_}",
        paragraph(text.__doc__ if text else ""),
        f"{prose(inspect.getdoc(settings))}",
        table(("Setting", "Type", "Default"), rows),
    ]


def _setting(field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    given = "" if default is msgspec.NODEFAULT else msgspec.json.encode(default).decode()
    kind = field.type.__name__ if type(field.type) is type else str(field.type)
    return code(field.name), code(re.sub(r"\b(collections\.abc|typing)\.", "", kind)), code(given)
