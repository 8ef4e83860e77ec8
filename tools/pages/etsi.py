"""The reference pages of the APIs: what is served, and how much of each specification that is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skerry.api import mec010
from skerry.api.app import APIS
from skerry.api.route import Api
from tools.pages import code, page, table

ROOT = Path(__file__).resolve().parents[2]
SERVED = """\
Every API is served below `/NAME/vMAJOR`; `GET /NAME/api_versions` lists its versions. `GET /openapi.json` describes all of it,
made from the types that decode the requests. Errors are [problem documents](errors.md). How much of each specification this
is, is on [a page of its own](etsi-coverage.md).
"""
COVERAGE = """\
Resources and methods that the official OpenAPI files of ETSI (NFV V3.7.1, MEC 010-2 and 011 V3.1.1) name, and which of them
this node serves. *More* are methods that we serve beyond them.
"""
OFFICIAL: Mapping[str, str | tuple[str, ...]] = {
    "nsd": "nfv-sol005/SOL005/NSDManagement/NSDManagement.json",
    "vnfpkgm": (
        "nfv-sol005/SOL005/VNFPackageManagement/VNFPackageManagement.json",
        "nfv-sol002-sol003/SOL003/VNFPackageManagement/VNFPackageManagement.json",
    ),
    "nslcm": "nfv-sol005/SOL005/NSLifecycleManagement/NSLifecycleManagement.json",
    "vnflcm": (
        "nfv-sol002-sol003/SOL003/VNFLifecycleManagement/VNFLifecycleManagement.json",
        "nfv-sol002-sol003/SOL002/VNFLifecycleManagement/VNFLifecycleManagement.json",
    ),
    "nsfm": "nfv-sol005/SOL005/NSFaultManagement/NSFaultManagement.json",
    "vnffm": (
        "nfv-sol002-sol003/SOL003/VNFFaultManagement/VNFFaultManagement.json",
        "nfv-sol002-sol003/SOL002/VNFFaultManagement/VNFFaultManagement.json",
    ),
    "nspm": "nfv-sol005/SOL005/NSPerformanceManagement/NSPerformanceManagement.json",
    "vnfpm": (
        "nfv-sol002-sol003/SOL003/VNFPerformanceManagement/VNFPerformanceManagement.json",
        "nfv-sol002-sol003/SOL002/VNFPerformanceManagement/VNFPerformanceManagement.json",
    ),
    "vnfind": (
        "nfv-sol002-sol003/SOL003/VNFIndicator/VNFIndicator.json",
        "nfv-sol002-sol003/SOL002/VNFIndicator/VNFIndicator.json",
    ),
    "vnfconfig": "nfv-sol002-sol003/SOL002/VNFConfiguration/VNFConfiguration.json",
    "vrqan": (
        "nfv-sol002-sol003/SOL003/VirtualisedResourcesQuotaAvailableNotification/"
        "VirtualisedResourcesQuotaAvailableNotification.json"
    ),
    "grant": "nfv-sol002-sol003/SOL003/VNFLifecycleOperationGranting/VNFLifecycleOperationGranting.json",
    "nfvici": "nfv-sol005/SOL005/NFVICapacityInformation/NFVICapacityInformation.json",
    "lcmcoord": (
        "nfv-sol005/SOL005/NSLCMCoordination/NSLCMCoordination.json",
        "nfv-sol002-sol003/SOL002/VNFLCMCoordination/VNFLCMCoordination.json",
    ),
    "vnfsnapshotpkgm": (
        "nfv-sol005/SOL005/VNFSnapshotPackageManagement/VNFSnapshotPackageManagement.json",
        "nfv-sol002-sol003/SOL003/VNFSnapshotPackageManagement/VNFSnapshotPackageManagement.json",
    ),
    "app_pkgm": "mec/MEC01002_AppPkgMgmt.json",
    "app_lcm": "mec/MEC01002_AppLcm.json",
    "granting": "mec/MEC01002_AppGrant.json",
    "mec_app_support": "mec/MecAppSupportApi.json",
    "mec_service_mgmt": "mec/MecServiceMgmtApi.json",
}
"""API name -> its official files below `openapi/`; of several, each path counts once."""
REASONS: Mapping[str, str] = {
    **mec010.NOT_SERVED,
    "/coordinations/cancel": "lacks the coordination's identifier; `/coordinations/{}/cancel` is served",
    "/api-versions": "spelt `/api_versions` in every other file, which is served",
    "/resource_uri_allocated_by_MEC_platform": "stands for `/applications/{}/services/{}/liveness`, which is served",
}
"""Official paths that no node can serve as they stand, and why."""
METHODS = ("get", "put", "post", "patch", "delete")


def served() -> str:
    """The page of what is served."""
    return page("APIs", SERVED, *(part for api in APIS for part in _api(api)))


def _api(api: Api) -> Iterator[str]:
    yield f"## {api.title}"
    yield "Versions " + ", ".join(f"{version} at `{api.root(major)}`" for major, version in api.versions.items()) + "."
    rows = [(code(one.method), code(_plain(one.path)), one.summary) for one in api.endpoints]
    yield table(("Method", "Resource", "What it does"), sorted(rows, key=lambda row: (row[1], row[0])))


def official() -> Path | None:
    """The folder of ETSI's OpenAPI files: in `$SKERRY_ETSI`, else beside the repository; None without them."""
    folder = Path(os.environ.get("SKERRY_ETSI", ROOT.parent / "shared" / "etsi")) / "openapi"
    return folder if folder.is_dir() else None


