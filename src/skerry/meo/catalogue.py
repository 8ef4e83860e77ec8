"""The catalogue of application packages (MEC 010-2 clause 7.3).

The NFVO keeps the NFV part of each package, as a VNF package and an NSD; here is the MEC part alone. A package comes over Mm1,
then this catalogue gives the NFVO its part; or it comes to the NFVO as a VNF package that has an AppD too, then that is the
master and hands the AppD over. Identifiers are derived from the package's, so that an interrupted onboarding can be repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from skerry.engine.children import derive
from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.app import AppPackage, AppPkgInfo
from skerry.model.descriptors import VnfPackage
from skerry.model.operations import Event
from skerry.model.states import OnboardingState, OperationalState, UsageState
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import VnfPkgInfo
from skerry.nfvo.catalogue import Catalogue
from skerry.notifications import facts
from skerry.store import applications, journal
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

WORD = "application package"
LOST = "the node stopped while the package was on its way; upload it again"
ARRIVING = (OnboardingState.UPLOADING, OnboardingState.PROCESSING)


class AppCatalogue:
    """`folder` keeps the archives, named by the package's id; `nfvo` is the catalogue of the NFVO. `signatures` and
    `trust_store` are the node's policy of what it accepts."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        nfvo: Catalogue,
        clock: Clock,
        ids: Ids,
        *,
        signatures: Literal["require", "warn", "off"] = "warn",
        trust_store: Path | None = None,
    ) -> None:
        self._database = database
        self._folder = folder
        self._nfvo = nfvo
        self._clock = clock
        self._ids = ids
        self._signatures: Literal["require", "warn", "off"] = signatures
        self._trust_store = trust_store
        nfvo.mec = self

    # -- packages of their own ----------------------------------------------------------------------------------------

    async def create(self, wished: AppPkgInfo, *, tenant: str = "") -> AppPkgInfo:
        """A record without content; `wished` has what the creator says of the package."""
        info = msgspec.structs.replace(
            wished, id=self._ids.new(), tenant=tenant, created_at=stamp(self._clock.now()), rev=0
        )

        def work(tx: Transaction) -> AppPkgInfo:
            self._tell(tx, info, OnboardingState.CREATED.value)
            return applications.packages.insert(tx, info)

        return await self._database.write(work)

    async def upload(self, id: str, source: Path, *, tenant: str = "") -> AppPkgInfo:
        """Read, verify and onboard an archive, here and at the NFVO. `InvalidError` lists every fault, as the record does."""

        def claim(tx: Transaction) -> None:
            info = applications.packages.get(tx, id, tenant=tenant)
            if info.onboarding_state not in (OnboardingState.CREATED, OnboardingState.ERROR):
                raise ConflictError(
                    f"cannot upload into application package {id}: it is {info.onboarding_state}",
                    suggestion="create a new one",
                )
            _set(tx, id, onboarding_state=OnboardingState.PROCESSING, problem={})

        await self._database.write(claim)
        try:
            return await self._onboard(id, source, tenant)
        except (InvalidError, ConflictError) as error:
            problem = {"detail": error.detail, "faults": msgspec.to_builtins(error.faults)}
            await self._give_back(id, tenant)
            await self._database.write(lambda tx: self._refuse(tx, id, problem))
            self.content(id).unlink(missing_ok=True)
            raise

    async def _onboard(self, id: str, source: Path, tenant: str) -> AppPkgInfo:
        record = applications.packages.get(self._database, id)
        package, digest, size = await asyncio.to_thread(self._read, source)
        _same_checksum(record, digest)
        self._unique(id, package, tenant)
        await asyncio.to_thread(self._keep, id, source)
        vnf_id, nsd_id = derive(id, "vnf"), derive(id, "nsd")
        scratch = await asyncio.to_thread(tempfile.mkdtemp, dir=self._folder)
        try:
            vnf, nsd = await asyncio.to_thread(_nfv_part, self.content(id), Path(scratch), package)
            await self._nfvo.take_vnf_package(vnf_id, vnf, tenant=tenant)
            await self._nfvo.take_nsd(nsd_id, nsd, tenant=tenant)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        fields = {
            "package": msgspec.structs.replace(package, nfv=None),
            "checksum": digest,
            "size_bytes": size,
            "vnf_pkg_id": vnf_id,
            "nsd_info_id": nsd_id,
        }
        return await self._database.write(lambda tx: self._ready(tx, id, fields))

    # -- packages that the NFVO got -----------------------------------------------------------------------------------

    async def receive(self, info: VnfPkgInfo, part: AppPackage) -> None:
        """Take the AppD of a package whose VNFD is onboarded at the NFVO (fits `nfvo.catalogue.MecPart`)."""
        self._unique("", part, info.tenant)
        id, nsd_id = derive(info.id, "app"), derive(info.id, "nsd")
        source = self._nfvo.content(info.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            _, nsd = await asyncio.to_thread(_nfv_part, source, Path(scratch), part)
            await self._nfvo.take_nsd(nsd_id, nsd, tenant=info.tenant)
        await asyncio.to_thread(self._keep, id, source)
        appd = part.appd
        fresh = AppPkgInfo(
            id=id,
            tenant=info.tenant,
            created_at=stamp(self._clock.now()),
            name=appd.app_name,
            version=appd.app_d_version,
            provider=appd.app_provider,
            master=info.id,
        )
        fields = {
            "package": msgspec.structs.replace(part, nfv=None),
            "checksum": info.checksum,
            "size_bytes": info.size_bytes,
            "vnf_pkg_id": info.id,
            "nsd_info_id": nsd_id,
        }

        def work(tx: Transaction) -> None:
            if applications.packages.find(tx, id) is None:
                applications.packages.insert(tx, fresh)
            self._ready(tx, id, fields)

        await self._database.write(work)

    async def give_up(self, vnf_pkg_id: str) -> None:
        """The master of some packages is to be deleted (fits `nfvo.catalogue.MecPart`)."""
        for info in applications.packages.select(self._database, master=vnf_pkg_id):
            _unused(self._database, info.id)
            await self._nfvo.drop("", info.nsd_info_id, tenant=info.tenant)
            await self._database.write(lambda tx, gone=info: self._remove(tx, gone))  # type: ignore[misc]
            self.content(info.id).unlink(missing_ok=True)

    # -- all ----------------------------------------------------------------------------------------------------------

    async def update(self, id: str, operational_state: str, *, match: Revs = None, tenant: str = "") -> AppPkgInfo:
        """Enable or disable it for new instances."""

        def work(tx: Transaction) -> AppPkgInfo:
            info = applications.packages.matching(tx, id, tenant, match)
            if info.onboarding_state is not OnboardingState.ONBOARDED:
                raise ConflictError(f"cannot change {WORD} {id}: it is not onboarded", suggestion="upload its content")
            if info.operational_state == operational_state:
                raise ConflictError(f"cannot change {WORD} {id}: it is {operational_state} already")
            changed = _set(tx, id, operational_state=OperationalState(operational_state))
            self._tell(tx, changed, operational_state)
            return changed

        return self._used(await self._database.write(work))

    async def delete(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        """Remove it here and at the NFVO. `ConflictError` while it is ENABLED, used, or part of a VNF package;
        `PreconditionError` where it is in none of the revisions `match`."""
        info = await self._database.write(lambda tx: self._going(tx, id, match, tenant))
        await self._give_back(id, tenant)
        await self._database.write(lambda tx: self._remove(tx, info))
        self.content(id).unlink(missing_ok=True)

    @staticmethod
    def _going(tx: Transaction, id: str, match: Revs, tenant: str) -> AppPkgInfo:
        """One that may be deleted now; of several who ask for that on the same condition one is let through."""
        info = applications.packages.matching(tx, id, tenant, match)
        if info.operational_state is OperationalState.ENABLED:
            raise ConflictError(f"cannot delete {WORD} {id}: it is ENABLED", suggestion="disable it first")
        if info.onboarding_state in ARRIVING:
            raise ConflictError(f"cannot delete {WORD} {id}: it is {info.onboarding_state}")
        if info.master:
            raise ConflictError(
                f"cannot delete {WORD} {id}: it is part of VNF package {info.master}", suggestion="delete that one"
            )
        _unused(tx, id)
        return applications.packages.claim(tx, id, tenant, match)

    def packages(self, *, tenant: str = "") -> list[AppPkgInfo]:
        return [self._used(info) for info in applications.packages.select(self._database, tenant=tenant)]

    def package(self, id: str, *, tenant: str = "") -> AppPkgInfo:
        return self._used(applications.packages.get(self._database, id, tenant=tenant))

    def onboarded(self, app_d_id: str, *, tenant: str = "") -> AppPkgInfo:
        """The package by the identifier of its AppD; while it has none, by its own."""
        found = applications.packages.select(self._database, app_d_id=app_d_id, tenant=tenant)
        return self._used(found[-1]) if found else self.package(app_d_id, tenant=tenant)

    def content(self, id: str) -> Path:
        """The archive."""
        return self._folder / f"{id}.csar"

    async def recover(self) -> None:
        """What was on its way when the node stopped did not arrive."""
        problem = {"detail": LOST, "faults": []}
        for info in applications.packages.select(self._database):
            if info.onboarding_state in ARRIVING:
                await self._give_back(info.id, info.tenant)
                await self._database.write(lambda tx, lost=info: self._refuse(tx, lost.id, problem))  # type: ignore[misc]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _read(self, source: Path) -> tuple[AppPackage, str, int]:
        from skerry.packages import Trust, read  # noqa: PLC0415 - YAML readers load on first use only

        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found = read(source, trust=Trust(policy=self._signatures, store=self._trust_store, now=self._clock.now()))
        if not isinstance(found, AppPackage):
            fault = Fault(message="the package holds no AppD", code="kind", fix="upload it to the NFVO")
            raise InvalidError("cannot onboard the application package: it holds no AppD", faults=[fault])
        return found, digest, source.stat().st_size

    def _keep(self, id: str, source: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self.content(id).with_suffix(".part")
        shutil.copyfile(source, partial)
        partial.rename(self.content(id))

    def _unique(self, id: str, package: AppPackage, tenant: str) -> None:
        wanted = package.appd.app_d_id
        others = applications.packages.select(self._database, app_d_id=wanted, tenant=tenant)
        if any(other.id != id for other in others):
            raise ConflictError(
                f"cannot onboard: {WORD} {others[0].id} has the same AppD {wanted}",
                suggestion="delete that one first, or give the AppD a new identifier",
            )

    async def _give_back(self, id: str, tenant: str) -> None:
        await self._nfvo.drop(derive(id, "vnf"), derive(id, "nsd"), tenant=tenant)

    def _ready(self, tx: Transaction, id: str, fields: Mapping[str, Any]) -> AppPkgInfo:
        info = _set(
            tx,
            id,
            onboarding_state=OnboardingState.ONBOARDED,
            operational_state=OperationalState.ENABLED,
            onboarded_at=stamp(self._clock.now()),
            **fields,
        )
        self._tell(tx, info, OnboardingState.ONBOARDED.value)
        return info

    def _refuse(self, tx: Transaction, id: str, problem: Mapping[str, Any]) -> None:
        info = _set(tx, id, onboarding_state=OnboardingState.ERROR, problem=problem)
        self._tell(tx, info, OnboardingState.ERROR.value, problem["detail"])

    def _remove(self, tx: Transaction, info: AppPkgInfo) -> None:
        _unused(tx, info.id)
        applications.packages.delete(tx, info.id)
        self._tell(tx, info, "DELETED")

    def _used(self, info: AppPkgInfo) -> AppPkgInfo:
        used = applications.instances.count(self._database, app_pkg_id=info.id) > 0
        state = UsageState.IN_USE if used else UsageState.NOT_IN_USE
        return msgspec.structs.replace(info, usage_state=state)

    def _tell(self, tx: Transaction, info: AppPkgInfo, state: str, detail: str = "") -> None:
        event = Event(
            seq=0,
            time=stamp(self._clock.now()),
            kind="package",
            subject=info.id,
            name=WORD,
            state=state,
            detail=detail or info.app_d_id,
            data=facts.of_app_package(info),
        )
        journal.announce(tx, event)


def _set(tx: Transaction, id: str, **fields: Any) -> AppPkgInfo:
    return applications.packages.change(tx, id, lambda info: msgspec.structs.replace(info, **fields))


def _unused(source: Transaction | Database, id: str) -> None:
    if count := applications.instances.count(source, app_pkg_id=id):
        raise ConflictError(f"cannot delete {WORD} {id}: {count} in use", suggestion="delete what was made of it first")


def _nfv_part(source: Path, folder: Path, package: AppPackage) -> tuple[Path, Path]:
    from skerry.packages import appd_nfv  # noqa: PLC0415 - YAML readers load on first use only

    own: VnfPackage | None = package.nfv
    return appd_nfv.build_nfv(source, folder, package.appd, own.vnfd if own else None)


def _same_checksum(record: AppPkgInfo, digest: str) -> None:
    """Compare with what the creator named (CreateAppPkg.checksum) if it is an SHA-256. `InvalidError` where it differs."""
    algorithm, expected = record.expected
    if algorithm.lower().replace("-", "") == "sha256" and expected and expected.lower() != digest:
        fault = Fault(message=f"it is {digest}", path="/checksum", code="checksum", fix="upload the archive meant")
        raise InvalidError("cannot onboard the application package: its checksum differs", faults=[fault])
