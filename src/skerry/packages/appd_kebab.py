"""AppDs in the form of OSM's MEC extension (`mec-appd:` with names such as `soft-version`) as those of the standard.

Names become the standard's; places stay, so that faults still point into the file. What that form has and the
standard has not is left out, but for Helm charts, which become `mciopId` (and are refused as that).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.packages.yaml_nodes import Map, Seq

KEY = "mec-appd"
_LISTS = ("serviceRequired", "serviceOptional", "serviceProduced", "featureRequired", "featureOptional", "trafficRule")
_SERVICE = {"name": "serName", "category": "serCategory", "transportDependencies": "serTransportDependencies"}
_FEATURE = {"name": "featureName"}
NAMES: Mapping[str, Mapping[str, str]] = {
    "": {
        "id": "appDId",
        "name": "appName",
        "provider": "appProvider",
        "softVersion": "appSoftVersion",
        "version": "appDVersion",
        "infoName": "appInfoName",
        "description": "appDescription",
        "virtualCompute": "virtualComputeDescriptor",
        "swImage": "swImageDescriptor",
        "virtualStorage": "virtualStorageDescriptor",
        "extCpd": "appExtCpd",
        "dnsRule": "appDNSRule",
        "latency": "appLatency",
        "networkPolicy": "appNetworkPolicy",
        "artifacts": "mciopId",
        **{name: f"app{name[0].upper()}{name[1:]}" for name in _LISTS},
    },
    "virtualComputeDescriptor": {"id": "virtualComputeDescId"},
    "virtualMemory": {"memSize": "virtualMemSize", "memOversubscriptionPolicy": "virtualMemOversubscriptionPolicy"},
    "virtualCpu": {
        "cpuCount": "numVirtualCpu",
        "architecture": "cpuArchitecture",
        "cpuClock": "virtualCpuClock",
        "cpuOversubscriptionPolicy": "virtualCpuOversubscriptionPolicy",
        "cpuPinning": "virtualCpuPinning",
    },
    "virtualDisk": {"id": ""},
    "swImageDescriptor": {"checksum": ""},
    "virtualStorageDescriptor": {
        "blockStorage": "blockStorageData",
        "objectStorage": "objectStorageData",
        "fileStorage": "fileStorageData",
    },
    "appExtCpd": {"id": "cpdId", "k8sClusterNet": ""},
    "appServiceRequired": _SERVICE,
    "appServiceOptional": _SERVICE,
    "appServiceProduced": _SERVICE,
    "appFeatureRequired": _FEATURE,
    "appFeatureOptional": _FEATURE,
    "transportDependencies": {"id": ""},
    "serTransportDependencies": {"id": ""},
    "transportsSupported": {"id": ""},
    "security": {"oauth2Info": "oAuth2Info"},
    "appTrafficRule": {"id": "trafficRuleId"},
    "trafficFilter": {"id": "", "qci": "qCI", "dscp": "dSCP", "tc": "tC"},
    "dstInterface": {
        "id": "",
        "srcMacAddress": "srcMACAddress",
        "dstMacAddress": "dstMACAddress",
        "dstIpAddress": "dstIPAddress",
    },
    "appDNSRule": {"id": "dnsRuleId"},
    "steeredNetwork": {"wifiNetwork": "wi-fiNetwork"},
    "terminateAppInstanceOpConfig": {"vnfParameters": "parameter"},
    "changeAppInstanceStateOpConfig": {"vnfParameters": "parameter"},
}
"""Attribute of the standard -> names below it, once they are in camel case, as the standard has them; "" = left out."""


def standard(value: Any, of: str = "") -> Any:
    """The value of an attribute (`of`, "" = the whole AppD) with the standard's names."""
    if isinstance(value, Seq):
        made = Seq(value.line, value.column)
        made.extend(standard(item, of) for item in value)
        made.marks = list(value.marks)
        return made[0] if of == "dstInterface" and made else made
    if not isinstance(value, Map):
        return value
    whole = Map(value.line, value.column)
    renamed = NAMES.get(of, {})
    for key, inner in value.items():
        camel = _camel(key)
        name = renamed.get(camel, camel)
        if name:
            whole[name] = _chart(inner) if name == "mciopId" else standard(inner, name)
            whole.marks[name] = value.marks.get(key, (value.line, value.column))
    return whole


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _chart(artifacts: Any) -> str:
    """The name of the first artifact."""
    first = artifacts[0] if isinstance(artifacts, list) and artifacts else {}
    return str(first.get("name", "")) if isinstance(first, dict) else ""
