"""What requests of NS LCM (SOL005 clause 6) may ask for and is refused, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.api.refusals import Unserved, below
from skerry.api.sol003 import unserved as of_vnf

_PLACE: Unserved = {
    f"locationConstraints/{name}": "infrastructures are chosen by vimId"
    for name in ("countryCode", "civicAddressElement", "area", "zone")
}
_VNF: Unserved = {**of_vnf.LINKS, **of_vnf.MANAGED}
_SAP: Unserved = {
    f"sapProtocolData/ipOverEthernet/{name}": why
    for name, why in (
        ("segmentationId", "traffic at a SAP has no segments"),
        ("segmentationType", "traffic at a SAP has no segments"),
        ("ipAddresses/subnetId", "a SAP is in the subnet of its virtual link"),
    )
}

UNSERVED: Mapping[str, Unserved] = {
    "instantiate": {
        **below("sapData", _SAP),
        **below("locationConstraints", _PLACE),
        **below("nestedNsLocationConstraints", _PLACE),
        "wanConnectionData/protocolData/mscsConfigData": "no manager of a WAN is connected: name what is there in mscsInfo",
    },
    "scale": {
        **below("scaleNsData/locationConstraints", _PLACE),
        **below("scaleNsData/nestedNsLocationConstraints", _PLACE),
    },
    "heal": {
        "healNsData/actionsHealing": "healing makes anew what is broken",
        "healNsData/healScript": "healing makes anew what is broken",
    },
    "update": {
        **below("instantiateVnfData", of_vnf.LANGUAGE),
        "instantiateVnfData/extVirtualLinks": "the NSD connects its VNFs",
        "instantiateVnfData/extManagedVirtualLinks": "a VNF makes its internal virtual links itself",
        **below("instantiateVnfData/locationConstraints", _PLACE),
        **below("addSap", _SAP),
        **below("changeVnfFlavourData", _VNF),
        **below("changeVnfPackageData", _VNF),
        **below("changeExtVnfConnectivityData", of_vnf.LINKS),
        "modifyVnfInfoData/vnfdId": "CHANGE_VNFPKG changes the package of a VNF",
        "addVnffg/targetNsInstanceId": "a VNFFG is added to the NS of the request",
        "updateVnffg/nfp/cpGroup/forwardingBehaviourInputParameters": "flows are shared out by their addresses and ports",
    },
    "terminate": {},
}
"""By the verb of the operation."""
