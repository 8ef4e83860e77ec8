"""The demo's part about edge applications: one is deployed, and its users' traffic and a name lead to it until it ends.

A user sends packets through a GTP-U tunnel without a pause. What comes out towards the core, and what comes back to the base
station, is seen by raw sockets at the far ends of the switch's ports, in a network namespace of its own; names are asked
with `dig`. The application's own interface is a port of the switch by itself.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

UE, SERVER, PORT = "10.45.0.7", "203.0.113.5", 80
BASE_STATION, CORE = "192.0.2.101", "192.0.2.102"
SIDES = {"ran": "RAN", "core": "CORE"}
PACKAGE = Path(__file__).parents[1] / "mec" / "detour"
NAME = "detour.edge.example"
ETH_P_ALL = 3


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _ip(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def _tunnelled(source: str, target: str, teid: int, inner: bytes, macs: str) -> bytes:
    gtp = struct.pack("!BBHI", 0x30, 255, len(inner), teid) + inner
    outer = _ip(source, target, 17, struct.pack("!HHHH", 2152, 2152, 8 + len(gtp), 0) + gtp)
    return bytes.fromhex(macs) + b"\x08\x00" + outer


def of_user() -> bytes:
    """A frame of a base station: the first segment of a user's connection, in the user's tunnel."""
    ends = socket.inet_aton(UE) + socket.inet_aton(SERVER)
    head = struct.pack("!HHIIBBHHH", 40_000, PORT, 1, 0, 5 << 4, 2, 8192, 0, 0)
    sum_ = _checksum(ends + struct.pack("!HH", 6, len(head)) + head)
    inner = _ip(UE, SERVER, 6, head[:16] + struct.pack("!H", sum_) + head[18:])
    return _tunnelled(BASE_STATION, CORE, 4711, inner, "020000000002020000000001")


def of_core() -> bytes:
    """A frame of the core to the user: it teaches the switch the tunnel that leads to him."""
    inner = _ip(SERVER, UE, 17, struct.pack("!HHHH", 9_001, 40_000, 8, 0))
    return _tunnelled(CORE, BASE_STATION, 1174, inner, "020000000001020000000002")


def _is_answer(frame: bytes) -> bool:
    """Whether a frame towards the base station holds the server's SYN and ACK for the user, in the tunnel."""
    syn_and_ack, inner = 0x12, frame[14 + 20 + 8 + 8 :]
    segment = inner[20:]
    return (
        inner[9:10] == b"\x06" and inner[12:16] == socket.inet_aton(SERVER) and segment[13:14] == bytes([syn_and_ack])
    )


class Line:
    """A line from base stations to the core with the switch in it, and a user who sends all the time."""

    def __init__(self, near: str, name: str) -> None:
        self.near, self.far = near, f"skerry-{name}-world"
        self.seen = dict.fromkeys((*SIDES, "answers"), 0)
        self._sockets: dict[str, socket.socket] = {}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def build(self) -> None:
        """Namespaces, and a pair of interfaces for each port."""
        for namespace in (self.near, self.far):
            if not Path("/run/netns", namespace).exists():
                _run("ip", "netns", "add", namespace)
            inside = ("ip", "netns", "exec", namespace, "sysctl", "-qw")
            _run(*inside, "net.ipv6.conf.default.disable_ipv6=1")
        for number, side in enumerate(SIDES, 1):
            peer = ("peer", "name", f"p{side}", "netns", self.far, "address", f"02:00:00:00:00:0{number}")
            _run("ip", "-n", self.near, "link", "add", f"v{side}", "type", "veth", *peer)
            _run("ip", "-n", self.near, "link", "set", f"v{side}", "up")
            _run("ip", "-n", self.far, "link", "set", f"p{side}", "up")

    def start(self) -> None:
        """The user sends, the far ends are watched."""
        begun = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(begun,), daemon=True)]
        self._threads[0].start()
        begun.wait(5)

    def _live(self, begun: threading.Event) -> None:
        """A thread that moves into the namespace alone."""
        import ctypes  # noqa: PLC0415

        with Path(f"/run/netns/{self.far}").open() as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
        for side in SIDES:
            made = self._sockets[side] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            made.bind((f"p{side}", ETH_P_ALL))
            made.setblocking(False)
        begun.set()
        up, down = of_user(), of_core()
        while not self._over.wait(0.002):
            self._sockets["ran"].send(up)
            self._sockets["core"].send(down)
            for side, one in self._sockets.items():
                frames = _arrived(one)
                self.seen[side] += len(frames)
                self.seen["answers"] += sum(_is_answer(frame) for frame in frames) if side == "ran" else 0

    def reaches_core(self) -> bool:
        """Whether the user's packets come out towards the core now."""
        before = self.seen["core"]
        time.sleep(0.05)
        return self.seen["core"] > before

    def answered(self) -> bool:
        """Whether the user is answered out of his own tunnel, while nothing of his reaches the core."""
        before = dict(self.seen)
        time.sleep(1.5)
        return self.seen["answers"] > before["answers"] and self.seen["core"] == before["core"]

    def end(self) -> None:
        """Take it all down."""
        self._over.set()
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets.values():
            one.close()
        for namespace in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _arrived(one: socket.socket) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            frame, address = one.recvfrom(2048)
        except BlockingIOError:
            return found
        if address[2] != socket.PACKET_OUTGOING:
            found.append(frame)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _answer(server: str) -> str:
    host, _, port = server.partition("#")
    asked = ["dig", f"@{host}", "-p", port, "+short", "+time=2", "+tries=1", NAME]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _files(stage: Any, line: Line) -> tuple[Path, Path]:
    """What the data plane is told: its switch with its ports, and the line through it."""
    ports = [
        {
            "id": side,
            "device": "edge",
            "side": kind,
            "interface": f"v{side}",
            "mac": f"02:00:00:00:00:0{number}",
        }
        for number, (side, kind) in enumerate(SIDES.items(), 1)
    ]
    topology, wire = stage.folder / "edge.json", stage.folder / "line.json"
    topology.write_text(json.dumps({"devices": [{"id": "edge", "namespace": line.near}], "ports": ports}))
    wire.write_text(json.dumps({"kind": "WIRE", "id": "line", "a": "ran", "b": "core", "learn_gtp": True}))
    return topology, wire


