"""The index of TOSCA types: the package's own over the standard's, with inheritance."""

from __future__ import annotations

from typing import Any

from skerry.packages.report import Report
from skerry.packages.standard import standard_types
from skerry.packages.yaml_nodes import plain

SECTIONS = (
    "node_types",
    "data_types",
    "policy_types",
    "capability_types",
    "artifact_types",
    "group_types",
    "interface_types",
)
_MAX_ANCESTORS = 32


class Types:
    """Definitions by section and name. `own` are those that the package brings."""

    def __init__(self, own: dict[str, dict[str, Any]]) -> None:
        self.own = own
        self._standard = standard_types()
        self._properties: dict[tuple[str, str], dict[str, Any]] = {}

    def definition(self, section: str, name: str) -> dict[str, Any] | None:
        """The definition of a type, or None."""
        found = self.own.get(section, {}).get(name)
        if found is None:
            found = self._standard.get(section, {}).get(name)
        return found if found is None or isinstance(found, dict) else {}

    def ancestors(self, section: str, name: str) -> list[str]:
        """The type itself and what it derives from, nearest first; stops at unknown types and circles."""
        chain: list[str] = []
        while isinstance(name, str) and name not in chain and len(chain) < _MAX_ANCESTORS:
            definition = self.definition(section, name)
            chain.append(name)
            if definition is None:
                break
            name = definition.get("derived_from") or ""
            if not name:
                break
        return chain

    def is_a(self, section: str, name: str, base: str) -> bool:
        """Whether a type is `base` or derives from it."""
        return base in self.ancestors(section, name)

    def merged(self, section: str, name: str, part: str) -> dict[str, Any]:
        """A part such as `properties` or `metadata` of a type with what it inherits; the nearest definition of a name wins."""
        key = (f"{section}/{part}", name)
        if key not in self._properties:
            found: dict[str, Any] = {}
            for ancestor in reversed(self.ancestors(section, name)):
                entries = (self.definition(section, ancestor) or {}).get(part)
                if isinstance(entries, dict):
                    found |= entries
            self._properties[key] = found
        return self._properties[key]

    def layers(self, section: str, name: str, part: str) -> list[dict[str, Any]]:
        """The same part of each ancestor, farthest first, unmerged."""
        found = [
            (self.definition(section, ancestor) or {}).get(part) for ancestor in reversed(self.ancestors(section, name))
        ]
        return [entries for entries in found if isinstance(entries, dict)]


def collect_types(files: dict[str, dict[str, Any]], report: Report) -> dict[str, dict[str, Any]]:
    """The types of all files, without their places. Two different types of one name are a fault, if not the standard's own."""
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for file, document in files.items():
        for section in SECTIONS:
            entries = document.get(section)
            if entries is None:
                continue
            if not isinstance(entries, dict):
                report.error(
                    "not-a-map",
                    f"cannot read `{section}`: it is no map",
                    file=file,
                    path=(section,),
                    fix="write a map of names",
                )
                continue
            _collect_section(found[section], section, file, entries, report)
    return found


def _collect_section(found: dict[str, Any], section: str, file: str, entries: dict[str, Any], report: Report) -> None:
    for name, raw in entries.items():
        definition = plain(raw) if isinstance(raw, dict) else {}
        if raw is not None and not isinstance(raw, dict):
            report.error(
                "not-a-map",
                f"cannot read the type {name}: it is no map",
                file=file,
                path=(section, name),
                fix="write a type definition",
            )
        if found.setdefault(name, definition) != definition:
            if name.startswith("tosca."):
                report.warning(
                    "type-redefined",
                    f"{name} is defined again, differently",
                    file=file,
                    path=(section, name),
                    fix="keep one definition",
                )
            else:
                report.error(
                    "type-redefined",
                    f"cannot define {name} twice, differently",
                    file=file,
                    path=(section, name),
                    fix="keep one definition",
                )


def used_types(own: dict[str, dict[str, Any]], templates: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those of the package's types that the templates reach, so that what is kept of a package stays small."""
    known = {name: (section, definition) for section, entries in own.items() for name, definition in entries.items()}
    found: dict[str, dict[str, Any]] = {}
    todo: list[Any] = list(templates)
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, str) and value in known:
            section, definition = known.pop(value)
            found.setdefault(section, {})[value] = definition
            todo.append(definition)
    return found
