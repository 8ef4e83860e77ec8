"""Application packages for tests: an AppD from a few values, and the archive of one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry.packages import build

IMAGE = {"id": "img", "name": "img", "version": "1", "containerFormat": "BARE", "swImage": "host:sh"}
TRANSPORT = {"name": "rest", "type": "REST_HTTP", "protocol": "HTTP", "version": "1.1", "security": {}}


def appd(id: str = "app-1", **changes: Any) -> dict[str, Any]:
    """An AppD of one container with one connection point; `changes` replace attributes, None removes one."""
    whole: dict[str, Any] = {
        "appDId": id,
        "appName": id,
        "appProvider": "Test",
        "appSoftVersion": "1",
        "appDVersion": "1.0",
        "mecVersion": ["3.1.1"],
        "appDescription": "a test",
        "swImageDescriptor": [IMAGE],
        "osContainerDescriptor": [
            {
                "osContainerDescId": "unit",
                "name": "unit",
                "swImageDesc": IMAGE,
                "cpuResourceLimit": 100,
                "memoryResourceLimit": 16,
                "bootData": json.dumps({"vim_specific_properties": {"properties": {"CMD": ["run"], "MODE": "calm"}}}),
            }
        ],
        "appExtCpd": [{"cpdId": "web", "additionalServiceData": [{"portData": [port("http", 80)]}]}],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "protocol": "TCP", "port": number, "portConfigurable": False}


def service(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {"serName": name, "version": version, **more}


def dns(name: str = "web.edge.example", address: str = "web", **more: Any) -> dict[str, Any]:
    """A DNS rule; by default it answers with the address of the connection point `web`."""
    return {"dnsRuleId": "d1", "domainName": name, "ipAddressType": "IP_V4", "ipAddress": address, "ttl": 30, **more}


def traffic(**more: Any) -> dict[str, Any]:
    filters = [{"dstAddress": ["203.0.113.7/32"], "dstPort": ["80"], "protocol": ["6"]}]
    return {
        "trafficRuleId": "t1",
        "filterType": "FLOW",
        "priority": 10,
        "trafficFilter": filters,
        "action": "FORWARD_DECAPSULATED",
        **more,
    }


def folder(target: Path, descriptor: Mapping[str, Any], **files: str) -> Path:
    """The folder of a package; `files` are further files by name with `__` for `/` and `_` for `.`."""
    named = {
        name.replace("__", "/").replace("_yaml", ".yaml").replace("_json", ".json"): text
        for name, text in files.items()
    }
    for name, text in {"Definitions/appd.json": json.dumps(descriptor, indent=1), **named}.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return target


def archive(descriptor: Mapping[str, Any], **files: str) -> Path:
    """The package as a file in a folder of its own."""
    scratch = Path(tempfile.mkdtemp(prefix="skerry-tests-app-"))
    return build(folder(scratch / "source", descriptor, **files), scratch / "app.csar")
