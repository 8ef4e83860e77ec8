"""Functions as processes: real packets in network namespaces, real processes, real deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.lvnf.backend import Place
from skerry.lvnf.backends import talk
from skerry.lvnf.backends.files import TROUBLE, identify
from skerry.lvnf.backends.process import ProcessBackend, ProcessRunning
from skerry.lvnf.checking import read
from tests.lvnf.backends.wires import Ends, until, wired

pytestmark = pytest.mark.real

FORWARD = "FromDevice(eth0) -> c :: Counter -> ToDevice(eth1);"
BOTH_WAYS = "FromDevice(eth0) -> c :: Counter -> ToDevice(eth1); FromDevice(eth1) -> back :: Counter -> ToDevice(eth0);"
FRAME = bytes.fromhex("0200000000aa 0200000000bb 88b5") + bytes(range(50))


@pytest.fixture
def ends() -> Iterator[Ends]:
    with wired("p") as made:
        yield made


@pytest.fixture
def backend() -> Iterator[ProcessBackend]:
    made = ProcessBackend()
    yield made
    made.close()


@pytest.fixture
def place(ends: Ends, tmp_path: Path) -> Iterator[Place]:
    # the path is longer than the address of a Unix socket can be
    folder = tmp_path / ("deep" * 20) / "f"
    made = Place(name="f", folder=folder, namespace=ends.namespace, devices={"eth0": "eth0", "eth1": "eth1"})
    yield made
    if running := ProcessBackend().adopt(made):
        running.stop()


@pytest.mark.feature("C28", "C75")
def test_forwards_counts_and_ends(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    running = backend.start(read(FORWARD), place)
    assert ends.passes(FRAME) == FRAME
    assert (running.read("c", "count"), running.read("c", "byte_count")) == ("1", "64")
    running.write("c", "reset", "")
    assert running.read("c", "count") == "0"
    assert {"count", "reset"} <= {one.name for one in running.handlers() if one.element == "c"}
    usage = running.usage()
    assert 0 < usage.memory_bytes < 40 << 20
    assert usage.pids == 1
    running.stop()
    running.stop()
    assert not running.alive()
    with pytest.raises(ConflictError, match="it has stopped"):
        running.read("c", "count")


@pytest.mark.feature("C28")
def test_tags_come_through(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    backend.start(read(FORWARD), place)
    with namespaces.inside(ends.outer):
        tap = Tap("far1")
    tagged = FRAME[:12] + bytes.fromhex("8100a064") + FRAME[12:]
    ends.left.send(tagged)
    seen: list[bytes] = []

    def came() -> bool:
        seen.extend(frame for left, frame in tap.frames() if not left)
        return bool(seen)

    until(came, "nothing comes")
    tap.close()
    assert seen == [tagged]


@pytest.mark.feature("C28")
def test_runs_without_privileges(backend: ProcessBackend, place: Place) -> None:
    running = backend.start(read(FORWARD), place)
    status = Path(f"/proc/{running.pid}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(facts["Uid"].split()).isdisjoint({"0", str(os.getuid())})
    assert len(set(facts["Uid"].split())) == 1
    assert facts["Groups"].strip() == ""
    assert facts["CapEff"] == "0" * 16
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.feature("C28", "C80")
def test_functions_cannot_end_each_other(backend: ProcessBackend, ends: Ends, place: Place, tmp_path: Path) -> None:
    second = Place(name="g", folder=tmp_path / "g", namespace=ends.namespace)
    one, other = backend.start(read(FORWARD), place), backend.start(read("Idle -> Discard;"), second)
    try:
        status = Path(f"/proc/{other.pid}/status").read_text()
        user = int(status.partition("\nUid:\t")[2].split()[0])
        ending = ["/bin/sh", "-c", f"kill -9 {one.pid}"]
        tried = subprocess.run(
            ending, user=user, group=65534, extra_groups=[], capture_output=True, text=True, check=False
        )
        assert "not permitted" in tried.stderr
        assert one.alive()
    finally:
        other.stop()


@pytest.mark.feature("C28", "C80")
def test_who_wants_more_memory_than_it_may_ends(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    hoarding = "FromDevice(eth0) -> q :: Queue(1000000) -> RatedUnqueue(RATE 1) -> Discard;"
    free = backend.start(read(hoarding), place)
    _hoarded(ends, 48 << 20, free)
    assert free.alive()
    held = free.usage().memory_bytes
    assert held > 40 << 20
    free.stop()
    limited = backend.start(read(hoarding), msgspec.structs.replace(place, memory_bytes=8 << 20))
    _hoarded(ends, 48 << 20, limited)
    until(lambda: not limited.alive(), "it has all the memory that it wants")
    assert "MemoryError" in (place.folder / TROUBLE).read_text()


def _hoarded(ends: Ends, bytes_in_all: int, running: ProcessRunning) -> None:
    """Send so much, or until the function has ended."""
    frame = FRAME + bytes(1400)
    for number in range(bytes_in_all // len(frame)):
        if number % 50 == 0:
            try:
                until(lambda least=number * 9 // 10: int(running.read("q", "length")) >= least, "frames do not arrive")  # type: ignore[misc]
            except ConflictError:
                return
        ends.left.send(frame)


@pytest.mark.feature("C28")
def test_a_start_takes_away_what_an_earlier_one_left(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    first = backend.start(read(FORWARD), place)
    second = backend.start(read(FORWARD), place)
    assert first.pid != second.pid
    assert not first.alive()
    assert ends.passes(FRAME) == FRAME
    assert second.read("c", "count") == "1"


@pytest.mark.feature("C28")
def test_what_cannot_run_is_refused(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    with pytest.raises(InvalidError, match="no port eth7"):
        backend.start(read("FromDevice(eth7) -> Discard;"), place)
    assert backend.adopt(place) is None
    gone = Place(name="g", folder=place.folder, namespace=ends.namespace, devices={"eth0": "nosuch"})
    with pytest.raises(DriverError, match="cannot start g"):
        backend.start(read("FromDevice(eth0) -> Discard;"), gone)
    running = backend.start(read(FORWARD), place)
    with pytest.raises(InvalidError, match="no port eth9"):
        running.replace(read("FromDevice(eth9) -> Discard;"))
    with pytest.raises(NotFoundError):
        running.read("c", "nosuch")
    with pytest.raises(NotFoundError):
        running.write("nosuch", "count", "1")
    assert ends.passes(FRAME) == FRAME


@pytest.mark.feature("C28")
def test_a_configuration_that_says_stop_ends(backend: ProcessBackend, place: Place) -> None:
    running = backend.start(read(FORWARD), place)
    running.write("", "stop", "")
    until(lambda: not running.alive(), "it goes on")
    assert running.said_stop()


@pytest.mark.feature("C28", "C29")
def test_a_hot_swap_loses_no_packet_and_keeps_state(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    running = backend.start(read(BOTH_WAYS), place)
    total, seen, done = 4000, set[int](), threading.Event()

    def receive() -> None:
        while len(seen) < total and not done.is_set():
            seen.add(int.from_bytes(ends.next(ends.right)[14:18], "big"))

    receiver = threading.Thread(target=receive)
    receiver.start()
    swaps = 0
    for number in range(total):
        ends.left.send(FRAME[:14] + number.to_bytes(4, "big") + bytes(42))
        if number % 400 == 200:
            swaps += 1
            running.replace(read(BOTH_WAYS if swaps % 2 else BOTH_WAYS.replace("-> back", "-> Null -> back")))
        if number % 50 == 0:
            time.sleep(0.002)  # the load is below what one process forwards: nothing else may lose
    receiver.join(20.0)
    done.set()
    assert len(seen) == total
    assert swaps == 10
    assert running.read("c", "count") == str(total)


@pytest.mark.feature("C28")
def test_a_killed_function_is_seen_dead(backend: ProcessBackend, place: Place) -> None:
    running = backend.start(read(FORWARD), place)
    assert running.alive()
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: not running.alive(), "it lives")
    assert backend.adopt(place) is None
    assert not running.said_stop()


@pytest.mark.feature("C28")
def test_it_goes_on_when_its_node_is_killed_and_is_adopted(ends: Ends, place: Place) -> None:
    program = f"""
        import sys, time
        from pathlib import Path
        from skerry.lvnf.backend import Place
        from skerry.lvnf.backends.process import ProcessBackend
        from skerry.lvnf.checking import read
        place = Place(name="f", folder=Path({str(place.folder)!r}), namespace=Path({str(ends.namespace)!r}),
                      devices={{"eth0": "eth0", "eth1": "eth1"}})
        running = ProcessBackend().start(read({FORWARD!r}), place)
        print(running.pid, flush=True)
        time.sleep(600)
    """
    node = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    pid = int(node.stdout.readline())
    assert ends.passes(FRAME) == FRAME
    node.kill()
    node.communicate()
    assert ends.passes(FRAME) == FRAME
    adopted = ProcessBackend().adopt(place)
    assert isinstance(adopted, ProcessRunning)
    assert adopted.pid == pid
    assert adopted.graph == read(FORWARD)
    assert adopted.read("c", "count") == "2"
    adopted.detach()
    assert identify(pid) is not None


@pytest.mark.feature("C38")
def test_tools_speak_to_its_control_socket(backend: ProcessBackend, place: Place) -> None:
    backend.start(read(FORWARD), place)
    with talk.connect(place.folder, "control") as tool:
        tool.sendall(b"READ c.count\r\nQUIT\r\n")
        answer = b"".join(iter(lambda: tool.recv(4096), b""))
    assert answer == (b"Click::ControlSocket/1.3\r\n200 Read handler 'c.count' OK\r\nDATA 1\r\n0" + b"200 Goodbye!\r\n")


@pytest.mark.feature("C38")
def test_hostile_clients_harm_nobody(backend: ProcessBackend, ends: Ends, place: Place) -> None:
    running = backend.start(read(FORWARD), place)
    crowd = [talk.connect(place.folder, "control") for _ in range(40)]
    for tool in crowd[:10]:
        tool.sendall(os.urandom(200_000))
    with talk.connect(place.folder, "node") as line:
        line.sendall(b"\xff" * 64)
        assert line.recv(10) == b""
    with talk.connect(place.folder, "node") as line:
        line.sendall(b"\0\0\0\x05{nope")
        assert line.recv(10) == b""
    assert ends.passes(FRAME) == FRAME
    for tool in crowd:
        tool.close()
    assert running.read("c", "count") == "1"
