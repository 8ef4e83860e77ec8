"""Subscribers, from the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skerry.client.http import Http
from skerry.client.profile import Profile, find
from tests.cli.conftest import Served


class Willing(BaseHTTPRequestHandler):
    """Takes everything."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def callback() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Willing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/told"
        server.shutdown()


@pytest.mark.feature("A66")
def test_subscribers_are_listed_and_tried_again(served: Served, callback: str) -> None:
    http = Http(find(served.environment, Profile()))
    body = json.dumps({"callbackUri": callback}).encode()
    headers = {"Content-Type": "application/json"}
    http.send("POST", "/vnfpkgm/v2/subscriptions", content=body, headers=headers)
    (shown,) = served.json("subscriptions")
    assert (shown["api"], shown["callback_uri"], shown["state"]) == ("vnfpkgm", callback, "ACTIVE")
    listed = served("subscriptions", "--resume", shown["id"][:6]).stdout
    assert callback in listed
    assert "ACTIVE" in listed
    assert "cannot find subscription" in served("subscriptions", "--resume", "none", code=3).output
    http.send("DELETE", f"/vnfpkgm/v2/subscriptions/{shown['id']}")
    http.close()
    assert served.json("subscriptions") == []
