"""Keys for SSH: what is read, what is refused, what is made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skerry.access import ssh
from skerry.errors import InvalidError

GOOD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGgLJ5CVfZTmf5i+5yTwDCFnJ7QT7cJJ0ZzVwE1pI2cD me@home"


@pytest.mark.feature("A38")
def test_a_generated_pair_fits_and_its_public_key_is_read_again() -> None:
    private, public = ssh.generate(bytes(range(32)), "mine")
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert ssh.read(public.line) == public
    assert public.line.split()[0] == public.type == "ssh-ed25519"
    assert public.line.endswith(" mine")
    assert ssh.generate(bytes(32), "mine")[1] != public


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
@pytest.mark.feature("A38")
def test_others_read_our_keys_and_we_read_theirs(tmp_path: Path) -> None:
    private, public = ssh.generate(bytes(range(32)), "mine")
    file = tmp_path / "key"
    file.write_text(private)
    file.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == public.line.split()[:2]
    for kind in ("ed25519", "rsa", "ecdsa"):
        target = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", target], check=True)
        told = subprocess.run(["ssh-keygen", "-l", "-f", target], capture_output=True, text=True, check=True).stdout
        assert ssh.read((tmp_path / f"{kind}.pub").read_text()).fingerprint == told.split()[1]


@pytest.mark.feature("A38")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with a type"),
        ("hello", "does not begin with a type"),
        (f'command="rm -rf /" {GOOD}', "does not begin with a type"),
        (f"{GOOD}\n{GOOD}", "not one line"),
        ("ssh-rsa AAAA", "not of its type"),
        (GOOD.replace("ssh-ed25519 ", "ssh-rsa "), "not of its type"),
        (GOOD.replace("AAAAC3", "!!!!"), "not base64"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ssh-rsa " + "A" * 20_000, "not one line"),
    ],
)
def test_what_is_no_public_key_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        ssh.read(text)
