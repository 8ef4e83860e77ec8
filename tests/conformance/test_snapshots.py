"""Images of what instances have written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from skerry.vim.driver import ImageSpec
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


@pytest.mark.feature("A76")
async def test_a_snapshot_leaves_as_a_file_and_comes_back_from_it(bench: Bench, tmp_path: Path) -> None:
    bench.need("snapshots")
    bench.need("exports")
    first, second = f"snapshot:{bench.node}-out", f"snapshot:{bench.node}-in"
    await bench.run("a")
    await bench.ask("a", "tee", "/var/kept", stdin=b"kept\n")
    await bench.driver.snapshot_compute(bench.name("a"), first)
    target = tmp_path / "image"
    with pytest.raises(TooLargeError):
        await bench.driver.export_image(first, target, 16)
    await bench.driver.export_image(first, target, 1 << 30)
    await bench.driver.delete_compute(bench.name("a"))
    await bench.driver.delete_image(first)
    with pytest.raises(NotFoundError):
        await bench.driver.export_image(first, tmp_path / "none", 1 << 30)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    wrong = ImageSpec(name=second, source=str(target), checksum="0" * 64, checksum_algorithm="sha-256")
    with pytest.raises(InvalidError):
        await bench.driver.ensure_image(wrong)
    await bench.driver.ensure_image(msgspec.structs.replace(wrong, checksum=digest))
    target.unlink()
    await bench.run("b", image=second)
    assert await bench.read("b", "/var/kept") == "kept\n"
    await bench.driver.delete_compute(bench.name("b"))
    await bench.driver.delete_image(second)


async def test_nobody_is_nobody(bench: Bench) -> None:
    bench.need("snapshots")
    with pytest.raises(NotFoundError):
        await bench.driver.snapshot_compute(bench.name("nobody"), "snapshot:none")
