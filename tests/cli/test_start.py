"""How light a node is: what it answers first, what it loads, how much memory it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from skerry.serve import Front
from tests.cli.conftest import running

HEAVY = ("httpx", "rich", "cryptography", "yaml", "jsonschema")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def test_idle_memory(tmp_path: Path) -> None:
    for _ in ("makes its certificates", "has them"):
        with running(tmp_path) as served:
            assert served.json("info")["ready"] is True
            assert memory_mb(served.process.pid) <= 60


def test_an_idle_node_loads_nothing_heavy() -> None:
    code = "import sys, skerry.cli, skerry.serve, skerry.wiring, skerry.api.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "skerry.api.app" in loaded
    assert not set(HEAVY) & set(loaded)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from skerry.cli import root; root(['--help'], standalone_mode=False); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *lines, modules = told.splitlines()
    loaded = set(modules.split())
    assert "Commands:" in lines
    assert "skerry.cli.vnf" in loaded
    assert not {*HEAVY, "uvicorn", "starlette", "sqlite3", "skerry.wiring"} & loaded


async def test_what_is_answered_before_the_node_is_there() -> None:
    transport = httpx.ASGITransport(Front())
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        assert (await client.get("/live")).json() == {"live": True}
        early = await client.get("/skerry/v1/node")
    assert early.status_code == 503
    assert early.headers["content-type"] == "application/problem+json"
    assert early.json()["detail"].startswith("cannot serve this yet")
