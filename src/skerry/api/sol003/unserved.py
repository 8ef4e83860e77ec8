"""What requests of VNF LCM (SOL003 clause 5) may ask for and is refused, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.api.refusals import Unserved, below

_ADDRESSES: Unserved = {
    "segmentationId": "interfaces are no trunks",
    "segmentationType": "interfaces are no trunks",
    "ipAddresses/subnetId": "a network has one subnet",
    "ipAddresses/addressRange": "an interface has one address; name it in fixedAddresses, or leave the choice to the node",
}
_LINK: Unserved = {
    "resourceProviderId": "resources are managed in direct mode",
    "extLinkPorts": "ports of networks are made with the instances",
    "extCps/cpConfig/*/parentCpConfigId": "interfaces are no trunks",
    "extCps/cpConfig/*/linkPortId": "ports of networks are made with the instances",
    **below("extCps/cpConfig/*/cpProtocolData/ipOverEthernet", _ADDRESSES),
}
LINKS = below("extVirtualLinks", _LINK)
"""Of requests that name external virtual links."""

MANAGED = below(
    "extManagedVirtualLinks",
    {
        "resourceProviderId": "resources are managed in direct mode",
        "vnfLinkPort": "ports of networks are made with the instances",
        "extManagedMultisiteVirtualLinkId": "a virtual link is on one site",
    },
)
LANGUAGE: Unserved = {"localizationLanguage": "VNFs have no languages to choose from"}

UNSERVED: Mapping[str, Unserved] = {
    "instantiate": {**LINKS, **MANAGED, **LANGUAGE},
    "change_flavour": {**LINKS, **MANAGED},
    "change_package": {**LINKS, **MANAGED},
    "change_ext_conn": LINKS,
}
"""By the verb of the operation."""
