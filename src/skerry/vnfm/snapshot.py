"""Snapshots of a VNF (SOL003 5.4.21 to 5.4.23): what its VNFCs have written, kept as images, and the way back to them.

A snapshot's record is created empty, then filled by one operation. Reverting replaces the VNFCs by ones from the images;
they keep their addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, Fault, InvalidError, UnsupportedError
from skerry.model.configuration import SECRETS, shown
from skerry.model.operations import Change, Operation, Plan, Step
from skerry.model.resources import ResourceState
from skerry.model.states import FINAL, OperationState
from skerry.model.time import Ids, stamp
from skerry.model.vnf import VnfcSnapshot, VnfInstance, VnfSnapshotInfo
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.store.documents import Revs
from skerry.vim.driver import Snapshots
from skerry.vnfm.brought import adopted, require_near
from skerry.vnfm.desk import Desk
from skerry.vnfm.goal import Goal, current, require_vnfcs
from skerry.vnfm.naming import SNAPSHOT
from skerry.vnfm.operation import VnfOperation


class CreateSnapshot(VnfOperation):
    """Parameters: CreateVnfSnapshotRequest (5.5.2.21): `vnfSnapshotInfoId` of an empty record, `userDefinedData`."""

    name: ClassVar[str] = "vnf.create_snapshot"
    event: ClassVar[str] = "create_snapshot"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        return current(instance)

    def admit(self, tx: Transaction, operation: Operation) -> None:
        super().admit(tx, operation)
        info = aggregates.vnf_snapshots.get(tx, _named(operation.params), tenant=operation.tenant)
        if info.vnf_instance_id:
            raise ConflictError(
                f"cannot fill VNF snapshot {info.id}: it is of VNF {info.vnf_instance_id} already",
                suggestion="create a new record",
            )

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        info = _named(operation.params)
        meant = require_vnfcs(instance, _only(operation.params))
        steps = []
        for key, resource in sorted(instance.resources.items()):
            if resource.kind != "compute":
                continue
            vnfc, vim = key.removeprefix("compute:"), resource.spec["vim"]
            if vnfc not in meant:
                continue
            if resource.state is not ResourceState.PRESENT:
                raise ConflictError(
                    f"cannot take a snapshot of {vnfc}: it is {resource.state}", suggestion="heal it first"
                )
            if not isinstance(await self.desk.vims.driver(vim), Snapshots):
                raise UnsupportedError(f"cannot take a snapshot of {vnfc}: VIM {vim} cannot")
            args = {"vim": vim, "name": resource.spec["name"], "image": _image(info, vnfc), "vnfc": vnfc}
            steps.append(
                Step(
                    key=f"snapshot:{vnfc}",
                    action="snapshot.take",
                    note=f"snapshot of {vnfc} on {vim}",
                    args=args,
                    undo="snapshot.drop",
                    undo_args=args,
                    timeout_s=1800.0,
                )
            )
        now = msgspec.to_builtins(current(instance))
        told = tuple(Change(resource=f"compute:{s.args['vnfc']}", effect="run", detail=s.note) for s in steps)
        return Plan(steps=tuple(steps), changes=told, outcome={"goal": now, "before": now})

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        """Write each VNFC's image into the snapshot's record."""
        vnfc = step.args["vnfc"]

        def note(info: VnfSnapshotInfo) -> VnfSnapshotInfo:
            others = {name: one for name, one in info.vnfcs.items() if name != vnfc}
            if phase == "done":
                others[vnfc] = msgspec.convert(dict(result), VnfcSnapshot)
            return msgspec.structs.replace(info, vnfcs=others)

        if phase in ("done", "undone"):
            aggregates.vnf_snapshots.change(tx, _named(operation.params), note)

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        """The VNF itself stays as it is; its record is kept in the snapshot's."""
        now = stamp(self.desk.clock.now())
        fields: dict[str, Any] = {}
        if state is OperationState.PROCESSING:
            vnf = aggregates.vnf_instances.get(tx, operation.subject)
            fields = {"vnf_instance_id": vnf.id, "vnf_instance": vnf, "started_at": now, "operation": operation.id}
            fields["user_defined_data"] = operation.params.get("userDefinedData", {})
        elif state is OperationState.COMPLETED:
            fields = {"finished_at": now}
        elif state is OperationState.ROLLED_BACK and operation.plan is not None:
            fields = {"vnf_instance_id": "", "vnf_instance": None, "started_at": "", "operation": ""}
        if fields:
            id = _named(operation.params)
            aggregates.vnf_snapshots.change(tx, id, lambda info: msgspec.structs.replace(info, **fields))


