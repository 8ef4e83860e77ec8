"""Orphans: what exists on a VIM without an owner, and what is recorded but gone. Found by comparing every VIM with every
record; adopted, deleted or made again on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, NotFoundError, SkerryError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.orphans import Found, Orphan
from skerry.model.resources import Resource, ResourceState
from skerry.model.time import stamp
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.vim.driver import Stranger, Strangers
from skerry.vnfm.desk import Desk
from skerry.vnfm.goal import current
from skerry.vnfm.graph import wanted


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded resource and where it belongs."""

    instance: str
    key: str
    kind: str
    name: str
    vim: str
    present: bool


def compare(
    vim: str, recorded: Iterable[Recorded], real: Mapping[tuple[str, str], str], adoptable: Mapping[str, set[str]]
) -> list[Orphan]:
    """What differs on one VIM. `real` is (kind, name) → owner label. Pure."""
    mine = {(entry.kind, entry.name): entry for entry in recorded if entry.vim == vim}
    found = [
        Orphan(
            what="unowned",
            vim=vim,
            kind=kind,
            name=name,
            instance=owner,
            adoptable=name in adoptable.get(owner, ()),
        )
        for (kind, name), owner in sorted(real.items())
        if (kind, name) not in mine
    ]
    found += [
        Orphan(what="missing", vim=vim, kind=entry.kind, name=entry.name, instance=entry.instance, key=entry.key)
        for (kind, name), entry in sorted(mine.items())
        if entry.present and (kind, name) not in real
    ]
    return found


