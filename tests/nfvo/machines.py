"""Physical functions for the short form of network services: `{profile: {pnfd: id, links: {cp: virtual link}}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.vnfm.builder import TYPES, Lab, csar


def pnf_folder(id: str, points: Sequence[str]) -> dict[str, str]:
    """The files of a PNF package with these external connection points."""
    node_type = f"test.{id}"
    identity = {"descriptor_id": id, "name": id, "version": "1.0", "provider": "Test", "function_description": id}
    names = {f"virtual_link_{cp}": [cp, "external_virtual_link"] for cp in points}
    identity["descriptor_invariant_id"] = id
    template = {
        "tosca_definitions_version": "tosca_simple_yaml_1_3",
        "imports": [TYPES.format("pnfd")],
        "node_types": {
            node_type: {
                "derived_from": "tosca.nodes.nfv.PNF",
                "properties": {name: {"type": "string", "default": value} for name, value in identity.items()},
                "requirements": [{name: {"capability": "tosca.capabilities.nfv.VirtualLinkable"}} for name in names],
            }
        },
        "topology_template": {
            "substitution_mappings": {"node_type": node_type, "properties": identity, "requirements": names},
            "node_templates": {
                "pnf": {"type": node_type, "properties": identity},
                **{
                    cp: {"type": "tosca.nodes.nfv.PnfExtCp", "properties": {"layer_protocols": ["ipv4"]}}
                    for cp in points
                },
            },
        },
    }
    return {f"Definitions/{id}.yaml": json.dumps(template, indent=1)}


def with_machines(files: Mapping[str, str], pnfs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The files of an NS package with these PNFs."""
    ((name, content),) = files.items()
    template = json.loads(content)
    for profile, told in pnfs.items():
        template["node_types"][f"test.{profile}"] = {
            "derived_from": "tosca.nodes.nfv.PNF",
            "requirements": [
                {f"virtual_link_{cp}": {"capability": "tosca.capabilities.nfv.VirtualLinkable"}} for cp in told["links"]
            ],
        }
        template["topology_template"]["node_templates"][profile] = {
            "type": f"test.{profile}",
            "properties": {"descriptor_id": told["pnfd"], "version": "1.0", "provider": "Test", "name": told["pnfd"]},
            "requirements": [{f"virtual_link_{cp}": link} for cp, link in told["links"].items()],
        }
    return {name: json.dumps(template, indent=1)}


async def onboard_pnf(it: Lab, id: str, *points: str) -> str:
    """A PNFD with these connection points, onboarded; the answer is its record's id."""
    archive: Path = csar(pnf_folder(id, points))
    info = await it.node.catalogue.create_pnfd({})
    return (await it.node.catalogue.upload_pnfd(info.id, archive)).id


def at(*ips: str, cpd: str = "lan", mac: str = "", **names: str) -> dict[str, Any]:
    """PnfExtCpData of a connection point with these addresses."""
    data: dict[str, Any] = {"macAddress": mac} if mac else {}
    data["ipAddresses"] = [{"type": "IPV6" if ":" in ip else "IPV4", "fixedAddresses": [ip]} for ip in ips]
    return {"cpdId": cpd, "cpProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": data}], **names}


def pnf(id: str = "plc-7", *cps: Mapping[str, Any], name: str = "press", profile: str = "plc") -> dict[str, Any]:
    """AddPnfData."""
    return {"pnfId": id, "pnfName": name, "pnfdId": "plc", "pnfProfileId": profile, "cpData": list(cps)}
