"""External connectivity changes while the VNF runs: only who is on the changed network is made again."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.vim.driver import NetworkSpec
from tests.vnfm.builder import Lab, lab, short
from tests.vnfm.packages import WEB


def link(network: str) -> dict[str, Any]:
    return {
        "extVirtualLinks": [
            {"id": "x", "resourceId": network, "vimConnectionId": "sim", "extCps": [{"cpdId": "pub"}]},
        ]
    }


@pytest.mark.feature("A50", "A28")
@pytest.mark.parametrize("fails", [False, True])
def test_a_connection_point_moves_to_another_network(fails: bool) -> None:
    async def body(it: Lab) -> None:
        driver = await it.node.vims.driver("sim")
        for network, subnet in (("outside", "192.0.2.0/24"), ("elsewhere", "198.51.100.0/24")):
            await driver.create_network(NetworkSpec(name=network, cidr=subnet, owner="x"))
        vnf = await it.vnf(WEB, **link("outside"))
        if fails:
            it.world.fail("create_compute", transient=False)
            ended = await it.run("vnf.change_ext_conn", vnf.id, link("elsewhere"))
            assert ended.state == "FAILED_TEMP"
            await it.node.engine.rollback(ended.id)
            assert (await it.node.engine.wait(ended.id)).state == "ROLLED_BACK"
        else:
            ended = await it.done("vnf.change_ext_conn", vnf.id, link("elsewhere"))
        now = {short(name): machine for name, machine in it.machines().items()}
        assert now["front-0"].nics[0].network == ("outside" if fails else "elsewhere")
        assert ended.plan
        touched = {c.resource for c in ended.plan.changes if c.effect != "reuse"}
        assert {key for key in touched if key.startswith("compute:")} == {"compute:front-0"}
        wrong = {"extVirtualLinks": [{"id": "x", "extCps": [{"cpdId": "nowhere"}]}]}
        with pytest.raises(InvalidError, match="no external connection point 'nowhere'"):
            await it.run("vnf.change_ext_conn", vnf.id, wrong)

    lab(body)
