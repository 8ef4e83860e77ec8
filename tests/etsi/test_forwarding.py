"""What SOL005 shows of forwarding graphs, against its official file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.rig import Rig
from tests.etsi.test_responses import HOME, Judge
from tests.nfvo.paths import with_paths
from tests.nfvo.test_forwarding import HOST, SERVICE, WALL, WEB
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


async def put(rig: Rig, root: str, content: str, archive: Path) -> dict[str, str]:
    made = (await rig.client.post(root, json={})).json()
    sent = await rig.client.put(
        f"{root}/{made['id']}/{content}", content=archive.read_bytes(), headers={"Content-Type": "application/zip"}
    )
    assert sent.status_code in (202, 204), sent.text
    done: dict[str, str] = (await rig.client.get(f"{root}/{made['id']}")).json()
    return done


@pytest.mark.feature("A36", "E101")
async def test_a_forwarding_graph_is_shown_with_its_parts(rig: Rig) -> None:
    rig.client.event_hooks = {"response": [Judge()]}
    for vnf in (HOST, WALL):
        await put(rig, "/vnfpkgm/v2/vnf_packages", "package_content", csar(vnf_folder(vnf)))
    nsd = await put(rig, "/nsd/v2/ns_descriptors", "nsd_content", csar(with_paths(SERVICE, WEB)))
    request = {"nsdId": nsd["nsdId"], "nsName": "guarded", "nsDescription": "behind a wall"}
    ns = (await rig.client.post("/nslcm/v2/ns_instances", json=request)).json()
    where = f"/nslcm/v2/ns_instances/{ns['id']}"
    assert "vnffgInfo" not in (await rig.client.get(where)).json()
    done = await rig.finished(await rig.client.post(f"{where}/instantiate", json={"nsFlavourId": "default"}))
    assert done["operationState"] == "COMPLETED", done
    shown = (await rig.client.get(where)).json()
    (graph,) = shown["vnffgInfo"]
    assert graph["vnffgdId"] == "graph"
    assert sorted(graph["vnfInstanceId"]) == sorted(vnf["id"] for vnf in shown["vnfInstance"])
    assert graph["nsVirtualLinkInfoId"] == [link["id"] for link in shown["virtualLinkInfo"]]
