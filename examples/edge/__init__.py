"""The demo's part about edge applications: one makes a name lead to itself and the traffic of its users, then leaves.

A user sends packets through a GTP-U tunnel without a pause. What comes out towards the core and at the application is seen by
raw sockets at the far ends of the switch's ports, in a network namespace of its own; names are asked with `dig`.
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

UE, APP, SERVER, PORT = "10.45.0.7", "10.0.0.9", "203.0.113.5", 80
SIDES = {"ran": "RAN", "core": "CORE", "app": "VNFC"}
APPLICATION = Path(__file__).parents[1] / "mec" / "steering.py"
NAME = "video.example.com"
ETH_P_ALL = 3


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _ip(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def of_user() -> bytes:
    """A frame of a base station: the first packet of a user's connection, in the user's tunnel."""
    inner = _ip(UE, SERVER, 6, struct.pack("!HHIIBBHHH", 40_000, PORT, 1, 0, 5 << 4, 2, 8192, 0, 0))
    gtp = struct.pack("!BBHI", 0x30, 255, len(inner), 4711) + inner
    outer = _ip("192.0.2.101", "192.0.2.102", 17, struct.pack("!HHHH", 2152, 2152, 8 + len(gtp), 0) + gtp)
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + outer


class Line:
    """A line from base stations to the core with the switch in it, and a user who sends all the time."""

    def __init__(self, name: str) -> None:
        self.near, self.far = f"skerry-{name}-edge", f"skerry-{name}-world"
        self.seen = dict.fromkeys(SIDES, 0)
        self._sockets: dict[str, socket.socket] = {}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def build(self) -> None:
        """Namespaces, and a pair of interfaces for each port."""
        for namespace in (self.near, self.far):
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
        frame = of_user()
        while not self._over.wait(0.002):
            self._sockets["ran"].send(frame)
            for side, one in self._sockets.items():
                self.seen[side] += _arrived(one)

    def flows_to(self, side: str) -> bool:
        """Whether the user's packets come out there, and nowhere else, now."""
        before = dict(self.seen)
        time.sleep(0.05)
        others = [other for other in SIDES if other not in (side, "ran")]
        return self.seen[side] > before[side] and all(self.seen[other] == before[other] for other in others)

    def end(self) -> None:
        """Take it all down."""
        self._over.set()
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets.values():
            one.close()
        for namespace in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _arrived(one: socket.socket) -> int:
    count = 0
    while True:
        try:
            count += one.recvfrom(2048)[1][2] != socket.PACKET_OUTGOING
        except BlockingIOError:
            return count


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
            **({"ips": [APP]} if side == "app" else {}),
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
    line = Line(stage.name)
    application: subprocess.Popen[bytes] | None = None
    try:
        line.build()
        topology, wire = _files(stage, line)
        stage.skerry("dataplane", "topology", str(topology))
        stage.skerry("dataplane", "put", str(wire))
        line.start()
        stage.until(lambda: line.flows_to("core"), "the user's packets pass the switch", 10)
        stage.expect(True, "a user's packets go through the switch to the core, in their tunnel")
        application = _start(stage)
        _taken_over(stage, line)
        application.terminate()
        application.wait(20)
        _given_back(stage, line)
    finally:
        if application is not None and application.poll() is None:
            application.kill()
        _clear(stage)
        line.end()


def _start(stage: Any) -> subprocess.Popen[bytes]:
    """The application, as one that no orchestrator started."""
    profile = json.loads((stage.folder / "node" / "client.json").read_text())
    token = Path(profile["token_file"]).read_text().strip()
    known = {"MEC_MP1_ENDPOINT": profile["endpoint"], "MEC_CA": profile.get("ca", ""), "MEC_TOKEN": token}
    stage.console.print(f"[bold]$ python {APPLICATION.name}[/bold]")
    return subprocess.Popen([sys.executable, str(APPLICATION)], env={**os.environ, **known})


def _taken_over(stage: Any, line: Line) -> None:
    begun = time.monotonic()
    stage.until(lambda: line.flows_to("app"), "the user's packets come to the application", 20)
    stage.note("edge application takes over a flow", time.monotonic() - begun, "user's packets at the application")
    for what in ("apps", "dns", "rules"):
        stage.skerry("mep", what)
    server = stage.ask("mep", "dns")["server"]
    stage.expect(_answer(server) == APP, f"{NAME} leads to the application, says dig")
    stage.expect(line.flows_to("app"), "the user's packets come to the application, none to the core")
    stage.expect(all(rule["verified"] for rule in stage.ask("mep", "rules")), "the rule was proven by a probe")


def _given_back(stage: Any, line: Line) -> None:
    begun = time.monotonic()
    stage.until(lambda: line.flows_to("core"), "the user's packets go to the core again", 10)
    stage.note("application leaves, flow goes back", time.monotonic() - begun, "user's packets at the core")
    server = stage.ask("mep", "dns")["server"]
    stage.expect(_answer(server) == "", f"{NAME} leads nowhere any more")
    stage.expect(stage.ask("mep", "rules") == [], "no rule is left")


def _clear(stage: Any) -> None:
    """Remove the switch; what is not there is no fault."""
    for kind, id in (("intent", "line"), *(("port", side) for side in SIDES), ("device", "edge")):
        words = [str(Path(sys.executable).with_name("skerry")), "dataplane", "delete", kind, id]
        subprocess.run(words, env=stage.env, capture_output=True, check=False)
