"""Users of the mobile network as applications hear of them: an event on the bus as soon as a control plane spoke of one.

Topics are `platform/ue/attach` and `platform/ue/detach`. Where users are is what all tenants share in the data plane: only
applications of the node's own tenant hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skerry.access.roles import NODE_TENANT
from skerry.mep.topics import RESERVED, Hearing, Topics
from skerry.model.time import Clock, stamp

ATTACH, DETACH = f"{RESERVED}ue/attach", f"{RESERVED}ue/detach"
SENDER = "platform"


class UserEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A user came, moved or went: the address, the device whose line the control plane passed, its zone ("" = any)."""

    ue: str
    device: str
    zone: str
    time: str


class Users:
    """Tells the bus."""

    def __init__(self, topics: Topics[Hearing], clock: Clock) -> None:
        self._topics, self._clock = topics, clock

    def changed(self, device: str, zone: str, came: Sequence[str], went: Sequence[str]) -> None:
        """What a control plane said."""
        for topic, users in ((DETACH, went), (ATTACH, came)):
            heard = list(self._topics.listeners(NODE_TENANT, topic)) if users else ()
            for ue in users if heard else ():
                told = UserEvent(ue=ue, device=device, zone=zone, time=stamp(self._clock.now()))
                frame = msgspec.json.encode({"topic": topic, "body": told, "from": SENDER})
                for one in heard:
                    one.hear(frame)
