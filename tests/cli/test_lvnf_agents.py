"""Agents over TLS, let in by the certificate of a client with one scope; their functions from the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Served

pytestmark = [
    pytest.mark.feature("C37"),
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin"), reason="needs root"
    ),
]

LIMIT_S = 30.0
SCOPE = "lvnf_agent:v1:all"


def until(so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextmanager
def agent(node: Served, folder: Path, *shown: str) -> Iterator[Path]:
    """An agent that shows this; its log."""
    log = folder / "agent.log"
    call = [sys.executable, "-m", "skerry", "lvnf", "agent", "--connect", node.endpoint.replace("https", "wss")]
    call += ["--ca", str(node.folder / "data/tls/ca.pem"), "--folder", str(folder / "agent"), "--every", "0.5", *shown]
    with log.open("wb") as out:
        process = subprocess.Popen(call, stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def certified(node: Served, folder: Path, name: str, *options: str) -> tuple[str, ...]:
    """What shows that one is a new client."""
    node("access", "client", "create", name, "--role", "operator", *options)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    node("access", "client", "certificate", name, "--certificate", str(certificate), "--key", str(key))
    return "--cert", str(certificate), "--key", str(key), "--name", name


def names(node: Served, state: str = "UP") -> list[str]:
    return [one["id"] for one in node.json("lvnf", "agents", "list") if one["state"] == state and one.get("backends")]


def test_a_function_by_certificate_and_command_line(mutual: Served, tmp_path: Path) -> None:
    name, tap = f"edge-{os.getpid()}", f"skcl{os.getpid()}"
    text = tmp_path / "echo.click"
    text.write_text("FromDevice(eth0) -> c :: Counter -> s :: Switch(0) -> ToDevice(eth0)")
    with agent(mutual, tmp_path, *certified(mutual, tmp_path, name, "--scope", SCOPE)):
        until(lambda: name in names(mutual), "the agent is not there")
        assert name in mutual("lvnf", "agents", "list").output
        made = mutual("lvnf", "agents", "add", name, "echo", str(text), "--tap", f"eth0={tap}", "--backend", "process")
        assert "echo is running with process" in made.output
        (shown,) = mutual.json("lvnf", "agents", "lvnfs", name)
        assert (shown["id"], shown["ports"][0]["interface"]) == ("echo", tap)
        assert mutual("lvnf", "agents", "handler", name, "echo", "s.switch").output == "0\n"
        mutual("lvnf", "agents", "handler", name, "echo", "s.switch", "--", "-1")
        assert mutual.json("lvnf", "agents", "handler", name, "echo", "s.switch")["value"] == "-1"
        assert mutual.json("lvnf", "agents", "stats", name, "echo")["pids"] == 1
        assert "kB" in mutual("lvnf", "agents", "stats", name, "echo").output
        assert tap in mutual("lvnf", "agents", "lvnfs", name).output
        mutual("lvnf", "agents", "delete", name, "echo")
        assert mutual.json("lvnf", "agents", "lvnfs", name) == []
        mutual("lvnf", "agents", "forget", name, code=4)
    until(lambda: name in names(mutual, "DOWN"), "the agent is not missed")
    mutual("lvnf", "agents", "forget", name)
    assert mutual.json("lvnf", "agents", "list") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scope", "vnflcm:v2:all"), "answers"),
        (("--scope", SCOPE, "--tenant", "t9"), "answers"),
    ],
)
def test_clients_without_the_right_are_not_let_in(
    mutual: Served, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    shown = certified(mutual, tmp_path, f"not-{len(options)}", *options)
    with agent(mutual, tmp_path, *shown) as log:
        until(lambda: said in log.read_text(), "the agent was not refused")
    assert mutual.json("lvnf", "agents", "list") == []


def test_an_agent_goes_by_the_name_of_its_client(mutual: Served, tmp_path: Path) -> None:
    shown = certified(mutual, tmp_path, "right", "--scope", SCOPE)
    with agent(mutual, tmp_path, *shown[:-1], "wrong") as log:
        until(lambda: "is gone" in log.read_text(), "the agent was not refused")
    assert mutual.json("lvnf", "agents", "list") == []


def test_a_node_that_the_agent_does_not_know_is_not_told_anything(mutual: Served, tmp_path: Path) -> None:
    shown = certified(mutual, tmp_path, "careful", "--scope", SCOPE)
    other = tmp_path / "other.pem"
    other.write_text(Path(shown[1]).read_text())  # some certificate, not that of the authority
    with agent(mutual, tmp_path, *shown, "--ca", str(other)) as log:
        until(lambda: "cannot reach the node" in log.read_text(), "the agent trusts anybody")
    assert mutual.json("lvnf", "agents", "list") == []


@pytest.mark.parametrize("url", ["ws://edge.example:8443", "https://edge.example", "wss://"])
def test_what_is_no_safe_address_is_refused(mutual: Served, url: str) -> None:
    assert "cannot connect" in mutual("lvnf", "agent", "--connect", url, code=5).output
