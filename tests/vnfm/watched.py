"""Packages with indicators and coordination actions: the short form of `builder`, with `indicators` and `coordinations`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.vnfm.builder import loaded, vnf_folder


def watched_folder(text: str | Mapping[str, Any]) -> dict[str, str]:
    """The files of the package. An indicator is `{}`, or `{run: shell command}` for a script that prints its value;
    `coordinations` maps an LCM operation to the names of actions."""
    short = loaded(text)
    files = vnf_folder({key: value for key, value in short.items() if key not in ("indicators", "coordinations")})
    main = f"Definitions/{short['id']}.yaml"
    template = json.loads(files[main])
    told = short.get("indicators", {})
    kind = template["topology_template"]["substitution_mappings"]["node_type"]
    template["interface_types"] = {
        "test.interfaces.Indicators": {
            "derived_from": "tosca.interfaces.nfv.VnfIndicator",
            "notifications": {name: {"description": f"about {name}"} for name in told},
        }
    }
    template["node_types"][kind]["interfaces"]["Indicators"] = {"type": "test.interfaces.Indicators"}
    scripted = {name: {"implementation": f"../Scripts/{name}.sh"} for name, one in told.items() if one and "run" in one}
    node = template["topology_template"]["node_templates"]["vnf"]
    node["interfaces"]["Indicators"] = {"notifications": scripted}
    policies = template["topology_template"]["policies"]
    policies += [
        {
            f"on_{name}": {
                "type": "tosca.policies.nfv.VnfIndicator",
                "properties": {"source": "em"},
                "targets": ["vnf"],
                "triggers": {"1": {"event": f"test.interfaces.Indicators.{name}", "action": []}},
            }
        }
        for name in told
    ]
    policies += [
        {
            f"coordinate_{operation}": {
                "type": "tosca.policies.nfv.LcmCoordinationsForLcmOperation",
                "properties": {"vnf_lcm_operation": operation, "actions": list(actions)},
            }
        }
        for operation, actions in short.get("coordinations", {}).items()
    ]
    scripts = {f"Scripts/{name}.sh": f"#!/bin/sh\n{one['run']}\n" for name, one in told.items() if one and "run" in one}
    return {**files, main: json.dumps(template, indent=1), **scripts}
