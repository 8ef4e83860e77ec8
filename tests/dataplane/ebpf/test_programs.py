"""Rules and frames that nobody thought of, odd ones too: the programs do what the reference interpreter does."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from skerry.dataplane.driver import DeviceSpec
from skerry.dataplane.ebpf.device import Attached, Device
from skerry.dataplane.ebpf.kernel import BPFFS, ensure_bpffs
from skerry.dataplane.interpreter import Index, Memory, Run
from skerry.dataplane.state import difference
from skerry.errors import DriverError
from tests.dataplane.ebpf.chance import DEVICE, PORTS, SESSIONS, Chance

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
