"""The MEC platform from the command line, on a node of its own process."""

from __future__ import annotations

import asyncio

import pytest

from skerry.mecapp import App
from skerry.mecapp.session import Session
from tests.cli.conftest import Served


async def _application(endpoint: str, token: str, ca: str) -> str:
    async with App(Session(endpoint, token=token, ca=ca)) as app:
        await app.register("video")
        await app.offer("cache", "http://10.0.0.9:8080", heartbeat_s=60)
        await app.answer("video.example.com", "10.0.0.9", ttl=30)
        return app.id


@pytest.mark.feature("B40", "B54")
def test_what_the_platform_knows_is_shown(served: Served) -> None:
    assert served.json("mep", "dns")["rules"] == []
    token = (served.folder / "data" / "access" / "admin.token").read_text().strip()
    ca = served.folder / "data" / "tls" / "ca.pem"
    app = asyncio.run(_application(served.endpoint, token, str(ca) if ca.exists() else ""))
    (shown,) = served.json("mep", "apps")
    assert (shown["id"], shown["name"], shown["state"], shown["services"]) == (app, "video", "PREPARED", 1)
    (service,) = served.json("mep", "services")
    assert (service["name"], service["state"], service["endpoint"]) == ("cache", "ACTIVE", "http://10.0.0.9:8080")
    names = served.json("mep", "dns")
    assert names["server"].startswith("127.0.0.1#")
    (rule,) = names["rules"]
    assert (rule["name"], rule["address"], rule["state"], rule["verified"]) == (
        "video.example.com",
        "10.0.0.9",
        "ACTIVE",
        True,
    )
    assert served.json("mep", "rules") == []
    for words, text in (("apps", "video"), ("services", "cache"), ("dns", "verified")):
        assert text in served("mep", words).stdout
