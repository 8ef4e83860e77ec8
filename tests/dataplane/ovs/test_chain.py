"""A service chain over two hosts: two functions behind proxies, one that understands service headers, VXLAN between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from scapy.contrib import nsh
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

from skerry.dataplane.flows import Field, Goto, Output, PopNsh, PortKind, PortState, PushNsh, SetField, match
from skerry.linux import namespaces, netlink
from skerry.linux.frames import Tap
from tests.dataplane.ovs.conftest import MakeLab
from tests.dataplane.ovs.frames import udp
from tests.dataplane.ovs.lab import DEVICE, Lab, pair, rule

pytestmark = pytest.mark.real

SPI = 0x2A
UNDERLAY = {"a": "192.0.2.1", "b": "192.0.2.2"}
Function = Callable[[bytes], bytes]


def _push(si: int) -> PushNsh:
    return PushNsh(spi=SPI, si=si, eth_src=0x02000000F001, eth_dst=0x02000000F002, context=(7, 0, 0, 0))


def _at(si: int) -> dict[str, int]:
    return {"nsh_spi": SPI, "nsh_si": si}


def _connect(a: Lab, b: Lab) -> None:
    """An underlay between the two hosts."""
    places = [namespaces.place(lab.here) for lab in (a, b)]
    pair(places[0], "under", places[1], "under", "02:00:00:00:aa:02")
    for place, address in zip(places, UNDERLAY.values(), strict=True):
        with namespaces.inside(place), netlink.Netlink() as kernel:
            index = next(link.index for link in kernel.links() if link.name == "under")
            kernel.run([netlink.address(index, address, 24)])


async def _tunnel(lab: Lab, here: str, there: str) -> None:
    await lab.driver.attach(
        DEVICE,
        PortState(
            number=9,
            name="between",
            kind=PortKind.VXLAN,
            local=UNDERLAY[here],
            remote=UNDERLAY[there],
            vni=4242,
        ),
    )


@asynccontextmanager
async def _running(lab: Lab, enters: int, leaves: int, function: Function) -> AsyncIterator[list[bytes]]:
    """A function that lives on two ports; what came in to it, in order."""
    seen: list[bytes] = []
    place = namespaces.place(lab.there)
    with namespaces.inside(place):
        inside, outside = Tap(f"p{enters}"), Tap(f"p{leaves}")

    def work() -> None:
        for left, frame in inside.frames():
            if not left:
                seen.append(frame)
                outside.socket.send(function(frame))

    asyncio.get_running_loop().add_reader(inside.socket, work)
    try:
        yield seen
    finally:
        asyncio.get_running_loop().remove_reader(inside.socket)
        inside.close()
        outside.close()


def _aware(frame: bytes) -> bytes:
    """Counts the service index down, as scapy understands it."""
    packet = Ether(frame)
    packet[nsh.NSH].si -= 1
    return bytes(packet)


def _plain(frame: bytes) -> bytes:
    assert Ether(frame).type == 0x0800
    return frame


@pytest.mark.feature("E95", "E96", "E107")
async def test_a_chain_over_two_hosts_visits_its_functions_in_order(make_lab: MakeLab) -> None:
    a, b = await make_lab("a", 6), await make_lab("b", 2)
    _connect(a, b)
    await _tunnel(a, "a", "b")
    await _tunnel(b, "b", "a")
    ports = (*a.state().ports, PortState(number=9, name="between", kind=PortKind.VXLAN))
    await a.put(
        msgspec.structs.replace(
            a.state(
                rule(match(in_port=1, eth_type=0x0800), _push(255), Goto(table=1)),
                rule(match(in_port=9, eth_type=0x894F), Goto(table=1)),
                rule(match(in_port=4, eth_type=0x894F), Goto(table=1)),
                rule(match(in_port=6), Output(port=2)),
                rule(match(**_at(255)), Output(port=9), table=1),
                rule(match(**_at(254)), Output(port=3), table=1),
                rule(match(**_at(253)), PopNsh(), Output(port=5), table=1),
            ),
            ports=ports,
        )
    )
    await b.rules(
        rule(match(in_port=9, **_at(255)), PopNsh(), Output(port=1)),
        rule(match(in_port=2), _push(254), Output(port=9)),
    )
    with namespaces.inside(namespaces.place(a.here)):
        wire = Tap("under")
    frames = [udp(sport=4000 + number) for number in range(5)]
    try:
        async with (
            _running(b, 1, 2, _plain) as first,
            _running(a, 3, 4, _aware) as second,
            _running(a, 5, 6, _plain) as third,
        ):
            out = [one for one in await _through(a, frames) if one[0] == 2]
        between = [(left, Ether(frame)) for left, frame in wire.frames()]
    finally:
        wire.close()
    assert [frame for _, frame in out] == frames
    assert first == third == frames
    indices = [(packet[nsh.NSH].spi, packet[nsh.NSH].si, packet[nsh.NSH].ttl) for packet in map(Ether, second)]
    assert indices == [(SPI, 254, 63)] * 5
    travelled = [(left, p[VXLAN].vni, p[nsh.NSH].si) for left, p in between if VXLAN in p]
    assert travelled.count((True, 4242, 255)) == travelled.count((False, 4242, 254)) == 5
    assert len(travelled) == 10
    assert Ether(second[0])[UDP].sport == 4000


async def _through(lab: Lab, frames: list[bytes]) -> list[tuple[int, bytes]]:
    """Send one after the other from port 1, so that their order is seen."""
    found: list[tuple[int, bytes]] = []
    lab.drain()
    for number, frame in enumerate(frames, 1):
        lab.send(1, frame)
        while sum(port == 2 for port, _ in found) < number:
            got = await lab.collect(1, 1.0)
            assert got, "a frame was lost"
            found += got
    return found


@pytest.mark.feature("E97")
async def test_what_a_function_found_out_chooses_the_branch(lab: Lab) -> None:
    """The function writes into the context of the service header; the rest of the chain goes by that."""
    await lab.rules(
        rule(match(in_port=1), _push(255), Output(port=2)),
        rule(match(in_port=2, **_at(254), nsh_c1=1), PopNsh(), Output(port=3)),
        rule(match(in_port=2, **_at(254), nsh_c1=(0, 1)), SetField(field=Field.NSH_SPI, value=SPI + 1), Goto(table=1)),
        rule(match(nsh_spi=SPI + 1), PopNsh(), Output(port=4), table=1),
    )

    def inspects(frame: bytes) -> bytes:
        packet = Ether(frame)
        assert packet[nsh.NSH].context_header[:4] == bytes([0, 0, 0, 7])
        bad = packet[UDP].dport == 666
        packet[nsh.NSH].si -= 1
        packet[nsh.NSH].context_header = int(bad).to_bytes(4, "big") + packet[nsh.NSH].context_header[4:]
        return bytes(packet)

    async with _running(lab, 2, 2, inspects):
        good = await lab.exchange(1, [udp(dport=80)], 2)
        bad = await lab.exchange(1, [udp(dport=666)], 2)
    assert [(port, frame) for port, frame in good if port != 2] == [(4, udp(dport=80))]
    assert [(port, frame) for port, frame in bad if port != 2] == [(3, udp(dport=666))]
