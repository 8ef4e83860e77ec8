"""A node that cannot be reached, trusted or understood: each error says what to do next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from skerry.access.certificates import ensure_certificates
from tests.cli.conftest import Served


class Stranger(BaseHTTPRequestHandler):
    """A server that is no node."""

    def do_GET(self) -> None:
        found = self.path.endswith("/vims")
        self.send_response(200 if found else 501)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def told(served: Served, code: int, *words: str, **env: str) -> str:
    """The error of a command of somebody who is not on the node's machine."""
    away: Mapping[str, str] = {"SKERRY_DATA_DIR": str(served.folder / "elsewhere"), **env}
    result = served(*words, code=code, env=away)
    assert result.stderr.startswith("error: cannot")
    return result.stderr


def test_no_node_answers(served: Served) -> None:
    assert "`skerry up`" in told(served, 8, "info", SKERRY_ENDPOINT="https://127.0.0.1:1")
    assert "write it as https://HOST:PORT" in told(served, 5, "info", SKERRY_ENDPOINT="edge1:8443")
    plain = served.endpoint.replace("https", "http")
    assert "write the endpoint with https://" in told(served, 8, "info", SKERRY_ENDPOINT=plain)


def test_a_node_that_is_not_trusted(served: Served, tmp_path: Path) -> None:
    there = {"SKERRY_ENDPOINT": served.endpoint}
    assert "copy tls/ca.pem" in told(served, 8, "info", **there)
    other = ensure_certificates(tmp_path / "other", ["127.0.0.1"], datetime.now(UTC)).ca
    assert "copy tls/ca.pem" in told(served, 8, "info", SKERRY_CA=str(other), **there)
    assert "copy tls/ca.pem" in told(served, 5, "info", SKERRY_CA=str(tmp_path / "none.pem"), **there)
    other.write_text("no certificate")
    assert "copy tls/ca.pem" in told(served, 5, "info", SKERRY_CA=str(other), **there)


def test_a_node_that_does_not_know_the_caller(served: Served) -> None:
    there = {"SKERRY_ENDPOINT": served.endpoint, "SKERRY_CA": str(served.folder / "data/tls/ca.pem")}
    assert "`skerry config login CLIENT_ID`" in told(served, 6, "info", **there)
    assert "`skerry config login CLIENT_ID`" in told(served, 6, "info", SKERRY_TOKEN="sk_wrong", **there)


def test_a_server_that_is_no_node(served: Served, stranger: str) -> None:
    assert "`skerry config show`" in told(served, 1, "info", SKERRY_ENDPOINT=stranger)
    assert "`skerry config show`" in told(served, 8, "vim", "list", SKERRY_ENDPOINT=stranger)
