"""Indicators of VNFs (SOL003 and SOL002 clause 8): the VNFD says which, and one of four tells the value.

A script of the package that prints it inside an instance; a measurement, where the indicator is called like a metric; the VNF's
own SOL002 interface; or whoever writes it (the EM, or the VNF itself). Each change of a value is an event, in its transaction.
The indicator `service` raises an alarm while it says that the VNF's service is down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import ConflictError, NotFoundError, SkerryError
from skerry.model.descriptors import IndicatorDescription
from skerry.model.indicators import Indicator, VnfIndicators
from skerry.model.operations import Event
from skerry.model.performance import ObjectType, Value
from skerry.model.states import FINAL, InstantiationState
from skerry.model.time import stamp
from skerry.model.vnf import VnfInstance
from skerry.policy import measures
from skerry.policy.collecting import Collector, Watch
from skerry.policy.recovery import SERVICE
from skerry.store import aggregates
from skerry.store import indicators as store
from skerry.store.database import Transaction
from skerry.vim.driver import ComputeState, Exec
from skerry.vnfm.alarms import Alarms
from skerry.vnfm.desk import Desk
from skerry.vnfm.element import Elements, endpoint_of
from skerry.vnfm.values import Attributes, environment

log = logging.getLogger(__name__)

AT_ONCE = 8
SIMPLE = 'f=$(mktemp) && cat > "$f" && chmod 700 "$f" && "$f" < /dev/null; r=$?; rm -f "$f"; exit $r'
"""Runs the script on standard input, each time anew."""
_FINAL = frozenset(state.value for state in FINAL)


class Indicators:
    """The indicators of all VNFs of a node. `period_s` is how often scripts and VNFs are asked."""

    def __init__(
        self, desk: Desk, events: EventLog, collector: Collector, elements: Elements, *, period_s: float = 30.0
    ) -> None:
        self._desk = desk
        self._events = events
        self._collector = collector
        self._elements = elements
        self._alarms = Alarms(desk.database, desk.alarms)
        self._period_s = period_s
        self._asked: dict[str, tuple[IndicatorDescription, ...]] = {}  # VNF -> what is asked for
        self._changed: set[str] = set()
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Find the VNFs that indicate something, and ask them from now on."""
        database = self._desk.database
        packages = [info.id for info in aggregates.vnf_packages.select(database) if _indicates(info.package)]
        known = {vnf.id for id in packages for vnf in aggregates.vnf_instances.select(database, vnf_pkg_id=id)}
        self._changed = known | {record.id for record in store.indicators.select(database)}
        self._news.set()
        database.on_commit.append(self._committed)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._settling()), loop.create_task(self._asking())]

    async def stop(self) -> None:
        """Ask no more."""
        if self._committed in self._desk.database.on_commit:
            self._desk.database.on_commit.remove(self._committed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- callers ------------------------------------------------------------------------------------------------------

    def all(self, *, tenant: str, vnf: str = "") -> Sequence[Indicator]:
        """Those of all VNFs or of one. `NotFoundError` for an unknown VNF."""
        if vnf:
            aggregates.vnf_instances.get(self._desk.database, vnf, tenant=tenant)
            record = store.indicators.find(self._desk.database, vnf)
            return _shown(record) if record else []
        return [one for record in store.indicators.select(self._desk.database, tenant=tenant) for one in _shown(record)]

    def get(self, vnf: str, indicator: str, *, tenant: str) -> Indicator:
        """One."""
        found = next((one for one in self.all(tenant=tenant, vnf=vnf) if one.indicator == indicator), None)
        if found is None:
            known = ", ".join(one.indicator for one in self.all(tenant=tenant, vnf=vnf)) or "none"
            raise NotFoundError(
                f"cannot find the indicator {indicator} of VNF {vnf}", suggestion=f"its indicators are: {known}"
            )
        return found

    async def tell(self, vnf: str, indicator: str, value: Any, *, tenant: str) -> Indicator:
        """Somebody who knows says the value. `ConflictError` where a script or a measurement says it."""
        self.get(vnf, indicator, tenant=tenant)
        described = self._described(aggregates.vnf_instances.get(self._desk.database, vnf)).get(indicator)
        if described and (described.script or indicator in measures.METRICS):
            raise ConflictError(
                f"cannot set the indicator {indicator} of VNF {vnf}: the node finds it out by itself",
                suggestion="set one that the VNF tells",
            )
        await self._desk.database.write(lambda tx: self._put(tx, vnf, {indicator: value}))
        return self.get(vnf, indicator, tenant=tenant)

    # -- which there are ------------------------------------------------------------------------------------------------

    def _committed(self, events: list[Event]) -> None:
        """A VNF whose operation ended may have got indicators, lost them, or may be gone."""
        found = {
            event.subject
            for event in events
            if (event.kind == "operation" and event.name.startswith("vnf.") and event.state in _FINAL)
            or (event.kind == "resource" and event.name == "vnf" and event.state == "DELETED")
        }
        if found:
            self._changed |= found
            self._news.set()

    async def _settling(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            changed, self._changed = self._changed, set()
            for id in sorted(changed):
                try:
                    await self._settle(id)
                except SkerryError as error:
                    log.warning("cannot tell the indicators of VNF %s: %s", id, error.detail)

    async def _settle(self, id: str) -> None:
        """Bring the record of a VNF's indicators in line with its descriptor."""
        vnf = aggregates.vnf_instances.find(self._desk.database, id)
        there = vnf is not None and vnf.instantiation_state is InstantiationState.INSTANTIATED
        described = self._described(vnf) if vnf and there else {}
        record = store.indicators.find(self._desk.database, id)
        supported = {name: one.name for name, one in described.items()}
        if (record.supported if record else {}) != supported:
            await self._desk.database.write(lambda tx: self._support(tx, id, vnf, supported))
        self._collector.forget(f"indicators:{id}")
        self._asked.pop(id, None)
        if vnf is None or not described:
            return
        measured = [one for name in described if (one := measures.asked(name))]
        if measured:
            watch = Watch(f"indicators:{id}", ObjectType.VNF, (id,), measured, self._period_s, self._measured(id))
            self._collector.watch(watch)
        asked = tuple(one for one in described.values() if measures.asked(one.id) is None)
        if any(one.script for one in asked) or endpoint_of(vnf):
            self._asked[id] = asked

    def _described(self, vnf: VnfInstance) -> Mapping[str, IndicatorDescription]:
        info = aggregates.vnf_packages.find(self._desk.database, vnf.vnf_pkg_id)
        flavour = info.package.vnfd.flavours.get(vnf.flavour_id) if info and info.package else None
        return flavour.indicators if flavour else {}

    def _support(self, tx: Transaction, id: str, vnf: VnfInstance | None, supported: Mapping[str, str]) -> None:
        record = store.indicators.find(tx, id)
        if vnf is None or not supported:
            store.indicators.delete(tx, id)
        elif record is None:
            new = VnfIndicators(id=id, tenant=vnf.tenant, created_at=self._now(), supported=supported)
            store.indicators.insert(tx, new)
        else:
            kept = {name: value for name, value in record.values.items() if name in supported}
            store.indicators.put(tx, msgspec.structs.replace(record, supported=supported, values=kept))
        if vnf is not None:
            told = [{"vnfIndicatorId": name, **({"name": word} if word else {})} for name, word in supported.items()]
            self._events.add(tx, "indicator", subject=id, state="SUPPORTED", data={"supported": told})

    # -- their values ---------------------------------------------------------------------------------------------------

    def _measured(self, id: str) -> Any:
        def emit(tx: Transaction, _end: float, values: Sequence[Value]) -> None:
            self._put(tx, id, {value.metric: value.value for value in values})

        return emit

    def _put(self, tx: Transaction, id: str, values: Mapping[str, Any]) -> None:
        """Record values; those that changed are told."""
        record = store.indicators.find(tx, id)
        if record is None:
            return
        new = {
            name: value
            for name, value in values.items()
            if name in record.supported and (name not in record.values or record.values[name] != value)
        }
        if not new:
            return
        now = self._now()
        changes = {"values": {**record.values, **new}, "told_at": {**record.told_at, **dict.fromkeys(new, now)}}
        store.indicators.put(tx, msgspec.structs.replace(record, **changes))
        if SERVICE in new:
            self._alarms.service(tx, id, new[SERVICE])
        for name, value in new.items():
            data = {"value": value, "name": record.supported[name]}
            self._events.add(tx, "indicator", subject=id, name=name, state="VALUE", detail=str(value)[:200], data=data)

    async def _asking(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            await self.ask()

    async def ask(self) -> None:
        """Ask scripts and VNFs for every value that they tell."""
        await asyncio.gather(*(self._ask(id, asked) for id, asked in list(self._asked.items())))

    async def refresh(self, id: str) -> None:
        """Ask what one VNF tells, now."""
        await self._ask(id, self._asked.get(id, ()))

    async def _ask(self, id: str, asked: Sequence[IndicatorDescription]) -> None:
        async with self._slots:
            vnf = aggregates.vnf_instances.find(self._desk.database, id)
            if vnf is None:
                return
            values = await self._own(vnf, {one.id for one in asked if one.script is None})
            for one in asked:
                try:
                    if one.script is not None:
                        values |= await self._scripted(vnf, one)
                except SkerryError as error:
                    log.info("cannot find out the indicator %s of VNF %s: %s", one.id, id, error.detail)
        try:
            await self._desk.database.write(lambda tx: self._put(tx, id, values))
        except SkerryError as error:
            log.warning("cannot record the indicators of VNF %s: %s", id, error.detail)

    async def _own(self, vnf: VnfInstance, names: set[str]) -> dict[str, Any]:
        """What the VNF's own interface says of these."""
        if not names or not endpoint_of(vnf):
            return {}
        try:
            told = await self._elements.ask(vnf, "GET", f"/vnfind/v1/indicators/{vnf.id}")
        except SkerryError as error:
            log.info("cannot ask VNF %s for its indicators: %s", vnf.id, error.detail)
            return {}
        listed = told.body if told.status == 200 and isinstance(told.body, list) else []
        entries = [entry for entry in listed if isinstance(entry, dict) and "value" in entry]
        return {str(entry.get("id")): entry["value"] for entry in entries if entry.get("id") in names}

    async def _scripted(self, vnf: VnfInstance, one: IndicatorDescription) -> dict[str, Any]:
        """What the script prints in the first VNFC that it is for and that runs."""
        script, flavour = one.script, self._desk.flavour(vnf)
        for key, resource in sorted(vnf.resources.items()):
            spec = resource.spec
            if script is None or resource.kind != "compute" or (script.vdus and spec["vdu"] not in script.vdus):
                continue
            driver = await self._desk.vims.driver(spec["vim"])
            compute = await driver.get_compute(spec["name"])
            if compute.state is not ComputeState.RUNNING or not isinstance(driver, Exec):
                continue
            lookup = Attributes(vnf, flavour, key.removeprefix("compute:"))
            env = environment(lookup, {**flavour.vdus[spec["vdu"]].env, **script.inputs})
            content = self._desk.artifact(vnf.vnf_pkg_id, script.artifact)
            argv = ["/bin/sh", "-c", SIMPLE]
            answer = await driver.exec(spec["name"], argv, stdin=content, env=env, timeout_s=script.timeout_s)
            if answer.exit_code == 0:
                return {one.id: _value(answer.stdout)}
            complaint = answer.stderr.decode("utf-8", "replace").strip()[:200]
            log.info("the script of the indicator %s ended with %d: %s", one.id, answer.exit_code, complaint)
            return {}
        return {}

    def _now(self) -> str:
        return stamp(self._desk.clock.now())


def _indicates(package: Any) -> bool:
    return package is not None and any(flavour.indicators for flavour in package.vnfd.flavours.values())


def _shown(record: VnfIndicators) -> list[Indicator]:
    return [
        Indicator(
            id=f"{record.id}/{name}",
            vnf=record.id,
            indicator=name,
            name=word,
            value=record.values.get(name),
            told_at=record.told_at.get(name, ""),
        )
        for name, word in sorted(record.supported.items())
    ]


def _value(printed: bytes) -> Any:
    """What a script printed: JSON where it is, else text."""
    text = printed.decode("utf-8", "replace").strip()[:4096]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
