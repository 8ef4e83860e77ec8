"""Runs a node as a process: the socket first, everything else behind `/ready`.

The first request is answered while the larger part of the program is still being imported: by `Front`, which knows no
more than that the node is alive and not ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from skerry.access.certificates import Certificates, ensure_certificates
from skerry.access.files import only_user, private_folder, write_private
from skerry.access.tokens import Tokens, ensure_tokens
from skerry.connection import Bounded, Mutual, MutualSocket, Quiet
from skerry.errors import UnavailableError
from skerry.settings import Settings, is_loopback

log = logging.getLogger(__name__)
ASGI = Callable[[Any, Any, Any], Awaitable[None]]
VERIFY = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
NOT_READY = (
    b'{"status":503,"type":"urn:skerry:problem:unavailable","title":"Service Unavailable",'
    b'"detail":"cannot serve this yet: the node is starting","suggestion":"try again in a second"}'
)


class Front:
    """Answers for the node until its application is there, then hands every request on."""

    def __init__(self) -> None:
        self.app: ASGI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _early(scope["path"], send)


async def _early(path: str, send: Any) -> None:
    live = path == "/live"
    kind = b"application/json" if live else b"application/problem+json"
    body = b'{"live":true}' if live else NOT_READY
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": 200 if live else 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def names_of(settings: Settings) -> list[str]:
    """Names that the server certificate holds."""
    anywhere = settings.listen in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
    own = [] if anywhere else [settings.listen]
    return ["localhost", "127.0.0.1", "::1", socket.gethostname(), *own, *settings.tls_names]


def certificates_of(settings: Settings) -> Certificates:
    """The node's certificates. A child makes those that are missing: the libraries for that are large, and nobody needs them
    again in this process."""
    folder, names, now = settings.data_dir / "tls", names_of(settings), datetime.now(UTC)
    if not (folder / "server.pem").exists():
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):  # the parent tries again and tells what is wrong
                ensure_certificates(folder, names, now)
            os._exit(0)
        os.waitpid(child, 0)
    return ensure_certificates(folder, names, now)


def open_sockets(settings: Settings) -> list[socket.socket]:
    """A listening socket for each port, that of the setting `port` first. `UnavailableError` says what is in the way."""
    with contextlib.ExitStack() as opened:
        found = [
            opened.enter_context(_listening(settings.listen, port)) for port in (settings.port, *settings.more_ports)
        ]
        opened.pop_all()
    return found


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # inherited by every connection: without it an answer in two writes waits 40 ms for the peer's delayed acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((address, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise UnavailableError(
            f"cannot listen on {address} port {port}: {error.strerror}",
            suggestion="stop what uses the port, or choose another with --port or the setting more_ports"
            if taken
            else "choose an address of this machine with --listen or the setting listen",
        ) from error
    listener.setblocking(False)
    return listener


def endpoint_of(settings: Settings, port: int) -> str:
    """The URL by which this machine reaches the node."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.listen, settings.listen)  # noqa: S104  # compared, not bound
    return f"{'http' if settings.plain else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"


def leave_profile(settings: Settings, endpoint: str, certificates: Certificates | None) -> None:
    """Write what the CLI of this machine's user needs to find the node."""
    profile = {"endpoint": endpoint, "token_file": str((settings.data_dir / "access/admin.token").absolute())}
    if certificates:
        profile["ca"] = str(certificates.ca.absolute())
    write_private(settings.data_dir / "client.json", msgspec.json.encode(profile))


async def serve(
    settings: Settings, *, started: float | None = None, on_ready: Callable[[str], None] | None = None
) -> None:
    """Run a node until SIGTERM or SIGINT. `on_ready` gets the endpoint when the node serves everything."""
    begun = time.monotonic() if started is None else started
    with only_user(private_folder(settings.data_dir)), _listeners(settings) as listeners:
        _warn_of_others(settings.data_dir)
        tokens = ensure_tokens(settings.data_dir / "access", os.urandom)
        certificates = None
        if not settings.plain:
            certificates = certificates_of(settings)
        endpoint = endpoint_of(settings, listeners[0].getsockname()[1])
        leave_profile(settings, endpoint, certificates)
        front = Front()
        server = Quiet(configured(front, settings, certificates))
        await _run(settings, tokens, front, server, listeners, lambda: _ready(settings, endpoint, begun, on_ready))


@contextlib.contextmanager
def _listeners(settings: Settings) -> Generator[list[socket.socket]]:
    found = open_sockets(settings)
    try:
        yield found
    finally:
        for listener in found:
            listener.close()


def _warn_of_others(folder: Path) -> None:
    """A folder that was there already keeps its rights; who runs the node shall know who else reads it."""
    if folder.stat().st_mode & 0o007:
        log.warning("others on this machine may read what the node keeps: chmod 700 %s", folder)


def _ready(settings: Settings, endpoint: str, begun: float, on_ready: Callable[[str], None] | None) -> None:
    log.info("node %s ready at %s after %.2f s", settings.node, endpoint, time.monotonic() - begun)
    if on_ready:
        on_ready(endpoint)


def configured(app: ASGI, settings: Settings, certificates: Certificates | None) -> Config:
    """How uvicorn serves an application."""
    mutual = settings.client_certificates != "off"
    return Config(
        app,
        http=Mutual if mutual else Bounded,
        ws=MutualSocket if mutual else WSProtocol,
        ws_max_size=settings.max_body_bytes,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),  # anybody else who writes X-Forwarded-For is a caller like others
        forwarded_allow_ips=list(settings.proxies),
        timeout_graceful_shutdown=max(1, int(settings.stop_grace_s)),
        ssl_certfile=str(certificates.certificate) if certificates else None,
        ssl_keyfile=str(certificates.key) if certificates else None,
        ssl_ca_certs=str(certificates.ca) if certificates and mutual else None,
        ssl_cert_reqs=VERIFY[settings.client_certificates],
    )


async def _run(
    settings: Settings,
    tokens: Tokens,
    front: Front,
    server: Quiet,
    listeners: list[socket.socket],
    ready: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    building: asyncio.Task[Any] = loop.create_task(_build(settings, tokens, front, ready))
    building.add_done_callback(lambda task: stop() if task.cancelled() or task.exception() else None)
    try:
        await server.serve(sockets=listeners)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if not building.done():
            building.cancel()
        await asyncio.wait({building})
        # A node that could not start raises here, with its own words.
        if not building.cancelled():
            await building.result().stop()


async def _build(settings: Settings, tokens: Tokens, front: Front, ready: Callable[[], None]) -> Any:
    """Import the node and its API beside the running server, then start it."""
    # Bytecode is executed in the other thread, so the loop keeps answering meanwhile.
    wiring = await asyncio.to_thread(importlib.import_module, "skerry.wiring")
    api = await asyncio.to_thread(importlib.import_module, "skerry.api.app")
    node = wiring.Node(settings)
    front.app = api.build(node, tokens)
    await node.start()
    ready()
    return node


def main(settings: Settings, *, started: float | None = None) -> None:
    """Run a node in this process, logging to stderr."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a line for each piece of nonsense fills the log
    if settings.plain and is_loopback(settings.listen):
        log.warning("serving without TLS, on the loopback interface only")
    asyncio.run(serve(settings, started=started, on_ready=_announce))


def _announce(endpoint: str) -> None:
    sys.stderr.flush()
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
