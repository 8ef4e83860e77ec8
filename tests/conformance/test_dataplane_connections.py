"""Connections, and their translation, on every engine: frames go in, and what comes out is read by another program."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror, defragment, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    IPerror6,
    IPv6,
    IPv6ExtHdrFragment,
    defragment6,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane import catalogue, flows
from skerry.dataplane.compile import compile_network
from skerry.dataplane.flows import Conn, DeviceState, Goto, Output, Rule, Target, Track, match
from skerry.dataplane.intents import (
    Classifier,
    Connect,
    Connection,
    Device,
    Drop,
    Forward,
    Intents,
    Port,
    PortRange,
    Route,
    Side,
    Source,
    Steering,
    Topology,
    Zone,
)
from skerry.dataplane.intents import Target as Aim
from skerry.dataplane.verify import verify
from tests.conformance.dataplane_rigs import DEVICE, PORTS, Rig
from tests.conformance.test_dataplane import frame, rule

pytestmark = pytest.mark.asyncio(loop_scope="module")
INSIDE, OUTSIDE = 1, 2
OTHER = 3
HOST, PUBLIC, SERVER = "10.0.0.1", "198.51.100.7", "203.0.113.9"
HOST6, PUBLIC6, SERVER6 = "fd00::1", "2001:db8::7", "2001:db8:1::9"
ZONE = 77


_zones = iter(range(100, 1000))


class Lab:
    """Rules with a zone of their own, so that no test finds the connections of another."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.zone = rig, next(_zones)

    async def put(self, *rules: Rule) -> None:
        ports = tuple(self.rig.port(number) for number in PORTS)
        await self.rig.put(DeviceState(device=DEVICE, ports=ports, rules=rules))

    async def gate(self, **options: Any) -> None:
        """Inside may open connections to outside; outside may only answer."""
        await self.put(*self.gate_rules(**options))

    def gate_rules(self, **options: Any) -> list[Rule]:
        connect = flows.Connect(zone=self.zone, **options)
        tracked = [
            rule(match(in_port=port, eth_type=kind), Track(zone=self.zone), Goto(table=1))
            for port in (INSIDE, OUTSIDE)
            for kind in (0x800, 0x86DD)
        ]
        known = [
            rule(match(in_port=OUTSIDE, conn=int(conn)), Output(port=INSIDE), table=1)
            for conn in (Conn.REPLY, Conn.ESTABLISHED, Conn.RELATED)
        ]
        return [*tracked, rule(match(in_port=INSIDE), connect, Output(port=OUTSIDE), table=1), *known]

    async def there(self, packet: Packet) -> Packet | None:
        """What leaves outside of a frame that comes in inside."""
        return await self.through(INSIDE, packet, OUTSIDE)

    async def back(self, packet: Packet) -> Packet | None:
        """What leaves inside of a frame that comes in outside."""
        return await self.through(OUTSIDE, packet, INSIDE)

    async def through(self, port: int, packet: Packet, out: int) -> Packet | None:
        left = await self.rig.send(port, bytes(packet), expect=1)
        assert [number for number, _ in left] in ([out], [])
        return Ether(left[0][1]) if left else None

    async def lost(self, port: int, packet: Packet) -> None:
        assert await self.rig.send(port, bytes(packet), expect=0) == []


@pytest_asyncio.fixture(loop_scope="module")
async def lab(engine: Rig) -> Lab:
    return Lab(engine)


def sound(packet: Packet) -> bool:
    """Whether all checksums of a frame are what an independent program makes them."""
    again = Ether(bytes(packet))
    for layer in (IP, TCP, UDP, ICMP, ICMPv6EchoRequest, ICMPv6EchoReply, ICMPv6DestUnreach):
        if layer in again:
            delattr(again[layer], "chksum" if layer in (IP, TCP, UDP, ICMP) else "cksum")
    return bytes(again) == bytes(packet)


def ends(packet: Packet | None) -> tuple[Any, ...]:
    assert packet is not None
    ip = packet[IP] if IP in packet else packet[IPv6]
    layer = packet[TCP] if TCP in packet else packet[UDP]
    return (ip.src, layer.sport, ip.dst, layer.dport)


def tcp(sport: int, flags: str, *, src: str = HOST, dst: str = SERVER, dport: int = 80, data: bytes = b"") -> Packet:
    return frame(IP(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags=flags) / data)