class RevertToSnapshot(VnfOperation):
    """Parameters: RevertToVnfSnapshotRequest (5.5.2.26): `vnfSnapshotInfoId` of a snapshot of this VNF, or of one that came in
    a package and is of a VNF with the same VNFD and flavour. The VNF has the
    scale, the properties and the inputs that it had then; links and what other VNFs handed over stay."""

    name: ClassVar[str] = "vnf.revert_to_snapshot"
    event: ClassVar[str] = "revert_to_snapshot"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        info = aggregates.vnf_snapshots.get(self.desk.database, params["vnfSnapshotInfoId"], tenant=instance.tenant)
        then = info.vnf_instance
        brought = not info.operation
        if then is None or not info.finished_at or (not brought and info.vnf_instance_id != instance.id):
            fault = Fault(message="it is no finished snapshot of this VNF", path="/vnfSnapshotInfoId", code="snapshot")
            raise InvalidError(f"cannot revert to VNF snapshot {info.id}: {fault.message}", faults=[fault])
        alike = then.vnfd_id == instance.vnfd_id if brought else then.vnf_pkg_id == instance.vnf_pkg_id
        if not alike or then.flavour_id != instance.flavour_id:
            raise ConflictError(
                f"cannot revert to VNF snapshot {info.id}: it is of another package or flavour",
                suggestion=f"first change to VNFD {then.vnfd_id}, flavour {then.flavour_id}",
            )
        now = current(instance)
        if only := _only(params):
            (vnfc,) = require_vnfcs(instance, only)
            if vnfc not in info.vnfcs:
                raise InvalidError(f"cannot revert {vnfc} to VNF snapshot {info.id}: it is not in there")
            require_near(info, now.placement, [vnfc])
            return msgspec.structs.replace(now, images={**now.images, vnfc: info.vnfcs[vnfc].image})
        if brought:
            return adopted(now, current(then), info, self.desk.flavour(instance))
        before = current(then)
        return msgspec.structs.replace(
            before,
            ext_links=now.ext_links,
            managed_links=now.managed_links,
            dependencies=now.dependencies,
            # A snapshot that came in a package has no secrets: those that are known stay.
            properties={
                **{name: now.properties[name] for name in SECRETS & now.properties.keys()},
                **before.properties,
            },
            images={**before.images, **{vnfc: one.image for vnfc, one in info.vnfcs.items()}},
        )

    async def force(self, instance: VnfInstance, params: Mapping[str, Any]) -> set[str]:
        info = aggregates.vnf_snapshots.get(self.desk.database, params["vnfSnapshotInfoId"])
        only = _only(params)
        return {f"compute:{vnfc}" for vnfc in (require_vnfcs(instance, only) if only else info.vnfcs)}


def _named(params: Mapping[str, Any]) -> str:
    id: str = params["vnfSnapshotInfoId"]
    return id


