"""Images, keys and infrastructures from the command line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Served


@pytest.mark.feature("A22", "A45")
def test_images_of_the_node_and_of_a_vim(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"content of an image")
    id = served("image", "add", "box", str(file), "--description", "a box").stdout.strip()
    (listed,) = served.json("image", "list")
    assert (listed["id"], listed["name"], listed["state"]) == (id, "box", "READY")
    assert "box" in served("image", "list").output
    served("image", "download", "box", "-o", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    vim = served.json("vim", "list")[0]["id"]
    assert served("vim", "image", "add", vim, "one", "image:box").stdout.strip() == "one"
    served("vim", "image", "add", vim, "two:2", str(file))
    assert {"one", "two:2"} <= {image["name"] for image in served.json("vim", "image", "list", vim)}
    assert "two:2" in served("vim", "refresh", vim).output
    served("vim", "image", "rm", vim, "two:2")
    served("vim", "image", "rm", vim, "one")
    served("vim", "image", "rm", vim, "one", code=3)
    served("image", "rm", "box")
    assert served.json("image", "list") == []


@pytest.mark.feature("A45")
@pytest.mark.parametrize("source", ["host:busybox", "docker://busybox:1.36", "no-such-file", "."])
def test_an_image_that_is_no_file_is_refused_with_what_to_do(served: Served, source: str) -> None:
    told = " ".join(served("image", "add", "box", source, code=5).output.split())
    assert f"cannot read an image from {source}" in told
    assert "skerry vim image add VIM NAME SOURCE" in told
    assert served.json("image", "list") == []


@pytest.mark.feature("A22")
def test_a_vim_is_registered_changed_and_forgotten(served: Served, tmp_path: Path) -> None:
    served("vim", "register", "far", "simulated", "--set", f"world={tmp_path}")
    served("vim", "update", "far", "--name", "Far away", "--set", "vcpus=2")
    assert served.json("vim", "refresh", "far")["capacity"]["vcpus"] == 2
    assert "Far away" in served("vim", "show", "far").output
    served("vim", "delete", "far")
    served("vim", "show", "far", code=3)


@pytest.mark.feature("A38")
def test_a_key_is_generated_into_a_private_file(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "key"
    fingerprint = served("key", "generate", "mine", str(file)).stdout.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in file.read_text()
    (listed,) = served.json("key", "list")
    assert listed["fingerprint"] == fingerprint
    served("key", "generate", "other", str(file), code=4)
    (tmp_path / "mine.pub").write_text(listed["public_key"])
    served("key", "rm", "mine")
    assert served("key", "add", "again", str(tmp_path / "mine.pub")).stdout.strip() == fingerprint
    served("key", "rm", "again")