def udp(sport: int, *, src: str = HOST, dst: str = SERVER, dport: int = 53, data: bytes = b"hello") -> Packet:
    return frame(IP(src=src, dst=dst) / UDP(sport=sport, dport=dport) / data)


def turned(packet: Packet, **change: Any) -> Packet:
    """The answer to a frame."""
    ip = packet[IP] if IP in packet else packet[IPv6]
    layer = packet[TCP] if TCP in packet else packet[UDP]
    kind = IP if IP in packet else IPv6
    over = type(layer)(sport=layer.dport, dport=layer.sport, **change)
    return frame(kind(src=ip.dst, dst=ip.src) / over / b"answer")


@pytest.mark.feature("E46")
async def test_only_replies_come_in(lab: Lab) -> None:
    await lab.gate()
    await lab.lost(OUTSIDE, tcp(80, "S", src=SERVER, dst=HOST, dport=5001))
    await lab.lost(OUTSIDE, udp(53, src=SERVER, dst=HOST, dport=5001))
    for opening, answer in (
        (tcp(5001, "S"), {"flags": "SA"}),
        (udp(5001), {}),
        (frame(IPv6(src=HOST6, dst=SERVER6) / UDP(sport=5002, dport=53) / b"six"), {}),
    ):
        went = await lab.there(opening)
        assert went is not None
        assert bytes(went) == bytes(opening)
        reply = turned(opening, **answer)
        came = await lab.back(reply)
        assert came is not None
        assert bytes(came) == bytes(reply)
    await lab.lost(OUTSIDE, udp(53, src=SERVER, dst=HOST, dport=5009))


