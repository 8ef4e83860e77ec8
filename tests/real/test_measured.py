"""Measurements, indicators and configuration on real infrastructure: what the kernel counts is what is reported."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.model.configuration import Change
from skerry.model.performance import ObjectType, PmJob
from skerry.model.vnf import VnfInstance
from tests.real.conftest import Plant
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder

pytestmark = pytest.mark.real

BUSY = "(while true; do :; done) & sleep 1000000"
CONFIGURE = 'grep -q wild "$SKERRY_CONFIGURATION" && { echo "not wild" >&2; exit 3; }; cp "$SKERRY_CONFIGURATION" /was'
PACKAGE: dict[str, Any] = {
    "id": "measured",
    "vdus": {
        "busy": {"nics": {"one": "lan"}, "vcpus": 0.5, "cmd": ["/bin/sh", "-c", BUSY], "image": "host:busybox"},
        "calm": {"nics": {"two": "lan"}, "vcpus": 0.5, "cmd": ["sleep", "1000000"], "image": "host:busybox"},
    },
    "links": {"lan": ""},
    "indicators": {"files": {"run": "ls /tmp/made 2>/dev/null | wc -l"}},
    "scripts": {"configure": {"run": CONFIGURE, "vdus": ["calm"]}},
}


async def started(plant: Plant) -> VnfInstance:
    info = await plant.node.catalogue.create_vnf_package({})
    await plant.node.catalogue.upload_vnf_package(info.id, csar(watched_folder(PACKAGE)))
    made = await plant.node.vnfm.create("measured", name="measured")
    await plant.run("vnf.instantiate", made.id, {})
    return plant.node.vnfm.instance(made.id)


async def ended(plant: Plant, vnf: VnfInstance) -> None:
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)


async def reported(plant: Plant, job: PmJob, reports: int) -> dict[tuple[str, str], list[float]]:
    """Part and metric -> the values of the first reports."""
    async with asyncio.timeout(20):
        while len(there := plant.node.performance.reports(job)) < reports:
            await asyncio.sleep(0.05)
    found: dict[tuple[str, str], list[float]] = {}
    for report in there[:reports]:
        for value in plant.node.performance.report(job, report.id):
            found.setdefault((value.sub_object, value.metric), []).append(value.value)
    return found


async def test_what_is_reported_is_what_the_kernel_counted(plant: Plant) -> None:
    vnf = await started(plant)
    peer = vnf.resources["compute:busy-0"].outputs["nics"][0]["ip"]
    wished = {"api": "vnfpm", "object_type": ObjectType.VNFC, "objects": (vnf.id,), "collection_s": 1, "reporting_s": 1}
    metrics = ("VCpuUsageMeanVnf", "VMemoryUsageMeanVnf", "VDiskUsagePeakVnf", "ByteOutgoingVnfIntCp")
    before = await plant.node.vnfm.stats(vnf.id, "busy-0")
    began = asyncio.get_running_loop().time()
    job = await plant.node.performance.create_job(PmJob(id="", metrics=metrics, **wished), None)
    await reported(plant, job, 1)
    await plant.sh(
        vnf, "calm-0", f"ping -q -c 20 -i 0.05 -s 1000 {peer} > /dev/null; head -c 4000000 /dev/zero > /made"
    )
    count = len(plant.node.performance.reports(job)) + 2
    found = await reported(plant, job, count)
    after = await plant.node.vnfm.stats(vnf.id, "busy-0")
    seconds = asyncio.get_running_loop().time() - began
    counted = 100 * (after.cpu_seconds - before.cpu_seconds) / seconds / 0.5
    assert sum(found["busy-0", "VCpuUsageMeanVnf"]) / count == pytest.approx(counted, rel=0.4)
    assert min(found["busy-0", "VCpuUsageMeanVnf"]) > found["calm-0", "VCpuUsageMeanVnf"][-1]
    assert 20 * 1000 < sum(found["calm-0", "ByteOutgoingVnfIntCp"]) < 30 * 1000
    memory = 100 * after.memory_bytes / (64 * 1000 * 1000)
    assert found["busy-0", "VMemoryUsageMeanVnf"][-1] == pytest.approx(memory, rel=0.5)
    assert found["calm-0", "VDiskUsagePeakVnf"][-1] > found["busy-0", "VDiskUsagePeakVnf"][-1]
    rows = await plant.node.performance.usage(tenant="")
    assert {row.vnfc for row in rows if row.counters} == {"busy-0", "calm-0"}
    await ended(plant, vnf)


async def test_indicators_and_configuration_inside_instances(plant: Plant) -> None:
    vnf = await started(plant)
    await plant.sh(vnf, "busy-0", "mkdir -p /tmp/made; touch /tmp/made/a /tmp/made/b")
    async with asyncio.timeout(10):
        while not plant.node.indicators.all(tenant="", vnf=vnf.id):
            await asyncio.sleep(0.02)
    await plant.node.indicators.ask()
    assert plant.node.indicators.get(vnf.id, "files", tenant="").value == 2
    change = Change({"mode": 'quiet "and" small'}, {"calm-0": {"speed": 3}})
    done = await plant.node.configurations.change(vnf, change, match={0})
    want = {"vnfSpecificData": change.data, "vnfcSpecificData": {"speed": 3}}
    assert json.loads(await plant.sh(vnf, "calm-0", "cat /was")) == want
    assert json.loads(await plant.sh(vnf, "calm-0", "cat /run/skerry/configuration.json")) == want
    seen = json.loads(await plant.sh(vnf, "busy-0", "cat /run/skerry/configuration.json"))
    assert seen == {"vnfSpecificData": change.data, "vnfcSpecificData": {}}
    with pytest.raises(InvalidError, match="not wild"):
        await plant.node.configurations.change(vnf, Change({"mode": "wild"}, {}), match={done.version})
    assert json.loads(await plant.sh(vnf, "calm-0", "cat /was")) == want
    assert plant.node.configurations.get(vnf).data == change.data
    await ended(plant, vnf)
