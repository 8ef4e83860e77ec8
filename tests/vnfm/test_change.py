"""A running VNF changes to another version of its package, whose image is another one."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.model.states import OperationState
from tests.vnfm.builder import Lab, csar, lab, vnf_folder


def version(number: int, image: str, command: str) -> dict[str, Any]:
    vdus = {"one": {"nics": {"pub": "ext"}, "image": image, "cmd": [command]}, "two": {"nics": {"other": "ext"}}}
    return {"id": f"v{number}", "product": "imaged", "vdus": vdus}


ONE, TWO, DYING = version(1, "host:sh", "run"), version(2, "host:busybox", "run"), version(3, "host:nginx", "false")


@pytest.mark.feature("A29")
def test_an_upgrade_swaps_the_image_and_an_unhealthy_one_is_taken_back() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(ONE)
        for other in (TWO, DYING):
            await it.onboard(csar(vnf_folder(other)))
        before = it.machines()

        def images() -> list[str]:
            return sorted(machine.spec.image for machine in it.world.has.machines.values())

        assert images() == ["host:sh", "host:sh"]
        await it.done("vnf.change_package", vnf.id, {"vnfdId": "v2"})
        assert images() == ["host:busybox", "host:sh"]
        failed = await it.run("vnf.change_package", vnf.id, {"vnfdId": "v3"})
        assert failed.state is OperationState.ROLLED_BACK
        assert "cannot accept one-0" in failed.error
        assert images() == ["host:busybox", "host:sh"]
        after = it.machines()
        assert {name: machine.nics for name, machine in after.items()} == {n: m.nics for n, m in before.items()}
        assert [name for name in after if after[name].started_at == before[name].started_at] == [
            name for name in after if name.endswith("two-0")
        ], "what does not differ runs on"
        assert it.node.vnfm.instance(vnf.id).vnfd_id == "v2"

    lab(body)
