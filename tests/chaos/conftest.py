"""What the chaos tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.arena import remove_folders


@pytest.fixture(scope="session", autouse=True)
def folders() -> Iterator[None]:
    """Nothing of the arenas stays."""
    yield
    remove_folders()
