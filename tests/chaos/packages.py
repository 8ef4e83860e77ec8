"""The packages of the chaos tests: small, with everything that makes a step (networks, images, VNFCs that read each other,
scripts, aspects, levels, flavours, versions)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.vnfm.builder import csar, loaded, vnf_folder

WEB = """
id: web
vdus:
  front:
    nics: {pub: ext, inner: lan}
    env: {MODE: {get_property: [SELF, configurable_properties, mode]}, PEER: {get_attribute: [back, ip_address]}}
    needs: [back]
  back: {nics: {blan: lan}, vcpus: 1}
links: {lan: 10.9.0.0/24}
aspects:
  fronts: {max: 3, deltas: {front: [1]}}
levels:
  small: {fronts: 0}
  large: {fronts: 1}
properties: {mode: calm}
provides: {address: {get_attribute: [pub, ip_address]}}
scripts:
  instantiate_end: {run: echo born, vdus: [front]}
  scale: {run: echo scaled, vdus: [back]}
  heal: {run: echo healed, vdus: [back]}
  operate: {run: echo operated, vdus: [back]}
  modify_information: {run: echo modified, vdus: [back]}
  terminate: {run: echo bye, vdus: [front]}
"""

WEB2: dict[str, Any] = {**loaded(WEB), "id": "web2", "product": "web"}
WEB2["vdus"] = copy.deepcopy(WEB2["vdus"])
WEB2["vdus"]["front"]["env"]["VERSION"] = "2"
WEB2["vdus"]["back"]["cmd"] = ["run", "faster"]
"""The next version of it: the front gets a variable, the back another program."""

BAD = copy.deepcopy(WEB2)
BAD["id"] = "bad"
BAD["vdus"]["back"]["cmd"] = ["false"]
"""A version whose back dies as it starts."""

DB = """
id: db
vdus: {store: {nics: {port: ext}}}
properties: {size: small}
provides: {url: {concat: ['db://', {get_attribute: [port, ip_address]}]}}
"""

PAIR = """
id: pair
vdus: {one: {nics: {pub: ext}, options: {STANDBY: 1}}, two: {nics: {other: ext}}}
scripts: {instantiate: {run: echo born}, heal: {run: echo healed, vdus: [two]}}
"""

SHOP = """
id: shop
vnfs:
  db: {vnfd: db, links: {port: net}}
  web: {vnfd: web, links: {pub: net}, give: {db: [url]}, max: 3}
links: {net: 10.8.0.0/24}
aspects: {size: {web: [1, 2]}}
"""

VISITS = {"visits": {"over": [["web"], ["db"]], "rules": {"tcp": {"ether_type": "ipv4", "protocol": "tcp"}}}}
"""A path of the shop."""

LONE = "{id: lone, vnfs: {db: {vnfd: db, links: {port: net}, max: 3}}, links: {net: ''}}"


def two_flavours() -> Path:
    """The web VNF with a flavour `default` and a flavour `wide`, which has other VNFCs."""
    files = {}
    flavours = {"default": loaded(WEB), "wide": loaded(WEB)}
    wide = flavours["wide"]
    wide["vdus"] = copy.deepcopy(wide["vdus"])
    wide["vdus"]["cache"] = {"nics": {"clan": "lan"}}
    wide["vdus"]["back"]["vcpus"] = 2
    names = []
    types: dict[str, Any] = {}
    for id, short in flavours.items():
        folder = vnf_folder({**short, "id": "web"})
        template = json.loads(folder.pop("Definitions/web.yaml"))
        types |= template.pop("node_types")
        template["imports"] = []
        template["topology_template"]["substitution_mappings"]["properties"] = {"flavour_id": id}
        template["topology_template"]["node_templates"]["vnf"]["properties"]["flavour_description"] = id
        files |= folder | {f"Definitions/{id}.yaml": json.dumps(template)}
        names.append(f"{id}.yaml")
    node_type = next(name for name in types if name != "test.Unit")
    top = {
        "tosca_definitions_version": "tosca_simple_yaml_1_3",
        "imports": ["https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_vnfd_types.yaml", *names],
        "node_types": types,
        "topology_template": {
            "inputs": {"selected_flavour": {"type": "string"}},
            "node_templates": {
                "VNF": {"type": node_type, "properties": {"flavour_id": {"get_input": "selected_flavour"}}},
            },
        },
    }
    files["TOSCA-Metadata/TOSCA.meta"] = "Entry-Definitions: Definitions/top.yaml\n"
    files["Definitions/top.yaml"] = json.dumps(top)
    return csar(files)
