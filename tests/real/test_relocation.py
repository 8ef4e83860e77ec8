"""A stateful application moves from one host to another: its files are there before its users are."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from skerry.settings import Vim
from skerry.vim.driver import Exec
from tests.api.rig import Rig, running
from tests.conformance.rigs import RIGS
from tests.meo.packages import IMAGE, appd, dns
from tests.meo.test_lifecycle import Edge

pytestmark = pytest.mark.real
BOOT = {"vim_specific_properties": {"properties": {"CMD": ["sleep", "1000000"], "GRACE": "0.2 s"}}}
UNIT = {
    "osContainerDescId": "unit",
    "name": "unit",
    "swImageDesc": {**IMAGE, "swImage": "host:busybox"},
    "cpuResourceLimit": 100,
    "memoryResourceLimit": 32,
    "bootData": json.dumps(BOOT),
}


def stateful(capable: bool) -> dict[str, Any]:
    """An AppD of a container that sleeps."""
    return appd(
        f"stateful-{capable}".lower(),
        swImageDescriptor=[UNIT["swImageDesc"]],
        osContainerDescriptor=[UNIT],
        appDNSRule=[dns()],
        userContextTransferCapability={"statefulApplication": True, "userContextTransferSupport": capable},
    )


async def inside(rig: Rig, id: str, script: str) -> str:
    """What a shell command prints in the application's only container."""
    node = rig.node
    instance = node.meo.instance(id, tenant="default")
    (vnf,) = node.meo.desk.vnfs(instance)
    (name,) = (str(one.spec["name"]) for key, one in vnf.resources.items() if key.startswith("compute:"))
    driver = await node.vims.driver(instance.vim)
    assert isinstance(driver, Exec)
    done = await driver.exec(name, ["sh", "-c", script])
    return done.stdout.decode().strip()


@pytest.mark.feature("E21")
@pytest.mark.parametrize("capable", [True, False])
async def test_files_of_a_stateful_application_move_with_it(tmp_path: Path, capable: bool) -> None:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    tag = f"rl{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vims = tuple(Vim(id=zone, type="LOCAL", zone=zone, settings={"host": zone}) for zone in ("east", "west"))
    async with running(tmp_path, node=tag, vims=vims, mec_dns="builtin") as rig:
        edge = Edge(rig, None, {})  # type: ignore[arg-type]
        id = await edge.running(stateful(capable))
        told = "echo $MEC_STATE_DIR; mkdir -p /var/lib/mec/users; echo 42 > /var/lib/mec/users/7; echo x > /srv-only"
        assert await inside(rig, id, told) == ("/var/lib/mec" if capable else "")
        before = (await edge.shown(id))["nsInstanceId"]
        operation = await rig.node.meo.start("app.relocate", id, {}, tenant="default")
        ended = await rig.node.engine.wait(operation.id, 60)
        assert ended.state == "COMPLETED", ended.error
        assert (await edge.shown(id))["nsInstanceId"] != before
        assert rig.node.meo.instance(id, tenant="default").host == "west"
        expected = "42" if capable else ""
        assert await inside(rig, id, "cat /var/lib/mec/users/7 /srv-only 2>/dev/null; true") == expected
        assert (await edge.does(id, "terminate", {"terminationType": "FORCEFUL"}))["operationState"] == "COMPLETED"
