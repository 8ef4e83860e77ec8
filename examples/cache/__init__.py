"""The demo's part about mobile edge caching: pages of a far web server are remembered between base station and core.

A phone attaches to a real core through a base station, and asks for pages with `curl`. What the origin and the cache saw is in
their own lists; what went to the core is seen by a packet socket at the core's interface. Nothing of Skerry is asked.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from demo import Stage

HERE = Path(__file__).parent
SKERRY = str(Path(sys.executable).with_name("skerry"))
PACKAGES = ("base", "core", "origin", "squid", "gateway", "service")
PRODUCTS = ("edge-caching", "edge-cache", "edge-gateway", "edge-origin", "edge-core", "edge-base-station")
PAGES = range(1, 6)
ETH_P_ALL, CLONE_NEWNET = 3, 0x40000000
UDP, GTP_U = 17, 2152


class CoreTap:
    """Counts the users' packets to web servers, port 80, that arrive at the core in a tunnel."""

    def __init__(self, pid: int) -> None:
        self.seen = 0
        self._over, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(pid,), daemon=True)

    def __enter__(self) -> CoreTap:
        self._thread.start()
        self._begun.wait(5)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join(2)

    def _listen(self, pid: int) -> None:
        """A thread that moves into the core's network alone."""
        with Path(f"/proc/{pid}/ns/net").open() as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
            tap.bind(("eth0", ETH_P_ALL))
            tap.settimeout(0.1)
            self._begun.set()
            while not self._over.is_set():
                try:
                    self.seen += of_web(tap.recv(65535))
                except TimeoutError:
                    continue


def of_web(frame: bytes) -> bool:
    """Whether a frame holds a user's packet to port 80 in GTP-U."""
    if frame[12:14] != b"\x08\x00" or frame[23] != UDP:
        return False
    at = 14 + (frame[14] & 15) * 4
    if int.from_bytes(frame[at + 2 : at + 4]) != GTP_U or len(frame) < at + 48:
        return False
    inner = at + 8 + (12 if frame[at + 8] & 7 else 8)
    ports = inner + (frame[inner] & 15) * 4
    return frame[inner + 9] == socket.IPPROTO_TCP and int.from_bytes(frame[ports + 2 : ports + 4]) == 80


def play(stage: Stage) -> None:
    """Packages to pages, and away with it all."""
    stage.say("A cache inside of the mobile network")
    for name in PACKAGES:
        stage.skerry("package", "onboard", os.path.relpath(HERE / name))
    took = stage.skerry("ns", "deploy", "edge-caching", "--name", "caching")
    stage.note("deploy core, gateway, cache, origin, base station", took, "two forwarding paths, verified by probes")
    stage.skerry("vnf", "list")
    stage.skerry("lvnf", "list")
    stage.skerry("dataplane", "chains")
    attach(stage)
    with CoreTap(pid_of(stage, "ggsn-0")) as tap:
        browse(stage, tap)
    away(stage)


def attach(stage: Stage) -> None:
    """A phone comes on line: its tunnel is agreed upon between base station and core, through the gateway."""
    stage.say("A phone attaches")
    begun = time.monotonic()
    stage.skerry("exec", "caching-base-0", "--", "attach")
    stage.until(lambda: "inet 172.16." in inside(stage, "base", "ip", "addr"), "the phone has an address", 30)
    stage.note("phone attaches", time.monotonic() - begun, "osmo-ggsn gave it an address")


def browse(stage: Stage, tap: CoreTap) -> None:
    """Each page through the core, then twice through the gateway."""
    stage.say("The phone asks for five pages")
    origin = address_of(stage)
    table = Table("page", "from the origin, through the core", "at the edge, first", "at the edge, again")
    rows: list[tuple[float, float, float]] = []
    heard: set[tuple[str, str]] = set()
    for page in PAGES:
        far, _ = fetch(stage, f"http://{origin}:8080/cgi-bin/page/{page}")
        first, told = fetch(stage, f"http://{origin}/cgi-bin/page/{page}")
        again, then = fetch(stage, f"http://{origin}/cgi-bin/page/{page}")
        rows.append((far, first, again))
        heard.add((told, then))
        table.add_row(str(page), *(f"{1000 * seconds:.1f} ms" for seconds in rows[-1]))
    stage.console.print(table)
    stage.expect(
        heard == {("MISS", "HIT")}, "Squid says MISS for the first request of each page, and HIT for the second"
    )
    asked = [
        line.split()[-1]
        for line in inside(stage, "origin", "cat", "/var/log/requests").splitlines()
        if "172.16" not in line
    ]
    stage.expect(asked == [f"/{page}" for page in PAGES], "the origin was asked once for each page")
    stage.expect(tap.seen == 0, "not one packet of these requests arrived at the core")
    far, again = (sorted(row[place] for row in rows)[2] for place in (0, 2))
    stage.expect(again < far, f"the edge answers in {1000 * again:.1f} ms, the origin in {1000 * far:.1f} ms (medians)")
    stage.note("page from the origin", far, "through base station, gateway, core")
    stage.note("page from the edge", again, "TCP_MEM_HIT in Squid's log, nothing at the core")


def fetch(stage: Stage, url: str) -> tuple[float, str]:
    """Ask for a page in the phone: how long it took, and what the cache says of it."""
    told = inside(stage, "base", "curl", "-sS", "-m", "10", "-o", "/dev/null", "-D", "-", "-w", "%{time_total}", url)
    head, _, seconds = told.rpartition("\n")
    line = next((line for line in head.splitlines() if line.startswith("X-Cache:")), "X-Cache: -")
    return float(seconds), line.split()[1]


def inside(stage: Stage, member: str, *command: str) -> str:
    """What a command prints in a VNF of the service."""
    words = [SKERRY, "exec", f"caching-{member}-0", "--", *command]
    return subprocess.run(words, env=stage.env, capture_output=True, text=True, check=False).stdout


def address_of(stage: Stage) -> str:
    """The address of the origin."""
    told = inside(stage, "origin", "ip", "-4", "-o", "addr", "show", "eth0")
    return told.split()[3].partition("/")[0]


def pid_of(stage: Stage, vnfc: str) -> int:
    """The process that runs in a VNFC."""
    computes = stage.ask("vim", "show", "local")["resources"]["compute"]
    return int(next(c["pid"] for c in computes if c["name"].endswith(vnfc)))


def away(stage: Stage) -> None:
    """Terminate and delete everything."""
    stage.say("Terminate")
    stage.note("terminate", stage.skerry("ns", "terminate", "caching"))
    stage.skerry("ns", "delete", "caching")
    stage.drop(*PRODUCTS)
