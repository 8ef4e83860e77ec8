"""Rules and frames that nobody thought of, odd ones too: the programs do what the reference interpreter does."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from skerry.dataplane import flows
from skerry.dataplane.driver import DeviceSpec
from skerry.dataplane.ebpf.device import Attached, Device
from skerry.dataplane.ebpf.kernel import BPFFS, ensure_bpffs
from skerry.dataplane.interpreter import Index, Memory, Run
from skerry.dataplane.state import difference
from skerry.errors import DriverError
from tests.dataplane.ebpf.chance import DEVICE, PORTS, SESSIONS, A, B, Chance

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
FRAMES = 20


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    """A device whose ports are only numbers: probes send nothing."""
    ensure_bpffs()
    found = Device.prepare(BPFFS / "skerry" / f"chance{os.getpid()}" / "device", DeviceSpec(name=DEVICE))
    for port in Chance(random.Random(1)).state().ports:
        found.ports[port.number] = Attached(port, 1, "lo")
    yield found
    found.ports.clear()
    found.remove()
    found.folder.parent.rmdir()


@pytest.mark.feature("E105", "E106", "E109", "E104", "C39")
@settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(seed=st.integers(0, 1 << 32))
def test_the_same_frames_leave_as_of_the_interpreter(device: Device, seed: int) -> None:
    chance = Chance(random.Random(seed))
    state = chance.state()
    device.apply(difference(device.read_back().state(), state, 1))
    back = {one.rule.key: one.rule for one in device.read_back().rules}
    assert {key: (rule.actions, rule.cookie) for key, rule in back.items()} == {
        rule.key: (rule.actions, rule.cookie) for rule in state.rules
    }
    index, memory = Index(state), Memory(sessions={session.ue: session for session in SESSIONS})
    for number in range(FRAMES):
        frame, port = chance.frame(), PORTS[number % len(PORTS)]
        expected = Run(index, memory.copy(), port, frame, 1.0).go()
        try:
            probed = device.probe(port, frame)
        except DriverError:
            # The kernel takes no frame for a run that claims to be IP and is shorter than its header.
            assert len(frame) < 14 + 40
            continue
        left = [(one.port, one.frame.hex()) for one in probed.outputs]
        assert left == [(out, sent.hex()) for out, sent in expected.outputs], (frame.hex(), port)
        assert list(probed.cookies) == [rule.cookie for rule, _ in expected.rules]


def put(device: Device, *actions: flows.Actions) -> None:
    state = Chance(random.Random(1)).state()
    rule = flows.Rule(table=0, priority=1, match=flows.match(gtp_type=255), actions=actions, cookie=1)
    device.apply(difference(device.read_back().state(), msgspec.structs.replace(state, rules=(rule,)), 1))


def tunnelled(inner: Packet, teid: int = 7) -> bytes:
    outer = IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152, chksum=0)
    return bytes(Ether(src=A, dst=B) / outer / GTP_U_Header(teid=teid, gtp_type=255) / inner)


@pytest.mark.feature("E109")
@pytest.mark.parametrize(("offered", "told"), [(1460, 1416), (1400, 1400)])
def test_a_connection_that_leaves_a_tunnel_leaves_room_for_it(device: Device, offered: int, told: int) -> None:
    put(device, flows.GtpDecap(eth_src=1, eth_dst=2), flows.Output(port=2))
    syn = IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=5, dport=80, flags="S", options=[("MSS", offered)])
    (left,) = device.probe(1, tunnelled(syn)).outputs
    seen = Ether(left.frame)
    assert dict(seen[TCP].options)["MSS"] == told
    again = seen.copy()
    del again[TCP].chksum
    assert bytes(again) == left.frame


@pytest.mark.feature("E109", "C39")
def test_a_teid_that_is_given_anew_no_longer_leads_to_the_user_before(device: Device) -> None:
    put(device, flows.GtpLearn(way=flows.Way.UP), flows.Output(port=2))
    assert device._generation
    for ue in ("10.45.0.2", "10.45.0.3"):
        device._generation.main.run(tunnelled(IP(src=ue, dst="10.9.0.10") / UDP(), teid=0x99), cb=(1,))
    learned = {one.ue: one for one in device.read_back().sessions if one.origin is flows.Origin.LEARNED}
    assert set(learned) == {"10.45.0.3"}
    up = learned["10.45.0.3"].up
    assert up
    assert (up.teid, up.src, up.dst) == (0x99, "10.1.0.1", "10.1.0.2")
    device._generation.main.run(tunnelled(IP(src="10.45.0.4", dst="10.9.0.10") / UDP(), teid=0x98), cb=(1,))
    device.put_sessions([], ["10.45.0.3", "10.45.0.4"])
    assert [one for one in device.read_back().sessions if one.origin is flows.Origin.LEARNED] == []
