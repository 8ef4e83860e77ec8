"""The applications that a platform knows: those that the MEC management instantiated, and those that registered themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from skerry.access.clients import Client, Clients
from skerry.access.roles import Role
from skerry.engine.events import EventLog
from skerry.errors import ConflictError, Fault, InvalidError, PreconditionError
from skerry.mep.telling import APPLICATIONS, Teller
from skerry.model.mec import (
    APP_MOVES,
    ENDED,
    App,
    AppInfo,
    AppState,
    Credentials,
    Ending,
    OperationAction,
)
from skerry.model.time import Clock, Ids, stamp
from skerry.store import mec as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

SCOPES = ("mec_app_support:v1:all", "mec_service_mgmt:v1:all", "mp1:v1:all")
"""What every application may use: Mp1."""

PREFIX = "app "
"""How the names of clients begin that are applications; people cannot choose such a name."""

SERVICES = {
    "rni": "rni:v2",
    "rnis": "rni:v2",
    "radionetworkinformation": "rni:v2",
    "location": "location:v2",
    "locationservice": "location:v2",
    "ueidentity": "ui:v1",
    "bwm": "bwm:v1",
    "bandwidthmanagement": "bwm:v1",
    "mts": "mts:v1",
    "wlaninformation": "wai:v2",
    "wai": "wai:v2",
    "ams": "amsi:v1",
}
"""Services of the standard that a descriptor may ask for, and their APIs."""


def scopes_for(services: Sequence[str]) -> tuple[str, ...]:
    """The scopes of an application that depends on these services. Pure."""
    keys = ("".join(char for char in name.lower() if char.isalnum()) for name in services)
    return (*SCOPES, *dict.fromkeys(f"{SERVICES[key]}:all" for key in keys if key in SERVICES))


class Apps:
    """Their records, credentials and states."""

    def __init__(
        self, database: Database, events: EventLog, clock: Clock, ids: Ids, teller: Teller, clients: Clients
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._ids = ids
        self._teller = teller
        self._clients = clients
        self._known: dict[str, App] = {}
        self._ended: dict[str, asyncio.Event] = {}

    def start(self) -> None:
        """Read what is recorded."""
        self._known = {app.id: app for app in store.apps.select(self._database)}

    # -- reading ------------------------------------------------------------------------------------------------------

    def all(self, *, tenant: str) -> list[App]:
        """Those of a tenant."""
        return [app for app in self._known.values() if app.tenant == tenant]

    def find(self, id: str) -> App | None:
        """One of any tenant, or None."""
        return self._known.get(id)

    def get(self, id: str, *, tenant: str) -> App:
        """One; `NotFoundError` also for one of another tenant."""
        app = self._known.get(id)
        if app is None or app.tenant != tenant:
            raise store.apps.missing(id)
        return app

    def of_client(self, client: str) -> App | None:
        """The application that calls as this client of the node."""
        found = self._clients.find(client)
        return self._known.get(found.name.removeprefix(PREFIX)) if found and found.name.startswith(PREFIX) else None

    # -- coming -------------------------------------------------------------------------------------------------------

    async def admit(self, wished: App, client_id: str, secret: str, scopes: tuple[str, ...]) -> App:
        """Make an application of the MEC management known, with the credentials that it will show. Repeatable; one that was
        stopped starts anew."""
        if client_id:
            self._clients.put(self._client(wished, client_id, scopes), secret)

        def work(tx: Transaction) -> App:
            known = store.apps.find(tx, wished.id)
            new = msgspec.structs.replace(wished, credentials=bool(client_id), created_at=stamp(self._clock.now()))
            if known is None:
                return store.apps.insert(tx, new)
            started = _may(known, AppState.PREPARED)
            state = AppState.PREPARED if started else known.state
            kept = {
                "rev": known.rev,
                "created_at": known.created_at,
                "ports": known.ports,
                "addresses": known.addresses,
            }
            return store.apps.put(tx, msgspec.structs.replace(new, **kept, state=state, ending=None))

        return await self._changed(work, "ADMITTED")

    async def register(self, info: AppInfo, *, tenant: str, caller: str = "") -> App:
        """An application tells of itself (MEC 011 5.2.2.1a). One that the MEC management instantiated is known
        already. `caller` is the application that calls, "" for somebody else."""
        id = info.app_instance_id or caller
        known = self._known.get(id) if id else None
        if known is not None and known.tenant == tenant:
            if known.registered:
                raise ConflictError(
                    f"cannot register {id} again: it is registered", suggestion="change it with PUT, or DELETE it first"
                )
            return await self._put(msgspec.structs.replace(known, info=self._merged(known, info), registered=True))
        if info.is_ins_by_mec or info.app_instance_id:
            raise _unknown(info)
        id = self._ids.new()
        new = App(
            id=id,
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            info=msgspec.structs.replace(info, app_instance_id=id, is_ins_by_mec=False),
            registered=True,
        )
        return await self._changed(lambda tx: store.apps.insert(tx, new), "REGISTERED")

    async def placed(self, app: App, ports: tuple[str, ...], addresses: Mapping[str, str]) -> App:
        """Its interfaces are known now."""
        if (app.ports, app.addresses) == (ports, addresses):
            return app
        # it may be telling of itself at this very moment: only these attributes are changed
        only = partial(msgspec.structs.replace, ports=ports, addresses=addresses)
        return await self._changed(lambda tx: store.apps.change(tx, app.id, only), "CHANGED")

    async def update(self, app: App, info: AppInfo, *, match: Revs = None) -> App:
        """Replace what a registered application told of itself. `NotFoundError` for one that told nothing,
        `PreconditionError` where it is in none of the revisions `match`."""
        return await self._registered(
            app, match, "CHANGED", lambda known: msgspec.structs.replace(known, info=self._merged(known, info))
        )

    async def unregister(self, app: App, *, match: Revs = None) -> App:
        """What a registered application told of itself is taken back. Errors as of `update`."""
        return await self._registered(
            app, match, "DEREGISTERED", lambda known: msgspec.structs.replace(known, registered=False)
        )

    async def _registered(self, app: App, match: Revs, state: str, how: Callable[[App], App]) -> App:
        def work(tx: Transaction) -> App:
            known = store.apps.matching(tx, app.id, app.tenant, match)
            if not known.registered:
                raise store.apps.missing(app.id)
            made = store.apps.put(tx, how(known))
            self._note(tx, made, state)
            return made

        return await self._teller.write(work, self._keep)

    async def hand_out(self, app: App, scopes: tuple[str, ...] = SCOPES) -> Credentials:
        """Credentials for an application that has none; once."""
        if app.credentials:
            raise ConflictError(
                f"cannot give {app.id} credentials again: it has some",
                suggestion="deregister and register it again if they are lost",
            )
        client = self._client(app, app.id, scopes)
        made, secret = self._clients.replace(client)
        await self._put(msgspec.structs.replace(app, credentials=True))
        return Credentials(client_id=made.id, client_secret=secret, scope=" ".join(scopes))

    async def confirm_ready(self, app: App) -> App:
        """The application is up and running (MEC 011 5.2.2). `ConflictError` where that is not awaited."""
        return await self._changed(lambda tx: store.apps.change(tx, app.id, _readied), "READY")

    # -- going --------------------------------------------------------------------------------------------------------

    async def ask_to_end(self, app: App, action: OperationAction, timeout_s: float, *, told: bool) -> bool:
        """Announce a stop or the end, and wait until the application confirms or the time is over (MEC 011 5.2.3). True when it
        confirmed, also at the last moment. `told`: somebody subscribed to hear of it; without, the application is over at
        once, and this is True. After a restart the time that was announced counts on; whatever happens to the clock, nobody
        waits for longer than was announced."""
        if app.state is ENDED[action]:
            return True
        if app.ending is None or app.ending.action is not action:
            app = await self._announce(app, action, timeout_s)
        if not told:
            await self._over(app, action)
            return True
        ending = app.ending
        assert ending is not None  # noqa: S101  # announced above or before
        confirmed = self._ended.setdefault(app.id, asyncio.Event())
        left = (datetime.fromisoformat(ending.until) - self._clock.now()).total_seconds()
        try:
            await asyncio.wait_for(confirmed.wait(), min(max(0.0, left), ending.timeout_s))
        except TimeoutError:
            return not await self._over(app, action)
        finally:
            self._ended.pop(app.id, None)
        return True

    async def confirm_end(self, app: App, action: OperationAction) -> None:
        """The application is done with what it had to do. `ConflictError` where no such end was announced."""
        if not await self._over(app, action):
            ending = self._known[app.id].ending if app.id in self._known else None
            outstanding = f"{ending.action} was announced" if ending else "none was announced"
            raise ConflictError(
                f"cannot confirm {action} of {app.id}: {outstanding}",
                suggestion="confirm the operationAction of the AppTerminationNotification",
            )
        if waiting := self._ended.get(app.id):
            waiting.set()

    async def _announce(self, app: App, action: OperationAction, timeout_s: float) -> App:
        state = AppState.STOPPING if action is OperationAction.STOPPING else AppState.TERMINATING
        if not _may(app, state):
            raise ConflictError(f"cannot begin {action} of {app.id}: it is {app.state}")
        seconds = max(1, round(timeout_s))
        until = stamp(self._clock.now() + timedelta(seconds=timeout_s))
        ending = Ending(action=action, until=until, timeout_s=seconds)
        wished = msgspec.structs.replace(app, state=state, ending=ending)

        def work(tx: Transaction) -> App:
            made = store.apps.put(tx, wished)
            self._note(tx, made, state.value)
            self._teller.tell(
                tx,
                api=APPLICATIONS,
                type="AppTerminationNotification",
                resource=app.id,
                tenant=app.tenant,
                subject={"appInstanceId": app.id},
                body={"operationAction": action.value, "maxGracefulTimeout": seconds},
                links={"confirmTermination": f"/applications/{app.id}/confirm_termination"},
            )
            return made

        return await self._teller.write(work, self._keep)

    async def _over(self, app: App, action: OperationAction) -> bool:
        """The end that was announced is here. False where it is not outstanding: of a confirmation and the end of its time
        the first counts, and whoever is gone has nothing to confirm."""
        state = ENDED[action]

        def work(tx: Transaction) -> App | None:
            known = store.apps.find(tx, app.id)
            if known is None or known.ending is None or known.ending.action is not action:
                return None
            made = store.apps.put(tx, msgspec.structs.replace(known, state=state, ending=None))
            self._note(tx, made, state.value)
            return made

        def then(made: App | None) -> None:
            if made is not None:
                self._keep(made)

        return await self._teller.write(work, then) is not None

    def removing(self, tx: Transaction, app: App) -> None:
        """Inside a transaction: forget one."""
        store.apps.delete(tx, app.id)
        self._note(tx, app, "FORGOTTEN")

    def forget(self, app: App) -> None:
        """What `removing` removed is gone; its credentials count no more."""
        self._known.pop(app.id, None)
        for client in (app.id, *(one.id for one in self._clients.all(app.tenant) if one.name == _name(app))):
            if self._clients.find(client):
                self._clients.delete(client)

    # -- records ------------------------------------------------------------------------------------------------------

    def _client(self, app: App, id: str, scopes: tuple[str, ...]) -> Client:
        return Client(
            id=id,
            name=_name(app),
            tenant=app.tenant,
            role=Role.OPERATOR,
            scopes=scopes,
            created_at=stamp(self._clock.now()),
        )

    @staticmethod
    def _merged(app: App, info: AppInfo) -> AppInfo:
        """What an application may tell of itself; what the management knows stays."""
        faults: list[Fault] = []
        if info.app_instance_id not in (None, app.id):
            faults.append(Fault(message=f"this is {app.id}", code="value", path="/appInstanceId", fix="leave it out"))
        managed = app.info.is_ins_by_mec
        if managed and info.app_name != app.info.app_name:
            fix = f"say {app.info.app_name}"
            faults.append(Fault(message="it is not the descriptor's", code="value", path="/appName", fix=fix))
        if faults:
            raise InvalidError(
                "cannot accept what the application says of itself", faults=faults, suggestion=faults[0].fix
            )
        known = app.info
        return msgspec.structs.replace(
            info,
            app_instance_id=app.id,
            is_ins_by_mec=managed,
            app_d_id=known.app_d_id if managed else info.app_d_id,
            app_provider=(known.app_provider if managed else None) or info.app_provider,
        )

    async def _put(self, app: App, state: str = "CHANGED") -> App:
        return await self._changed(lambda tx: store.apps.put(tx, app), state)

    async def _changed(self, change: store.Change, state: str) -> App:
        def work(tx: Transaction) -> App:
            made = change(tx)
            self._note(tx, made, state)
            return made

        try:
            return await self._teller.write(work, self._keep)
        except PreconditionError as error:
            raise ConflictError(error.detail, suggestion="read it again and repeat the request") from error

    def _keep(self, app: App) -> None:
        self._known[app.id] = app

    def _note(self, tx: Transaction, app: App, state: str) -> None:
        data = {"tenant": app.tenant}
        self._events.add(tx, "mec", subject=app.id, name=app.info.app_name, state=state, data=data)


def _readied(app: App) -> App:
    """The application once it has confirmed; `ConflictError` where that is not awaited."""
    if app.state is not AppState.PREPARED:
        raise ConflictError(
            f"cannot confirm that {app.id} is ready: it is {app.state}",
            suggestion="an application confirms once after each of its starts",
        )
    return msgspec.structs.replace(app, state=AppState.READY)


def _name(app: App) -> str:
    return PREFIX + app.id


def _may(app: App, state: AppState) -> bool:
    return state in APP_MOVES[app.state]


def _unknown(info: AppInfo) -> InvalidError:
    fault = Fault(
        message="the MEC management has instantiated no such application here",
        code="value",
        path="/appInstanceId" if info.app_instance_id else "/isInsByMec",
        fix="leave appInstanceId and isInsByMec out: the platform gives the identifier",
    )
    return InvalidError("cannot register the application", faults=[fault], suggestion=fault.fix)
