"""Chooses where things go. Pure: the same demands and sites always give the same choice, with every reason.

A virtual link lives on one site, so what belongs together goes together: all demands that the request left open share a
site. Among the sites where everything fits the order is: where the instance already is, where its links are, the least
loaded after placement, the name.

A demand may be met in two forms, as a container (or machine) or as a micro network function, which needs less. On each site
it gets the first form for which the site is made and has room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skerry.errors import Fault, RejectedError
from skerry.model.operations import Constraint, Verdict
from skerry.vim.driver import Capacity

CONTAINER, FUNCTION = "container", "function"
"""The forms: a container or machine of whatever kind, and a micro network function."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A place with its capacity now; `problem` says why it cannot be asked ("" = it answers); `forms` is what it runs."""

    id: str
    capacity: Capacity
    problem: str = ""
    forms: frozenset[str] = frozenset({CONTAINER})


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance takes. `site` is the choice of the request ("" = open). `forms` are those in which it can be, best
    first; as a function it takes `function_bytes` of memory and nothing else."""

    name: str
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    site: str = ""
    forms: tuple[str, ...] = (CONTAINER,)
    function_bytes: int = 0


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Demand → site, demand → form where it is a function, and what was said of each site."""

    placement: Mapping[str, str]
    verdicts: tuple[Verdict, ...]
    functions: frozenset[str] = frozenset()


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Demands on one site: those in their first possible form, with what they need there; which became functions, and why."""

    demands: tuple[Demand, ...]
    functions: frozenset[str] = frozenset()
    reason: str = ""
    missing: str = ""  # what the site cannot run at all


def shaped(site: Site, demands: Sequence[Demand]) -> Shape:
    """Containers where the site runs them and all have room, else functions of those that can be."""
    able = [tuple(form for form in one.forms if form in site.forms) for one in demands]
    lost = [one for one, forms in zip(demands, able, strict=True) if not forms]
    if lost and not site.problem:
        kinds = " or ".join(f"{form}s" for form in lost[0].forms)
        return Shape(demands=tuple(demands), missing=f"it runs no {kinds}, as {lost[0].name} needs")
    first = _as(demands, {one.name: forms[0] for one, forms in zip(demands, able, strict=True) if forms})
    short = _lacking(site, first.demands)
    if not short or site.problem:
        return first
    small = {one.name: forms[-1] for one, forms in zip(demands, able, strict=True) if forms}
    second = _as(demands, small)
    if second.functions == first.functions:
        return first
    return msgspec.structs.replace(second, reason=f"as a container it {'; '.join(short)}")


def _as(demands: Sequence[Demand], forms: Mapping[str, str]) -> Shape:
    functions = frozenset(name for name, form in forms.items() if form == FUNCTION)
    taken = tuple(
        msgspec.structs.replace(one, vcpus=0.0, memory_bytes=one.function_bytes, storage_bytes=0)
        if one.name in functions
        else one
        for one in demands
    )
    return Shape(demands=taken, functions=functions)


def constraints(site: Site, demands: Sequence[Demand]) -> tuple[Constraint, ...]:
    """What these demands together need of the site, and what it has left; nothing is known of a site that does not answer."""
    if site.problem:
        return ()
    have = site.capacity
    needed = (
        ("vCPUs", sum(d.vcpus for d in demands), have.vcpus - have.used_vcpus),
        ("bytes of memory", sum(d.memory_bytes for d in demands), have.memory_bytes - have.used_memory_bytes),
        ("bytes of storage", sum(d.storage_bytes for d in demands), have.storage_bytes - have.used_storage_bytes),
        ("instances", len(demands), have.instances - have.used_instances),
    )
    return tuple(Constraint(name=what, needed=want, free=free, holds=want <= free) for what, want, free in needed)


def shortage(site: Site, demands: Sequence[Demand]) -> str:
    """What the site lacks for these demands together; "" when they fit."""
    return site.problem or "; ".join(_lacking(site, demands))


def _lacking(site: Site, demands: Sequence[Demand]) -> list[str]:
    lacking = [one for one in constraints(site, demands) if not one.holds]
    return [f"needs {one.needed:,.12g} {one.name}, free are {one.free:,.12g}" for one in lacking]


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
        if not fitting:
            raise _refused([*verdicts, *judged.values()])
        best = min(fitting, key=lambda site: (_rank(site.id, prefer), judged[site.id].load, site.id))
        placement |= {demand.name: best.id for demand in rest}
        verdicts = [verdict for verdict in verdicts if verdict.site not in judged]
        verdicts += [
            verdict if id in pinned and id != best.id else _compared(verdict, judged[best.id], prefer)
            for id, verdict in judged.items()
        ]
    taken = set(placement.values())
    functions = frozenset[str]()
    for id in taken:
        functions |= shaped(by_id[id], [one for one in demands if placement[one.name] == id]).functions
    return Choice(
        placement=placement,
        verdicts=tuple(msgspec.structs.replace(verdict, chosen=verdict.site in taken) for verdict in verdicts),
        functions=functions,
    )


def _compared(verdict: Verdict, best: Verdict, prefer: Sequence[str]) -> Verdict:
    """The verdict of a site with what decided between it and the best one."""
    if not verdict.fits:
        return verdict
    mine, its = _rank(verdict.site, prefer), _rank(best.site, prefer)
    if verdict.site == best.site:
        reason = (
            "the instance or its links are there already"
            if its < len(prefer)
            else f"it fits and is the least loaded ({_percent(best)})"
        )
    elif mine > its:
        reason = f"it fits, but the instance or its links are on {best.site}"
    elif verdict.load > best.load:
        reason = f"it fits, but would be loaded more ({_percent(verdict)}) than {best.site} ({_percent(best)})"
    else:
        reason = f"it fits as well as {best.site}, whose name comes first"
    _, found, form = verdict.reason.partition("; ")
    return msgspec.structs.replace(verdict, reason=f"{reason}{found}{form}")


def _percent(verdict: Verdict) -> str:
    """The load as people read it."""
    return f"{verdict.load:.0%}"


def _rank(site: str, prefer: Sequence[str]) -> int:
    return prefer.index(site) if site in prefer else len(prefer)


def _judge(site: Site | None, id: str, demands: Sequence[Demand]) -> Verdict:
    if site is None:
        return Verdict(site=id, fits=False, reason="there is no such VIM")
    shape = shaped(site, demands)
    lacking = shape.missing or shortage(site, shape.demands)
    reason = lacking or "the request chose it, and everything fits"
    return Verdict(
        site=id,
        fits=not lacking,
        reason=reason if lacking else _with_form(reason, shape),
        load=0.0 if site.problem else load(site, shape.demands),
        constraints=constraints(site, shape.demands),
    )


def _with_form(reason: str, shape: Shape) -> str:
    """The reason, with what became a micro network function there."""
    if not shape.functions:
        return reason
    names = ", ".join(sorted(shape.functions))
    because = f", since {shape.reason}" if shape.reason else ""
    return f"{reason}; {names} as a micro network function{because}"


def _refused(verdicts: Sequence[Verdict]) -> RejectedError:
    lines = [verdict for verdict in verdicts if not verdict.fits]
    said = "; ".join(f"{verdict.site}: {verdict.reason}" for verdict in lines) or "there is no VIM"
    return RejectedError(
        f"cannot grant the resources: {said}",
        suggestion="free capacity, choose another VIM or register one",
        faults=[Fault(message=verdict.reason, path=verdict.site, code="capacity") for verdict in lines],
    )
