"""An agent as a process of its own on this machine, the node that it connects to, and an Open vSwitch for it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw

from skerry.dataplane.ovs.instance import Instance, program

LIMIT_S = 30.0
ROOT = "/skerry/v1/lvnf-agents"
_NET = int(ipaddress.ip_address("198.18.0.0")) + os.getpid() % 32768 * 4
NEAR, FAR = str(ipaddress.ip_address(_NET + 1)), str(ipaddress.ip_address(_NET + 2))
"""Addresses of a tap and of the function behind it: others for each run, so that none meets what a killed one left."""
ECHO = "FromDevice(eth0) -> c :: Counter -> EtherMirror -> ToDevice(eth0)"


def responder(address: str) -> str:
    """A function that answers ARP and pings for an address."""
    return f"""
    FromDevice(eth0) -> c :: Counter -> k :: Classifier(12/0806, 12/0800);
    k[0] -> ARPResponder({address} 02:00:00:00:00:77) -> out :: ToDevice(eth0);
    k[1] -> Strip(14) -> CheckIPHeader -> p :: ICMPPingResponder -> Unstrip(14) -> EtherMirror -> out
    """


class Site:
    """One agent and its node, seen from outside."""

    def __init__(self, client: httpx.AsyncClient, url: str, folder: Path, token: str, switch: Instance | None) -> None:
        self.client = client
        self.name = f"edge-{os.getpid()}"
        self.bridge = f"skla{os.getpid()}"
        self.tap = f"sklt{os.getpid()}"
        self.switch = switch
        self._url = url.replace("http", "ws", 1)
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "token").write_text(token)

    def start(self) -> None:
        """Start the agent."""
        call = [sys.executable, "-m", "skerry", "lvnf", "agent", "--connect", self._url, "--name", self.name]
        call += ["--token-file", str(self.folder / "token"), "--folder", str(self.folder / "agent"), "--every", "0.5"]
        if self.switch is not None:
            call += ["--bridge", self.bridge, "--switch-run", str(self.switch.folder)]
        with (self.folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(call, stderr=log, stdout=log)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and see the node notice."""
        assert self._process is not None
        self._process.send_signal(number)
        await asyncio.to_thread(self._process.wait, LIMIT_S)
        await self.is_so(lambda one: not one["connected"])

    async def close(self) -> None:
        """Delete its functions and end it."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        await self.connected()
        try:
            for one in await self.get(f"{ROOT}/{self.name}/lvnfs"):
                answer = await self.client.delete(self.at(one["id"]), timeout=LIMIT_S)
                assert answer.status_code == 204, answer.text
        finally:
            await self.stop()

    def at(self, function: str) -> str:
        """Where a function is in the API."""
        return f"{ROOT}/{self.name}/lvnfs/{function}"

    async def get(self, path: str) -> Any:
        """What the API shows."""
        answer = await self.client.get(path, timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def add(self, name: str, text: str, *ports: dict[str, str], backend: str = "") -> Any:
        """Run a function."""
        wanted = {"configuration": text, "ports": ports, "backend": backend}
        answer = await self.client.put(self.at(name), json=wanted, timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def count(self, name: str) -> int:
        """The value of its counter c."""
        return int((await self.get(f"{self.at(name)}/handlers?handler=c.count"))["value"])

    async def is_so(self, probe: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The agent once it is as a test wants it."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for one in await self.get(ROOT):
                    if one["id"] == self.name and probe(one):
                        return dict(one)
                await asyncio.sleep(0.02)

    async def connected(self) -> dict[str, Any]:
        """The agent once it is there and has told what it can and has."""
        return await self.is_so(lambda one: one["state"] == "UP" and one["connected"] and bool(one.get("backends")))

    async def sees(self, look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
        """Wait until what is looked at is as wanted."""
        found: Any = None
        try:
            async with asyncio.timeout(LIMIT_S):
                while (found := await look()) != wanted:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"it is {found}, not {wanted}") from None

    async def lvnfs(self) -> list[tuple[str, str]]:
        """The functions that the node knows of, with their states."""
        return [(one["id"], one["state"]) for one in await self.get(f"{ROOT}/{self.name}/lvnfs")]

    async def events(self) -> list[str]:
        """The states that the agent has been in."""
        found = await self.get("/skerry/v1/events?kind=lvnf-agent")
        return [one["state"] for one in found if one["subject"] == self.name and not one.get("name")]

    async def states(self, function: str) -> list[str]:
        """The states that a function has been in."""
        found = await self.get("/skerry/v1/events?kind=lvnf-agent")
        return [one["state"] for one in found if one["subject"] == self.name and one.get("name") == function]

    async def alarms(self) -> list[str]:
        """What stands against it."""
        return [one["state"] for one in await self.get("/skerry/v1/alarms") if one["subject"] == self.name]

    def vsctl(self, *arguments: str) -> str:
        """What `ovs-vsctl` says."""
        assert self.switch is not None
        return self._said("ovs-vsctl", f"--db=unix:{self.switch.database}", *arguments)

    def port(self, name: str) -> str:
        """What the bridge says of a port by OpenFlow."""
        assert self.switch is not None
        door = f"unix:{self.switch.management(self.bridge)}"
        call = [program("ovs-ofctl"), "-O", "OpenFlow10", "dump-ports-desc", door, name]
        return subprocess.run(call, check=False, capture_output=True, text=True).stdout

    @staticmethod
    def _said(name: str, *arguments: str) -> str:
        return subprocess.run([program(name), *arguments], check=True, capture_output=True, text=True).stdout


async def ping(address: str, number: int) -> bool:
    """Whether an address answers this machine's own kernel."""
    return await asyncio.to_thread(_ping, address, number)


def _ping(address: str, number: int) -> bool:
    deadline = time.monotonic() + LIMIT_S
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as door:
        door.settimeout(1)
        while time.monotonic() < deadline:
            door.sendto(bytes(ICMP(type=8, id=os.getpid() & 0xFFFF, seq=number) / Raw(b"ping")), (address, 0))
            with contextlib.suppress(TimeoutError):
                while True:
                    packet = IP(door.recvfrom(2000)[0])
                    if packet.src == address and packet[ICMP].type == 0 and packet[ICMP].seq == number:
                        return True
    return False
