"""A driver of somebody else: one file, installed beside Skerry with pip, found by its entry point, carrying a whole service."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.rig import EXAMPLES
from tests.cli.conftest import Served, environment

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("sipp"), reason="needs sipp"),
]
DRIVER = Path(__file__).parents[2] / "examples" / "driver"


def wheel(folder: Path) -> Path:
    """The package as its build would make it; tests fetch no build tools."""
    project: dict[str, Any] = tomllib.loads((DRIVER / "pyproject.toml").read_text())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    parts = {
        "skerry_processes.py": (DRIVER / "skerry_processes.py").read_text(),
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": "\n".join(points),
    }
    parts[f"{stem}.dist-info/RECORD"] = "".join(f"{name},,\n" for name in [*parts, f"{stem}.dist-info/RECORD"])
    target = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as made:
        for name, text in parts.items():
            made.writestr(name, text)
    return target


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A node whose Python finds the installed package."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-cache-dir"]
    subprocess.run([*install, "--target", site, wheel(tmp_path)], check=True, timeout=120)
    more = {"PYTHONPATH": str(site), "PYTHONUNBUFFERED": "1", "SKERRY_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "skerry", "up", "--port", "0", "--vim", "own=processes"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment(tmp_path), **more},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Served(tmp_path, process)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0


def simpler(name: str, folder: Path) -> Path:
    """An example package without scripts, which want files of their own, and on addresses of the loopback interface."""
    made = folder / name
    shutil.copytree(EXAMPLES / name, made)
    for file in (made / "Definitions").glob("*.yaml"):
        text = re.sub(r"\n +operations:\n.*?\n\n", "\n\n", file.read_text(), count=1, flags=re.DOTALL)
        text = text.replace("10.57.0.0/24", "127.57.0.0/24")
        file.write_text(text)
    return made


def answers(address: str) -> bool:
    """Whether a SIP server answers there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.bind(("127.0.0.1", 0))
        port = asking.getsockname()[1]
        head = f"INVITE sip:x@{address} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK1\r\n"
        head += f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@{address}>\r\nCall-ID: 1@b\r\nCSeq: 1 INVITE\r\n"
        asking.sendto(f"{head}Contact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n".encode(), (address, 5060))
        try:
            return asking.recv(4096).startswith(b"SIP/2.0")
        except (TimeoutError, ConnectionRefusedError):
            return False


@pytest.mark.feature("D8")
def test_a_driver_of_others_is_found_and_carries_a_service(served: Served) -> None:
    assert [(vim["id"], vim["vim_type"]) for vim in served.json("vim", "list")] == [("own", "PROCESSES")]
    for package in ("server", "client", "service"):
        served("package", "onboard", str(simpler(package, served.folder)))
    served("ns", "deploy", "sip-service", "--name", "calls")
    vnfs = served.json("vnf", "list")
    assert {vnf["status"] for vnf in vnfs} == {"ACTIVE"}
    resources = served.json("vim", "show", "own")["resources"]
    running = {one["name"]: one for one in resources["compute"]}
    assert {one["state"] for one in running.values()} == {"RUNNING"}
    commands = {one["pid"]: Path(f"/proc/{one['pid']}/cmdline").read_bytes() for one in running.values()}
    assert all(b"sipp" in command for command in commands.values()), "they are processes of this machine"
    server = next(one for one in running.values() if b"uas" in commands[one["pid"]])
    deadline = time.monotonic() + 30
    while not answers(server["nics"][0]["ip"]):
        assert time.monotonic() < deadline
    os.kill(server["pid"], signal.SIGKILL)
    vnf = next(one for one in vnfs if "server" in one["name"].lower())
    served("vnf", "heal", vnf["id"])
    healed = {one["name"]: one for one in served.json("vim", "show", "own")["resources"]["compute"]}
    assert healed[server["name"]]["pid"] not in commands
    served("ns", "terminate", "calls")
    served("ns", "delete", "calls")
    assert served.json("vim", "show", "own")["resources"]["compute"] == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in commands)
