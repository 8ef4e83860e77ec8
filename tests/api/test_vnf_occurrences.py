"""What occurrences of VNF operations tell besides their state, over SOL003."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rig import Rig
from tests.api.test_managed_links import PAIR, SECOND, lend
from tests.api.test_saps import upload
from tests.vnfm.builder import vnf_folder


async def pair(rig: Rig) -> str:
    """The URL of an instantiated VNF of a product with two packages."""
    await lend(rig, "front", "other")
    for package in (PAIR, SECOND):
        await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(package)})
    url = (await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": "pair"})).headers["Location"]
    done = await run(rig, url, "instantiate", flavourId="default", extVirtualLinks=to("front"))
    assert "changedExtConnectivity" not in done
    return str(url)


def to(network: str) -> list[dict[str, Any]]:
    return [{"id": "out", "resourceId": network, "extCps": [{"cpdId": "front"}]}]


async def run(rig: Rig, url: str, task: str, **request: Any) -> dict[str, Any]:
    done = await rig.finished(await rig.client.post(f"{url}/{task}", json=request))
    assert done["operationState"] == "COMPLETED", done
    return done


@pytest.mark.feature("A29", "A33", "B33")
async def test_what_a_new_package_brought(rig: Rig) -> None:
    url = await pair(rig)
    done = await run(rig, url, "change_vnfpkg", vnfdId="pair2")
    shown = (await rig.client.get(url)).json()
    names = ("vnfdId", "vnfProvider", "vnfProductName", "vnfSoftwareVersion", "vnfdVersion")
    assert done["modificationsTriggeredByVnfPkgChange"] == {name: shown[name] for name in names}
    assert "changedInfo" not in done
    left_out = {"exclude_fields": "changedInfo,modificationsTriggeredByVnfPkgChange"}
    first, second = (await rig.client.get("/vnflcm/v2/vnf_lcm_op_occs", params=left_out)).json()
    mandatory = ("changedInfo", "modificationsTriggeredByVnfPkgChange")
    assert [[name in one for name in mandatory] for one in (first, second)] == [[True, False], [False, True]]


@pytest.mark.feature("A33", "B33")
async def test_which_connections_changed(rig: Rig) -> None:
    url = await pair(rig)
    done = await run(rig, url, "change_ext_conn", extVirtualLinks=to("other"))
    (link,) = done["changedExtConnectivity"]
    assert (link["id"], link["resourceHandle"]["resourceId"]) == ("out", "other")
    listed = (await rig.client.get("/vnflcm/v2/vnf_lcm_op_occs")).json()
    assert not any("changedExtConnectivity" in one for one in listed)


@pytest.mark.feature("A33", "B33")
async def test_which_snapshot_was_taken(rig: Rig) -> None:
    url = await pair(rig)
    made = await rig.client.post("/vnflcm/v2/vnf_snapshots", json={})
    done = await run(rig, url, "create_snapshot", vnfSnapshotInfoId=made.json()["id"])
    assert done["vnfSnapshotInfoId"] == made.json()["id"]
    assert (await rig.client.get(done["_links"]["vnfSnapshot"]["href"])).json()["id"] == made.json()["id"]
