"""Clients of a node from the command line: made, used, rotated; tokens kept private; client certificates over real TLS."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.cli.conftest import Served


@pytest.mark.feature("A21", "A14", "A39", "A44")
def test_a_client_logs_in_works_and_logs_out(served: Served, tmp_path: Path) -> None:
    made = served.json("access", "client", "create", "cli", "--role", "operator", "--tenant", "t9")
    id, secret = made["client"]["id"], made["client_secret"]
    listed = served("access", "client", "list").output
    assert secret not in listed
    assert made["client"]["id"] not in listed  # shortened, as everywhere
    assert made["client"]["id"][:8] in listed
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    files = tmp_path / "skerry"
    served("config", "login", id, "--secret", "ss_wrong", env=home, code=6)
    assert not files.exists()
    served("config", "login", id, stdin=f"{secret}\n", env=home)
    me = msgspec.json.decode(served("access", "whoami", "--json", env=home).stdout)
    assert (me["name"], me["tenant"], me["role"]) == ("cli", "t9", "operator")
    first = (files / "token.json").read_bytes()
    assert msgspec.json.decode(served("package", "list", "--json", env=home).stdout) == []
    assert (files / "token.json").read_bytes() == first
    for name in ("cli.json", "token.json"):
        assert stat.S_IMODE((files / name).stat().st_mode) == 0o600
    assert secret.encode() not in first
    assert secret not in served("config", "show", env=home).output
    served("access", "client", "list", env=home, code=6)
    served("config", "logout", env=home)
    assert not (files / "token.json").exists()
    assert msgspec.json.decode(served("access", "whoami", "--json", env=home).stdout)["name"] == "admin"
    dead = httpx.get(
        f"{served.endpoint}/skerry/v1/node",
        headers={"Authorization": f"Bearer {msgspec.json.decode(first)['token']}"},
        verify=ssl.create_default_context(cafile=str(served.folder / "data/tls/ca.pem")),
        trust_env=False,
    )
    assert dead.status_code == 401
    fresh = served.json("access", "client", "rotate", "cli")["client_secret"]
    served("config", "login", id, "--secret", secret, env=home, code=6)
    served("config", "login", id, "--secret", fresh, env=home)
    served("access", "client", "delete", "cli")
    served("info", env=home, code=6)


@pytest.mark.feature("A42")
def test_the_audit_is_shown(served: Served) -> None:
    served("access", "client", "create", "seen")
    served("access", "client", "delete", "seen")
    lines = [
        msgspec.json.decode(line)
        for line in served("events", "--kind", "audit", "--last", "2", "--json").stdout.splitlines()
    ]
    assert [(line["name"], line["state"]) for line in lines] == [("admin", "201"), ("admin", "204")]
    assert "DELETE /skerry/v1/access/clients/" in served("events", "--kind", "audit", "--last", "1").output


def test_a_client_certificate_says_who_calls(mutual: Served, tmp_path: Path) -> None:
    mutual("access", "client", "create", "edge", "--role", "operator", "--tenant", "t3")
    certificate, key = tmp_path / "edge.pem", tmp_path / "edge.key"
    mutual("access", "client", "certificate", "edge", "--certificate", str(certificate), "--key", str(key))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    mutual("access", "client", "certificate", "edge", "--certificate", str(certificate), "--key", str(key), code=5)
    trust = ssl.create_default_context(cafile=str(mutual.folder / "data/tls/ca.pem"))
    path = f"{mutual.endpoint}/skerry/v1/access/me"
    assert httpx.get(path, verify=trust, trust_env=False).status_code == 401
    home = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    mutual("config", "set", "certificate", str(certificate), env=home)
    mutual("config", "set", "certificate_key", str(key), env=home)
    me = msgspec.json.decode(mutual("access", "whoami", "--json", env=home).stdout)
    assert (me["name"], me["tenant"]) == ("edge", "t3")
    mutual("access", "client", "rotate", "edge")
    mutual("info", env=home, code=6)


def test_a_certificate_of_another_authority_is_no_way_in(mutual: Served, served: Served, tmp_path: Path) -> None:
    served("access", "client", "create", "stranger", "--role", "operator")
    certificate, key = tmp_path / "s.pem", tmp_path / "s.key"
    served("access", "client", "certificate", "stranger", "--certificate", str(certificate), "--key", str(key))
    served("access", "client", "delete", "stranger")
    trust = ssl.create_default_context(cafile=str(mutual.folder / "data/tls/ca.pem"))
    trust.load_cert_chain(certificate, key)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{mutual.endpoint}/skerry/v1/access/me", verify=trust, trust_env=False)
