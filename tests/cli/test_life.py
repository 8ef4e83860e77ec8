"""The life of packages, VNFs and network services by the command line alone, on a real TLS socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.rig import EXAMPLES
from tests.cli.conftest import Served
from tests.nfvo.nesting import BRANCH, CAMPUS, UNIT, nesting_folder
from tests.vnfm.builder import csar, vnf_folder

Ids = Callable[[str], str]


@pytest.mark.feature("A23", "A25")
def test_packages(served: Served, onboarded: Ids, tmp_path: Path) -> None:
    listed = {view["name"]: view for view in served.json("package", "list")}
    assert {(name, view["kind"]) for name, view in listed.items()} >= {("sipp-server", "vnf"), ("sip-service", "ns")}
    table = served("package", "list").stdout
    assert "sipp-client" in table
    assert "\x1b" not in table
    by_prefix = served.json("package", "show", onboarded("server")[:8])
    assert by_prefix["id"] == served.json("package", "show", by_prefix["descriptor"])["id"]
    assert served("package", "show", "sipp-server").stdout.startswith("id ")
    copy = tmp_path / "copy.csar"
    served("package", "download", "sipp-server", "-o", str(copy))
    built = tmp_path / "built.csar"
    served("package", "build", str(EXAMPLES / "server"), "-o", str(built))
    assert copy.read_bytes() == built.read_bytes()
    assert served("lint", str(copy)).stderr.endswith("VNFD sipp-server 1.0\n")


@pytest.mark.feature("A26", "A27", "A28", "A31", "A32", "A61")
def test_network_service(served: Served, onboarded: Ids) -> None:
    assert onboarded("service")
    dry = served("ns", "deploy", "sip-service", "--name", "thought", "--dry-run")
    assert "vnf:sipp_server-0" in dry.stdout
    assert served.json("ns", "list") == []
    out = served("ns", "deploy", "sip-service", "--name", "demo")
    assert "instantiate COMPLETED" in out.stdout
    assert "VNF sipp_server-0" in out.stderr
    view = served.json("ns", "show", "demo")
    assert view["status"] == "ACTIVE"
    server, client = (
        next(m["vnf"] for m in view["members"] if m["profile"] == p) for p in ("sipp_server", "sipp_client")
    )
    assert "sipp_server-0" in served("ns", "show", "demo").stdout
    assert served("exec", server["id"], "--", "echo", "hi").stdout.strip() == "hi"
    served("ns", "update", "demo", "--stop", "sipp_client-0")
    assert served.json("vnf", "show", client["id"])["status"] == "INACTIVE"
    served("ns", "update", "demo", "--start", client["id"][:8])
    assert served.json("ns", "list")[0]["status"] == "ACTIVE"
    served("ns", "update", "demo", "--add", "sipp_client")
    assert len(served.json("ns", "show", "demo")["members"]) == 3
    served("ns", "update", "demo", "--remove", "sipp_client-1")
    assert len(served.json("ns", "show", "demo")["members"]) == 2
    unknown = served("ns", "update", "demo", "--add-sap", "door=front", code=5)
    assert "the NSD has no SAPD 'door'; there are: none" in unknown.stderr
    assert "no SAP 'door'" in served("ns", "update", "demo", "--remove-sap", "door", code=5).stderr
    served("ns", "heal", "demo")
    refused = served("ns", "delete", "demo", code=4)
    assert "terminate it first" in refused.stderr
    assert "no scaling aspect" in served("ns", "scale", "demo", code=4).stderr
    served("ns", "terminate", "demo")
    assert served.json("vnf", "list") == []
    served("ns", "delete", "demo")
    assert served("ns", "list").stderr == "none\n"


@pytest.mark.feature("D49", "A28")
def test_services_inside_services(served: Served, tmp_path: Path) -> None:
    packages = {"unit": vnf_folder(UNIT), "branch": nesting_folder(BRANCH), "campus": nesting_folder(CAMPUS)}
    ids = [served.json("package", "onboard", str(csar(files)))["id"] for files in packages.values()]
    served("ns", "deploy", "branch", "--name", "old")
    served("ns", "deploy", "campus", "--name", "site")
    (made,) = served.json("ns", "show", "site")["nested"]
    assert (made["key"], made.get("existing", False), made["status"]) == ("wing-0", False, "ACTIVE")
    assert "nested in NS" in served("ns", "terminate", "site-wing-0", code=4).stderr
    served("ns", "update", "site", "--nest", "wing=old")
    table = served("ns", "show", "site").stdout
    assert "existing" in table
    assert "made" in table
    served("ns", "update", "site", "--unnest", "wing-0")
    assert [one["name"] for one in served.json("ns", "show", "site")["nested"]] == ["old"]
    assert "there are: wing-1" in served("ns", "update", "site", "--unnest", "wing-0", code=3).stderr
    assert "there is no NS flavour 'big'" in served("ns", "update", "site", "--flavour", "big", code=5).stderr
    assert "follows NSD campus already" in served("ns", "update", "site", "--nsd", "campus", code=5).stderr
    member = served.json("ns", "show", "old")["members"][0]["vnf"]["id"]
    served("ns", "update", "old", "--move", "unit-0=site")
    assert member in {one["vnf"]["id"] for one in served.json("ns", "show", "site")["members"]}
    for name in ("site", "old"):
        served("ns", "terminate", name)
        served("ns", "delete", name)
    for id in reversed(ids):
        served("package", "disable", id)
        served("package", "delete", id)


@pytest.mark.feature("A27", "A32")
def test_vnf(served: Served, onboarded: Ids) -> None:
    assert onboarded("server")
    id = served("vnf", "create", "sipp-server", "--name", "alone", "--metadata", "a=1").stdout.strip()
    plan = served.json("plan", "vnf.instantiate", "alone", '{"flavourId": "default"}')
    assert {"create"} <= {change["effect"] for change in plan["changes"]}
    operation = served("vnf", "instantiate", "alone", "--detach").stdout.strip()
    served("op", "follow", operation[:10])
    assert served.json("op", "show", operation)["operation"]["state"] == "COMPLETED"
    assert "instantiate" in served("op", "list", "--subject", "alone").stdout
    served("vnf", "operate", "alone", "stop", "--force")
    assert served.json("vnf", "show", "alone")["vnfcs"][0]["state"] == "STOPPED"
    served("vnf", "operate", "alone", "start", "--vnfc", "server-0")
    served("vnf", "heal", "alone", "--vnfc", "server-0", "--cause", "a test")
    served("vnf", "modify", "alone", "--name", "renamed", "--description", "of a test")
    assert served.json("vnf", "show", "renamed")["id"] == id
    assert "eth0" in served("stats", "renamed").stdout
    served("logs", "renamed", "-n", "3")
    served("vnf", "terminate", "renamed", "--force")
    served("op", "retry", operation, code=4)
    events = served("events", "--subject", "renamed").stdout
    assert "vnf.terminate" in events
    served("vnf", "delete", "renamed")
    served("vnf", "show", id, code=3)


def test_infrastructures(served: Served) -> None:
    served("vim", "register", "second", "simulated", "--set", "world=second", "--set", "vcpus=2", "--zone", "z")
    told = served.json("vim", "show", "second")
    assert told["resources"]["capacity"]["vcpus"] == 2.0
    assert "second" in served("vim", "list").stdout
    served("vim", "delete", "second")
    served("vim", "show", "second", code=3)
    assert served.json("info")["vims"] == ["sim"]
