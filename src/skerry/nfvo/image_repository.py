"""The node's repository of software images: uploaded or fetched once, brought to infrastructures when VNFs need them.

A record says what an image is called; its content is a file that is in its place before the record says READY, and gone
after the record is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import ConflictError, InvalidError, NotFoundError, SkerryError
from skerry.model.images import ImageState, StoredImage
from skerry.model.notifications import Authentication
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import VnfInstance
from skerry.nfvo.fetch import Fetcher
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs
from skerry.vnfm.desk import ImageFile

log = logging.getLogger(__name__)
LOST = "the node stopped meanwhile; do it again"
SHA256 = re.compile(r"[0-9a-f]{64}")


class ImageRepository:
    """`folder` keeps the contents, named by the image's id."""

    def __init__(self, database: Database, folder: Path, clock: Clock, ids: Ids, fetcher: Fetcher) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._ids = ids
        self._fetcher = fetcher
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._filled: set[str] = set()  # whose content is being sent or fetched

    async def recover(self) -> None:
        """Tell of what was under way when the node stopped, and remove contents that no record has."""
        known = {image.id: image for image in aggregates.stored_images.select(self._database)}
        for image in known.values():
            if image.state is ImageState.FETCHING:
                await self._set(image.id, state=ImageState.ERROR, problem=LOST)
        for file in self._folder.glob("*"):
            if file.name not in known or known[file.name].state is not ImageState.READY:
                file.unlink()

    async def stop(self) -> None:
        """End what is fetched."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def all(self, *, tenant: str) -> list[StoredImage]:
        """The tenant's images, oldest first."""
        return aggregates.stored_images.select(self._database, tenant=tenant)

    def get(self, id: str, *, tenant: str) -> StoredImage:
        """One; `NotFoundError`."""
        return aggregates.stored_images.get(self._database, id, tenant=tenant)

    def content(self, id: str, *, tenant: str) -> Path:
        """The file of an image. `ConflictError` before it is there."""
        image = self.get(id, tenant=tenant)
        if image.state is not ImageState.READY:
            raise ConflictError(
                f"cannot read the image {image.name}: it is {image.state}", suggestion="upload its content first"
            )
        return self._folder / id

    def find(self, name: str, tenant: str) -> ImageFile | None:
        """The content of the image that a descriptor of the tenant calls so, if there is one."""
        for image in aggregates.stored_images.select(self._database, tenant=tenant, name=name):
            if image.state is ImageState.READY:
                return ImageFile(path=self._folder / image.id, checksum=image.checksum)
        return None

    async def create(self, name: str, *, description: str = "", checksum: str = "", tenant: str) -> StoredImage:
        """A record for a content that is to come. `checksum` (SHA-256) is what the content must have."""
        wished = checksum.lower()
        if wished and not SHA256.fullmatch(wished):
            raise InvalidError("cannot use the checksum: it is no SHA-256", suggestion="give 64 hexadecimal digits")

        def work(tx: Transaction) -> StoredImage:
            if aggregates.stored_images.select(tx, tenant=tenant, name=name):
                raise ConflictError(f"cannot create the image {name}: it exists", suggestion="choose another name")
            return aggregates.stored_images.insert(
                tx,
                StoredImage(
                    id=self._ids.new(),
                    tenant=tenant,
                    created_at=stamp(self._clock.now()),
                    name=name,
                    description=description,
                    checksum=wished,
                ),
            )

        return await self._database.write(work)

    async def upload(self, id: str, source: Path, *, tenant: str) -> StoredImage:
        """Take the file `source` as the content. `InvalidError` where it has another checksum than was promised."""
        image = self._empty(id, tenant)
        self._filled.add(id)
        try:
            return await self._take(image, source)
        finally:
            self._filled.discard(id)

    async def _take(self, image: StoredImage, source: Path) -> StoredImage:
        digest = await asyncio.to_thread(_digest, source)
        if image.checksum not in ("", digest):
            raise InvalidError(
                f"cannot take the content of {image.name}: its SHA-256 is {digest}, not {image.checksum}",
                suggestion="send the file again, or make the record with the right checksum",
            )
        size = await asyncio.to_thread(_moved, source, self._folder / image.id)
        try:
            return await self._set(image.id, state=ImageState.READY, checksum=digest, size_bytes=size, problem="")
        except NotFoundError:  # it was deleted meanwhile
            (self._folder / image.id).unlink(missing_ok=True)
            raise

    async def fetch(self, id: str, uri: str, who: Authentication, *, tenant: str) -> None:
        """Fetch the content from an address. Returns when that is found good; the record tells of the rest."""
        image = self._empty(id, tenant)
        self._filled.add(id)
        try:
            await self._fetcher.judge(uri)
            await self._set(id, state=ImageState.FETCHING, problem="")
        except BaseException:
            self._filled.discard(id)
            raise
        task = asyncio.get_running_loop().create_task(self._fetched(image, uri, who))
        self._tasks[id] = task
        task.add_done_callback(lambda _: self._over(id))

    def _over(self, id: str) -> None:
        self._tasks.pop(id, None)
        self._filled.discard(id)

    async def fetched(self, uri: str, target: Path) -> None:
        """Fetch a content that is not kept here."""
        await self._fetcher.fetch(uri, target, Authentication())

    async def _fetched(self, image: StoredImage, uri: str, who: Authentication) -> None:
        id = image.id
        partial = self._folder / f"{id}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            await self._fetcher.fetch(uri, partial, who, tenant=image.tenant)
            await self._take(image, partial)
        except NotFoundError:
            log.info("the image %s was deleted while it was fetched", id)
        except SkerryError as error:
            await self._set(id, state=ImageState.ERROR, problem=error.detail)
        except OSError as error:
            await self._set(id, state=ImageState.ERROR, problem=f"cannot keep the content: {error.strerror}")
        finally:
            partial.unlink(missing_ok=True)

    async def delete(self, id: str, *, match: Revs = None, tenant: str) -> None:
        """Remove an image. `ConflictError` while VNFs run from it, `PreconditionError` where it is in none of the revisions
        `match`."""
        image = self.get(id, tenant=tenant)
        users = [vnf.id for vnf in aggregates.vnf_instances.walk(self._database) if _uses(vnf, image)]
        if users:
            raise ConflictError(
                f"cannot delete the image {image.name}: {len(users)} VNFs run from it",
                suggestion=f"terminate them first: {users[0]} …",
            )

        def work(tx: Transaction) -> None:
            aggregates.stored_images.matching(tx, id, tenant, match)
            aggregates.stored_images.delete(tx, id)

        await self._database.write(work)
        if task := self._tasks.get(id):
            task.cancel()
        (self._folder / id).unlink(missing_ok=True)

    def _empty(self, id: str, tenant: str) -> StoredImage:
        image = self.get(id, tenant=tenant)
        if image.state not in (ImageState.CREATED, ImageState.ERROR) or id in self._filled:
            raise ConflictError(
                f"cannot change the content of {image.name}: it has one, or gets it now",
                suggestion="make another image, under another name",
            )
        return image

    async def _set(self, id: str, **fields: Any) -> StoredImage:
        return await self._database.write(
            lambda tx: aggregates.stored_images.change(tx, id, lambda doc: msgspec.structs.replace(doc, **fields))
        )


def _uses(vnf: VnfInstance, image: StoredImage) -> bool:
    if vnf.tenant != image.tenant:
        return False
    used = [one.spec.get("image", {}) for one in vnf.resources.values() if one.kind == "compute"]
    return any(one.get("name") == image.name and not one.get("source") for one in used)


def _moved(source: Path, target: Path) -> int:
    """Put a file in its place, durably; its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
    return target.stat().st_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
