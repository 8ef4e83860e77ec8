"""Large files of packages: sent whole and in ranges, never in memory as a whole, and nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from skerry.api import archive
from skerry.packages import build as build_package
from tests.api.rig import EXAMPLES, TOKEN, Rig, running

LARGE = os.urandom(1 << 16) * 400  # 25 MiB


async def onboarded(rig: Rig) -> str:
    """A package with a large file; the path of that artifact."""
    folder = rig.folder / "large"
    shutil.copytree(EXAMPLES / "server", folder)
    (folder / "Files").mkdir(exist_ok=True)
    (folder / "Files" / "large.bin").write_bytes(LARGE)
    id = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    answer = await rig.client.put(
        f"/vnfpkgm/v2/vnf_packages/{id}/package_content",
        content=build_package(folder, rig.folder / "large.csar").read_bytes(),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 202, answer.text
    return f"/vnfpkgm/v2/vnf_packages/{id}/artifacts/Files/large.bin"


@pytest.mark.feature("A25")
async def test_a_large_artifact_is_sent_whole_and_in_ranges(rig: Rig) -> None:
    path = await onboarded(rig)
    assert len(LARGE) > archive.IN_MEMORY
    whole = await rig.client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/octet-stream")
    assert whole.content == LARGE
    headers = {"Range": "bytes=1000-1099", "If-Range": whole.headers["ETag"]}
    some = await rig.client.get(path, headers=headers)
    assert (some.status_code, some.content) == (206, LARGE[1000:1100])
    assert some.headers["Content-Range"] == f"bytes 1000-1099/{len(LARGE)}"
    assert (await rig.client.get(path, headers={"Range": "bytes=-10"})).content == LARGE[-10:]
    assert (await rig.client.get(path, headers={"Range": f"bytes={len(LARGE)}-"})).status_code == 416
    assert (await rig.client.get(path.replace("large.bin", "none"))).status_code == 404
    assert list((rig.node.settings.data_dir / "uploads").iterdir()) == []


@pytest.mark.feature("A25")
async def test_a_large_artifact_is_never_in_memory_as_a_whole(rig: Rig) -> None:
    path = await onboarded(rig)
    sent = 0

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the caller stays
        return {}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": ("node", 443),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"node"), (b"authorization", f"Bearer {TOKEN}".encode())],
    }  # fmt: skip
    tracemalloc.start()
    try:
        await rig.app(scope, receive, send)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent == len(LARGE)
    assert most < len(LARGE) // 2


@pytest.mark.feature("A25")
async def test_what_a_killed_node_was_sending_and_receiving_is_gone_after_its_start(tmp_path: Path) -> None:
    data = tmp_path / "node"
    (data / "uploads" / "tmpreceived").mkdir(parents=True)
    (data / "uploads" / "tmpreceived" / "package.zip").write_bytes(b"half")
    (data / "uploads" / "sending-abc").write_bytes(b"half")
    (data / ".sending-abc").mkdir()
    (data / ".sending-abc" / "skerry-backup.tar").write_bytes(b"half")
    (data / ".backup-abc").mkdir()
    (data / "packages").mkdir()
    (data / "packages" / "sending-kept").write_bytes(b"a package")
    async with running(tmp_path):
        assert list((data / "uploads").iterdir()) == []
        assert not [*data.glob(".sending-*"), *data.glob(".backup-*")]
        assert (data / "packages" / "sending-kept").read_bytes() == b"a package"
