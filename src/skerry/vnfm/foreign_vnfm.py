"""VNF managers of others (SOL003 clause 5): this node as NFVO has them instantiate, scale, heal and terminate VNFs.

What is asked of a manager is found again after a crash: the VNF there by what this node put into its metadata, an operation
by its kind and state. So nothing is asked for twice, and nothing is left there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, DriverError, UnavailableError, UnsupportedError
from skerry.model.vnf import VnfInstance
from skerry.notifications.wire import Answer
from skerry.vnfm.desk import Desk
from skerry.vnfm.foreign import Exchange, next_page, place, read_object, reason_of
from skerry.vnfm.managed import MANAGED, TASKS, Shown, as_version_1

VERSIONS = {1: "1.3.0", 2: "2.0.0"}
"""Major version of the API -> what is asked for."""

MARK = "skerryVnfInstanceId"
"""Metadata of a VNF at its manager: whose it is here."""

ENDED = ("COMPLETED", "FAILED", "ROLLED_BACK")
SHOWN = ("vnfdId", "vnfConfigurableProperties", "vimConnectionInfo", "instantiatedVnfInfo")
WORDS: Mapping[str, str] = {"vnf.modify": "MODIFY_INFO", "vnf.change_package": "CHANGE_VNFPKG"}
POLL_S, LONGEST_POLL_S = 0.2, 2.0


class Known(msgspec.Struct, frozen=True):
    """A VNF of a manager's list."""

    id: str
    metadata: dict[str, Any] = {}


class Occurrence(msgspec.Struct, frozen=True, rename="camel"):
    """VnfLcmOpOcc (5.5.2.13), as far as it counts here."""

    id: str
    operation_state: str
    operation: str
    vnf_instance_id: str
    start_time: str


T = TypeVar("T")


