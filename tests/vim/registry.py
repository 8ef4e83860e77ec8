"""A registry of images (OCI distribution, pull only) on this machine, for the length of a test."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from skerry.linux import syscalls

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def contents(name: str, layer: bytes, architecture: str, config: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Path → media type and body of an image of one layer (a tar), with the tag `1`."""
    packed = gzip.compress(layer, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [_digest(layer)]}
    document = {"architecture": architecture, "os": "linux", "config": config, "rootfs": rootfs}
    blobs = {LAYER: packed, CONFIG: json.dumps(document).encode()}
    told = {kind: {"mediaType": kind, "digest": _digest(data), "size": len(data)} for kind, data in blobs.items()}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": told[CONFIG], "layers": [told[LAYER]]}
    body = json.dumps(manifest).encode()
    found = {f"/v2/{name}/blobs/{_digest(data)}": (kind, data) for kind, data in blobs.items()}
    found |= {f"/v2/{name}/manifests/{tag}": (MANIFEST, body) for tag in ("1", _digest(body))}
    return {"/v2/": ("application/json", b"{}"), **found}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def registry(serves: Mapping[str, tuple[str, bytes]], namespace: str = "") -> Generator[tuple[str, list[str]]]:
    """A server with these contents: its address, and the paths that were fetched from it.

    With `namespace`, it is reached from that network namespace only.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET(whole=False)

        def do_GET(self, *, whole: bool = True) -> None:
            asked.append(self.path)
            kind, data = serves.get(self.path, ("application/json", b'{"errors": []}'))
            self.send_response(200 if self.path in serves else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if whole:
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with syscalls.network_kept():
        if namespace:
            with Path("/run/netns", namespace).open() as place:
                syscalls.enter_network(place.fileno())
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
