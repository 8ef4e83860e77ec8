"""VNF packages from the NFVO of somebody else (SOL003 clause 10): this node as VNFM fetches what it is told to instantiate."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from skerry.model.notifications import Authentication
from skerry.nfvo.catalogue import Catalogue

Fetch = Callable[[str, Path, Authentication], Awaitable[int]]
"""An archive from an address into a file."""


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

    async def bring(self, vnfd_id: str, tenant: str) -> None:
        """Onboard the NFVO's package of a VNFD. `UnavailableError` where it cannot be had, `InvalidError` for a bad one;
        nothing of it stays then."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        path = f"{self._endpoint}/vnfpkgm/v2/onboarded_vnf_packages/{quote(vnfd_id, safe='')}/package_content"
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            target = Path(folder) / "package.csar"
            await self._fetch(path, target, self._who())
            info = await self._catalogue.create_vnf_package({"from": self._endpoint}, tenant=tenant)
            try:
                await self._catalogue.upload_vnf_package(info.id, target, tenant=tenant)
            except BaseException:
                await self._catalogue.delete_vnf_package(info.id, tenant=tenant)
                raise
