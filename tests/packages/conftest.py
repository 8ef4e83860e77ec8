"""Fixtures of the tests of packages."""

from __future__ import annotations

import pytest

from tests.packages.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Authorities and signers; making their keys takes a while."""
    return Pki(tmp_path_factory.mktemp("pki"))
