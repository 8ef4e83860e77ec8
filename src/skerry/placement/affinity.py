"""Whether places keep a rule of affinity or anti-affinity. Pure.

Nodes inside an infrastructure are not told apart: what is on two infrastructures is on two nodes, and of what shares one
nothing is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

NODE, POP = "NFVI_NODE", "NFVI_POP"
SCOPES = (NODE, POP, "ZONE", "ZONE_GROUP")
"""Scopes of the standard (SOL003 9.5.3.6, SOL005 6.5.3.57). A zone group is a zone here."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """These things are together, or apart (`anti`)."""

    scope: str
    anti: bool = False
    things: tuple[str, ...] = ()


def broken(rule: Rule, places: Mapping[str, Collection[str]], zones: Mapping[str, str]) -> str:
    """Why the rule is not kept; "" where it is. `places` is thing -> sites, `zones` site -> zone; what has no place yet, or is
    gone, breaks nothing."""
    sites = {thing: set(places[thing]) for thing in dict.fromkeys(rule.things) if places.get(thing)}
    if len(sites) < 2:
        return ""
    where = {thing: {_label(rule.scope, site, zones) for site in found} for thing, found in sites.items()}
    told = "; ".join(f"{thing} is on {', '.join(sorted(found))}" for thing, found in sorted(where.items()))
    if rule.anti:
        shared = sum(len(found) for found in where.values()) - len(set[str]().union(*where.values()))
        return f"they are not apart ({rule.scope}): {told}" if shared else ""
    if rule.scope == NODE:
        return "nodes of an infrastructure are not told apart"
    return f"they are not together ({rule.scope}): {told}" if len(set[str]().union(*where.values())) > 1 else ""


def _label(scope: str, site: str, zones: Mapping[str, str]) -> str:
    return site if scope in (NODE, POP) else zones.get(site) or site
