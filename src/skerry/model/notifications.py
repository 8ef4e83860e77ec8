"""Subscriptions to notifications, and the notifications that wait to be delivered, as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skerry.model.vnf import Record


class Basic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`paramsBasic` of SubscriptionAuthentication (SOL013 8.3.4)."""

    user_name: str
    password: str

    def __repr__(self) -> str:
        return f"Basic(user_name={self.user_name!r})"


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`paramsOauth2ClientCredentials` of SubscriptionAuthentication (SOL013 8.3.4)."""

    client_id: str
    client_password: str
    token_endpoint: str

    def __repr__(self) -> str:
        return f"ClientCredentials(client_id={self.client_id!r}, token_endpoint={self.token_endpoint!r})"


class Authentication(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the node says to a subscriber who it is. `certificate`: with the node's TLS client certificate."""

    basic: Basic | None = None
    oauth2: ClientCredentials | None = None
    certificate: bool = False


class Subscription(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A subscription of any API (`vnflcm`, `vnfpkgm`, `nsd`, `nslcm` …), made through its `version` (such as 2.3.0).

    `filter` is as the subscriber wrote it. `root` is the node's address as the subscriber sees it: links in notifications
    begin with it. Events up to number `after` are older than the subscription. `source` is the resource that names the
    callback itself (a PM job or threshold); then nobody lists the subscription, and notifications do not name it. `place`
    is the path below the API's root under which `/subscriptions` is, where that is not the root itself. The subscriber of one
    with `pull` has no address: it fetches what waits.
    """

    api: str
    version: str
    callback_uri: str
    filter: Mapping[str, Any] = {}
    verbosity: str = "FULL"
    authentication: Authentication = Authentication()
    root: str = ""
    after: int = 0
    source: str = ""
    place: str = ""
    pull: bool = False

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One notification before it is addressed to a subscriber.

    `id` is the notification's own, the same for every subscriber. `number` is its place in the order of all; `event` is
    the event that it tells of. `resource` is what it is about: notifications of one resource stay in their order.
    `subject` is what filters look at; `body` the attributes of the notification itself, `detail` those that a subscriber
    with verbosity SHORT is spared; `links` are paths below the API's root, `elsewhere` paths below the node's.
    """

    id: str
    api: str
    type: str
    time: str
    resource: str
    tenant: str = ""
    number: int = 0
    event: int = 0
    subject: Mapping[str, Any] = {}
    body: Mapping[str, Any] = {}
    detail: Mapping[str, Any] = {}
    links: Mapping[str, str] = {}
    elsewhere: Mapping[str, str] = {}


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a subscriber was notified: everything up to `position` is settled. `failing_since` and `error` tell of
    trouble; one that is `parked_at` a time is not tried any more."""

    subscription: str
    position: int = 0
    failing_since: str = ""
    error: str = ""
    parked_at: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a subscriber fares. `waiting` counts what is to be delivered, at most 1000."""

    subscription: Subscription
    state: Literal["ACTIVE", "FAILING", "PARKED"]
    waiting: int = 0
    failing_since: str = ""
    parked_at: str = ""
    error: str = ""
