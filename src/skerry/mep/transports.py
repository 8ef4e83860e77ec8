"""The transports that the platform itself provides to producers and consumers of services (MEC 011 8.2.4)."""

from __future__ import annotations

from skerry.errors import NotFoundError
from skerry.model.mec import EndPointInfo, GrantType, OAuth2Info, SecurityInfo, TransportInfo, TransportType

BUS = "/mp1/v1/bus"
TOKENS = "/oauth2/token"


def offered(root: str) -> tuple[TransportInfo, ...]:
    """What is there, under the node's address as the caller sees it."""
    security = SecurityInfo(
        o_auth2_info=OAuth2Info(
            grant_types=(GrantType.OAUTH2_CLIENT_CREDENTIALS,), token_endpoint=root + TOKENS if root else None
        )
    )
    bus = ("wss" if root.startswith("https") else "ws") + root[root.find("://") :] + BUS if root else BUS
    return (
        TransportInfo(
            id="skerry-rest",
            name="REST",
            description="the platform's HTTP server: Mp1 itself",
            type=TransportType.REST_HTTP,
            protocol="HTTP",
            version="1.1",
            endpoint=EndPointInfo(uris=(root or "/",)),
            security=security,
        ),
        TransportInfo(
            id="skerry-bus",
            name="Message bus",
            description="publish and subscribe by topic, between the applications of a tenant",
            type=TransportType.MB_TOPIC_BASED,
            protocol="WebSocket",
            version="13",
            endpoint=EndPointInfo(uris=(bus,)),
            security=security,
            impl_specific_info={"wildcards": ["+", "#"], "serializer": "JSON"},
        ),
        TransportInfo(
            id="skerry-websocket",
            name="WebSocket",
            description="Mp1 requests and notifications on one connection",
            type=TransportType.WEBSOCKET,
            protocol="WebSocket",
            version="13",
            endpoint=EndPointInfo(uris=(bus,)),
            security=security,
        ),
    )


class Transports:
    """What is provided here. `root` is the node's address as applications reach it."""

    def __init__(self, root: str) -> None:
        self._known = {transport.id: transport for transport in offered(root)}

    def provided(self, id: str) -> TransportInfo:
        """One; `NotFoundError` names those that there are."""
        if id not in self._known:
            raise NotFoundError(
                f"cannot find the transport {id}",
                suggestion=f"there are {', '.join(self._known)}; or give transportInfo",
            )
        return self._known[id]
