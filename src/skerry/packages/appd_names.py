"""How the parts of an AppD are called in the VNFD and NSD that it becomes. Pure, and light to import."""

from __future__ import annotations

import re

from skerry.model.appd import AppD


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
