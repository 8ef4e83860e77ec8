"""Infrastructures (VIMs) and the images on them: changed, looked at again, several removed at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.images import Inventory
from skerry.model.time import Clock, stamp
from skerry.model.vnf import VimConnection
from skerry.nfvo.image_repository import ImageRepository
from skerry.store import aggregates
from skerry.store.database import Database
from skerry.vim.connections import Vims
from skerry.vim.driver import Driver, Image, ImageSpec, Present

REMOTE = ("host:", "docker://", "vim:")


def require_unused(database: Database, ids: Sequence[str]) -> None:
    """`ConflictError` names every one of these VIMs that VNFs or virtual links are on."""
    used = {vim for vnf in aggregates.vnf_instances.walk(database) for vim in vnf.vim_ids}
    links = (ns.resources.values() for ns in aggregates.ns_instances.walk(database))
    used |= {one.spec["vim"] for graph in links for one in graph if one.kind == "network"}
    if busy := [id for id in ids if id in used]:
        raise ConflictError(
            f"cannot remove the VIMs {', '.join(busy)}: VNFs or virtual links are on them",
            suggestion="terminate those first",
        )


class Infrastructures:
    """`fixed` are those of the settings file: that decides what they are. `scratch` is for contents on their way."""

    def __init__(
        self,
        database: Database,
        vims: Vims,
        events: EventLog,
        clock: Clock,
        repository: ImageRepository,
        *,
        fixed: Collection[str],
        scratch: Path,
    ) -> None:
        self._database = database
        self._vims = vims
        self._events = events
        self._clock = clock
        self._repository = repository
        self._fixed = frozenset(fixed)
        self._scratch = scratch
        self._seen: dict[str, Inventory] = {}

    # -- connections --------------------------------------------------------------------------------------------------

    async def update(self, wished: VimConnection) -> VimConnection:
        """Change name, zone or settings. The driver is opened anew: settings with which that fails are refused, and those of
        before stay. `ConflictError` for one of the settings file."""
        known = self._vims.get(wished.id)
        if wished.id in self._fixed:
            raise ConflictError(
                f"cannot change VIM {wished.id}: it comes from the settings",
                suggestion="change `vims` in the settings file and start the node again, or register another one",
            )
        if wished.vim_type != known.vim_type:
            raise InvalidError(
                f"cannot make VIM {wished.id} a {wished.vim_type}: it is a {known.vim_type}",
                suggestion="register another one",
            )
        if wished.settings == known.settings:
            self._vims.add(wished)
        else:
            await self._vims.reopen(wished)
        recorded = aggregates.vims.get(self._database, wished.id)
        changed = msgspec.structs.replace(wished, rev=recorded.rev, created_at=recorded.created_at)
        made = await self._database.write(lambda tx: aggregates.vims.put(tx, changed))
        self._seen.pop(wished.id, None)
        return made

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget some, all or none. `ConflictError` names every one that VNFs or virtual links are on."""
        for id in ids:
            self._vims.get(id)
        require_unused(self._database, ids)

        def work(tx: object) -> None:
            for id in ids:
                aggregates.vims.delete(tx, id)  # type: ignore[arg-type]

        await self._database.write(work)
        for id in ids:
            await self._vims.remove(id)
            self._seen.pop(id, None)

    # -- what they have -----------------------------------------------------------------------------------------------

    def seen(self, id: str) -> Inventory | None:
        """What was there when it was last looked at."""
        return self._seen.get(id)

    async def refresh(self, id: str) -> Inventory:
        """Look at it now: capacity, images (also those that others brought there), networks, instances. A difference is an
        event."""
        driver = await self._vims.driver(id)
        found = Inventory(
            at=stamp(self._clock.now()),
            capacity=msgspec.to_builtins(await driver.capacity()),
            images=_names(await driver.list_images()),
            found=_names(await driver.list_present()) if isinstance(driver, Present) else (),
            networks=len(await driver.list_networks()),
            instances=len(await driver.list_compute()),
        )
        before, self._seen[id] = self._seen.get(id), found
        if before is not None and msgspec.structs.replace(before, at=found.at) != found:
            await self._tell(id, before, found)
        return found

    async def _tell(self, id: str, before: Inventory, found: Inventory) -> None:
        new = sorted({*found.images, *found.found} - {*before.images, *before.found})
        gone = sorted({*before.images, *before.found} - {*found.images, *found.found})
        data = {"images": new, "gone": gone}
        detail = f"{len(new)} new images, {len(gone)} gone"
        await self._database.write(
            lambda tx: self._events.add(tx, "vim", subject=id, name=id, state="REFRESHED", detail=detail, data=data)
        )

    # -- images -------------------------------------------------------------------------------------------------------

    async def images(self, id: str) -> list[Image]:
        """Those that instances can use, and as `vim:NAME` those that others brought there."""
        driver = await self._vims.driver(id)
        own = list(await driver.list_images())
        present = await driver.list_present() if isinstance(driver, Present) else []
        return [*own, *(msgspec.structs.replace(image, name=f"vim:{image.name}") for image in present)]

    async def add_image(self, id: str, name: str, source: str, *, tenant: str) -> Image:
        """Make an image available under a name. `source` is `host:PROGRAM`, `docker://REPOSITORY:TAG`, `vim:NAME` (it is
        there), an http(s) address, or `image:NAME` of the tenant's repository."""
        driver = await self._vims.driver(id)
        if source.startswith(REMOTE):
            return await self._ensured(driver, id, ImageSpec(name=name, source=source))
        if source.startswith("image:"):
            file = self._repository.find(source.removeprefix("image:"), tenant)
            if file is None:
                raise NotFoundError(f"cannot find {source} in the repository", suggestion="upload it first")
            spec = ImageSpec(name=name, source=str(file.path), checksum=file.checksum, checksum_algorithm="sha-256")
            return await self._ensured(driver, id, spec)
        if not source.startswith(("http://", "https://")):
            raise InvalidError(
                f"cannot bring an image from {source[:80]}",
                suggestion="give host:PROGRAM, docker://NAME, vim:NAME, image:NAME or an http(s) address; or upload it",
            )
        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._scratch) as folder:
            target = Path(folder) / "image"
            await self._repository.fetched(source, target)
            return await self._ensured(driver, id, ImageSpec(name=name, source=str(target)))

    async def upload_image(self, id: str, name: str, content: Path) -> Image:
        """Make the image in a file available under a name."""
        return await self._ensured(await self._vims.driver(id), id, ImageSpec(name=name, source=str(content)))

    async def _ensured(self, driver: Driver, id: str, spec: ImageSpec) -> Image:
        if any(image.name == spec.name for image in await driver.list_images()):
            raise ConflictError(
                f"cannot add the image {spec.name} to {id}: it has one", suggestion="delete that one first"
            )
        return await driver.ensure_image(spec)

    async def delete_image(self, id: str, name: str) -> None:
        """Remove an image. `ConflictError` while an instance or a snapshot needs it."""
        driver = await self._vims.driver(id)
        if all(image.name != name for image in await driver.list_images()):
            raise NotFoundError(
                f"cannot find the image {name} on {id}", suggestion="`skerry vim image list` shows those there are"
            )
        for info in aggregates.vnf_snapshots.select(self._database):
            if any(one.vim == id and one.image == name for one in info.vnfcs.values()):
                raise ConflictError(
                    f"cannot delete the image {name}: the VNF snapshot {info.id} is made of it",
                    suggestion="delete the snapshot instead",
                )
        await driver.delete_image(name)


def _names(images: Iterable[Image]) -> tuple[str, ...]:
    return tuple(sorted(image.name for image in images))
