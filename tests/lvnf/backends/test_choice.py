"""Which back end runs a graph."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from skerry.errors import InvalidError
from skerry.lvnf.backend import Place, Running
from skerry.lvnf.backends.choice import ORDER, Backends, explained
from skerry.lvnf.backends.click import ClickBackend, program
from skerry.lvnf.backends.process import ProcessBackend
from skerry.lvnf.checking import read
from skerry.lvnf.graph import Graph
from tests.lvnf.backends.test_process import FORWARD, FRAME, backend, ends, place  # noqa: F401 - fixtures
from tests.lvnf.backends.wires import Ends

pytestmark = pytest.mark.feature("C28")


class Picky(ProcessBackend):
    """Refuses what it is told to refuse."""

    def __init__(self, name: str, *reasons: str) -> None:
        super().__init__()
        self.name, self.reasons = name, reasons

    def refusals(self, graph: Graph) -> Sequence[str]:
        return self.reasons


def test_the_first_that_refuses_nothing_is_taken_and_says_why() -> None:
    backends = Backends({"click": Picky("click"), "process": Picky("process", "q is a Queue", "s is a Script")})
    found, why = backends.choose(read(FORWARD))
    assert found.name == "click"
    assert why == ("process: q is a Queue", "process: s is a Script", "click: it runs the whole configuration")
    assert explained(why).startswith("process: q is a Queue; ")
    found, why = backends.choose(read(FORWARD), "click")
    assert why == ("click: the descriptor asks for it",)
    with pytest.raises(InvalidError, match="with process: process: q is a Queue") as refused:
        backends.choose(read(FORWARD), "process")
    assert [fault.message for fault in refused.value.faults] == ["process: q is a Queue", "process: s is a Script"]
    with pytest.raises(InvalidError, match="back end 'nosuch'"):
        backends.choose(read(FORWARD), "nosuch")
    backends.close()


def test_this_machine_has_them_in_the_order_of_their_cost() -> None:
    backends = Backends()
    assert backends.names() == ORDER == ("ebpf", "process", "click")
    assert backends.choose(read(FORWARD))[0].name == "ebpf"
    queued = read("FromDevice(eth0) -> Queue -> ToDevice(eth1);")
    found, why = backends.choose(queued)
    assert found.name == "process"
    assert why[0].startswith("ebpf: ")
    assert why[-1] == "process: it runs the whole configuration"
    backends.close()


@pytest.mark.real
def test_click_itself(ends: Ends, place: Place) -> None:  # noqa: F811 - the fixtures
    if not program():
        assert ClickBackend().refusals(read(FORWARD)) == ("the Click modular router is not installed",)
        pytest.skip("the Click modular router is not installed")
    running: Running = ClickBackend().start(read(FORWARD), place)
    assert ends.passes(FRAME) == FRAME
    assert running.read("c", "count") == "1"
    running.replace(read(FORWARD))
    assert running.read("c", "count") == "1"
    adopted = ClickBackend().adopt(place)
    assert adopted is not None
    adopted.stop()
    assert not running.alive()
