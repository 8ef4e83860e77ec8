"""The same intents on every engine: frames of all kinds leave where, and as, the reference says."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.dataplane import catalogue, making, rewriting
from skerry.dataplane.compile import compile_network
from skerry.dataplane.flows import (
    Conn,
    Connect,
    DeviceState,
    Field,
    Goto,
    Output,
    Rule,
    Target,
    Track,
    match,
)
from skerry.dataplane.intents import (
    Chain,
    Classifier,
    Device,
    Drop,
    Duplicate,
    Encapsulation,
    Forward,
    Function,
    GtpClassifier,
    Hop,
    Intents,
    Port,
    PortRange,
    Rewrite,
    Side,
    Steer,
    Steering,
    Topology,
    Wire,
)
from skerry.dataplane.interpreter import Index, Memory, Run
from skerry.dataplane.packets import parse
from skerry.dataplane.sheets import cookie
from skerry.errors import InvalidError
from tests.conformance.dataplane_rigs import DEVICE, PORTS, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMES = [f"p{number}" for number in PORTS]


PREFIXES = ("", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32")
RANGES = ((), (PortRange(low=80, high=80),), (PortRange(low=1000, high=2999), PortRange(low=53, high=60)))
INSIDE = (
    None,
    None,
    GtpClassifier(inner_dst="10.9.0.0/16"),
    GtpClassifier(teid=7),
    GtpClassifier(inner_proto=6, qfi=9),
)
REWRITES = (
    Rewrite(dscp=10),
    Rewrite(eth_dst="02:00:00:00:00:77"),
    Rewrite(vlan=30),
    Rewrite(vlan=0),
    Rewrite(ip_dst="10.7.7.7"),
)


@st.composite
def wishes(draw: st.DrawFn) -> list[Intents]:
    """Some intents of one device."""
    ports = st.sampled_from(NAMES)
    found: list[Intents] = [Wire(id="w", a="p1", b="p2")] if draw(st.booleans()) else []
    aware = Encapsulation.NSH if draw(st.booleans()) else Encapsulation.NONE
    found.append(
        Chain(
            id="c",
            exit="p2",
            hops=(Hop(functions=(Function(id="f", ingress="p4", egress="p5", encapsulation=aware),)),),
        )
    )
    for number in range(draw(st.integers(1, 4))):
        inside = draw(st.sampled_from(INSIDE))
        ranges = draw(st.sampled_from(RANGES)) if inside is None else ()
        classifier = Classifier(
            ports=(draw(st.sampled_from(NAMES[:3])),),
            ip_src=draw(st.sampled_from(PREFIXES[:4])) if inside is None else "",
            ip_dst=draw(st.sampled_from(PREFIXES)) if inside is None else "",
            proto=draw(st.sampled_from((6, 17))) if ranges else None,
            dst_ports=ranges,
            vlan=draw(st.sampled_from((None, 0, 5))),
            gtp=inside,
        )
        last = draw(
            st.one_of(
                st.builds(Drop),
                st.builds(Forward, port=ports, vlan=st.sampled_from((None, 0, 9))),
                st.just(Steer(chain="c")),
            )
        )
        if inside is not None and isinstance(last, Forward):
            last = Forward(port=last.port, decapsulated=draw(st.booleans()))
        extra = draw(st.sampled_from(((), (Duplicate(port="p3"),), *((rewrite,) for rewrite in REWRITES))))
        found.append(
            Steering(
                id=f"s{number}",
                classifier=classifier,
                priority=draw(st.sampled_from((400, 500))),
                actions=(*extra, last),
            )
        )
    return found


FRAMES = st.one_of(
    st.fixed_dictionaries(
        {
            Field.IPV4_SRC: st.sampled_from((0x0A010203, 0x0A020304, 0xC0A80001)),
            Field.IPV4_DST: st.sampled_from((0x0A010203, 0x0A020304, 0xC0A80001)),
            Field.IP_PROTO: st.sampled_from((1, 6, 17)),
            Field.L4_DST: st.sampled_from((53, 80, 1500, 3000)),
            Field.VLAN_VID: st.sampled_from((0, 0x1005, 0x1006)),
        },
        optional={Field.IP_FRAG: st.sampled_from((1, 2)), Field.IP_DSCP: st.just(46)},
    ),
    st.fixed_dictionaries(
        {
            Field.IPV6_DST: st.sampled_from((0x20010DB8 << 96 | 5, 0x20010DB9 << 96)),
            Field.IP_PROTO: st.sampled_from((6, 17, 58)),
            Field.L4_DST: st.sampled_from((53, 80)),
        }
    ),
    st.fixed_dictionaries(
        {
            Field.GTP_TEID: st.sampled_from((7, 8)),
            Field.INNER_IPV4_DST: st.sampled_from((0x0A090001, 0x0A080001)),
            Field.INNER_PROTO: st.sampled_from((6, 17)),
        },
        optional={Field.GTP_QFI: st.sampled_from((9, 8)), Field.VLAN_VID: st.just(0x1005)},
    ),
    st.fixed_dictionaries({Field.ETH_TYPE: st.sampled_from((0x0806, 0x88B5))}),
)


def compiled(intents: Sequence[Intents]) -> DeviceState:
    """The state of the device; `InvalidError` for intents that contradict each other."""
    mac = "02:00:00:00:00:99"
    ports = (
        Port(id=name, device=DEVICE, side=Side.HOST, number=number, mac=mac)
        for number, name in zip(PORTS, NAMES, strict=True)
    )
    topology = Topology(devices=(Device(id=DEVICE),), ports=tuple(ports))
    return compile_network(topology, intents).states[DEVICE]


@pytest.mark.feature("E46", "E71", "E105", "E106")
@given(wishes(), st.lists(st.tuples(st.sampled_from((1, 2, 3)), FRAMES), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
async def test_frames_leave_as_the_reference_says(
    engine: Rig, intents: list[Intents], frames: list[tuple[int, dict[Field, int]]]
) -> None:
    try:
        state = compiled(intents)
    except InvalidError:
        return
    state = DeviceState(device=DEVICE, ports=tuple(engine.port(number) for number in PORTS), rules=state.rules)
    if catalogue.lacks(engine.capabilities, state):
        return
    if (
        any(term.field is Field.GTP_QFI for rule in state.rules for term in rule.match)
        and not engine.capabilities.gtp_extensions
    ):
        return
    await engine.put(state)
    for port, values in frames:
        frame = making.frame(
            {
                key: value
                for key, value in values.items()
                if key is not Field.L4_DST or values[Field.IP_PROTO] in (6, 17)
            }
        )
        wanted = sorted(Run(Index(state), Memory(), port, frame, time.monotonic()).go().outputs)
        left = await engine.send(port, frame, expect=len(wanted))
        assert [(out, sent.hex()) for out, sent in left] == [(out, sent.hex()) for out, sent in wanted], values


WITHIN, BEYOND = 1, 2
HIDDEN = ip_network("198.51.100.0/30")
_zone_ids = itertools.count(20_000)

actions = st.sampled_from(
    (
        {},
        {"source": "198.51.100.1/32", "low": 30000, "high": 30003},
        {"source": str(HIDDEN), "low": 30000, "high": 39999},
        {"targets": (Target(address="203.0.113.1"),)},
        {"targets": (Target(address="203.0.113.1", port=8080),)},
    )
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("open"),
            st.sampled_from((0x0A000001, 0x0A000002)),
            st.sampled_from((53, 999, 30000)),
            st.sampled_from((53, 80)),
        ),
        st.tuples(st.just("answer"), st.integers(0, 8), st.just(0), st.just(0)),
        st.tuples(st.just("error"), st.integers(0, 8), st.just(0), st.just(0)),
        st.tuples(st.just("stranger"), st.sampled_from((0x0A000001, 0xC6336401)), st.just(53), st.just(30000)),
    ),
    min_size=3,
    max_size=9,
)


def gate(zone: int, **options: Any) -> list[Rule]:
    """Inside may open connections, outside may answer."""
    tracked = [(0, match(in_port=port, eth_type=0x800), (Track(zone=zone), Goto(table=1))) for port in (WITHIN, BEYOND)]
    opened = (1, match(in_port=WITHIN), (Connect(zone=zone, **options), Output(port=BEYOND)))
    known = [(1, match(in_port=BEYOND, conn=int(conn)), (Output(port=WITHIN),)) for conn in (Conn.REPLY, Conn.RELATED)]
    return [
        Rule(table=table, priority=9, match=one, actions=done, cookie=cookie("gate", table, 9, one), owner="gate")
        for table, one, done in (*tracked, opened, *known)
    ]


def udp(src: int, sport: int, dst: int, dport: int) -> bytes:
    fields = {Field.IPV4_SRC: src, Field.L4_SRC: sport, Field.IPV4_DST: dst, Field.L4_DST: dport}
    return making.frame({**fields, Field.IP_PROTO: 17})


def turned(sent: bytes) -> bytes:
    """The answer to a frame that left outside."""
    fields = parse(sent).fields
    ends = [fields[field] for field in (Field.IPV4_DST, Field.L4_DST, Field.IPV4_SRC, Field.L4_SRC)]
    return udp(*ends)


def about(sent: bytes) -> bytes:
    """The error of a router about a frame that left outside."""
    body = b"\3\1\0\0\0\0\0\0" + sent[14:42]
    body = body[:2] + rewriting.checksum(body).to_bytes(2, "big") + body[4:]
    fields = {Field.IPV4_SRC: 0xC0000209, Field.IPV4_DST: parse(sent).fields[Field.IPV4_SRC], Field.IP_PROTO: 1}
    return making.frame(fields, body)


def without_inner_checksum(frame: bytes) -> bytes:
    """Of an error: without the checksum of the datagram inside, which was made for the chosen port, and the error's own."""
    if frame[23] != 1:
        return frame
    return frame[:36] + frame[38:68]


