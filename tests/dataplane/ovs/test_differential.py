"""Rules and frames that nobody thought of: the switch does what the reference interpreter does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from skerry.dataplane import flows, rewriting
from skerry.dataplane.flows import Actions, Field, Goto, Match, Output, PushNsh, Rule, match
from skerry.dataplane.interpreter import Index, Memory, Run
from skerry.dataplane.ovs import instance
from tests.dataplane.ovs.frames import NSH
from tests.dataplane.ovs.lab import DEVICE, Lab

pytestmark = pytest.mark.real

PORTS = 4
_MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"]
_V4, _V6, _L4 = ["10.0.0.1", "10.0.0.2", "10.0.1.1"], ["fd00::1", "fd00::2", "fd00:1::1"], [53, 80, 1000, 0x8001]
_VIDS = [0, 5, 100]


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    frame = Ether(src=draw(st.sampled_from(_MACS[:2])), dst=draw(st.sampled_from(_MACS)))
    vid = draw(st.sampled_from(_VIDS))
    if vid:
        frame /= Dot1Q(vlan=vid, prio=draw(st.integers(0, 7)))
    frame = bytes(frame / draw(_packets()))
    return rewriting.push_nsh(frame, NSH) if draw(st.integers(0, 5)) == 0 else frame


@st.composite
def _packets(draw: st.DrawFn) -> Raw:
    kind = draw(st.sampled_from(["v4", "v4", "v6", "arp", "other"]))
    if kind == "arp":
        return ARP(op=draw(st.integers(1, 2)), psrc="10.0.0.1", pdst=draw(st.sampled_from(_V4)))
    if kind == "other":
        return Raw(b"\x01" * 50)
    ports = {"sport": draw(st.sampled_from(_L4)), "dport": draw(st.sampled_from(_L4))}
    inner = draw(st.sampled_from([TCP, UDP, SCTP, ICMP]))
    payload = (ICMP() if inner is ICMP else inner(**ports)) / (b"p" * draw(st.integers(20, 60)))
    hops = draw(st.sampled_from([1, 2, 64]))
    if kind == "v4":
        # The checksum of SCTP covers all fragments: nobody can mend it in the first one.
        more = draw(st.sampled_from(["", "", "MF"])) if inner is not SCTP else ""
        return (
            IP(src=draw(st.sampled_from(_V4)), dst=draw(st.sampled_from(_V4)), ttl=hops, flags=more, tos=40) / payload
        )
    return IPv6(src=draw(st.sampled_from(_V6)), dst=draw(st.sampled_from(_V6)), hlim=hops, tc=40) / payload


_CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "in_port": st.integers(1, 2),
        "eth_dst": st.sampled_from([*_MACS, (1 << 40, 1 << 40)]),
        "eth_src": st.sampled_from(_MACS[:2]),
        "vlan_vid": st.sampled_from([vid and vid | flows.VLAN_PRESENT for vid in _VIDS]),
    },
)
_LAYERS = st.one_of(
    st.just({}),
    st.just({"eth_type": 0x0806}),
    st.fixed_dictionaries({"nsh_spi": st.just(16)}, optional={"nsh_si": st.sampled_from([254, 255])}),
    st.fixed_dictionaries(
        {"eth_type": st.just(0x0800)},
        optional={
            "ipv4_src": st.sampled_from(["10.0.0.0/24", "10.0.0.1/32"]),
            "ipv4_dst": st.sampled_from(["10.0.0.0/24", "10.0.0.2/32", "10.0.0.0/15"]),
            "ip_dscp": st.sampled_from([0, 10]),
            "ip_frag": st.integers(0, 1),
        },
    ),
    st.fixed_dictionaries(
        {"eth_type": st.just(0x86DD)},
        optional={"ipv6_src": st.sampled_from(["fd00::/64", "fd00::1/128"]), "ip_dscp": st.sampled_from([0, 10])},
    ),
    st.fixed_dictionaries(
        {"eth_type": st.sampled_from([0x0800, 0x86DD]), "ip_proto": st.sampled_from([6, 17, 132])},
        optional={"l4_src": st.sampled_from(_L4), "l4_dst": st.sampled_from([80, (0, 0x8000), (64, 0xFFC0)])},
    ),
)


@st.composite
def _matches(draw: st.DrawFn, table: int) -> Match:
    found = {**draw(_CONDITIONS), **draw(_LAYERS)}
    if table:
        found["reg0"] = draw(st.integers(0, 1))
    return match(**found)


def _set(field: Field, *values: int) -> st.SearchStrategy[Actions]:
    return st.builds(flows.SetField, field=st.just(field), value=st.sampled_from(values))


_SIMPLE: st.SearchStrategy[Actions] = st.one_of(
    st.builds(Output, port=st.integers(1, PORTS), hairpin=st.booleans()),
    st.builds(flows.PushVlan, vid=st.sampled_from([7, 100])),
    st.just(flows.PopVlan()),
    st.just(flows.DecTtl()),
    st.just(flows.DecNshTtl()),
    st.just(NSH),
    st.just(flows.PopNsh()),
    _set(Field.ETH_DST, 5, 0x020000000001),
    _set(Field.ETH_SRC, 6),
    _set(Field.VLAN_VID, 9),
    _set(Field.IP_DSCP, 46),
    _set(Field.IPV4_SRC, 0x0A000001, 0x0B000001),
    _set(Field.IPV4_DST, 0x0A000002),
    _set(Field.IPV6_DST, 1 << 100),
    _set(Field.L4_DST, 80, 8080),
    _set(Field.L4_SRC, 53),
    _set(Field.REG0, 1),
    _set(Field.NSH_SI, 254),
    _set(Field.NSH_C2, 77),
)


@st.composite
def _actions(draw: st.DrawFn, table: int) -> tuple[Actions, ...]:
    found = draw(st.lists(_SIMPLE, max_size=4))
    if draw(st.booleans()):
        leaves = Output(port=draw(st.integers(2, PORTS)))
        more = draw(st.lists(st.one_of(_SIMPLE, st.just(leaves)), max_size=3))
        pushes = any(isinstance(one, PushNsh) for one in more)
        # The switch confuses a header of a copy that goes nowhere with one of the frame.
        kept = [one for one in more if not pushes or not isinstance(one, Output) or one.port != 1]
        found.insert(0, flows.Copy(actions=(*kept, leaves)))
    ends: list[Actions] = [Output(port=draw(st.integers(1, PORTS)))]
    if not table:
        ends.append(Goto(table=1))
    ends.append(flows.ArpReply(mac=0x0200000000FE))
    return (*found, draw(st.sampled_from(ends)))


@st.composite
def _rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """At most one rule of a priority in a table, so that none is in doubt."""
    found: dict[tuple[int, int, Match], Rule] = {}
    for number in range(draw(st.integers(1, 5))):
        table = draw(st.sampled_from([0, 0, 1]))
        made = Rule(
            table=table,
            priority=100 + number,
            match=draw(_matches(table)),
            actions=draw(_actions(table)),
            cookie=number + 1,
            owner="o",
        )
        found[made.key] = made
    return tuple(found.values())


class _Machine:
    """A lab with a loop of its own, for many examples."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.lab = Lab(folder, "h", PORTS)
        self.runner.run(self.lab.make())

    def close(self) -> None:
        self.runner.run(self.lab.end())
        self.runner.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Machine]:
    lacks = instance.missing()
    if lacks:
        pytest.skip(lacks)
    made = _Machine(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.mark.feature("E99", "E105", "E106")
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # each step of shrinking would ask the switch
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(rules=_rules(), frames=st.lists(_frames(), min_size=8, max_size=8))
def test_the_switch_does_what_the_interpreter_does(
    machine: _Machine, rules: tuple[Rule, ...], frames: list[bytes]
) -> None:
    assume(not _second_tag(rules, frames))
    machine.runner.run(_compare(machine.lab, rules, frames))


def _second_tag(rules: tuple[Rule, ...], frames: list[bytes]) -> bool:
    """Whether a frame may get a second tag within the device, which the switch does not look at there."""
    text = b"".join(msgspec.json.encode(rule.actions) for rule in rules)
    pushes = text.count(b'"do":"pushvlan"')
    return pushes > 1 or (pushes == 1 and any(b"\x81\x00" in frame[12:56] for frame in frames))


async def _compare(lab: Lab, rules: tuple[Rule, ...], frames: list[bytes]) -> None:
    await lab.rules(*rules)
    state = lab.state(*rules)
    read = (await lab.driver.read_back(DEVICE)).state().rules
    assert set(read) == set(rules)
    for frame in frames:
        wanted = sorted(Run(Index(state), Memory(), 1, frame, 0.0).go().outputs)
        got = sorted(await lab.inject(1, frame))
        assert [(port, out.rstrip(b"\0")) for port, out in got] == [(port, out.rstrip(b"\0")) for port, out in wanted]
