"""An application as its own code sees it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from skerry.mecapp.bus import Bus
from skerry.mecapp.session import PlatformError, Session
from skerry.model.mec import (
    AppInfo,
    DestinationInterface,
    DnsRule,
    EndPointInfo,
    FilterType,
    InterfaceType,
    IpAddressType,
    OperationAction,
    RuleState,
    SecurityInfo,
    SerializerType,
    ServiceInfo,
    ServiceState,
    TrafficAction,
    TrafficFilter,
    TrafficRule,
    TransportInfo,
    TransportType,
)

SUPPORT, SERVICES, MP1 = "/mec_app_support/v1", "/mec_service_mgmt/v1", "/mp1/v1"
WAIT_S = 30
AGAIN_S = 1.0

Ending = Callable[[OperationAction, int], Awaitable[None]]
"""What an application does before its stop or end: which of both, and how many seconds it has."""


class Change(NamedTuple):
    """A service changed: how (ADDED, REMOVED, STATE_CHANGED, ATTRIBUTES_CHANGED), and its state now."""

    name: str
    id: str
    change: str
    state: ServiceState


class App:
    """An application at its platform. Use it as an async context manager: at the end its tasks stop and what it subscribed to
    ends; what it registered stays, as the platform wants it to."""

    def __init__(self, session: Session, id: str = "") -> None:
        self.session = session
        self.id = id
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> App:
        """As the orchestrator started it (`MEC_MP1_ENDPOINT`, `MEC_APP_INSTANCE_ID` and credentials)."""
        known = os.environ if environment is None else environment
        return cls(Session.of(known), known.get("MEC_APP_INSTANCE_ID", ""))

    async def __aenter__(self) -> App:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.session.close()

    # -- itself -------------------------------------------------------------------------------------------------------

    async def register(self, name: str, **more: Any) -> AppInfo:
        """Tell the platform of this application; `more` are other attributes of AppInfo. One that no orchestrator started gets
        its identifier and credentials by this."""
        info = AppInfo(app_name=name, app_instance_id=self.id or None, **more)
        response = await self.session.call("POST", f"{SUPPORT}/registrations", msgspec.to_builtins(info))
        made = msgspec.json.decode(response.content, type=AppInfo)
        started_by_us = bool(self.id)
        self.id = made.app_instance_id or self.id
        if not started_by_us:
            given = (await self.session.call("POST", f"{MP1}/applications/{self.id}/credentials")).json()
            self.session.use(given["clientId"], given["clientSecret"])
        return made

    async def deregister(self) -> None:
        """Take back everything."""
        await self.session.call("DELETE", f"{SUPPORT}/registrations/{self.id}")

    async def ready(self) -> None:
        """Up and running."""
        await self.session.call("POST", f"{self._support}/confirm_ready", {"indication": "READY"})

    async def before_end(self, do: Ending) -> None:
        """From now on, `do` is called before a graceful stop or termination; when it returns, the platform is told to go on."""
        subscription = await self._subscribe(
            SUPPORT, {"subscriptionType": "AppTerminationNotificationSubscription", "appInstanceId": self.id}
        )

        async def follow() -> None:
            async for told in self._told(subscription):
                action = OperationAction(told["operationAction"])
                await do(action, int(told["maxGracefulTimeout"]))
                # One that took too long is over already.
                with suppress(PlatformError):
                    await self.session.call(
                        "POST", f"{self._support}/confirm_termination", {"operationAction": action.value}
                    )

        self._spawn(follow())

    # -- services -----------------------------------------------------------------------------------------------------

    async def offer(
        self,
        name: str,
        uri: str,
        *,
        version: str = "1.0",
        category: Mapping[str, str] | None = None,
        heartbeat_s: int = 0,
        **more: Any,
    ) -> ServiceInfo:
        """Offer a service that is reached by HTTP at `uri`; `more` are other attributes of ServiceInfo. With `heartbeat_s`,
        signs of life are sent as long as this application lives, and the platform suspends the service without them."""
        transport = TransportInfo(
            id=f"{name}-http",
            name=name,
            type=TransportType.REST_HTTP,
            protocol="HTTP",
            version="1.1",
            endpoint=EndPointInfo(uris=(uri,)),
            security=SecurityInfo(),
        )
        body = {
            "serName": name,
            "version": version,
            "state": ServiceState.ACTIVE.value,
            "serializer": SerializerType.JSON.value,
            "transportInfo": msgspec.to_builtins(transport),
            **({"serCategory": dict(category)} if category else {}),
            **({"livenessInterval": heartbeat_s} if heartbeat_s else {}),
            **more,
        }
        response = await self.session.call("POST", f"{self._services}/services", body)
        made = msgspec.json.decode(response.content, type=ServiceInfo)
        if made.links and made.links.liveness and made.liveness_interval:
            self._spawn(self._live(made.links.liveness.href, made.liveness_interval))
        return made

    async def set_state(self, service: ServiceInfo, state: ServiceState) -> ServiceInfo:
        """Make a service of this application ACTIVE or INACTIVE."""
        body = msgspec.to_builtins(msgspec.structs.replace(service, state=state, links=None))
        response = await self.session.call("PUT", f"{self._services}/services/{service.ser_instance_id}", body)
        return msgspec.json.decode(response.content, type=ServiceInfo)

    async def withdraw(self, service: ServiceInfo) -> None:
        """Offer a service no more."""
        await self.session.call("DELETE", f"{self._services}/services/{service.ser_instance_id}")

    async def discover(self, **query: str) -> list[ServiceInfo]:
        """Services of the platform, by `ser_name`, `ser_category_id` and the other parameters of the query."""
        response = await self.session.call("GET", f"{SERVICES}/services", query=query)
        return msgspec.json.decode(response.content, type=list[ServiceInfo])

    async def watch(
        self, names: Sequence[str] = (), states: Sequence[ServiceState] = (), **criteria: Any
    ) -> AsyncIterator[Change]:
        """Changes of services, from now on, without end. Nothing is lost while the platform is away; a change that was under
        way then may come twice."""
        wanted = {
            **({"serNames": list(names)} if names else {}),
            **({"states": [state.value for state in states]} if states else {}),
            **criteria,
        }
        subscription = await self._subscribe(
            SERVICES,
            {
                "subscriptionType": "SerAvailabilityNotificationSubscription",
                **({"filteringCriteria": wanted} if wanted else {}),
            },
        )
        try:
            async for told in self._told(subscription):
                for one in told["serviceReferences"]:
                    state = ServiceState(one["state"])
                    yield Change(one["serName"], one["serInstanceId"], one["changeType"], state)
        finally:
            with suppress(PlatformError):
                await self.session.call("DELETE", subscription)

    # -- rules --------------------------------------------------------------------------------------------------------

    async def answer(
        self, name: str, address: str, *, rule: str = "", ttl: int | None = None, active: bool = True
    ) -> DnsRule:
        """Let a name lead to an address, or (not `active`) no more; in force when this returns. `rule` is its identifier
        (default: the name)."""
        wanted = DnsRule(
            dns_rule_id=rule or name,
            domain_name=name,
            ip_address_type=IpAddressType.IP_V4 if ip_address(address).version == 4 else IpAddressType.IP_V6,
            ip_address=address,
            ttl=ttl,
            state=RuleState.ACTIVE if active else RuleState.INACTIVE,
        )
        path = f"{self._support}/dns_rules/{wanted.dns_rule_id}"
        response = await self.session.call("PUT", path, msgspec.to_builtins(wanted))
        return msgspec.json.decode(response.content, type=DnsRule)

    async def divert(
        self,
        rule: str,
        *filters: TrafficFilter,
        to: str = "",
        action: TrafficAction = TrafficAction.FORWARD_DECAPSULATED,
        priority: int = 100,
        active: bool = True,
    ) -> TrafficRule:
        """Let traffic that one of the filters means go `to` an address, or whatever the action says; in force when this
        returns."""
        interface = DestinationInterface(interface_type=InterfaceType.IP, dst_ip_address=to) if to else None
        wanted = TrafficRule(
            traffic_rule_id=rule,
            filter_type=FilterType.FLOW,
            priority=priority,
            traffic_filter=filters,
            action=action,
            dst_interface=interface,
            state=RuleState.ACTIVE if active else RuleState.INACTIVE,
        )
        response = await self.session.call("PUT", f"{self._support}/traffic_rules/{rule}", msgspec.to_builtins(wanted))
        return msgspec.json.decode(response.content, type=TrafficRule)

    def bus(self) -> Bus:
        """The platform's message bus, as an async context manager."""
        return Bus(self.session)

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _support(self) -> str:
        return f"{SUPPORT}/applications/{self.id}"

    @property
    def _services(self) -> str:
        return f"{SERVICES}/applications/{self.id}"

    async def _subscribe(self, api: str, body: Mapping[str, Any]) -> str:
        """Subscribe without a callback; returns the subscription's address."""
        wish = {**body, "websockNotifConfig": {"requestWebsocketUri": True}}
        response = await self.session.call("POST", f"{api}/applications/{self.id}/subscriptions", wish)
        return str(response.headers["location"])

    async def _told(self, subscription: str) -> AsyncIterator[Any]:
        """Fetch what waits, again and again; an entry counts as arrived when the next one is asked for."""
        id, after = subscription.rpartition("/")[2], 0
        while True:
            query = {"after": str(after), "wait_s": str(WAIT_S)}
            try:
                response = await self.session.call("GET", f"{MP1}/notifications/{id}", query=query)
            except PlatformError as error:
                if error.status not in (0, 502, 503):
                    raise
                await asyncio.sleep(AGAIN_S)
                continue
            for waiting in response.json():
                yield waiting["notification"]
                after = waiting["number"]

    async def _live(self, path: str, interval: int) -> None:
        """Signs of life, three for each interval, so that a lost one costs nothing."""
        while True:
            await asyncio.sleep(interval / 3)
            try:
                await self.session.call("PATCH", path, {"state": "ACTIVE"})
            except PlatformError as error:
                if error.status == 404:
                    return

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
