"""How virtual links of an NS instance go on over a WAN, as its client says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class WanConnection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """WanConnectionInfo (SOL005 6.5.3.80) of a virtual link: `link` is the profile of an NS's, or of one inside of VNFs of the
    profile `vnf_profile`. `mscs` is MscsInfo (6.5.3.82), `endpoints` ConnectivityServiceEndpointInfo (6.5.3.84) by its
    identifier, both as they were given: nothing of them is made here."""

    link: str
    vnf_profile: str = ""
    mscs: Mapping[str, Any] = {}
    endpoints: Mapping[str, Mapping[str, Any]] = {}


WanConnections = Mapping[str, WanConnection]
"""By WanConnectionInfo's identifier."""
