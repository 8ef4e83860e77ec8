"""Virtual links over SOL005 that are made and deleted by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rig import Rig
from tests.api.test_saps import shed


@pytest.mark.feature("A28")
async def test_a_link_comes_and_goes(rig: Rig) -> None:
    url = await shed(rig)

    async def update(**request: Any) -> list[tuple[str, ...]]:
        done = await rig.finished(await rig.client.post(f"{url}/update", json=request))
        assert done["operationState"] == "COMPLETED", done
        names = ("nsVirtualLinkInstanceId", "vlProfileId", "changeType", "changeResult")
        return [tuple(one[name] for name in names) for one in done["resourceChanges"]["affectedVls"]]

    async def shown() -> dict[str, str]:
        links = (await rig.client.get(url)).json()["virtualLinkInfo"]
        return {one["id"]: one["nsVirtualLinkProfileId"] for one in links}

    assert await shown() == {"lan@sim": "lan"}
    wished = [{"nsVirtualLinkProfileId": "lan"}]
    assert await update(updateType="CREATE_NS_VIRTUAL_LINK", addNsVirtualLinkData=wished) == [
        ("lan-2@sim", "lan", "ADD", "COMPLETED")
    ]
    assert await shown() == {"lan@sim": "lan", "lan-2@sim": "lan"}
    for request, code in (
        ({"updateType": "CREATE_NS_VIRTUAL_LINK"}, 422),
        ({"updateType": "CREATE_NS_VIRTUAL_LINK", "addNsVirtualLinkData": [{"nsVirtualLinkProfileId": "wan"}]}, 422),
        ({"updateType": "DELETE_NS_VIRTUAL_LINK", "deleteNsVirtualLinkId": ["wan"]}, 422),
        ({"updateType": "DELETE_NS_VIRTUAL_LINK", "deleteNsVirtualLinkId": ["lan@sim"]}, 409),
    ):
        answer = await rig.client.post(f"{url}/update", json=request)
        assert (answer.status_code, answer.headers["Content-Type"]) == (code, "application/problem+json"), answer.text
    gone = await update(updateType="DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["lan-2@sim"])
    assert gone == [("lan-2@sim", "lan", "DELETE", "COMPLETED")]
    assert await shown() == {"lan@sim": "lan"}
