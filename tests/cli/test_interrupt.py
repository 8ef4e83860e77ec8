"""Whoever stops watching an operation is told that it goes on, and how to find it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import running

SLOW = '[{"id": "sim", "type": "simulated", "settings": {"latency": {"*": 1.5}}}]'
LISTENING = """
import signal
from skerry.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The command line where Ctrl-C counts, also in a suite that runs in the background."""


def test_ctrl_c_leaves_the_operation_alone(tmp_path: Path) -> None:
    with running(tmp_path, vims=SLOW, packages=("server",)) as node:
        node("vnf", "create", "sipp-server", "--name", "one")
        watching = subprocess.Popen(
            [sys.executable, "-c", LISTENING, "vnf", "instantiate", "one"],
            env={**os.environ, **node.environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watching.stderr is not None
        assert " done " in watching.stderr.readline(), "it shows the first step"
        watching.send_signal(signal.SIGINT)
        told = watching.stderr.read()
        watching.stderr.close()
        assert watching.wait(20) == 130
        (operation,) = node.json("op", "list")
        assert f"skerry op follow {operation['id'][:8]}" in told
        assert "COMPLETED" in node("op", "follow", operation["id"][:8]).stdout


def test_ctrl_c_ends_a_command_that_waits_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        waiting = subprocess.Popen(
            [sys.executable, "-c", LISTENING, "--endpoint", endpoint, "vnf", "list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        mute.settimeout(60)
        connection, _ = mute.accept()
        with connection:
            connection.recv(1)
            waiting.send_signal(signal.SIGINT)
            assert waiting.communicate(timeout=60) == (b"", b"")
    assert waiting.returncode == 130
