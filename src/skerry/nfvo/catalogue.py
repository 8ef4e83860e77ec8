"""The catalogue: VNF packages and network service descriptors, from creation to deletion (SOL005 clauses 5 and 9).

An archive is read and verified as a whole before anything of it counts; what is refused leaves only the record with its
problem, so that the operator can see every fault and upload again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError, SkerryError, UnavailableError
from skerry.model.app import AppPackage
from skerry.model.descriptors import NsPackage, PnfPackage, VnfPackage
from skerry.model.notifications import Authentication
from skerry.model.ns import NsdInfo, PnfdInfo
from skerry.model.operations import Event
from skerry.model.states import OnboardingState, OperationalState, UsageState
from skerry.model.time import Clock, Ids, stamp
from skerry.model.vnf import VnfPkgInfo
from skerry.nfvo.arriving import ARRIVING, EMPTY, FETCHED, Info, Turns, enter, require
from skerry.nfvo.fetch import Fetcher
from skerry.nfvo.redesign import returning_to
from skerry.notifications import facts
from skerry.store import aggregates, journal
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection, Revs

AnyInfo = VnfPkgInfo | NsdInfo | PnfdInfo
AnyPackage = VnfPackage | NsPackage | PnfPackage | AppPackage
KINDS: Mapping[type[AnyPackage], str] = {
    VnfPackage: "VNFD",
    NsPackage: "NSD",
    PnfPackage: "PNFD",
    AppPackage: "AppD",
}


class MecPart(Protocol):
    """Who takes the MEC part of a package that was onboarded here (the orchestrator of applications)."""

    async def receive(self, info: VnfPkgInfo, part: AppPackage) -> None:
        """Onboard the part; the VNF package is its master. `InvalidError` or `ConflictError` to reject it."""
        ...

    async def give_up(self, vnf_pkg_id: str) -> None:
        """The VNF package is to be deleted: let the part go. `ConflictError` while it is used."""
        ...


LOST = "the node stopped while the archive was on its way; upload it again"


class Catalogue:
    """`folder` keeps the archives, named by the package's id. `signatures` and `trust_store` are the node's policy of what it
    accepts (`skerry.packages.Trust`)."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        clock: Clock,
        ids: Ids,
        *,
        signatures: Literal["require", "warn", "off"] = "warn",
        trust_store: Path | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._fetching: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._signatures: Literal["require", "warn", "off"] = signatures
        self._trust_store = trust_store
        self._database = database
        self._folder = folder
        self._clock = clock
        self._ids = ids
        self.mec: MecPart | None = None

    # -- VNF packages -------------------------------------------------------------------------------------------------

    async def create_vnf_package(self, user_defined_data: Mapping[str, Any], *, tenant: str = "") -> VnfPkgInfo:
        info = VnfPkgInfo(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            user_defined_data=user_defined_data,
        )
        return await self._create(aggregates.vnf_packages, info)

    async def upload_vnf_package(self, id: str, source: Path, *, tenant: str = "") -> VnfPkgInfo:
        """Read, verify and onboard an archive. `InvalidError` lists every fault; the record keeps them."""
        return await self._upload(aggregates.vnf_packages, id, source, tenant, _as_vnf_package)

    async def update_vnf_package(
        self,
        id: str,
        *,
        operational_state: str | None = None,
        user_defined_data: Mapping[str, Any] | None = None,
        match: Revs = None,
        tenant: str = "",
    ) -> VnfPkgInfo:
        where = aggregates.vnf_packages
        return self._used_vnf(await self._update(where, id, operational_state, user_defined_data, match, tenant))

    async def set_external_access(
        self, id: str, access: Sequence[Mapping[str, Any]], *, tenant: str = ""
    ) -> VnfPkgInfo:
        """Keep how the package's external artifacts are reached (SOL005 9.4.4a)."""

        def work(tx: Transaction) -> VnfPkgInfo:
            aggregates.vnf_packages.get(tx, id, tenant=tenant)
            return _set(aggregates.vnf_packages, tx, id, external_access=tuple(access))

        return await self._database.write(work)

    async def fetch_vnf_package(self, id: str, uri: str, who: Authentication, *, tenant: str = "") -> None:
        """Onboard the archive at an address. Returns when the address is found good; the record tells of the rest."""
        info = aggregates.vnf_packages.get(self._database, id, tenant=tenant)
        require(aggregates.vnf_packages, info)
        if self._fetcher is None:
            raise UnavailableError("cannot fetch archives: this node has no way to", suggestion="upload the content")
        await self._fetcher.judge(uri)
        state = OnboardingState.UPLOADING
        await self._database.write(lambda tx: enter(aggregates.vnf_packages, tx, id, state))
        task = asyncio.get_running_loop().create_task(self._fetch(self._fetcher, id, uri, who, tenant))
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _fetch(self, fetcher: Fetcher, id: str, uri: str, who: Authentication, tenant: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / f"{id}.fetched"
        try:
            await fetcher.fetch(uri, target, who, tenant=tenant)
            await self._onboard(aggregates.vnf_packages, id, target, tenant, _as_vnf_package, before=FETCHED)
        except InvalidError as error:
            now = aggregates.vnf_packages.find(self._database, id)
            if now is not None and now.onboarding_state is OnboardingState.UPLOADING:
                await self._lost(aggregates.vnf_packages, id, error.detail)
        except SkerryError as error:
            await self._lost(aggregates.vnf_packages, id, error.detail)
        finally:
            target.unlink(missing_ok=True)

    async def _lost(self, where: Collection[Info], id: str, why: str) -> None:
        problem = {"detail": why, "faults": []}
        with suppress(NotFoundError):  # it was deleted meanwhile
            await self._database.write(lambda tx: self._refuse(where, tx, id, problem))

    async def recover(self) -> None:
        """What was on its way when the node stopped did not arrive."""
        for info in aggregates.vnf_packages.select(self._database):
            if info.onboarding_state in ARRIVING:
                await self._lost(aggregates.vnf_packages, info.id, LOST)
        for nsd in aggregates.nsds.select(self._database):
            if nsd.onboarding_state in ARRIVING:
                await self._lost(aggregates.nsds, nsd.id, LOST)
        for pnfd in aggregates.pnfds.select(self._database):
            if pnfd.onboarding_state in ARRIVING:
                await self._lost(aggregates.pnfds, pnfd.id, LOST)

    async def stop(self) -> None:
        """Give up what is being fetched; the next start says so in the record."""
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    async def delete_vnf_package(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        info = aggregates.vnf_packages.get(self._database, id, tenant=tenant)
        if self.mec is not None and info.operational_state is OperationalState.DISABLED:
            await self._database.write(lambda tx: aggregates.vnf_packages.claim(tx, id, tenant, match))
            await self.mec.give_up(id)
            match = None
        await self._delete(aggregates.vnf_packages, id, tenant, self._vnfs_using, match)

    def vnf_packages(self, *, tenant: str = "") -> list[VnfPkgInfo]:
        return [self._used_vnf(info) for info in aggregates.vnf_packages.select(self._database, tenant=tenant)]

    def vnf_package(self, id: str, *, tenant: str = "") -> VnfPkgInfo:
        return self._used_vnf(aggregates.vnf_packages.get(self._database, id, tenant=tenant))

    def onboarded(self, vnfd_id: str, *, tenant: str = "") -> VnfPkgInfo:
        """The package by the identifier of its VNFD (SOL003 10.4.3)."""
        found = aggregates.vnf_packages.select(self._database, tenant=tenant, vnfd_id=vnfd_id) if vnfd_id else []
        if not found:
            raise aggregates.vnf_packages.missing(f"with VNFD {vnfd_id}")
        return self._used_vnf(found[0])

    # -- network service descriptors ----------------------------------------------------------------------------------

    async def create_nsd(self, user_defined_data: Mapping[str, Any], *, tenant: str = "") -> NsdInfo:
        info = NsdInfo(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            user_defined_data=user_defined_data,
        )
        return await self._create(aggregates.nsds, info)

    async def upload_nsd(self, id: str, source: Path, *, tenant: str = "") -> NsdInfo:
        """Read, verify and onboard an archive. Every VNFD that it names must be onboarded before."""
        return await self._upload(aggregates.nsds, id, source, tenant, self._as_ns_package)

    async def update_nsd(
        self,
        id: str,
        *,
        operational_state: str | None = None,
        user_defined_data: Mapping[str, Any] | None = None,
        match: Revs = None,
        tenant: str = "",
    ) -> NsdInfo:
        where = aggregates.nsds
        return self._used_nsd(await self._update(where, id, operational_state, user_defined_data, match, tenant))

    async def delete_nsd(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        await self._delete(aggregates.nsds, id, tenant, self._nss_needing, match)

    def nsds(self, *, tenant: str = "") -> list[NsdInfo]:
        return [self._used_nsd(info) for info in aggregates.nsds.select(self._database, tenant=tenant)]

    def nsd(self, id: str, *, tenant: str = "") -> NsdInfo:
        return self._used_nsd(aggregates.nsds.get(self._database, id, tenant=tenant))

    # -- descriptors of physical functions ----------------------------------------------------------------------------

    async def create_pnfd(self, user_defined_data: Mapping[str, Any], *, tenant: str = "") -> PnfdInfo:
        info = PnfdInfo(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            user_defined_data=user_defined_data,
        )
        return await self._create(aggregates.pnfds, info)

    async def upload_pnfd(self, id: str, source: Path, *, tenant: str = "") -> PnfdInfo:
        """Read, verify and onboard an archive with a PNFD."""
        return await self._upload(aggregates.pnfds, id, source, tenant, _as_pnf_package)

    async def update_pnfd(
        self, id: str, *, user_defined_data: Mapping[str, Any], match: Revs = None, tenant: str = ""
    ) -> PnfdInfo:
        return self._used_pnfd(await self._update(aggregates.pnfds, id, None, user_defined_data, match, tenant), tenant)

    async def delete_pnfd(self, id: str, *, match: Revs = None, tenant: str = "") -> None:
        await self._delete(aggregates.pnfds, id, tenant, self._nsds_naming, match)

    def pnfds(self, *, tenant: str = "") -> list[PnfdInfo]:
        return [self._used_pnfd(info, tenant) for info in aggregates.pnfds.select(self._database, tenant=tenant)]

    def pnfd(self, id: str, *, tenant: str = "") -> PnfdInfo:
        return self._used_pnfd(aggregates.pnfds.get(self._database, id, tenant=tenant), tenant)

    # -- what other parts of the node make ----------------------------------------------------------------------------

    async def take_vnf_package(self, id: str, source: Path, *, tenant: str = "") -> VnfPkgInfo:
        """Onboard, under an identifier of the caller's, an archive that this node made of one that it has verified. One that is
        there already stays."""
        fresh = VnfPkgInfo(id=id, tenant=tenant, created_at=stamp(self._clock.now()))
        return await self._take(aggregates.vnf_packages, fresh, source, _as_vnf_package)

    async def take_nsd(self, id: str, source: Path, *, tenant: str = "") -> NsdInfo:
        """As `take_vnf_package`, for an NSD."""
        fresh = NsdInfo(id=id, tenant=tenant, created_at=stamp(self._clock.now()))
        return await self._take(aggregates.nsds, fresh, source, self._as_ns_package)

    async def _take(self, where: Collection[Info], fresh: Info, source: Path, check: Callable[[Any, str], Any]) -> Info:
        known = where.find(self._database, fresh.id)
        if known is None:
            known = await self._create(where, fresh)
        if known.onboarding_state is OnboardingState.ONBOARDED:
            return known
        return await self._onboard(where, fresh.id, source, fresh.tenant, check, vouched=True)

    async def drop(self, vnf_pkg_id: str, nsd_info_id: str, *, tenant: str = "") -> None:
        """Remove what `take_vnf_package` and `take_nsd` made, in any state; "" = nothing. `ConflictError` while it is used."""
        await self._drop(aggregates.nsds, nsd_info_id, tenant, self._nss_using)
        await self._drop(aggregates.vnf_packages, vnf_pkg_id, tenant, self._vnfs_using)

    async def _drop(
        self, where: Collection[Info], id: str, tenant: str, users: Callable[[Transaction, str], int]
    ) -> None:
        if id and where.find(self._database, id) is not None:
            state = OperationalState.DISABLED
            await self._database.write(lambda tx: _set(where, tx, id, operational_state=state))
            await self._delete(where, id, tenant, users)

    async def _hand_over(self, info: VnfPkgInfo, part: AppPackage) -> VnfPkgInfo:
        """Give the MEC part of a package to who keeps such. A package whose part is rejected is of no use: it is disabled."""
        if self.mec is None:
            return info
        try:
            await self.mec.receive(info, part)
        except (InvalidError, ConflictError) as error:
            problem = {
                "detail": f"the MEC part was rejected: {error.detail}",
                "faults": msgspec.to_builtins(error.faults),
            }
            state = OperationalState.DISABLED
            where = aggregates.vnf_packages
            return await self._database.write(
                lambda tx: _set(where, tx, info.id, operational_state=state, problem=problem)
            )
        return info

    # -- all ---------------------------------------------------------------------------------------------------------

    def content(self, id: str) -> Path:
        """The CSAR."""
        return self._folder / f"{id}.csar"

    def original(self, id: str) -> Path:
        """The archive as it was uploaded: the CSAR, or the zip file with CSAR and signature (SOL004 clause 5.1, option 2)."""
        envelope = self._envelope(id)
        return envelope if envelope.exists() else self.content(id)

    def _envelope(self, id: str) -> Path:
        return self._folder / f"{id}.original.csar"

    def _forget(self, id: str) -> None:
        self.content(id).unlink(missing_ok=True)
        self._envelope(id).unlink(missing_ok=True)

    async def _create(self, where: Collection[Info], info: Info) -> Info:
        def work(tx: Transaction) -> Info:
            self._tell(tx, where, info, OnboardingState.CREATED.value)
            return where.insert(tx, info)

        return await self._database.write(work)

    def _tell(self, tx: Transaction, where: Collection[Info], info: Info, state: str, detail: str = "") -> None:
        """Put it into the event log: `name` is what it is, `detail` its descriptor or what is wrong."""
        _, descriptor = _identity(info)
        now = stamp(self._clock.now())
        event = Event(
            seq=0,
            time=now,
            kind="package",
            subject=info.id,
            name=where.word,
            state=state,
            detail=detail or descriptor,
            data=_facts(tx, info),
        )
        journal.announce(tx, event)

    async def _upload(
        self, where: Collection[Info], id: str, source: Path, tenant: str, check: Callable[[Any, str], Any]
    ) -> Info:
        require(where, where.get(self._database, id, tenant=tenant))
        return await self._onboard(where, id, source, tenant, check)

    async def _onboard(
        self,
        where: Collection[Info],
        id: str,
        source: Path,
        tenant: str,
        check: Callable[[Any, str], Any],
        *,
        vouched: bool = False,
        before: Container[OnboardingState] = EMPTY,
    ) -> Info:
        state = OnboardingState.PROCESSING
        await self._database.write(lambda tx: enter(where, tx, id, state, before))
        try:
            async with self._turns.turn(tenant):
                found, digest, size = await asyncio.to_thread(self._read, source, vouched)
            mec = found if isinstance(found, AppPackage) and found.nfv is not None else None
            package = check(mec.nfv if mec is not None else found, tenant)
            await asyncio.to_thread(self._keep, id, source, package.signature.option)
            ready = {
                "onboarding_state": OnboardingState.ONBOARDED,
                **({} if isinstance(package, PnfPackage) else {"operational_state": OperationalState.ENABLED}),
                "package": package,
                "checksum": digest,
                "size_bytes": size,
                "onboarded_at": stamp(self._clock.now()),
            }
            info = await self._database.write(lambda tx: self._admit(where, tx, id, tenant, ready))
        except (InvalidError, ConflictError) as error:
            problem = {"detail": error.detail, "faults": msgspec.to_builtins(error.faults)}
            await self._database.write(lambda tx: self._refuse(where, tx, id, problem))
            self._forget(id)
            raise
        except OSError as error:
            await self._lost(where, id, wrong := f"cannot keep the archive: {error.strerror}")
            raise UnavailableError(wrong, suggestion="make room on the disk, and send it again") from error
        if mec is None or not isinstance(info, VnfPkgInfo):
            return info
        await self._hand_over(info, mec)
        return where.get(self._database, id)

    def _read(self, source: Path, vouched: bool) -> tuple[AnyPackage, str, int]:
        from skerry.packages import Trust, read  # noqa: PLC0415 - YAML readers load on first use only

        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        policy = "off" if vouched else self._signatures
        trust = Trust(policy=policy, store=self._trust_store, now=self._clock.now())
        return read(source, trust=trust), digest, source.stat().st_size

    def _keep(self, id: str, source: Path, option: int) -> None:
        """Copy the archive so that it is whole or absent, whatever happens; of option 2 the CSAR in it too."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if option == 2:
            from skerry.packages import unwrap  # noqa: PLC0415 - as above

            self._copy(source, self._envelope(id), shutil.copyfile)
            self._copy(source, self.content(id), unwrap)
        else:
            self._copy(source, self.content(id), shutil.copyfile)

    @staticmethod
    def _copy(source: Path, target: Path, how: Callable[[Path, Path], object]) -> None:
        partial = target.with_suffix(".part")
        how(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(target)

    def _refuse(self, where: Collection[Info], tx: Transaction, id: str, problem: Mapping[str, Any]) -> None:
        info = _set(where, tx, id, onboarding_state=OnboardingState.ERROR, problem=problem)
        self._tell(tx, where, info, OnboardingState.ERROR.value, problem["detail"])

    def _admit(self, where: Collection[Info], tx: Transaction, id: str, tenant: str, ready: Mapping[str, Any]) -> Info:
        info = _set(where, tx, id, **ready)
        column, descriptor = _identity(info)
        others = [other.id for other in where.select(tx, tenant=tenant, **{column: descriptor}) if other.id != id]
        if others:
            raise ConflictError(
                f"cannot onboard: {where.word} {others[0]} has the same descriptor {descriptor}",
                suggestion="delete that one first, or give the descriptor a new identifier",
            )
        self._tell(tx, where, info, OnboardingState.ONBOARDED.value)
        return info

    def _as_ns_package(self, package: AnyPackage, tenant: str) -> NsPackage:
        if not isinstance(package, NsPackage):
            raise _wrong_kind("NSD", package)
        unknown = [
            vnfd_id
            for vnfd_id in package.nsd.vnfd_ids
            if not aggregates.vnf_packages.select(self._database, tenant=tenant, vnfd_id=vnfd_id)
        ]
        if unknown:
            faults = [
                Fault(message=f"no package with VNFD {id}", code="vnfd", fix="onboard it first") for id in unknown
            ]
            raise InvalidError(f"cannot onboard the NSD: VNFD {', '.join(unknown)} is not onboarded", faults=faults)
        return package

    async def _update(
        self,
        where: Collection[Info],
        id: str,
        operational_state: str | None,
        user_defined_data: Mapping[str, Any] | None,
        match: Revs,
        tenant: str,
    ) -> Info:
        def work(tx: Transaction) -> Info:
            info = where.matching(tx, id, tenant, match)
            fields: dict[str, Any] = {}
            if operational_state is not None:
                fields["operational_state"] = _switch(info, where.word, OperationalState(operational_state))
                self._tell(tx, where, info, operational_state)
            if user_defined_data is not None:
                merged = {**info.user_defined_data, **user_defined_data}
                fields["user_defined_data"] = {name: value for name, value in merged.items() if value is not None}
            return _set(where, tx, id, **fields)

        return await self._database.write(work)

    async def _delete(
        self,
        where: Collection[Info],
        id: str,
        tenant: str,
        users: Callable[[Transaction, str], int],
        match: Revs = None,
    ) -> None:
        def work(tx: Transaction) -> None:
            info = where.matching(tx, id, tenant, match)
            if not isinstance(info, PnfdInfo) and info.operational_state is OperationalState.ENABLED:
                raise ConflictError(f"cannot delete {where.word} {id}: it is ENABLED", suggestion="disable it first")
            if count := users(tx, id):
                raise ConflictError(
                    f"cannot delete {where.word} {id}: {count} in use", suggestion="delete what was made of it first"
                )
            where.delete(tx, id)
            self._tell(tx, where, info, "DELETED")

        await self._database.write(work)
        self._forget(id)

    @staticmethod
    def _vnfs_using(source: Transaction | Database, id: str) -> int:
        info = aggregates.vnf_packages.find(source, id)
        named = 0
        for nsd in aggregates.nsds.select(source, tenant=info.tenant) if info and info.package else ():
            named += bool(nsd.package and info and info.vnfd_id in nsd.package.nsd.vnfd_ids)
        return aggregates.vnf_instances.count(source, vnf_pkg_id=id) + named

    @staticmethod
    def _nss_using(source: Transaction | Database, id: str) -> int:
        return aggregates.ns_instances.count(source, nsd_info_id=id)

    @classmethod
    def _nss_needing(cls, source: Transaction | Database, id: str) -> int:
        """Those made of it, and those that may have to go back to it."""
        return cls._nss_using(source, id) + returning_to(source, id)

    @staticmethod
    def _nsds_naming(source: Transaction | Database, id: str) -> int:
        info = aggregates.pnfds.find(source, id)
        if info is None or info.package is None:
            return 0
        nsds = aggregates.nsds.select(source, tenant=info.tenant)
        return sum(bool(nsd.package and info.pnfd_id in nsd.package.nsd.pnfd_ids) for nsd in nsds)

    def _used_pnfd(self, info: PnfdInfo, tenant: str) -> PnfdInfo:
        nsds = [nsd for nsd in self.nsds(tenant=tenant) if nsd.package and info.pnfd_id in nsd.package.nsd.pnfd_ids]
        used = info.pnfd_id != "" and any(nsd.usage_state is UsageState.IN_USE for nsd in nsds)
        return msgspec.structs.replace(info, usage_state=UsageState.IN_USE if used else UsageState.NOT_IN_USE)

    def _used_vnf(self, info: VnfPkgInfo) -> VnfPkgInfo:
        used = aggregates.vnf_instances.count(self._database, vnf_pkg_id=info.id) > 0
        return msgspec.structs.replace(info, usage_state=UsageState.IN_USE if used else UsageState.NOT_IN_USE)

    def _used_nsd(self, info: NsdInfo) -> NsdInfo:
        used = self._nss_using(self._database, info.id) > 0
        return msgspec.structs.replace(info, usage_state=UsageState.IN_USE if used else UsageState.NOT_IN_USE)


def _identity(info: AnyInfo) -> tuple[str, str]:
    """The store's column of its descriptor's identifier, and that."""
    if isinstance(info, VnfPkgInfo):
        return "vnfd_id", info.vnfd_id
    return ("nsd_id", info.nsd_id) if isinstance(info, NsdInfo) else ("pnfd_id", info.pnfd_id)


def _wrong_kind(wanted: str, package: AnyPackage) -> InvalidError:
    found = KINDS[type(package)]
    where = "a VNF package" if found == "VNFD" else f"the content of an {found} record"
    fault = Fault(message=f"the package holds a {found}", code="kind", fix=f"upload it as {where}")
    return InvalidError(f"cannot onboard the {wanted}: the package holds a {found}", faults=[fault])


def _facts(tx: Transaction, info: AnyInfo) -> dict[str, Any]:
    """What the filters of subscriptions look at."""
    if isinstance(info, VnfPkgInfo):
        return facts.of_vnf_package(info)
    if isinstance(info, PnfdInfo):
        return facts.of_pnfd(info)
    vnfds = info.package.nsd.vnfd_ids if info.package else ()
    packages = [
        package.id for vnfd in vnfds for package in aggregates.vnf_packages.select(tx, tenant=info.tenant, vnfd_id=vnfd)
    ]
    return facts.of_nsd(info, tuple(packages))


def _set(where: Collection[Info], tx: Transaction, id: str, **fields: Any) -> Info:
    return where.change(tx, id, lambda info: msgspec.structs.replace(info, **fields))


def _switch(info: AnyInfo, word: str, state: OperationalState) -> OperationalState:
    """SOL005 allows a change of the state only for what is onboarded, and only to the other one."""
    if info.onboarding_state is not OnboardingState.ONBOARDED:
        raise ConflictError(f"cannot change {word} {info.id}: it is not onboarded", suggestion="upload its content")
    if isinstance(info, PnfdInfo) or info.operational_state is state:
        raise ConflictError(
            f"cannot change {word} {info.id}: it is {state} already",
            suggestion="read it to see the state that it has",
        )
    return state


def _as_vnf_package(package: AnyPackage, _tenant: str) -> VnfPackage:
    if not isinstance(package, VnfPackage):
        raise _wrong_kind("VNF package", package)
    return package


def _as_pnf_package(package: AnyPackage, _tenant: str) -> PnfPackage:
    if not isinstance(package, PnfPackage):
        raise _wrong_kind("PNFD", package)
    return package
