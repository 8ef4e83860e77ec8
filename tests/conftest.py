"""A run that was cut off leaves mounts in its temporary folder; the next run has to be able to remove that folder."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is the machine's business: a bound on it fails where a neighbour is busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def _mounts_below(folder: Path) -> list[str]:
    targets = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return [target for target in targets if target.startswith(f"{folder}/")]


def _lives(run: Path) -> bool:
    """Whether the process that made the folder, which its lock names, is still there."""
    try:
        return Path("/proc", (run / ".lock").read_text()).is_dir()
    except OSError:
        return False


def pytest_sessionstart(session: pytest.Session) -> None:
    """Take what ended runs left out of the way.

    pytest removes the folders of old runs itself, but cannot remove a mount point, and warns, which fails a run that
    treats warnings as errors.
    """
    runs = Path(tempfile.gettempdir()) / f"pytest-of-{getpass.getuser()}"
    for folder in [*runs.glob("garbage-*"), *runs.glob("pytest-*[0-9]")]:
        if _lives(folder):
            continue
        for target in reversed(_mounts_below(folder)):
            subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)
        if folder.name.startswith("garbage-"):
            shutil.rmtree(folder, ignore_errors=True)
