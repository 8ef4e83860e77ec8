"""What an agent tells of its machine: processors and memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from skerry.lvnf.agent.messages import Cpu

_PROC = Path("/proc")


class Machine:
    """Measures between calls."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._busy, self._all = self._ticks()

    def _ticks(self) -> tuple[int, int]:
        """Ticks of all processors since the boot: busy ones, and all."""
        numbers = [int(one) for one in (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle = numbers[3] + numbers[4]
        return sum(numbers) - idle, sum(numbers)

    def measure(self) -> Cpu:
        """The machine since the last call."""
        busy, whole = self._ticks()
        share = (busy - self._busy) / (whole - self._all) if whole > self._all else 0.0
        self._busy, self._all = busy, whole
        lines = (self._proc / "meminfo").read_text().splitlines()
        memory = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
        return Cpu(
            busy=round(min(max(share, 0.0), 1.0), 4),
            count=os.cpu_count() or 1,
            load=float((self._proc / "loadavg").read_text().split()[0]),
            memory_bytes=memory["MemTotal"],
            memory_free_bytes=memory["MemAvailable"],
        )
