"""How the parts of an AppD are called in the VNFD and NSD that it becomes. Pure, and light to import."""

from __future__ import annotations

import re
from collections.abc import Iterable

from skerry.model.appd import AppD, TrafficRule

PROFILE = "app"
"""The VNF profile that an application is in its NSD."""

FLAVOUR = "default"
"""The only deployment flavour of that NSD."""

GRAPH = "mec"
"""The forwarding graph of that NSD: the paths that the application's traffic rules become."""


def unit_name(appd: AppD) -> str:
    """The VDU that an application becomes."""
    described = appd.os_container_descriptor[0].os_container_desc_id if appd.os_container_descriptor else "app"
    return word(described)


def point_name(cpd_id: str) -> str:
    """The VNF's connection point of a connection point of the application."""
    return word(cpd_id)


def link_name(cpd_id: str) -> str:
    """The NS's virtual link of a connection point of the application."""
    return f"{word(cpd_id)}-link"


def nsd_id(appd: AppD) -> str:
    """The identifier of the NSD that goes with an AppD."""
    return f"{appd.app_d_id}-ns"


def word(text: str) -> str:
    """The text as templates may have it for a name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "app"


def steered_points(appd: AppD, rules: Iterable[TrafficRule]) -> tuple[str, ...]:
    """The VNF's connection points that the data plane alone shall serve: those that traffic rules lead to. One is left by which
    the application reaches its platform; where rules lead to all of them, none is steered."""
    points = {cp.cpd_id for cp in appd.app_ext_cpd}
    led_to = [rule.dst_interface.dst_ip_address for rule in rules if rule.dst_interface is not None]
    found = tuple(dict.fromkeys(point_name(name) for name in led_to if name in points))
    return found if len(found) < len(points) else ()
