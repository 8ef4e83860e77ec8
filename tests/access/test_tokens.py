"""Tokens: made once, kept as hashes, readable by their owner alone, told apart from wrong ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from skerry.access.files import write_private
from skerry.access.tokens import StoredToken, Tokens, digest, ensure_tokens
from skerry.errors import UnauthorizedError, UnavailableError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_start_makes_a_token_and_later_ones_keep_it(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    first = ensure_tokens(folder, os.urandom)
    clear = (folder / "admin.token").read_text().strip()
    assert len(clear) == 67
    assert clear not in (folder / "tokens.json").read_text()
    assert (mode(folder), mode(folder / "admin.token"), mode(folder / "tokens.json")) == (0o700, 0o600, 0o600)
    assert first.check(f"Bearer {clear}").role == "admin"
    (folder / "admin.token").unlink()
    assert ensure_tokens(folder, os.urandom).check(f"bearer  {clear} ").tenant == "default"
    assert not (folder / "admin.token").exists()


@pytest.mark.parametrize("header", ["", "  ", "Bearer", "Bearer x", "Basic sk_right", "sk_right"])
def test_wrong_headers(header: str) -> None:
    tokens = Tokens([StoredToken(sha256=digest("sk_right"))])
    with pytest.raises(UnauthorizedError) as caught:
        tokens.check(header)
    assert "sk_right" not in caught.value.detail
    assert caught.value.suggestion


def test_each_token_has_its_own_principal() -> None:
    tokens = Tokens(
        [StoredToken(sha256=digest("a")), StoredToken(sha256=digest("b"), name="bob", tenant="t2", role="guest")]
    )
    assert tokens.check("Bearer b").name == "bob"
    assert tokens.check("Bearer b").tenant == "t2"


def test_spoilt_store_is_no_open_door(tmp_path: Path) -> None:
    ensure_tokens(tmp_path, os.urandom)
    (tmp_path / "tokens.json").write_text("[{}]")
    with pytest.raises(UnavailableError, match="tokens"):
        ensure_tokens(tmp_path, os.urandom)


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_text("old")
    target.chmod(0o644)
    write_private(target, b"new")
    assert target.read_bytes() == b"new"
    assert mode(target) == 0o600
    assert list(tmp_path.iterdir()) == [target]
