"""Networks and interfaces: subnets, addresses, order."""

from __future__ import annotations

import asyncio
import ipaddress
import re

import pytest

from skerry.errors import ConflictError, InvalidError
from skerry.vim.driver import Nic, NicSpec
from tests.conformance.bench import OWNER, Bench


async def seen(bench: Bench, name: str) -> dict[str, tuple[str, str]]:
    """Device -> (IPv4 address, MAC) as the instance itself sees them."""
    shown = (await bench.ask(name, "ip", "-4", "-o", "addr", "show")).stdout.decode()
    addresses = dict(re.findall(r"^\d+: (eth\d+)\S*\s+inet ([\d.]+)/", shown, re.MULTILINE))
    return {
        device: (address, (await bench.read(name, f"/sys/class/net/{device}/address")).strip())
        for device, address in addresses.items()
    }


def told(nics: tuple[Nic, ...]) -> dict[str, tuple[str, str]]:
    return {nic.device: (nic.ip, nic.mac) for nic in nics}


@pytest.mark.feature("A16", "A81")
async def test_networks_are_made_listed_and_removed(bench: Bench) -> None:
    made = await bench.network(labels={"vl": "sip"}, mtu=1400)
    assert (made.owner, made.labels["vl"], made.mtu) == (OWNER, "sip", 1400)
    assert ipaddress.ip_address(made.gateway) in ipaddress.ip_network(made.cidr)
    assert await bench.network(labels={"vl": "sip"}, mtu=1400) == made
    assert await bench.driver.list_networks() == [made]
    await bench.driver.delete_network(made.name)
    assert await bench.driver.list_networks() == []


@pytest.mark.feature("A15", "A81")
async def test_automatic_subnets_never_collide(bench: Bench) -> None:
    made = list(await asyncio.gather(*(bench.network(f"n{number}") for number in range(5))))
    await bench.driver.delete_network(made.pop(1).name)
    made.append(await bench.network("late"))
    subnets = [ipaddress.ip_network(network.cidr) for network in made]
    clashes = [(a, b) for at, a in enumerate(subnets) for b in subnets[at + 1 :] if a.overlaps(b)]
    assert clashes == []


async def test_a_chosen_subnet_and_gateway_are_kept(bench: Bench) -> None:
    network = await bench.network(cidr="10.93.4.0/29", gateway="10.93.4.6")
    assert (network.cidr, network.gateway) == ("10.93.4.0/29", "10.93.4.6")
    made = [await bench.create(f"i{number}", on=(network,)) for number in range(5)]
    addresses = [compute.nics[0].ip for compute in made]
    assert "10.93.4.6" not in addresses
    assert len(set(addresses)) == 5


async def test_nonsense_subnets_are_refused(bench: Bench) -> None:
    with pytest.raises(InvalidError, match="no CIDR"):
        await bench.network(cidr="10.0.0.0/99")
    with pytest.raises(InvalidError, match="outside"):
        await bench.network(cidr="10.0.0.0/24", gateway="10.9.9.9")
    assert await bench.driver.list_networks() == []


async def test_a_network_in_use_stays(bench: Bench) -> None:
    network = await bench.network()
    await bench.create(on=(network,))
    with pytest.raises(ConflictError, match=bench.name("a")):
        await bench.driver.delete_network(network.name)
    await bench.driver.start_compute(bench.name("a"))
    with pytest.raises(ConflictError):
        await bench.driver.delete_network(network.name)
    await bench.driver.delete_compute(bench.name("a"))
    await bench.driver.delete_network(network.name)


@pytest.mark.feature("A11")
async def test_addresses_are_known_before_the_start_and_true(bench: Bench) -> None:
    bench.need("exec")
    network = await bench.network()
    made = await bench.create(on=(network,))
    assert ipaddress.ip_address(made.nics[0].ip) in ipaddress.ip_network(network.cidr)
    await bench.driver.start_compute(made.name)
    assert await seen(bench, "a") == told(made.nics)


@pytest.mark.feature("A50", "A82")
async def test_interfaces_come_in_order_with_fixed_addresses(bench: Bench) -> None:
    bench.need("exec")
    one = await bench.network("z", cidr="10.94.1.0/24")
    two = await bench.network("m", cidr="10.94.2.0/24")
    three = await bench.network("b", cidr="10.94.3.0/24")
    made = await bench.create(
        nics=(
            NicSpec(network=three.name, ip="10.94.3.77"),
            NicSpec(network=one.name, mac="02:aa:bb:cc:00:01"),
            NicSpec(network=two.name, ip="10.94.2.9", mac="02:aa:bb:cc:00:02"),
        )
    )
    assert [(nic.network, nic.device) for nic in made.nics] == [
        (three.name, "eth0"),
        (one.name, "eth1"),
        (two.name, "eth2"),
    ]
    assert (made.nics[0].ip, made.nics[2].ip) == ("10.94.3.77", "10.94.2.9")
    assert (made.nics[1].mac, made.nics[2].mac) == ("02:aa:bb:cc:00:01", "02:aa:bb:cc:00:02")
    await bench.driver.start_compute(made.name)
    assert await seen(bench, "a") == told(made.nics)
    await bench.driver.stop_compute(made.name)
    await bench.driver.start_compute(made.name)
    assert await seen(bench, "a") == told(made.nics)


async def test_a_recreated_instance_keeps_its_macs(bench: Bench) -> None:
    network = await bench.network()
    first = await bench.create(on=(network,))
    await bench.driver.delete_compute(first.name)
    await bench.create("other", on=(network,))
    again = await bench.create(on=(network,))
    assert again.nics[0].mac == first.nics[0].mac


async def test_wrong_addresses_are_refused(bench: Bench) -> None:
    network = await bench.network(cidr="10.95.1.0/24")
    await bench.create("holder", nics=(NicSpec(network=network.name, ip="10.95.1.9"),))
    for nic, text in (
        (NicSpec(network=network.name, ip="10.95.1.9"), "taken"),
        (NicSpec(network=network.name, ip="10.95.2.9"), "no host address"),
        (NicSpec(network=network.name, ip=network.gateway), "gateway"),
        (NicSpec(network=network.name, mac="01:00:5e:00:00:01"), "MAC"),
    ):
        with pytest.raises(InvalidError, match=text):
            await bench.create(nics=(nic,))
    assert [compute.name for compute in await bench.driver.list_compute()] == [bench.name("holder")]


@pytest.mark.feature("A15")
async def test_no_address_leaks_over_many_cycles(bench: Bench) -> None:
    network = await bench.network(cidr="10.96.0.0/29")
    cycles = 300 if not bench.rig.real else 30
    for _ in range(cycles):
        made = await bench.create(on=(network,))
        await bench.driver.delete_compute(made.name)
    fill = [await bench.create(f"f{number}", on=(network,)) for number in range(5)]
    assert len({compute.nics[0].ip for compute in fill}) == 5


@pytest.mark.real
async def test_instances_on_a_network_reach_each_other_and_no_other(bench: Bench) -> None:
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("nothing travels in a simulated network")
    one, two = await bench.network("one"), await bench.network("two")
    await bench.run("a", on=(one,))
    near = await bench.run("b", on=(two, one))
    far = await bench.run("c", on=(two,))
    assert (await bench.ask("a", "ping", "-c1", "-w3", near.nics[1].ip)).exit_code == 0
    assert (await bench.ask("b", "ping", "-c1", "-w3", far.nics[0].ip)).exit_code == 0
    assert (await bench.ask("a", "ping", "-c1", "-w1", far.nics[0].ip)).exit_code != 0
