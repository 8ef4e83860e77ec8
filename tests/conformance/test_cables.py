"""Physical ports: machines that nobody deploys come into networks."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.vim.cabling import PlugSpec
from skerry.vim.driver import Network
from tests.conformance.bench import OWNER, Bench, eventually
from tests.conformance.rigs import PLUG, PORT
from tests.real.machine import Machine, machine


@pytest.fixture
def plc(bench: Bench) -> Iterator[Machine | None]:
    """The machine at the other end of the rig's cable; None where nothing is real."""
    bench.need("cabled")
    with machine(f"{PLUG}m", PLUG) if bench.rig.real else contextlib.nullcontext() as there:
        yield there


def spec(on: Network, /, **changes: object) -> PlugSpec:
    given = {"port": PORT, "network": on.name, "name": "plc", "owner": OWNER, "ips": ("10.94.0.2",)}
    return PlugSpec(**{**given, **changes})  # type: ignore[arg-type]


async def pings(bench: Bench, there: Machine | None) -> bool:
    """Whether an instance reaches the machine."""
    if there is None or not bench.rig.programs:
        return [one.ips for one in await bench.driver.list_plugged()] == [("10.94.0.2",)]
    return (await bench.ask("a", "ping", "-c", "1", "-W", "1", "-w", "1", "10.94.0.2")).exit_code == 0


@pytest.mark.feature("C21")
async def test_a_machine_is_reached_while_it_is_plugged(bench: Bench, plc: Machine | None) -> None:
    assert bench.driver.physical_ports() == [PORT]
    network = await bench.network(cidr="10.94.0.0/24")
    if plc:
        plc.has("10.94.0.2/24")
    tap = await bench.driver.plug_port(spec(network))
    assert (tap.network, tap.ip) == (network.name, "10.94.0.2")
    assert await bench.driver.plug_port(spec(network)) == tap
    changes = {"command": ("sleep", "100000")} if bench.rig.programs else {}
    made = await bench.create(on=(network,), **changes)
    assert made.nics[0].ip == "10.94.0.3"
    await bench.driver.start_compute(made.name)
    await eventually(lambda: pings(bench, plc), 60)
    await bench.reopen()
    await eventually(lambda: pings(bench, plc), 60)
    await bench.driver.unplug_port(PORT, "somebody else")
    assert await bench.driver.list_plugged() == [spec(network)]
    await bench.driver.unplug_port(PORT, OWNER)
    await bench.driver.unplug_port(PORT, OWNER)
    assert await bench.driver.list_plugged() == []
    assert not await pings(bench, plc) or not bench.rig.programs
    assert plc is None or PLUG in plc.outside()


@pytest.mark.feature("C21")
async def test_what_cannot_be_plugged(bench: Bench, plc: Machine | None) -> None:
    one, other = await bench.network("one", cidr="10.94.0.0/24"), await bench.network("other", cidr="10.95.0.0/24")
    with pytest.raises(NotFoundError, match="no such port"):
        await bench.driver.plug_port(spec(one, port="plc/wan"))
    with pytest.raises(InvalidError, match="there is no network"):
        await bench.driver.plug_port(spec(one, network="nowhere"))
    with pytest.raises(InvalidError, match="no host address"):
        await bench.driver.plug_port(spec(one, ips=("10.95.0.2",)))
    made = await bench.create(on=(one,))
    with pytest.raises(ConflictError, match="is taken"):
        await bench.driver.plug_port(spec(one, ips=(made.nics[0].ip,)))
    await bench.driver.plug_port(spec(one, ips=("10.94.0.9",)))
    with pytest.raises(ConflictError, match="it is plugged into"):
        await bench.driver.plug_port(spec(other, ips=()))
    with pytest.raises(ConflictError, match="it is plugged into"):
        await bench.driver.plug_port(spec(one, owner="another"))


@pytest.mark.feature("C21")
async def test_a_network_that_goes_lets_go_of_its_ports(bench: Bench, plc: Machine | None) -> None:
    network = await bench.network(cidr="10.94.0.0/24")
    await bench.driver.plug_port(spec(network))
    await bench.driver.delete_network(network.name)
    assert await bench.driver.list_plugged() == []
    assert plc is None or PLUG in plc.outside()


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.feature("C21")
async def test_an_interface_that_the_machine_uses_stays_its_own(bench: Bench, plc: Machine | None) -> None:
    if plc is None:
        pytest.skip("nothing is real")
    network = await bench.network(cidr="10.94.0.0/24")
    subprocess.run(["ip", "link", "set", PLUG, "up"], check=True)
    subprocess.run(["ip", "address", "add", "10.96.0.1/24", "dev", PLUG], check=True)
    with pytest.raises(ConflictError, match="the machine itself uses"):
        await bench.driver.plug_port(spec(network))
    assert PLUG in plc.outside()


@pytest.mark.real
@pytest.mark.feature("C21", "A87")
async def test_a_port_is_plugged_again_after_the_machine_had_it_back(bench: Bench, plc: Machine | None) -> None:
    if plc is None:
        pytest.skip("nothing is real")
    plc.has("10.94.0.2/24")
    network = await bench.network(cidr="10.94.0.0/24")
    tap = await bench.driver.plug_port(spec(network))
    await bench.driver.close()
    subprocess.run(["ip", "-n", tap.namespace, "link", "set", PLUG, "netns", str(os.getpid())], check=True)
    assert PLUG in plc.outside()
    await bench.reopen()
    assert PLUG not in plc.outside()
    changes = {"command": ("sleep", "100000")} if bench.rig.programs else {}
    made = await bench.create(on=(network,), **changes)
    await bench.driver.start_compute(made.name)
    await eventually(lambda: pings(bench, plc), 60)
