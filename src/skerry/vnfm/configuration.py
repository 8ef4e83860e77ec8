"""Configuration of running VNFs (SOL002 clause 9): recorded, then delivered into each VNFC, without a restart.

A VNFC finds it as JSON in `/run/skerry/configuration.json` (`/tmp/skerry` where `/run` cannot be written), and the package's
script for the event `configure` runs then, with the file's path in SKERRY_CONFIGURATION. VNFCs that come later, or again, get
it once the operation that made them is over. A VNF that has SOL002 interfaces of its own is asked there instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.errors import ConflictError, InvalidError, PreconditionError, SkerryError, UnavailableError
from skerry.model.configuration import Change, VnfConfiguration
from skerry.model.descriptors import DeploymentFlavour
from skerry.model.operations import Event
from skerry.model.resources import Resource
from skerry.model.states import FINAL, InstantiationState
from skerry.model.time import stamp
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates, journal
from skerry.store.configuration import configurations
from skerry.store.database import Transaction
from skerry.store.documents import Revs
from skerry.vim.driver import Compute, ComputeState, Driver, Exec
from skerry.vnfm.desk import Desk
from skerry.vnfm.element import Elements, endpoint_of
from skerry.vnfm.modify import merged
from skerry.vnfm.values import Attributes, environment

log = logging.getLogger(__name__)

EVENT = "configure"
LARGEST = 64 * 1024
PATH = "/vnfconfig/v1/configuration"
DELIVER = """\
set -u
for base in /run /tmp; do d=$base/skerry; mkdir -p "$d" 2>/dev/null && break; done
printf '%s' "$1" > "$d/configuration.new" && mv "$d/configuration.new" "$d/configuration.json" || exit 74
[ "$2" = script ] || exit 0
cat > "$d/configure" && chmod 700 "$d/configure" || exit 74
SKERRY_CONFIGURATION="$d/configuration.json" exec "$d/configure" < /dev/null
"""
_FINAL = frozenset(state.value for state in FINAL)


class Configurations:
    """The configurations of all VNFs of a node."""

    def __init__(self, desk: Desk, elements: Elements) -> None:
        self._desk = desk
        self._elements = elements
        self._locks: dict[str, asyncio.Lock] = {}
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Deliver what was not, and whatever operations make necessary from now on."""
        self._known = {record.id for record in configurations.select(self._desk.database)}
        self._desk.database.on_commit.append(self._committed)
        for id in self._known:
            self._spawn(id)

    async def stop(self) -> None:
        """Deliver no more."""
        if self._committed in self._desk.database.on_commit:
            self._desk.database.on_commit.remove(self._committed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- callers ------------------------------------------------------------------------------------------------------

    def get(self, vnf: VnfInstance) -> VnfConfiguration:
        """What is recorded; of a VNF that nobody configured, nothing (version 0)."""
        found = configurations.find(self._desk.database, vnf.id)
        return found or VnfConfiguration(id=vnf.id, tenant=vnf.tenant)

    async def own(self, vnf: VnfInstance, change: Any = None) -> Any:
        """What the VNF's own interface says: its configuration, or with a change (VnfConfigModifications) the answer to it;
        None where it has no interface. `InvalidError` where it refuses."""
        if not endpoint_of(vnf):
            return None
        told = await self._elements.ask(vnf, "GET" if change is None else "PATCH", PATH, change)
        if told.status == 200:
            return told.body
        detail = told.body.get("detail", "") if isinstance(told.body, dict) else ""
        if 400 <= told.status < 500:
            raise InvalidError(f"cannot configure VNF {vnf.id}: it answers {told.status} {detail}".rstrip())
        raise UnavailableError(f"cannot configure VNF {vnf.id}: it answers {told.status} {detail}".rstrip())

    async def change(self, vnf: VnfInstance, change: Change, *, match: Revs = None) -> VnfConfiguration:
        """Record a change and deliver it to every VNFC that runs. Where one refuses, nothing is changed: `InvalidError` says
        which and why. `PreconditionError` where the configuration is at none of the versions `match`."""
        self._check(vnf, change)
        async with self._locks.setdefault(vnf.id, asyncio.Lock()):
            before, after = await self._desk.database.write(lambda tx: self._changed(tx, vnf, change, match))
            self._known.add(vnf.id)
            try:
                return await self._deliver(vnf.id)
            except SkerryError:
                await self._desk.database.write(lambda tx: _back(tx, before, after))
                await self._quietly(vnf.id)
                raise

    def _check(self, vnf: VnfInstance, change: Change) -> None:
        if vnf.instantiation_state is not InstantiationState.INSTANTIATED:
            raise ConflictError(
                f"cannot configure VNF {vnf.id}: it is not instantiated", suggestion="instantiate it first"
            )
        there = {key.removeprefix("compute:") for key, one in vnf.resources.items() if one.kind == "compute"}
        if unknown := sorted(set(change.vnfcs) - there):
            known = ", ".join(sorted(there)) or "none"
            raise InvalidError(
                f"cannot configure VNF {vnf.id}: it has no VNFC {unknown[0]}", suggestion=f"its VNFCs are: {known}"
            )

    def _changed(
        self, tx: Transaction, vnf: VnfInstance, change: Change, match: Revs
    ) -> tuple[VnfConfiguration | None, VnfConfiguration]:
        if held := journal.holder(tx, vnf.id):
            raise ConflictError(
                f"cannot configure VNF {vnf.id}: operation {held.id} ({held.kind}) is {held.state}",
                suggestion="wait for it",
            )
        before = configurations.find(tx, vnf.id)
        version = before.version if before else 0
        if match is not None and version not in match:
            raise PreconditionError(
                f"cannot configure VNF {vnf.id}: its configuration was changed meanwhile", suggestion="read it again"
            )
        base = before or VnfConfiguration(id=vnf.id, tenant=vnf.tenant, created_at=stamp(self._desk.clock.now()))
        vnfcs = {name: data for name, data in base.vnfcs.items() if name not in change.forget}
        vnfcs |= {name: merged(vnfcs.get(name, {}), patch) for name, patch in change.vnfcs.items()}
        after = msgspec.structs.replace(base, data=merged(base.data, change.data), vnfcs=vnfcs, version=version + 1)
        if max(len(content_of(after, name)) for name in ("", *after.vnfcs)) > LARGEST:
            raise InvalidError(f"cannot configure VNF {vnf.id}: a VNFC may get {LARGEST} bytes at most")
        return before, configurations.put(tx, after) if before else configurations.insert(tx, after)

    # -- delivery -------------------------------------------------------------------------------------------------------

    def _committed(self, events: list[Event]) -> None:
        """An operation that ended may have made or started VNFCs; a VNF that is gone has no configuration."""
        for event in events:
            if event.subject not in self._known:
                continue
            if event.kind == "operation" and event.state in _FINAL:
                self._spawn(event.subject)

    def _spawn(self, id: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._again(id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self, id: str) -> None:
        async with self._locks.setdefault(id, asyncio.Lock()):
            await self._quietly(id)

    async def _quietly(self, id: str) -> None:
        try:
            await self._deliver(id)
        except SkerryError as error:
            log.warning("cannot deliver the configuration of VNF %s: %s", id, error.detail)

    async def _deliver(self, id: str) -> VnfConfiguration:
        """Deliver to each VNFC that runs and has not got it; record who has. The first refusal ends it."""
        vnf = aggregates.vnf_instances.find(self._desk.database, id)
        record = configurations.get(self._desk.database, id)
        if vnf is None or vnf.instantiation_state is not InstantiationState.INSTANTIATED:
            await self._desk.database.write(lambda tx: configurations.delete(tx, id))
            self._known.discard(id)
            return record
        flavour = self._desk.flavour(vnf)
        done: dict[str, str] = {}
        try:
            for key, resource in sorted(vnf.resources.items()):
                if resource.kind == "compute":
                    vnfc = key.removeprefix("compute:")
                    done |= await self._to_vnfc(vnf, flavour, record, vnfc, resource)
        finally:
            delivered = {
                name: mark for name, mark in {**record.delivered, **done}.items() if f"compute:{name}" in vnf.resources
            }
            if delivered != record.delivered:
                await self._desk.database.write(lambda tx: _mark(tx, id, delivered))
        return configurations.get(self._desk.database, id)

    async def _to_vnfc(
        self, vnf: VnfInstance, flavour: DeploymentFlavour, record: VnfConfiguration, vnfc: str, resource: Resource
    ) -> dict[str, str]:
        driver = await self._desk.vims.driver(resource.spec["vim"])
        compute = await driver.get_compute(resource.spec["name"])
        content = content_of(record, vnfc)
        mark = _mark_of(content, compute)
        if compute.state is not ComputeState.RUNNING or record.delivered.get(vnfc) == mark:
            return {}
        await self._run(driver, vnf, flavour, vnfc, resource, content)
        return {vnfc: mark}

    async def _run(
        self,
        driver: Driver,
        vnf: VnfInstance,
        flavour: DeploymentFlavour,
        vnfc: str,
        resource: Resource,
        content: bytes,
    ) -> None:
        if not isinstance(driver, Exec):
            raise InvalidError(f"cannot configure {vnfc}: VIM {resource.spec['vim']} cannot run commands in instances")
        script = flavour.scripts.get(EVENT)
        meant = script if script and (not script.vdus or resource.spec["vdu"] in script.vdus) else None
        env = {}
        if meant:
            lookup = Attributes(vnf, flavour, vnfc)
            env = environment(lookup, {**flavour.vdus[resource.spec["vdu"]].env, **meant.inputs})
        answer = await driver.exec(
            resource.spec["name"],
            ["/bin/sh", "-c", DELIVER, "skerry", content.decode(), "script" if meant else ""],
            stdin=self._desk.artifact(vnf.vnf_pkg_id, meant.artifact) if meant else b"",
            env=env,
            timeout_s=meant.timeout_s if meant else 60.0,
        )
        if answer.exit_code != 0:
            complaint = answer.stderr.decode("utf-8", "replace").strip()[:500]
            raise InvalidError(
                f"cannot configure {vnfc} of VNF {vnf.id}: it ended with {answer.exit_code}: {complaint}",
                suggestion="correct the configuration, or the package's script; what it had before holds",
            )


def content_of(record: VnfConfiguration, vnfc: str) -> bytes:
    """What a VNFC gets."""
    return msgspec.json.encode({"vnfSpecificData": record.data, "vnfcSpecificData": record.vnfcs.get(vnfc, {})})


def _mark_of(content: bytes, compute: Compute) -> str:
    """The same content in the same run of a VNFC is delivered once."""
    return f"{hashlib.sha256(content).hexdigest()[:16]}@{compute.id}@{compute.started_at}"


def _mark(tx: Transaction, id: str, delivered: Mapping[str, str]) -> None:
    if configurations.find(tx, id):
        configurations.change(tx, id, lambda record: msgspec.structs.replace(record, delivered=delivered))


def _back(tx: Transaction, before: VnfConfiguration | None, after: VnfConfiguration) -> None:
    """To what was configured before; who has what stays as it is."""
    now = configurations.find(tx, after.id)
    if now is None:
        return
    old = before or VnfConfiguration(id=after.id, tenant=after.tenant)
    configurations.put(tx, msgspec.structs.replace(now, data=old.data, vnfcs=old.vnfcs, version=old.version))
