"""Checks answers against the official OpenAPI files: an event hook of httpx. Every node of the tests has one."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]

HOME = Path(os.environ.get("SKERRY_ETSI") or Path(__file__).parents[2].parent / "shared" / "etsi") / "openapi"
SOL002, SOL003, SOL005 = "nfv-sol002-sol003/SOL002", "nfv-sol002-sol003/SOL003", "nfv-sol005/SOL005"
FILES = {
    "/nsd/v2": (f"{SOL005}/NSDManagement",),
    "/vnfpkgm/v2": (f"{SOL005}/VNFPackageManagement", f"{SOL003}/VNFPackageManagement"),
    "/nslcm/v2": (f"{SOL005}/NSLifecycleManagement",),
    "/vnflcm/v2": (f"{SOL003}/VNFLifecycleManagement",),
    "/grant/v1": (f"{SOL003}/VNFLifecycleOperationGranting",),
    "/nfvici/v1": (f"{SOL005}/NFVICapacityInformation",),
    "/lcmcoord/v1": (f"{SOL005}/NSLCMCoordination", f"{SOL002}/VNFLCMCoordination"),
    "/nsfm/v1": (f"{SOL005}/NSFaultManagement",),
    "/vnffm/v1": (f"{SOL003}/VNFFaultManagement", f"{SOL002}/VNFFaultManagement"),
    "/nspm/v2": (f"{SOL005}/NSPerformanceManagement",),
    "/vnfpm/v2": (f"{SOL003}/VNFPerformanceManagement", f"{SOL002}/VNFPerformanceManagement"),
    "/vnfind/v1": (f"{SOL003}/VNFIndicator", f"{SOL002}/VNFIndicator"),
    "/vnfconfig/v1": (f"{SOL002}/VNFConfiguration",),
    "/vrqan/v1": (f"{SOL003}/VirtualisedResourcesQuotaAvailableNotification",),
    "/vnfsnapshotpkgm/v1": (f"{SOL005}/VNFSnapshotPackageManagement", f"{SOL003}/VNFSnapshotPackageManagement"),
}
"""Root -> the official files that have it. Where two have the same resource, an answer fits one of them."""

COMMON = frozenset({304, 406, 412, 413, 414, 415, 416, 422, 428, 429})
"""What SOL013 (table 6.4-1, clauses 5.4 and 5.5) and HTTP allow everywhere, which most official files do not repeat."""

MISPLACED = ("/nslcm/v1/ns_lcm_op_occs/{nsLcmOpOccId}/fail", "/nslcm/v1/ns_lcm_op_occs/{nsLcmOpOccId}/cancel")
"""Paths that the official file of NS LCM writes with the root of another version."""

SINGLE = {("GET", "/vnf_lcm_op_occs"), ("GET", "/subscriptions"), ("GET", "/alarms")}
"""Lists of which some official description has the schema of one entry."""

PLURAL = {("GET", "/vnf_snapshots/{vnfSnapshotInfoId}")}
"""Single resources whose official description may have the schema of a list."""

CONFLICTS = {
    ("POST", "/alarms/{alarmId}/escalate"),  # of an alarm that is cleared
    ("PATCH", "/alarms/{alarmId}"),  # it has that state already (SOL003 7.4.3.3.4)
    ("POST", "/vnf_instances"),  # of a disabled package (SOL003 5.4.2.3.1)
    ("PATCH", "/pnf_descriptors/{pnfdInfoId}"),
    ("DELETE", "/pnf_descriptors/{pnfdInfoId}"),  # in use (SOL005 5.4.7.3.5)
}
"""Requests whose conflicts are in the text of the specifications and forgotten in the official files."""

EMPTY = {("PATCH", "/vnf_instances/{vnfInstanceId}"): "the text says that the body is empty, the file gives a schema"}
"""Answers whose body the official file describes against its own text."""


def mended(document: Any) -> Any:
    """A file without what contradicts the text of its own specification."""
    schemas = document["components"]["schemas"]
    if "PnfdInfo" in schemas:  # the enumeration of PNFDs lacks the state that every onboarded one has
        schemas["PnfdOnboardingStateType"] = {"type": "string"}
        schemas["PnfdInfo"]["properties"]["pnfdOnboardingState"] = {"type": "string"}
    if "PnfInfo" in schemas:  # the text has 1 to N connection points (SOL005 6.5.3.13)
        info = schemas["PnfInfo"]["properties"]
        info["cpInfo"] = {"type": "array", "minItems": 1, "items": info["cpInfo"]}
    if "CapacityThresholdModifications" in schemas:  # secrets are not answered (SOL013 8.3.4)
        schemas["CapacityThresholdModifications"].pop("required", None)
    if "NsLcmOpOcc" in schemas:  # the file gives it the schema of lcmOperationType
        schemas["NsLcmOpOcc"]["properties"]["operationParams"] = {"type": "object"}
    if schemas.get("Checksum", {}).get("type") == "string":  # the text has algorithm and hash (SOL003 10.5.3.5)
        schemas["Checksum"] = {"type": "object", "required": ["algorithm", "hash"]}
    if "PerformanceReport" in schemas:
        _mend_performance(schemas)
    if "VnfIndicator" in schemas:
        _mend_indicators(document)
    if "CpAddress" in schemas:  # the file wants an address beside itself
        schemas["CpAddress"].pop("anyOf", None)
    cancel = document["paths"].pop("/coordinations/cancel", None)
    if cancel:  # the text has the coordination's identifier before it
        document["paths"].setdefault("/coordinations/{coordinationId}/cancel", cancel)
    return document


def _mend_performance(schemas: Any) -> None:
    """A job has 0..N reports, and links of its own where SOL005 has them in the reports; a value has the type that its metric
    says; a part of an object is one part; names of attributes that are required are those of attributes that there are."""
    reports = schemas["PmJob"]["properties"]["reports"]
    reports["required"] = [name for name in reports["required"] if name != "_links"]
    schemas["PmJob"]["properties"]["reports"] = {"type": "array", "items": reports}
    entry = schemas["PerformanceReport"]["properties"]["entries"]["items"]
    entry["properties"]["subObjectInstanceId"] = {"type": "string"}
    entry["required"] = [name.replace("performanceValue", "performanceValues") for name in entry["required"]]
    value = entry["properties"]["performanceValues"]["items"]
    value["properties"]["value"] = {}
    value["required"] = [name.replace("performanceValue", "value") for name in value["required"]]
    # the thresholds of SOL005 are of metrics with fractions too
    details = schemas["ThresholdCriteria"]["properties"]["simpleThresholdDetails"]["properties"]
    details |= {name: {"type": "number"} for name in details}


def _mend_indicators(document: Any) -> None:
    """A value may be anything, and a subscription is made alone. SOL003 has the single one below the indicators, where it must
    be looked for before those."""
    document["components"]["schemas"]["VnfIndicator"]["properties"]["value"] = {}
    content = document["paths"]["/subscriptions"]["post"]["responses"]["201"]["content"]["application/json"]
    content["schema"] = content["schema"].get("items", content["schema"])
    misplaced = document["paths"].pop("/indicators/subscriptions/{subscriptionId}", None)
    if misplaced:
        own = {"/subscriptions/{subscriptionId}": misplaced, "/indicators/subscriptions/{subscriptionId}": misplaced}
        document["paths"] = {**own, **document["paths"]}


@lru_cache(maxsize=1)
def official() -> dict[str, list[Any]]:
    """Root -> its official descriptions."""
    return {
        root: [
            mended(json.loads((HOME / folder / f"{folder.rpartition('/')[2]}.json").read_text())) for folder in folders
        ]
        for root, folders in FILES.items()
    }


class Judge:
    """Checks answers, and remembers which official operations it has seen with which status. `documents` maps a root to its
    official description, or to several of which one must fit."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = dict(official())
        self.seen: set[tuple[str, str, str, int]] = set()

    async def __call__(self, response: httpx.Response) -> None:
        """Look at one answer."""
        path = response.request.url.path
        root = next((root for root in self.documents if path.startswith(root + "/")), "")
        if not root:
            return
        method = "GET" if response.request.method == "HEAD" else response.request.method
        candidates = self.candidates(root, path.removeprefix(root), method)
        if not candidates:
            assert response.status_code in (404, 405), f"{method} {path} is in no official file"
            return
        self.seen.add((root, method, candidates[0][0], response.status_code))
        body = await response.aread() if response.request.method != "HEAD" else b""
        troubles = [
            self._trouble(document, method, template, operation, response, body)
            for template, operation, document in candidates
        ]
        assert not all(troubles), f"{method} {path}: {troubles[0]}"

    def described(self, root: str, path: str, method: str) -> tuple[str, dict[str, Any]]:
        """The template of a path and what an official file says of the method."""
        found = self.candidates(root, path, method)
        assert found, f"{method} {root}{path} is in no official file"
        return found[0][:2]

    def candidates(self, root: str, path: str, method: str) -> list[tuple[str, dict[str, Any], Any]]:
        """Every description of a method: template of the path, operation, file."""
        known = self.documents[root]
        found = []
        for document in known if isinstance(known, list) else [known]:
            for template, methods in document["paths"].items():
                own = template.removeprefix("/nslcm/v1") if template in MISPLACED else template
                pattern = re.sub(r"\{artifactPath\}", ".+", own)
                if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and method.lower() in methods:
                    found.append((own, methods[method.lower()], document))
        return found

    def _trouble(
        self, document: Any, method: str, template: str, operation: Any, response: httpx.Response, body: bytes
    ) -> str:
        """What is wrong with an answer by one description; "" if nothing is."""
        described = operation["responses"].get(str(response.status_code))
        forgotten = response.status_code == 409 and (method, template) in CONFLICTS
        if described is None and not forgotten and response.status_code not in COMMON:
            return f"{response.status_code} is not described"
        schema = ((described or {}).get("content") or {}).get("application/json", {}).get("schema")
        if schema is None or response.request.method == "HEAD":
            return ""
        if response.is_success and (method, template) in SINGLE and schema.get("type") != "array":
            schema = {"type": "array", "items": schema}
        if response.is_success and (method, template) in PLURAL:
            schema = schema.get("items", schema)
        if not body:
            return "" if (method, template) in EMPTY else "the answer must have a body"
        return self._faults(document, schema, json.loads(body))

    @staticmethod
    def _faults(document: Any, schema: dict[str, Any], value: Any) -> str:
        whole = {**schema, "components": document["components"]}
        faults = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=lambda fault: list(fault.path))
        return "\n".join(f"{'/'.join(map(str, fault.path))}: {fault.message[:300]}" for fault in faults)