def _only(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The one VNFC that is meant (SOL002); none: all."""
    named = params.get("vnfcInstanceId")
    return (str(named),) if named else ()


def _image(snapshot: str, vnfc: str) -> str:
    return f"{SNAPSHOT}{snapshot}/{vnfc}"


def _images(info: VnfSnapshotInfo) -> dict[str, str]:
    """Image → VIM: all that the snapshot has, and what an operation that was given up may have left of it."""
    there = info.vnf_instance.resources.items() if info.vnf_instance and info.operation else ()
    planned = {
        _image(info.id, key.removeprefix("compute:")): str(resource.spec["vim"])
        for key, resource in there
        if resource.kind == "compute"
    }
    return {**planned, **{one.image: one.vim for one in info.vnfcs.values()}}


class SnapshotRecords:
    """The snapshots of one node, and the steps that take them."""

    def __init__(self, desk: Desk, engine: Engine, ids: Ids) -> None:
        self._desk = desk
        self._ids = ids
        engine.add_handler("snapshot.take", self.take)
        engine.add_handler("snapshot.drop", self.drop)

    async def take(self, context: StepContext) -> Mapping[str, Any]:
        args = context.args
        began = stamp(self._desk.clock.now())
        driver = await self._desk.vims.driver(args["vim"])
        if not isinstance(driver, Snapshots):
            raise UnsupportedError(f"cannot take a snapshot of {args['vnfc']}: VIM {args['vim']} cannot")
        image = await driver.snapshot_compute(args["name"], args["image"])
        return {
            "vim": args["vim"],
            "image": image.name,
            "id": image.id,
            "size_bytes": image.size_bytes,
            "started_at": began,
            "finished_at": stamp(self._desk.clock.now()),
        }

    async def drop(self, context: StepContext) -> None:
        driver = await self._desk.vims.driver(context.args["vim"])
        await driver.delete_image(context.args["image"])

    def empty(self, *, tenant: str) -> VnfSnapshotInfo:
        """An empty record that is kept nowhere yet."""
        return VnfSnapshotInfo(id=self._ids.new(), tenant=tenant, created_at=stamp(self._desk.clock.now()))

    async def create(self, *, tenant: str) -> VnfSnapshotInfo:
        """An empty record (5.4.21.3.1)."""
        info = self.empty(tenant=tenant)
        return await self._desk.database.write(lambda tx: aggregates.vnf_snapshots.insert(tx, info))

    def all(self, *, tenant: str) -> list[VnfSnapshotInfo]:
        return aggregates.vnf_snapshots.select(self._desk.database, tenant=tenant)

    def get(self, id: str, *, tenant: str) -> VnfSnapshotInfo:
        return aggregates.vnf_snapshots.get(self._desk.database, id, tenant=tenant)

    @staticmethod
    def state(info: VnfSnapshotInfo) -> bytes:
        """What a finished snapshot says of the VNF besides its images, as JSON: what it was and shall be again."""
        vnf = info.vnf_instance
        if vnf is None:
            raise ConflictError(f"cannot read the state of VNF snapshot {info.id}: it is not filled")
        told = {
            "vnfSnapshotInfoId": info.id,
            "vnfInstanceId": vnf.id,
            "takenAt": info.started_at,
            "state": shown(msgspec.to_builtins(current(vnf))),
            "images": {vnfc: one.image for vnfc, one in info.vnfcs.items()},
        }
        return msgspec.json.encode(told, order="sorted")

    async def modify(
        self,
        id: str,
        *,
        snapshot_package: str | None,
        user_defined_data: Mapping[str, Any] | None,
        match: Revs = None,
        tenant: str,
    ) -> VnfSnapshotInfo:
        """Change what a client may (5.4.24.3.4); None leaves as it is. `PreconditionError` where it is in none of the
        revisions `match`."""
        wished = {"snapshot_package": snapshot_package, "user_defined_data": user_defined_data}
        fields = {name: value for name, value in wished.items() if value is not None}

        def work(tx: Transaction) -> VnfSnapshotInfo:
            info = aggregates.vnf_snapshots.matching(tx, id, tenant, match)
            return aggregates.vnf_snapshots.put(tx, msgspec.structs.replace(info, **fields))

        return await self._desk.database.write(work)

    async def delete(self, id: str, *, match: Revs = None, tenant: str) -> None:
        """Remove a snapshot with its images, but for those that another one has too. `ConflictError` while a VNF runs from it
        or it is being taken, `PreconditionError` where it is in none of the revisions `match`."""
        info = aggregates.vnf_snapshots.matching(self._desk.database, id, tenant, match)
        taking = journal.operations.find(self._desk.database, info.operation)
        if taking is not None and taking.state not in FINAL:
            raise ConflictError(
                f"cannot delete VNF snapshot {id}: operation {info.operation} is taking it",
                suggestion="wait for it, or cancel and roll it back",
            )
        others = (one for one in aggregates.vnf_snapshots.select(self._desk.database) if one.id != id)
        kept = {one.image for other in others for one in other.vnfcs.values()}
        images = {image: vim for image, vim in _images(info).items() if image not in kept}
        users = [
            v.id for v in aggregates.vnf_instances.select(self._desk.database) if images.keys() & set(v.images.values())
        ]
        if users:
            raise ConflictError(
                f"cannot delete VNF snapshot {id}: VNF {users[0]} runs from it",
                suggestion="terminate it, or revert it to another snapshot first",
            )
        await self._desk.database.write(lambda tx: aggregates.vnf_snapshots.claim(tx, id, tenant, match))
        for image, vim in images.items():
            driver = await self._desk.vims.driver(vim)
            await driver.delete_image(image)
        await self._desk.database.write(lambda tx: aggregates.vnf_snapshots.delete(tx, id))
