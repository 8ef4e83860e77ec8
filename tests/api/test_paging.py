"""Pages: nothing is lost or shown twice while entries come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.api import filters, paging
from skerry.errors import MalformedError
from tests.api.rig import VNFD, Rig


class Item(msgspec.Struct, frozen=True):
    id: str
    created_at: str = ""


@given(st.lists(st.integers(0, 99), unique=True), st.integers(1, 7))
def test_pages_make_the_whole(numbers: list[int], size: int) -> None:
    items = [Item(f"{n:02}", f"t{n % 3}") for n in numbers]
    found: list[Item] = []
    marker = ""
    while True:
        cut, marker = paging.page(items, marker, size)
        assert len(cut) <= size
        found += cut
        if not marker:
            break
    assert found == sorted(items, key=paging.order)


def test_entries_that_go_shift_nothing() -> None:
    items = [Item(str(n)) for n in range(6)]
    first, marker = paging.page(items, "", 2)
    rest, _ = paging.page([item for item in items if item not in first[:1]], marker, 10)
    assert [item.id for item in rest] == ["2", "3", "4", "5"]


@pytest.mark.parametrize("marker", ["\N{SNOWMAN}", "!!!", "AA", "A"])
def test_broken_marker(marker: str) -> None:
    with pytest.raises(MalformedError, match="page marker"):
        paging.page([Item("1")], marker, 2)


async def test_link_header(rig: Rig) -> None:
    for _ in range(3):
        await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})
    whole = (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()
    assert len(whole) == 3
    rig.node.settings = msgspec.structs.replace(rig.node.settings, page_size=2)
    first = await rig.client.get("/vnfpkgm/v2/vnf_packages?filter=(eq,onboardingState,CREATED)")
    assert len(first.json()) == 2
    second = await rig.client.get(first.links["next"]["url"])
    assert "next" not in second.links
    assert [*first.json(), *second.json()] == whole


DEEP = [
    "(eq,metadata/site,north)",
    "(neq,metadata/site,north)",
    "(cont,metadata/site,o)",
    "(in,metadata/rack,3,4)",
    "(gt,metadata/rack,3)",
    "(nin,metadata/list,a)",
    "(eq,metadata/@key,rack)",
    "(eq,metadata/password,no)",
    "(eq,instantiatedVnfInfo/vnfState,STARTED)",
    "(neq,instantiatedVnfInfo/flavourId,default)",
    "(eq,vnfInstanceDescription,third);(eq,metadata/site,south)",
    "(eq,vnfInstanceName,vnf-4);(cont,metadata/site,nowhere)",
    "(eq,instantiatedVnfInfo/vnfcResourceInfo/vduId,server);(eq,metadata/site,north)",
]


@pytest.mark.feature("A92")
async def test_a_filter_by_what_is_inside_finds_what_it_means_on_every_page(rig: Rig) -> None:
    rig.node.settings = msgspec.structs.replace(rig.node.settings, page_size=3)
    await rig.onboard("server")
    root = "/vnflcm/v2/vnf_instances"
    started = await rig.vnf()
    await rig.client.patch(f"{root}/{started}", json={"metadata": {"site": "north"}})
    for number in range(12):
        metadata = {
            "site": ("north", "south", "east")[number % 3],
            "rack": number % 5,
            "list": ["a", "b"][: number % 3],
        }
        if number % 4 == 0:
            metadata["password"] = "no"
        body = {"vnfdId": VNFD, "vnfInstanceName": f"vnf-{number}", "metadata": metadata}
        await rig.client.post(root, json={**body, "vnfInstanceDescription": "third" if number % 3 else ""})

    async def ids(query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = f"{root}?{query}"
        while page:
            answer = await rig.client.get(page)
            assert answer.status_code == 200, answer.text
            found += answer.json()
            page = answer.links.get("next", {}).get("url", "")
        return found

    everything = await ids("all_fields")
    assert len(everything) == 13
    for text in DEEP:
        wanted = [one["id"] for one in everything if filters.matches(one, filters.parse(text))]
        assert [one["id"] for one in await ids(f"filter={text}")] == wanted, text


@pytest.mark.feature("A92")
async def test_of_changes_to_the_same_revision_only_one_is_made(rig: Rig) -> None:
    await rig.onboard("server")
    root = "/vnflcm/v2/vnf_instances"
    id = (await rig.client.post(root, json={"vnfdId": VNFD})).json()["id"]
    tag = (await rig.client.get(f"{root}/{id}")).headers["ETag"]

    async def change(name: str) -> int:
        body, headers = {"vnfInstanceName": name}, {"If-Match": tag}
        return (await rig.client.patch(f"{root}/{id}", json=body, headers=headers)).status_code

    answers = await asyncio.gather(*(change(str(number)) for number in range(8)))
    assert sorted(answers)[0] == 202
    assert set(sorted(answers)[1:]) <= {409, 412}, answers
    async with asyncio.timeout(30):
        while (await change("late")) == 409:
            await asyncio.sleep(0.01)
    assert await change("later") == 412
    assert (await rig.client.get(f"{root}/{id}")).json()["vnfInstanceName"] == str(answers.index(202))
