"""Requests of NS LCM in the one form that the NFVO reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from skerry.api import body
from skerry.api.refusals import Unserved, refuse
from skerry.api.sol003 import translate
from skerry.api.sol005 import links
from skerry.api.sol005.types import UPDATES
from skerry.api.sol005.unserved import UNSERVED
from skerry.errors import Fault, InvalidError


def checked(verb: str, value: Any, kind: type[Any]) -> dict[str, Any]:
    """The request of an operation as the NFVO reads it. `InvalidError` for what is wrong in it, or that nothing here obeys."""
    refused = UNSERVED.get(verb, {})
    if verb == "update" and isinstance(value, dict):
        refused = {**refused, **_of_others(str(value.get("updateType", "")))}
    plain: dict[str, Any] = normal(body.params(refuse(value, refused), kind))
    _require_moments(plain)
    return plain


MOMENTS = ("startTime", "scaleTime", "updateTime", "terminationTime")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _require_moments(plain: Mapping[str, Any]) -> None:
    """When an operation begins is a date-time of RFC 3339."""
    for name in MOMENTS:
        text = plain.get(name)
        if text and not _is_moment(text):
            fault = Fault(message=f"{text} is no date-time", path=f"/{name}", code="schema", fix="write RFC 3339")
            raise InvalidError("cannot accept the body: " + fault.message, faults=[fault])


def _is_moment(text: str) -> bool:
    try:
        return bool(_MOMENT.fullmatch(text) and datetime.fromisoformat(text.upper()))
    except ValueError:
        return False


def _of_others(kind: str) -> Unserved:
    """The attributes that belong to other updates than this one."""
    own = {
        "addVnfIstance" if kind == "ADD_VNF" else "",
        UPDATES.get(kind, ""),
        *(LEAVING if UPDATES.get(kind) in LEAVING else ()),
    }
    return {name: f"it is for another updateType than {kind}" for name in (*UPDATES.values(), *ALSO) if name not in own}


LEAVING = ("removeVnfInstanceId", "terminateVnfData")
"""Which VNFs leave, and how."""

ALSO = (
    "addVnfIstance",
    "moveVnfInstanceData",
)
"""Attributes of updates under names that `UPDATES` does not have."""

RENAMED = {
    "addVnfIstance": "addVnfInstance",
    "addpnfData": "addPnfData",
    "additionalParamsForVnf": "additionalParamForVnf",
    "vnfConfigurableProperties": "vnfConfigurableProperty",
}
"""Names of V3.7.1 -> the name that the NFVO reads (those of 2.6.1, except the misspelt one)."""


def normal(params: Any) -> Any:
    """A request in one form, whichever version and spelling it came in; location constraints become placement."""
    plain: dict[str, Any] = translate.normal(params)
    plain = _named(plain)
    for name in ("changeVnfFlavourData", "changeVnfPackageData", "changeExtVnfConnectivityData"):
        if name in plain:
            plain[name] = [links.of_vnf(entry) for entry in plain[name]]
    additional = dict(plain.get("additionalParamsForNs") or {})
    _require_maps(additional, "/additionalParamsForNs")
    _require_maps_of_nested(plain)
    if constraints := plain.pop("locationConstraints", None):
        additional["placement"] = {**_places(constraints), **additional.get("placement", {})}
        plain["additionalParamsForNs"] = additional
    if plain.get("updateType") == "ADD SAP":
        plain["updateType"] = "ADD_SAP"
    if rules := plain.get(AFFINITY):
        plain[AFFINITY] = [{MISSPELT.get(key, key): value for key, value in rule.items()} for rule in rules]
    if data := plain.get("scaleNsData"):
        plain["scaleNsData"] = {**_named(data), "placement": _places(data.get("locationConstraints", []))}
    if entries := plain.get("instantiateVnfData"):
        plain["instantiateVnfData"] = [_placed(entry) for entry in entries]
    if extra := {**_besides(plain), **{name: plain.pop(name) for name in ENDING if name in plain}}:
        plain["additionalParams"] = extra
    return plain


AFFINITY = "additionalAffinityOrAntiAffinityRule"
MISSPELT = {"affinityOrAntiAffiinty": "affinityOrAntiAffinity"}
"""Names of the official file -> those of the text."""


def _named(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes under the names that the NFVO reads, those of entries for VNFs included."""
    found = {RENAMED.get(key, key): value for key, value in plain.items()}
    for name in ("additionalParamForVnf", "instantiateVnfData"):
        if name in found:
            found[name] = [{RENAMED.get(key, key): value for key, value in entry.items()} for entry in found[name]]
    return found


def _placed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """InstantiateVnfData with `placement`: "" or a VDU -> the infrastructure that the request chose."""
    constraint = entry.get("locationConstraints")
    if not constraint:
        return dict(entry)
    return {**entry, "placement": {key.partition("/")[2]: vim for key, vim in _places([constraint]).items()}}


ENDING = ("terminationType", "gracefulTerminationTimeout")
"""How VNFs end, where a request says it for all of them."""

BESIDES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("scaleNsData", "additionalParamsForNs"): ("rollbackOnFailure",),
    ("healNsData", "additionalParamsforNs"): ("rollbackOnFailure",),
    ("terminateNsData", "additionalParamsforNs"): ENDING,
}
"""Where a request has additional parameters for the NS -> those that mean something."""


def _besides(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The additional parameters of a part of the request. `InvalidError` for those that nothing here obeys."""
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for (part, name), known in BESIDES.items():
        given = (plain.get(part) or {}).get(name) or {}
        faults += [
            Fault(message=f"{key} means nothing here", path=f"/{part}/{name}/{key}", code="unserved", fix=_known(known))
            for key in given
            if key not in known
        ]
        found |= given
    if faults:
        raise InvalidError("cannot accept the body: " + "; ".join(fault.message for fault in faults), faults=faults)
    return found


def _known(names: tuple[str, ...]) -> str:
    return f"leave it out; there are: {', '.join(names)}"


def _require_maps(additional: Mapping[str, Any], at: str) -> None:
    """Our own keys in `additionalParamsForNs` have a form, which the standard's type cannot say. `at` is where they are."""
    faults = [
        Fault(message=f"{name} is no map", code="schema", path=f"{at}/{name}", fix="write a map")
        for name in ("placement", "inputs", "steered")
        if not isinstance(additional.get(name, {}), dict)
    ]
    keys = additional.get("sshKeys", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        path = f"{at}/sshKeys"
        faults.append(Fault(message="sshKeys is no list of names", code="schema", path=path, fix="write a list"))
    if faults:
        raise InvalidError(f"cannot accept the body: {at[1:]} is wrong", faults=faults)


def _require_maps_of_nested(plain: Mapping[str, Any]) -> None:
    for number, entry in enumerate(plain.get("additionalParamsForNestedNs", ())):
        for place, given in enumerate(entry.get("additionalParam", ())):
            _require_maps(given, f"/additionalParamsForNestedNs/{number}/additionalParam/{place}")


def _places(constraints: list[dict[str, Any]]) -> dict[str, str]:
    """`profile` or `profile/vdu` -> the infrastructure that the request chose for it."""
    return {
        "/".join(part for part in (entry["vnfProfileId"], entry.get("vduId")) if part): entry["locationConstraints"][
            "vimId"
        ]
        for entry in constraints
        if (entry.get("locationConstraints") or {}).get("vimId")
    }
