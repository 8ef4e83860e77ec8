"""Subscribers to available quotas, against the official OpenAPI file; what arrives has the attributes of the text."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from skerry.placement.solve import Demand, Site
from skerry.vim.driver import Capacity
from tests.api.rig import Rig, running
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import receiving

FILE = (
    "nfv-sol002-sol003/SOL003/VirtualisedResourcesQuotaAvailableNotification/"
    "VirtualisedResourcesQuotaAvailableNotification.json"
)
ROOT = "/vrqan/v1/subscriptions"

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path) as started:
        made = Judge()
        made.documents = {"/vrqan/v1": json.loads((HOME / FILE).read_text())}
        started.client.event_hooks = {"response": [made]}
        yield started


@pytest.mark.feature("A41")
async def test_a_subscriber_is_told_of_room_on_the_vims_that_it_names(rig: Rig) -> None:
    async with receiving() as receiver:
        for path, vims in (("/sim", ["sim"]), ("/other", ["other"])):
            body = {"callbackUri": receiver.uri(path), "filter": {"vimIds": vims, "resourceTypes": ["COMPUTE"]}}
            made = await rig.client.post(ROOT, json=body)
            assert made.status_code == 201, made.text
            assert (await rig.client.post(ROOT, json=body)).status_code == 303
        full = Site(id="sim", capacity=Capacity(vcpus=0, memory_bytes=0, storage_bytes=1, instances=0))
        await rig.node.quotas.refused("default", [full], [Demand(name="a", vcpus=1)])
        await receiver.until(lambda: any(got.path == "/sim" and got.body for got in receiver.got))
        (note,) = [got.json for got in receiver.got if got.body]
        assert note["notificationType"] == "VrQuotaAvailNotification"
        assert (note["vimId"], note["resourceType"], note["resourceGroupId"]) == ("sim", "COMPUTE", "default")
        assert note["_links"]["subscription"]["href"].endswith(note["subscriptionId"])
    listed = (await rig.client.get(ROOT)).json()
    assert len(listed) == 2
    one = f"{ROOT}/{listed[0]['id']}"
    assert (await rig.client.get(one)).status_code == 200
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404
    assert (await rig.client.post(ROOT, json={})).status_code == 422
