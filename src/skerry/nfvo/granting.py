"""Grants for VNF managers of others (SOL003 clause 9): this node as NFVO. Its own VNFM asks `nfvo.grants` directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skerry.errors import Fault, InvalidError, RejectedError
from skerry.model.descriptors import DeploymentFlavour, Vdu
from skerry.model.grants import Asked, Definition, GrantRecord
from skerry.model.quotas import total
from skerry.model.time import Clock, Ids, stamp
from skerry.nfvo.grants import PlacingGranter, needed, takes
from skerry.nfvo.tenant_quotas import within
from skerry.placement.affinity import Rule, broken
from skerry.placement.solve import Demand
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.vnfm.forms import forms, function_bytes
from skerry.vnfm.packages import usable

COMPUTE = ("COMPUTE", "OSCONTAINER")


def _nowhere(_vnf_instance_id: str) -> Mapping[str, str]:
    return {}


def _nobodys(_vnf_instance_id: str) -> str:
    return ""


class Grants:
    """Answers grant requests and keeps the answers."""

    def __init__(
        self,
        database: Database,
        granter: PlacingGranter,
        clock: Clock,
        ids: Ids,
        places_of: Callable[[str], Mapping[str, str]] = _nowhere,
        vnf_of: Callable[[str], str] = _nobodys,
    ) -> None:
        """`places_of` says where this node wants the VDUs ("*" = all others) of a VNF that its manager asks about, `vnf_of`
        which VNF of this node that is."""
        self._vnf_of = vnf_of
        self._places_of = places_of
        self._database = database
        self._granter = granter
        self._clock = clock
        self._ids = ids

    def grant_of(self, id: str, *, tenant: str = "") -> GrantRecord:
        return aggregates.grants.get(self._database, id, tenant=tenant)

    def grants(self, *, tenant: str = "") -> list[GrantRecord]:
        return aggregates.grants.select(self._database, tenant=tenant)

    async def grant(self, asked: Asked, links: Mapping[str, Any], *, tenant: str = "") -> GrantRecord:
        """Place what is asked for. The same operation that asks for the same again gets the same grant. `RejectedError` where
        nothing has room, `InvalidError` for resources that the VNFD does not have; nothing is allocated either way."""
        for known in aggregates.grants.select(self._database, tenant=tenant, operation=asked.vnf_lcm_op_occ_id):
            if known.asked == asked:
                return known
        new = (*asked.add, *asked.temporary)
        vdus = self._vdus(asked, new, tenant)
        here = tuple(dict.fromkeys(one.vim for one in (*asked.remove, *asked.update) if one.vim))
        wished = self._places_of(asked.vnf_instance_id)
        demands = [
            _demand(one, vdus[one.id], wished.get(vdus[one.id].id) or wished.get("*", ""))
            for one in new
            if one.id in vdus
        ]
        choice = await self._granter.choose(demands, here, tenant=tenant)
        places = _with_parts(new, choice.placement, here)
        self._require_kept(asked, {**{one.id: one.vim for one in (*asked.remove, *asked.update)}, **places})
        kept = {one.id for one in asked.add}
        taken = takes([one for one in demands if one.name in kept], choice)
        gone = self._vdus(asked, asked.remove, tenant, lenient=True)
        record = GrantRecord(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            asked=asked,
            places={**{one.id: one.vim for one in (*asked.remove, *asked.update) if one.vim}, **places},
            links=links,
            vnf=self._vnf_of(asked.vnf_instance_id),
            takes=total(taken.values()),
            gives=total(
                needed(_demand(one, gone[one.id], ""), function=False) for one in asked.remove if one.id in gone
            ),
        )

        def work(tx: Transaction) -> GrantRecord:
            return within(tx, tenant, lambda: aggregates.grants.insert(tx, record))

        return await self._database.write(work)

    def _require_kept(self, asked: Asked, places: Mapping[str, str]) -> None:
        """`RejectedError` where these places break a constraint of the request, unless that is a wish."""
        zones = {one.id: one.zone for one in self._granter.connections()}
        for one in asked.together:
            sites = {id: [places[id]] for id in one.new if places.get(id)} | {
                id: [vim] for id, vim in one.there.items()
            }
            reason = broken(Rule(scope=one.scope, anti=one.anti, things=tuple(sites)), sites, zones)
            if reason and not one.best_effort:
                raise RejectedError(
                    f"cannot grant by the constraints of the request: {reason}",
                    suggestion="name a VIM connection for each resource, or let the constraint be a wish",
                )

    def _vdus(self, asked: Asked, new: Sequence[Definition], tenant: str, *, lenient: bool = False) -> dict[str, Vdu]:
        """The VDU of each compute resource. `InvalidError` names all that are not in the VNFD, unless `lenient`."""
        info = usable(aggregates.vnf_packages.select(self._database, vnfd_id=asked.vnfd_id), asked.vnfd_id, tenant)
        flavours: Mapping[str, DeploymentFlavour] = info.package.vnfd.flavours if info.package else {}
        chosen = flavours.get(asked.flavour_id)
        known = {id: vdu for flavour in ([chosen] if chosen else flavours.values()) for id, vdu in flavour.vdus.items()}
        found: dict[str, Vdu] = {}
        faults: list[Fault] = []
        for number, one in enumerate(new):
            if one.type not in COMPUTE:
                continue
            vdu = known.get(one.vdu) or known.get(one.template)
            if vdu is not None:
                found[one.id] = vdu
                continue
            if lenient:
                continue
            there = ", ".join(known) or "none"
            faults.append(
                Fault(message=f"no VDU {one.vdu or one.template}; there are: {there}", path=f"/addResources/{number}")
            )
        if faults:
            raise InvalidError(f"cannot grant resources that VNFD {asked.vnfd_id} does not have", faults=faults)
        return found


def _demand(one: Definition, vdu: Vdu, wished: str) -> Demand:
    """In its preferred form alone: the answer to others has no word for it."""
    return Demand(
        name=one.id,
        vcpus=vdu.vcpus,
        memory_bytes=vdu.memory_bytes,
        storage_bytes=vdu.storage_bytes,
        site=one.vim or wished,
        forms=forms(vdu)[:1],
        function_bytes=function_bytes(vdu),
    )


def _with_parts(new: Sequence[Definition], placed: Mapping[str, str], here: Sequence[str]) -> dict[str, str]:
    """Storage, ports and links go where the VDU is that they are of, else where most else is."""
    of_vdu = {one.vdu or one.template: placed[one.id] for one in new if one.id in placed}
    fallback = next(iter(placed.values()), next(iter(here), ""))
    places = {one.id: placed.get(one.id) or one.vim or of_vdu.get(one.vdu, fallback) for one in new}
    return {id: vim for id, vim in places.items() if vim}
