"""Address management: pure, so proven by many cycles and by property."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError, RejectedError
from skerry.vim import ipam
from skerry.vim.driver import Network, NetworkSpec, NicSpec


def network(name: str = "vl", cidr: str = "10.0.0.0/29", gateway: str = "10.0.0.1") -> Network:
    return Network(id=name, name=name, owner="o", cidr=cidr, gateway=gateway)


@pytest.mark.feature("A15")
def test_three_hundred_networks_and_deletions_never_collide_and_never_leak() -> None:
    taken: list[str] = []
    for cycle in range(300):
        cidr = ipam.free_subnet("172.20.0.0/14", taken)
        assert not any(ipaddress.ip_network(cidr).overlaps(ipaddress.ip_network(other)) for other in taken)
        taken.append(cidr)
        if cycle % 3 == 2:
            taken.pop(0)
    assert len(taken) == 200
    taken.clear()
    assert ipam.free_subnet("172.20.0.0/14", taken) == "172.20.0.0/24"


@pytest.mark.feature("A15")
def test_three_hundred_address_cycles_return_to_the_first_address() -> None:
    for _ in range(300):
        first = ipam.free_address("10.0.0.0/29", "10.0.0.1", set())
        second = ipam.free_address("10.0.0.0/29", "10.0.0.1", {first})
        assert (first, second) == ("10.0.0.2", "10.0.0.3")


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(14, 28)), max_size=12))
def test_a_free_subnet_overlaps_nothing(blocks: list[tuple[int, int]]) -> None:
    taken = [str(ipaddress.ip_network(f"172.20.{third}.0/{prefix}", strict=False)) for third, prefix in blocks]
    try:
        cidr = ipaddress.ip_network(ipam.free_subnet("172.20.0.0/16", taken))
    except RejectedError:
        free = ipaddress.ip_network("172.20.0.0/16").subnets(new_prefix=24)
        assert all(any(one.overlaps(ipaddress.ip_network(other)) for other in taken) for one in free)
        return
    assert cidr.subnet_of(ipaddress.ip_network("172.20.0.0/16"))
    assert cidr.prefixlen == 24
    assert not any(cidr.overlaps(ipaddress.ip_network(other)) for other in taken)


def test_a_pool_that_is_used_up_is_refused() -> None:
    with pytest.raises(RejectedError, match="cannot find a free /24"):
        ipam.free_subnet("10.0.0.0/24", ["10.0.0.0/25"])


@pytest.mark.feature("A15")
def test_gateway_network_and_broadcast_addresses_are_never_given_out() -> None:
    given_out: set[str] = set()
    for _ in range(5):
        given_out.add(ipam.free_address("10.0.0.0/29", "10.0.0.3", given_out))
    assert given_out == {"10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"}
    with pytest.raises(RejectedError, match="all 6 are taken"):
        ipam.free_address("10.0.0.0/29", "10.0.0.3", given_out)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (NetworkSpec(name="n", owner="o", cidr="10.0.0/24x"), "no CIDR"),
        (NetworkSpec(name="n", owner="o", cidr="10.0.0.0/31"), "no room"),
        (NetworkSpec(name="n", owner="o", cidr="10.0.0.0/24", gateway="10.0.1.1"), "outside"),
        (NetworkSpec(name="n", owner="o", cidr="10.0.0.0/24", gateway="door"), "no address"),
    ],
)
def test_a_wrong_network_is_refused(spec: NetworkSpec, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        ipam.subnet(spec, "172.20.0.0/14", [])


def test_a_network_gets_a_subnet_and_the_first_address_as_gateway() -> None:
    assert ipam.subnet(NetworkSpec(name="n", owner="o"), "172.20.0.0/14", ["172.20.0.0/24"]) == (
        "172.20.1.0/24",
        "172.20.1.1",
    )
    asked = NetworkSpec(name="n", owner="o", cidr="10.9.0.5/24", gateway="10.9.0.254")
    assert ipam.subnet(asked, "172.20.0.0/14", []) == ("10.9.0.0/24", "10.9.0.254")


@pytest.mark.feature("A50")
def test_interfaces_keep_their_order_fixed_addresses_and_macs() -> None:
    nets = {"a": network("a"), "b": network("b", "10.1.0.0/24", "10.1.0.1")}
    wanted = (NicSpec(network="b", ip="10.1.0.77", mac="02:00:00:00:00:AA"), NicSpec(network="a"), NicSpec(network="b"))
    nics = ipam.allocate("o", "one", wanted, nets, {"a": {"10.0.0.2"}})
    assert [(nic.device, nic.network, nic.ip) for nic in nics] == [
        ("eth0", "b", "10.1.0.77"),
        ("eth1", "a", "10.0.0.3"),
        ("eth2", "b", "10.1.0.2"),
    ]
    assert nics[0].mac == "02:00:00:00:00:aa"
    assert nics[1].mac == ipam.allocate("o", "one", wanted, nets, {})[1].mac
    assert len({nic.mac for nic in nics}) == 3


def test_a_fixed_address_that_comes_later_is_not_given_to_an_earlier_interface() -> None:
    nics = ipam.allocate(
        "o", "one", (NicSpec(network="a"), NicSpec(network="a", ip="10.0.0.2")), {"a": network("a")}, {}
    )
    assert [nic.ip for nic in nics] == ["10.0.0.3", "10.0.0.2"]


def test_every_wrong_interface_is_named_at_once() -> None:
    wanted = (
        NicSpec(network="gone"),
        NicSpec(network="a", ip="10.0.0.1"),
        NicSpec(network="a", ip="10.0.0.7"),
        NicSpec(network="a", ip="10.0.0.2"),
        NicSpec(network="a", ip="10.0.0.3"),
        NicSpec(network="a", ip="10.0.0.3"),
        NicSpec(network="a", mac="01:00:00:00:00:01"),
        NicSpec(network="a", ip="here"),
    )
    with pytest.raises(InvalidError) as caught:
        ipam.allocate("o", "one", wanted, {"a": network("a")}, {"a": {"10.0.0.2"}})
    assert [fault.path for fault in caught.value.faults] == [f"nics/{i}" for i in (0, 1, 2, 3, 5, 6, 7)]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_derived_names_fit_the_kernel(names: list[str]) -> None:
    name, mac = ipam.interface_name("skb", *names), ipam.mac_address(*names)
    assert len(name) == 15
    assert name == ipam.interface_name("skb", *names)
    assert int(mac[:2], 16) & 3 == 2
    assert len(mac) == 17
