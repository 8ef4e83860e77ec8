"""Every attribute that the official files give to a request is obeyed or refused: none is dropped in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from skerry.api.sol003 import granting
from skerry.api.sol003 import types as sol003
from skerry.api.sol003 import unserved as of_vnf
from skerry.api.sol003.vnf_instances import TASKS as VNF_TASKS
from skerry.api.sol003.vnf_instances import VERBS
from skerry.api.sol005 import types as sol005
from skerry.api.sol005 import unserved as of_ns
from skerry.api.sol005.ns_instances import TASKS as NS_TASKS
from tests.etsi.judge import HOME, SOL003, SOL005

FILES = {
    "vnf": f"{SOL003}/VNFLifecycleManagement/VNFLifecycleManagement.json",
    "grant": f"{SOL003}/VNFLifecycleOperationGranting/VNFLifecycleOperationGranting.json",
    "ns": f"{SOL005}/NSLifecycleManagement/NSLifecycleManagement.json",
}
OTHER_UPDATES = {
    "moveVnfInstanceData": "MOVE_VNF",
    "modifyWanConnectionInfoData": "MODIFY_WAN_CONNECTION_INFO",
    "addNsVirtualLinkData": "CREATE_NS_VIRTUAL_LINK",
    "deleteNsVirtualLinkId": "DELETE_NS_VIRTUAL_LINK",
}
"""Attribute -> the update that needs it. With an update that is not served, and with any other, they are refused."""

OWN = {("instantiate", "addPnfData")}
"""Attributes under a name that only we take as well."""

CASES = [
    *(("vnf", VERBS.get(name, name), kind) for name, kind in VNF_TASKS.items()),
    *(("ns", name, kind) for name, kind in NS_TASKS.items()),
    ("vnf", "create", sol003.CreateVnfRequest),
    ("grant", "ask", granting.GrantRequest),
    ("ns", "create", sol005.CreateNsRequest),
]


@cache
def schemas(side: str) -> dict[str, Any]:
    """The schemas of an official file."""
    found: dict[str, Any] = json.loads((HOME / FILES[side]).read_text())["components"]["schemas"]
    return found


def attributes(side: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a type, those of its entries where it is a list or map."""
    if "$ref" in schema:
        return attributes(side, schemas(side)[schema["$ref"].rpartition("/")[2]])
    inner = [*(schema.get(name) for name in ("items", "additionalProperties")), *schema.get("allOf", ())]
    found = {k: v for one in inner if isinstance(one, dict) for k, v in attributes(side, one).items()}
    return {**found, **schema.get("properties", {})}


def struct_of(kind: Any) -> Any:
    """The struct in a type such as `list[X] | None`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for one in get_args(kind) if (found := struct_of(one))), None)


def is_map(side: str, schema: Mapping[str, Any]) -> bool:
    """Whether the official type is a map of a type of its own."""
    if "$ref" in schema:
        return is_map(side, schemas(side)[schema["$ref"].rpartition("/")[2]])
    return isinstance(schema.get("additionalProperties"), dict)


def unknown(side: str, schema: Mapping[str, Any], kind: Any, refused: Mapping[str, str], at: str = "") -> Iterator[str]:
    """The paths of attributes that are neither in our type nor refused."""
    struct = struct_of(kind)
    if struct is None:
        return  # a value or a free-form map
    hints = get_type_hints(struct)
    known = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}
    for name, inner in attributes(side, schema).items():
        path = f"{at}{name}"
        update = OTHER_UPDATES.get(path)
        if path in refused or (update and update not in get_args(hints["update_type"])):
            continue
        if name not in known:
            yield path
        else:
            yield from unknown(side, inner, known[name], refused, f"{path}/*/" if is_map(side, inner) else f"{path}/")


@pytest.mark.feature("B33")
@pytest.mark.skipif(not HOME.is_dir(), reason="the official files are not here")
@pytest.mark.parametrize(("side", "verb", "kind"), CASES, ids=[f"{side}.{verb}" for side, verb, _ in CASES])
def test_no_attribute_is_dropped(side: str, verb: str, kind: type[msgspec.Struct]) -> None:
    tables = {"vnf": of_vnf.UNSERVED, "ns": of_ns.UNSERVED, "grant": {"ask": granting.UNSERVED}}
    table = tables[side].get(verb, {})
    assert kind.__name__ in schemas(side)
    assert sorted(unknown(side, schemas(side)[kind.__name__], kind, table)) == []


@pytest.mark.feature("B33")
@pytest.mark.skipif(not HOME.is_dir(), reason="the official files are not here")
def test_what_is_refused_is_of_the_standard() -> None:
    """A refusal of what nobody can send says nothing; own attributes are the exception."""
    for side, tables in (("vnf", of_vnf.UNSERVED), ("ns", of_ns.UNSERVED)):
        tasks = {VERBS.get(name, name): kind for name, kind in (VNF_TASKS if side == "vnf" else NS_TASKS).items()}
        for verb, table in tables.items():
            for path in table:
                if not path.endswith("/zone") and (verb, path.partition("/")[0]) not in OWN:
                    assert _is_there(side, schemas(side)[tasks[verb].__name__], path.split("/")), path


def _is_there(side: str, schema: Mapping[str, Any], path: list[str]) -> bool:
    names = [name for name in path if name != "*"]
    for name in names:
        inner = attributes(side, schema)
        if name not in inner:
            return False
        schema = inner[name]
    return True
