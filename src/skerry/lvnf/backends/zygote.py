"""A warm process from which functions are forked: all is imported, so that a fork moves its first packet after milliseconds.

`python -m skerry.lvnf.backends.zygote FD`: orders come as messages over the socket FD, each with a descriptor to which the new
process tells that it runs, or why not. It ends when its node has gone; the functions go on.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

import msgspec

from skerry.lvnf.backends import worker
from skerry.lvnf.backends.talk import Order

_LONGEST = 1 << 17


def main(descriptor: int) -> None:
    """Fork until the other end closes."""
    orders = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries those that end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what is shared with the functions stays shared
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, _LONGEST, 1)
        if not data:
            return
        if os.fork() == 0:
            _become(data, descriptors[0], orders)
        for one in descriptors:
            os.close(one)


def _become(data: bytes, answer: int, orders: socket.socket) -> None:
    """The rest of the life of a forked process."""
    code = 1
    try:
        orders.close()
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        worker.run(msgspec.json.decode(data, type=Order), answer)
        code = 0
    finally:
        kind, wrong, trace = sys.exc_info()
        if kind is not None and wrong is not None:
            sys.excepthook(kind, wrong, trace)
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
