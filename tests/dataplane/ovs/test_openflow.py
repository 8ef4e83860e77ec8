"""Messages as others read them: os-ken, and Open vSwitch's own tool."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from os_ken.ofproto import ofproto_protocol
from os_ken.ofproto import ofproto_v1_3_parser as of

from skerry.dataplane.ovs import actions, openflow, oxm

MATCH = [
    ("in_port", 3, None),
    ("eth_dst", 0x020000000000, 0xFFFF00000000),
    ("eth_type", 0x0800, None),
    ("vlan_vid", 0x1064, None),
    ("ip_proto", 6, None),
    ("ipv4_dst", 0x0A090000, 0xFFFFFF00),
    ("tcp_dst", 8080, None),
]


_PROTOCOL = ofproto_protocol.ProtocolDesc(version=openflow.VERSION)


def _theirs(message: Any, xid: int = 0) -> bytes:
    """A message as os-ken writes it."""
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def _shown(tmp_path: Path, *messages: bytes) -> str:
    """The messages as `ovs-ofctl` prints them."""
    file = tmp_path / "messages"
    file.write_bytes(b"".join(messages))
    try:
        done = subprocess.run(["ovs-ofctl", "ofp-parse", str(file)], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("not installed: openvswitch-common")
    return done.stdout


@pytest.mark.feature("E46")
def test_a_rule_is_what_another_library_writes() -> None:
    match = of.OFPMatch(
        in_port=3,
        eth_dst=("02:00:00:00:00:00", "ff:ff:00:00:00:00"),
        eth_type=0x0800,
        vlan_vid=0x1064,
        ipv4_dst=("10.9.0.0", "255.255.255.0"),
        ip_proto=6,
        tcp_dst=8080,
    )
    steps = [
        of.OFPActionPushVlan(),
        of.OFPActionSetField(vlan_vid=0x1007),
        of.OFPActionDecNwTtl(),
        of.OFPActionOutput(4, 0xFFFF),
    ]
    instructions = [of.OFPInstructionMeter(9), of.OFPInstructionActions(4, steps)]
    theirs = of.OFPFlowMod(
        _PROTOCOL, cookie=0xCAFE, table_id=5, priority=77, match=match, instructions=instructions, buffer_id=0xFFFFFFFF
    )
    theirs.out_port = theirs.out_group = 0xFFFFFFFF
    code = actions.push_vlan() + actions.set_field("vlan_vid", 0x1007) + actions.dec_ttl() + actions.output(4)
    ours = openflow.flow_add(5, 77, 0xCAFE, oxm.match(MATCH), actions.apply(code, meter=9))
    assert openflow.numbered(ours, 0x01020304) == _theirs(theirs, 0x01020304)


def test_small_messages_are_what_another_library_writes() -> None:
    band = of.OFPMeterBandDrop(rate=1000, burst_size=100)
    meter = of.OFPMeterMod(_PROTOCOL, command=0, flags=1 | 4 | 8, meter_id=3, bands=[band])
    assert openflow.meter_add(openflow.MeterConfig(3, 1000, 100)) == _theirs(meter)
    deleted = of.OFPFlowMod(_PROTOCOL, table_id=5, command=4, priority=77, match=of.OFPMatch(), buffer_id=0xFFFFFFFF)
    deleted.out_port = deleted.out_group = 0xFFFFFFFF
    assert openflow.flow_delete(5, 77, oxm.match(())) == _theirs(deleted)
    steps = [of.OFPActionOutput(actions.TABLE, 0xFFFF)]
    out = of.OFPPacketOut(_PROTOCOL, buffer_id=0xFFFFFFFF, in_port=7, actions=steps, data=b"frame")
    assert openflow.packet_out(7, actions.output(actions.TABLE), b"frame") == _theirs(out)
    assert openflow.numbered(openflow.barrier(), 9) == _theirs(of.OFPBarrierRequest(_PROTOCOL), 9)
    assert openflow.set_config() == _theirs(of.OFPSetConfig(_PROTOCOL, flags=3, miss_send_len=0))
    asked = of.OFPFlowStatsRequest(_PROTOCOL, 0, 0xFF, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, of.OFPMatch())
    assert openflow.flows_request() == _theirs(asked)
    meters = of.OFPMeterConfigStatsRequest(_PROTOCOL, 0, 0xFFFFFFFF)
    assert openflow.meters_request() == _theirs(meters)


@pytest.mark.feature("E46", "E96")
def test_extensions_are_what_the_switches_tool_reads(tmp_path: Path) -> None:
    learned = (
        actions.Learned().match("eth_dst", source="eth_src").match_value("eth_type", 0x0800).match_value("ip_proto", 6)
    )
    learned.load("reg14", source="nxm_in_port", bits=16).load_value("reg6", 1)
    header = actions.encap_nsh() + actions.set_field("nsh_spi", 42) + actions.set_field("nsh_si", 255)
    cases = {
        "encap(nsh(md_type=1)),set_field:0x2a->nsh_spi,set_field:255->nsh_si,encap(ethernet)": (
            header + actions.encap_ethernet()
        ),
        "move:NXM_NX_REG3[0..15]->NXM_NX_REG5[4..19]": actions.move("reg3", "reg5", 16, to=4),
        "clone(set_field:0->in_port,output:2),output:3": (
            actions.clone(actions.set_field("nxm_in_port", 0) + actions.output(2)) + actions.output(3)
        ),
        "multipath(symmetric_l3l4+udp,0,hrw,5,0,NXM_NX_REG14[])": actions.multipath("reg14", 5),
        "note:61.62.63.00.00.00,resubmit(,31)": actions.note(b"abc") + actions.resubmit(31),
        "learn(table=21,idle_timeout=5,hard_timeout=7,priority=1,cookie=0x9,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "eth_type=0x800,nw_proto=6,load:NXM_OF_IN_PORT[]->NXM_NX_REG14[0..15],load:0x1->NXM_NX_REG6[])": (
            learned.action(21, cookie=9, idle_s=5, hard_s=7)
        ),
    }
    for text, code in cases.items():
        assert f"actions={text}\n" in _shown(tmp_path, openflow.flow_add(1, 2, 3, oxm.match(()), actions.apply(code)))
    matched = oxm.match([("eth_type", 0x894F, None), ("nsh_spi", 42, None)])
    decap = actions.dec_nsh_ttl() + actions.decap() + actions.decap() + actions.output(1)
    shown = _shown(tmp_path, openflow.flow_add(1, 2, 3, matched, actions.apply(decap)))
    assert "dl_type=0x894f,nsh_spi=0x2a" in shown
    assert "actions=dec_nsh_ttl,decap(),decap(),output:1" in shown


def test_a_bundle_is_atomic_and_ordered(tmp_path: Path) -> None:
    inner = openflow.flow_add(1, 2, 3, oxm.match(()), actions.apply(actions.output(1)))
    shown = _shown(
        tmp_path,
        openflow.bundle_control(1, openflow.BUNDLE_OPEN),
        openflow.bundle_add(1, inner, 55),
        openflow.bundle_control(1, openflow.BUNDLE_COMMIT),
    )
    assert "type=OPEN_REQUEST flags=atomic ordered" in shown
    assert "ADD table:1 priority=2 cookie:0x3 actions=output:1" in shown
    assert "type=COMMIT_REQUEST flags=atomic ordered" in shown
    assert shown.count("(xid=0x37)") == 2


def test_a_match_is_read_as_it_was_written() -> None:
    data = oxm.match(MATCH)
    body = data[4 : int.from_bytes(data[2:4], "big")]
    assert oxm.conditions(body) == tuple(MATCH)
    assert oxm.framed(body) == data
    assert oxm.conditions(body + bytes.fromhex("0001d40400000001")) is None


def test_an_error_is_told_in_words() -> None:
    data = openflow.message(openflow.ERROR, struct.pack("!HH", 2, 10) + b"the message")
    failure = openflow.failure(data)
    assert failure.text == "an action does not fit the match: a prerequisite is missing"
    assert failure.data == b"the message"
    assert openflow.failure(openflow.message(openflow.ERROR, struct.pack("!HH", 5, 77))).text == "error 5/77"
