"""Settings: a file, overruled by the environment; everything unknown or wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.settings import Settings, Vim, default_data_dir, describe, is_loopback, load


def written(folder: Path, text: str) -> Path:
    file = folder / "skerry.toml"
    file.write_text(text)
    return file


def test_defaults(tmp_path: Path) -> None:
    settings = load(written(tmp_path, ""), {})
    assert (settings.listen, settings.port, settings.plain) == ("127.0.0.1", 8443, False)
    assert [(vim.id, vim.type) for vim in settings.vims] == [("local", "local")]


def test_environment_over_file_and_options_over_both(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'port = 1\nnode = "a"\nlisten = "::1"\n[[vims]]\nid = "x"\ntype = "simulated"\nsettings = {vcpus = 4}\n',
    )
    env = {"SKERRY_PORT": "2", "SKERRY_NODE": "b", "SKERRY_TLS_NAMES": "h1, h2", "SKERRY_PLAIN": "true"}
    settings = load(file, env, {"port": 3, "node": None})
    assert (settings.port, settings.node, settings.tls_names, settings.plain) == (3, "b", ("h1", "h2"), True)
    assert settings.vims == (Vim(id="x", type="simulated", settings={"vcpus": 4}),)
    assert load(file, {"SKERRY_VIMS": '[{"id":"j","type":"docker"}]'}).vims[0].id == "j"


def test_every_unknown_key_with_its_place(tmp_path: Path) -> None:
    file = written(tmp_path, 'node = "a"\nprot = 1\n\n[vim]\nid = "x"\n')
    with pytest.raises(InvalidError) as caught:
        load(file, {"SKERRY_POTR": "1", "SKERRY_TOKEN": "not a setting of a node"})
    places = {(fault.file, fault.line, fault.path, fault.fix) for fault in caught.value.faults}
    assert places == {
        (str(file), 2, "prot", "did you mean port?"),
        (str(file), 4, "vim", "did you mean vims?"),
        ("environment", 0, "SKERRY_POTR", "did you mean SKERRY_PORT?"),
    }


@pytest.mark.parametrize(
    ("text", "env", "file", "line", "path"),
    [
        ('node = "a"\nport = 70000\n', {}, True, 2, "port"),
        ("", {"SKERRY_PORT": "many"}, False, 0, "SKERRY_PORT"),
        ('listen = "0.0.0.0"\nplain = true\n', {}, True, 2, "plain"),
        ('[[vims]]\nid="a"\ntype="t"\n[[vims]]\nid="a"\ntype="t"\n', {}, True, 1, "vims"),
        (2 * '[[vnf_managers]]\nid="a"\nendpoint="https://m"\nvnfm_info=["m"]\n', {}, True, 1, "vnf_managers"),
        (2 * '[[service_nfvos]]\nid="a"\nendpoint="https://o"\nzone="z"\n', {}, True, 1, "service_nfvos"),
        ('node = "Not A Name"\n', {}, True, 1, "node"),
        ("node = \n", {}, True, 1, ""),
    ],
)
def test_wrong_values_with_their_place(
    tmp_path: Path, text: str, env: dict[str, str], file: bool, line: int, path: str
) -> None:
    target = written(tmp_path, text)
    with pytest.raises(InvalidError, match="cannot") as caught:
        load(target, env)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.path) == (str(target) if file else "environment", line, path)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="does not exist"):
        load(tmp_path / "none.toml", {})


def test_data_folders() -> None:
    assert default_data_dir({}, root=True) == Path("/var/lib/skerry")
    assert default_data_dir({"HOME": "/h"}, root=False) == Path("/h/.local/share/skerry")
    assert default_data_dir({"XDG_DATA_HOME": "/x"}, root=False) == Path("/x/skerry")


@given(st.ip_addresses())
def test_plain_is_for_loopback_only(address: object) -> None:
    text = str(address)
    try:
        Settings(data_dir=Path("/x"), listen=text, plain=True)
    except ValueError:
        assert not is_loopback(text)
    else:
        assert is_loopback(text)


def test_every_setting_is_described() -> None:
    for kind in (Settings, Vim):
        told = describe(kind)
        assert [one.name for one in told] == [field.name for field in msgspec.structs.fields(kind)]
        assert all(one.text.endswith((".", "…")) and one.type for one in told), told
