"""Chooses where things go. Pure: the same demands and sites always give the same choice, with every reason.

A virtual link lives on one site, so what belongs together goes together: all demands that the request left open share a
site. Among the sites where everything fits the order is: where the instance already is, where its links are, the least
loaded after placement, the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skerry.errors import Fault, RejectedError
from skerry.vim.driver import Capacity


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A place with its capacity now; `problem` says why it cannot be asked ("" = it answers)."""

    id: str
    capacity: Capacity
    problem: str = ""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance takes. `site` is the choice of the request ("" = open)."""

    name: str
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    site: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Why a site was taken or not."""

    site: str
    fits: bool
    reason: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Demand → site, and what was said of each site."""

    placement: Mapping[str, str]
    verdicts: tuple[Verdict, ...]


def shortage(site: Site, demands: Sequence[Demand]) -> str:
    """What the site lacks for these demands together; "" when they fit."""
    if site.problem:
        return site.problem
    have = site.capacity
    needed = (
        ("vCPUs", sum(d.vcpus for d in demands), have.vcpus - have.used_vcpus),
        ("bytes of memory", sum(d.memory_bytes for d in demands), have.memory_bytes - have.used_memory_bytes),
        ("bytes of storage", sum(d.storage_bytes for d in demands), have.storage_bytes - have.used_storage_bytes),
        ("instances", len(demands), have.instances - have.used_instances),
    )
    return "; ".join(f"needs {want:g} {what}, free are {free:g}" for what, want, free in needed if want > free)


def load(site: Site, demands: Sequence[Demand]) -> float:
    """The share of the scarcest resource that is used once the demands are there."""
    have = site.capacity
    shares = (
        (have.used_vcpus + sum(d.vcpus for d in demands)) / max(have.vcpus, 1e-9),
        (have.used_memory_bytes + sum(d.memory_bytes for d in demands)) / max(have.memory_bytes, 1),
        (have.used_instances + len(demands)) / max(have.instances, 1),
    )
    return max(shares)


def place(demands: Sequence[Demand], sites: Sequence[Site], prefer: Sequence[str] = ()) -> Choice:
    """A site for each demand. `RejectedError` lists for every site why not; nothing is allocated by asking."""
    by_id = {site.id: site for site in sites}
    pinned: dict[str, list[Demand]] = {}
    for demand in demands:
        if demand.site:
            pinned.setdefault(demand.site, []).append(demand)
    verdicts = [_judge(by_id.get(id), id, group) for id, group in pinned.items()]
    if not all(verdict.fits for verdict in verdicts):
        raise _refused(verdicts)
    placement = {demand.name: demand.site for demand in demands if demand.site}
    rest = [demand for demand in demands if not demand.site]
    if rest:
        judged = {site.id: _judge(site, site.id, [*pinned.get(site.id, ()), *rest]) for site in sites}
        fitting = [by_id[id] for id, verdict in judged.items() if verdict.fits]
        verdicts += judged.values()
        if not fitting:
            raise _refused(verdicts)
        best = min(fitting, key=lambda site: (_rank(site.id, prefer), load(site, rest), site.id))
        placement |= {demand.name: best.id for demand in rest}
    return Choice(placement=placement, verdicts=tuple(verdicts))


def _rank(site: str, prefer: Sequence[str]) -> int:
    return prefer.index(site) if site in prefer else len(prefer)


def _judge(site: Site | None, id: str, demands: Sequence[Demand]) -> Verdict:
    if site is None:
        return Verdict(site=id, fits=False, reason="there is no such VIM")
    lacking = shortage(site, demands)
    return Verdict(site=id, fits=not lacking, reason=lacking or "everything fits")


def _refused(verdicts: Sequence[Verdict]) -> RejectedError:
    lines = [verdict for verdict in verdicts if not verdict.fits]
    said = "; ".join(f"{verdict.site}: {verdict.reason}" for verdict in lines) or "there is no VIM"
    return RejectedError(
        f"cannot grant the resources: {said}",
        suggestion="free capacity, choose another VIM or register one",
        faults=[Fault(message=verdict.reason, path=verdict.site, code="capacity") for verdict in lines],
    )
