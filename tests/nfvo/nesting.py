"""Nested network services for the short form of network services: `{name: {nsd: id, count: 1, links: {requirement: link}}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from skerry.model.ns import NsInstance
from tests.nfvo.saps import with_saps
from tests.vnfm.builder import Lab, csar, loaded, ns_folder, vnf_folder

UNIT = "{id: post, vdus: {box: {nics: {tap: ext}}}}"

BRANCH = """
id: branch
vnfs: {unit: {vnfd: post, links: {tap: lan}}}
links: {lan: 10.72.0.0/24}
saps: {door: lan}
aspects: {size: {unit: [1, 2]}}
"""

CAMPUS: Mapping[str, Any] = {
    "id": "campus",
    "vnfs": {"gate": {"vnfd": "post", "links": {"tap": "core"}}},
    "links": {"core": "10.73.0.0/24"},
    "aspects": {"wings": {"gate": [1, 1]}},
    "nested": {"wing": {"nsd": "branch", "at": {"wings": [1, 2]}, "links": {"virtual_link": "core"}}},
}
"""A gate and a branch on one virtual link, and another branch when it is scaled."""


def nesting_folder(text: str | Mapping[str, Any]) -> dict[str, str]:
    """The files of an NS package whose short form may have `nested`; `at` has numbers at the levels of scaling aspects."""
    short = loaded(text)
    ((name, content),) = with_saps(ns_folder(short), short.get("saps", {})).items()
    template = json.loads(content)
    for node, inner in short.get("nested", {}).items():
        template["node_types"][f"test.{node}.Ns"] = {"derived_from": "tosca.nodes.nfv.NS"}
        nodes, policies = template["topology_template"]["node_templates"], template["topology_template"]["policies"]
        nodes[node] = {
            "type": f"test.{node}.Ns",
            "properties": {
                "descriptor_id": inner["nsd"],
                "designer": "Test",
                "version": "1.0",
                "name": inner["nsd"],
                "invariant_id": inner["nsd"],
                "flavour_id": inner.get("flavour", "default"),
                "ns_profile": {"min_number_of_instances": inner.get("count", 1), "max_number_of_instances": 9},
            },
            "requirements": [{requirement: link} for requirement, link in inner.get("links", {}).items()],
        }
        for aspect, numbers in inner.get("at", {}).items():
            counts = {str(level): number for level, number in enumerate(numbers)}
            mapping = {"aspect": aspect, "number_of_instances": counts}
            policy = {"type": "tosca.policies.nfv.NsToLevelMapping", "properties": mapping, "targets": [node]}
            policies.append({f"{aspect}_{node}": policy})
    return {name: json.dumps(template, indent=1)}


async def onboard(it: Lab, *services: str | Mapping[str, Any]) -> None:
    """The VNF of these tests, and these network services."""
    if not it.node.catalogue.vnf_packages():
        await it.onboard(csar(vnf_folder(UNIT)))
    for text in services:
        await it.onboard_ns(csar(nesting_folder(text)))


async def service(it: Lab, nsd: str, **params: Any) -> NsInstance:
    """An NS of it, instantiated unless `instantiate=False`."""
    made = await it.node.nfvo.create(nsd, name=nsd)
    if params.pop("instantiate", True):
        await it.done("ns.instantiate", made.id, params)
    return it.node.nfvo.instance(made.id)


def running(it: Lab) -> dict[str, int]:
    """NS → how many instances of its own members the infrastructure has now."""
    owners = [machine.owner for machine in it.machines().values()]
    return {
        ns.id: sum(owners.count(member.vnf_instance_id) for member in ns.members.values())
        for ns in it.node.nfvo.instances()
    }
