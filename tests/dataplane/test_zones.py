"""Zones and translation as rules: what is refused, what the proof sees of translated frames, how connections end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from skerry.dataplane import connections, flows, making, naming
from skerry.dataplane.compile import Network
from skerry.dataplane.flows import Conn, DeviceState, Goto, Named, Output, PortState, Rule, Term, match
from skerry.dataplane.intents import (
    Action,
    Chain,
    Classifier,
    Connect,
    Connection,
    Device,
    Drop,
    Forward,
    GtpClassifier,
    Host,
    Intents,
    Pass,
    Port,
    PortRange,
    Side,
    Source,
    Steer,
    Steering,
    Target,
    Topology,
    Wire,
    Zone,
)
from skerry.dataplane.interpreter import Memory
from skerry.dataplane.packets import parse
from skerry.dataplane.sheets import CLASSIFY, cookie
from skerry.dataplane.trace import trace
from skerry.dataplane.verify import verify
from skerry.dataplane.wording import action_text, classifier_of, flowspace_of, match_text
from skerry.errors import InvalidError
from tests.dataplane.nets import compiled, follow, function, hop, problems, proven, switches

IN, OUT, SERVER = "lan", "wan", "dmz"


def site() -> Topology:
    """One device: lan 1, wan 2, dmz 3, ran 4, core 5, functions 6 and 7; another device with `far`."""
    names = {IN: Side.HOST, OUT: Side.UPLINK, SERVER: Side.HOST, "ran": Side.RAN, "core": Side.CORE}
    ports = [
        Port(id=name, device="s1", number=number, side=side, mac="02:00:00:00:00:77", ips=ips)
        for number, (name, side, ips) in enumerate(
            [
                *((name, side, ("198.51.100.7",) if name == OUT else ()) for name, side in names.items()),
                ("fi", Side.VNFC, ()),
                ("fo", Side.VNFC, ()),
            ],
            1,
        )
    ]
    far = Port(id="far", device="s2", number=1, side=Side.HOST)
    theirs = Port(id="theirs", device="s1", number=9, side=Side.HOST, tenant="t")
    return Topology(devices=(Device(id="s1"), Device(id="s2")), ports=(*ports, far, theirs))


ZONE = Zone(id="z", ports=(IN, OUT, SERVER))


def hide(*more: Action, source: Source | None = None, **classifier: Any) -> Steering:
    connect = Connect(zone="z", source=source or Source(behind=OUT))
    asked = Classifier(**{"ports": (IN,), **classifier})
    return Steering(id="hide", classifier=asked, actions=(connect, *(more or (Forward(port=OUT),))))  # type: ignore[arg-type]


def aimed(*targets: Target, **classifier: Any) -> Steering:
    asked = Classifier(**{"ports": (OUT,), "ip_dst": "198.51.100.7", **classifier})
    return Steering(id="aim", classifier=asked, actions=(Connect(zone="z", targets=targets), Forward(port=SERVER)))


@pytest.mark.feature("E46")
@pytest.mark.parametrize(
    ("intents", "says"),
    [
        ([hide()], "there is no zone z"),
        ([msgspec.structs.replace(ZONE, tenant="t"), hide()], "there is no zone z"),
        ([Zone(id="z", ports=("nowhere",))], "there is no port nowhere"),
        ([Zone(id="z", ports=(IN, "far"))], "the ports of a zone are of one device"),
        ([Zone(id="z", ports=(IN, IN))], "a port is named twice"),
        ([ZONE, hide(ports=("core",))], "its classifier names ports of the zone z"),
        ([ZONE, hide(ports=())], "its classifier names ports of the zone z"),
        ([ZONE, hide(source=Source())], "a source is an address, or those behind a port"),
        ([ZONE, hide(source=Source(address="10.0.0.1", behind=OUT))], "a source is an address, or those behind a port"),
        ([ZONE, hide(source=Source(behind=IN))], f"the port {IN} needs the addresses of who is behind it"),
        ([ZONE, hide(source=Source(address="10.0.0.1/8"))], "has host bits set"),
        ([ZONE, hide(source=Source(behind=OUT, ports=PortRange(low=9, high=3)))], "the ports 9-3 are none"),
        ([ZONE, hide(gtp=GtpClassifier(), ports=("ran",))], "connected as it leaves it"),
        ([ZONE, aimed(Target(address="there"))], "'there' does not appear to be"),
        ([ZONE, Zone(id="y", ports=(IN, OUT)), hide()], f"the port {IN} is in several zones"),
        (
            [ZONE, Steering(id="s", classifier=Classifier(ports=("core",), connection=(Connection.NEW,)))],
            "connections are known at ports of a zone",
        ),
        ([Steering(id="s", classifier=Classifier(ports=(IN,), hosts=("a.test",), proto=17))], "asked for in TCP"),
        (
            [
                ZONE,
                msgspec.structs.replace(
                    hide(),
                    actions=(
                        Connect(zone="z", source=Source(behind=OUT), targets=(Target(address="10.0.0.1"),)),
                        Pass(),
                    ),
                ),
            ],
            "a connection is translated at one end",
        ),
    ],
)
def test_what_cannot_be_is_refused(intents: list[Intents], says: str) -> None:
    with pytest.raises(InvalidError) as refused:
        compiled(site(), *intents)
    assert any(says in fault.message for fault in refused.value.faults), refused.value.faults


@pytest.mark.feature("E46")
def test_a_port_of_a_tenant_is_in_one_zone() -> None:
    zones = [Zone(id=id, tenant="t", ports=("theirs",)) for id in ("one", "two")]
    with pytest.raises(InvalidError) as refused:
        compiled(site(), *zones)
    assert any("is in the zone one too" in fault.message for fault in refused.value.faults)


@pytest.mark.feature("E46", "C39")
def test_what_leaves_a_tunnel_is_hidden_as_it_leaves_it() -> None:
    """Users of a mobile network behind one address: out of GTP-U, tracked, translated; answers are theirs again."""
    chosen = Steering(
        id="hide",
        classifier=Classifier(ports=("ran",), gtp=GtpClassifier(inner_dst="203.0.113.0/24")),
        actions=(Connect(zone="z", source=Source(behind=OUT)), Forward(port=OUT, decapsulated=True)),
    )
    answers = Steering(
        id="answers",
        classifier=Classifier(ports=(OUT,), ip_dst="10.45.0.0/16", connection=(Connection.REPLY,)),
        actions=(Forward(port=SERVER),),
    )
    network = proven(site(), ZONE, Wire(id="w", a="ran", b="core", learn_gtp=True), chosen, answers)
    inside = {"inner_ipv4_src": "10.45.0.2", "inner_ipv4_dst": "203.0.113.9", "inner_proto": 17, "inner_l4_dst": 53}
    frame = making.frame({term.field: term.value for term in match(gtp_teid=7, **inside)})
    memory = Memory()
    found = trace(network, "ran", frame, memories={"s1": memory})
    left = Ether(found.outputs[0].frame)
    assert (found.outputs[0].port, left[IP].src, left[IP].dst) == (OUT, "198.51.100.7", "203.0.113.9")


@pytest.mark.feature("E46", "E107")
def test_connections_go_through_chains() -> None:
    chain = Chain(id="c", exit=OUT, hops=(hop(function("wall", "fi", "fo")),))
    network = proven(site(), ZONE, hide(Steer(chain="c")), chain)
    found = follow(network, IN, Ether() / IP(src="10.0.0.1", dst="203.0.113.9") / UDP(sport=1, dport=53))
    assert (found.functions, [sent.port for sent in found.outputs]) == (("wall",), [OUT])
    assert Ether(found.outputs[0].frame)[IP].src == "198.51.100.7"


def rule(table: int, one: tuple[Term, ...], *actions: flows.Actions, owner: str = "r", tenant: str = "") -> Rule:
    made = cookie(owner, table, 9, one)
    return Rule(table=table, priority=9, match=one, actions=actions, cookie=made, owner=owner, tenant=tenant)


def bare(*rules: Rule) -> Network:
    """A device of a tenant a (port 1) and a tenant b (port 2)."""
    topology = Topology(
        devices=(Device(id="s1"),),
        ports=tuple(
            Port(id=name, device="s1", number=n, side=Side.HOST, tenant=name) for n, name in ((1, "a"), (2, "b"))
        ),
    )
    ports = tuple(PortState(number=number, name=name) for number, name in ((1, "a"), (2, "b")))
    return Network(topology=topology, states={"s1": DeviceState(device="s1", ports=ports, rules=rules)})


@pytest.mark.feature("E46")
@pytest.mark.parametrize("translated", [True, False], ids=["translated", "as-it-is"])
def test_the_proof_follows_frames_through_translation(translated: bool) -> None:
    """A frame that never had the address of another tenant's server has it when it is translated: a leak."""
    connect = flows.Connect(zone=1, targets=(flows.Target(address="10.2.0.5"),) if translated else ())
    asked = match(in_port=1, ipv4_dst="198.51.100.7", ip_proto=6)
    network = bare(
        rule(0, asked, flows.Track(zone=1), Goto(table=1)),
        rule(1, match(conn=int(Conn.NEW)), connect, Goto(table=4)),
        rule(4, match(ipv4_dst="10.2.0.5"), Output(port=2)),
    )
    assert problems(verify(network)) == ({"leak"} if translated else set())


