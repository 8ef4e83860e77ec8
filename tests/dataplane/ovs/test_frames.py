"""What the switch does with frames is what the contract says: the reference interpreter gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from skerry.dataplane.flows import (
    ArpReply,
    Copy,
    DecNshTtl,
    DecTtl,
    Field,
    Goto,
    Output,
    PopNsh,
    PopVlan,
    PushVlan,
    Rule,
    SetField,
    match,
)
from skerry.dataplane.interpreter import Index, Memory, Run
from tests.dataplane.ovs.conftest import MakeLab
from tests.dataplane.ovs.frames import NSH, all_kinds
from tests.dataplane.ovs.lab import DEVICE, Lab, rule

pytestmark = pytest.mark.real


def _out(port: int, *, hairpin: bool = False) -> Output:
    return Output(port=port, hairpin=hairpin)


def _set(field: str, value: int) -> SetField:
    return SetField(field=Field[field], value=value)


_ANY = match()
_UDP = {"eth_type": 0x0800, "ip_proto": 17}
_MATCHES: Mapping[str, Sequence[Rule]] = {
    "port": [rule(match(in_port=1), _out(2)), rule(match(in_port=2), _out(1))],
    "vlan": [rule(match(vlan_vid=0x1064), _out(2)), rule(match(vlan_vid=0), _out(3))],
    "type": [
        rule(match(eth_type=0x0800), _out(2)),
        rule(match(eth_type=0x8100), _out(3)),
        rule(match(eth_type=0x86DD), _out(4)),
        rule(match(eth_type=0x0806), _out(1, hairpin=True)),
    ],
    "ports": [
        rule(match(eth_type=0x0800, ip_proto=6, l4_dst=80), _out(2)),
        rule(match(**_UDP, l4_dst=53), _out(3)),
        rule(match(eth_type=0x86DD, ip_proto=17, l4_dst=53), _out(4)),
        rule(match(eth_type=0x0800, ip_proto=132, l4_src=1000), _out(4)),
    ],
    "a range of ports": [rule(match(**_UDP, l4_dst=(0, 0x8000)), _out(2))],
    "fragments": [
        rule(match(eth_type=0x0800, ip_frag=0), _out(2)),
        rule(match(eth_type=0x0800, ip_frag=1), _out(3)),
        rule(match(eth_type=0x0800, ip_frag=2), _out(4)),
    ],
    "the port of a first fragment": [rule(match(**_UDP, ip_frag=1, l4_dst=53), _out(3))],
    "dscp": [rule(match(eth_type=0x0800, ip_dscp=10), _out(2))],
    "prefixes": [
        rule(match(ipv4_dst="10.0.0.0/24"), _out(2)),
        rule(match(ipv6_dst="fd00::/64"), _out(3)),
        rule(match(ipv4_dst="10.0.0.2/32"), _out(4), priority=200),
    ],
    "group addresses": [rule(match(eth_dst=(1 << 40, 1 << 40)), _out(2))],
}
_ACTIONS: Mapping[str, Sequence[Rule]] = {
    "never back": [rule(_ANY, _out(1))],
    "back": [rule(_ANY, _out(1, hairpin=True), _out(2))],
    "addresses": [rule(_ANY, _set("ETH_DST", 0x02AABBCCDDEE), _set("ETH_SRC", 5), _out(2))],
    "IPv4": [rule(match(eth_type=0x0800, ip_frag=0), _set("IPV4_DST", 0x0A090909), _out(2))],
    "IPv6": [rule(_ANY, _set("IPV6_SRC", 1 << 120 | 5), _out(2))],
    "ports of what has some": [rule(_ANY, _set("L4_DST", 8080), _out(2))],
    "ports of TCP": [rule(match(eth_type=0x0800, ip_proto=6), _set("L4_DST", 8080), _set("IPV4_SRC", 7), _out(2))],
    "dscp": [rule(_ANY, _set("IP_DSCP", 46), _out(2), _set("VLAN_VID", 77), _out(3))],
    "tag": [rule(_ANY, _out(3), PushVlan(vid=200), _out(2), PopVlan(), _out(4))],
    "untag": [rule(_ANY, PopVlan(), _out(2))],
    "matched again": [rule(_ANY, PushVlan(vid=9), Goto(table=1)), rule(match(vlan_vid=0x1009), _out(2), table=1)],
    "hops": [rule(_ANY, _out(3), DecTtl(), _out(2))],
    "copies": [rule(_ANY, Copy(actions=(_set("ETH_DST", 9), PushVlan(vid=5), _out(3))), _out(2))],
    "a copy that dies": [rule(_ANY, Copy(actions=(DecTtl(), _out(3))), _out(2))],
    "tables": [
        rule(_ANY, _set("REG0", 5), _set("REG1", 0xFF00), _set("ETH_SRC", 3), Goto(table=2)),
        rule(match(reg0=5, reg1=(0x1000, 0x1000), eth_src=3), _out(2), table=2),
    ],
    "arp": [rule(_ANY, ArpReply(mac=0x0200000000FE))],
    "arp alone": [rule(match(eth_type=0x0806), ArpReply(mac=0x0200000000FE))],
}
_CHAINS: Mapping[str, Sequence[Rule]] = {
    "push": [rule(_ANY, NSH, _out(2))],
    "push and go on": [
        rule(_ANY, NSH, Goto(table=1)),
        rule(match(nsh_spi=0x10, nsh_si=255), _out(3), _set("NSH_SI", 254), _set("NSH_C1", 99), _out(2), table=1),
    ],
    "push under a tag": [rule(_ANY, NSH, PushVlan(vid=9), _out(2))],
    "pop": [rule(_ANY, PopNsh(), _out(2))],
    "pop and change": [rule(match(nsh_spi=0x10), PopNsh(), _set("ETH_DST", 6), DecTtl(), _out(2))],
    "pop and go on": [
        rule(match(nsh_spi=0x10, nsh_c4=0xCAFE), PopNsh(), Goto(table=1)),
        rule(match(eth_type=0x0800, ip_proto=6, l4_dst=80), _out(3), table=1),
    ],
    "push and pop": [rule(_ANY, NSH, PopNsh(), _out(2))],
    "hops": [rule(_ANY, DecNshTtl(), _out(2))],
}


@pytest.mark.feature("E99", "E105", "E106")
async def test_each_field_is_told_apart(lab: Lab) -> None:
    assert await _differences(lab, _MATCHES) == []


@pytest.mark.feature("E46", "E106")
async def test_each_action_does_what_it_says(lab: Lab) -> None:
    assert await _differences(lab, _ACTIONS) == []


@pytest.mark.feature("E96")
async def test_service_headers_are_put_changed_and_removed(make_lab: MakeLab) -> None:
    assert await _differences(await make_lab("nsh"), _CHAINS) == []


async def _differences(lab: Lab, cases: Mapping[str, Sequence[Rule]]) -> list[str]:
    """Where switch and interpreter differ, for each set of rules and each frame; and what is not read back as it was put."""
    found: list[str] = []
    for name, rules in cases.items():
        await lab.rules(*rules)
        state = lab.state(*rules)
        if set((await lab.driver.read_back(DEVICE)).state().rules) != set(rules):
            found.append(f"{name}: not read back")
        for kind, frame in all_kinds().items():
            wanted = sorted(Run(Index(state), Memory(), 1, frame, 0.0).go().outputs)
            got = sorted(await lab.inject(1, frame))
            if [_trimmed(one) for one in wanted] != [_trimmed(one) for one in got]:
                found.append(f"{name}, {kind}: {wanted} {got}")
    return found


def _trimmed(one: tuple[int, bytes]) -> tuple[int, bytes]:
    """Without padding, which a switch may keep or not."""
    return one[0], one[1].rstrip(b"\0")
