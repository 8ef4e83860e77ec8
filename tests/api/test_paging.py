"""Pages: nothing is lost or shown twice while entries come and go."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.api import paging
from skerry.errors import MalformedError
from tests.api.rig import Rig


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


def test_broken_marker() -> None:
    with pytest.raises(MalformedError, match="page marker"):
        paging.page([Item("1")], "\N{SNOWMAN}", 2)


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
