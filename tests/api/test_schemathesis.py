"""schemathesis against a node of its own: what our OpenAPI document allows, and what it does not, never ends in a 5xx, and
every answer is as the document says.

By default some seconds of it; `SKERRY_FUZZ=full` runs every phase for as long as it takes, `SKERRY_FUZZ_SEED` another seed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

FULL = os.environ.get("SKERRY_FUZZ") == "full"
SEED = os.environ.get("SKERRY_FUZZ_SEED", "1")
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"
SETTINGS = """
plain = true
port = 0
node = "fuzzed"
data_dir = "{folder}/node"
notification_test = false
[[vims]]
id = "sim"
type = "simulated"
settings = {{ world = "{folder}" }}
"""


class Fuzzed(NamedTuple):
    """A node as a process of its own."""

    endpoint: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "skerry.toml").write_text(SETTINGS.format(folder=folder))
    command = [sys.executable, "-m", "skerry", "up", "--config", str(folder / "skerry.toml")]
    log = (folder / "log").open("wb")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout
        endpoint = process.stdout.readline().strip()
        yield Fuzzed(endpoint, (folder / "node/access/admin.token").read_text().strip(), folder)
        process.send_signal(signal.SIGTERM)
    log.close()


def fuzz(node: Fuzzed, *options: str) -> None:
    """One run; it finds nothing."""
    known = ["-H", f"Authorization: Bearer {node.token}", "--checks", CHECKS, "--seed", SEED, "--continue-on-failure"]
    quiet = [
        "--no-color",
        "--warnings",
        "off",
        "--suppress-health-check",
        "all",
        "--generation-database",
        "none",
        "--workers",
        "1",
    ]
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", f"{node.endpoint}/openapi.json", *known, *quiet, *options]
    found = subprocess.run(command, capture_output=True, text=True, cwd=node.folder, timeout=900, check=False)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    assert "generated" in found.stdout


def test_every_operation_alone(node: Fuzzed) -> None:
    fuzz(node, "--phases", "coverage,fuzzing" if FULL else "fuzzing", "--max-examples", "30" if FULL else "1")


def test_operations_in_sequence(node: Fuzzed) -> None:
    fuzz(node, "--phases", "stateful", "--max-examples", "500" if FULL else "30")
    log = (node.folder / "log").read_text()
    assert " failed, reference " not in log, log[-3000:]