def coverage(folder: Path) -> str:
    """The page of how much of each specification is served."""
    parts: list[str] = []
    summary: list[tuple[str, ...]] = []
    for api in APIS:
        if api.name in OFFICIAL:
            wanted = specified(folder, api.name)
            have = _served(api)
            hit = sum(len(methods & have.get(_key(path), set())) for path, methods in wanted.items())
            summary.append((f"[{api.title}](#{_anchor(api.title)})", str(hit), str(sum(map(len, wanted.values())))))
            parts += [f"## {api.title}", _compared(wanted, have)]
    return page("ETSI coverage", COVERAGE, table(("API", "Methods served", "Methods specified"), summary), *parts)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-"))


def _plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _key(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/"))


def specified(folder: Path, name: str) -> dict[str, set[str]]:
    """Path -> methods that the official files of an API name."""
    files = OFFICIAL[name]
    found: dict[str, set[str]] = {}
    paths: dict[str, str] = {}  # whatever the variables in it are called
    for file in (files,) if isinstance(files, str) else files:
        for path, methods in _official(folder / file, name).items():
            found.setdefault(paths.setdefault(_key(path), path), set()).update(methods)
    return found


def unserved(folder: Path) -> dict[tuple[str, str], set[str]]:
    """(API, path) -> official methods that are not served."""
    left: dict[tuple[str, str], set[str]] = {}
    for api in APIS:
        have = _served(api)
        for path, methods in specified(folder, api.name).items() if api.name in OFFICIAL else ():
            if missing := methods - have.get(_key(path), set()):
                left[api.name, path] = missing
    return left


def _official(file: Path, name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path, item in json.loads(file.read_text())["paths"].items():
        # Some official paths repeat the API's root.
        short = re.sub(rf"^/{name}/v\d+", "", path)
        found.setdefault(short, set()).update(method.upper() for method in METHODS if _meant(item.get(method)))
    return {path: methods for path, methods in found.items() if methods}


def _meant(operation: Any) -> bool:
    """Whether a method is more than the statement that it is not allowed."""
    return operation is not None and any(status[0] in "23" for status in operation["responses"])


def _served(api: Api) -> dict[str, set[str]]:
    """Served methods by path, whatever the variables in it are called."""
    found: dict[str, set[str]] = {"/api_versions": {"GET"}}
    for one in api.endpoints:
        found.setdefault(_key(one.path), set()).add(one.method)
    return found


def _compared(wanted: Mapping[str, set[str]], have: Mapping[str, set[str]]) -> str:
    rows: list[tuple[str, ...]] = []
    for path, methods in sorted(wanted.items()):
        served_here = have.get(_key(path), set())
        rows.append(
            (
                code(path),
                _list(methods & served_here),
                _list(methods - served_here) + (f": {REASONS[path]}" if path in REASONS else ""),
                _list(served_here - methods),
            )
        )
    known = {_key(path) for path in wanted}
    rows += [(code(path), "", "", _list(methods)) for path, methods in sorted(have.items()) if path not in known]
    return table(("Resource", "Served", "Not served", "More"), rows)


def _list(methods: set[str]) -> str:
    return ", ".join(code(method) for method in sorted(methods))