class Orphans:
    """Finds and settles them on one node."""

    def __init__(self, desk: Desk, engine: Engine) -> None:
        self._desk = desk
        self._engine = engine

    async def find(self, vim: str = "") -> Found:
        """Compare one VIM ("" = all) with the records. Instances that an operation works on are left out."""
        orphans: list[Orphan] = []
        foreign: list[Orphan] = []
        unanswered: dict[str, str] = {}
        for connection in self._desk.vims.connections():
            if vim in ("", connection.id):
                try:
                    orphans += await self._on(connection.id)
                    foreign += [_foreign(connection.id, one) for one in await self._strangers(connection.id)]
                except SkerryError as error:
                    unanswered[connection.id] = error.detail
        return Found(orphans=tuple(orphans), unanswered=unanswered, foreign=tuple(foreign))

    async def _strangers(self, vim: str) -> Sequence[Stranger]:
        driver = await self._desk.vims.driver(vim)
        return await driver.list_strangers() if isinstance(driver, Strangers) else ()

    async def _on(self, vim: str) -> list[Orphan]:
        driver = await self._desk.vims.driver(vim)
        # reality first: what is recorded meanwhile must not look missing
        real = {("compute", each.name): each.owner for each in await driver.list_compute()}
        real |= {("network", each.name): each.owner for each in await driver.list_networks()}
        busy = {owner for owner in real.values() if journal.holder(self._desk.database, owner)}
        recorded = list(self._recorded())
        busy |= {entry.instance for entry in recorded if journal.holder(self._desk.database, entry.instance)}
        adoptable = {owner: set(self._wanted(owner)) for owner in set(real.values())}
        found = compare(vim, recorded, real, adoptable)
        return [orphan for orphan in found if orphan.instance not in busy]

    def _recorded(self) -> Iterable[Recorded]:
        instances: Iterable[VnfInstance | NsInstance] = chain(
            aggregates.vnf_instances.walk(self._desk.database),
            aggregates.ns_instances.walk(self._desk.database),
        )
        for instance in instances:
            for key, resource in instance.resources.items():
                if resource.kind in ("compute", "network"):
                    yield Recorded(
                        instance=instance.id,
                        key=key,
                        kind=resource.kind,
                        name=resource.spec["name"],
                        vim=resource.spec["vim"],
                        present=resource.state is ResourceState.PRESENT,
                    )

    def _wanted(self, owner: str) -> dict[str, str]:
        """Name → key of what this VNF should have by its goal."""
        vnf = aggregates.vnf_instances.find(self._desk.database, owner)
        if vnf is None or not vnf.vnfcs:
            return {}
        graph = wanted(vnf, self._desk.flavour(vnf), current(vnf))
        return {want.spec["name"]: key for key, want in graph.items() if want.kind in ("compute", "network")}

    # -- settling -----------------------------------------------------------------------------------------------------

    async def delete(self, vim: str, kind: str, name: str) -> None:
        """Remove something that nobody records."""
        await self._expect(vim, kind, name, "unowned")
        driver = await self._desk.vims.driver(vim)
        await (driver.delete_compute(name) if kind == "compute" else driver.delete_network(name))
        await self._tell("DELETED", name, vim)

    async def delete_foreign(self, vim: str, kind: str, name: str) -> None:
        """Remove something that somebody else made. `NotFoundError` also for what is this node's own."""
        driver = await self._desk.vims.driver(vim)
        strangers = [one for one in await self._strangers(vim) if (one.kind, one.name) == (kind, name)]
        if not strangers or not isinstance(driver, Strangers):
            raise NotFoundError(f"cannot find the foreign {kind} {name} on {vim}", suggestion="list the orphans again")
        await driver.delete_stranger(strangers[0])
        await self._tell("DELETED", name, vim, "foreign")

    async def adopt(self, vim: str, kind: str, name: str) -> str:
        """Record it with the VNF that it is labelled with and that should have it; the answer is the VNF's id."""
        orphan = await self._expect(vim, kind, name, "unowned")
        if not orphan.adoptable:
            raise ConflictError(f"cannot adopt {name}: no VNF should have it", suggestion="delete it")
        driver = await self._desk.vims.driver(vim)
        real = await (driver.get_compute(name) if kind == "compute" else _network(driver, name))
        outputs: dict[str, Any] = msgspec.to_builtins(real)
        outputs.pop("env", None)
        await self._desk.database.write(lambda tx: self._record(tx, orphan, outputs))
        return orphan.instance

    def _record(self, tx: Transaction, orphan: Orphan, outputs: Mapping[str, Any]) -> None:
        def add(vnf: VnfInstance) -> VnfInstance:
            graph = wanted(vnf, self._desk.flavour(vnf), current(vnf))
            want = next(each for each in graph.values() if each.spec.get("name") == orphan.name)
            resource = Resource(
                key=want.key,
                kind=want.kind,
                spec=msgspec.json.decode(msgspec.json.encode(want.spec)),
                needs=want.needs,
                after=want.after,
                outputs=outputs,
                created_at=stamp(self._desk.clock.now()),
                note=want.note,
            )
            return msgspec.structs.replace(vnf, resources={**vnf.resources, want.key: resource})

        aggregates.vnf_instances.change(tx, orphan.instance, add)
        self._engine.events.add(tx, "resource", subject=orphan.instance, name=orphan.name, state="ADOPTED")

    async def recreate(self, vim: str, kind: str, name: str) -> Operation:
        """Make again what is recorded and gone, by healing the VNF that records it."""
        orphan = await self._expect(vim, kind, name, "missing")
        if kind != "compute":
            raise ConflictError(f"cannot make network {name} again alone", suggestion="heal or terminate its instance")
        vnfc = orphan.key.removeprefix("compute:")
        params = {"vnfcInstanceId": [vnfc], "cause": "it was gone"}
        vnf = aggregates.vnf_instances.get(self._desk.database, orphan.instance)
        return await self._engine.submit("vnf.heal", vnf.id, params, tenant=vnf.tenant)

    async def _expect(self, vim: str, kind: str, name: str, what: str) -> Orphan:
        for orphan in (await self.find(vim)).orphans:
            if (orphan.kind, orphan.name, orphan.what) == (kind, name, what):
                return orphan
        raise NotFoundError(f"cannot find the {what} {kind} {name} on {vim}", suggestion="list the orphans again")

    async def _tell(self, state: str, name: str, vim: str, what: str = "orphan") -> None:
        await self._desk.database.write(
            lambda tx: self._engine.events.add(tx, "resource", name=name, state=state, detail=f"{what} on {vim}")
        )


def _foreign(vim: str, one: Stranger) -> Orphan:
    return Orphan(what="foreign", vim=vim, kind=one.kind, name=one.name, node=one.node, state=one.state)


async def _network(driver: Any, name: str) -> Any:
    for network in await driver.list_networks():
        if network.name == name:
            return network
    raise NotFoundError(f"cannot find network {name}")
