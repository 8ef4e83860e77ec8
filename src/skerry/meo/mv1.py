"""The NFVO of somebody else below this orchestrator of applications (Mv1): applications there are network services that it has.

What is asked for is found again by the service's name, which holds the identifier that it has here: nothing is made twice after
a crash, and nothing is left there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from skerry.errors import DriverError, UnavailableError
from skerry.notifications.wire import Answer
from skerry.packages.appd_names import FLAVOUR
from skerry.vnfm.foreign import Exchange, next_page, place, read_object, reason_of

POLL_S, LONGEST_POLL_S = 0.2, 2.0
ENDED = ("COMPLETED", "FAILED", "ROLLED_BACK")
ZIP = "application/zip"


class Wish(NamedTuple):
    """The network service that an application shall be: its name, its descriptors, and the archives that hold them."""

    name: str
    nsd_id: str
    vnfd_id: str
    nsd: Path
    vnf_package: Path


class Point(NamedTuple):
    """An external connection point of a VNF as the NFVO shows it."""

    name: str
    ip: str
    mac: str = ""


class Services(Protocol):
    """What is asked of an NFVO, whatever it speaks. Everything may be asked again. `DriverError` tells what it says."""

    async def bring_up(self, wish: Wish) -> str:
        """The service is there and runs; its identifier there."""
        ...

    async def points(self, id: str) -> list[Point]:
        """Where it is reached."""
        ...

    async def switch(self, id: str, *, running: bool, graceful: bool) -> None:
        """Start or stop its VNFs."""
        ...

    async def remove(self, name: str) -> None:
        """Terminate and delete it."""
        ...


class Caller:
    """Requests to an NFVO. `root` is that of its APIs."""

    def __init__(
        self, root: str, exchange: Exchange, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.root = root.rstrip("/")
        self._exchange = exchange
        self._pause = pause

    async def call(
        self,
        method: str,
        where: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        allowed: Sequence[int] = (),
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Answer:
        """One request; `once`: nobody may repeat it before he has looked whether it was done."""
        uri = where if "://" in where else self.root + where
        told = {"Accept": "application/json", **(headers or {})}
        raw = body if isinstance(body, bytes) else b""
        if body is not None:
            told["Content-Type"] = ZIP if isinstance(body, bytes) else "application/json"
            raw = raw or msgspec.json.encode(body)
        try:
            answer = await self._exchange(method, uri, told, raw)
        except UnavailableError as error:
            raise DriverError(error.detail, transient=not once, call=f"{method} {uri}") from error
        if 200 <= answer.status < 300 or answer.status in allowed:
            return answer
        reason = reason_of(read_object(answer.body)) or f"it answers {answer.status}"
        busy = answer.status in (429, 502, 503, 504)
        raise DriverError(
            f"cannot go on: the NFVO refuses: {reason}", transient=busy and not once, call=f"{method} {uri}"
        )

    async def all(self, where: str, headers: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The entries of a list."""
        found: list[dict[str, Any]] = []
        while where:
            answer = await self.call("GET", where, headers=headers)
            try:
                found += msgspec.json.decode(answer.body, type=list[dict[str, Any]])
            except msgspec.DecodeError as error:
                raise DriverError(f"cannot read what the NFVO answers at {where}: it is no list") from error
            where = next_page(where if "://" in where else self.root + where, answer.headers)
        return found

    async def until(
        self,
        where: str,
        state: str,
        ends: Sequence[str],
        goes_on: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Wait until a resource has one of these states. `DriverError` for one that leads there no more."""
        delay = POLL_S
        while True:
            told = read_object((await self.call("GET", where, headers=headers)).body)
            if told.get(state) in ends:
                return told
            if told.get(state) not in goes_on:
                reason = _reason(told) or f"{where} is {told.get(state)}"
                raise DriverError(f"cannot go on: the NFVO says: {reason}", call=f"GET {where}")
            await self._pause(delay)
            delay = min(delay * 1.5, LONGEST_POLL_S)


def identifier(answer: Answer, name: str = "id") -> str:
    """An identifier that an answer must have. `DriverError` where it has none."""
    found = read_object(answer.body).get(name)
    if not isinstance(found, str) or not found:
        raise DriverError(f"cannot read what the NFVO answers: it has no {name}")
    return found


def _reason(told: Mapping[str, Any]) -> str:
    for name in ("error", "onboardingFailureDetails", "nsdOnboardingFailureDetails"):
        if isinstance(told.get(name), Mapping):
            return str(told[name].get("detail", ""))
    return str(told.get("errorMessage") or "")


class Sol005(Caller):
    """An NFVO that speaks SOL005 in version 2 (fits `Services`): it gets descriptors and packages from here."""

    async def bring_up(self, wish: Wish) -> str:
        """Hand over what it lacks, make the service, instantiate it."""
        await self._handed_over("vnfpkgm", "vnf_packages", "vnfdId", wish.vnfd_id, "package_content", wish.vnf_package)
        await self._handed_over("nsd", "ns_descriptors", "nsdId", wish.nsd_id, "nsd_content", wish.nsd)
        known = await self._named(wish.name) or {}
        if known:
            id = str(known["id"])
        else:
            body = {"nsdId": wish.nsd_id, "nsName": wish.name, "nsDescription": "an edge application"}
            id = identifier(await self.call("POST", "/nslcm/v2/ns_instances", body))
        if known.get("nsState") != "INSTANTIATED":
            await self._run(id, f"/nslcm/v2/ns_instances/{id}/instantiate", {"nsFlavourId": FLAVOUR})
        return id

    async def points(self, id: str) -> list[Point]:
        """The external connection points of its VNFs."""
        told = read_object((await self.call("GET", f"/nslcm/v2/ns_instances/{id}")).body)
        found: list[Point] = []
        for vnf in told.get("vnfInstance", ()):
            for point in vnf.get("instantiatedVnfInfo", {}).get("extCpInfo", ()):
                over = [one.get("ipOverEthernet", {}) for one in point.get("cpProtocolInfo", ())]
                found += [
                    Point(str(point["cpdId"]), str(ip), str(one.get("macAddress", "")))
                    for one in over
                    for entry in one.get("ipAddresses", ())
                    for ip in entry.get("addresses", ())
                ]
        return found

    async def switch(self, id: str, *, running: bool, graceful: bool) -> None:
        """OPERATE_VNF of those that are not as wished."""
        word = "STARTED" if running else "STOPPED"
        how = {} if running else {"stopType": "GRACEFUL" if graceful else "FORCEFUL"}
        told = read_object((await self.call("GET", f"/nslcm/v2/ns_instances/{id}")).body)
        entries = [
            {"vnfInstanceId": vnf["id"], "changeStateTo": word, **how}
            for vnf in told.get("vnfInstance", ())
            if vnf.get("instantiatedVnfInfo", {}).get("vnfState") != word
        ]
        if entries:
            request = {"updateType": "OPERATE_VNF", "operateVnfData": entries}
            await self._run(id, f"/nslcm/v2/ns_instances/{id}/update", request)

    async def remove(self, name: str) -> None:
        """Give up what failed there, terminate, delete the record. Descriptors stay: others may use them."""
        known = await self._named(name)
        if known is None:
            return
        one = f"/nslcm/v2/ns_instances/{known['id']}"
        for occurrence in await self._open(str(known["id"])):
            if occurrence["operationState"] == "FAILED_TEMP":
                await self.call("POST", f"{self._of(occurrence)}/fail")
            else:
                await self.until(self._of(occurrence), "operationState", ENDED, _GOING)
        known = read_object((await self.call("GET", one)).body)
        if known.get("nsState") == "INSTANTIATED" or known.get("vnfInstance"):
            await self._follow(place(self.root, await self._begin(f"{one}/terminate", {})))
        await self.call("DELETE", one, allowed=(404,))

    async def _handed_over(self, api: str, kind: str, attribute: str, id: str, content: str, archive: Path) -> None:
        """A descriptor is onboarded there. A record that was made for it and got none is taken back."""
        states = "nsdOnboardingState" if api == "nsd" else "onboardingState"
        root = f"/{api}/v2/{kind}"
        going = ("CREATED", "UPLOADING", "PROCESSING")
        if known := await self.all(f"{root}?{_where(attribute, id)}"):
            await self.until(f"{root}/{known[0]['id']}", states, ("ONBOARDED",), going)
            return
        made = f"{root}/{identifier(await self.call('POST', root, {}))}"
        try:
            raw = await asyncio.to_thread(archive.read_bytes)
            await self.call("PUT", f"{made}/{content}", raw)
            await self.until(made, states, ("ONBOARDED",), going)
        except DriverError:
            with suppress(DriverError):
                await self.call("DELETE", made)
            raise

    async def _named(self, name: str) -> dict[str, Any] | None:
        found = await self.all(f"/nslcm/v2/ns_instances?{_where('nsInstanceName', name)}")
        return next((one for one in found if one.get("nsInstanceName") == name), None)

    async def _open(self, id: str) -> list[dict[str, Any]]:
        found = await self.all(f"/nslcm/v2/ns_lcm_op_occs?{_where('nsInstanceId', id)}")
        return [one for one in found if one.get("nsInstanceId") == id and one["operationState"] not in ENDED]

    async def _run(self, id: str, where: str, request: Mapping[str, Any]) -> None:
        """Have an operation done: one that stopped half-way goes on, one that is under way is waited for."""
        going = await self._open(id)
        if not going:
            await self._follow(place(self.root, await self._begin(where, request)))
            return
        if going[0]["operationState"] == "FAILED_TEMP":
            await self.call("POST", f"{self._of(going[0])}/retry")
        await self._follow(self._of(going[0]))

    async def _begin(self, where: str, request: Mapping[str, Any]) -> str:
        return (await self.call("POST", where, request, once=True)).headers.get("location", "")

    async def _follow(self, where: str) -> None:
        await self.until(where, "operationState", ("COMPLETED",), _GOING)

    @staticmethod
    def _of(occurrence: Mapping[str, Any]) -> str:
        return f"/nslcm/v2/ns_lcm_op_occs/{occurrence['id']}"


def _where(attribute: str, value: str) -> str:
    """A filter for one value, in quotes where it has what filters are made of (SOL013 5.2.2)."""
    if set(value) & set("(),'"):
        value = "'" + value.replace("'", "''") + "'"
    return f"filter={quote(f'(eq,{attribute},{value})')}"


_GOING = ("STARTING", "PROCESSING", "ROLLING_BACK")
