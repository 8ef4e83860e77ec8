"""What the orchestrator of applications asks of a MEC platform (reference points Mm3 and Mm5), as values and a protocol.

There is one platform for each MEC host (a zone). Every call is idempotent by the instance's identifier, so that an
interrupted operation may repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from skerry.model.appd import PlatformPart
from skerry.model.mec import SerializerType, TrafficRule, TransportType


class OfferedService(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service that is ACTIVE on the platform, with the transport it is reached by."""

    name: str
    version: str
    transport: TransportType = TransportType.REST_HTTP
    serializer: SerializerType = SerializerType.JSON


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What applications find on a platform. `features` is name → version ("" = any); `transports` are those that the platform
    itself provides to producers of services; `enforces` are the kinds of rules that it can put in force."""

    services: tuple[OfferedService, ...] = ()
    features: Mapping[str, str] = {}
    transports: Mapping[TransportType, tuple[SerializerType, ...]] = {}
    enforces: tuple[Literal["traffic", "dns"], ...] = ()


class HostedApp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application instance as its platform must know it. `config` is what its descriptor asks of the platform;
    `client_secret` is for the token endpoint and must not be logged or shown."""

    app_instance_id: str
    app_d_id: str
    app_name: str
    app_provider: str = ""
    app_soft_version: str = ""
    app_d_version: str = ""
    app_instance_name: str = ""
    tenant: str = ""
    zone: str = ""
    client_id: str = ""
    client_secret: str = ""
    config: PlatformPart = PlatformPart()

    def __repr__(self) -> str:
        return f"HostedApp(app_instance_id={self.app_instance_id!r}, app_name={self.app_name!r}, zone={self.zone!r})"


class Access(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an application reaches its platform: base URI of Mp1, the token endpoint, and whatever else its containers get as
    environment. Empty where there is no platform to reach."""

    mp1_endpoint: str = ""
    token_endpoint: str = ""
    env: Mapping[str, str] = {}


class AppAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address of the instance: which connection point of the descriptor has it, and where."""

    cpd_id: str
    ip: str
    mac: str = ""
    vim: str = ""
    network: str = ""
    instance: str = ""  # the VNFC's name on its infrastructure


Action = Literal["STOPPING", "TERMINATING"]


class Platform(Protocol):
    """One MEC platform."""

    async def offer(self) -> Offer:
        """What applications find here now."""
        ...

    async def admit(self, app: HostedApp) -> Access:
        """Make the application known before it starts: its credentials count from now on, its services are announced once it
        confirms that it is ready. Again with other values: they replace the old ones."""
        ...

    async def activate(self, app: HostedApp, addresses: tuple[AppAddress, ...]) -> None:
        """Put the descriptor's traffic and DNS rules in force, now that the instance has addresses. Connection point ids in the
        rules have been replaced by addresses. Again with other rules: those that are not named any more go."""
        ...

    async def deactivate(self, app_instance_id: str) -> None:
        """Take all of its rules out of force; it stays known."""
        ...

    async def ask_to_stop(self, app_instance_id: str, action: Action, timeout_s: float) -> bool:
        """Tell the application that it is about to be stopped or terminated and wait until it confirms (MEC 011 5.2.3), at
        most so many seconds. False: it did not confirm. True at once where it did not ask to be told."""
        ...

    async def forget(self, app_instance_id: str) -> None:
        """Remove everything about it: rules, services, subscriptions, credentials. Nothing happens if it is not known."""
        ...


class NullPlatform:
    """A host without a MEC platform: applications run there, nothing is announced, no rule can be in force."""

    async def offer(self) -> Offer:
        """Nothing."""
        return Offer()

    async def admit(self, app: HostedApp) -> Access:
        """There is nothing to reach."""
        return Access()

    async def activate(self, app: HostedApp, addresses: tuple[AppAddress, ...]) -> None:
        """No rules; placement refuses applications that have some."""

    async def deactivate(self, app_instance_id: str) -> None:
        """No rules."""

    async def ask_to_stop(self, app_instance_id: str, action: Action, timeout_s: float) -> bool:
        """Nobody to tell."""
        return True

    async def forget(self, app_instance_id: str) -> None:
        """Nothing is known."""


class Manager(Protocol):
    """A platform manager (MEPM-V) as its platform reaches it over Mm5."""

    def manages(self, app_instance_id: str) -> bool:
        """Whether the application's traffic rules are put in force by the NFVO, as forwarding paths of its network service."""
        ...

    async def redirect(self, app_instance_id: str, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Put exactly these rules of an application in force; the answer says of each whether its effect was seen. An error
        says what refused them on the way; those that were in force stay so."""
        ...


class Managers(Protocol):
    """The platform managers of a node by zone."""

    def at(self, zone: str) -> Manager:
        """The manager of a zone's platform."""
        ...


class Platforms(Protocol):
    """The platforms of a node by zone."""

    def at(self, zone: str) -> Platform:
        """The platform that serves a zone ("" = the node's own zone)."""
        ...
