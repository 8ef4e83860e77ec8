"""Builds a node: the only module that knows every package."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from skerry.access.clients import Clients
from skerry.access.elsewhere import Elsewhere, Welcome
from skerry.access.roles import Principal, Role
from skerry.dataplane.hosting import Hosting
from skerry.dataplane.service import DataPlane
from skerry.engine.clock import RandomIds, SystemClock
from skerry.engine.engine import Engine
from skerry.lvnf.agents import DOWN, FORGOTTEN, UP, Agents
from skerry.meo.catalogue import AppCatalogue
from skerry.meo.desk import MeoDesk
from skerry.meo.grants import Granting
from skerry.meo.hosts import Hosts
from skerry.meo.inward import Doors
from skerry.meo.lifecycle import Meo
from skerry.meo.mv1 import Services, Sol005
from skerry.meo.mv1_osm import Osm
from skerry.meo.redirection import PlatformManagers, Redirection
from skerry.mep.dns.contract import Server, View
from skerry.mep.dns.names import Names, dns_server
from skerry.mep.plane import PlaneSteering
from skerry.mep.service import Platform
from skerry.mep.steering import ManagedSteering, Steering
from skerry.model.notifications import Authentication, ClientCredentials
from skerry.model.platform import Platforms
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import VimConnection
from skerry.nfvo.capacity import Capacities
from skerry.nfvo.catalogue import Catalogue
from skerry.nfvo.coordination import Coordinations
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.fetch import Fetcher
from skerry.nfvo.foreign_packages import ForeignPackages
from skerry.nfvo.granting import Grants
from skerry.nfvo.grants import PlacingGranter
from skerry.nfvo.image_repository import ImageRepository
from skerry.nfvo.infrastructures import Infrastructures
from skerry.nfvo.keys import Keys
from skerry.nfvo.lifecycle import Nfvo
from skerry.nfvo.orphans import Orphans
from skerry.nfvo.quotas import Quotas
from skerry.nfvo.snapshot_packages import SnapshotPackages
from skerry.nfvo.tenant_quotas import TenantQuotas
from skerry.notifications.carriers import Carriers
from skerry.notifications.http import TIMEOUT_S, Files, HttpSender
from skerry.notifications.login import vouched
from skerry.notifications.sending import Sender
from skerry.notifications.service import Notifications, Rules
from skerry.notifications.targets import Policy
from skerry.policy import performance
from skerry.policy.alarms import AlarmBook
from skerry.policy.performance import Performance
from skerry.policy.sampling import Sampler
from skerry.settings import Counterpart, ServiceNfvo, Settings, is_loopback
from skerry.store import aggregates, backups, upkeep
from skerry.store.database import Database, Transaction
from skerry.store.dataplane import Ledger
from skerry.vim.connections import Vims
from skerry.vim.driver import DriverContext
from skerry.vnfm.configuration import Configurations
from skerry.vnfm.coordination import Coordinator
from skerry.vnfm.desk import Desk
from skerry.vnfm.element import Elements
from skerry.vnfm.foreign_nfvo import ForeignNfvo
from skerry.vnfm.foreign_vnfm import Manager, Managers
from skerry.vnfm.grants import Granter
from skerry.vnfm.indicators import Indicators
from skerry.vnfm.lifecycle import Vnfm
from skerry.vnfm.managed import MANAGED
from skerry.vnfm.recovery import Recovery
from skerry.vnfm.watch import Watch

PRUNE_S = 3600.0
LISTS = 16 << 20
"""The most bytes of an answer of another node's API."""

UPLOAD_S = 600.0
"""How long the upload of a package to another node may take."""

ANYWHERE = Policy(allowed=("0.0.0.0/0", "::/0"), loopback=True)
"""For those whom the administrator named."""


