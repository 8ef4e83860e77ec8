"""Configurations and frames that nobody thought of: programs of the kernel do what the Python elements do."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from skerry.errors import DriverError, NotFoundError
from skerry.lvnf.bytecode import handling, program
from skerry.lvnf.checking import read
from skerry.lvnf.graph import Graph
from skerry.lvnf.router import Router
from tests.lvnf.bytecode.lab import Lab
from tests.lvnf.chance import configurations, frames

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
_IN_TIME = {"rate", "byte_rate", "bit_rate"}
_ETHERNET, _LONGEST_HEADER = 14, 60


class Reference:
    """The same in Python."""

    def __init__(self, graph: Graph) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.router = Router(
            graph, lambda: 1.0, lambda: 0.5, lambda _: None, lambda device, frame: self.sent.append((device, frame))
        )

    def run(self, frame: bytes, device: str) -> list[tuple[str, bytes]]:
        """What leaves; an interface takes no frame without an Ethernet header."""
        self.sent.clear()
        self.router.receive(device, frame)
        return [one for one in self.sent if len(one[1]) >= _ETHERNET]


@pytest.mark.feature("C28")
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "60")),
    derandomize="EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(text=configurations(), given_frames=st.lists(frames(), min_size=4, max_size=12))
def test_the_same_packets_leave_and_the_same_handlers_tell(text: str, given_frames: list[bytes]) -> None:
    graph = read(text)
    if program.refusals(graph):
        return
    reference = Reference(graph)
    with Lab(graph) as lab:
        devices = list(program.sources(graph))
        for number, frame in enumerate(given_frames):
            device = devices[number % len(devices)]
            try:
                sent = lab.run(frame, device)
            except DriverError:
                # The kernel takes no frame for a run that claims to be IP and is shorter than its header.
                assert len(frame) < _ETHERNET + _LONGEST_HEADER
                continue
            assert sent == reference.run(frame, device), (text, device, frame.hex())
        assert _handlers(lab, graph) == _expected(reference, lab, graph), text


def _handlers(lab: Lab, graph: Graph) -> dict[tuple[str, str], str]:
    return {
        (name, handler): lab.read(name, handler)
        for name, one in graph.elements.items()
        for handler in handling.READS.get(one.class_name, {})
        if handler not in _IN_TIME
    }


def _expected(reference: Reference, lab: Lab, graph: Graph) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for name, handler in _handlers(lab, graph):
        try:
            found[name, handler] = reference.router.read(name, handler)
        except NotFoundError:
            found[name, handler] = "(no such handler)"
    return found
