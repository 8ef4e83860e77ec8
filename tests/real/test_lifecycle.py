"""The life of VNFs and network services on real infrastructure, observed inside the instances and in the kernel."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import ConflictError
from skerry.model.resources import ResourceState
from skerry.model.states import InstantiationState
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ComputeState, Stats
from tests.real.conftest import HERE, Plant

pytestmark = pytest.mark.real
SIP = Path(__file__).parents[2] / "examples" / "sip"
GREEN = {"flavourId": "default", "additionalParams": {"inputs": {"colour": "green"}}}


async def started(plant: Plant, **params: Any) -> VnfInstance:
    vnfd_id = await plant.onboard(HERE / "twotier")
    vnf = await plant.node.vnfm.create(vnfd_id, name="two")
    await plant.run("vnf.instantiate", vnf.id, {**GREEN, **params})
    return plant.node.vnfm.instance(vnf.id)


async def ended(plant: Plant, vnf: VnfInstance) -> None:
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)


def address(vnf: VnfInstance, vnfc: str, nic: int = 0) -> str:
    return str(vnf.resources[f"compute:{vnfc}"].outputs["nics"][nic]["ip"])


@pytest.mark.feature("A3", "A8", "A11", "A17", "A26", "A49", "A50", "A51", "A59", "A71", "A82", "A83")
async def test_an_instance_is_what_its_descriptor_says(plant: Plant) -> None:
    vnf = await started(plant, vnfConfigurableProperties={"greeting": "moin"})
    assert vnf.instantiation_state is InstantiationState.INSTANTIATED
    env = dict(line.split("=", 1) for line in (await plant.sh(vnf, "front-0", "env")).splitlines() if "=" in line)
    assert env["GREETING"] == "moin"  # the request wins over the descriptor
    assert env["COLOUR"] == "green"
    assert env["BACK"] == address(vnf, "back-0")
    assert env["inner"] == env["inside_cp"] == address(vnf, "front-0")
    assert env["outside_cp"] == address(vnf, "front-0", 1)
    assert env["hostname"] == "front-0"
    assert await plant.sh(vnf, "front-0", "hostname") == "front-0"
    assert await plant.sh(vnf, "front-0", "cat /etc/twotier/back") == f"back={address(vnf, 'back-0')}"
    assert "nameserver 10.9.9.9" in await plant.sh(vnf, "front-0", "cat /etc/resolv.conf")
    seen = await plant.sh(vnf, "front-0", "ip -o -4 addr show | awk '{print $2, $4}' | grep eth")
    assert [line.split("/")[0] for line in seen.splitlines()] == [
        f"eth{n} {address(vnf, 'front-0', n)}" for n in (0, 1)
    ]
    limits = await plant.rig.limits(await plant.driver(), vnf.resources["compute:front-0"].spec["name"])
    assert (limits.memory_bytes, limits.vcpus) == (64 << 20, 0.25)
    compute = await plant.compute(vnf, "front-0")
    recorded = vnf.resources["compute:front-0"].outputs
    assert [nic["ip"] for nic in recorded["nics"]] == [nic.ip for nic in compute.nics]
    assert recorded["id"] == compute.id
    await ended(plant, vnf)


@pytest.mark.feature("A16", "A37", "A82")
async def test_networks_carry_packets_and_names(plant: Plant) -> None:
    vnf = await started(plant)
    assert "0% packet loss" in await plant.sh(vnf, "front-0", f"ping -c 2 -i 0.2 -W 2 {address(vnf, 'back-0')}")
    assert "0% packet loss" in await plant.sh(vnf, "front-0", "ping -c 1 -W 2 back-0")
    assert "0% packet loss" in await plant.sh(vnf, "front-0", "ping -c 1 -W 2 store")  # an alias
    await ended(plant, vnf)


@pytest.mark.feature("A63", "A32", "A33", "A6")
async def test_scripts_run_once_in_order_and_their_output_is_kept(plant: Plant) -> None:
    vnf = await started(plant)
    for vnfc in ("front-0", "back-0"):
        assert await plant.sh(vnf, vnfc, "cat /tmp/events") == "instantiate\ninstantiate_end"
    operation = plant.node.engine.operations(subject=vnf.id)[-1]
    outputs = {s.key: s.result["stdout"] for s in plant.node.engine.steps(operation.id) if s.key.startswith("script")}
    assert outputs["script:instantiate_end:front-0"] == "instantiate_end in front-0\n"
    await plant.run("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "fronts"})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert (await plant.sh(vnf, "front-0", "cat /tmp/events")).splitlines() == [
        "instantiate",
        "instantiate_end",
        "scale_end",
    ]
    assert (await plant.sh(vnf, "front-1", "cat /tmp/events")).splitlines() == ["instantiate", "instantiate_end"]
    history = [e.name for e in plant.node.engine.events.since(0, subject=vnf.id) if e.kind == "operation"]
    assert list(dict.fromkeys(history)) == ["vnf.instantiate", "vnf.scale"]
    await ended(plant, vnf)


@pytest.mark.feature("A31", "A86", "A84")
async def test_scaling_adds_and_removes_the_right_vdu(plant: Plant) -> None:
    vnf = await started(plant)
    await plant.run("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "fronts", "numberOfSteps": 2})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnfcs == {"back": ("back-0",), "front": ("front-0", "front-1", "front-2")}
    assert await plant.sh(vnf, "front-2", "echo $COLOUR $BACK") == f"green {address(vnf, 'back-0')}"
    assert len({address(vnf, f"front-{n}") for n in range(3)}) == 3
    named = {"vnfcInstanceId": ["front-1"]}
    await plant.run("vnf.scale", vnf.id, {"type": "SCALE_IN", "aspectId": "fronts", "additionalParams": named})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnfcs["front"] == ("front-0", "front-2")
    await ended(plant, vnf)


@pytest.mark.feature("A85", "A13", "A32")
async def test_stop_and_start_keep_addresses(plant: Plant) -> None:
    vnf = await started(plant)
    before = address(vnf, "front-0")
    await plant.run("vnf.operate", vnf.id, {"changeStateTo": "STOPPED", "vnfcInstanceId": ["front-0"]})
    assert (await plant.compute(vnf, "front-0")).state is not ComputeState.RUNNING
    assert (await plant.compute(vnf, "back-0")).state is ComputeState.RUNNING
    await plant.run("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert (await plant.compute(vnf, "front-0")).state is ComputeState.RUNNING
    assert before in await plant.sh(vnf, "front-0", "ip -4 addr show eth0")
    await ended(plant, vnf)


@pytest.mark.feature("A85", "A4")
async def test_a_killed_instance_is_known_and_healed_with_its_addresses(plant: Plant) -> None:
    vnf = await started(plant)
    compute = await plant.compute(vnf, "front-0")
    last = plant.node.engine.events.last()
    assert compute.pid
    os.kill(compute.pid, signal.SIGKILL)
    async with asyncio.timeout(1.0):  # known in less than a second
        async for batch in plant.node.engine.events.follow(last, subject=vnf.id):
            if any(event.kind == "alarm" and event.state == "RAISED" for event in batch):
                break
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.resources["compute:front-0"].state is ResourceState.FAILED
    untouched = (await plant.compute(vnf, "back-0")).pid
    await plant.run("vnf.heal", vnf.id, {"cause": "killed"})
    vnf = plant.node.vnfm.instance(vnf.id)
    healed = await plant.compute(vnf, "front-0")
    assert (healed.state, [n.ip for n in healed.nics]) == (ComputeState.RUNNING, [n.ip for n in compute.nics])
    assert [n.mac for n in healed.nics] == [n.mac for n in compute.nics]
    assert (await plant.compute(vnf, "back-0")).pid == untouched
    await ended(plant, vnf)


@pytest.mark.feature("A85", "A12", "D10")
async def test_a_changed_property_restarts_only_whoever_uses_it(plant: Plant) -> None:
    vnf = await started(plant)
    untouched = (await plant.compute(vnf, "back-0")).pid
    await plant.run(
        "vnf.modify", vnf.id, {"vnfConfigurableProperties": {"greeting": "servus"}, "vnfInstanceName": "new"}
    )
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnf_instance_name == "new"
    assert await plant.sh(vnf, "front-0", "echo $GREETING") == "servus"
    assert (await plant.compute(vnf, "back-0")).pid == untouched
    await ended(plant, vnf)


@pytest.mark.feature("A88")
async def test_logs_and_counters_are_read_through_the_vnfm(plant: Plant) -> None:
    vnf = await started(plant)
    async with asyncio.timeout(10):
        async for line in await plant.node.vnfm.logs(vnf.id, "front-0", follow=True):
            assert line.text == "up hello"
            break
    driver = await plant.driver()
    assert isinstance(driver, Stats)
    assert (await plant.node.vnfm.stats(vnf.id, "front-0")).pids >= 1
    assert (await plant.node.vnfm.exec(vnf.id, "back-0", ["cat"], stdin=b"piped")).stdout == b"piped"
    await ended(plant, vnf)


@pytest.mark.feature("A85", "A29")
async def test_an_update_that_does_not_keep_running_is_rolled_back(plant: Plant, tmp_path: Path) -> None:
    vnf = await started(plant)
    for version, command in ((2, "sleep 999999"), (3, "sleep 0.2; exit 3")):
        folder = tmp_path / f"v{version}"
        (folder / "Definitions").mkdir(parents=True)
        (folder / "Scripts").mkdir()
        (folder / "Scripts/log.sh").write_text((HERE / "twotier/Scripts/log.sh").read_text())
        text = (HERE / "twotier/Definitions/twotier.yaml").read_text()
        text = text.replace("566601", f"56660{version}").replace("exec sleep 1000000", command)
        (folder / "Definitions/twotier.yaml").write_text(text)
        await plant.onboard(folder)
    base = vnf.vnfd_id[:-1]
    before = address(vnf, "front-0")
    untouched = (await plant.compute(vnf, "back-0")).pid
    settle = {"additionalParams": {"healthCheckSeconds": 0.5}}
    await plant.run("vnf.change_package", vnf.id, {"vnfdId": f"{base}2", **settle})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnfd_id == f"{base}2"
    assert "sleep 999999" in await plant.sh(vnf, "front-0", "ps")
    assert address(vnf, "front-0") == before
    assert (await plant.compute(vnf, "back-0")).pid == untouched
    begun = await plant.node.vnfm.start("vnf.change_package", vnf.id, {"vnfdId": f"{base}3", **settle})
    failed = await plant.node.engine.wait(begun.id, 60)
    assert failed.state == "ROLLED_BACK"
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnfd_id == f"{base}2"
    assert "sleep 999999" in await plant.sh(vnf, "front-0", "ps")
    await ended(plant, vnf)


@pytest.mark.feature("A25", "D58", "A69")
async def test_records_guard_each_other(plant: Plant) -> None:
    vnf = await started(plant)
    package = plant.node.catalogue.vnf_packages()[0]
    await plant.node.catalogue.update_vnf_package(package.id, operational_state="DISABLED")
    with pytest.raises(ConflictError):
        await plant.node.catalogue.delete_vnf_package(package.id)
    with pytest.raises(ConflictError):
        await plant.node.vnfm.delete(vnf.id)
    await ended(plant, vnf)
    await plant.node.catalogue.delete_vnf_package(package.id)
    assert plant.node.catalogue.vnf_packages() == []


@pytest.mark.feature("A89", "A8", "A52", "A72", "A84", "D1")
async def test_sip_service_deploys_unchanged_on_every_driver(plant: Plant) -> None:
    for name in ("server", "client", "service"):
        nsd_id = await plant.onboard(SIP / name)
    ns = await plant.node.nfvo.create(nsd_id, name="sip")
    await plant.run("ns.instantiate", ns.id, {"nsFlavourId": "default"})
    ns = plant.node.nfvo.instance(ns.id)
    client = plant.node.vnfm.instance(ns.members["sipp_client-0"].vnf_instance_id)
    server = plant.node.vnfm.instance(ns.members["sipp_server-0"].vnf_instance_id)
    given = await plant.sh(client, "client-0", ". /etc/skerry/parameters.sh; echo $SIPP_SERVER_SIP_ADDRESS")
    assert given == address(server, "server-0")
    assert given in await plant.sh(client, "client-0", "cat /etc/sipp/server /etc/skerry/parameters.json")
    packets = await received(plant, server, "server-0")
    await asyncio.sleep(1.0)
    assert await received(plant, server, "server-0") - packets > 10  # INVITE, ACK and BYE of ten calls a second
    await plant.run("ns.terminate", ns.id, {})
    await plant.node.nfvo.delete(ns.id)


async def received(plant: Plant, vnf: VnfInstance, vnfc: str) -> int:
    stats = await plant.node.vnfm.stats(vnf.id, vnfc)
    return sum(stats.rx_packets.values())
