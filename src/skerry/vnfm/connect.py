"""Change the external connectivity of a VNF (SOL003 5.4.11): connection points move to other networks, or leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.model.vnf import VnfInstance
from skerry.vnfm.goal import Goal, current
from skerry.vnfm.instantiate import ext_links
from skerry.vnfm.operation import VnfOperation


class ChangeExtConn(VnfOperation):
    """Parameters: ChangeExtVnfConnectivityRequest (5.5.2.11): `extVirtualLinks`. Points that it does not name stay as they
    are. VNFCs of a point that moves are made again there; the others are not touched."""

    name: ClassVar[str] = "vnf.change_ext_conn"
    event: ClassVar[str] = "change_external_connectivity"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        now = current(instance)
        wished = ext_links(self.desk.flavour(instance), params)
        return msgspec.structs.replace(now, ext_links={**now.ext_links, **wished})
