"""`skerry app`: applications, their packages and hosts, as a user of the command line has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Served
from tests.meo.packages import appd, dns, folder


@pytest.mark.feature("E22", "E37")
def test_an_application(served: Served, tmp_path: Path) -> None:
    source = folder(tmp_path / "cli-app", appd("cli-app", changeAppInstanceStateOpConfig={"minGracefulStopTimeout": 1}))
    package = served.json("app", "package", "onboard", str(source))
    assert (package["kind"], package["descriptor"]) == ("app", "cli-app")
    assert [one["name"] for one in served.json("app", "package", "list")].count("cli-app") == 1
    id = served.json("app", "create", "cli-app", "--name", "mine", "--description", "a test")["id"]
    planned = served("app", "instantiate", "mine", "--dry-run").stdout
    assert "platform:mep" in planned
    assert "nothing was done" in served("app", "instantiate", "mine", "--dry-run").stderr
    assert served.json("app", "show", "mine")["status"] == "NOT_INSTANTIATED"
    served("app", "instantiate", "mine", "--host", "nowhere", code=3)
    assert "instantiate COMPLETED" in served("app", "instantiate", "mine", "--host", "default").stdout
    shown = served.json("app", "show", id[:8])
    assert (shown["status"], shown["host"], list(shown["addresses"])) == ("STARTED", "default", ["web"])
    assert shown["addresses"]["web"] in served("app", "list").stdout
    assert shown["ns_id"] in served("app", "show", "mine").stdout
    assert "instantiate COMPLETED" in served("app", "watch", "mine").stdout
    rules = tmp_path / "rules.json"
    rules.write_text('{"appServiceOptional": [{"serName": "s", "version": "1"}]}')
    assert "configure COMPLETED" in served("app", "configure", "mine", "--file", str(rules)).stdout
    assert "operate COMPLETED" in served("app", "operate", "mine", "stop", "--timeout", "2").stdout
    assert served.json("app", "show", "mine")["status"] == "STOPPED"
    served("app", "delete", "mine", code=4)
    started = served.json("app", "operate", "mine", "start", "--detach")
    served("op", "follow", started["operation"])
    assert served.json("op", "show", "mine")["operation"]["kind"] == "app.operate"
    served("app", "terminate", "mine", "--force")
    served("app", "delete", "mine")
    served("app", "package", "delete", "cli-app", "--force")
    assert "mine" not in {one["name"] for one in served.json("app", "list")}


@pytest.mark.feature("E20", "E37")
def test_hosts(served: Served) -> None:
    served("app", "host", "describe", "default", "--latency", "2.5", "--feature", "UserApps=1.0", "--country", "DE")
    (host,) = served.json("app", "host", "list")
    assert (host["latency_ms"], host["features"], host["country"]) == (2.5, {"UserApps": "1.0"}, "DE")
    assert "2.5 ms" in served("app", "host", "list").stdout


@pytest.mark.feature("E3")
def test_a_faulty_package_is_refused_before_anything_is_uploaded(served: Served, tmp_path: Path) -> None:
    source = folder(tmp_path / "wrong", appd("wrong", appDNSRule=[dns("no name")]))
    told = served("app", "package", "onboard", str(source), code=5)
    assert "appd.json" in told.stderr
    assert "domainName" in told.stderr


@pytest.mark.feature("B64")
def test_an_application_is_discarded(served: Served, tmp_path: Path) -> None:
    served("app", "package", "onboard", str(folder(tmp_path / "gone", appd("gone-app"))))
    served("app", "create", "gone-app", "--name", "gone")
    served("app", "instantiate", "gone")
    served("app", "discard", "gone", "--yes")
    assert "gone" not in {one["name"] for one in served.json("app", "list")}
    served("app", "package", "delete", "gone-app", "--force")
