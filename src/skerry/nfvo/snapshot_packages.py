"""VNF snapshot packages (SOL005 clause 11): a snapshot as an archive that is built here, leaves, comes back and is made a
snapshot again.

The archive holds the snapshot's record and the state of its VNF. Images stay on the infrastructures where they were taken:
extracting asks those whether they still have them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError, SkerryError, UnavailableError
from skerry.model.configuration import shown
from skerry.model.notifications import Authentication
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import SnapshotPackageState as State
from skerry.model.vnf import VnfSnapshotInfo, VnfSnapshotPkgInfo
from skerry.nfvo.fetch import Fetcher
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs
from skerry.vim.connections import Vims
from skerry.vnfm.naming import SNAPSHOT

RECORD = "snapshot.json"
MOST_RECORD_BYTES = 16 << 20
BUSY = frozenset({State.BUILDING, State.UPLOADING, State.EXTRACTING, State.PROCESSING})
LOST = "the node stopped meanwhile; do it again"


class SnapshotPackages:
    """`folder` keeps the archives, named by the package's id."""

    def __init__(
        self, database: Database, folder: Path, vims: Vims, clock: Clock, ids: Ids, fetcher: Fetcher | None = None
    ) -> None:
        self._database = database
        self._folder = folder
        self._vims = vims
        self._clock = clock
        self._ids = ids
        self._fetcher = fetcher
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def recover(self) -> None:
        """What was under way when the node stopped did not end."""
        for info in aggregates.vnf_snapshot_packages.select(self._database):
            if info.state in BUSY:
                kind = "BUILD_ERROR" if info.state is State.BUILDING else "PROCESS_ERROR"
                await self._failed(info.id, State.ERROR, LOST, kind)

    async def stop(self) -> None:
        """Give up what is under way; the next start says so in the record."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # -- records ------------------------------------------------------------------------------------------------------

    async def create(self, name: str, user_defined_data: Mapping[str, Any], *, tenant: str) -> VnfSnapshotPkgInfo:
        """An empty record, for a build or an upload to fill."""
        info = VnfSnapshotPkgInfo(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            name=name,
            user_defined_data=user_defined_data,
        )
        return await self._database.write(lambda tx: aggregates.vnf_snapshot_packages.insert(tx, info))

    def all(self, *, tenant: str) -> list[VnfSnapshotPkgInfo]:
        return aggregates.vnf_snapshot_packages.select(self._database, tenant=tenant)

    def get(self, id: str, *, tenant: str) -> VnfSnapshotPkgInfo:
        return aggregates.vnf_snapshot_packages.get(self._database, id, tenant=tenant)

    async def modify(
        self,
        id: str,
        *,
        name: str | None,
        user_defined_data: Mapping[str, Any] | None,
        state: str | None,
        match: Revs,
        tenant: str,
    ) -> VnfSnapshotPkgInfo:
        """Change names and data; AVAILABLE again after an extraction that failed."""

        def work(tx: Transaction) -> VnfSnapshotPkgInfo:
            info = aggregates.vnf_snapshot_packages.matching(tx, id, tenant, match)
            if state is not None and info.state is not State.ERROR_EXTRACTING:
                raise ConflictError(
                    f"cannot make VNF snapshot package {id} AVAILABLE: it is {info.state}",
                    suggestion="only one whose extraction failed can be made so",
                )
            merged = {**info.user_defined_data, **(user_defined_data or {})}
            wished: dict[str, Any] = {
                "name": name if name is not None else info.name,
                "user_defined_data": {key: value for key, value in merged.items() if value is not None},
                **({"state": State.AVAILABLE, "problem": {}} if state is not None else {}),
            }
            return _set(tx, id, **wished)

        return await self._database.write(work)

    async def set_external_access(
        self, id: str, access: Sequence[Mapping[str, Any]], *, tenant: str
    ) -> VnfSnapshotPkgInfo:
        """Keep how artifacts outside of the archive are reached."""
        self.get(id, tenant=tenant)
        return await self._database.write(lambda tx: _set(tx, id, external_access=tuple(access)))

    async def delete(self, id: str, *, match: Revs = None, tenant: str) -> None:
        """Remove it with its archive; the snapshot that it was built of stays."""

        def work(tx: Transaction) -> None:
            info = aggregates.vnf_snapshot_packages.matching(tx, id, tenant, match)
            if info.state in BUSY:
                raise ConflictError(
                    f"cannot delete VNF snapshot package {id}: it is {info.state}", suggestion="wait, or cancel that"
                )
            aggregates.vnf_snapshot_packages.delete(tx, id)

        await self._database.write(work)
        self._path(id).unlink(missing_ok=True)

    def content(self, id: str, *, tenant: str) -> Path:
        """The archive. `ConflictError` where there is none."""
        info = self.get(id, tenant=tenant)
        if not info.checksum:
            raise ConflictError(
                f"cannot read VNF snapshot package {id}: it is {info.state}", suggestion="build or upload it first"
            )
        return self._path(id)

    # -- filling ------------------------------------------------------------------------------------------------------

    async def build(self, id: str, snapshot: str, vnfcs: Sequence[str], state: bytes, *, tenant: str) -> None:
        """Make the archive of a snapshot, or of some of its VNFCs. `state` is what is kept of the VNF's state."""
        taken = aggregates.vnf_snapshots.get(self._database, snapshot, tenant=tenant)
        if not taken.finished_at:
            raise ConflictError(f"cannot build of VNF snapshot {snapshot}: it is not finished", suggestion="take it")
        unknown = [name for name in vnfcs if name not in taken.vnfcs]
        if unknown:
            fault = Fault(message=f"there are: {', '.join(taken.vnfcs)}", path="/vnfcSnapshotsInfoIds", code="vnfc")
            raise InvalidError(f"cannot build of VNFC snapshots {', '.join(unknown)}", faults=[fault])
        chosen = {name: one for name, one in taken.vnfcs.items() if not vnfcs or name in vnfcs}
        await self._claim(id, State.BUILDING, State.CREATED, State.ERROR, tenant=tenant)
        # An archive leaves the node: what is never shown is not in there either.
        record = msgspec.json.encode(shown(msgspec.to_builtins(msgspec.structs.replace(taken, vnfcs=chosen))))
        try:
            await asyncio.to_thread(self._write, id, record, state)
        except OSError as error:
            await self._failed(id, State.ERROR, f"cannot write the archive: {error.strerror}", "BUILD_ERROR")
            raise UnavailableError("cannot write the archive", suggestion="make room on the disk") from error
        await self._arrived(id, self._path(id), unique_id=self._ids.new(), vnf_snapshot_id=snapshot)

    async def upload(self, id: str, source: Path, *, tenant: str) -> None:
        """Take an archive that was built somewhere. `InvalidError` where it is none."""
        await self._claim(id, State.UPLOADING, State.CREATED, State.ERROR, tenant=tenant)
        await self._take(id, source)

    async def fetch(self, id: str, uri: str, who: Authentication, *, tenant: str) -> None:
        """Take the archive at an address; returns when the address is found good, the record tells of the rest."""
        if self._fetcher is None:
            raise UnavailableError("cannot fetch archives: this node has no way to", suggestion="upload the content")
        await self._fetcher.judge(uri)
        await self._claim(id, State.UPLOADING, State.CREATED, State.ERROR, tenant=tenant)
        task = asyncio.get_running_loop().create_task(self._fetched(self._fetcher, id, uri, who))
        self._tasks[id] = task
        task.add_done_callback(lambda _: self._tasks.pop(id, None))

    async def _fetched(self, fetcher: Fetcher, id: str, uri: str, who: Authentication) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / f"{id}.fetched"
        try:
            await fetcher.fetch(uri, target, who)
            await self._take(id, target)
        except SkerryError as error:
            await self._failed(id, State.ERROR, error.detail)
        finally:
            target.unlink(missing_ok=True)

    async def _take(self, id: str, source: Path) -> None:
        try:
            await asyncio.to_thread(read, source)
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._path(id).with_suffix(".part")
            await asyncio.to_thread(shutil.copyfile, source, partial)
            partial.rename(self._path(id))
            await self._arrived(id, self._path(id))
        except InvalidError as error:
            await self._failed(id, State.ERROR, error.detail)
            raise
        except OSError as error:
            await self._failed(id, State.ERROR, f"cannot keep the archive: {error.strerror}")
            raise UnavailableError("cannot keep the archive", suggestion="make room on the disk") from error

    async def _claim(self, id: str, busy: State, *allowed: State, tenant: str) -> None:
        """Of several who want to fill a package or to use it, the first may. `ConflictError` for the others."""

        def work(tx: Transaction) -> None:
            self._require(aggregates.vnf_snapshot_packages.get(tx, id, tenant=tenant), *allowed)
            _set(tx, id, state=busy, problem={})

        await self._database.write(work)

    async def _arrived(self, id: str, path: Path, **more: str) -> None:
        taken, record = await asyncio.to_thread(read, path)
        whole = taken.vnf_instance is not None and len(taken.vnfcs) == sum(
            resource.kind == "compute" for resource in taken.vnf_instance.resources.values()
        )
        digest = await asyncio.to_thread(_digest, path)
        fields: dict[str, Any] = {
            "state": State.AVAILABLE,
            "vnf_snapshot_id": taken.id,
            "vnfcs": tuple(taken.vnfcs),
            "full": whole,
            "vnfd_id": taken.vnf_instance.vnfd_id if taken.vnf_instance else "",
            "checksum": digest,
            "record_checksum": hashlib.sha256(record).hexdigest(),
            "problem": {},
        }
        await self._database.write(lambda tx: _set(tx, id, **{**fields, **more}))

    async def extract(self, id: str, snapshot: str, *, tenant: str) -> None:
        """Fill an empty snapshot record with what the archive says, where the infrastructures still have its images."""
        self._require(self.get(id, tenant=tenant), State.AVAILABLE, State.ERROR_EXTRACTING)
        target = aggregates.vnf_snapshots.get(self._database, snapshot, tenant=tenant)
        if target.vnf_instance_id:
            raise ConflictError(
                f"cannot extract into VNF snapshot {snapshot}: it is not empty", suggestion="create a new record"
            )
        await self._claim(id, State.EXTRACTING, State.AVAILABLE, State.ERROR_EXTRACTING, tenant=tenant)
        taken, _ = await asyncio.to_thread(read, self._path(id))
        missing = await self._missing(taken, tenant)
        if missing:
            why = f"no infrastructure has these images: {', '.join(missing)}"
            await self._failed(id, State.ERROR_EXTRACTING, why, "EXTRACTION_ERROR")
            return

        def work(tx: Transaction) -> None:
            empty = aggregates.vnf_snapshots.get(tx, snapshot, tenant=tenant)
            filled = msgspec.structs.replace(
                taken,
                id=empty.id,
                rev=empty.rev,
                tenant=tenant,
                created_at=empty.created_at,
                operation="",
                snapshot_package=id,
            )
            aggregates.vnf_snapshots.put(tx, filled)
            _set(tx, id, state=State.AVAILABLE, vnf_snapshot_id=snapshot)

        await self._database.write(work)

    async def _missing(self, taken: VnfSnapshotInfo, tenant: str) -> list[str]:
        """Images that the archive names and that this tenant has not: none is there, or it is somebody else's."""
        missing = self._foreign(taken, tenant)
        for vim in {one.vim for one in taken.vnfcs.values()}:
            wanted = [one.image for one in taken.vnfcs.values() if one.vim == vim]
            try:
                driver = await self._vims.driver(vim)
                there = {image.name for image in await driver.list_images()}
            except (SkerryError, NotFoundError):
                there = set()
            missing += [f"{name} on {vim}" for name in wanted if name not in there]
        return missing

    def _foreign(self, taken: VnfSnapshotInfo, tenant: str) -> list[str]:
        """An archive is what its sender made of it: it may name images of snapshots only, and no other tenant's."""
        named = {one.image for one in taken.vnfcs.values()}
        named.update(taken.vnf_instance.images.values() if taken.vnf_instance else ())
        others = [one for one in aggregates.vnf_snapshots.select(self._database) if one.tenant != tenant]
        held = {image.image for one in others for image in one.vnfcs.values()}
        roots = tuple(f"{SNAPSHOT}{one.id}/" for one in others)
        return sorted(name for name in named if not name.startswith(SNAPSHOT) or name in held or name.startswith(roots))

    async def cancel(self, id: str, *, tenant: str) -> None:
        """End an upload that is under way. `ConflictError` where there is none."""
        info = self.get(id, tenant=tenant)
        task = self._tasks.get(id)
        if task is None:
            raise ConflictError(f"cannot cancel: VNF snapshot package {id} is {info.state}", suggestion="just go on")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._failed(id, State.ERROR, "it was cancelled", "CANCELLED")

    async def _failed(self, id: str, state: State, why: str, kind: str = "UPLOAD_ERROR") -> None:
        details = {"title": "VNF snapshot package", "status": 422, "detail": why}
        problem = {"errorType": kind, "details": details}
        await self._database.write(lambda tx: _set(tx, id, state=state, problem=problem))

    @staticmethod
    def _require(info: VnfSnapshotPkgInfo, *states: State) -> None:
        if info.state not in states:
            raise ConflictError(
                f"cannot do this with VNF snapshot package {info.id}: it is {info.state}",
                suggestion=f"it must be {' or '.join(states)}",
            )

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.snapshot.zip"

    def _write(self, id: str, record: bytes, state: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._path(id).with_suffix(".part")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(RECORD, record)
            made.writestr("vnf_state", state)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(self._path(id))


def _set(tx: Transaction, id: str, **fields: Any) -> VnfSnapshotPkgInfo:
    return aggregates.vnf_snapshot_packages.change(tx, id, lambda info: msgspec.structs.replace(info, **fields))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(source: Path) -> tuple[VnfSnapshotInfo, bytes]:
    """The snapshot that an archive is of, and its record as it is in there. `InvalidError` for what is no such archive, or
    is made to harm who reads it."""
    from skerry.packages.archive import opened, read_small  # noqa: PLC0415 - YAML readers load on first use only
    from skerry.packages.limits import Limits  # noqa: PLC0415
    from skerry.packages.report import Report  # noqa: PLC0415

    report = Report()
    with opened(source, Limits(), report) as archive:
        record = read_small(archive, RECORD, MOST_RECORD_BYTES, report) if archive and RECORD in archive.sizes else None
    report.raise_errors("the archive")
    try:
        return msgspec.json.decode(record or b"", type=VnfSnapshotInfo), record or b""
    except msgspec.DecodeError as error:
        fault = Fault(message="it is no VNF snapshot package", code="archive", fix=f"upload one that has {RECORD}")
        raise InvalidError("cannot use the archive: it is no VNF snapshot package", faults=[fault]) from error
