"""A node as its own process, on a real TLS socket, for all tests of the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from skerry.cli import root
from tests.api.rig import EXAMPLES

SIMULATED = '[{"id": "sim", "type": "simulated"}]'


class Served:
    """The process, and the command line as a user of it has it."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.folder = folder
        self.process = process
        self.endpoint = process.stdout.readline().strip()
        self.environment = environment(folder)

    def __call__(
        self, *arguments: str, code: int = 0, stdin: str | None = None, env: Mapping[str, str] = MappingProxyType({})
    ) -> Result:
        """Run a command; its exit code must be `code`."""
        result = CliRunner().invoke(
            root, list(arguments), input=stdin, env={**self.environment, **env}, prog_name="skerry"
        )
        assert result.exit_code == code, f"{arguments}: exit {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json."""
        return msgspec.json.decode(self(*arguments, "--json", code=code).stdout)


def environment(folder: Path) -> dict[str, str]:
    """What a user has: a data folder to find the node by, and a home of its own."""
    return {
        "SKERRY_DATA_DIR": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "SKERRY_ENDPOINT": "",
        "SKERRY_TOKEN": "",
        "SKERRY_CA": "",
        "COLUMNS": "120",
    }


def start(folder: Path, *options: str, vims: str = SIMULATED) -> subprocess.Popen[str]:
    """Start `skerry up` on a free port with a simulated infrastructure (or others, as JSON)."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "skerry", "up", "--port", "0", *options],
        env={
            **env,
            "SKERRY_VIMS": vims,
            "SKERRY_DATA_DIR": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        },
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        text=True,
    )


def stop(process: subprocess.Popen[str]) -> int:
    """Ask it to end; returns its exit code."""
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(20)


@contextmanager
def running(folder: Path, *options: str, vims: str = SIMULATED, packages: Sequence[str] = ()) -> Generator[Served]:
    """A node with these of the example packages, until the end of the block."""
    process = start(folder, *options, vims=vims)
    try:
        node = Served(folder, process)
        for name in packages:
            node("package", "onboard", str(EXAMPLES / name))
        yield node
    finally:
        if process.poll() is None:
            assert stop(process) == 0


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node that takes client certificates."""
    folder = tmp_path_factory.mktemp("mutual")
    (folder / "settings.toml").write_text('client_certificates = "optional"\n')
    with running(folder, "--config", str(folder / "settings.toml")) as node:
        yield node


@pytest.fixture(scope="session")
def onboarded(served: Served) -> Callable[[str], str]:
    """Client, server and service are there; gives the id of each."""
    ids = {
        name: served.json("package", "onboard", str(EXAMPLES / name))["id"] for name in ("server", "client", "service")
    }
    return ids.__getitem__
