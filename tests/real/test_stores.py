"""Images and keys that a node keeps, in real instances: an image that a VIM lacked, a key that opens a door."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from skerry.errors import ConflictError
from skerry.vim.driver import Exec, Written
from tests.conformance.rigs import DockerRig, busybox_root
from tests.real.conftest import HERE, Plant

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not shutil.which("ssh") or not shutil.which("dropbear", path="/usr/sbin:/usr/bin"),
        reason="needs ssh and dropbear",
    ),
]
DEFAULT = {"flavourId": "default"}


async def door(plant: Plant, vnfd: str, private: str) -> str:
    """What is said inside when a private key is tried on a new VNF that knows the key "mine"; else why it stays out."""
    vnf = await plant.node.vnfm.create(vnfd, name="doors")
    await plant.run("vnf.instantiate", vnf.id, {**DEFAULT, "additionalParams": {"sshKeys": ["mine"]}})
    vnf = plant.node.vnfm.instance(vnf.id)
    driver = await plant.driver()
    assert isinstance(driver, Exec)
    visitor = vnf.resources["compute:visitor-0"].spec["name"]
    address = vnf.resources["compute:house-0"].outputs["nics"][0]["ip"]
    await driver.exec(visitor, ["/bin/sh", "-c", "umask 077; cat > /tmp/key"], stdin=private.encode())
    options = "-i /tmp/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    # the server may not listen yet; whom it refuses it refuses at once
    once = f"ssh {options} root@{address} hostname 2>/tmp/why && exit; grep denied /tmp/why && exit"
    script = f"for n in $(seq 60); do {once}; sleep 0.2; done; cat /tmp/why"
    done = await driver.exec(visitor, ["/bin/sh", "-c", script])
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)
    return (done.stdout + done.stderr).decode()


def require_containers(plant: Plant) -> None:
    if not isinstance(plant.node.vims.opened()["real"], Written):
        pytest.skip("needs containers")


@pytest.mark.feature("A22", "A38")
async def test_a_generated_private_key_logs_in_and_no_other_does(plant: Plant, tmp_path: Path) -> None:
    await plant.driver()
    require_containers(plant)
    vims, keys = plant.node.infrastructures, plant.node.keys
    for name in ("dropbear", "ssh"):
        await vims.add_image("real", name, f"host:{name}", tenant="")
    vnfd = await plant.onboard(HERE / "doors")
    _, private = await keys.generate("mine", tenant="")
    _, other = await keys.generate("other", tenant="")
    assert (await door(plant, vnfd, private)).strip() == "house-0"
    assert "Permission denied" in await door(plant, vnfd, other)
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "own"], check=True)
    await keys.delete(next(key.id for key in keys.all(tenant="") if key.name == "mine"), tenant="")
    await keys.add("mine", (tmp_path / "own.pub").read_text(), tenant="")
    assert (await door(plant, vnfd, (tmp_path / "own").read_text())).strip() == "house-0"
    for name in ("dropbear", "ssh"):
        await vims.delete_image("real", name)


@pytest.mark.feature("A22", "A45")
async def test_an_image_that_was_uploaded_goes_to_a_vim_that_lacks_it(plant: Plant, tmp_path: Path) -> None:
    await plant.driver()
    require_containers(plant)
    vims, images = plant.node.infrastructures, plant.node.images
    vnfd = await plant.onboard(HERE / "doors")
    for name in ("dropbear", "ssh"):
        record = await images.create(name, tenant="")
        root = busybox_root(tmp_path / name)
        (root / "etc/mark").write_text(name)
        await images.upload(record.id, _archive(root, tmp_path / f"{name}.tar"), tenant="")
    before = await vims.refresh("real")
    vnf = await plant.node.vnfm.create(vnfd, name="doors")
    await plant.run("vnf.instantiate", vnf.id, DEFAULT)
    vnf = plant.node.vnfm.instance(vnf.id)
    assert await plant.sh(vnf, "visitor-0", "cat /etc/mark") == "ssh"
    after = await vims.refresh("real")
    assert len(after.images) == len(before.images) + 2
    with pytest.raises(ConflictError, match="1 VNFs run from it"):
        await images.delete(images.all(tenant="")[0].id, tenant="")
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)
    for image in images.all(tenant=""):
        await images.delete(image.id, tenant="")
    for name in set(after.images) - set(before.images):
        await vims.delete_image("real", name)


@pytest.mark.feature("A22")
async def test_an_image_that_others_loaded_is_seen_and_used(plant: Plant, tmp_path: Path) -> None:
    driver = await plant.driver()
    if not isinstance(plant.rig, DockerRig):
        pytest.skip("nobody else brings images to this VIM")
    vims = plant.node.infrastructures
    assert "outside:1" not in (await vims.refresh("real")).found
    plant.rig.engine.docker(
        "load", "-i", str(_archive(busybox_root(tmp_path / "root"), tmp_path / "o.tar", "outside:1"))
    )
    assert "outside:1" in (await vims.refresh("real")).found
    (told,) = plant.node.engine.events.since(0, kind="vim")
    assert told.data["images"] == ["outside:1"]
    for name in ("dropbear", "ssh"):
        await vims.add_image("real", name, "vim:outside:1", tenant="")
    vnf = await plant.node.vnfm.create(await plant.onboard(HERE / "doors"), name="doors")
    await plant.run("vnf.instantiate", vnf.id, DEFAULT)
    with pytest.raises(ConflictError, match="is used by"):
        await vims.delete_image("real", "ssh")
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)
    for name in ("dropbear", "ssh"):
        await vims.delete_image("real", name)
    plant.rig.engine.docker("rmi", "outside:1")
    assert [image.name for image in await driver.list_images() if image.name in ("dropbear", "ssh")] == []


def _archive(root: Path, target: Path, tag: str = "some:1") -> Path:
    """A root directory as `docker save` writes an image."""
    subprocess.run(["tar", "-C", root, "-cf", target.with_suffix(".layer"), "."], check=True)
    layer = target.with_suffix(".layer").read_bytes()
    ids = ["sha256:" + hashlib.sha256(layer).hexdigest()]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
    }
    index = [{"Config": "c.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    parts = {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(index).encode(), "layer.tar": layer}
    with tarfile.open(target, "w") as tar:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target
