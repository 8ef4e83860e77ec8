"""`skerry pm`, `skerry top` and `skerry indicators`: measure VNFs and network services."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.ns import find as find_ns
from skerry.cli.session import Session, command, pairs, pick
from skerry.cli.vnf import find as find_vnf
from skerry.client.measuring import Measuring
from skerry.client.views import JobView, ThresholdView
from skerry.errors import InvalidError
from skerry.model.performance import Usage

TYPES = ("Vnf", "Vnfc", "VnfIntCp", "VnfExtCp", "Ns", "Sap")
OF_NS = ("Ns", "Sap")
MB = 1 << 20


def _measuring(session: Session) -> Measuring:
    return Measuring(session.node.http)


@click.group(cls=Lazy)
def pm() -> None:
    """Measure VNFs and network services (performance management)."""


def measured(function: Callable[..., None]) -> Callable[..., None]:
    """What all that is measured has in common: the object, its type, its parts."""
    for decorate in (
        click.option("--part", "parts", multiple=True, help="Only this VNFC, connection point, VNF or access point."),
        click.option(
            "--type",
            "of",
            type=click.Choice(TYPES),
            default="Vnf",
            show_default=True,
            help="What OBJECT is measured as.",
        ),
        click.argument("object"),
    ):
        function = decorate(function)
    return function


def _object(session: Session, of: str, wanted: str) -> str:
    return find_ns(session, wanted).id if of in OF_NS else find_vnf(session, wanted).id


@pm.command()
@measured
@click.option("--metric", "metrics", multiple=True, help="Such as VCpuUsageMeanVnf. Default: processor and memory.")
@click.option("--period", type=click.IntRange(1), default=60, show_default=True, help="Seconds of each measurement.")
@click.option("--report", type=click.IntRange(1), default=300, show_default=True, help="Seconds between two reports.")
@command
def measure(
    session: Session, object: str, of: str, parts: Sequence[str], metrics: Sequence[str], period: int, report: int
) -> None:
    """Measure a VNF or network service from now on (a PM job). OBJECT is its name or id."""
    request: dict[str, Any] = {
        "object_type": of,
        "objects": [_object(session, of, object)],
        "parts": list(parts),
        "metrics": list(metrics),
        "collection_s": period,
        "reporting_s": max(report, period),
    }
    made = _measuring(session).create_job(request)
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.id)


@pm.command()
@command
def jobs(session: Session) -> None:
    """List PM jobs."""
    session.table(
        _measuring(session).jobs(),
        ("ID", "TYPE", "OF", "METRICS", "PERIOD", "REPORT", "REPORTS", "TOLD"),
        lambda job: (
            output.short(job.id),
            job.object_type,
            job.name,
            ", ".join(job.metrics),
            f"{job.collection_s} s",
            f"{job.reporting_s} s",
            str(job.reports),
            job.callback_uri,
        ),
    )


@pm.command()
@click.argument("job")
@click.option("--last", "-n", type=click.IntRange(1), default=None, help="Only this many of the newest values.")
@command
def reports(session: Session, job: str, last: int | None) -> None:
    """Show what a PM job measured, as far as it was reported."""
    chosen = pick(_measuring(session).jobs(), job, "PM job")
    found = _measuring(session).values(chosen.id)[-(last or 0) :]
    if session.as_json:
        session.emit(found)
        return
    rows = [(one.at, output.short(one.object), one.part, one.metric, f"{one.value:g}") for one in found]
    output.table(("TIME", "OF", "PART", "METRIC", "VALUE"), rows)


@pm.command()
@measured
@click.argument("metric")
@click.argument("value", type=float)
@click.option("--hysteresis", type=click.FloatRange(0), default=0.0, help="How far VALUE must be passed to count.")
@command
def watch(
    session: Session, object: str, of: str, parts: Sequence[str], metric: str, value: float, hysteresis: float
) -> None:
    """Compare METRIC of a VNF or network service with VALUE from now on (a threshold): each crossing is an event."""
    request: dict[str, Any] = {
        "object_type": of,
        "object": _object(session, of, object),
        "parts": list(parts),
        "metric": metric,
        "value": value,
        "hysteresis": hysteresis,
    }
    made = _measuring(session).create_threshold(request)
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.id)


@pm.command()
@command
def thresholds(session: Session) -> None:
    """List thresholds."""
    session.table(
        _measuring(session).thresholds(),
        ("ID", "TYPE", "OF", "PARTS", "METRIC", "VALUE", "HYSTERESIS"),
        lambda one: (
            output.short(one.id),
            one.object_type,
            one.name,
            ", ".join(one.parts),
            one.metric,
            f"{one.value:g}",
            f"{one.hysteresis:g}",
        ),
    )


@pm.command()
@click.argument("wanted", metavar="ID")
@command
def delete(session: Session, wanted: str) -> None:
    """Delete a PM job with its reports, or a threshold."""
    measuring = _measuring(session)
    jobs = measuring.jobs()
    known = {job.id for job in jobs}
    everything: list[JobView | ThresholdView] = [*jobs, *measuring.thresholds()]
    chosen = pick(everything, wanted, "PM job or threshold")
    if chosen.id in known:
        measuring.delete_job(chosen.id)
    else:
        measuring.delete_threshold(chosen.id)
    if session.as_json:
        session.emit({"deleted": chosen.id})


@click.command()
@click.argument("vnf", default="")
@click.option(
    "--tell", metavar="INDICATOR=VALUE", multiple=True, help="Say the value of one that the node does not know."
)
@command
def indicators(session: Session, vnf: str, tell: Sequence[str]) -> None:
    """Show the indicators of all VNFs or of VNF, as its descriptor names them."""
    if tell and not vnf:
        raise InvalidError("cannot tell an indicator of no VNF", suggestion="name the VNF before --tell")
    of = find_vnf(session, vnf).id if vnf else ""
    measuring = _measuring(session)
    for name, value in pairs(tell, "--tell").items():
        measuring.tell(of, name, value)
    found = measuring.indicators(of)
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (one.vnf_name, one.indicator, one.name, "" if one.value is None else str(one.value), one.told_at)
        for one in found
    ]
    output.table(("VNF", "INDICATOR", "NAME", "VALUE", "TOLD"), rows)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Again and again.")
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds to look.")
@command
def top(session: Session, follow: bool, every: float) -> None:
    """Show what the VNFCs use: processors, memory and traffic, over the time that it looks."""
    before = _measuring(session).usage()
    try:
        while True:
            time.sleep(every)
            after = _measuring(session).usage()
            _show(session, before, after)
            if not follow:
                return
            before = after
    except KeyboardInterrupt:
        return


def _show(session: Session, before: Sequence[Usage], after: Sequence[Usage]) -> None:
    earlier = {usage.id: usage for usage in before}
    rows = [_rates(earlier.get(usage.id), usage) for usage in after]
    rows.sort(key=lambda row: -float(row["vcpus"] or 0.0))
    if session.as_json:
        session.emit(rows)
        return
    shown = [
        (
            str(row["vnf"]),
            str(row["vnfc"]),
            str(row["vim"]),
            *(
                f"{row[name]:.2f}" if row[name] is not None else ""
                for name in ("vcpus", "memory_mb", "rx_kb_s", "tx_kb_s")
            ),
        )
        for row in rows
    ]
    output.table(("VNF", "VNFC", "VIM", "VCPUS", "MEMORY MB", "IN kB/s", "OUT kB/s"), shown)


def _rates(before: Usage | None, after: Usage) -> dict[str, Any]:
    """What a VNFC did between two looks; what cannot be told is null."""
    then, now = (before.counters if before else None) or {}, after.counters or {}
    seconds = after.at - before.at if before else 0.0

    def rate(name: str, per: float) -> float | None:
        if name not in then or name not in now or seconds <= 0:
            return None
        moved: float = now[name] - then[name]
        return round(max(0.0, moved) / seconds / per, 3)

    return {
        "vnf": after.vnf_name,
        "vnfc": after.vnfc,
        "vim": after.vim,
        "vcpus": rate("cpu_seconds", 1),
        "memory_mb": round(now["memory_bytes"] / MB, 3) if "memory_bytes" in now else None,
        "rx_kb_s": rate("rx_bytes", 1000),
        "tx_kb_s": rate("tx_bytes", 1000),
    }
