"""VNF snapshots on their way between nodes, as files (SOL005 clause 11)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skerry.client.http import Http
from skerry.errors import ConflictError, DriverError

PACKAGES = "/vnfsnapshotpkgm/v1/vnf_snapshot_packages"
UNDER_WAY = frozenset({"BUILDING", "UPLOADING", "EXTRACTING", "PROCESSING"})
LOOK_S = 0.25


def export(http: Http, snapshot: str, name: str, target: Path) -> int:
    """Have a package of a snapshot made and fetch it; its size."""
    with _package(http, name) as path:
        http.post(f"{path}/package_content/build", {"vnfSnapshotInfoId": snapshot})
        made = _settled(http, path)
        size = http.fetch(f"{path}/package_content", target)
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != made["checksum"]["hash"]:
            target.unlink()
            raise DriverError(f"cannot keep {target}: it did not come whole", suggestion="do it again")
        return size


def bring(http: Http, source: Path, vnf: str) -> str:
    """Send a package and have it made a snapshot that a VNF can be reverted to; the snapshot's id."""
    with source.open("rb") as content, _package(http, source.stem) as path:
        headers = {"Content-Type": "application/zip", "Content-Length": str(source.stat().st_size)}
        http.send("PUT", f"{path}/package_content", content=content, headers=headers)
        _settled(http, path)
        http.post(f"{path}/package_content/extract", {"vnfInstanceId": vnf})
        return str(_settled(http, path)["vnfSnapshotId"])


@contextmanager
def _package(http: Http, name: str) -> Generator[str]:
    """A package for this alone: its path."""
    id = http.post(PACKAGES, {"name": name}).json()["id"]
    path = f"{PACKAGES}/{id}"
    try:
        yield path
    finally:
        if http.get(path, dict[str, Any])["state"] in UNDER_WAY:
            http.post(f"{path}/package_content/cancel", {})
        http.send("DELETE", path)


def _settled(http: Http, path: str) -> dict[str, Any]:
    """The package once nothing is under way for it. `ConflictError` says why it failed."""
    while (shown := http.get(path, dict[str, Any]))["state"] in UNDER_WAY:
        time.sleep(LOOK_S)
    if shown["state"] != "AVAILABLE":
        why = shown.get("failureDetails", {}).get("details", {}).get("detail", shown["state"])
        raise ConflictError(str(why), suggestion="do what the reason says, then again")
    return shown
