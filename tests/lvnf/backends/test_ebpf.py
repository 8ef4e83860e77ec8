"""Functions in the kernel on real ports: frames, tags, copies, changes under load, life and death."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from benchmarks import packets
from skerry.dataplane.ebpf.kernel import Link, Program
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, UnsupportedError
from skerry.linux import namespaces, offload
from skerry.lvnf import wire
from skerry.lvnf.backend import Place
from skerry.lvnf.backends import ebpf
from skerry.lvnf.backends.ebpf import NEXT, NOTE, EbpfBackend, Note
from skerry.lvnf.checking import read
from tests.lvnf.backends import starter
from tests.lvnf.backends.wires import Ends, until, wired

pytestmark = [
    pytest.mark.real,
    pytest.mark.feature("C28"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
INNER = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello")
FRAME = bytes(Ether(src=A, dst=B) / INNER)
COUNT = "FromDevice(eth0) -> c :: Counter -> ToDevice(eth1);"


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    with wired(f"e{abs(hash(request.node.name)) % 10**6}") as found:
        yield found


@pytest.fixture
def place(ends: Ends, tmp_path: Path) -> Place:
    return Place(name="one", folder=tmp_path / "one", namespace=ends.namespace)


@pytest.fixture
def backend() -> EbpfBackend:
    return EbpfBackend()


def pinned(place: Place) -> list[Path]:
    home = ebpf._home(place)
    return [home] if home.exists() else []


def drained(end: socket.socket) -> None:
    """Nothing is waiting to be read."""
    end.setblocking(False)
    try:
        while end.recv(1 << 16):
            continue
    except BlockingIOError:
        end.settimeout(20)


@pytest.mark.feature("C75")
def test_frames_pass_are_counted_and_need_no_process(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    one = backend.start(read(COUNT), place)
    assert ends.passes(FRAME) == FRAME
    assert (one.read("c", "count"), one.read("c", "byte_count")) == ("1", str(len(FRAME)))
    usage = one.usage()
    assert (0 < usage.memory_bytes < 1 << 20, usage.pids) == (True, 0)
    one.stop()
    one.stop()
    assert not one.alive()


@pytest.mark.parametrize(
    "frame",
    [
        bytes(Ether(src=A, dst=B) / Dot1Q(vlan=5, prio=3) / INNER),
        bytes(Ether(src=A, dst=B) / Dot1AD(vlan=6) / Dot1Q(vlan=7) / INNER),
        bytes(Ether(src=A, dst=B) / Dot1Q(vlan=8) / ARP(pdst="10.0.0.1")),
    ],
)
def test_tags_that_the_kernel_takes_off_are_part_of_the_frame(
    ends: Ends, backend: EbpfBackend, place: Place, frame: bytes
) -> None:
    text = """FromDevice(eth0) -> c :: Counter -> k :: Classifier(12/8100, 12/88a8, -);
        k[0] -> a :: Counter -> ToDevice(eth1); k[1] -> VLANEncap(9) -> ToDevice(eth1); k[2] -> Discard;"""
    one = backend.start(read(text), place)
    seen = ends.passes(frame)
    assert one.read("c", "byte_count") == str(len(frame))
    # The far end is a socket, for which the kernel takes the outermost tag off again.
    outer = frame[:12] + (b"\x81\x00\0\x09" + frame[12:] if frame[12] == 0x88 else frame[12:])
    assert seen == outer[:12] + outer[16:]
    one.replace(read("FromDevice(eth0) -> VLANDecap -> VLANDecap -> VLANDecap -> c :: Counter -> ToDevice(eth1);"))
    assert ends.passes(frame)[12:14] in (b"\x08\x00", b"\x08\x06", b"\x81\x00")
    assert one.read("c", "count") == "2"
    one.stop()


def test_copies_and_frames_that_grow_and_shrink(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    head = f"EtherEncap(0x0800, {A}, {B})"
    text = f"""FromDevice(eth0) -> t :: Tee(3);
        t[0] -> Strip(14) -> GTPEncap(7) -> UDPIPEncap(1.1.1.1, 2152, 2.2.2.2, 2152) -> {head} -> ToDevice(eth1);
        t[1] -> ToDevice(eth1);
        t[2] -> Strip(14) -> {head} -> Strip(3) -> Unstrip(3) -> ToDevice(eth0);"""
    one = backend.start(read(text), place)
    for frame in (FRAME, bytes(Ether(src=A, dst=B) / ARP()), FRAME + bytes(1200)):
        tunnelled = Ether(ends.passes(frame))
        assert bytes(tunnelled[GTP_U_Header].payload) == frame[14:]
        assert ends.next(ends.right) == frame
        assert ends.next(ends.left) == bytes(Ether(src=A, dst=B, type=0x0800)) + frame[14:]
    one.replace(
        read(
            f"FromDevice(eth0) -> Strip(14) -> CheckIPHeader -> Strip(28) -> g :: GTPDecap -> {head} -> ToDevice(eth1);"
        )
    )
    assert ends.passes(bytes(tunnelled))[14:] == (FRAME + bytes(1200))[14:]
    assert one.read("g", "teid") == "7"
    one.stop()


def test_handlers_are_listed_read_and_written(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    text = "FromDevice(eth0) -> s :: Switch(0); s[0] -> ToDevice(eth1); s[1] -> ToDevice(eth0);"
    one = backend.start(read(text), place)
    listed = {(handler.element, handler.name): handler.kind for handler in one.handlers()}
    assert listed["s", "switch"] == "both"
    assert (one.read("", "list").split()[0], one.read("s", "class"), one.read("s", "config")) == ("4", "Switch", "0")
    assert one.read("", "driver") == "ebpf"
    one.write("s", "switch", "1")
    ends.left.send(FRAME)
    assert ends.next(ends.left) == FRAME
    with pytest.raises(InvalidError, match="cannot take '7' as an output"):
        one.write("s", "switch", "7")
    for element, handler in (("s", "speed"), ("x", "switch"), ("", "speed")):
        with pytest.raises(NotFoundError, match="cannot find the handler"):
            one.read(element, handler)
    with pytest.raises(NotFoundError):
        one.write("s", "class", "1")
    one.write("", "stop", "")
    assert not one.alive()
    with pytest.raises(ConflictError, match="it is not running"):
        one.read("s", "switch")


@pytest.mark.feature("C75")
def test_a_change_loses_no_packet_and_keeps_what_was_counted(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    one = backend.start(read(COUNT), place)
    done, sent, seen = threading.Event(), 0, 0

    def send() -> None:
        nonlocal sent
        while not done.is_set():
            ends.left.send(FRAME)
            sent += 1

    def take() -> None:
        nonlocal seen
        ends.right.settimeout(0.5)
        while True:
            try:
                ends.next(ends.right)
                seen += 1
            except TimeoutError:
                if done.is_set():
                    return

    threads = [threading.Thread(target=send), threading.Thread(target=take)]
    for thread in threads:
        thread.start()
    many = " -> ".join(f"n{number} :: Counter" for number in range(70))
    for text in (COUNT.replace("-> c", "-> Null -> c"), COUNT.replace("-> c", f"-> {many} -> c"), COUNT):
        until(lambda before=sent: sent > before + 100, "packets flow")
        one.replace(read(text))
    until(lambda before=sent: sent > before + 100, "packets flow")
    done.set()
    for thread in threads:
        thread.join()
    assert seen == sent
    assert one.read("c", "count") == str(sent)
    one.stop()


def test_what_handlers_set_outlives_a_change_unless_the_configuration_says_otherwise(
    ends: Ends, backend: EbpfBackend, place: Place
) -> None:
    text = "FromDevice(eth0) -> r :: RandomSample(1) -> p :: Paint(1) -> q :: CheckPaint(1) -> ToDevice(eth1);"
    one = backend.start(read(text), place)
    assert ends.passes(FRAME) == FRAME
    one.write("p", "color", "4")
    one.write("q", "color", "4")
    one.replace(read(text.replace("RandomSample(1)", "RandomSample(0.25)")))
    assert [one.read("p", "color"), one.read("q", "color")] == ["4", "4"]
    assert (one.read("r", "count"), one.read("r", "sampling_prob")) == ("1", "0.25")
    one.replace(read(text.replace("Paint(1) ->", "Paint(2) ->")))
    assert (one.read("p", "color"), one.read("r", "count"), one.read("r", "sampling_prob")) == ("2", "1", "1")
    with pytest.raises(UnsupportedError, match="keeps packets for later"):
        one.replace(read("FromDevice(eth0) -> Queue -> ToDevice(eth1);"))
    assert one.read("p", "color") == "2"
    one.stop()


@pytest.mark.feature("C36")
def test_ports_come_and_go_with_a_change(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    one = backend.start(read(COUNT), place)
    one.replace(read("FromDevice(eth1) -> c :: Counter -> ToDevice(eth0);"))
    ends.right.send(FRAME)
    assert ends.next(ends.left) == FRAME
    ends.left.send(FRAME)
    one.replace(read(COUNT + " FromDevice(eth1) -> d :: Counter -> ToDevice(eth0);"))
    assert ends.passes(FRAME) == FRAME
    ends.right.send(FRAME)
    assert ends.next(ends.left) == FRAME
    assert (one.read("c", "count"), one.read("d", "count")) == ("2", "1")
    one.stop()


def test_it_goes_on_when_its_starter_is_killed_and_is_found_again(ends: Ends, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.lvnf.backends.starter", str(tmp_path), str(ends.namespace)]
    where = starter.place(tmp_path, ends.namespace)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert ends.passes(FRAME) == FRAME
        process.kill()
    assert ends.passes(FRAME) == FRAME
    found = EbpfBackend().adopt(where)
    assert found is not None
    assert (found.read("c", "count"), found.graph) == ("2", read(starter.TEXT))
    programs = [Program.lives(id) for id in found._note.programs.values()]
    assert programs == [True, True]
    found.stop()
    assert pinned(where) == []
    assert not any((tmp_path / name).exists() for name in (NOTE, NEXT))
    until(lambda: not any(Program.lives(id) for id in found._note.programs.values()), "the programs are gone")
    drained(ends.right)
    ends.left.send(FRAME)
    ends.right.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ends.next(ends.right)
    assert EbpfBackend().adopt(where) is None


def test_a_change_that_was_cut_off_is_carried_out(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    both = COUNT + " FromDevice(eth1) -> d :: Counter -> ToDevice(eth0);"
    one = backend.start(read(both), place)
    assert ends.passes(FRAME) == FRAME
    wanted = read(both.replace("-> d", "-> Null -> d"))
    note = msgspec.json.decode((place.folder / NOTE).read_bytes(), type=Note)
    other = Program.load(b"\xb7\0\0\0\2\0\0\0\x95\0\0\0\0\0\0\0", "other")
    half = msgspec.structs.replace(
        note, graph=msgspec.Raw(wire.packed(wanted)), programs={**note.programs, "eth0": other.id, "eth1": 1}
    )
    (place.folder / NEXT).write_bytes(msgspec.json.encode(half))
    found = backend.adopt(place)
    assert found is not None
    assert found.graph == read(both)  # nothing of the change had happened
    (place.folder / NEXT).write_bytes(msgspec.json.encode(half))
    link = Link.open(ebpf._pin(place, "eth0"))
    link.replace(other)
    link.close()
    other.close()
    assert not one.alive()
    found = backend.adopt(place)
    assert found is not None
    assert found.graph == wanted
    assert ends.passes(FRAME) == FRAME
    assert found.read("c", "count") == "2"
    found.stop()


def test_nothing_stays_of_what_cannot_start(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    with pytest.raises(DriverError, match="there is no interface eth7 for its port eth7"):
        backend.start(read("FromDevice(eth0) -> ToDevice(eth7);"), place)
    with pytest.raises(UnsupportedError, match="Queue@2"):
        backend.start(read("FromDevice(eth0) -> Queue -> ToDevice(eth1);"), place)
    gone = Place(name="one", folder=place.folder, namespace=namespaces.place("skt-nowhere"))
    with pytest.raises(DriverError, match="there is no network namespace"):
        backend.start(read(COUNT), gone)
    assert pinned(place) == []
    assert backend.adopt(place) is None


def test_a_start_takes_away_what_an_earlier_one_left(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    first = backend.start(read(COUNT), place)
    ids = list(first._note.programs.values())
    second = backend.start(
        read(COUNT), Place(**{**msgspec.structs.asdict(place), "devices": {"eth0": "eth1", "eth1": "eth0"}})
    )
    assert len(pinned(place)) == 1
    ends.right.send(FRAME)
    assert ends.next(ends.left) == FRAME
    until(lambda: not any(Program.lives(id) for id in ids), "the first is gone")
    second.stop()


def test_senders_compute_checksums_while_it_runs(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    def offloaded() -> bool:
        with namespaces.inside(ends.outer):
            return offload.transmit_checksums("far0")

    assert offloaded()
    one = backend.start(read(COUNT), place)
    assert not offloaded()
    one.stop()
    assert offloaded()


def test_a_function_without_its_port_is_not_alive(ends: Ends, backend: EbpfBackend, place: Place) -> None:
    one = backend.start(read(COUNT), place)
    with namespaces.inside(ends.outer):
        subprocess.run(["ip", "link", "delete", "far0"], check=True)
    until(lambda: not one.alive(), "it is known to be dead")
    assert backend.adopt(place) is None
    with pytest.raises(ConflictError):
        one.replace(read(COUNT))
    one.stop()
    assert pinned(place) == []


def test_what_lost_its_ports_and_its_folder_is_swept_away(
    ends: Ends, backend: EbpfBackend, place: Place, tmp_path: Path
) -> None:
    one = backend.start(read(COUNT), place)
    lost = Place(name="lost", folder=tmp_path / "lost", namespace=ends.namespace)
    backend.start(read("FromDevice(eth1) -> Discard;"), lost)
    with namespaces.inside(ends.outer):
        subprocess.run(["ip", "link", "delete", "far1"], check=True)
    shutil.rmtree(lost.folder)
    until(lambda: not ebpf._leads_somewhere(ebpf._pin(lost, "eth1")), "its port is gone")
    other = Place(name="other", folder=tmp_path / "other", namespace=ends.namespace)
    EbpfBackend().start(read("FromDevice(eth0) -> Discard;"), other).stop()
    assert pinned(lost) == []
    assert one.alive()
    one.stop()


NAT = """FromDevice(eth0) -> in :: Classifier(12/0800, -); in[1] -> right :: ToDevice(eth1);
    FromDevice(eth1) -> back :: Classifier(12/0800, -); back[1] -> left :: ToDevice(eth0);
    in[0] -> Strip(14) -> h :: CheckIPHeader -> [0] r :: IPRewriter(pattern 10.7.0.9 2000-3000 - - 0 1, drop);
    back[0] -> Strip(14) -> CheckIPHeader -> [1] r; r[0] -> Unstrip(14) -> right; r[1] -> Unstrip(14) -> left;"""


@pytest.fixture
def hosts() -> Iterator[tuple[Path, Path, Path]]:
    """A client, a function's namespace, a server, one after the other; the server knows who 10.7.0.9 is."""
    with packets.places("client", "function", "server") as (client, function, server):
        for host, port, number in ((client, "eth0", 1), (server, "eth1", 2)):
            packets.pair(function, port, host, "far0")
            lines = ["link set far0 address 02:00:00:00:00:0{number}", "addr add 10.7.0.{number}/24 dev far0"]
            for line in lines:
                subprocess.run(["ip", "-n", host.name, *line.format(number=number).split()], check=True)
        neighbour = "neigh add 10.7.0.9 lladdr 02:00:00:00:00:01 dev far0"
        subprocess.run(["ip", "-n", server.name, *neighbour.split()], check=True)
        yield client, function, server


def test_a_connection_of_the_kernels_own_passes_address_translation(
    hosts: tuple[Path, Path, Path], backend: EbpfBackend, tmp_path: Path
) -> None:
    client, function, server = hosts
    one = backend.start(read(NAT), Place(name="nat", folder=tmp_path / "nat", namespace=function))
    with namespaces.inside(server):
        listening = socket.create_server(("10.7.0.2", 99))
    with namespaces.inside(client):
        calling = socket.socket()
    data = bytes(range(256)) * 8192
    echoed = bytearray()
    with listening, calling:
        calling.settimeout(20)
        listening.settimeout(20)
        calling.connect(("10.7.0.2", 99))
        answering, address = listening.accept()
        with answering:
            sender = threading.Thread(target=lambda: (calling.sendall(data), calling.shutdown(socket.SHUT_WR)))
            sender.start()
            answering.settimeout(20)
            while part := answering.recv(1 << 16):
                echoed += part
            sender.join()
    assert bytes(echoed) == data
    assert address == ("10.7.0.9", 2000)
    assert (one.read("r", "nmappings"), one.read("h", "drops")) == ("1", "0")
    one.stop()
