"""Exit codes, errors that say what to do, configuration, completion, TLS and tokens: how the command line behaves."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import httpx
import msgspec
import pytest
from click.testing import CliRunner

from skerry import errors
from skerry.cli import exits, root
from tests.api.rig import VNFD
from tests.cli.conftest import Served, environment, start, stop


def test_exit_codes(served: Served, tmp_path: Path) -> None:
    served("--version")
    served("nothing", code=2)
    served("vnf", "scale", code=2)
    missing = served("vnf", "show", "nobody", code=3)
    assert missing.stderr.startswith("error: cannot find the VNF nobody\ntry: there are: ")
    served("lint", str(tmp_path / "none"), code=3)
    broken = tmp_path / "broken.csar"
    broken.write_bytes(b"not a zip")
    served("package", "onboard", str(broken), code=5)
    served("lint", str(broken), code=5)
    assert served.json("lint", str(broken), code=5)["ok"] is False
    served("plan", "vnf.nothing", "x", code=3)
    served("info", code=6, env={"SKERRY_ENDPOINT": served.endpoint, "SKERRY_TOKEN": "sk_wrong"})
    served("info", code=8, env={"SKERRY_ENDPOINT": "https://127.0.0.1:1"})
    assert {exits.code_of(kind("cannot")) for kind in vars(errors).values() if _is_error(kind)} == set(range(1, 9)) - {
        2
    }


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.SkerryError)


def test_errors_as_json(served: Served) -> None:
    told = msgspec.json.decode(served("vnf", "show", "nobody", "--json", code=3).stderr)
    assert (told["error"], told["exit_code"]) == ("NotFound", 3)
    assert told["suggestion"]


def test_a_refused_package_leaves_no_record(served: Served, tmp_path: Path) -> None:
    before = served.json("package", "list")
    broken = tmp_path / "broken.csar"
    broken.write_bytes(b"not a zip")
    served("package", "onboard", "--kind", "vnf", str(broken), code=5)
    assert served.json("package", "list") == before


def test_configuration(served: Served, tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    other = {**home, "SKERRY_DATA_DIR": str(tmp_path / "no-node")}
    local = msgspec.json.decode(served("config", "show", "--json", env=home).stdout)
    assert local["endpoint"] == served.endpoint
    served("info", code=8, env=other)
    token = (served.folder / "data/access/admin.token").read_text().strip()
    served("config", "set", "endpoint", served.endpoint, env=other)
    served("config", "set", "ca", str(served.folder / "data/tls/ca.pem"), env=other)
    served("info", code=6, env=other)
    served("config", "set", "token", stdin=f"{token}\n", env=other)
    assert "skerry" in served("info", env=other).stdout
    shown = served("config", "show", env=other)
    assert token not in shown.output
    assert stat.S_IMODE((tmp_path / "skerry/cli.json").stat().st_mode) == 0o600
    served("config", "unset", "token", env=other)
    served("info", code=6, env=other)
    served("config", "set", "ca", "/no/such/file", code=5, env=other)


def test_tls_and_token_on_the_socket(served: Served) -> None:
    assert served.endpoint.startswith("https://127.0.0.1:")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{served.endpoint}/ready", trust_env=False)
    trust = ssl.create_default_context(cafile=str(served.folder / "data/tls/ca.pem"))
    with httpx.Client(verify=trust, trust_env=False) as client:
        assert client.get(f"{served.endpoint}/ready").status_code == 200
        assert client.get(f"{served.endpoint}/vnflcm/v2/vnf_instances").status_code == 401
    with pytest.raises(httpx.TransportError):
        httpx.get(served.endpoint.replace("https", "http"), trust_env=False)


def test_secrets_are_in_no_log_and_no_open_file(served: Served) -> None:
    token = (served.folder / "data/access/admin.token").read_text().strip()
    assert token not in (served.folder / "log").read_text()
    data = served.folder / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    holders = [path for path in data.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert holders == [data / "access/admin.token"]


def test_events_are_followed(served: Served, onboarded: Callable[[str], str]) -> None:
    assert onboarded("server")
    trust = ssl.create_default_context(cafile=str(served.folder / "data/tls/ca.pem"))
    token = (served.folder / "data/access/admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(verify=trust, trust_env=False, headers=headers, base_url=served.endpoint) as client,
        client.stream("GET", "/skerry/v1/events?follow=true") as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == ": following"
        made = client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD}).json()["id"]
        seen = next(line for line in lines if line.startswith("data: ") and made in line)
        assert msgspec.json.decode(seen.removeprefix("data: "))["state"] == "CREATED"
        client.delete(f"/vnflcm/v2/vnf_instances/{made}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(served: Served, shell: str) -> None:
    assert "_SKERRY_COMPLETE" in served("completion", shell).stdout
    words = "skerry ns sca"
    env = {
        "_SKERRY_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": "sca" if shell == "fish" else "2",
    }
    result = CliRunner().invoke(root, [], env=env, prog_name="skerry", complete_var="_SKERRY_COMPLETE")
    assert "scale" in result.output


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))


def test_every_command_and_option_has_help() -> None:
    for path, command in commands(root):
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)
    assert len(list(commands(root))) > 50


def test_what_shows_something_has_json() -> None:
    silent = {(), ("completion",), ("up",), ("lvnf", "agent")}
    for path, command in commands(root):
        if not isinstance(command, click.Group) and path not in silent:
            assert any("--json" in parameter.opts for parameter in command.params), path


def test_doctor(served: Served) -> None:
    result = CliRunner().invoke(root, ["doctor", "--json"])
    found = msgspec.json.decode(result.stdout)
    names = {finding["name"] for finding in found}
    assert names >= {"SIMULATED", "namespaces", "cgroups v1", "cgroups v2", "kvm", "open vswitch", "ebpf", "tun"}
    usable = all(finding["present"] for finding in found if finding["needed"])
    assert result.exit_code == (0 if usable else 7)
    assert all(finding["remedy"] for finding in found if finding["needed"] and not finding["present"])


def test_settings_are_checked_before_the_start(tmp_path: Path) -> None:
    def check(*options: str, code: int) -> str:
        result = CliRunner().invoke(root, ["up", "--check", *options], env=environment(tmp_path))
        assert result.exit_code == code, result.output
        return result.output

    assert '"port": 7' in check("--port", "7", "--data-dir", str(tmp_path), code=0)
    assert "plain is only for a loopback" in check("--plain", "--listen", "0.0.0.0", code=5)
    file = tmp_path / "settings.toml"
    file.write_text("prot = 1\n")
    assert "did you mean port?" in check("--config", str(file), code=5)


def test_plain_mode_a_taken_port_and_a_second_start(tmp_path: Path) -> None:
    first = start(tmp_path, "--plain")
    plain = Served(tmp_path, first)
    try:
        assert plain.endpoint.startswith("http://127.0.0.1:")
        assert plain.json("info")["name"] == "skerry"
        assert httpx.get(f"{plain.endpoint}/skerry/v1/node", trust_env=False).status_code == 401
        port = plain.endpoint.rpartition(":")[2]
        taken = plain(
            "up", "--plain", "--port", port, "--vim", "sim=simulated", "--data-dir", str(tmp_path / "other"), code=8
        )
        assert f"cannot listen on 127.0.0.1 port {port}" in taken.stderr
    finally:
        assert stop(first) == 0
    again = start(tmp_path, "--plain")
    try:
        assert Served(tmp_path, again).json("info")["ready"] is True
    finally:
        assert stop(again) == 0
