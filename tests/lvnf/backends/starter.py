"""`python -m tests.lvnf.backends.starter FOLDER NAMESPACE`: starts a function in the kernel, says so, waits to be killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from skerry.lvnf.backend import Place
from skerry.lvnf.backends.ebpf import EbpfBackend
from skerry.lvnf.checking import read

TEXT = "FromDevice(eth0) -> c :: Counter -> ToDevice(eth1); FromDevice(eth1) -> ToDevice(eth0);"


def place(folder: Path, namespace: Path) -> Place:
    """Where it runs."""
    return Place(name="kept.one", folder=folder, namespace=namespace)


if __name__ == "__main__":
    EbpfBackend().start(read(TEXT), place(Path(sys.argv[1]), Path(sys.argv[2])))
    print("ready", flush=True)  # noqa: T201
    signal.pause()
