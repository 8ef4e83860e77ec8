"""Measurements from counters: which metrics there are, and what samples of counters say of them. Pure.

Names are those of ETSI GS NFV-IFA 027 clauses 7.2 and 7.3, which has none for what a data plane drops: `PacketDropped` is our
own. Usages are per cent of what the VNFCs together may use; bytes and
packets are what passed in the collection period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.performance import ObjectType

COMPUTE, INTERNAL, EXTERNAL, SERVICE = "VirtualisedComputeResource", "VnfInternalCp", "VnfExternalCp", "Sap"
DATA_PLANE = "DataPlane"
"""Groups of metrics."""

DROPPED = "dropped"

GIB = 1 << 30


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. `source` is what of a sample it is made from."""

    name: str
    group: str
    unit: str
    source: str
    peak: bool = False


def _compute() -> Iterable[Metric]:
    for word, source in (("VCpu", "cpu"), ("VMemory", "memory"), ("VDisk", "storage")):
        yield Metric(name=f"{word}UsageMeanVnf", group=COMPUTE, unit="%", source=source)
        yield Metric(name=f"{word}UsagePeakVnf", group=COMPUTE, unit="%", source=source, peak=True)


def _points() -> Iterable[Metric]:
    for kind, group in (("VnfIntCp", INTERNAL), ("VnfExtCp", EXTERNAL), ("Sap", SERVICE)):
        for word, unit in (("Byte", "bytes"), ("Packet", "packets")):
            for way, source in (("Incoming", "rx"), ("Outgoing", "tx")):
                yield Metric(name=f"{word}{way}{kind}", group=group, unit=unit, source=f"{source}_{unit}")


_DROPS = Metric(name="PacketDropped", group=DATA_PLANE, unit="packets", source=DROPPED)
"""Frames that came from these VNFCs and that a rule, a limit or the lack of a way kept from going on."""

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (*_compute(), *_points(), _DROPS)}
"""Every metric by its name."""

GROUPS: Mapping[ObjectType, tuple[str, ...]] = {
    ObjectType.VNF: (COMPUTE, INTERNAL, EXTERNAL, DATA_PLANE),
    ObjectType.VNFC: (COMPUTE, INTERNAL, EXTERNAL, DATA_PLANE),
    ObjectType.INT_CP: (INTERNAL, DATA_PLANE),
    ObjectType.EXT_CP: (EXTERNAL, DATA_PLANE),
    ObjectType.NS: (COMPUTE, INTERNAL, EXTERNAL, SERVICE, DATA_PLANE),
    ObjectType.SAP: (SERVICE, DATA_PLANE),
}
"""The groups that can be measured of each type of object."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a VNFC may use, in whole vCPUs and bytes."""

    vcpus: float
    memory_bytes: int
    storage_bytes: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one VNFC at one moment (`at`, seconds). Traffic is by device."""

    at: float
    cpu_seconds: float
    memory_bytes: int
    limits: Limits
    storage_bytes: int = 0
    traffic: Mapping[str, Mapping[str, int]] = {}


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What of a VNFC counts for an object: its samples, oldest first, and the devices by group."""

    samples: Sequence[Sample]
    devices: Mapping[str, Sequence[str]] = {}


class Asked(msgspec.Struct, frozen=True):
    """A metric as somebody asked for it: `name` is how it is reported. `part` restricts it to a part of the object."""

    name: str
    metric: Metric
    part: str = ""


def asked(name: str) -> Asked | None:
    """A metric by its name, with the identifier of what is measured behind a dot where the caller gives it."""
    base, _, part = name.partition(".")
    metric = METRICS.get(base)
    return Asked(name, metric, part) if metric else None


def chosen(object_type: ObjectType, metrics: Sequence[str], groups: Sequence[str]) -> list[Asked]:
    """The metrics that names and groups select for a type of object. `InvalidError` names everything that is wrong."""
    known = GROUPS[object_type]
    faults: list[Fault] = []
    found: dict[str, Asked] = {}
    for index, name in enumerate(metrics):
        one = asked(name)
        if one is None or one.metric.group not in known:
            names = ", ".join(metric.name for metric in METRICS.values() if metric.group in known)
            path = f"/criteria/performanceMetric/{index}"
            faults.append(Fault(message=f"{name} is no metric of a {object_type}", path=path, fix=f"known are {names}"))
        else:
            found[name] = one
    for index, group in enumerate(groups):
        if group not in known:
            path = f"/criteria/performanceMetricGroup/{index}"
            fix = f"known are {', '.join(known)}"
            faults.append(Fault(message=f"{group} is no group of metrics of a {object_type}", path=path, fix=fix))
        found |= {metric.name: Asked(metric.name, metric) for metric in METRICS.values() if metric.group == group}
    if not metrics and not groups:
        faults.append(Fault(message="no metric is named", path="/criteria", fix="give performanceMetric or its group"))
    if faults:
        told = "; ".join(str(fault) for fault in faults[:3])
        raise InvalidError(
            f"cannot measure this: {told}", faults=faults, suggestion="correct every place named in faults"
        )
    return list(found.values())


