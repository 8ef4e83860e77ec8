"""VNF packages from the NFVO of somebody else (SOL003 clause 10): this node as VNFM fetches what it is told to instantiate."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from weakref import WeakValueDictionary

from skerry.model.notifications import Authentication
from skerry.nfvo.catalogue import Catalogue


class Fetch(Protocol):
    """An archive from an address into a file."""

    async def __call__(self, uri: str, target: Path, who: Authentication, *, tenant: str) -> int: ...


class ForeignPackages:
    """`endpoint` is the root of the NFVO's APIs, `who` how this node says there who it is; `scratch` holds archives on their
    way."""

    def __init__(
        self, catalogue: Catalogue, fetch: Fetch, endpoint: str, who: Callable[[], Authentication], scratch: Path
    ) -> None:
        self._catalogue = catalogue
        self._fetch = fetch
        self._endpoint = endpoint.rstrip("/")
        self._who = who
        self._scratch = scratch
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()  # VNFD and tenant

    async def bring(self, vnfd_id: str, tenant: str) -> None:
        """Onboard the NFVO's package of a VNFD, once for all who want it now. `UnavailableError` where it cannot be had,
        `InvalidError` for a bad one; nothing of it stays then."""
        turn = self._turns.setdefault((vnfd_id, tenant), asyncio.Lock())
        async with turn:
            if not any(info.vnfd_id == vnfd_id for info in self._catalogue.vnf_packages(tenant=tenant)):
                await self._bring(vnfd_id, tenant)

    async def _bring(self, vnfd_id: str, tenant: str) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        path = f"{self._endpoint}/vnfpkgm/v2/onboarded_vnf_packages/{quote(vnfd_id, safe='')}/package_content"
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            target = Path(folder) / "package.csar"
            await self._fetch(path, target, self._who(), tenant=tenant)
            info = await self._catalogue.create_vnf_package({"from": self._endpoint}, tenant=tenant)
            try:
                await self._catalogue.upload_vnf_package(info.id, target, tenant=tenant)
            except BaseException:
                await self._catalogue.delete_vnf_package(info.id, tenant=tenant)
                raise
