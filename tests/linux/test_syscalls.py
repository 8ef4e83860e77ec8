"""Calls of the kernel that need no rights."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skerry.linux import syscalls


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_subfolders_are_spread_where_the_file_system_can(tmp_path: Path) -> None:
    if _output("stat", "-f", "-c", "%T", str(tmp_path)).strip() != "ext2/ext3":
        pytest.skip("the temporary folder is not on ext4")
    assert "T" not in _output("lsattr", "-d", str(tmp_path)).split()[0]
    syscalls.spread(tmp_path)
    assert "T" in _output("lsattr", "-d", str(tmp_path)).split()[0]


def test_a_file_system_that_cannot_spread_is_left_as_it_is() -> None:
    syscalls.spread(Path("/proc/self"))
    with pytest.raises(FileNotFoundError):
        syscalls.spread(Path("/proc/self/nothing"))
