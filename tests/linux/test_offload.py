"""Interfaces of namespaces: checksum offload at both ends of a pair, raw frames with their tags, tunnels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.linux import namespaces, netlink, offload, syscalls
from skerry.linux.frames import Tap

pytestmark = pytest.mark.real

TAGGED = bytes.fromhex("020000000002020000000001 8100 a064 0800") + bytes(60)


@pytest.fixture
def places() -> Iterator[tuple[Path, Path]]:
    """Two namespaces with a pair between them: near0 here, far0 there."""
    if os.geteuid() or not shutil.which("ip", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        pytest.skip("needs root")
    here, there = (namespaces.place(f"sko-{os.getpid()}-{end}") for end in ("here", "there"))
    for place in (here, there):
        namespaces.unpin(place)
        namespaces.pin_new(place, {"net/ipv6/conf/default/disable_ipv6": "1"})
    with syscalls.network_kept():
        namespaces.enter(there)
        inside = syscalls.own_network()
        namespaces.enter(here)
        with netlink.Netlink() as kernel:
            mac = "02:00:00:00:00:02"
            kernel.run([netlink.veth("near0", peer="far0", peer_namespace=inside, peer_mac=mac, master=0, mtu=1500)])
        os.close(inside)
        namespaces.enter(there)
        with netlink.Netlink() as kernel:
            kernel.run([netlink.link_up("far0")])
    yield here, there
    for place in (here, there):
        namespaces.unpin(place)


def test_the_far_end_of_a_pair_is_told_to_compute_checksums(places: tuple[Path, Path]) -> None:
    here, there = places
    with namespaces.inside(there):
        assert offload.transmit_checksums("far0")
    with namespaces.inside(here):
        assert offload.set_peer_checksums("near0", on=False)
        assert not offload.set_peer_checksums("near0", on=False)
        assert offload.transmit_checksums("near0")
    with namespaces.inside(there):
        assert not offload.transmit_checksums("far0")
    with namespaces.inside(here):
        assert offload.set_peer_checksums("near0", on=True)


def test_what_is_no_pair_is_left_alone(places: tuple[Path, Path]) -> None:
    with namespaces.inside(places[0]):
        assert not offload.set_peer_checksums("lo", on=False)
        assert not offload.set_peer_checksums("nothing", on=False)
        with pytest.raises(OSError, match="No such device"):
            offload.transmit_checksums("nothing")


def test_a_tap_sees_tags_and_which_way_frames_go(places: tuple[Path, Path]) -> None:
    here, there = places
    with namespaces.inside(here):
        near, sender = Tap("near0"), Tap("near0")
        with pytest.raises(OSError, match="No such device"):
            Tap("nothing")
    with namespaces.inside(there):
        far = Tap("far0")
    sender.socket.send(TAGGED)
    assert list(near.frames()) == [(True, TAGGED)]
    assert list(far.frames()) == [(False, TAGGED)]
    for tap in (near, sender, far):
        tap.close()


def test_a_tunnel_is_made_with_a_note_and_removed(places: tuple[Path, Path]) -> None:
    made = netlink.vxlan("tun0", vni=7, local="192.0.2.1", remote="192.0.2.2", port=4789, mtu=9000)
    with namespaces.inside(places[0]), netlink.Netlink() as kernel:
        kernel.run([made, netlink.alias("tun0", "skerry somebody")])
        assert [(link.alias, link.up) for link in kernel.links() if link.name == "tun0"] == [("skerry somebody", True)]
        with pytest.raises(FileExistsError):
            kernel.run([made])
        kernel.run([netlink.link_gone("tun0"), netlink.link_gone("tun0")])
        assert {link.name for link in kernel.links()} == {"lo", "near0"}
