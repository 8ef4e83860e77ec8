"""VNF snapshot packages (SOL005 clause 11): a snapshot as an archive that is built here, leaves, comes back, here or at another
node, and is made a snapshot again.

The archive holds the snapshot's record, the state of its VNF and the images of its VNFCs. Building and extracting go on by
themselves: the record says what is under way (`task`), so that a node that starts takes it up again; everything on the way is
in one folder, `ID.work`, that is gone afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import zipfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError, SkerryError, UnavailableError
from skerry.model.configuration import shown
from skerry.model.images import OutsideImages
from skerry.model.notifications import Authentication
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import SnapshotPackageState as State
from skerry.model.vnf import VnfcSnapshot, VnfSnapshotInfo, VnfSnapshotPkgInfo
from skerry.nfvo import snapshot_archives as archives
from skerry.nfvo.fetch import Fetcher
from skerry.nfvo.snapshot_images import SnapshotImages
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs
from skerry.vim.connections import Vims
from skerry.vnfm.snapshot import SnapshotRecords

log = logging.getLogger(__name__)
CANCELLED = "it was cancelled"
OLD = ("snapshot.part", "fetched")
"""What older nodes left half done."""

BUSY = frozenset({State.BUILDING, State.UPLOADING, State.EXTRACTING, State.PROCESSING})
LOST = "the node stopped meanwhile; do it again"


class SnapshotPackages:
    """`folder` keeps the archives, named by the package's id. `limit` is the most bytes of an image; `archive` finds the
    archive of a VNF package."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        vims: Vims,
        clock: Clock,
        ids: Ids,
        fetcher: Fetcher | None = None,
        limit: int = 64 << 30,
        archive: Callable[[str], Path] | None = None,
    ) -> None:
        self._database = database
        self._folder = folder
        self._images = SnapshotImages(database, vims, fetcher, limit)
        self._archive = archive
        self._clock = clock
        self._ids = ids
        self._fetcher = fetcher
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def recover(self) -> None:
        """Go on with what was being built or extracted when the node stopped. What was on its way to the node is lost, and said
        to be; what no record has is removed."""
        await asyncio.to_thread(
            self._sweep, {one.id for one in aggregates.vnf_snapshot_packages.select(self._database)}
        )
        for info in aggregates.vnf_snapshot_packages.select(self._database):
            if info.state is State.BUILDING and info.task:
                self._begin(info.id, self._built(info))
            elif info.state is State.EXTRACTING and info.task:
                self._begin(info.id, self._extracted(info))
            elif info.state is State.EXTRACTING:
                await self._failed(info.id, State.ERROR_EXTRACTING, LOST, "EXTRACTION_ERROR")
            elif info.state in BUSY:
                kind = "BUILD_ERROR" if info.state is State.BUILDING else "PROCESS_ERROR"
                await self._failed(info.id, State.ERROR, LOST, kind)

    def _sweep(self, known: set[str]) -> None:
        """Remove scratch of before, and archives of packages that were deleted."""
        for path in self._folder.glob("*"):
            id, _, kind = path.name.partition(".")
            if kind == "work" or (kind in ("snapshot.zip", "images") and id not in known) or kind in OLD:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def stop(self) -> None:
        """Leave what is under way to the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def settled(self, id: str) -> None:
        """Wait until nothing is under way for a package."""
        if task := self._tasks.get(id):
            await asyncio.wait([task])

    def _begin(self, id: str, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks[id] = task
        task.add_done_callback(lambda done: self._over(id, done))
        return task

    def _over(self, id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(id, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, SkerryError):
            log.error("the VNF snapshot package %s is stuck", id, exc_info=error)

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
        await asyncio.to_thread(self._forget, id)

    def _forget(self, id: str) -> None:
        self._path(id).unlink(missing_ok=True)
        shutil.rmtree(self._outside(id), ignore_errors=True)

    def content(self, id: str, *, tenant: str) -> Path:
        """The archive. `ConflictError` where there is none."""
        info = self.get(id, tenant=tenant)
        if not info.checksum:
            raise ConflictError(
                f"cannot read VNF snapshot package {id}: it is {info.state}", suggestion="build or upload it first"
            )
        return self._path(id)

    def external(self, id: str, path: str, *, tenant: str) -> Path | None:
        """The file of an image that a package refers to and this node keeps; None where `path` is none of these."""
        info = self.get(id, tenant=tenant)
        if not path or not any(one.uri and one.path == path for one in info.images.values()):
            return None
        return self._outside(id) / path.rpartition("/")[2]

    # -- filling ------------------------------------------------------------------------------------------------------

    async def build(self, id: str, snapshot: str, vnfcs: Sequence[str], outside: OutsideImages, *, tenant: str) -> None:
        """Begin to make the archive of a snapshot, or of some of its VNFCs."""
        taken = aggregates.vnf_snapshots.get(self._database, snapshot, tenant=tenant)
        if not taken.finished_at:
            raise ConflictError(f"cannot build of VNF snapshot {snapshot}: it is not finished", suggestion="take it")
        faults = [
            Fault(message=f"there is no {name}; there are: {', '.join(taken.vnfcs)}", path=path, code="vnfc")
            for path, names in (
                ("/vnfcSnapshotsInfoIds", vnfcs),
                ("/overrideImportForVnfcSnapshotIds", outside.other),
            )
            for name in names
            if name not in taken.vnfcs
        ]
        if faults:
            raise InvalidError(f"cannot build: {faults[0].message}", faults=faults)
        chosen = [name for name in taken.vnfcs if not vnfcs or name in vnfcs]
        left = [name for name in chosen if outside.leaves(name)]
        task = {"snapshot": snapshot, "vnfcs": chosen, "outside": left, "root": outside.root}
        info = await self._claim(id, State.BUILDING, State.CREATED, State.ERROR, tenant=tenant, task=task)
        self._begin(id, self._built(info))

    async def _built(self, info: VnfSnapshotPkgInfo) -> None:
        try:
            async with self._working(info.id) as work:
                images = await self._made(info, work)
                shutil.rmtree(self._outside(info.id), ignore_errors=True)
                if any(one.uri for one in images.values()):
                    (work / "images").rename(self._outside(info.id))
                snapshot = str(info.task["snapshot"])
                await self._arrived(info.id, work / "archive", vnf_snapshot_id=snapshot, images=images)
        except SkerryError as error:
            await self._failed(info.id, State.ERROR, error.detail, "BUILD_ERROR")
        except OSError as error:
            await self._failed(info.id, State.ERROR, f"cannot write the archive: {error.strerror}", "BUILD_ERROR")

    async def _made(self, info: VnfSnapshotPkgInfo, work: Path) -> dict[str, VnfcSnapshot]:
        """Make the archive in a folder, and besides the files that it refers to; the images as the package has them."""
        taken = aggregates.vnf_snapshots.get(self._database, info.task["snapshot"], tenant=info.tenant)
        made: dict[str, VnfcSnapshot] = {}
        (work / "images").mkdir()
        writer = archives.Writer(work / "archive")
        try:
            for number, vnfc in enumerate(info.task["vnfcs"]):
                one, name = taken.vnfcs[vnfc], f"{archives.IMAGES}/{number}-{vnfc}.tar"
                file = work / name
                await self._images.take_out(vnfc, one, file)
                if vnfc in info.task["outside"]:
                    uri, digest = f"{info.task['root']}/{name}", await asyncio.to_thread(archives.digest_of, file)
                    writer.note(uri, digest)
                    told = {"uri": uri, "checksum": digest, "file_bytes": file.stat().st_size}
                else:
                    digest, size = await asyncio.to_thread(writer.add_file, name, file)
                    file.unlink()
                    told = {"path": name, "checksum": digest, "file_bytes": size}
                made[vnfc] = msgspec.structs.replace(one, **told)
            # An archive leaves the node: what is never shown is not in there either.
            kept = msgspec.structs.replace(taken, vnfcs=made)
            record = msgspec.json.encode(shown(msgspec.to_builtins(kept)))
            writer.add(archives.RECORD, record)
            writer.add(archives.STATE, SnapshotRecords.state(kept))
            if vnfd := await asyncio.to_thread(self._vnfd, taken):
                writer.add(archives.VNFD, vnfd)
            metadata = {archives.UNIQUE: self._ids.new(), "vnf_snapshot_id": taken.id, "vnfd_id": vnfd_of(taken)}
            await asyncio.to_thread(lambda: writer.close(**metadata))
        finally:
            writer.abandon()
        return {
            vnfc: msgspec.structs.replace(one, path=f"{archives.IMAGES}/{one.uri.rpartition('/')[2]}")
            if one.uri
            else one
            for vnfc, one in made.items()
        }

    def _vnfd(self, taken: VnfSnapshotInfo) -> bytes:
        """The descriptor of the VNF, if its package is still there."""
        csar = self._archive(taken.vnf_instance.vnf_pkg_id) if self._archive and taken.vnf_instance else None
        return archives.descriptor(csar) if csar and zipfile.is_zipfile(csar) else b""

    @asynccontextmanager
    async def _working(self, id: str) -> AsyncGenerator[Path]:
        """A folder for what is on its way; it is gone afterwards."""
        folder = self._folder / f"{id}.work"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def upload(self, id: str, source: Path, *, tenant: str) -> None:
        """Take an archive that was built somewhere. `InvalidError` with every fault where it is none, or a wrong one. A caller
        who goes away does not stop it."""
        await self._claim(id, State.UPLOADING, State.CREATED, State.ERROR, tenant=tenant)
        await asyncio.shield(self._begin(id, self._received(id, source)))

    async def _received(self, id: str, source: Path) -> None:
        async with self._working(id) as work:
            await self._taken(id, source, work / "archive")

    async def fetch(self, id: str, uri: str, who: Authentication, *, tenant: str) -> None:
        """Take the archive at an address; returns when the address is found good, the record tells of the rest."""
        if self._fetcher is None:
            raise UnavailableError("cannot fetch archives: this node has no way to", suggestion="upload the content")
        await self._fetcher.judge(uri)
        await self._claim(id, State.UPLOADING, State.CREATED, State.ERROR, tenant=tenant)
        self._begin(id, self._fetched(self._fetcher, id, uri, who, tenant))

    async def _fetched(self, fetcher: Fetcher, id: str, uri: str, who: Authentication, tenant: str) -> None:
        async with self._working(id) as work:
            try:
                await fetcher.fetch(uri, work / "fetched", who, tenant=tenant)
            except SkerryError as error:
                await self._failed(id, State.ERROR, error.detail)
            else:
                with suppress(SkerryError):  # it is in the record
                    await self._taken(id, work / "fetched", work / "archive")

    async def _taken(self, id: str, source: Path, archive: Path) -> None:
        try:
            await asyncio.to_thread(_same, source, archive)
            await self._arrived(id, archive)
        except InvalidError as error:
            await self._failed(id, State.ERROR, error.detail)
            raise
        except OSError as error:
            await self._failed(id, State.ERROR, f"cannot keep the archive: {error.strerror}")
            raise UnavailableError("cannot keep the archive", suggestion="make room on the disk") from error

    async def _claim(
        self, id: str, busy: State, *allowed: State, tenant: str, task: Mapping[str, Any] | None = None
    ) -> VnfSnapshotPkgInfo:
        """Of several who want to fill a package or to use it, the first may. `ConflictError` for the others."""

        def work(tx: Transaction) -> VnfSnapshotPkgInfo:
            self._require(aggregates.vnf_snapshot_packages.get(tx, id, tenant=tenant), *allowed)
            return _set(tx, id, state=busy, problem={}, task=task or {})

        return await self._database.write(work)

    async def _arrived(self, id: str, archive: Path, **more: Any) -> None:
        """Check an archive and put it in its place."""
        content = await asyncio.to_thread(archives.read, archive)
        digest = await asyncio.to_thread(archives.digest_of, archive)
        await asyncio.to_thread(archive.rename, self._path(id))
        taken = content.info
        resources = taken.vnf_instance.resources.values() if taken.vnf_instance else ()
        fields: dict[str, Any] = {
            "state": State.AVAILABLE,
            "vnf_snapshot_id": taken.id,
            "unique_id": content.unique_id,
            "vnfcs": tuple(taken.vnfcs),
            "full": len(taken.vnfcs) == sum(resource.kind == "compute" for resource in resources),
            "vnfd_id": vnfd_of(taken),
            "checksum": digest,
            "record_checksum": content.sums[archives.RECORD],
            "vnfd_checksum": content.sums.get(archives.VNFD, ""),
            "images": content.images,
            "artifacts": content.artifacts,
            "problem": {},
            "task": {},
        }
        await self._database.write(lambda tx: _set(tx, id, **{**fields, **more}))

    # -- extracting ---------------------------------------------------------------------------------------------------

    async def extract(self, id: str, snapshot: str, vnf: str, *, tenant: str) -> None:
        """Begin to fill an empty snapshot record with what the archive says and to bring its images to infrastructures; for a
        VNF: make the record, and bring the images to where that VNF is."""
        if vnf:
            aggregates.vnf_instances.get(self._database, vnf, tenant=tenant)
        else:
            _require_empty(aggregates.vnf_snapshots.get(self._database, snapshot, tenant=tenant))
        fresh = VnfSnapshotInfo(id=self._ids.new(), tenant=tenant, created_at=stamp(self._clock.now()))

        def work(tx: Transaction) -> VnfSnapshotPkgInfo:
            info = aggregates.vnf_snapshot_packages.get(tx, id, tenant=tenant)
            self._require(info, State.AVAILABLE, State.ERROR_EXTRACTING)
            if vnf:
                aggregates.vnf_snapshots.insert(tx, fresh)
            task = {"snapshot": fresh.id if vnf else snapshot, "vnf": vnf}
            return _set(tx, id, state=State.EXTRACTING, problem={}, task=task)

        info = await self._database.write(work)
        self._begin(id, self._extracted(info))

    async def _extracted(self, info: VnfSnapshotPkgInfo) -> None:
        try:
            async with self._working(info.id) as work:
                await self._filled(info, work)
        except SkerryError as error:
            await self._unextracted(info, error.detail, "EXTRACTION_ERROR")
        except OSError as error:
            await self._unextracted(info, f"cannot unpack the archive: {error.strerror}", "EXTRACTION_ERROR")

    async def _filled(self, info: VnfSnapshotPkgInfo, work: Path) -> None:
        snapshot, tenant = str(info.task["snapshot"]), info.tenant
        content = await asyncio.to_thread(archives.read, self._path(info.id))
        then, vnf_pkg = content.info.vnf_instance, self._package(content.info, tenant)
        if missing := await self._images.missing(content.info, tenant):
            raise ConflictError(f"no infrastructure has these images: {', '.join(missing)}")
        vnf = aggregates.vnf_instances.find(self._database, info.task["vnf"])
        places = info.task.get("places")  # where it began before the node stopped
        if places is None:
            chosen = await self._images.places(content.info, vnf, tenant)
            places = {name: chosen[name] for name in content.images}
            await self._note(info, places=places)
        brought = await self._images.bring(
            snapshot, content, self._path(info.id), work, places, info.external_access, tenant=info.tenant
        )

        def fill(tx: Transaction) -> None:
            empty = aggregates.vnf_snapshots.get(tx, snapshot, tenant=tenant)
            _require_empty(empty)
            filled = msgspec.structs.replace(
                content.info,
                vnf_instance=then and msgspec.structs.replace(then, vnf_pkg_id=vnf_pkg),
                id=empty.id,
                rev=empty.rev,
                tenant=tenant,
                created_at=empty.created_at,
                operation="",
                snapshot_package=info.id,
                vnfcs={**content.info.vnfcs, **brought},
            )
            aggregates.vnf_snapshots.put(tx, filled)
            _set(tx, info.id, state=State.AVAILABLE, vnf_snapshot_id=snapshot, task={})

        await self._database.write(fill)

    def _package(self, taken: VnfSnapshotInfo, tenant: str) -> str:
        """The tenant's own VNF package for the VNF of a snapshot. `NotFoundError`."""
        vnfd = vnfd_of(taken)
        found = aggregates.vnf_packages.select(self._database, tenant=tenant, vnfd_id=vnfd) if vnfd else []
        if not found:
            raise NotFoundError(f"cannot use the snapshot: VNFD {vnfd} is unknown here; onboard its package first")
        return found[0].id

    async def _note(self, info: VnfSnapshotPkgInfo, **more: Any) -> None:
        """Say in the record what is about to be made, so that it can be taken back."""
        await self._database.write(lambda tx: _set(tx, info.id, task={**info.task, **more}))

    async def _unextracted(self, info: VnfSnapshotPkgInfo, why: str, kind: str) -> None:
        """Take back what an extraction brought and made; then say that it failed."""
        task = aggregates.vnf_snapshot_packages.get(self._database, info.id).task
        await self._images.drop(str(info.task["snapshot"]), task.get("places", {}))
        if info.task["vnf"]:
            await self._database.write(lambda tx: aggregates.vnf_snapshots.delete(tx, info.task["snapshot"]))
        await self._failed(info.id, State.ERROR_EXTRACTING, why, kind)

    async def cancel(self, id: str, *, tenant: str) -> None:
        """End what is under way. `ConflictError` where nothing is."""
        info = self.get(id, tenant=tenant)
        task = self._tasks.get(id)
        if task is None:
            raise ConflictError(f"cannot cancel: VNF snapshot package {id} is {info.state}", suggestion="just go on")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        info = self.get(id, tenant=tenant)
        if info.state is State.EXTRACTING:
            await self._unextracted(info, CANCELLED, "CANCELLED")
        elif info.state in BUSY:
            await self._failed(id, State.ERROR, CANCELLED, "CANCELLED")

    async def _failed(self, id: str, state: State, why: str, kind: str = "UPLOAD_ERROR") -> None:
        details = {"title": "VNF snapshot package", "status": 422, "detail": why}
        problem = {"errorType": kind, "details": details}
        if state is State.ERROR:
            await asyncio.to_thread(self._forget, id)
        await self._database.write(lambda tx: _set(tx, id, state=state, problem=problem, task={}))

    @staticmethod
    def _require(info: VnfSnapshotPkgInfo, *states: State) -> None:
        if info.state not in states:
            raise ConflictError(
                f"cannot do this with VNF snapshot package {info.id}: it is {info.state}",
                suggestion=f"it must be {' or '.join(states)}",
            )

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.snapshot.zip"

    def _outside(self, id: str) -> Path:
        """Images that the archive refers to, where this node keeps them."""
        return self._folder / f"{id}.images"


def _set(tx: Transaction, id: str, **fields: Any) -> VnfSnapshotPkgInfo:
    return aggregates.vnf_snapshot_packages.change(tx, id, lambda info: msgspec.structs.replace(info, **fields))


def _require_empty(target: VnfSnapshotInfo) -> None:
    if target.vnf_instance_id:
        raise ConflictError(
            f"cannot extract into VNF snapshot {target.id}: it is not empty", suggestion="create a new record"
        )


def _same(source: Path, target: Path) -> None:
    """The file under another name; a copy where that cannot be."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def vnfd_of(taken: VnfSnapshotInfo) -> str:
    """The VNFD of the VNF that a snapshot is of."""
    return taken.vnf_instance.vnfd_id if taken.vnf_instance else ""
