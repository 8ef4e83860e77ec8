"""Reads the AppD of an application package (ETSI GS MEC 010-2), in YAML or JSON.

It is the entry file of the package (`Entry-Definitions` of TOSCA.meta, or the only descriptor in its root or in
Definitions/), or stands beside a VNFD, named by `MEC-Entry-AppD` of TOSCA.meta or the only AppD there is: then the package
has an NFV and a MEC part. `AppD:` may enclose the whole. Earlier releases are read too: one `swImageDescriptor` without a list,
a list of `mecVersion`, attributes of the connection point in `inherited_attributes` or beside it. OSM's form
(`mec-appd:`) is read as `appd_kebab` says.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from skerry.model.appd import AppD
from skerry.packages.appd_checks import check
from skerry.packages.appd_kebab import KEY as KEBAB
from skerry.packages.appd_kebab import standard
from skerry.packages.archive import Archive, read_small
from skerry.packages.limits import Limits
from skerry.packages.report import PathParts, Report
from skerry.packages.typed import shaped
from skerry.packages.yaml_nodes import Budget, parse

ENTRY = "MEC-Entry-AppD"
_MARK = re.compile(rb"^[\s{]*[\"']?(appDId|AppD|mec-appd)[\"']?\s*:", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml", ".json")
_INHERITED = "inherited_attributes"


def is_appd(archive: Archive, name: str, limits: Limits, report: Report) -> bool:
    """Whether a file of the package looks like an AppD."""
    if not name.endswith(_SUFFIXES) or archive.sizes.get(name, 0) > limits.max_yaml_bytes:
        return False
    text = read_small(archive, name, limits.max_yaml_bytes, report) or b""
    return _MARK.search(text) is not None and b"tosca_definitions_version" not in text


def appds(archive: Archive, limits: Limits, report: Report) -> list[str]:
    """The AppDs in the root and in Definitions/."""
    places = ("", "Definitions")
    return [
        name
        for name in sorted(archive.sizes)
        if posixpath.dirname(name) in places and is_appd(archive, name, limits, report)
    ]


def entry(archive: Archive, meta: dict[str, str], main: str, limits: Limits, report: Report) -> str:
    """The AppD of the package; "" if it has none."""
    if named := meta.get(ENTRY, ""):
        if named not in archive.sizes:
            report.error("missing-file", f"cannot find the AppD {named[:200]}", fix=f"correct {ENTRY} or add the file")
            return ""
        return named
    if main and is_appd(archive, main, limits, report):
        return main
    found = appds(archive, limits, report)
    if len(found) > 1:
        told = ", ".join(found[:5])
        report.error("several-appds", f"cannot tell the AppD among {told}", fix=f"name one by {ENTRY} in TOSCA.meta")
    return found[0] if len(found) == 1 else ""


def read_appd(archive: Archive, name: str, limits: Limits, report: Report) -> AppD | None:
    """The AppD in a file, or None; faults go to the report."""
    data = read_small(archive, name, limits.max_yaml_bytes, report)
    if data is None:
        return None
    document, faults = parse(data, name, Budget(limits))
    report.extend(faults)
    if not isinstance(document, dict):
        if not faults:
            report.error("not-an-appd", "cannot read an AppD that is no map", file=name, fix="write `appDId:` …")
        return None
    if len(document) == 1 and isinstance(document.get(KEBAB), dict):
        document = standard(document[KEBAB])
    report.documents[name] = document
    path: PathParts = ()
    if len(document) == 1 and isinstance(document.get("AppD"), dict):
        document, path = document["AppD"], ("AppD",)
    _modernise(document)
    appd = shaped(document, AppD, name, report, path)
    if appd is not None:
        check(appd, frozenset(archive.sizes), name, path, report)
    return appd


def _modernise(document: dict[str, Any]) -> None:
    """Bring what earlier releases write otherwise into today's form; places stay."""
    versions = document.get("mecVersion")
    if isinstance(versions, str):
        document["mecVersion"] = [part.strip() for part in versions.split(",") if part.strip()]
    points = document.get("appExtCpd")
    for point in points if isinstance(points, list) else [points]:
        inherited = point.pop(_INHERITED, None) if isinstance(point, dict) else None
        if isinstance(point, dict) and isinstance(inherited, dict):
            for key, value in inherited.items():
                point.setdefault(key, value)
