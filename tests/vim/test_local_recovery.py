"""The embedded driver after crashes and restarts: nothing is interrupted, nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skerry.linux import netlink, syscalls
from skerry.vim.driver import ComputeState
from skerry.vim.local import cgroups, supervise, watch
from tests.vim.conftest import Local

pytestmark = pytest.mark.real

S = ComputeState

VICTIM = """
import asyncio, sys
from pathlib import Path
from skerry.engine.clock import SystemClock
from skerry.vim.driver import ComputeSpec, DriverContext, NetworkSpec, NicSpec
from skerry.vim.drivers.local import Driver
from skerry.vim.local.settings import LocalSettings

async def main(node, folder, images):
    driver = Driver(LocalSettings(images=images), DriverContext(node=node, data_dir=Path(folder), clock=SystemClock()))
    await driver.open()
    print("ready", flush=True)
    await driver.create_network(NetworkSpec(name="vl", owner="owner"))
    async def one(name):
        await driver.create_compute(ComputeSpec(name=name, owner="owner", image="host:busybox", command=("sleep", "9999"),
                                                nics=(NicSpec(network="vl"), NicSpec(network="vl")), grace_s=0.1))
        await driver.start_compute(name)
        await driver.delete_compute(name)
        await driver.create_compute(ComputeSpec(name=name, owner="owner", image="host:busybox", command=("sleep", "9999"),
                                                nics=(NicSpec(network="vl"), NicSpec(network="vl")), grace_s=0.1))
        await driver.start_compute(name)
    await asyncio.gather(*(one(f"i{number}") for number in range(3)))
    print("done", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


def crash(local: Local, images: Path, after_s: float) -> None:
    """Run a Skerry that makes, removes and makes instances again, and kill it with SIGKILL in the middle."""
    call = [sys.executable, "-c", VICTIM, local.node, str(local.folder), str(images)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout
        assert victim.stdout.readline() == "ready\n"
        time.sleep(after_s)
        victim.kill()


@pytest.mark.feature("A8", "A31", "D58")
@pytest.mark.parametrize("after_ms", [2, 8, 20, 35, 50, 70, 95, 130, 170, 220, 280])
async def test_after_a_crash_at_any_point_everything_can_be_repeated_or_deleted(
    local: Local, local_images: Path, after_ms: int
) -> None:
    await local.driver.close()
    await asyncio.to_thread(crash, local, local_images, after_ms / 1000)
    await local.reopen()
    await local.network("vl")
    assert S.STOPPING not in {found.state for found in await local.driver.list_compute()}
    await local.driver.delete_compute("i1")
    for name in ("i0", "i2"):
        if S.FAILED in {found.state for found in await local.driver.list_compute() if found.name == name}:
            await local.driver.delete_compute(name)  # the crash was in a deletion, after the kill
        started = await local.run(name, networks=("vl", "vl"))
        assert started.state is S.RUNNING
        group = local.driver._made.runner.group(started.id)
        assert len(cgroups.processes(local.driver._made.runner.groups, group)) == 1
        assert b"eth1" in (await local.ask(name, "ip", "link")).stdout
    await local.driver.delete_compute("i0")
    await local.driver.delete_compute("i2")
    await local.driver.delete_network("vl")
    assert local.left() == []


@pytest.mark.feature("A8")
async def test_a_record_that_a_crash_left_half_written_goes(local: Local) -> None:
    await local.network("vl")
    await local.driver.close()
    rest = next((local.folder / "networks").glob("*.json"))
    rest.with_name(f".{rest.name}.7f00.new").write_text("{")
    await local.reopen()
    await local.driver.delete_network("vl")
    assert local.left() == []


@pytest.mark.feature("A8", "D58")
async def test_a_runtime_that_comes_late_makes_nothing(local: Local) -> None:
    """A shim whose Skerry died may be about to call the runtime just when what it made is removed."""
    made = await local.run("one")
    shop = local.driver._made
    folder = shop.folder(made.id)
    await local.driver.close()
    supervise.destroy(shop.runner, made.id, folder, None)
    quiet = subprocess.DEVNULL
    late = [shop.runner.runtime, f"--root={shop.runner.state}", "create", "--bundle", str(folder), made.id]
    assert (
        await asyncio.to_thread(subprocess.run, late, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    ).returncode
    groups = shop.runner.groups
    group = shop.runner.group(made.id).lstrip("/")
    assert [root for root in groups.roots() if (root / group).exists()] == []
    await local.reopen()
    await local.driver.delete_compute("one")
    assert local.left() == []


@pytest.mark.feature("A8", "A49")
async def test_a_kill_is_known_at_once_also_of_an_adopted_instance(local: Local) -> None:
    await local.run("one")
    await local.reopen()
    adopted = await local.driver.get_compute("one")
    assert adopted.state is S.RUNNING
    assert adopted.pid
    events = local.driver.events()
    began = time.monotonic()
    os.kill(adopted.pid, signal.SIGKILL)
    event = await asyncio.wait_for(anext(events), 5)
    assert time.monotonic() - began < 1
    assert (event.name, event.action, event.exit_code) == ("one", "killed", 137)


@pytest.mark.feature("A8")
async def test_what_ended_while_nobody_watched_is_known_afterwards(local: Local) -> None:
    for name, code in (("good", 0), ("bad", 3)):
        await local.run(name, "sh", "-c", f"while [ ! -e /go ]; do usleep 10000; done; exit {code}")
    pids = [(await local.driver.get_compute(name)).pid for name in ("good", "bad")]
    roots = [local.driver._made.folder(local.driver._instances[name].creation.id) / "root" for name in ("good", "bad")]
    await local.driver.close()
    for root in roots:
        (root / "go").touch()
    for pid in pids:
        await watch.ended(supervise.identify(pid or 0), 5)
    await local.reopen()
    good, bad = await local.reaches("good", S.EXITED), await local.reaches("bad", S.FAILED)
    assert (good.exit_code, bad.exit_code) == (0, 3)


async def test_an_instance_whose_shim_was_killed_can_still_be_told_and_deleted(local: Local) -> None:
    made = await local.run("one")
    shim = local.driver._instances["one"].state.shim
    assert shim
    os.kill(shim.pid, signal.SIGKILL)
    assert (await local.driver.get_compute("one")).state is S.RUNNING
    assert made.pid
    os.kill(made.pid, signal.SIGKILL)
    assert (await local.reaches("one", S.FAILED)).exit_code == 255


@pytest.mark.feature("A16", "D58")
async def test_rests_in_the_way_are_cleared(local: Local) -> None:
    await local.network("vl")
    network = local.driver.network
    first = await local.driver.create_compute(local.spec("one", networks=("vl",)))
    port = network.port(first.id, 0)
    await local.driver.delete_compute("one")
    network.instance_path(first.id).touch()
    with syscalls.network_kept():
        descriptor = os.open(f"/run/netns/{network.namespace}", os.O_RDONLY)
        syscalls.enter_network(descriptor)
        os.close(descriptor)
        own = syscalls.own_network()
        with netlink.Netlink() as kernel:
            far = netlink.veth(port, peer="rest0", peer_namespace=own, peer_mac="02:00:00:00:00:09", master=0, mtu=1500)
            kernel.run([far])
        os.close(own)
    again = await local.run("one", networks=("vl",))
    assert again.nics == first.nics
    assert again.nics[0].mac.encode() in (await local.ask("one", "ip", "link")).stdout


async def test_a_reboot_leaves_networks_and_what_can_be_started_again(local: Local) -> None:
    """What a reboot takes away is taken away by hand: processes, namespaces, mounts, control groups."""
    await local.network("vl")
    first = await local.run("one", networks=("vl",))
    stopped = await local.run("two", networks=("vl",))
    await local.driver.stop_compute("two")
    shop = local.driver._made
    await local.driver.close()
    for compute in (first, stopped):
        supervise.destroy(shop.runner, compute.id, shop.folder(compute.id), None)
        syscalls.unmount(shop.folder(compute.id) / "root")
        shop.network.unwire(compute.id, 1)
    shop.network.release()
    await local.reopen()
    assert [network.name for network in await local.driver.list_networks()] == ["vl"]
    assert (await local.reaches("one", S.FAILED)).exit_code
    again = await local.driver.start_compute("two")
    assert (again.state, again.nics) == (S.RUNNING, stopped.nics)
    assert stopped.nics[0].ip.encode() in (await local.ask("two", "ip", "addr")).stdout


async def test_adopted_instances_keep_running_untouched(local: Local) -> None:
    names = [f"i{number}" for number in range(5)]
    before = await asyncio.gather(*(local.run(name) for name in names))
    for _ in range(3):
        await local.reopen()
    after = await local.driver.list_compute()
    assert sorted((one.name, one.pid, one.started_at) for one in after) == sorted(
        (one.name, one.pid, one.started_at) for one in before
    )
