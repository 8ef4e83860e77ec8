"""A message broker of its own for tests, and a consumer that others wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pika  # type: ignore[import-untyped]

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
MISSING = not SERVER.exists()


class Message(NamedTuple):
    """One message of a queue."""

    routing_key: str
    properties: Any
    body: Any


class Broker:
    """RabbitMQ at this port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self.port = port

    def uri(self, query: str, port: int = 0) -> str:
        return f"amqp://127.0.0.1:{port or self.port}/%2F?{query}"

    def bind(self, exchange: str, queue: str, key: str) -> None:
        """Make an exchange of topics and, where it is named, a queue of it."""
        with self._connected() as channel:
            channel.exchange_declare(exchange, "topic", durable=True)
            if queue:
                channel.queue_declare(queue, durable=True)
                channel.queue_bind(queue, exchange, key)

    def take(self, queue: str, count: int, timeout_s: float = 60.0) -> list[Message]:
        """So many messages, waiting for them."""
        found: list[Message] = []
        with self._connected() as channel:
            for method, properties, body in channel.consume(queue, inactivity_timeout=timeout_s, auto_ack=True):
                assert method is not None, f"{len(found)} of {count} messages"
                found.append(Message(method.routing_key, properties, json.loads(body)))
                if len(found) == count:
                    break
        return found

    def waiting(self, queue: str) -> int:
        with self._connected() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))
        try:
            yield connection.channel()
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    """A broker that serves, with nothing of it elsewhere on the machine."""
    port, distribution, names = free_port(), free_port(), free_port()
    env = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"skerry{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # it may be ended while the node is known
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
    }
    with (
        (folder / "out").open("wb") as out,
        subprocess.Popen([SERVER], env={**os.environ, **env}, stdout=out, stderr=out, start_new_session=True) as server,
    ):
        try:
            _until_it_serves(port, server)
            yield Broker(port)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            epmd = shutil.which("epmd", path=f"{os.environ['PATH']}:/usr/lib/erlang/bin") or "epmd"
            subprocess.run([epmd, "-kill"], env={**os.environ, **env}, check=False, capture_output=True)


def _until_it_serves(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None, "the broker ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the broker does not serve"
            time.sleep(0.1)
        else:
            return
