"""What others made on an infrastructure."""

from __future__ import annotations

import pytest

from skerry.vim.driver import Stranger
from tests.conformance.bench import Bench


async def found(bench: Bench) -> dict[str, Stranger]:
    """The strangers that the test made, by name: a machine may have others."""
    return {one.name: one for one in await bench.driver.list_strangers() if bench.node in one.name}


@pytest.mark.feature("A5", "A76")
async def test_what_others_made_is_seen_and_removed_on_request_only(bench: Bench) -> None:
    bench.need("strangers")
    network = await bench.network()
    await bench.run("a", on=(network,))
    assert await found(bench) == {}
    names = await bench.rig.strangers(bench.driver, bench.image, bench.node)
    seen = await found(bench)
    assert {name: one.kind for name, one in seen.items()} == names
    assert bench.name("a") in {one.name for one in await bench.driver.list_compute()}
    assert names.keys().isdisjoint({one.name for one in await bench.driver.list_compute()})
    assert names.keys().isdisjoint({one.name for one in await bench.driver.list_networks()})
    for one in sorted(seen.values(), key=lambda one: one.kind):
        await bench.driver.delete_stranger(one)
    assert await found(bench) == {}
    assert (await bench.driver.get_compute(bench.name("a"))).state == "RUNNING"