def with_any_port(frame: bytes) -> tuple[object, ...]:
    """What has to be the same of a frame whose source port an engine may choose."""
    fields = parse(frame).fields
    return tuple(fields[field] for field in (Field.IPV4_DST, Field.L4_DST, Field.ETH_SRC, Field.ETH_DST))


@pytest.mark.feature("E46")
@given(actions, steps)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
async def test_connections_are_what_the_reference_says(
    engine: Rig, options: dict[str, Any], given_steps: list[tuple[str, int, int, int]]
) -> None:
    """Engines choose ports themselves; everything else, and all that comes back inside, is the same."""
    rules = gate(next(_zone_ids), **options)
    state = DeviceState(device=DEVICE, ports=tuple(engine.port(number) for number in PORTS), rules=tuple(rules))
    await engine.put(state)
    index, memory = Index(state), Memory()
    went: list[tuple[bytes, bytes]] = []
    for kind, one, sport, dport in given_steps:
        port = WITHIN if kind == "open" else BEYOND
        if kind in ("answer", "error"):
            if not went:
                continue
            make = turned if kind == "answer" else about
            mine, its = (make(sent) for sent in went[one % len(went)])
        else:
            frame = udp(one, sport, 0xC6336440, dport) if kind == "open" else udp(0xC6336440, sport, one, dport)
            mine, its = frame, frame
        wanted = Run(index, memory, port, mine, time.monotonic()).go().outputs
        left = await engine.send(port, its, expect=len(wanted))
        assert [out for out, _ in left] == [out for out, _ in wanted]
        for (out, mine), (_, its) in zip(wanted, left, strict=True):
            if out == WITHIN:
                assert without_inner_checksum(its) == without_inner_checksum(mine)
                continue
            assert with_any_port(its) == with_any_port(mine)
            if options.get("source"):
                assert ip_address(parse(its).fields[Field.IPV4_SRC]) in ip_network(options["source"])
                assert options["low"] <= parse(its).fields[Field.L4_SRC] <= options["high"]
            else:
                assert its == mine
            went.append((mine, its))
