"""Descriptors of every release, and every real package at hand, go through a whole life on the simulated driver."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from skerry.errors import InvalidError
from skerry.model.descriptors import InputParameter, VnfPackage
from skerry.model.vnf import VnfPkgInfo
from skerry.packages import lint
from skerry.vim.driver import ImageSpec
from skerry.vnfm.goal import counts_for, flavour_of, scale_at_level
from skerry.vnfm.steps import image_name
from tests.packages import samples
from tests.packages.test_releases import RELEASES, carried, compute_only, has
from tests.vnfm.builder import Lab, lab
from tools.packages_table import find, packages_folder

FOLDER = packages_folder()
ROOM = {"sim": {"vcpus": 1e4, "memory_bytes": 1 << 50, "storage_bytes": 1 << 50, "latency": {"*": 0.01}}}
SAMPLES: dict[str, Any] = {"integer": 1, "float": 1.0, "boolean": True, "list": [], "map": {}}


def given(one: InputParameter) -> Any:
    return SAMPLES.get(one.type, "1 GB" if "size" in one.type else "word")


async def life(it: Lab, info: VnfPkgInfo, **params: Any) -> None:
    """Instantiate, scale what can be scaled, heal and terminate; nothing is left."""
    assert info.package is not None
    flavour = flavour_of(info.package.vnfd, params.get("flavourId", ""))
    driver = await it.node.vims.driver("sim")
    for vdu in flavour.vdus.values():
        if vdu.image is not None and not vdu.image.source:
            await driver.ensure_image(ImageSpec(name=image_name(msgspec.to_builtins(vdu.image)), source="host:sh"))
    vnf = await it.node.vnfm.create(info.vnfd_id)
    inputs = {name: given(one) for name, one in flavour.inputs.items() if one.required and one.default is None}
    more = {"inputs": inputs, "dependencies": {"client": {"address": "192.0.2.7"}}}
    await it.done("vnf.instantiate", vnf.id, {**params, "additionalParams": more})
    level = flavour.default_instantiation_level_id
    counts = counts_for(flavour, scale_at_level(flavour, level), level)
    assert len(it.machines()) == sum(counts.values())
    for aspect in flavour.scaling_aspects.values():
        if it.node.vnfm.instance(vnf.id).scale_status[aspect.id] < aspect.max_scale_level:
            before = len(it.machines())
            await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": aspect.id, "numberOfSteps": 1})
            assert len(it.machines()) > before
    await it.done("vnf.heal", vnf.id)
    await it.done("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    assert it.nothing_left()


def with_images(text: str) -> str:
    """Each virtual machine of a template has an image."""
    document: dict[str, Any] = yaml.safe_load(text)
    for node in ("helper", "server"):
        artifact = {"type": "tosca.artifacts.nfv.SwImage", "file": "host:sh"}
        document["topology_template"]["node_templates"][node]["artifacts"] = {"sw_image": artifact}
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.skipif(not RELEASES, reason="the official type definitions are not at hand (SKERRY_ETSI)")
@pytest.mark.feature("A48", "A25")
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_descriptor_of_every_release_lives(release: Path, tmp_path: Path) -> None:
    if not has(release, "vnfd", "tosca.nodes.nfv.VNF:"):
        pytest.skip("this release has no VNFD types here")
    containers = has(release, "vnfd", "OsContainerDeployableUnit")
    text = samples.SERVER if containers else with_images(compute_only())
    text = text.replace(
        "        description: answers calls\n",
        "        description: answers calls\n        mcio_identification_data: {name: a, type: Deployment}\n",
    )
    file = tmp_path / "package.csar"
    file.write_bytes(samples.zipped({**samples.server_files(), **carried(release), "Definitions/server.yaml": text}))

    async def body(it: Lab) -> None:
        await life(it, await it.onboard(file))

    lab(body, ROOM)


@pytest.mark.skipif(FOLDER is None, reason="the real packages are not at hand (SKERRY_ETSI)")
@pytest.mark.feature("A35", "A48")
def test_every_real_package_that_is_read_lives(tmp_path: Path) -> None:
    assert FOLDER is not None
    lived, bare = 0, []
    for number, folder in enumerate(find(FOLDER)):
        package = lint(folder)[2]
        if not isinstance(package, VnfPackage):
            continue
        name = str(tmp_path / str(number))
        file = Path(shutil.make_archive(name, "zip", folder)) if folder.is_dir() else folder
        try:
            lab(partial(alone, file), ROOM)
            lived += 1
        except InvalidError as refused:
            bare.append(f"{folder.name}: {refused.detail}")
    assert lived > 30, bare
    assert all("no software image" in one for one in bare), bare


async def alone(file: Path, it: Lab) -> None:
    await life(it, await it.onboard(file))
