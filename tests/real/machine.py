"""A machine of the site that nobody deploys: a network namespace at the other end of a cable to this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Machine:
    """It is called `name`; its interface `eth` is cabled to the interface `plug` of this machine."""

    def __init__(self, name: str, plug: str) -> None:
        self.name, self.plug = name, plug
        self._ends: list[str] = []

    def run(self, *argv: str) -> str:
        """What a command prints in it."""
        call = ["ip", "netns", "exec", self.name, *argv]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=60).stdout

    def cable(self, plug: str, name: str) -> None:
        """Connect an interface of it with one of this machine."""
        ip("link", "add", plug, "type", "veth", "peer", "name", name, "netns", self.name)
        self._ends.append(name)
        self.run("ip", "link", "set", name, "up")

    def uncable(self) -> None:
        """Take all cables away, now: the kernel takes its time with those of a namespace that goes."""
        for name in self._ends:
            subprocess.run(
                ["ip", "-n", self.name, "link", "delete", name], check=False, capture_output=True, timeout=60
            )

    def has(self, address: str) -> None:
        """Give it an address, as `192.0.2.1/24`."""
        self.run("ip", "address", "add", address, "dev", "eth")

    def mac(self) -> str:
        return self.run("cat", "/sys/class/net/eth/address").strip()

    def outside(self) -> list[str]:
        """The interfaces that are this machine's own."""
        shown = subprocess.run(["ip", "-j", "link", "show"], capture_output=True, check=True).stdout
        return [one["ifname"] for one in json.loads(shown)]


@contextmanager
def machine(name: str, plug: str) -> Iterator[Machine]:
    """Such a machine, as long as the block."""
    there = Machine(name, plug)
    ip("netns", "add", name)
    try:
        there.run("ip", "link", "set", "lo", "up")
        there.cable(plug, "eth")
        yield there
    finally:
        there.uncable()
        ip("netns", "delete", name)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=60)
