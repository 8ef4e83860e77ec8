"""Images of snapshots on their way: out of infrastructures into files of packages, and from those to infrastructures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError, NotFoundError, SkerryError, UnavailableError, UnsupportedError
from skerry.model.notifications import Authentication, ClientCredentials
from skerry.model.vnf import VnfcSnapshot, VnfInstance, VnfSnapshotInfo
from skerry.nfvo import snapshot_archives as archives
from skerry.nfvo.fetch import Fetcher
from skerry.store import aggregates
from skerry.store.database import Database
from skerry.vim.connections import Vims
from skerry.vim.driver import Exports, ImageSpec, Snapshots
from skerry.vnfm.naming import SNAPSHOT


def image_name(snapshot: str, vnfc: str) -> str:
    """What an image of a snapshot is called on its VIM."""
    return f"{SNAPSHOT}{snapshot}/{vnfc}"


class SnapshotImages:
    """`limit` is the most bytes of one file."""

    def __init__(self, database: Database, vims: Vims, fetcher: Fetcher | None, limit: int) -> None:
        self._database = database
        self._vims = vims
        self._fetcher = fetcher
        self._limit = limit

    async def take_out(self, vnfc: str, one: VnfcSnapshot, target: Path) -> None:
        """Write an image into a file."""
        driver = await self._vims.driver(one.vim)
        if not isinstance(driver, Exports):
            raise UnsupportedError(f"cannot put the image of {vnfc} into a file: VIM {one.vim} cannot")
        await driver.export_image(one.image, target, self._limit)

    async def bring(
        self,
        snapshot: str,
        content: archives.Content,
        archive: Path,
        scratch: Path,
        places: Mapping[str, str],
        access: Sequence[Mapping[str, Any]],
        *,
        tenant: str,
    ) -> dict[str, VnfcSnapshot]:
        """Put every image that has a file on its VIM, under a name of `snapshot`; VNFC → how it is there."""
        brought: dict[str, VnfcSnapshot] = {}
        for vnfc, one in content.images.items():
            file = scratch / "image"
            if one.path:
                found = await asyncio.to_thread(archives.unpack, archive, one.path, file)
            else:
                found = await self._fetched(one.uri, file, access, tenant)
            if found != one.checksum.lower():
                raise InvalidError(
                    f"cannot use the image of {vnfc}: its SHA-256 is {found}, not {one.checksum}",
                    suggestion="mend what is kept outside of the package, or build it again",
                )
            brought[vnfc] = await self._placed(image_name(snapshot, vnfc), one, file, places[vnfc])
            file.unlink()
        return brought

    async def _placed(self, name: str, one: VnfcSnapshot, file: Path, vim: str) -> VnfcSnapshot:
        driver = await self._vims.driver(vim)
        spec = ImageSpec(name=name, source=str(file), checksum=one.checksum, checksum_algorithm="sha-256")
        image = await driver.ensure_image(spec)
        return VnfcSnapshot(
            vim=vim,
            image=name,
            id=image.id,
            size_bytes=image.size_bytes,
            started_at=one.started_at,
            finished_at=one.finished_at,
        )

    async def _fetched(self, uri: str, file: Path, access: Sequence[Mapping[str, Any]], tenant: str) -> str:
        """What is kept outside, from where and as the access configuration says; its SHA-256."""
        if self._fetcher is None:
            raise UnavailableError(
                "cannot fetch images: this node has no way to", suggestion="have them in the package"
            )
        known = next((one for one in access if one.get("artifactUri") == uri), {})
        oauth2 = known.get("paramsOauth2ClientCredentials")
        who = Authentication(oauth2=msgspec.convert(oauth2, ClientCredentials) if oauth2 else None)
        await self._fetcher.fetch(known.get("overrideUri") or uri, file, who, tenant=tenant)
        return await asyncio.to_thread(archives.digest_of, file)

    async def drop(self, snapshot: str, places: Mapping[str, str]) -> None:
        """Remove what an extraction that was given up has brought. A VIM that cannot be reached keeps it."""
        for vnfc, vim in places.items():
            try:
                await (await self._vims.driver(vim)).delete_image(image_name(snapshot, vnfc))
            except SkerryError:
                continue

    async def places(self, info: VnfSnapshotInfo, vnf: VnfInstance | None, tenant: str) -> dict[str, str]:
        """VNFC → the VIM for its image: where the VNF has that VNFC; else where the snapshot was taken, if that is here;
        else where VNFs of the tenant with this VNFD run; else the first that takes snapshots. `InvalidError`."""
        known = {connection.id for connection in self._vims.connections()}
        likely = [vnf] if vnf else self._alike(info, tenant)
        chosen: dict[str, str] = {}
        for vnfc, one in info.vnfcs.items():
            wishes = [like.placement[vnfc] for like in likely if vnfc in like.placement]
            others = [vim for like in likely for vim in like.placement.values()]
            wished = [*wishes, *others] if vnf else [one.vim, *wishes, *others]
            vim = next((vim for vim in wished if vim in known), "") or await self._first()
            if not vim:
                fault = Fault(message="no infrastructure takes images of snapshots", code="vim")
                raise InvalidError(f"cannot find a place for the image of {vnfc}", faults=[fault])
            chosen[vnfc] = vim
        return chosen

    def _alike(self, info: VnfSnapshotInfo, tenant: str) -> list[VnfInstance]:
        vnfd = info.vnf_instance.vnfd_id if info.vnf_instance else ""
        every = aggregates.vnf_instances.select(self._database, tenant=tenant)
        return [vnf for vnf in every if vnf.vnfd_id == vnfd and vnf.placement]

    async def _first(self) -> str:
        for connection in sorted(self._vims.connections(), key=lambda one: one.id):
            try:
                if isinstance(await self._vims.driver(connection.id), Snapshots):
                    return connection.id
            except SkerryError:
                continue
        return ""

    async def missing(self, taken: VnfSnapshotInfo, tenant: str) -> list[str]:
        """Images without a file that the archive names and this tenant has not: none is there, or it is somebody else's."""
        bare = {name: one for name, one in taken.vnfcs.items() if not (one.path or one.uri)}
        missing = self._foreign(bare, tenant)
        for vim in {one.vim for one in bare.values()}:
            wanted = [one.image for one in bare.values() if one.vim == vim]
            try:
                driver = await self._vims.driver(vim)
                there = {image.name for image in await driver.list_images()}
            except (SkerryError, NotFoundError):
                there = set()
            missing += [f"{name} on {vim}" for name in wanted if name not in there]
        return missing

    def _foreign(self, bare: Mapping[str, VnfcSnapshot], tenant: str) -> list[str]:
        """An archive is what its sender made of it: it may name images of snapshots only, and no other tenant's."""
        others = [one for one in aggregates.vnf_snapshots.select(self._database) if one.tenant != tenant]
        held = {image.image for one in others for image in one.vnfcs.values()}
        roots = tuple(f"{SNAPSHOT}{one.id}/" for one in others)
        return sorted(
            name
            for name in {one.image for one in bare.values()}
            if not name.startswith(SNAPSHOT) or name in held or name.startswith(roots)
        )
