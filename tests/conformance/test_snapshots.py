"""Images of what instances have written."""

from __future__ import annotations

import pytest

from skerry.errors import ConflictError, NotFoundError
from tests.conformance.bench import Bench


@pytest.mark.feature("A76")
async def test_what_an_instance_wrote_is_in_its_snapshot(bench: Bench) -> None:
    bench.need("snapshots")
    image = f"snapshot:{bench.node}"
    await bench.run("a")
    await bench.ask("a", "tee", "/var/kept", stdin=b"kept\n")
    taken = await bench.driver.snapshot_compute(bench.name("a"), image)
    assert taken.name == image
    await bench.ask("a", "tee", "/var/kept", "/var/later", stdin=b"later\n")
    assert await bench.driver.snapshot_compute(bench.name("a"), image) == taken  # taken once
    assert image in {one.name for one in await bench.driver.list_images()}
    assert await bench.read("a", "/var/kept") == "later\n"  # the instance itself goes on
    await bench.run("b", image=image)
    assert await bench.read("b", "/var/kept") == "kept\n"
    assert (await bench.ask("b", "cat", "/var/later")).exit_code == 1
    with pytest.raises(ConflictError):
        await bench.driver.delete_image(image)
    await bench.driver.delete_compute(bench.name("b"))
    await bench.driver.delete_image(image)
    assert image not in {one.name for one in await bench.driver.list_images()}
    assert await bench.read("a", "/var/kept") == "later\n"


async def test_a_snapshot_survives_its_instance_and_the_driver(bench: Bench) -> None:
    bench.need("snapshots")
    image = f"snapshot:{bench.node}-2"
    await bench.run("a")
    await bench.ask("a", "tee", "/var/kept", stdin=b"kept\n")
    await bench.driver.stop_compute(bench.name("a"), 0.0)
    await bench.driver.snapshot_compute(bench.name("a"), image)
    await bench.driver.delete_compute(bench.name("a"))
    await bench.reopen()
    await bench.run("a", image=image)
    assert await bench.read("a", "/var/kept") == "kept\n"
    again = f"{image}-again"  # of an instance that came from a snapshot
    await bench.ask("a", "tee", "/var/more", stdin=b"more\n")
    await bench.driver.snapshot_compute(bench.name("a"), again)
    await bench.driver.delete_compute(bench.name("a"))
    await bench.driver.delete_image(image)
    await bench.run("a", image=again)
    assert (await bench.read("a", "/var/kept"), await bench.read("a", "/var/more")) == ("kept\n", "more\n")
    await bench.driver.delete_compute(bench.name("a"))
    await bench.driver.delete_image(again)


async def test_nobody_is_nobody(bench: Bench) -> None:
    bench.need("snapshots")
    with pytest.raises(NotFoundError):
        await bench.driver.snapshot_compute(bench.name("nobody"), "snapshot:none")
