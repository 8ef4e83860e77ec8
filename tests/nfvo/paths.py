"""Forwarding paths for the short form of network services: `{name: {over: [[vnf, cp …] …], rules: {name: {…}}, by: lb}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.vnfm.builder import loaded, ns_folder

NFV = "tosca.nodes.nfv."


def with_paths(text: str, paths: Mapping[str, Any]) -> dict[str, str]:
    """The files of an NS package with these paths, all in one VNFFG."""
    files = ns_folder(text)
    ((name, content),) = files.items()
    template = json.loads(content)
    topology = template["topology_template"]
    for path, told in paths.items():
        topology["node_templates"] |= _nodes(path, told)
        topology["policies"] += [
            {rule: {"type": "tosca.policies.nfv.NfpRule", "targets": [path], "properties": properties}}
            for rule, properties in told.get("rules", {}).items()
        ]
    topology["groups"] = {
        "graph": {
            "type": "tosca.groups.nfv.VNFFG",
            "properties": {"description": "paths"},
            "members": [*paths, *loaded(text)["vnfs"]],
        }
    }
    return {name: json.dumps(template, indent=1)}


def _nodes(path: str, told: Mapping[str, Any]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for number, (target, *cps) in enumerate(told["over"]):
        ends = [{"profile_element": {"node": target, "capability": cp}} for cp in cps]
        position = f"{path}_{number}"
        nodes[f"{position}_in"] = {
            "type": NFV + "NfpPositionElement",
            "requirements": ends or [{"profile_element": target}],
        }
        nodes[position] = {
            "type": NFV + "NfpPosition",
            "properties": {"forwarding_behaviour": told.get("by", "lb")},
            "requirements": [{"element": f"{position}_in"}],
        }
    needs = [{"nfp_position": f"{path}_{number}"} for number in range(len(told["over"]))]
    return {**nodes, path: {"type": NFV + "NFP", "requirements": needs}}