def play(stage: Any) -> None:
    """A user behind GTP-U gets an edge application."""
    stage.say("An edge application takes over its users' traffic")
    (vim,) = stage.ask("vim", "list")
    line = Line(stage.ask("vim", "show", vim["id"])["resources"]["namespace"], stage.name)
    try:
        line.build()
        topology, wire = _files(stage, line)
        stage.skerry("dataplane", "topology", str(topology))
        stage.skerry("dataplane", "put", str(wire))
        line.start()
        stage.until(line.reaches_core, "the user's packets pass the switch", 10)
        stage.expect(True, "a user's packets go through the switch to the core, in their tunnel")
        stage.skerry("app", "package", "onboard", os.path.relpath(PACKAGE))
        stage.skerry("app", "create", "detour", "--name", "detour")
        _taken_over(stage, line)
        _given_back(stage, line)
    finally:
        _clear(stage)
        line.end()


def _taken_over(stage: Any, line: Line) -> None:
    begun = time.monotonic()
    stage.skerry("app", "instantiate", "detour")
    stage.until(lambda: not line.reaches_core(), "the user's packets come to the application", 20)
    stage.note("edge application deployed, takes over a flow", time.monotonic() - begun, "none at the core")
    stage.until(line.answered, "the application answers the user", 20)
    stage.expect(True, "the application answers the user, back in the user's tunnel")
    for what in ("platforms", "dns", "rules"):
        stage.skerry("mep", what)
    fields = (f"inner_ipv4_src={UE}", "inner_proto=6", f"inner_l4_dst={PORT}")
    stage.skerry("path", "trace", "ran", *(word for field in fields for word in ("--field", field)))
    server = stage.ask("mep", "dns")["server"]
    own = stage.ask("app", "show", "detour")["addresses"]["users"]
    stage.expect(_answer(server) == own, f"{NAME} leads to the application, says dig")
    stage.expect(all(rule["verified"] for rule in stage.ask("mep", "rules")), "the rule was proven by a probe")


def _given_back(stage: Any, line: Line) -> None:
    server = stage.ask("mep", "dns")["server"]
    begun = time.monotonic()
    stage.skerry("app", "terminate", "detour", "--force")
    stage.until(line.reaches_core, "the user's packets go to the core again", 10)
    stage.note("application ends, flow goes back", time.monotonic() - begun, "user's packets at the core")
    stage.expect(_answer(server) == "", f"{NAME} leads nowhere any more")
    stage.expect(stage.ask("mep", "rules") == [], "no rule is left")


def _clear(stage: Any) -> None:
    """Remove application and switch; what is not there is no fault."""
    skerry = str(Path(sys.executable).with_name("skerry"))
    commands = [
        ("app", "terminate", "detour", "--force"),
        ("app", "delete", "detour"),
        ("app", "package", "delete", "detour", "--force"),
        ("dataplane", "delete", "intent", "line"),
        *(("dataplane", "delete", "port", side) for side in SIDES),
        ("dataplane", "delete", "device", "edge"),
    ]
    for words in commands:
        subprocess.run([skerry, *words], env=stage.env, capture_output=True, check=False)
