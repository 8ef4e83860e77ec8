"""What an operation did to the parts of an NS, on the wire (SOL005 clause 6.5.3)."""

from __future__ import annotations

from typing import Literal

from skerry.api.wire import KeyValuePairs, Wire


class Affected(Wire, frozen=True, kw_only=True):
    """What all of them have: what was done to the part, and with which result."""

    change_type: str
    change_result: Literal["COMPLETED", "ROLLED_BACK", "FAILED"]


class AffectedVnf(Affected, frozen=True, kw_only=True):
    """AffectedVnf (6.5.3.2). The official V3.7.1 file asks for `changedExtConnectivity`, which is empty here."""

    vnf_instance_id: str
    vnfd_id: str
    vnf_profile_id: str
    vnf_name: str
    changed_ext_connectivity: list[KeyValuePairs]
    changed_info: KeyValuePairs | None = None


class AffectedVirtualLink(Affected, frozen=True, kw_only=True):
    """AffectedVirtualLink (6.5.3.4)."""

    ns_virtual_link_instance_id: str
    ns_virtual_link_desc_id: str
    vl_profile_id: str


class AffectedSap(Affected, frozen=True, kw_only=True):
    """AffectedSap (6.5.3.7)."""

    sap_instance_id: str
    sapd_id: str
    sap_name: str


class AffectedVnffg(Affected, frozen=True, kw_only=True):
    """AffectedVnffg (6.5.3.5)."""

    vnffg_instance_id: str
    vnffgd_id: str


class AffectedPnf(Affected, frozen=True, kw_only=True):
    """AffectedPnf (6.5.3.3)."""

    pnf_id: str
    pnfd_id: str
    pnf_profile_id: str
    pnf_name: str
    cp_instance_id: list[str]
    change_type: Literal["ADD", "REMOVE", "MODIFY"]


class AffectedNs(Affected, frozen=True, kw_only=True):
    """AffectedNs (6.5.3.6)."""

    ns_instance_id: str
    nsd_id: str
