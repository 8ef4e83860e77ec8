"""Imports run downward only, and nothing imports in a circle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grimp

from tests.architecture.sources import ROOT


def lint(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the import linter with the contracts of a folder."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **env})


def test_every_contract_is_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_contracts_notice_a_broken_rule(tmp_path: Path) -> None:
    """A contract that is always kept checks nothing: break each kind once, in a copy."""
    for file in (ROOT / "src").rglob("*.py"):
        target = tmp_path / file.relative_to(ROOT / "src")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (tmp_path / ".importlinter").write_bytes((ROOT / ".importlinter").read_bytes())
    broken = {
        "engine/diff.py": "import random, skerry.api.route",
        "api/wire.py": "import skerry.store.database, skerry.vim.local.oci, skerry.vim.docker.engine, skerry.dataplane.ovs.oxm",
        "vim/drivers/local.py": "import sqlite3, httpx, skerry.vim.drivers.simulated, skerry.vim.simulated.world",
        "cli/output.py": "import skerry.engine.clock, cryptography, starlette",
        "model/time.py": "import yaml, click, jwt",
        "newcomer.py": "import docker",
    }
    for file, line in broken.items():
        with (tmp_path / "skerry" / file).open("a") as module:
            module.write(f"\n{line}\n")
    done = lint(tmp_path, PYTHONPATH=str(tmp_path))
    verdicts = [line for line in done.stdout.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    assert verdicts
    assert [line for line in verdicts if line.endswith(" KEPT")] == []
    assert "skerry.newcomer" in done.stdout  # a new package must be given its place


def test_no_module_imports_in_a_circle() -> None:
    graph = grimp.build_graph("skerry", exclude_type_checking_imports=True, cache_dir=None)
    below = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while True:  # take away what imports nothing more, again and again: a circle stays
        leaves = {module for module, imported in below.items() if not imported}
        if not leaves:
            break
        below = {module: imported - leaves for module, imported in below.items() if module not in leaves}
    assert below == {}