class Manager:
    """One VNF manager. `endpoint` is the root of its APIs; `infos` are the kinds of VNFs that it manages (`vnfm_info` of
    their descriptors)."""

    def __init__(
        self,
        endpoint: str,
        infos: Sequence[str],
        exchange: Exchange,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.infos = tuple(infos)
        self._api = f"{endpoint.rstrip('/')}/vnflcm"
        self._major = 0
        self._exchange = exchange
        self._pause = pause

    @property
    def _root(self) -> str:
        return f"{self._api}/v{self._major or max(VERSIONS)}"

    async def agree(self) -> None:
        """Learn which version to speak: the newest of both; version 2 where the manager does not say."""
        if self._major:
            return
        answer = await self._call("GET", f"{self._api}/api_versions", allowed=(404,))
        listed = read_object(answer.body).get("apiVersions")
        told = [str(one.get("version", "")) for one in listed or () if isinstance(one, Mapping)]
        both = [major for major in VERSIONS if any(version.startswith(f"{major}.") for version in told)]
        self._major = max(both, default=max(VERSIONS))

    async def find(self, vnf_id: str) -> str:
        """The identifier there of a VNF of ours; "" if it has none."""
        found = await self._list("vnf_instances", f"(eq,metadata/{MARK},{vnf_id})", Known)
        return next((one.id for one in found if one.metadata.get(MARK) == vnf_id), "")

    async def make(self, vnf: VnfInstance) -> str:
        """A VNF there, once: the identifier."""
        if known := await self.find(vnf.id):
            return known
        body = {
            "vnfdId": vnf.vnfd_id,
            "vnfInstanceName": vnf.vnf_instance_name,
            "vnfInstanceDescription": vnf.vnf_instance_description,
            "metadata": {**vnf.metadata, MARK: vnf.id},
        }
        answer = await self._call("POST", "/vnf_instances", {key: value for key, value in body.items() if value})
        return _read(answer.body, Known, "the VNF that it made").id

    async def show(self, id: str) -> dict[str, Any]:
        """The VNF as the manager shows it, as far as it counts here: of infrastructures not how to log in there."""
        told = read_object((await self._call("GET", f"/vnf_instances/{id}")).body)
        told["vimConnectionInfo"] = {id: {} for id in _vims(told.get("vimConnectionInfo"))}
        try:
            msgspec.convert(told, Shown)
        except msgspec.ValidationError as error:
            raise DriverError(f"cannot read the VNF that the VNF manager shows: {error}") from error
        return {name: told[name] for name in SHOWN if name in told}

    def _written(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request in the version that the manager speaks."""
        if self._major != 1:
            return request
        if kind == "vnf.change_package":
            raise UnsupportedError(
                "cannot change the package: the VNF manager speaks version 1 of the API, which has no such task",
                suggestion="terminate the VNF and make another",
            )
        return as_version_1(request)

    async def run(self, id: str, kind: str, request: Mapping[str, Any], since: str) -> None:
        """Have one operation done. `since` is the time from which one that is there counts as this one ("" = none does)."""
        word = _word(kind)
        known = await self._occurrences(id)
        for one in known:
            if one.operation_state == "FAILED_TEMP" and one.operation != word:
                await self._decide(one, "fail")
        going = [one for one in known if one.operation == word and one.operation_state not in ENDED]
        done = [one for one in known if one.operation == word and one.operation_state == "COMPLETED"]
        if going:
            if going[0].operation_state == "FAILED_TEMP":
                await self._decide(going[0], "retry")
            await self._follow(self._of(going[0]))
        elif not since or not any(_is_since(one.start_time, since) for one in done):
            await self._follow(await self._ask(id, TASKS[kind], self._written(kind, request)))

    async def undo(self, id: str, kind: str, since: str) -> None:
        """Take back an operation that stopped half-way. `ConflictError` where the manager did it all."""
        mine = [one for one in await self._occurrences(id) if one.operation == _word(kind)]
        going = [one for one in mine if one.operation_state not in ENDED]
        if not going:
            if any(one.operation_state == "COMPLETED" and _is_since(one.start_time, since) for one in mine):
                raise ConflictError(
                    "cannot take back what the VNF manager has completed",
                    suggestion="fail the operation, then change the VNF",
                )
            return
        if going[0].operation_state != "FAILED_TEMP":
            await self._cancel(going[0])
        await self._decide(going[0], "rollback")
        await self._follow(self._of(going[0]), ends=("ROLLED_BACK", "FAILED"))

    async def remove(self, id: str, request: Mapping[str, Any], since: str) -> None:
        """Terminate the VNF there and delete it; what is gone is as wished."""
        for one in await self._occurrences(id):
            if one.operation_state in ("STARTING", "PROCESSING") and one.operation != "TERMINATE":
                await self._cancel(one)
                await self._decide(one, "fail")
            elif one.operation_state == "FAILED_TEMP":
                await self._decide(one, "fail")
        answer = await self._call("GET", f"/vnf_instances/{id}", allowed=(404,))
        if answer.status == 404:
            return
        if read_object(answer.body).get("instantiationState") == "INSTANTIATED":
            await self.run(id, "vnf.terminate", request, since)
        await self._call("DELETE", f"/vnf_instances/{id}", allowed=(404,))

    # -- occurrences --------------------------------------------------------------------------------------------------

    async def _occurrences(self, id: str) -> list[Occurrence]:
        """The operations of a VNF, newest first."""
        found = await self._list("vnf_lcm_op_occs", f"(eq,vnfInstanceId,{id})", Occurrence)
        return sorted(
            (one for one in found if one.vnf_instance_id == id), key=lambda o: _time(o.start_time), reverse=True
        )

    async def _ask(self, id: str, task: str, request: Mapping[str, Any]) -> str:
        path = f"/vnf_instances/{id}{f'/{task}' if task else ''}"
        answer = await self._call("POST" if task else "PATCH", path, request, once=True)
        return place(self._root, answer.headers.get("location", ""))

    def _of(self, occurrence: Occurrence) -> str:
        return f"{self._root}/vnf_lcm_op_occs/{occurrence.id}"

    async def _decide(self, occurrence: Occurrence, verb: str) -> None:
        await self._call("POST", f"/vnf_lcm_op_occs/{occurrence.id}/{verb}")

    async def _cancel(self, occurrence: Occurrence) -> None:
        """Cancel, and wait until it stands still. One that ended meanwhile is told by its state."""
        path = f"/vnf_lcm_op_occs/{occurrence.id}/cancel"
        await self._call("POST", path, {"cancelMode": "FORCEFUL"}, allowed=(409,))
        await self._follow(self._of(occurrence), ends=("FAILED_TEMP", *ENDED))

    async def _follow(self, uri: str, ends: Sequence[str] = ("COMPLETED",)) -> None:
        """Wait until an operation has come to rest. `DriverError` with the manager's reason where that is none of `ends`."""
        delay = POLL_S
        while True:
            told = read_object((await self._call("GET", uri)).body)
            state = str(told.get("operationState", ""))
            if state in ends:
                return
            if state in ("FAILED_TEMP", *ENDED):
                reason = reason_of(told.get("error")) or f"it is {state}"
                raise DriverError(f"cannot go on: the VNF manager says: {reason}", call=f"GET {uri}")
            await self._pause(delay)
            delay = min(delay * 1.5, LONGEST_POLL_S)

    # -- the wire -----------------------------------------------------------------------------------------------------

    async def _list(self, kind: str, condition: str, entry: type[T]) -> list[T]:
        found: list[T] = []
        where = f"{self._root}/{kind}?filter={quote(condition)}"
        while where:
            answer = await self._call("GET", where)
            found += _read(answer.body, list[entry], f"the list of {kind}")  # type: ignore[valid-type]
            where = next_page(where, answer.headers)
        return found

    async def _call(
        self,
        method: str,
        where: str,
        body: Mapping[str, Any] | None = None,
        allowed: Sequence[int] = (),
        *,
        once: bool = False,
    ) -> Answer:
        """`once`: nobody may repeat it before he has looked whether it was done."""
        uri = where if "://" in where else self._root + where
        headers = {"Version": VERSIONS[self._major or max(VERSIONS)], "Accept": "application/json"}
        raw = b""
        if body is not None:
            raw = msgspec.json.encode(body)
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            answer = await self._exchange(method, uri, headers, raw)
        except UnavailableError as error:
            raise DriverError(error.detail, transient=not once, call=f"{method} {uri}") from error
        if 200 <= answer.status < 300 or answer.status in allowed:
            return answer
        reason = reason_of(read_object(answer.body)) or f"it answers {answer.status}"
        raise DriverError(
            f"cannot go on: the VNF manager refuses: {reason}",
            transient=not once and answer.status in (429, 502, 503, 504),
            call=f"{method} {uri}",
            answer=str(answer.status),
        )


class Managers:
    """The VNF managers that this node knows, and the step handlers that ask them."""

    def __init__(self, known: Mapping[str, Manager]) -> None:
        self._known = known
        self._ours: dict[str, str] = {}

    def of(self, infos: Sequence[str]) -> str:
        """Who manages VNFs whose descriptor says this (`vnfm_info`): a manager's name, "" for this node."""
        return next((name for name, manager in self._known.items() if set(infos) & set(manager.infos)), "")

    def vnf_of(self, id: str) -> str:
        """Which VNF of this node a manager means by this identifier, from its first operation until its VNF is gone, or until
        this node stops; "" if none."""
        return self._ours.get(id, "")

    def register(self, desk: Desk, engine: Engine) -> None:
        """Add the step handlers."""
        steps = ManagedSteps(self, desk)
        for action, handler in (
            ("managed.create", steps.create),
            ("managed.run", steps.run),
            ("managed.undo", steps.undo),
            ("managed.delete", steps.delete),
        ):
            engine.add_handler(action, handler, waits=True)

    def manager(self, name: str) -> Manager:
        """`ConflictError` for one that the settings do not name any more."""
        if name not in self._known:
            raise ConflictError(f"cannot reach the VNF manager {name}", suggestion="name it in the settings again")
        return self._known[name]

    def works_on(self, id: str, vnf_id: str) -> None:
        """Remember whose VNF it is that the manager will ask a grant for."""
        self._ours[id] = vnf_id

    def forget(self, id: str) -> None:
        """The VNF is gone there."""
        self._ours.pop(id, None)


class ManagedSteps:
    """The handlers, bound to managers and desk."""

    def __init__(self, managers: Managers, desk: Desk) -> None:
        self._managers = managers
        self._desk = desk

    async def create(self, context: StepContext) -> Mapping[str, Any]:
        vnf, manager = await self._both(context)
        id = await manager.make(vnf)
        return await self._done(context, manager, id)

    async def run(self, context: StepContext) -> Mapping[str, Any]:
        vnf, manager = await self._both(context)
        return await self._done(context, manager, await self._id(vnf, manager))

    async def undo(self, context: StepContext) -> Mapping[str, Any]:
        vnf, manager = await self._both(context)
        id = await self._id(vnf, manager)
        await manager.undo(id, context.operation.kind, context.operation.started_at)
        return {"shown": await manager.show(id)}

    async def delete(self, context: StepContext) -> None:
        vnf, manager = await self._both(context)
        if not (id := await self._id(vnf, manager)):
            return
        request = context.args.get("request", {"terminationType": "FORCEFUL"})
        self._managers.works_on(id, vnf.id)
        await manager.remove(id, request, _since(context))
        self._managers.forget(id)

    async def _both(self, context: StepContext) -> tuple[VnfInstance, Manager]:
        vnf = self._desk.instance(context.operation.subject)
        manager = self._managers.manager(context.args["spec"]["manager"])
        await manager.agree()
        return vnf, manager

    async def _id(self, vnf: VnfInstance, manager: Manager) -> str:
        have = vnf.resources.get(MANAGED)
        return str(have.outputs["id"]) if have and "id" in have.outputs else await manager.find(vnf.id)

    async def _done(self, context: StepContext, manager: Manager, id: str) -> Mapping[str, Any]:
        """Have the operation of this step done; what the manager shows then."""
        self._managers.works_on(id, context.operation.subject)
        await manager.run(id, context.operation.kind, context.args["request"], _since(context))
        return {"id": id, "shown": await manager.show(id)}


def _vims(told: Any) -> list[str]:
    """Identifiers of VIM connections: the keys of a map, in version 1 those of a list's entries."""
    if isinstance(told, list):
        return [str(one.get("id")) for one in told if isinstance(one, Mapping)]
    return [str(id) for id in told] if isinstance(told, Mapping) else []


def _read(raw: bytes, kind: type[T], what: str) -> T:
    """What a manager answers, as far as it counts here. `DriverError` for what is none."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DriverError(f"cannot read {what} of the VNF manager: {error}") from error


def _time(text: str) -> datetime:
    """A date-time of a manager, in any zone; the earliest for what is none."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _is_since(there: str, here: str) -> bool:
    """Whether a manager's time is not before one of ours, as exactly as the manager tells it."""
    begun = _time(here)
    return _time(there) >= (begun if "." in there else begun.replace(microsecond=0))


def _word(kind: str) -> str:
    """What SOL003 calls the operation (LcmOperationType)."""
    return WORDS.get(kind) or kind.partition(".")[2].upper()


def _since(context: StepContext) -> str:
    """From when an operation at the manager may be this step's own: only where the step was begun before."""
    begun = next((one for one in context.engine.steps(context.operation.id) if one.key == context.step.key), None)
    return context.operation.started_at if begun is not None and begun.attempt > 1 else ""
