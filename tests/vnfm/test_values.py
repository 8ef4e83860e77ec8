"""How values reach programs: as text, as environment, as files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.vnfm.values import handed_over, parameter_files, text, variable
from tests.vnfm.builder import Lab, lab

words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=20)
names = st.text("abc-._XYZ", min_size=1, max_size=5).filter(lambda name: name[0] not in "-._")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        (None, ""),
        (["a", 1], "a,1"),
        ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
    ],
)
def test_values_as_programs_read_them(value: Any, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.feature("A71", "A84")
def test_names_become_variables() -> None:
    assert variable("sip-link.1") == "sip_link_1"
    assert handed_over({"web-server": {"ip_address": "10.0.0.1", "a-b": 1}}) == {
        "WEB_SERVER_IP_ADDRESS": "10.0.0.1",
        "WEB_SERVER_A_B": "1",
    }


@pytest.mark.feature("A72")
@settings(max_examples=25, deadline=None)
@given(st.dictionaries(names, st.dictionaries(names, words, min_size=1, max_size=3), min_size=1, max_size=2))
def test_a_shell_reads_the_file_of_parameters_whatever_they_hold(given_values: dict[str, dict[str, str]]) -> None:
    files = parameter_files(given_values)
    assert json.loads(files["/etc/skerry/parameters.json"]) == given_values
    expected = handed_over(given_values)
    script = files["/etc/skerry/parameters.sh"] + b"\n".join(b'printf "%s\\0" "$' + n.encode() + b'"' for n in expected)
    answer = subprocess.run(["/bin/sh"], input=script, capture_output=True, check=True, env={})
    assert answer.stdout.decode().split("\0")[:-1] == list(expected.values())


def test_without_dependencies_there_are_no_files() -> None:
    assert parameter_files({}) == {}


@pytest.mark.feature("A72", "D10")
def test_what_is_no_longer_handed_over_is_gone_and_a_rollback_brings_it_back(tmp_path: Path) -> None:
    package = {
        "id": "takes",
        "vdus": {"one": {"nics": {"pub": "ext"}}},
        "scripts": {"modify_information_end": {"run": "echo end"}},
    }

    async def body(it: Lab) -> None:
        first = {"peer": {"a": "1", "b": "2"}}
        vnf = await it.vnf(package, additionalParams={"dependencies": first})
        (name,) = it.machines()
        assert (it.env(name)["PEER_A"], it.env(name)["PEER_B"]) == ("1", "2")
        it.scripts.fails["echo end"] = 1
        failed = await it.run("vnf.modify", vnf.id, {"dependencies": {"peer": {"a": "9"}}})
        assert it.env(name)["PEER_A"] == "9"
        assert "PEER_B" not in it.env(name)
        await it.node.engine.rollback(failed.id)
        await it.node.engine.wait(failed.id, 1000)
        assert (it.env(name)["PEER_A"], it.env(name)["PEER_B"]) == ("1", "2")
        assert json.loads(it.file(name, "/etc/skerry/parameters.json")) == first

    lab(body)
