"""Operations that fail or are stopped: exit 7, what to do next, retry, rollback, fail and cancel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served, running

ONE_AND_SLOW = '[{"id": "sim", "type": "simulated", "settings": {"instances": 1, "latency": {"start_compute": 0.3}}}]'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    """A node whose infrastructure has room for one instance and takes its time to start it."""
    with running(tmp_path, vims=ONE_AND_SLOW, packages=("server",)) as node:
        yield node


@pytest.mark.feature("A27", "A61")
def test_no_room(small: Served) -> None:
    small("vnf", "create", "sipp-server", "--name", "first")
    small("vnf", "create", "sipp-server", "--name", "second")
    small("vnf", "instantiate", "first")
    refused = small("vnf", "instantiate", "second", code=7)
    assert "ROLLED_BACK" in refused.stdout  # a grant that is refused ends so (SOL003 5.6.2.2)
    assert "error: cannot" in refused.stderr
    assert "try: " in refused.stderr
    assert "op retry" not in refused.stderr, "it is over: there is nothing to retry"
    assert small.json("vnf", "show", "second")["status"] == "NULL"
    small("op", "follow", "second", code=7)
    small("op", "retry", "second", code=4)
    small("vnf", "terminate", "first", "--force")
    small("vnf", "instantiate", "second")
    assert small.json("vnf", "show", "second")["status"] == "ACTIVE"


def test_cancel_and_roll_back(small: Served) -> None:
    small("vnf", "create", "sipp-server", "--name", "slow")
    operation = small("vnf", "instantiate", "slow", "--detach").stdout.strip()
    refused = small("vnf", "terminate", "slow", code=4)
    assert operation in refused.stderr
    small("op", "cancel", operation, "--force")
    stopped = small("op", "follow", operation, code=7)
    assert "FAILED_TEMP" in stopped.stdout
    small("op", "rollback", operation)
    assert small.json("op", "show", operation)["operation"]["state"] == "ROLLED_BACK"
    assert small.json("vim", "show", "sim")["resources"]["compute"] == []
    small("vnf", "delete", "slow")


def test_fail(small: Served) -> None:
    small("vnf", "create", "sipp-server", "--name", "slow")
    operation = small("vnf", "instantiate", "slow", "--detach").stdout.strip()
    small("op", "cancel", operation, "--force")
    small("op", "follow", operation, code=7)
    small("op", "fail", operation)
    assert small.json("op", "list", "--subject", "slow")[0]["state"] == "FAILED"
    small("op", "fail", operation, code=4)