@pytest.mark.feature("E46")
async def test_a_source_is_hidden_and_answers_find_it(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    for opening, flags in ((tcp(33000, "S"), {"flags": "SA"}), (udp(5002), {})):
        went = await lab.there(opening)
        src, sport, dst, dport = ends(went)
        assert (src, dst, dport) == (PUBLIC, SERVER, ends(opening)[3])
        assert 30000 <= sport <= 39999
        assert went is not None
        assert sound(went)
        came = await lab.back(turned(went, **flags))
        assert came is not None
        assert ends(came) == (SERVER, dport, HOST, ends(opening)[1])
        assert sound(came)
        again = await lab.there(opening)
        assert ends(again) == ends(went)


@pytest.mark.feature("E46")
async def test_ipv6_is_translated_too(lab: Lab) -> None:
    await lab.gate(source=PUBLIC6, low=30000, high=39999)
    opening = frame(IPv6(src=HOST6, dst=SERVER6) / TCP(sport=33005, dport=443, flags="S"))
    went = await lab.there(opening)
    src, sport, dst, dport = ends(went)
    assert (src, dst, dport) == (PUBLIC6, SERVER6, 443)
    assert 30000 <= sport <= 39999
    assert went is not None
    assert sound(went)
    came = await lab.back(turned(went, flags="SA"))
    assert ends(came) == (SERVER6, 443, HOST6, 33005)
    assert came is not None
    assert sound(came)
    asked = frame(IPv6(src=HOST6, dst=SERVER6) / ICMPv6EchoRequest(id=7, seq=1, data=b"ping"))
    ping = await lab.there(asked)
    assert ping is not None
    assert (ping[IPv6].src, ping[IPv6].dst, sound(ping)) == (PUBLIC6, SERVER6, True)
    answer = IPv6(src=SERVER6, dst=PUBLIC6) / ICMPv6EchoReply(id=ping[ICMPv6EchoRequest].id, seq=1, data=b"ping")
    pong = await lab.back(frame(answer))
    assert pong is not None
    assert (pong[IPv6].dst, pong[ICMPv6EchoReply].id, sound(pong)) == (HOST6, 7, True)


@pytest.mark.feature("E46")
async def test_echoes_and_errors_find_their_way_back(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    ping = await lab.there(frame(IP(src=HOST, dst=SERVER) / ICMP(type=8, id=9, seq=1) / b"data"))
    assert ping is not None
    assert (ping[IP].src, sound(ping)) == (PUBLIC, True)
    answer = frame(IP(src=SERVER, dst=PUBLIC) / ICMP(type=0, id=ping[ICMP].id, seq=1) / b"data")
    pong = await lab.back(answer)
    assert pong is not None
    assert (pong[IP].dst, pong[ICMP].id, sound(pong)) == (HOST, 9, True)
    for opening, layer in ((tcp(33100, "S"), TCPerror), (udp(33101), UDPerror)):
        went = await lab.there(opening)
        assert went is not None
        router = "192.0.2.1"
        error = frame(IP(src=router, dst=PUBLIC) / ICMP(type=3, code=1) / bytes(went[IP])[:28])
        came = await lab.back(error)
        assert came is not None
        assert (came[IP].src, came[IP].dst) == (router, HOST)
        about = came[IPerror]
        assert (about.src, about.dst, about[layer].sport, sound(came)) == (HOST, SERVER, ends(opening)[1], True)
    await lab.lost(
        OUTSIDE, frame(IP(src="192.0.2.1", dst=PUBLIC) / ICMP(type=3, code=1) / bytes(udp(1, src=PUBLIC)[IP])[:28])
    )


@pytest.mark.feature("E46")
async def test_errors_of_ipv6_find_their_way_back(lab: Lab) -> None:
    await lab.gate(source=PUBLIC6, low=30000, high=39999)
    went = await lab.there(frame(IPv6(src=HOST6, dst=SERVER6) / UDP(sport=33200, dport=53) / b"data"))
    assert went is not None
    error = IPv6(src="2001:db8:2::1", dst=PUBLIC6) / ICMPv6DestUnreach(code=4) / bytes(went[IPv6])
    came = await lab.back(frame(error))
    assert came is not None
    assert (came[IPv6].dst, came[IPerror6].src, came[UDPerror].sport) == (HOST6, HOST6, 33200)
    assert sound(came)


@pytest.mark.feature("E46")
async def test_where_it_goes_is_translated(lab: Lab) -> None:
    """Connections to PUBLIC:80 go to the server behind it; to who opened them, PUBLIC answers."""
    await lab.gate(targets=(Target(address=SERVER, port=8080),))
    opening = tcp(4000, "S", dst=PUBLIC)
    went = await lab.there(opening)
    assert ends(went) == (HOST, 4000, SERVER, 8080)
    assert went is not None
    assert sound(went)
    came = await lab.back(turned(went, flags="SA"))
    assert ends(came) == (PUBLIC, 80, HOST, 4000)
    assert came is not None
    assert sound(came)


@pytest.mark.feature("E46", "E98")
async def test_connections_are_shared_out_and_stay(lab: Lab) -> None:
    servers = ("203.0.113.1", "203.0.113.2")
    await lab.gate(targets=tuple(Target(address=one) for one in servers))
    chosen: dict[int, str] = {}
    for port in range(4100, 4124):
        chosen[port] = ends(await lab.there(tcp(port, "S", dst=PUBLIC)))[2]
    assert set(chosen.values()) == set(servers)
    await lab.gate(targets=(Target(address="203.0.113.3"),))
    for port in (4100, 4101):
        assert ends(await lab.there(tcp(port, "A", dst=PUBLIC)))[2] == chosen[port]  # established ones stay
    assert ends(await lab.there(tcp(4200, "S", dst=PUBLIC)))[2] == "203.0.113.3"


@pytest.mark.feature("E46")
async def test_a_change_of_the_address_keeps_what_goes_on(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    before = await lab.there(tcp(33300, "S"))
    await lab.gate(source="198.51.100.8", low=30000, high=39999)
    assert before is not None
    came = await lab.back(turned(before, flags="SA"))
    assert ends(came) == (SERVER, 80, HOST, 33300)
    assert ends(await lab.there(tcp(33300, "A"))) == ends(before)
    assert ends(await lab.there(tcp(33301, "S")))[0] == "198.51.100.8"


@pytest.mark.feature("E46")
async def test_where_no_port_is_free_nothing_leaves(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=40000, high=40001)
    ports = [ends(await lab.there(udp(port)))[1] for port in (6001, 6002)]
    assert sorted(ports) == [40000, 40001]
    await lab.lost(INSIDE, udp(6003))
    assert ends(await lab.there(udp(6001)))[1] == ports[0]
    assert ends(await lab.there(udp(6003, dport=54)))[1] in (40000, 40001)  # free towards another port


@pytest.mark.feature("E46", "E105")
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
async def test_fragments_go_with_the_first_of_them(lab: Lab, v6: bool) -> None:
    """All of a packet is translated, there and back; an engine may put it together in between."""
    public, host, server = (PUBLIC6, HOST6, SERVER6) if v6 else (PUBLIC, HOST, SERVER)
    await lab.gate(source=public, low=30000, high=39999)

    def cut(src: str, dst: str, **ports: int) -> list[Packet]:
        data = bytes(range(200)) * 12
        if v6:
            whole = IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(id=77) / UDP(**ports) / data
            parts = fragment6(IPv6(bytes(whole)), 1400)
        else:
            parts = fragment(IP(bytes(IP(src=src, dst=dst, id=77) / UDP(**ports) / data)), 1320)
        assert len(parts) > 1
        return [frame(part) for part in parts]

    async def whole(port: int, parts: list[Packet]) -> Packet:
        left: list[tuple[int, bytes]] = []
        for place, part in enumerate(parts, 1):
            missing = len(parts) - len(left) if place == len(parts) else 0
            left += await lab.rig.send(port, bytes(part), expect=missing)
        again = [Ether(sent)[IPv6 if v6 else IP] for _, sent in left]
        assert {number for number, _ in left} == {OUTSIDE if port == INSIDE else INSIDE}
        in_order = again if v6 else sorted(again, key=lambda one: one.frag)
        (found,) = [defragment6(in_order)] if v6 else list(defragment(in_order))
        return frame(type(found)(bytes(found)))

    if v6 and lab.rig.type == "ovs":  # it says that it does not: they are not sent on
        for part in cut(host, server, sport=33180, dport=53):
            await lab.lost(INSIDE, part)
        return
    there = await whole(INSIDE, cut(host, server, sport=33180, dport=53))
    src, sport, dst, dport = ends(there)
    assert (src, dst, dport, len(bytes(there[UDP].payload))) == (public, server, 53, 2400)
    assert sound(there)
    back = await whole(OUTSIDE, cut(server, public, sport=53, dport=sport))
    assert ends(back) == (server, 53, host, 33180)
    assert sound(back)
    late = cut(host, server, sport=33181, dport=53)[1:]
    for part in late:
        if v6:
            part[IPv6ExtHdrFragment].id = 78
        else:
            part[IP].id, part[IP].chksum = 78, None
        await lab.lost(INSIDE, part)


@pytest.mark.feature("E46")
async def test_connections_are_told(lab: Lab) -> None:
    """What is remembered, whole and half, of every protocol; and it outlives the driver."""
    rig = lab.rig
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    went = await lab.there(tcp(33150, "S"))
    assert went is not None
    assert await lab.back(turned(went, flags="SA", seq=9, ack=1)) is not None
    other = await lab.there(udp(33151))
    assert await lab.there(frame(IP(src=HOST, dst=SERVER) / ICMP(type=8, id=99, seq=1) / b"data")) is not None
    if rig.type != catalogue.SIMULATED:
        await rig.restart()
    known = [one for one in await rig.engine.connections(DEVICE) if one.zone == lab.zone]
    found = {one.proto: one for one in known}
    assert set(found) == {1, 6, 17}
    assert (found[6].opened, found[6].answered) == ((HOST, 33150, SERVER, 80), True)
    assert found[6].onward == ends(went)
    assert (found[17].opened, found[17].onward) == ((HOST, 33151, SERVER, 53), ends(other))
    assert (found[1].opened, found[1].onward) == ((HOST, 99, SERVER, 0), (PUBLIC, 99, SERVER, 0))
    assert not found[17].answered
    later = await lab.there(tcp(33150, "A"))
    assert ends(later) == ends(went)


@pytest.mark.feature("E46")
async def test_zones_know_nothing_of_each_other(lab: Lab) -> None:
    other = Lab(lab.rig)
    rules = lab.gate_rules(source=PUBLIC, low=30000, high=39999)
    tenant = [
        rule(match(in_port=OTHER, eth_type=0x800), Track(zone=other.zone), Goto(table=1)),
        rule(
            match(in_port=OTHER),
            flows.Connect(zone=other.zone, source="198.51.100.99", low=30000, high=39999),
            Output(port=4),
            table=1,
        ),
        rule(match(in_port=4, eth_type=0x800), Track(zone=other.zone), Goto(table=1)),
        rule(match(in_port=4, conn=int(Conn.REPLY)), Output(port=OTHER), table=1),
    ]
    await lab.put(*rules, *tenant)
    mine, yours = await lab.there(udp(33400)), await lab.through(OTHER, udp(33400), 4)
    assert (ends(mine)[0], ends(yours)[0]) == (PUBLIC, "198.51.100.99")
    assert mine is not None
    assert yours is not None
    await lab.lost(4, turned(mine))
    assert ends(await lab.through(4, turned(yours), OTHER)) == (SERVER, 53, HOST, 33400)


@pytest.mark.feature("E46")
async def test_tags_do_not_matter_to_connections(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    opening = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1Q(vlan=5) / udp(33500)[IP]
    went = await lab.there(opening)
    assert went is not None
    assert (went[Dot1Q].vlan, ends(went)[0]) == (5, PUBLIC)


@pytest.mark.feature("E46")
async def test_what_cannot_be_tracked_is_not_sent_on(lab: Lab) -> None:
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    await lab.lost(INSIDE, frame(IP(src=HOST, dst=SERVER, proto=47) / (b"\0" * 20)))
    await lab.lost(INSIDE, tcp(33600, "SA"))
    await lab.lost(INSIDE, frame(IP(src=HOST, dst=SERVER) / ICMP(type=0, id=5, seq=1) / b"data"))


@pytest.mark.feature("E46")
async def test_connections_end(lab: Lab) -> None:
    """A closed port may be used for another connection by the same ends at once."""
    await lab.gate(source=PUBLIC, low=30000, high=39999)
    opening = tcp(33700, "S")
    went = await lab.there(opening)
    assert went is not None
    assert await lab.back(turned(went, flags="SA", seq=100, ack=1)) is not None
    assert await lab.back(turned(went, flags="RA", seq=107, ack=1)) is not None
    again = frame(IP(src=HOST, dst=SERVER) / TCP(sport=33700, dport=80, flags="S", seq=5000))
    assert ends(await lab.there(again))[0] == PUBLIC


@pytest.mark.feature("E46")
async def test_idle_connections_are_forgotten(lab: Lab) -> None:
    await lab.gate(udp_s=1, icmp_s=86400)
    opening = udp(33800)
    for _ in range(8):
        assert await lab.there(opening) is not None
        assert await lab.back(turned(opening)) is not None
        await asyncio.sleep(1.5)  # longer than the connection may be idle
        if await lab.rig.send(OUTSIDE, bytes(turned(opening)), expect=0) == []:
            return
    pytest.fail("the connection is still known")


# -- the same as intents --------------------------------------------------------------------------------------------------

GATE = "02:00:00:00:00:fe"
LAN_HOST, UPSTREAM, DMZ = "02:00:00:00:00:11", "02:00:00:00:00:22", "02:00:00:00:00:33"


def router(rig: Rig, *intents: Intents) -> DeviceState:
    """A device that is the router of a network (p1), of servers (p3), and of the world (p2)."""
    behind = {1: (LAN_HOST, "10.0.0.1"), 2: (UPSTREAM, PUBLIC), 3: (DMZ, "10.3.0.9")}
    ports = tuple(
        Port(
            id=f"p{number}",
            device=DEVICE,
            side=Side.UPLINK if number == 2 else Side.HOST,
            number=number,
            interface=rig.port(number).interface,
            mac=behind.get(number, (GATE, ""))[0],
            ips=behind[number][1:] if number in behind else (),
            gateway_mac=GATE,
        )
        for number in PORTS
    )
    routes = (
        Route(id="r:world", prefix="0.0.0.0/0", port="p2", via=UPSTREAM, ports=("p1", "p3")),
        Route(id="r:lan", prefix="10.0.0.0/24", port="p1", via=LAN_HOST, ports=("p2", "p3")),
        Route(id="r:dmz", prefix="10.3.0.0/24", port="p3", via=DMZ, ports=("p1", "p2")),
    )
    topology = Topology(devices=(Device(id=DEVICE),), ports=ports)
    network = compile_network(topology, [*routes, *intents])
    assert verify(network) == []
    state = network.states[DEVICE]
    return msgspec.structs.replace(state, ports=tuple(rig.port(number) for number in PORTS))


def ip_frame(payload: Packet) -> bytes:
    return bytes(Ether(src=LAN_HOST, dst=GATE) / payload)


async def one(rig: Rig, port: int, payload: Packet, out: int) -> Packet:
    left = await rig.send(port, ip_frame(payload))
    assert [number for number, _ in left] == [out]
    return Ether(left[0][1])


@pytest.mark.feature("E46")
async def test_a_gateway_masquerades_and_publishes(engine: Rig) -> None:
    zone = Zone(id=f"z{next(_zones)}", ports=("p1", "p2", "p3"))
    masquerade = Steering(
        id="masquerade",
        classifier=Classifier(ports=("p1", "p3"), ip_src="10.0.0.0/8"),
        actions=(Connect(zone=zone.id, source=Source(behind="p2", ports=PortRange(low=20000, high=29999))),),
    )
    publish = Steering(
        id="publish",
        classifier=Classifier(ports=("p2",), ip_dst=PUBLIC, proto=6, dst_ports=(PortRange(low=80, high=80),)),
        actions=(Connect(zone=zone.id, targets=(Aim(address="10.3.0.9", port=8080),)),),
    )
    closed = Steering(
        id="closed",
        classifier=Classifier(ports=("p2",), connection=(Connection.NEW, Connection.INVALID)),
        actions=(Drop(),),
        priority=100,
    )
    intents: list[Intents] = [zone, masquerade, publish, closed]
    state = router(engine, *intents)
    await engine.put(state)
    went = await one(engine, 1, IP(src=HOST, dst=SERVER, ttl=64) / UDP(sport=700, dport=53) / b"q", 2)
    assert (went.src, went.dst, went[IP].src, went[IP].ttl) == (GATE, UPSTREAM, PUBLIC, 63)
    back = IP(src=SERVER, dst=PUBLIC) / UDP(sport=53, dport=went[UDP].sport) / b"a"
    came = await one(engine, 2, back, 1)
    assert (came.dst, came[IP].dst, came[UDP].dport, sound(came)) == (LAN_HOST, HOST, 700, True)
    assert await engine.send(2, ip_frame(IP(src=SERVER, dst="10.0.0.1") / UDP(sport=53, dport=9)), expect=0) == []
    asked = await one(engine, 2, IP(src=SERVER, dst=PUBLIC) / TCP(sport=999, dport=80, flags="S"), 3)
    assert (asked[IP].dst, asked[TCP].dport, asked[IP].src, sound(asked)) == ("10.3.0.9", 8080, SERVER, True)
    answer = IP(src="10.3.0.9", dst=SERVER) / TCP(sport=8080, dport=999, flags="SA", ack=1)
    told = await one(engine, 3, answer, 2)
    assert (told[IP].src, told[TCP].sport, told[TCP].dport, sound(told)) == (PUBLIC, 80, 999, True)
    arp = Ether(src=UPSTREAM, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=UPSTREAM, psrc="192.0.2.1", pdst=PUBLIC)
    assert Ether((await engine.send(2, bytes(arp)))[0][1])[ARP].hwsrc == GATE
    effective = await engine.engine.read_back(DEVICE)
    assert {one.rule.key: one.rule.actions for one in effective.rules} == {one.key: one.actions for one in state.rules}


@pytest.mark.feature("E46")
async def test_tenants_share_an_uplink_and_not_their_connections(engine: Rig) -> None:
    zones = [Zone(id=f"z{next(_zones)}", ports=ports) for ports in (("p1", "p2"), ("p3", "p2"))]
    hidden = [
        Steering(
            id=f"hide{place}",
            classifier=Classifier(ports=(zone.ports[0],), ip_src="10.0.0.0/8"),
            actions=(Connect(zone=zone.id, source=Source(address=f"198.51.100.{place}")), Forward(port="p2")),
        )
        for place, zone in enumerate(zones, 1)
    ]
    returned = [
        Steering(
            id=f"return{place}",
            classifier=Classifier(ports=("p2",), ip_dst="10.0.0.1", connection=(Connection.REPLY,)),
            actions=(Forward(port=port),),
            priority=priority,
        )
        for place, (port, priority) in enumerate((("p1", 600),), 1)
    ]
    await engine.put(router(engine, *zones, *hidden, *returned))
    packet = IP(src=HOST, dst=SERVER) / UDP(sport=701, dport=53) / b"q"
    mine, yours = await one(engine, 1, packet, 2), await one(engine, 3, packet, 2)
    assert (mine[IP].src, yours[IP].src) == ("198.51.100.1", "198.51.100.2")
    back = IP(src=SERVER, dst="198.51.100.1") / UDP(sport=53, dport=mine[UDP].sport) / b"a"
    came = await one(engine, 2, back, 1)
    assert (came[IP].dst, came[UDP].dport) == (HOST, 701)
    stolen = IP(src=SERVER, dst="198.51.100.1") / UDP(sport=53, dport=yours[UDP].sport + 1) / b"a"
    left = await engine.send(2, ip_frame(stolen), expect=0)
    assert all(Ether(sent)[IP].dst == "198.51.100.1" for _, sent in left)
