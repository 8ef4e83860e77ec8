"""The pure core of measurements and thresholds: samples of counters in, values out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.model.performance import Direction, ObjectType
from skerry.policy import measures, thresholds
from skerry.policy.measures import EXTERNAL, METRICS, Limits, Member, Sample

LIMITS = Limits(vcpus=2.0, memory_bytes=1000, storage_bytes=4000)


def sample(at: float, cpu: float = 0.0, memory: int = 0, rx: int = 0, written: int = 0) -> Sample:
    traffic = {"rx_bytes": {"eth0": rx}, "tx_bytes": {"eth0": 0}}
    return Sample(at=at, cpu_seconds=cpu, memory_bytes=memory, limits=LIMITS, storage_bytes=written, traffic=traffic)


def of(name: str, *members: list[Sample]) -> float | None:
    devices = {EXTERNAL: ("eth0",)}
    return measures.value(METRICS[name], [Member(samples=samples, devices=devices) for samples in members])


def test_processors_are_counted_between_samples_in_per_cent_of_what_is_allowed() -> None:
    busy = [sample(0, cpu=5), sample(10, cpu=15), sample(20, cpu=35)]
    assert of("VCpuUsageMeanVnf", busy) == 75.0  # 30 of 40 vCPU-seconds
    assert of("VCpuUsagePeakVnf", busy) == 100.0
    idle = [sample(0), sample(10), sample(20)]
    assert of("VCpuUsageMeanVnf", busy, idle) == 37.5  # of what both together may use
    assert of("VCpuUsagePeakVnf", busy, idle) == 50.0
    assert of("VCpuUsageMeanVnf", [sample(0, cpu=5)]) is None
    assert of("VCpuUsageMeanVnf") is None


def test_a_counter_that_began_again_counts_from_zero() -> None:
    restarted = [sample(0, cpu=100, rx=500), sample(10, cpu=4, rx=70)]
    assert of("VCpuUsageMeanVnf", restarted) == 20.0
    assert of("ByteIncomingVnfExtCp", restarted) == 70.0


def test_memory_and_disk_are_levels_of_the_period_without_its_beginning() -> None:
    levels = [sample(0, memory=900, written=4000), sample(5, memory=100, written=400), sample(10, memory=300)]
    assert of("VMemoryUsageMeanVnf", levels) == 20.0
    assert of("VMemoryUsagePeakVnf", levels) == 30.0
    assert of("VDiskUsagePeakVnf", levels) == 10.0
    assert of("VMemoryUsageMeanVnf", levels, [sample(5, memory=0), sample(10, memory=0)]) == 10.0


def test_traffic_is_what_passed_through_the_interfaces_of_the_kind() -> None:
    passed = [sample(0, rx=100), sample(5, rx=150), sample(10, rx=400)]
    assert of("ByteIncomingVnfExtCp", passed, passed) == 600.0
    assert of("ByteIncomingVnfIntCp", passed) is None  # it has no such interface
    assert of("ByteOutgoingVnfExtCp", passed) == 0.0


@given(st.lists(st.floats(0, 1e6, allow_nan=False), min_size=2, max_size=8), st.floats(0.5, 60))
def test_a_mean_never_exceeds_its_peak(steps: list[float], seconds: float) -> None:
    counters = [sum(steps[: index + 1]) for index in range(len(steps))]
    samples = [sample(index * seconds, cpu=value) for index, value in enumerate(counters)]
    mean, peak = of("VCpuUsageMeanVnf", samples), of("VCpuUsagePeakVnf", samples)
    assert mean is not None
    assert peak is not None
    assert 0 <= mean <= peak + 0.01


def test_what_can_be_measured_is_said_in_full_when_asked_wrongly() -> None:
    with pytest.raises(InvalidError) as refused:
        measures.chosen(ObjectType.EXT_CP, ["VCpuUsageMeanVnf", "Nonsense"], ["Sap"])
    assert [fault.path for fault in refused.value.faults] == [
        "/criteria/performanceMetric/0",
        "/criteria/performanceMetric/1",
        "/criteria/performanceMetricGroup/0",
    ]
    assert "ByteIncomingVnfExtCp" in refused.value.faults[0].fix
    with pytest.raises(InvalidError):
        measures.chosen(ObjectType.VNF, [], [])


def test_groups_and_names_are_put_together_once() -> None:
    chosen = measures.chosen(
        ObjectType.VNF, ["VCpuUsageMeanVnf", "ByteIncomingVnfExtCp.server-0:sip:ext"], ["VnfExternalCp"]
    )
    assert [one.name for one in chosen] == [
        "VCpuUsageMeanVnf",
        "ByteIncomingVnfExtCp.server-0:sip:ext",
        "ByteIncomingVnfExtCp",
        "ByteOutgoingVnfExtCp",
        "PacketIncomingVnfExtCp",
        "PacketOutgoingVnfExtCp",
    ]
    assert chosen[1].part == "server-0:sip:ext"


# -- thresholds and periods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "before", "crossed"),
    [
        (84.9, None, None),
        (85.0, None, Direction.UP),
        (90.0, Direction.UP, None),
        (80.0, Direction.UP, None),
        (75.0, Direction.UP, Direction.DOWN),
        (75.0, None, None),
        (75.0, Direction.DOWN, None),
        (85.0, Direction.DOWN, Direction.UP),
    ],
)
def test_a_crossing_needs_the_hysteresis(value: float, before: Direction | None, crossed: Direction | None) -> None:
    assert thresholds.crossing(value, 80.0, 5.0, before) is crossed


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(10, 90), st.floats(0, 9))
def test_crossings_alternate_and_begin_upwards(values: list[float], threshold: float, hysteresis: float) -> None:
    crossings: list[Direction] = []
    before: Direction | None = None
    for value in values:
        if way := thresholds.crossing(value, threshold, hysteresis, before):
            crossings.append(way)
            before = way
    expected = [Direction.UP, Direction.DOWN] * len(values)
    assert crossings == expected[: len(crossings)]


@given(st.floats(1.8e9, 2.2e9), st.integers(1, 86_400))
def test_periods_of_one_length_end_together(now: float, period: int) -> None:
    end = thresholds.first_boundary(now, period)
    assert period / 2 - 1e-3 <= end - now <= 1.5 * period + 1e-3
    assert math.isclose(end % period, 0, abs_tol=1e-3) or math.isclose(end % period, period, abs_tol=1e-3)
    assert thresholds.boundary(end, period) == end + period


@given(st.floats(1.8e9, 2.2e9), st.integers(1, 3600), st.booleans())
def test_samples_of_a_period_are_few_and_the_last_is_its_end(now: float, period: int, more: bool) -> None:
    step = thresholds.interval(period, more=more)
    end = thresholds.boundary(now, period)
    taken, after = 0, now
    while after < end:
        following = thresholds.next_sample(after, end, step)
        assert after < following <= end
        taken, after = taken + 1, following
    assert after == end
    assert taken <= (thresholds.SAMPLES if more else 1)
    assert step >= min(period, thresholds.LEAST_S)
