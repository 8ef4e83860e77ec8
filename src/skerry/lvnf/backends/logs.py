"""The log of a function that runs as a process: lines in the form in which container logs are kept, in a file that stays
small."""

from __future__ import annotations

import os
import time

_MOST = 16 << 20


class Log:
    """Appends to an open file; when it has grown too large it begins anew."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def say(self, text: str) -> None:
        """Append lines, each with the time."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        data = "".join(f"{stamp} stdout F {line}\n" for line in text.splitlines()).encode(errors="replace")
        if self._size + len(data) > _MOST:
            os.ftruncate(self._descriptor, 0)
            self._size = 0
        self._size += os.write(self._descriptor, data)
