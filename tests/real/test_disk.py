"""A full and a read-only disk: the node says so, loses nothing, and goes on when there is room again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.rig import VNFD, running
from tests.conformance.rigs import lacking

pytestmark = pytest.mark.real
VNFLCM = "/vnflcm/v2/vnf_instances"


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def filled(place: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return ballast


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    if reason := lacking("mount", "umount"):
        pytest.skip(reason)
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_a_clear_answer_and_passes(small: Path) -> None:
    async with running(small) as rig:
        await rig.onboard("server")
        first = await rig.vnf()
        ballast = filled(small)
        body = {"vnfdId": VNFD, "vnfInstanceName": "x" * 200_000}
        refused = await rig.client.post(VNFLCM, json=body)
        assert refused.status_code == 503, refused.text
        assert refused.headers["retry-after"]
        told = refused.json()
        assert told["type"] == "urn:skerry:problem:unavailable"
        assert "full" in told["detail"]
        assert "disk" in told["suggestion"]
        assert [vnf["id"] for vnf in (await rig.client.get(VNFLCM)).json()] == [first]  # reading goes on
        backup = await rig.client.get("/skerry/v1/backup")
        assert backup.status_code == 503
        assert "cannot write the backup" in backup.json()["detail"] or "full" in backup.json()["detail"]
        ballast.unlink()
        assert (await rig.client.post(VNFLCM, json=body)).status_code == 201
        assert (await rig.client.get(f"/skerry/v1/vnfs/{first}")).json()["status"] == "ACTIVE"
        await rig.vnf()


async def test_an_operation_that_the_disk_stopped_goes_on(small: Path) -> None:
    async with running(small) as rig:
        await rig.onboard("server")
        id = await rig.vnf()
        rig.node.store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        ballast = filled(small)
        asked = {"changeStateTo": "STOPPED"}
        refused = await rig.client.post(f"{VNFLCM}/{id}/operate", json=asked)
        assert refused.status_code == 503, refused.text
        ballast.unlink()
        done = await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/operate", json=asked))
        assert done["operationState"] == "COMPLETED"
        assert len(rig.node.engine.operations(subject=id)) == 2  # what was refused left nothing
