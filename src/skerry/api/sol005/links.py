"""Virtual links of others as requests of NS LCM name them (SOL005 clause 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.api.sol003.types import Identifier, VnfExtCpData
from skerry.api.wire import Wire


class ExtVirtualLinkData(Wire, frozen=True, kw_only=True):
    """ExtVirtualLinkData (6.5.3.26). The names of SOL003, `id` and `vim_connection_id`, are taken as well."""

    resource_id: Identifier
    ext_cps: list[VnfExtCpData]
    ext_virtual_link_id: Identifier | None = None
    id: Identifier | None = None
    vim_id: Identifier | None = None
    vim_connection_id: Identifier | None = None


class ExtManagedVirtualLinkData(Wire, frozen=True, kw_only=True):
    """ExtManagedVirtualLinkData (6.5.3.27). The names of SOL003 are taken as well."""

    vnf_virtual_link_desc_id: Identifier
    resource_id: Identifier
    ext_managed_virtual_link_id: Identifier | None = None
    id: Identifier | None = None
    vim_id: Identifier | None = None
    vim_connection_id: Identifier | None = None


def of_vnf(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a request for a VNF with its virtual links of others as SOL003 names them."""
    lists = {name: entry[name] for name in ("extVirtualLinks", "extManagedVirtualLinks") if entry.get(name)}
    return {**entry, **{name: [_link(link) for link in links] for name, links in lists.items()}}


def _link(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link without an identifier of its own is called like its network."""
    names = ("id", "extVirtualLinkId", "extManagedVirtualLinkId")
    plain = {name: value for name, value in link.items() if name not in (*names, "vimId")}
    plain["id"] = next((link[name] for name in names if link.get(name)), link["resourceId"])
    if vim := link.get("vimConnectionId") or link.get("vimId"):
        plain["vimConnectionId"] = vim
    return plain
