"""A node that cannot start says what to do: a folder with another node, a newer or broken store, no room, no such address."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from skerry.cli import root
from tests.cli.conftest import Served, environment, start, stop


def refused(folder: Path, code: int, *options: str) -> str:
    """What `skerry up` says before it ends with the code."""
    words = ["up", "--port", "0", "--vim", "sim=simulated", "--data-dir", str(folder / "data"), *options]
    result = CliRunner().invoke(root, words, env=environment(folder), prog_name="skerry")
    assert result.exit_code == code, result.output
    assert result.stderr.splitlines()[-1].startswith("try: ")
    return result.stderr


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The folder of a node that was there."""
    process = start(tmp_path)
    Served(tmp_path, process)
    assert stop(process) == 0
    return tmp_path


def test_a_folder_has_one_node(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        node = Served(tmp_path, first)
        second = start(tmp_path)
        assert second.wait(60) == 4
        assert second.stdout is not None
        second.stdout.close()
        told = (tmp_path / "log").read_text()
        assert f"process {first.pid} is one" in told
        assert node.json("info")["ready"] is True, "its own profile still leads to the first"
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(20)
        assert first.stdout is not None
        first.stdout.close()
    after = start(tmp_path)
    try:
        assert Served(tmp_path, after).json("info")["ready"] is True
    finally:
        assert stop(after) == 0


def test_a_store_of_a_newer_release(stopped: Path) -> None:
    with sqlite3.connect(stopped / "data/skerry.db") as store:
        (version,) = store.execute("PRAGMA user_version").fetchone()
        store.execute(f"PRAGMA user_version = {version + 1}")
    store.close()
    told = refused(stopped, 8)
    assert f"the store has version {version + 1}, this program knows {version}" in told
    assert "try: start it with the release that wrote it or a newer one" in told


def test_a_store_that_is_none(stopped: Path) -> None:
    (stopped / "data/skerry.db").write_bytes(b"nothing of the kind, but long enough to be looked at" * 100)
    (stopped / "data/skerry.db-wal").unlink(missing_ok=True)
    assert "`skerry restore FILE`" in refused(stopped, 8)


def test_addresses_and_folders_that_are_none(tmp_path: Path) -> None:
    assert "choose an address of this machine" in refused(tmp_path, 8, "--listen", "203.0.113.9")
    (tmp_path / "file").write_text("no folder")
    assert "try: choose a folder" in refused(tmp_path, 8, "--data-dir", str(tmp_path / "file"))


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 KiB that is full."""
    disk = tmp_path / "data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], check=True)
    try:
        (disk / "much").write_bytes(bytes(8192))
        yield tmp_path
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_disk_that_is_full(tiny: Path) -> None:
    told = refused(tiny, 8)
    assert "No space left on device" in told
    assert "make room on the disk" in told
