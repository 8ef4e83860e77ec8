"""Checks values against the properties of their TOSCA types (TOSCA 1.3 clauses 3.3, 3.6, 3.7).

Missing mandatory properties, wrong types and violated constraints of a package's own types are errors. What is not
declared at all is a warning, since nothing would be built from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function, text_of
from skerry.packages.topology import Topology
from skerry.packages.types import Types

_MAX_DEPTH = 16
# The standard has a map of strings there; the keys of `skerry.packages.boot` may be lists and maps too.
_LENIENT = {"tosca.datatypes.nfv.BootDataVimSpecificProperties"}
_IDENTITY = ("VNF", "NS", "PNF")


def check_topology(topology: Topology) -> None:
    """Check the properties of all nodes, their capabilities and the policies."""
    for node in topology.nodes.values():
        specs = topology.types.merged("node_types", node.type, "properties")
        if topology.types.definition("node_types", node.type) is not None:
            check_properties(topology.types, node.properties, specs, partial=topology.is_a(node, *_IDENTITY))
            _check_capabilities(topology, node.type, node.here.at("capabilities"))
    for policy in topology.policies:
        if topology.types.definition("policy_types", policy.type) is None:
            policy.here.at("type").warning(
                "unknown-policy",
                f"the policy type {policy.type} is not known and has no effect",
                "import its definition",
            )
        else:
            check_properties(
                topology.types, policy.properties, topology.types.merged("policy_types", policy.type, "properties")
            )


def _check_capabilities(topology: Topology, kind: str, given: Cursor) -> None:
    declared = topology.types.merged("node_types", kind, "capabilities")
    for name, capability in given.entries().items():
        spec = declared.get(name)
        type_name = spec.get("type") if isinstance(spec, dict) else spec
        if name == "virtual_compute" and not isinstance(type_name, str):
            type_name = "tosca.capabilities.nfv.VirtualCompute"
        if isinstance(type_name, str):
            specs = topology.types.merged("capability_types", type_name, "properties")
            check_properties(topology.types, capability.at("properties").resolved(topology.lookup), specs)


def check_properties(
    types: Types, given: Cursor, specs: dict[str, Any], *, partial: bool = False, depth: int = 0
) -> None:
    """Check a map of properties. `partial`: some may be given elsewhere, so that none is missing."""
    if not specs or depth > _MAX_DEPTH or (given.exists and not given.known()):
        return
    entries = given.entries()
    for name, spec in specs.items():
        entry = entries.get(name)
        if isinstance(spec, dict):
            if entry is not None and entry.exists:
                check_value(types, entry, spec, depth + 1)
            elif spec.get("required", True) is True and spec.get("default") is None and not partial:
                given.error("missing-property", f"cannot do without the property {name}", f"add `{name}:` with a value")
    for name in entries.keys() - specs.keys():
        entries[name].warning(
            "unknown-property",
            f"the property {name} is not one of its type and may have no effect",
            "check its spelling, or derive a type that has it",
        )


def check_value(types: Types, value: Cursor, spec: dict[str, Any], depth: int = 0) -> None:
    """Check one value against a property definition."""
    if is_function(value.value) or not value.exists or depth > _MAX_DEPTH:
        return
    kind = spec.get("type") if isinstance(spec.get("type"), str) else "any"
    if kind in ("list", "map"):
        _check_collection(types, value, spec, kind == "list", depth)
    elif kind in _SCALARS:
        if not _SCALARS[kind](value.value):
            value.wrong(_NAMES.get(kind, f"a {kind}"))
            return
    elif isinstance(kind, str):
        _check_data(types, value, kind, depth)
    constraints = spec.get("constraints")
    for constraint in constraints if isinstance(constraints, list) else ():
        if isinstance(constraint, dict) and len(constraint) == 1:
            _check_constraint(value, *next(iter(constraint.items())))


def _check_data(types: Types, value: Cursor, kind: str, depth: int) -> None:
    specs = types.merged("data_types", kind, "properties")
    if not specs or kind in _LENIENT:
        return
    if not isinstance(value.value, dict):
        value.wrong(f"a map as {kind} describes it")
    else:
        check_properties(types, value, specs, depth=depth)


def _check_collection(types: Types, value: Cursor, spec: dict[str, Any], is_list: bool, depth: int) -> None:
    if not isinstance(value.value, list if is_list else dict):
        value.wrong("a list" if is_list else "a map")
        return
    schema = spec.get("entry_schema")
    schema = {"type": schema} if isinstance(schema, str) else schema
    if isinstance(schema, dict):
        for item in value.items() if is_list else value.entries().values():
            check_value(types, item, schema, depth + 1)


def _is_number(value: Any) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    try:
        return isinstance(value, str) and float(value) == float(value)
    except ValueError:
        return False


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or float(value).is_integer())


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _has_unit(value: Any) -> bool:
    return (
        _is_scalar(value) and re.fullmatch(r"\s*[0-9.]+([eE][-+]?[0-9]+)?\s*[A-Za-zµ]*\s*", text_of(value)) is not None
    )


_SCALARS: dict[str, Callable[[Any], bool]] = {
    "string": _is_scalar,
    "integer": _is_integer,
    "float": _is_number,
    "boolean": lambda value: text_of(value).lower() in ("true", "false", "yes", "no") if _is_scalar(value) else False,
    "timestamp": _is_scalar,
    "version": _is_scalar,
    "range": lambda value: isinstance(value, list) and len(value) == 2,
    "scalar-unit.size": _has_unit,
    "scalar-unit.time": _has_unit,
    "scalar-unit.frequency": _has_unit,
    "scalar-unit.bitrate": _has_unit,
    "any": lambda _: True,
}
_NAMES = {
    "integer": "a whole number",
    "boolean": "true or false",
    "scalar-unit.size": "a size such as `512 MiB`",
    "scalar-unit.time": "a time such as `10 s`",
    "range": "a list of two numbers",
}


def _compare(value: Any, bound: Any, test: Callable[[float, float], bool]) -> bool:
    return not (_is_number(value) and _is_number(bound)) or test(float(value), float(bound))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict) else len(text_of(value))


_CONSTRAINTS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": lambda value, bound: text_of(value) == text_of(bound),
    "greater_than": lambda value, bound: _compare(value, bound, lambda a, b: a > b),
    "greater_or_equal": lambda value, bound: _compare(value, bound, lambda a, b: a >= b),
    "less_than": lambda value, bound: _compare(value, bound, lambda a, b: a < b),
    "less_or_equal": lambda value, bound: _compare(value, bound, lambda a, b: a <= b),
    "valid_values": lambda value, bound: (
        not isinstance(bound, list) or text_of(value) in [text_of(item) for item in bound]
    ),
    "min_length": lambda value, bound: _compare(_size(value), bound, lambda a, b: a >= b),
    "max_length": lambda value, bound: _compare(_size(value), bound, lambda a, b: a <= b),
    "length": lambda value, bound: _compare(_size(value), bound, lambda a, b: a == b),
}


def _check_constraint(value: Cursor, name: str, bound: Any) -> None:
    """Patterns are not run: a package's regular expression could take for ever."""
    test = _CONSTRAINTS.get(name)
    if test is None and name == "in_range" and isinstance(bound, list) and len(bound) == 2:
        holds = _compare(value.value, bound[0], lambda a, b: a >= b) and _compare(
            value.value, bound[1], lambda a, b: a <= b
        )
    else:
        holds = test is None or test(value.value, bound)
    if not holds:
        value.error(
            "constraint",
            f"cannot accept {text_of(value.value)[:80]!r}: it must satisfy {name} {text_of(bound)[:120]}",
            "choose another value",
        )
