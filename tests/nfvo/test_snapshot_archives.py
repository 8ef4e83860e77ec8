"""Archives of snapshot packages in the making."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from skerry.nfvo.snapshot_archives import Writer


@pytest.mark.feature("A45")
def test_an_archive_can_be_given_up_while_a_file_comes(tmp_path: Path) -> None:
    source = tmp_path / "slow"
    os.mkfifo(source)
    writer = Writer(tmp_path / "archive")
    thread = Thread(target=writer.add_file, args=("images/0", source), daemon=True)
    thread.start()
    with source.open("wb", buffering=0) as slow:
        slow.write(b"x" * 200_000)  # more than the pipe holds: the thread is in the middle of it
        writer.abandon()
    thread.join(60)
    assert not thread.is_alive()