def needs_more_samples(wanted: Iterable[Asked]) -> bool:
    """Whether the ends of a period are not enough: a mean of what is no counter, or a peak."""
    return any(one.metric.peak or one.metric.source in ("memory", "storage") for one in wanted)


def needs_storage(wanted: Iterable[Asked]) -> bool:
    """Whether the costly look at what was written is needed."""
    return any(one.metric.source == "storage" for one in wanted)


def needs_drops(wanted: Iterable[Asked]) -> bool:
    """Whether the look at the data plane is needed."""
    return any(one.metric.source == DROPPED for one in wanted)


# -- values -----------------------------------------------------------------------------------------------------------


def value(metric: Metric, members: Sequence[Member]) -> float | None:
    """What the samples of these VNFCs say of a metric; None while they say nothing."""
    if metric.group == COMPUTE:
        return _usage(metric, members)
    passed = [moved for member in members if (moved := _passed(metric, member)) is not None]
    return float(sum(passed)) if passed else None


def _usage(metric: Metric, members: Sequence[Member]) -> float | None:
    """Per cent of what these VNFCs together may use. They were sampled together: moments are compared by their place from
    the newest one on."""
    measure = _rates if metric.source == "cpu" else _levels
    series = [made for member in members if (made := measure(metric.source, member.samples))]
    if not series:
        return None
    if not metric.peak:
        used = sum(sum(part * weight for part, _, weight in one) / sum(weight for *_, weight in one) for one in series)
        return _percent(used, sum(one[-1][1] for one in series))
    moments = range(1, max(len(one) for one in series) + 1)
    there = [[one[-moment] for one in series if len(one) >= moment] for moment in moments]
    return max(_percent(sum(part for part, *_ in now), sum(limit for _, limit, _ in now)) for now in there)


def _percent(part: float, whole: float) -> float:
    return round(100.0 * part / whole, 3) if whole > 0 else 0.0


def _rates(_source: str, samples: Sequence[Sample]) -> list[tuple[float, float, float]]:
    """vCPUs in use, vCPUs allowed and seconds, between each two samples."""
    found: list[tuple[float, float, float]] = []
    for before, after in pairwise(samples):
        if (seconds := after.at - before.at) > 0:
            used = _moved(before.cpu_seconds, after.cpu_seconds)
            found.append((used / seconds, after.limits.vcpus, seconds))
    return found


def _levels(source: str, samples: Sequence[Sample]) -> list[tuple[float, float, float]]:
    """Bytes in use and bytes allowed at each sample; the first of several belongs to the period before."""
    read: Callable[[Sample], tuple[float, float, float]] = (
        (lambda one: (one.memory_bytes, one.limits.memory_bytes, 1.0))
        if source == "memory"
        else (lambda one: (one.storage_bytes, one.limits.storage_bytes, 1.0))
    )
    return [read(one) for one in (samples[1:] or samples)]


def _passed(metric: Metric, member: Member) -> int | None:
    """What passed through the devices of the metric's group; None where it has none, or too few samples."""
    devices = member.devices.get(metric.group, ())
    if metric.source == DROPPED:  # only what is on a data plane all the time can be counted there
        told = [sample.traffic.get(DROPPED, {}) for sample in member.samples]
        devices = [name for name in devices if all(name in one for one in told)]
    if not devices or len(member.samples) < 2:
        return None
    return sum(
        int(
            _moved(
                before.traffic.get(metric.source, {}).get(name, 0), after.traffic.get(metric.source, {}).get(name, 0)
            )
        )
        for before, after in pairwise(member.samples)
        for name in devices
    )


def _moved(before: float, after: float) -> float:
    """How far a counter went; one that is lower than it was began again from 0."""
    return after - before if after >= before else after