class Node:
    """One Skerry node. `inline` runs the store's writes on the caller's thread, for virtual time; `store` is another store
    than `skerry.db` of the data folder; `sender` carries notifications otherwise than over HTTP; `steering` is the data plane
    of traffic rules."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        inline: bool = False,
        store: Database | None = None,
        sender: Sender | None = None,
        steering: Steering | None = None,
        platforms: Platforms | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.ids: Ids = ids or RandomIds()
        self.ready = False
        self._telling: set[asyncio.Task[None]] = set()
        self._pruning: asyncio.Task[None] | None = None
        self._callers: list[HttpSender] = []
        data = settings.data_dir
        self._fetches = self._fetcher()
        self.store = store or Database(data / "skerry.db", inline=inline)
        self.engine = Engine(self.store, self.clock, self.ids, slots=settings.step_concurrency)
        self.vims = Vims(self._context)
        self.tenant_quotas = TenantQuotas(self.store, self.clock)
        self.granter = PlacingGranter(self.vims, self.ids, self.tenant_quotas)
        self.quotas = self._shortages()
        self.images = ImageRepository(self.store, data / "repository", self.clock, self.ids, self._fetches)
        self.infrastructures = self._infrastructures()
        self.keys = Keys(self.store, self.clock, self.ids, os.urandom)
        self.coordinations = Coordinations(self.store, self.engine, self.clock, self.ids)
        self.managers = self._vnf_managers()
        self.grants = Grants(self.store, self.granter, self.clock, self.ids, self._places_of, self.managers.vnf_of)
        self.catalogue = self._catalogue()
        self._nfvos_packages = self._foreign_packages()
        self.snapshot_packages = SnapshotPackages(
            self.store,
            data / "packages",
            self.vims,
            self.clock,
            self.ids,
            self._fetches,
            settings.max_upload_bytes,
            self.catalogue.content,
        )
        self.notifications = Notifications(
            self.store, self.engine.events, self.clock, self.ids, sender or self._sender(), self._rules()
        )
        self.capacities = self._capacities()
        self.alarms = AlarmBook(self.store, self.engine.events, self.clock, self.ids)
        self.performance = self._performance()
        desk = self._vnf_desk()
        self.vnfm = Vnfm(desk, self.engine, self.ids)
        self.managers.register(desk, self.engine)
        self._elements = HttpSender(self._targets(), self.clock, self._files())
        elements = Elements(self._elements)
        self.indicators = Indicators(
            desk, self.engine.events, self.performance.collector, elements, period_s=settings.indicator_period_s
        )
        self.configurations = Configurations(desk, elements)
        Coordinator(desk, elements, self._own_root()).register(self.engine)
        self.dataplane = self._data_plane()
        self.lvnf_agents = Agents(settings.node, data / "lvnf-agents.json", self.clock, self._agents_tell)
        self.watch = Watch(desk, sweep_s=settings.sweep_s)
        self.recovery = Recovery(desk, self.engine, self.indicators.refresh, grace_s=settings.service_grace_s)
        self.orphans = Orphans(desk, self.engine)
        self.nfvo = Nfvo(self._ns_desk(), self.engine, self.ids)
        self.clients = Clients(data / "access", os.urandom)
        self.elsewhere = self._login_node()
        managed = ManagedSteering(PlaneSteering(self.dataplane))
        self.mep = self._platform(steering or managed)
        self.applications = self._applications()
        self.doors = Doors(data / "client.json")
        meo_desk = self._meo_desk(platforms or self.mep)
        self.meo = Meo(meo_desk, self.engine, self.ids)
        managed.managers = PlatformManagers(Redirection(meo_desk, self.engine))
        self.granting = Granting(self.meo, self.ids)
        desk.told = self.meo.environment

    # -- parts --------------------------------------------------------------------------------------------------------

    def _infrastructures(self) -> Infrastructures:
        return Infrastructures(
            self.store,
            self.vims,
            self.engine.events,
            self.clock,
            self.images,
            fixed=[vim.id for vim in self.settings.vims],
            scratch=self.settings.data_dir / "uploads",
        )

    def _vnf_desk(self) -> Desk:
        return Desk(
            database=self.store,
            vims=self.vims,
            granter=self._nfvo_of_vnfs(),
            clock=self.clock,
            alarms=self.alarms,
            archive=self.catalogue.content,
            scratch=self.settings.data_dir / "images",
            stored=self.images.find,
            manager_of=self.managers.of,
            fetch=self._fetch_package,
        )

    def _shortages(self) -> Quotas:
        """Who remembers what the granter refuses, and tells when there is room."""
        limits, every = self.tenant_quotas.lacking, self.settings.sweep_s
        made = Quotas(self.store, self.engine.events, self.vims, self.clock, limits=limits, period_s=every)
        self.granter.on_refused = made.refused
        self.granter.on_over_quota = made.over_quota
        self.tenant_quotas.changed = made.changed
        return made

    def _meo_desk(self, platforms: Platforms) -> MeoDesk:
        others = self.settings.service_nfvos
        zones = {one.id: one.zone for one in others}
        return MeoDesk(
            database=self.store,
            nfvo=self.nfvo,
            hosts=Hosts(self.store, self.vims, platforms, self.clock, zones),
            clock=self.clock,
            doors=self.doors,
            elsewhere={one.id: self._services_of(one) for one in others},
        )

    def _ns_desk(self) -> NsDesk:
        return NsDesk(
            database=self.store,
            vnfm=self.vnfm,
            vims=self.vims,
            granter=self.granter,
            clock=self.clock,
            dataplane=self.dataplane,
        )

    def _catalogue(self) -> Catalogue:
        return Catalogue(
            self.store,
            self.settings.data_dir / "packages",
            self.clock,
            self.ids,
            signatures=self.settings.package_signatures,
            trust_store=self.settings.trust_store,
            fetcher=self._fetches,
        )

    def _applications(self) -> AppCatalogue:
        return AppCatalogue(
            self.store,
            self.settings.data_dir / "packages",
            self.catalogue,
            self.clock,
            self.ids,
            signatures=self.settings.package_signatures,
            trust_store=self.settings.trust_store,
        )

    def _capacities(self) -> Capacities:
        return Capacities(
            self.store,
            self.engine.events,
            self.vims,
            self.clock,
            self.ids,
            self.notifications,
            every_s=self.settings.performance_threshold_s,
        )

    def _performance(self) -> Performance:
        settings = self.settings
        return Performance(
            self.store,
            self.engine.events,
            self.clock,
            self.ids,
            Sampler(self.vims, self.clock, self._dropped),
            self.notifications,
            performance.Rules(threshold_s=settings.performance_threshold_s, keep_hours=settings.performance_keep_hours),
        )

    async def _dropped(self) -> Mapping[str, int]:
        """What the data plane dropped, by the MAC of who sent it."""
        return await self.dataplane.drops()

    def _data_plane(self) -> DataPlane:
        folder = self.settings.data_dir / "dataplane"
        hosting = Hosting(self.settings.node, folder, self.clock, self.settings.dataplane_engine)
        hosting.users = self._users_changed
        return DataPlane(Ledger(self.store), hosting, self.clock, tell=self._data_plane_tells)

    def _users_changed(self, device: str, came: Sequence[str], went: Sequence[str]) -> None:
        """Applications hear of users that a control plane spoke of."""
        zone = next((view.device.zone for view in self.dataplane.devices() if view.device.id == device), "")
        self.mep.users.changed(device, zone, came, went)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, make the VIMs known, take up interrupted operations."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store.open()
        await asyncio.to_thread(upkeep.sweep, self.settings.data_dir)
        await self._register_vims()
        await self.catalogue.recover()
        await self.snapshot_packages.recover()
        await self.images.recover()
        await self.applications.recover()
        await self.watch.restore()
        await self.notifications.start()
        await self.capacities.start()
        await self.dataplane.start()
        await self.lvnf_agents.start()
        await self.mep.start()
        await self.meo.start_doors()
        await self.engine.start()
        await self.nfvo.keeper.start()
        self._later(self.mep.resume())
        await self.watch.start()
        await self.performance.start()
        await self.indicators.start()
        await self.quotas.start()
        await self.configurations.start()
        await self.recovery.start()
        self._pruning = asyncio.get_running_loop().create_task(self._prune())
        self.ready = True

    async def stop(self) -> None:
        """Let go of everything; instances keep running, operations go on at the next start."""
        self.ready = False
        if self._pruning:
            self._pruning.cancel()
        await self.catalogue.stop()
        await self.snapshot_packages.stop()
        await self.images.stop()
        await self.capacities.stop()
        await self.recovery.stop()
        await self.configurations.stop()
        await self.quotas.stop()
        await self.indicators.stop()
        await self.performance.stop()
        await self.watch.stop()
        await self.nfvo.keeper.stop()
        self.doors.stop()
        await self.engine.stop()
        await self.mep.stop()
        await self.lvnf_agents.stop()
        await self.notifications.stop()
        await self._elements.close()
        for caller in self._callers:
            await caller.close()
        await self.dataplane.stop()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self.vims.close()
        self.store.close()

    async def backup(self, target: Path) -> int:
        """Write everything that the node keeps to a file while it works; the answer is its size in bytes."""
        now = stamp(self.clock.now())
        return await asyncio.to_thread(
            lambda: backups.take(self.settings.data_dir, target, node=self.settings.node, now=now)
        )

    async def audit(self, who: Principal, method: str, path: str, status: int) -> None:
        """Record durably that a caller changed something, or tried to."""
        data = {"client": who.client, "tenant": who.tenant, "method": method, "path": path, "status": status}
        await self.store.write(
            lambda tx: self.engine.events.add(
                tx, "audit", name=who.name, state=str(status), detail=f"{method} {path}", data=data
            ),
            brief=True,
        )

    def _data_plane_tells(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """What happens on devices is an event, written when there is time."""

        async def write() -> None:
            detail = str(data.get("detail", ""))
            await self.store.write(
                lambda tx: self.engine.events.add(tx, kind, subject=subject, detail=detail, data=dict(data))
            )

        self._later(write())

    def _agents_tell(self, agent: str, state: str, data: Mapping[str, Any]) -> None:
        """What agents and their functions do is an event; an agent that is lost is an alarm until it is back."""

        def write(tx: Transaction) -> None:
            lvnf, detail = str(data.get("lvnf", "")), str(data.get("detail", ""))
            self.engine.events.add(
                tx, "lvnf-agent", subject=agent, name=lvnf, state=state, detail=detail, data=dict(data)
            )
            if state == DOWN:
                self.alarms.report_host(tx, agent, detail)
            elif state in (UP, FORGOTTEN):
                self.alarms.clear_host(tx, agent)

        self._later(self._written(write))

    async def _written(self, write: Callable[[Transaction], None]) -> None:
        await self.store.write(write)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it when there is time, before the node has stopped."""
        task = asyncio.get_running_loop().create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _prune(self) -> None:
        """Keep the store bounded: at the start and every hour."""
        while True:
            before = stamp(self.clock.now() - timedelta(days=self.settings.keep_operations_days))
            await upkeep.prune(self.store, keep_events=self.settings.keep_events, finished_before=before)
            await self.alarms.prune(before)
            await self.performance.prune()
            await self.notifications.prune()
            await asyncio.sleep(PRUNE_S)

    def _nfvo_of_vnfs(self) -> Granter:
        """Who grants what VNFs need: this node, or somebody else."""
        asked = self.settings.granting_nfvo
        if asked is None:
            return self.granter
        exchange = partial(self._caller_of(asked.ca).call, who=_as_client_of(asked))
        return ForeignNfvo(asked.endpoint, self._own_root(), exchange, self.vims, self._keep_vim)

    def _vnf_managers(self) -> Managers:
        """The VNF managers of others that the settings name."""
        return Managers(
            {
                one.id: Manager(
                    one.endpoint, one.vnfm_info, partial(self._caller_of(one.ca).call, who=_as_client_of(one))
                )
                for one in self.settings.vnf_managers
            }
        )

    def _services_of(self, one: ServiceNfvo) -> Services:
        """The NFVO of somebody else that may have applications."""
        caller = self._caller_of(one.ca, UPLOAD_S)
        if one.dialect == "sol005":
            return Sol005(one.endpoint, partial(caller.call, who=_as_client_of(one)))
        return Osm(
            one.endpoint,
            partial(caller.call, who=Authentication()),
            user=one.client_id,
            password=one.secret_file.read_text().strip() if one.secret_file else "",
            project=one.project,
            account=one.vim_account,
        )

    def _places_of(self, id: str) -> Mapping[str, str]:
        """Where this node wants the VDUs of a VNF by its identifier at its own manager."""
        vnf = aggregates.vnf_instances.find(self.store, self.managers.vnf_of(id))
        have = vnf.resources.get(MANAGED) if vnf else None
        return have.spec.get("placement", {}) if have else {}

    async def _fetch_package(self, vnfd_id: str, tenant: str) -> None:
        """Bring a package that this node lacks from the NFVO that grants, if there is one."""
        if self._nfvos_packages:
            await self._nfvos_packages.bring(vnfd_id, tenant)

    def _foreign_packages(self) -> ForeignPackages | None:
        asked = self.settings.granting_nfvo
        if asked is None:
            return None
        fetcher = Fetcher(ANYWHERE, self._trusting(asked.ca).context, self.settings.max_upload_bytes)
        scratch = self.settings.data_dir / "uploads"
        who = partial(_as_client_of, asked)
        return ForeignPackages(self.catalogue, fetcher.fetch, asked.endpoint, who, scratch)

    def _caller_of(self, authority: Path | None, timeout_s: float = TIMEOUT_S) -> HttpSender:
        """Calls one whom the administrator named: no address is forbidden."""
        made = HttpSender(ANYWHERE, self.clock, self._trusting(authority), timeout_s=timeout_s, most_bytes=LISTS)
        self._callers.append(made)
        return made

    def _trusting(self, authority: Path | None) -> Files:
        """Whom the node trusts, and one more."""
        files = self._files()
        return msgspec.structs.replace(files, authorities=(*files.authorities, *((authority,) if authority else ())))

    def _login_node(self) -> Elsewhere | None:
        """Where callers of this node may have logged in."""
        named = self.settings.login_node
        if named is None:
            return None
        welcome = Welcome(tenants=named.tenants, most=Role(named.role))
        return Elsewhere(partial(vouched, named.endpoint, self._caller_of(named.ca).call), self.clock, welcome)

    def _own_root(self) -> str:
        """The node's address, for links in what it asks of others."""
        return f"{'http' if self.settings.plain else 'https'}://{self.settings.listen}:{self.settings.port}"

    async def _keep_vim(self, connection: VimConnection) -> None:
        await self.store.write(lambda tx: aggregates.vims.insert(tx, connection))

    def _sender(self) -> Sender:
        files, policy = self._files(), self._targets()
        return Carriers(HttpSender(policy, self.clock, files), policy, lambda shown: files.context(certificate=shown))

    def _fetcher(self) -> Fetcher:
        return Fetcher(self._targets(), self._files().context, self.settings.max_upload_bytes)

    def _files(self) -> Files:
        """Whom the node trusts, and who it is, when it calls others."""
        tls = self.settings.data_dir / "tls"
        named = (Path(self.settings.notification_ca),) if self.settings.notification_ca else ()
        return Files(authorities=(tls / "ca.pem", *named), certificate=tls / "server.pem", key=tls / "server.key")

    def _targets(self) -> Policy:
        """Where the node may call others who named themselves."""
        return Policy(allowed=self.settings.notification_targets, loopback=is_loopback(self.settings.listen))

    def _platform(self, steering: Steering) -> Platform:
        return Platform(
            database=self.store,
            events=self.engine.events,
            clock=self.clock,
            ids=self.ids,
            notifications=self.notifications,
            clients=self.clients,
            steering=steering,
            names=Names(self._dns_server),
            root=self.settings.mec_endpoint,
        )

    def _dns_server(self) -> Server:
        """The DNS server of the settings."""
        settings = self.settings
        views = tuple(View(zone=zone, subnets=subnets) for zone, subnets in settings.mec_zones.items())
        return dns_server(
            settings.mec_dns,
            settings.data_dir / "dns",
            (settings.mec_dns_listen, settings.mec_dns_port),
            views=views,
            forward=settings.mec_dns_forward,
            namespace=settings.mec_dns_namespace,
        )

    def _rules(self) -> Rules:
        return Rules(
            test=self.settings.notification_test,
            duplicates=self.settings.notification_duplicates,
            slots=self.settings.notification_concurrency,
            park_after_s=self.settings.notification_park_after_s,
            keep_events=self.settings.keep_events,
        )

    async def _register_vims(self) -> None:
        """The VIMs of the settings, and those that were registered through the API."""
        for wished in self.settings.vims:
            recorded = aggregates.vims.find(self.store, wished.id)
            connection = VimConnection(
                id=wished.id,
                rev=recorded.rev if recorded else 0,
                vim_type=wished.type.upper(),
                name=wished.id,
                settings=wished.settings,
                zone=wished.zone,
            )
            self.vims.add(connection)
            if recorded is None:
                await self.store.write(lambda tx, new=connection: aggregates.vims.insert(tx, new))  # type: ignore[misc]
            elif msgspec.structs.replace(recorded, created_at="") != connection:
                await self.store.write(lambda tx, new=connection: aggregates.vims.put(tx, new))  # type: ignore[misc]
        known = {wished.id for wished in self.settings.vims}
        for connection in aggregates.vims.select(self.store):
            if connection.id not in known:
                self.vims.add(connection)

    def _context(self, vim_id: str) -> DriverContext:
        folder = self.settings.data_dir / "vims" / vim_id
        folder.mkdir(parents=True, exist_ok=True)
        return DriverContext(node=self.settings.node, data_dir=folder, clock=self.clock)


def _as_client_of(other: Counterpart) -> Authentication:
    """How this node says who it is to an orchestrator or VNF manager of the settings."""
    if not other.client_id:
        return Authentication()
    secret = other.secret_file.read_text().strip() if other.secret_file else ""
    place = other.token_endpoint or f"{other.endpoint.rstrip('/')}/oauth2/token"
    return Authentication(
        oauth2=ClientCredentials(client_id=other.client_id, client_password=secret, token_endpoint=place)
    )
