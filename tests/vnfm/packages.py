"""The VNF packages of these tests, in the short form of `builder`."""

from __future__ import annotations

WEB = """
id: web
vdus:
  front:
    nics: {pub: ext, inner: lan}
    env: {MODE: {get_property: [SELF, configurable_properties, mode]}, PEER: {get_attribute: [back, ip_address]}}
    files: {/etc/front: {concat: ['peer=', {get_attribute: [back, ip_address]}]}}
    needs: [back]
  back: {nics: {blan: lan}, initial: 2, vcpus: 1}
links: {lan: 10.9.0.0/24}
aspects:
  fronts: {max: 3, deltas: {front: [1, 2]}}
  backs: {max: 2, deltas: {back: [1]}}
levels:
  small: {fronts: 0, backs: 0}
  large: {fronts: 1, backs: 2}
properties: {mode: calm}
provides: {address: {get_attribute: [pub, ip_address]}}
"""

EVENTS = (
    "instantiate", "instantiate_end", "scale_start", "scale", "scale_end", "heal_start", "heal", "heal_end",
    "operate_start", "operate", "operate_end", "modify_information_start", "modify_information",
    "modify_information_end", "scale_to_level_start", "scale_to_level_end", "terminate_start", "terminate",
)  # fmt: skip

SCRIPTED = {
    "id": "scripted",
    "vdus": {"one": {"nics": {"pub": "ext"}, "env": {"A": {"get_property": ["SELF", "configurable_properties", "a"]}}}},
    "aspects": {"more": {"max": 4, "deltas": {"one": [1]}}},
    "properties": {"a": "1"},
    "scripts": {event: {"run": f"echo {event}"} for event in EVENTS},
}
"""One VDU, and a script for every event that tells its name."""

PLAIN = "{id: plain, vdus: {one: {nics: {pub: ext}}}}"
