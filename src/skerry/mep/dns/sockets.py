"""Sockets in network namespaces. Blocking: for worker threads."""

from __future__ import annotations

import socket

from skerry.errors import UnavailableError
from skerry.linux import namespaces


def bound(namespace: str, host: str, port: int, kind: int) -> socket.socket:
    """A socket that is bound in a namespace ("" = the caller's); it stays there whoever uses it. `UnavailableError` says what
    is in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not namespace:
            return _bound(family, kind, host, port)
        with namespaces.inside(namespaces.place(namespace)):
            return _bound(family, kind, host, port)
    except OSError as error:
        raise UnavailableError(
            f"cannot answer DNS on {host} port {port}: {error.strerror}",
            suggestion="choose another address or port with mec_dns_listen and mec_dns_port",
        ) from error


def _bound(family: int, kind: int, host: str, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((host, port))
        if kind == socket.SOCK_STREAM:
            made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def free_port(namespace: str, host: str) -> int:
    """A port that is free for UDP now."""
    with bound(namespace, host, 0, socket.SOCK_DGRAM) as probe:
        return int(probe.getsockname()[1])
