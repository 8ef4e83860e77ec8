"""What people see on a terminal: every step that ended stays, and nothing of a table is cut off."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.cli import output
from tests.api.rig import EXAMPLES
from tests.cli.conftest import Served, running

COLUMNS = 72


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with a package."""
    with running(tmp_path_factory.mktemp("terminal"), packages=("server",)) as node:
        yield node


def seen(served: Served, *words: str) -> str:
    """What a command leaves on a terminal, without colours and movements of the cursor."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    env = {**os.environ, **served.environment, "TERM": "xterm", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "skerry", *words]
    with subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave) as running:
        os.close(slave)
        told = b""
        while part := _read(master):
            told += part
    os.close(master)
    assert running.returncode == 0, told
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told.decode())


def _read(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:  # EIO: nobody has the other end open any more
        return b""


def test_steps_that_ended_stay_on_the_terminal(site: Served) -> None:
    site("vnf", "create", "sipp-server", "--name", "shown")
    told = seen(site, "vnf", "instantiate", "shown")
    steps = [(int(count), int(most)) for count, most in re.findall(r"\[(\d+)/(\d+)\] done    \S", told)]
    assert steps
    assert steps == [(count, len(steps)) for count in range(1, len(steps) + 1)]
    assert "instantiate COMPLETED" in told
    site("vnf", "terminate", "shown", "--force")
    site("vnf", "delete", "shown")


def test_what_takes_long_is_told_on_a_terminal_and_nowhere_else(site: Served, tmp_path: Path) -> None:
    told = seen(site, "package", "onboard", str(EXAMPLES / "client"))
    assert "uploading and checking client (" in told
    site("package", "delete", "sipp-client", "--force")
    quiet = site("package", "onboard", str(EXAMPLES / "client"))
    assert "uploading" not in quiet.output
    assert "saving the node" in seen(site, "backup", str(tmp_path / "saved.tar"))


def test_a_narrow_terminal_cuts_nothing_off(site: Served) -> None:
    name = "a-name-that-is-much-too-long-for-a-column-of-so-narrow-a-terminal"
    site("vnf", "create", "sipp-server", "--name", name)
    told = seen(site, "vnf", "list")
    assert max(map(len, told.splitlines())) <= COLUMNS
    assert "…" not in told
    column = told.splitlines()[0].index("NAME")
    end = told.splitlines()[0].index("PRODUCT")
    assert name in "".join(line[column:end].strip() for line in told.splitlines()[1:])
    site("vnf", "delete", name)


def test_ids_inside_of_texts_are_shortened() -> None:
    id = str(uuid.uuid4())
    assert output.brief(f"ns:{id}:nfp of {id}") == f"ns:{id[:8]}:nfp of {id[:8]}"
    assert output.brief("7c1e5a60 and no more") == "7c1e5a60 and no more"


def test_sizes_have_units() -> None:
    found = [output.size(count) for count in (0, 530, 7 * 2**20 + 2**19, 25276514304)]
    assert found == ["0 B", "530 B", "7.5 MiB", "23.5 GiB"]


def test_capacity_is_told_in_numbers_that_people_read(site: Served) -> None:
    told = site("vim", "refresh", "sim").stdout
    assert re.search(r"^vcpus +\d+$", told, re.MULTILINE)
    assert re.search(r"^memory +[\d.]+ [KMG]iB$", told, re.MULTILINE)
