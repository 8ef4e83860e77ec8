"""The MEC platform of a node as others call it: the API on Mp1, and the orchestrator of applications on Mm3 and Mm5.

`Platform` fits `skerry.model.platform.Platform`, and is the platform of every zone that the node serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from skerry.access.clients import Clients
from skerry.engine.events import EventLog
from skerry.errors import ForbiddenError, NotFoundError, UnsupportedError
from skerry.mep import timing
from skerry.mep.apps import Apps, scopes_for
from skerry.mep.dns.names import Names
from skerry.mep.registry import Registry
from skerry.mep.rules import Rules, following
from skerry.mep.steering import Steering
from skerry.mep.telling import APPLICATIONS, SERVICES, Post, Teller
from skerry.mep.topics import Hearing, Topics
from skerry.mep.transports import TOKENS, Transports, offered
from skerry.mep.users import Users
from skerry.mep.zones import Zones
from skerry.model import appd
from skerry.model.mec import (
    App,
    AppInfo,
    DnsRule,
    OperationAction,
    RuleState,
    SerializerType,
    Service,
    ServiceState,
    TrafficRule,
    TransportInfo,
)
from skerry.model.notifications import Subscription
from skerry.model.platform import Access, Action, AppAddress, HostedApp, Offer, OfferedService
from skerry.model.time import Clock, Ids
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs


class Subscribers(Post, Protocol):
    """The notifications of a node, as the platform needs them; `Notifications` fits it."""

    def subscriptions(self, api: str, *, tenant: str = "") -> Sequence[Subscription]: ...
    def subscription(self, id: str, api: str = "", *, tenant: str = "") -> Subscription: ...
    async def subscribe(
        self,
        api: str,
        version: str,
        callback_uri: str,
        *,
        filter: Mapping[str, Any] | None = None,
        root: str = "",
        place: str = "",
        pull: bool = False,
        test: bool | None = None,
        duplicates: bool = False,
        tenant: str = "",
    ) -> tuple[Subscription, bool]: ...
    async def unsubscribe(self, id: str, api: str = "", *, match: Revs = None, tenant: str = "") -> None: ...
    async def fetch(self, id: str, *, after: int, wait_s: float, tenant: str = "") -> list[tuple[int, bytes]]: ...
    async def reach(self, subscription: Subscription, body: bytes) -> str: ...


VERSION = "1.0"
"""Of both APIs in their URIs (`v1`), as links in notifications need it."""


class Platform:
    """`root` is the node's address as applications reach it, "" where nobody said it."""

    def __init__(
        self,
        *,
        database: Database,
        events: EventLog,
        clock: Clock,
        ids: Ids,
        notifications: Subscribers,
        clients: Clients,
        steering: Steering,
        names: Names,
        root: str = "",
        features: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._notifications = notifications
        self._root = root
        self._features = features or {}
        self.names = names
        self._steering = steering
        self._teller = Teller(database, notifications, clock, ids)
        self.apps = Apps(database, events, clock, ids, self._teller, clients)
        self.services = Registry(database, events, clock, ids, self._teller, Transports(root))
        self.rules = Rules(database, events, clock, steering, names)
        self.topics: Topics[Hearing] = Topics()
        self.users = Users(self.topics, clock)
        self.zones = Zones(database, events, clock, names)

    async def start(self) -> None:
        """Go on where the node stopped."""
        self.apps.start()
        await self.services.start()
        await self.rules.start(self.zones.answers())

    async def resume(self) -> None:
        """Go on with what needs the rest of the node."""
        await self.rules.resume()

    async def stop(self) -> None:
        """Let go; what is in force in the data plane stays."""
        await self.services.stop()
        await self.names.stop()

    # -- Mp1 ----------------------------------------------------------------------------------------------------------

    def app_of(self, id: str, *, tenant: str, client: str = "") -> App:
        """The application that a path names. `ForbiddenError` where the caller is another application."""
        app = self.apps.get(id, tenant=tenant)
        caller = self.caller(client)
        if caller is not None and caller.id != app.id:
            raise ForbiddenError(
                f"cannot act for the application {id}: the token is another one's",
                suggestion="an application uses its own appInstanceId",
            )
        return app

    def caller(self, client: str) -> App | None:
        """The application that a client of the node is, or None for a person or another program."""
        return self.apps.of_client(client) if client else None

    async def forget_app(self, app: App) -> None:
        """Remove everything of an application: what it put in force first, its records last. Repeatable."""
        await self.rules.release(app.id)
        for subscription in self.subscriptions(app):
            await self._notifications.unsubscribe(subscription.id, tenant=app.tenant)

        def work(tx: Transaction) -> list[Service]:
            gone = self.services.removing(tx, app.id)
            self.rules.removing(tx, app.id)
            self.apps.removing(tx, app)
            return gone

        def gone(services: list[Service]) -> None:
            self.services.forget(services)
            self.apps.forget(app)

        await self._teller.write(work, gone)

    async def deregister(self, app: App, *, match: Revs = None) -> None:
        """An application takes back what it told of itself. Nothing stays of one that came by itself; what the MEC management
        instantiated stays known to it. `PreconditionError` where it is in none of the revisions `match`."""
        if app.info.is_ins_by_mec or match is not None:
            # of those who ask on the same condition one is let through, before anything is undone
            await self.apps.unregister(app, match=match)
        if not app.info.is_ins_by_mec:
            await self.forget_app(app)

    def transports(self, root: str) -> Sequence[TransportInfo]:
        """What the platform itself provides, addressed as the caller sees it."""
        return offered(self._root or root)

    def timing(self) -> timing.Sources:
        """Where this machine has its time from."""
        return timing.sources(Path("/"))

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def subscriptions(self, app: App, api: str = "") -> list[Subscription]:
        """An application's, of one API or of both."""
        apis = (api,) if api else (SERVICES, APPLICATIONS)
        place = _place(app)
        return [
            one
            for name in apis
            for one in self._notifications.subscriptions(name, tenant=app.tenant)
            if one.place == place
        ]

    def subscription(self, app: App, api: str, id: str) -> Subscription:
        """One; `NotFoundError` also for one of another application."""
        found = self._notifications.subscription(id, api, tenant=app.tenant)
        if found.place != _place(app):
            raise _no_subscription(id)
        return found

    async def subscribe(
        self, app: App, api: str, callback: str, filter: Mapping[str, Any], *, root: str, pull: bool
    ) -> Subscription:
        """Subscribe an application to services or to its own termination. With `pull` it fetches what it is told."""
        made, _ = await self._notifications.subscribe(
            api,
            VERSION,
            callback,
            filter=filter,
            root=self._root or root,
            place=_place(app),
            pull=pull,
            test=False,
            duplicates=True,
            tenant=app.tenant,
        )
        return made

    async def try_out(self, app: App, made: Subscription) -> str:
        """Send a TestNotification to a new subscription (MEC 009 6.12a); one that does not take it is ended again. What went
        wrong, "" if nothing did."""
        link = {"href": f"{made.root}/{made.api}/v1{made.place}/subscriptions/{made.id}"}
        body = msgspec.json.encode({"notificationType": "TestNotification", "_links": {"subscription": link}})
        trouble = await self._notifications.reach(made, body)
        if trouble:
            await self._notifications.unsubscribe(made.id, tenant=app.tenant)
        return trouble

    async def unsubscribe(self, app: App, api: str, id: str, *, match: Revs = None) -> None:
        """Nothing more is delivered once this returns. `PreconditionError` where it is in none of the revisions `match`."""
        self.subscription(app, api, id)
        await self._notifications.unsubscribe(id, api, match=match, tenant=app.tenant)

    def owner(self, id: str, *, tenant: str, client: str) -> App:
        """The application of a subscription; the caller must be it, or no application."""
        place = self._notifications.subscription(id, tenant=tenant).place
        if not place:
            raise _no_subscription(id)
        return self.app_of(place.rpartition("/")[2], tenant=tenant, client=client)

    async def fetch(self, app: App, id: str, *, after: int, wait_s: float) -> list[tuple[int, bytes]]:
        """What waits for a subscription with `pull`."""
        if self._notifications.subscription(id, tenant=app.tenant).place != _place(app):
            raise _no_subscription(id)
        return await self._notifications.fetch(id, after=after, wait_s=wait_s, tenant=app.tenant)

    # -- Mm3 and Mm5 --------------------------------------------------------------------------------------------------

    def at(self, zone: str) -> Platform:
        """The platform of a zone: this one, which keeps the zones apart by its applications."""
        del zone
        return self

    async def offer(self) -> Offer:
        """What applications find here now."""
        found = dict.fromkeys(_offered(self.services.active()))
        transports = {one.type: (SerializerType.JSON,) for one in offered(self._root)}
        return Offer(
            services=tuple(found),
            features=self._features,
            transports=transports,
            enforces=("traffic", "dns") if self._steering.able else ("dns",),
        )

    async def admit(self, app: HostedApp) -> Access:
        """Make an application known before it starts."""
        info = AppInfo(
            app_name=app.app_name,
            app_provider=app.app_provider or None,
            app_d_id=app.app_d_id,
            app_instance_id=app.app_instance_id,
            is_ins_by_mec=True,
        )
        wished = App(id=app.app_instance_id, tenant=app.tenant, info=info, zone=app.zone)
        needed = (*app.config.app_service_required, *app.config.app_service_optional)
        scopes = scopes_for([one.ser_name for one in needed])
        await self.apps.admit(wished, app.client_id, app.client_secret, scopes)
        token = self._root + TOKENS if self._root else ""
        return Access(mp1_endpoint=self._root, token_endpoint=token)

    async def activate(self, app: HostedApp, addresses: tuple[AppAddress, ...]) -> None:
        """Put the descriptor's rules in force; they are ACTIVE when this returns. Of an application that has come from another
        zone they are as it had changed them, with its new addresses."""
        before = self.apps.get(app.app_instance_id, tenant=app.tenant)
        ports = tuple(f"{one.vim}/{one.instance}/{one.network}" for one in addresses)
        by_point = {one.cpd_id: one.ip for one in reversed(addresses)}
        record = await self.apps.placed(before, ports, by_point)
        record = msgspec.structs.replace(record, zone=app.zone)
        traffic = [_traffic(rule, addresses) for rule in app.config.app_traffic_rule]
        dns = [_dns(rule) for rule in app.config.app_dns_rule]
        moved = {old: by_point[name] for name, old in before.addresses.items() if name in by_point}
        had = {rule.id: rule for rule in self.rules.everything(record.id) if rule.zone != app.zone}
        await self.rules.replace_all(record, *following(record.id, traffic, dns, had, moved))

    async def deactivate(self, app_instance_id: str) -> None:
        """Take its rules out of force, and its services out of use; it stays known."""
        if app := self.apps.find(app_instance_id):
            await self.rules.withdraw(app)
            await self.apps.placed(app, (), {})
            for service in self.services.all(tenant=app.tenant, app_id=app.id):
                await self.services.set_state(service, ServiceState.INACTIVE)

    async def ask_to_stop(self, app_instance_id: str, action: Action, timeout_s: float) -> bool:
        """Tell the application and wait for its confirmation."""
        app = self.apps.find(app_instance_id)
        if app is None:
            return True
        told = any(one.filter.get("appInstanceId") == app.id for one in self.subscriptions(app, APPLICATIONS))
        return await self.apps.ask_to_end(app, OperationAction(action), timeout_s, told=told)

    async def forget(self, app_instance_id: str) -> None:
        """Remove everything about it."""
        if app := self.apps.find(app_instance_id):
            await self.forget_app(app)


def _no_subscription(id: str) -> NotFoundError:
    return NotFoundError(f"cannot find subscription {id}", suggestion="list the application's subscriptions")


def _place(app: App) -> str:
    return f"/applications/{app.id}"


def _offered(services: Iterator[Service]) -> Iterator[OfferedService]:
    for service in services:
        info = service.info
        if info.transport_info is not None:
            yield OfferedService(
                name=info.ser_name,
                version=info.version,
                transport=info.transport_info.type,
                serializer=info.serializer,
            )


MACS = {"srcMACAddress": "srcMacAddress", "dstMACAddress": "dstMacAddress", "dstIPAddress": "dstIpAddress"}
"""What MEC 010-2 and MEC 011 spell differently."""


def _traffic(rule: appd.TrafficRule, addresses: Sequence[AppAddress]) -> TrafficRule:
    """A rule of a descriptor as a rule of Mp1. `UnsupportedError` for filters that no data plane can see. Without a
    destination, traffic goes to the application itself."""
    unseen = [name for one in rule.traffic_filter for name in ("uri", "packet_label") if getattr(one, name)]
    if unseen:
        raise UnsupportedError(
            f"cannot filter by {unseen[0]} in the traffic rule {rule.traffic_rule_id}",
            suggestion="filter by addresses, ports, protocol, tag or tunnel",
        )
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    if interface := plain.get("dstInterface"):
        plain["dstInterface"] = {MACS.get(name, name): value for name, value in interface.items()}
    elif addresses:
        plain["dstInterface"] = {"interfaceType": "IP", "dstIpAddress": addresses[0].ip}
    return msgspec.convert({**plain, "state": RuleState.ACTIVE.value}, TrafficRule)


def _dns(rule: appd.DnsRule) -> DnsRule:
    return msgspec.convert({**msgspec.to_builtins(rule), "state": RuleState.ACTIVE.value}, DnsRule)
