"""PM jobs and thresholds on a node with simulated infrastructure, in virtual time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skerry.dataplane.drivers.simulated import world as plane
from skerry.engine.clock import Virtual, run_virtual
from skerry.errors import InvalidError, NotFoundError
from skerry.model.performance import ObjectType, PmJob, Threshold, Value
from skerry.model.time import stamp
from skerry.notifications.sending import Outcome
from skerry.notifications.simulated import SimulatedSubscribers
from skerry.policy.performance import Callback
from skerry.wiring import Node
from tests.nfvo.looking import members
from tests.nfvo.nesting import BRANCH, CAMPUS, onboard
from tests.nfvo.packages import SIP
from tests.nfvo.packages import VNFS as SIP_VNFS
from tests.nfvo.test_forwarding import deployed
from tests.nfvo.test_saps import deployed as with_a_sap
from tests.vnfm import builder
from tests.vnfm.builder import Lab
from tests.vnfm.packages import WEB

CPU, MEMORY, IN = "VCpuUsageMeanVnf", "VMemoryUsageMeanVnf", "ByteIncomingVnfExtCp"
MB = 1 << 20


class Watched(Lab):
    """A lab whose subscribers are simulated too."""

    subscribers: SimulatedSubscribers

    def make(self) -> Node:
        self.subscribers = getattr(self, "subscribers", None) or SimulatedSubscribers()
        node = super().make()
        return Node(
            node.settings,
            clock=self.virtual.clock,
            ids=self.virtual.ids,
            inline=True,
            sender=self.subscribers,
        )

    def told(self, uri: str = "http://a/n") -> list[dict[str, Any]]:
        return self.subscribers.received.get(uri, [])


def lab(body: Callable[[Watched], Awaitable[None]], **settings: Any) -> None:
    async def inside(virtual: Virtual) -> None:
        with tempfile.TemporaryDirectory() as folder:
            vims = {"sim": {"latency": {"*": 0.0, "create_compute": 0.1}}}
            one = Watched(virtual, Path(folder), vims, **settings)
            await one.node.start()
            try:
                await body(one)
            finally:
                await one.node.stop()

    run_virtual(inside)


def job(objects: str | tuple[str, ...], *metrics: str, **more: Any) -> PmJob:
    named = (objects,) if isinstance(objects, str) else objects
    given: dict[str, Any] = {"api": "vnfpm", "object_type": ObjectType.VNF, "collection_s": 10, "reporting_s": 30}
    return PmJob(id="", objects=named, metrics=metrics, **{**given, **more})


def threshold(object: str, value: float, hysteresis: float, **more: Any) -> Threshold:
    given: dict[str, Any] = {"api": "vnfpm", "object_type": ObjectType.VNF, "metric": CPU}
    return Threshold(id="", object=object, value=value, hysteresis=hysteresis, **{**given, **more})


def callback(uri: str = "http://a/n") -> Callback:
    return Callback(uri, "2.2.0", root="https://node")


def machine(it: Lab, vnfc: str) -> str:
    return next(name for name in it.machines() if builder.short(name) == vnfc)


def reports(it: Lab, job: PmJob) -> list[list[Value]]:
    of = it.node.performance
    return [list(of.report(job, report.id)) for report in of.reports(job)]


def values(report: list[Value], metric: str, part: str = "") -> list[float]:
    return [one.value for one in report if (one.metric, one.sub_object) == (metric, part)]


async def until_minute(it: Lab) -> None:
    """To the begin of a minute: what follows begins a whole period."""
    await asyncio.sleep(60 - it.node.clock.now().timestamp() % 60)


def test_a_job_collects_and_reports_in_its_periods() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        it.world.work(machine(it, "back-0"), vcpus=0.5, memory_bytes=64 * MB)
        it.world.work(machine(it, "front-0"), vcpus=0.0, memory_bytes=16 * MB, rx_bytes_s=2000)
        made = await it.node.performance.create_job(job(vnf.id, CPU, IN), callback())
        await asyncio.sleep(31)
        (first,) = reports(it, made)
        assert len(values(first, IN)) == 3
        assert values(first, IN) == [20_000.0, 20_000.0, 20_000.0]
        capacity = await (await it.node.vims.driver("sim")).capacity()
        computes = [resource.spec for resource in vnf.resources.values() if resource.kind == "compute"]
        whole = sum(spec["vcpus"] or capacity.vcpus for spec in computes)
        assert values(first, CPU) == pytest.approx([100 * 0.501 / whole] * 3, abs=0.01)
        await asyncio.sleep(30)
        assert len(reports(it, made)) == 2
        assert [note["notificationType"] for note in it.told()] == ["PerformanceInformationAvailableNotification"] * 2
        (note, _) = it.told()
        assert (note["pmJobId"], note["objectInstanceId"], note["objectType"]) == (made.id, vnf.id, "Vnf")
        assert "subscriptionId" not in note
        assert note["_links"]["performanceReport"]["href"].startswith(
            f"https://node/vnfpm/v2/pm_jobs/{made.id}/reports/"
        )

    lab(body)


def test_parts_are_measured_one_by_one() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        it.world.work(machine(it, "back-1"), vcpus=0.5)
        it.world.work(machine(it, "front-0"), rx_bytes_s=100)
        make = it.node.performance.create_job
        parts = await make(job(vnf.id, CPU, object_type=ObjectType.VNFC, reporting_s=10), None)
        named = await make(job(vnf.id, CPU, sub_objects=("back-1",), reporting_s=10), None)
        points = await make(job(vnf.id, IN, object_type=ObjectType.EXT_CP, reporting_s=10), None)
        inner = await make(job(vnf.id, "PacketOutgoingVnfIntCp", object_type=ObjectType.INT_CP, reporting_s=10), None)
        await asyncio.sleep(11)
        (report,) = reports(it, parts)
        assert {one.sub_object for one in report} == {"front-0", "back-0", "back-1"}
        assert values(report, CPU, "back-1") > values(report, CPU, "back-0")
        (report,) = reports(it, named)
        assert [(one.object_type, one.sub_object) for one in report] == [(ObjectType.VNF, "back-1")]
        (report,) = reports(it, points)
        assert [(one.sub_object, one.value) for one in report] == [("front-0:pub:ext", 1000.0)]
        (report,) = reports(it, inner)
        assert {one.sub_object for one in report} == {"front-0:inner", "back-0:blan", "back-1:blan"}

    lab(body)


def test_one_sweep_serves_every_job_of_a_period() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        for _ in range(20):
            await it.node.performance.create_job(job(vnf.id, CPU), None)
        await until_minute(it)
        before = it.world.has.calls["stats"].copy()
        await asyncio.sleep(60)
        after = it.world.has.calls["stats"]
        assert {name: after[name] - before[name] for name in after} == dict.fromkeys(it.machines(), 6)

    lab(body)


def test_memory_and_peaks_are_looked_at_more_often_and_disks_only_where_wanted() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        name = machine(it, "front-0")
        made = await it.node.performance.create_job(
            job(vnf.id, MEMORY, "VMemoryUsagePeakVnf", sub_objects=("front-0",), reporting_s=10), None
        )
        await asyncio.sleep(5.5)
        it.world.work(name, memory_bytes=80 * MB)
        await asyncio.sleep(5)
        (report,) = reports(it, made)
        (mean,), (peak,) = values(report, MEMORY, "front-0"), values(report, "VMemoryUsagePeakVnf", "front-0")
        assert 0 < mean < peak
        assert "written" not in it.world.has.calls
        await it.node.performance.create_job(job(vnf.id, "VDiskUsageMeanVnf"), None)
        await asyncio.sleep(1)
        assert it.world.has.calls["written"]

    lab(body)


def test_a_network_service_and_its_access_points() -> None:
    async def body(it: Watched) -> None:
        ns = await it.ns(SIP, *SIP_VNFS)
        await until_minute(it)
        for name in it.machines():
            it.world.work(name, rx_bytes_s=1000)
        of = {"api": "nspm", "object_type": ObjectType.NS, "reporting_s": 10}
        made = await it.node.performance.create_job(job(ns.id, CPU, IN, **of), callback())
        await asyncio.sleep(11)
        (report,) = reports(it, made)
        assert values(report, IN) == [len(it.machines()) * 10_000.0]
        assert len(values(report, CPU)) == 1
        (note,) = it.told()
        assert note["_links"]["objectInstance"]["href"] == f"https://node/nslcm/v2/ns_instances/{ns.id}"
        with pytest.raises(InvalidError):
            await it.node.performance.create_job(job(ns.id, CPU), None)

    lab(body)


def test_a_network_service_is_measured_with_the_services_inside_it() -> None:
    async def body(it: Watched) -> None:
        await onboard(it, BRANCH, CAMPUS)
        ns = await it.ns(CAMPUS)
        await until_minute(it)
        for name in it.machines():
            it.world.work(name, rx_bytes_s=1000)
        of = {"api": "nspm", "object_type": ObjectType.NS, "reporting_s": 10}
        made = await it.node.performance.create_job(job(ns.id, IN, **of), None)
        await asyncio.sleep(11)
        assert len(it.machines()) > 1
        assert values(reports(it, made)[0], IN) == [len(it.machines()) * 10_000.0]

    lab(body)


def test_a_job_survives_a_restart_with_what_it_collected() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        made = await it.node.performance.create_job(job(vnf.id, CPU), callback())
        await asyncio.sleep(17)
        await it.restart()
        await asyncio.sleep(14)
        (report,) = reports(it, made)
        assert len(values(report, CPU)) == 2  # the period of the restart was not measured
        assert len(it.told()) == 1

    lab(body)


def test_what_is_over_goes() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        until = "2030-01-01T00:01:40.000Z"
        made = await it.node.performance.create_job(job(vnf.id, CPU, boundary=until), None)
        await asyncio.sleep(3000)
        found = [one.at for report in reports(it, made) for one in report]
        assert max(found) == until
        assert it.world.has.calls["stats"][machine(it, "front-0")] <= 5
        await asyncio.sleep(3600)
        assert reports(it, made) == []
        assert await it.node.performance.prune() == 2

    lab(body, performance_keep_hours=1.5)


def test_a_boundary_inside_a_period_ends_with_the_last_whole_one() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        begun = it.node.clock.now()
        made = await it.node.performance.create_job(
            job(vnf.id, CPU, boundary=stamp(begun + timedelta(seconds=47))), callback()
        )
        brief = await it.node.performance.create_job(
            job(vnf.id, CPU, boundary=stamp(begun + timedelta(seconds=7))), callback("http://b/n")
        )
        await asyncio.sleep(300)
        times = [one.at for report in reports(it, made) for one in report]
        assert times == [stamp(begun + timedelta(seconds=n)) for n in (10, 20, 30, 40)]
        assert (len(reports(it, made)), len(it.told())) == (2, 2)
        (only,) = reports(it, brief)
        assert [one.at for one in only] == [stamp(begun + timedelta(seconds=7))]

    lab(body)


def test_what_was_collected_is_reported_after_a_boundary_that_the_node_missed() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        end = it.node.clock.now() + timedelta(seconds=30)
        made = await it.node.performance.create_job(job(vnf.id, CPU, reporting_s=600, boundary=stamp(end)), callback())
        await asyncio.sleep(25)
        await it.node.stop()
        await asyncio.sleep(100)
        it.node = it.make()
        await it.node.start()
        (report,) = reports(it, made)
        assert len(report) == 2
        await asyncio.sleep(5)
        assert len(it.told()) == 1

    lab(body)


def test_deleting_ends_measuring_and_telling() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        made = await it.node.performance.create_job(job(vnf.id, CPU, reporting_s=10), callback())
        limit = await it.node.performance.create_threshold(threshold(vnf.id, 0.0, 0.0), callback())
        await asyncio.sleep(40)
        count = len(it.told())
        assert count > 3
        assert it.node.notifications.attached("vnfpm", "nspm") == {made.id, limit.id}
        assert it.node.notifications.subscriptions("vnfpm") == []
        await it.node.performance.delete_job(made.id, "vnfpm", tenant="")
        await it.node.performance.delete_threshold(limit.id, "vnfpm", tenant="")
        with pytest.raises(NotFoundError):
            it.node.performance.job(made.id, "vnfpm", tenant="")
        calls = it.world.has.calls["stats"].copy()
        await asyncio.sleep(100)
        assert it.world.has.calls["stats"] == calls
        assert len(it.told()) == count
        assert it.node.notifications.attached("vnfpm", "nspm") == set()

    lab(body)


def test_a_threshold_tells_each_crossing_once_also_after_a_restart() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        name = machine(it, "back-0")
        of = {"object_type": ObjectType.VNFC, "sub_objects": ("back-0",)}
        made = await it.node.performance.create_threshold(threshold(vnf.id, 50.0, 10.0, **of), callback())
        await asyncio.sleep(60)
        assert it.told() == []
        it.world.work(name, vcpus=0.9)
        await asyncio.sleep(60)
        (up,) = it.told()
        assert (up["crossingDirection"], up["thresholdId"], up["subObjectInstanceId"]) == ("UP", made.id, "back-0")
        assert up["performanceMetric"] == CPU
        assert up["performanceValue"] >= 60
        it.world.work(name, vcpus=0.5)  # between: no crossing
        await asyncio.sleep(60)
        await it.restart()
        await asyncio.sleep(60)
        assert len(it.told()) == 1
        it.world.work(name, vcpus=0.1)
        await asyncio.sleep(60)
        assert [note["crossingDirection"] for note in it.told()] == ["UP", "DOWN"]

    lab(body)


def test_another_address_is_told_from_then_on() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        made = await it.node.performance.create_job(job(vnf.id, CPU, reporting_s=10), callback())
        await asyncio.sleep(30)
        first = len(it.told())
        changed = await it.node.performance.redirect(made, "http://b/n", None)
        assert changed.callback_uri == "http://b/n"
        await asyncio.sleep(30)
        assert len(it.told()) == first
        assert len(it.told("http://b/n")) == 3
        it.subscribers.fail("http://c/n", Outcome(ok=False, detail="nobody is there"))
        with pytest.raises(InvalidError):
            await it.node.performance.redirect(changed, "http://c/n", None)

    lab(body)


def test_a_request_is_refused_with_all_its_faults() -> None:
    async def body(it: Watched) -> None:
        wrong = job(
            ("nobody", "either"), CPU, object_type=ObjectType.NS, reporting_s=5, boundary="2020-01-01T00:00:00Z"
        )
        with pytest.raises(InvalidError) as refused:
            await it.node.performance.create_job(wrong, callback())
        assert {fault.path for fault in refused.value.faults} == {
            "/criteria/reportingPeriod",
            "/criteria/reportingBoundary",
            "/objectType",
            "/objectInstanceIds/0",
            "/objectInstanceIds/1",
        }
        assert it.node.notifications.attached("vnfpm", "nspm") == set()

    lab(body)


def test_what_does_not_run_or_answer_is_left_out() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        await until_minute(it)
        made = await it.node.performance.create_job(job(vnf.id, CPU, object_type=ObjectType.VNFC, reporting_s=10), None)
        it.world.hang("stats", machine(it, "back-0"), times=100)
        it.world.remove(machine(it, "back-1"))
        await asyncio.sleep(45)
        found = {one.sub_object for report in reports(it, made) for one in report}
        assert found == {"front-0"}
        it.world.reachable = False
        await asyncio.sleep(30)
        it.world.reachable = True

    lab(body)


def test_a_callback_whose_job_was_never_recorded_is_forgotten_at_the_next_start() -> None:
    async def body(it: Watched) -> None:
        vnf = await it.vnf(WEB)
        made = await it.node.performance.create_job(job(vnf.id, CPU), callback())
        await it.node.notifications.attach("ghost", "vnfpm", {"pmJobId": "ghost"}, callback("http://g/n"), tenant="")
        await it.restart()
        assert it.node.notifications.attached("vnfpm") == {made.id}

    lab(body)


def test_what_the_data_plane_drops_is_measured_where_it_came_from() -> None:
    async def body(it: Watched) -> None:
        ns = await deployed(it)
        await until_minute(it)
        all_ = members(it, ns)
        client, server = all_["client-0"].id, all_["server-0"].id
        make, drops = it.node.performance.create_job, "PacketDropped"
        whole = await make(job((client, server), drops, reporting_s=10), None)
        group = await make(job(client, groups=("DataPlane",), object_type=ObjectType.EXT_CP, reporting_s=10), None)
        service = await make(job(ns.id, drops, api="nspm", object_type=ObjectType.NS, reporting_s=10), None)
        limit = await it.node.performance.create_threshold(threshold(client, 3.0, 1.0, metric=drops), callback())
        (port,) = [one for one in it.node.dataplane.ports() if one.id.startswith(f"ns:{ns.id}:client-0:")]
        engine = plane(it.node.settings.data_dir / "dataplane" / "simulated")
        await asyncio.sleep(1)
        for _ in range(5):
            engine.send(port.device, port.number, b"too short", it.node.clock.monotonic())
        await asyncio.sleep(20)
        first, second = reports(it, whole)[:2]
        assert [(one.object, one.value) for one in first] == [(client, 5.0), (server, 0.0)]
        assert {one.value for one in second} == {0.0}
        assert [one.value for one in reports(it, group)[0]] == [5.0]
        assert [one.value for one in reports(it, service)[0]] == [5.0]
        crossed = [(note["thresholdId"], note["crossingDirection"]) for note in it.told()]
        assert crossed == [(limit.id, "UP"), (limit.id, "DOWN")]

    lab(body)


KINDS: tuple[tuple[str, ObjectType, tuple[str, ...]], ...] = (
    ("vnfpm", ObjectType.VNF, ("VCpuUsageMeanVnf", "VCpuUsagePeakVnf", "VMemoryUsageMeanVnf", "VMemoryUsagePeakVnf")),
    ("vnfpm", ObjectType.VNFC, ("VCpuUsageMeanVnf", "VMemoryUsagePeakVnf", "ByteOutgoingVnfExtCp")),
    ("vnfpm", ObjectType.VNF, ("ByteIncomingVnfExtCp", "ByteOutgoingVnfExtCp")),
    ("vnfpm", ObjectType.EXT_CP, ("PacketIncomingVnfExtCp", "PacketOutgoingVnfExtCp")),
    (
        "nspm",
        ObjectType.NS,
        ("VCpuUsageMeanVnf", "VMemoryUsageMeanVnf", "ByteIncomingVnfExtCp", "PacketIncomingVnfExtCp"),
    ),
    ("vnfpm", ObjectType.INT_CP, ("ByteIncomingVnfIntCp", "PacketOutgoingVnfIntCp")),
    ("nspm", ObjectType.SAP, ("ByteIncomingSap", "ByteOutgoingSap", "PacketIncomingSap", "PacketOutgoingSap")),
)


def test_a_threshold_of_each_kind_is_crossed_up_and_down_with_its_hysteresis() -> None:
    async def body(it: Watched) -> None:
        ns = await with_a_sap(it)
        vnf, web = members(it, ns)["client-0"].id, await it.vnf(WEB)
        await until_minute(it)
        made: dict[str, str] = {}
        calm, busy = {"rx_bytes_s": 0, "tx_bytes_s": 0}, {"rx_bytes_s": 9000, "tx_bytes_s": 9000}
        whole = await (await it.node.vims.driver("sim")).capacity()
        for name in it.machines():
            it.world.work(name, vcpus=0.0, memory_bytes=1, **calm)
        for api, kind, metrics in KINDS:
            of = ns.id if api == "nspm" else web.id if kind is ObjectType.INT_CP else vnf
            for metric in metrics:
                small = metric.startswith("V")
                level = (0.001, 0.0005) if small else (8.0, 2.0)
                wished = threshold(of, *level, api=api, object_type=kind, metric=metric)
                made[(await it.node.performance.create_threshold(wished, callback())).id] = f"{kind} {metric}"
        await asyncio.sleep(20)
        assert it.told() == []
        for vcpus, memory, traffic, way in (
            (0.5, whole.memory_bytes // 1000, busy, "UP"),
            (0.5, whole.memory_bytes // 1000, busy, ""),
            (0.0, 1, calm, "DOWN"),
        ):
            before = len(it.told())
            for name in it.machines():
                it.world.work(name, vcpus=vcpus, memory_bytes=memory, **traffic)
            await asyncio.sleep(30)
            fresh = it.told()[before:]
            crossed = {made[note["thresholdId"]] for note in fresh}
            assert crossed == (set(made.values()) if way else set())
            assert {note["crossingDirection"] for note in fresh} == ({way} if way else set())

    lab(body)