@pytest.mark.feature("E46")
def test_the_proof_follows_answers_that_are_translated_back() -> None:
    """What comes back may be for any address inside, whatever it was sent to."""
    asked = match(in_port=1, ipv4_dst="198.51.100.7", ip_proto=6)
    back = rule(4, match(ipv4_dst="10.2.0.5", conn=int(Conn.REPLY)), Output(port=2))
    assert problems(verify(bare(rule(0, asked, flows.Track(zone=1), Goto(table=4)), back))) == {"leak"}
    assert problems(verify(bare(rule(0, asked, Goto(table=4)), back))) == set()


@pytest.mark.feature("E46")
def test_states_of_connections_exclude_each_other() -> None:
    """What only answers may do does not shadow, and is not ambiguous with, what opens."""
    closed = Steering(
        id="closed",
        classifier=Classifier(ports=(OUT,), connection=(Connection.NEW, Connection.INVALID)),
        actions=(Drop(),),
    )
    answers = Steering(
        id="answers",
        classifier=Classifier(ports=(OUT,), connection=(Connection.ESTABLISHED, Connection.RELATED)),
        actions=(Forward(port=IN),),
    )
    network = proven(site(), ZONE, hide(), closed, answers)
    memory = Memory()
    frame = Ether() / IP(src="10.0.0.1", dst="203.0.113.9") / TCP(sport=1, dport=80, flags="S")
    stranger = Ether() / IP(src="203.0.113.9", dst="198.51.100.7") / TCP(sport=80, dport=9, flags="S")
    assert [sent.port for sent in trace(network, IN, bytes(frame), memories={"s1": memory}).outputs] == [OUT]
    assert trace(network, OUT, bytes(stranger), memories={"s1": memory}).outputs == ()


