"""Service access points for the short form of network services: `{name: virtual link}`."""

from __future__ import annotations

import json
from collections.abc import Mapping


def with_saps(files: Mapping[str, str], saps: Mapping[str, str]) -> dict[str, str]:
    """The files of an NS package with these SAPs."""
    ((name, content),) = files.items()
    template = json.loads(content)
    for sap, link in saps.items():
        template["topology_template"]["node_templates"][sap] = {
            "type": "tosca.nodes.nfv.Sap",
            "properties": {"layer_protocols": ["ipv4"], "role": "leaf", "protocol": []},
            "requirements": [{"internal_virtual_link": link}],
        }
    return {name: json.dumps(template, indent=1)}