@pytest.mark.feature("E46")
def test_connections_end_by_themselves() -> None:
    """Unanswered ones after a minute, closed ones after ten seconds, all others after the time of their zone."""

    def seen(at: float, *earlier: tuple[float, bytes]) -> Conn:
        table = connections.Table()
        for when, frame in (*earlier, (at, opening)):
            found = table.track(1, parse(frame), when)
            if found.connection is None:
                table.connect(found, parse(frame), flows.Connect(zone=1, tcp_s=600), when)
        return found.conn

    def tcp(flags: str, back: bool = False) -> bytes:
        ends = ("10.0.0.2", "10.0.0.1") if back else ("10.0.0.1", "10.0.0.2")
        ports = (80, 5000) if back else (5000, 80)
        return bytes(Ether() / IP(src=ends[0], dst=ends[1]) / TCP(sport=ports[0], dport=ports[1], flags=flags))

    opening, answer = tcp("A"), tcp("SA", back=True)
    assert seen(61, (0, opening)) is Conn.NEW
    assert seen(599, (0, opening), (1, answer)) is Conn.ESTABLISHED
    assert seen(602, (0, opening), (1, answer)) is Conn.NEW
    assert seen(12, (0, opening), (1, answer), (1.5, tcp("FA", back=True))) is Conn.NEW


@pytest.mark.feature("E99")
def test_names_that_are_asked_for() -> None:
    names = tuple(Named(id=id, name=name) for id, name in ((1, "example.org"), (2, "*.example.org"), (3, "*.org")))
    for name, number in (("example.org", 1), ("a.example.org", 2), ("a.b.example.org", 2), ("x.org", 3), ("org", 0)):
        assert naming.number_of(name, names) == number
    asked = (Named(id=7, name="www.a.test"),)
    for request, number in (
        (b"GET / HTTP/1.1\r\nHost:  www.a.test\r\n\r\n", 0),
        (b"PUT / HTTP/1.0\r\nhOST:www.A.test:80\r\n\r\n", 7),
        (b"PUT / HTTP/1.0\r\nHost: www.a.test.\r\n\r\n", 7),
    ):
        assert naming.look(naming.Segment(request, 0), None, asked) == naming.Asked(number)
    pattern = msgspec.json.decode(b'"*.example.org"', type=Host)
    assert pattern == "*.example.org"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'"a..b"', type=Host)


@pytest.mark.feature("E46", "E99")
def test_zones_in_words() -> None:
    network = compiled(site(), ZONE, hide(connection=(Connection.NEW,), hosts=("www.example.org",), proto=6))
    (found,) = (one for one in network.states["s1"].rules if one.owner == "hide" and one.table == CLASSIFY)
    assert "conn=new" in match_text(found.match)
    assert action_text(found.actions[0]).endswith("source=198.51.100.7/32:1024-65535)")
    assert [one.name for one in network.states["s1"].names] == ["www.example.org"]
    text = flowspace_of(Classifier(connection=(Connection.NEW, Connection.REPLY), hosts=("a.test", "*.b.test")))
    assert text == "conn=new|reply,host=a.test|*.b.test"
    assert flowspace_of(classifier_of(text)) == text


@pytest.mark.feature("E46")
def test_zones_are_of_their_own_on_every_device() -> None:
    topology = switches("a", "b")
    zones = [Zone(id=f"z{name}", ports=(f"{name}.1", f"{name}.2")) for name in "ab"]
    network = proven(topology, *zones)
    numbers = {
        action.zone
        for state in network.states.values()
        for one in state.rules
        for action in one.actions
        if isinstance(action, flows.Track)
    }
    assert len(numbers) == 2
