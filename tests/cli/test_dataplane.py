"""The data plane on a terminal: ids as tables shorten them are taken back; tables of it fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served, running

NS, OTHER = "7c1e5a60-1111-4222-8333-444455556666", "9d1e5a60-1111-4222-8333-444455556666"
DEVICE = f"vim:sim:{NS}"
PORTS = tuple(f"ns:{ns}:{vnfc}:eth0" for ns in (NS, OTHER) for vnfc in ("wall-0", "server-0"))
COLUMNS = 100


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with two wires on a simulated device, one for each of two network services."""
    folder = tmp_path_factory.mktemp("switches")
    with running(folder) as node:
        ports = [
            {
                "id": id,
                "device": DEVICE,
                "side": "VNFC",
                "interface": f"veth{NS[:8]}{number}",
                "mac": f"02:00:00:00:00:0{number}",
            }
            for number, id in enumerate(PORTS)
        ]
        wires = [
            {"kind": "WIRE", "id": f"ns:{ns}:wire", "owner": f"ns:{ns}", "a": a, "b": b}
            for ns, a, b in ((NS, *PORTS[:2]), (OTHER, *PORTS[2:]))
        ]
        devices = [{"id": DEVICE, "engine": "simulated"}]
        node("dataplane", "topology", _file(folder, {"devices": devices, "ports": ports}))
        node("dataplane", "put", _file(folder, {"intents": wires}))
        yield node


def _file(folder: Path, content: object) -> str:
    file = folder / "said.json"
    file.write_text(json.dumps(content))
    return str(file)


@pytest.mark.feature("E46")
@pytest.mark.parametrize("what", ["devices", "ports", "intents", "rules"])
def test_tables_fit_and_their_ids_are_short(site: Served, what: str) -> None:
    told = site("dataplane", what).stdout
    assert NS[:8] in told
    assert NS not in told
    if what in ("ports", "rules"):
        assert max(len(line.rstrip()) for line in told.splitlines()) <= COLUMNS


@pytest.mark.feature("E46")
def test_ids_are_taken_as_tables_show_them_and_by_their_beginnings(site: Served) -> None:
    short = f"ns:{NS[:8]}:wall-0:eth0"
    assert short in site("dataplane", "ports").stdout
    for given in (PORTS[0], short, f"ns:{NS[:8]}:wa", f"ns:{NS}:wa"):
        traced = site.json("path", "trace", given, "--field", "eth_type=2048")
        assert [one["port"] for one in traced["outputs"]] == [PORTS[1]], given
    several = site("path", "trace", "ns:", code=5).output
    assert "cannot tell which port ns: means" in several
    assert "give more of the id" in several
    assert "cannot find the port nowhere" in site("path", "trace", "nowhere", code=3).output
    rules = site.json("dataplane", "rules", "--intent", f"ns:{NS[:8]}", "--device", "vim:sim")
    assert {rule["intent"] for rule in rules} == {f"ns:{NS}:wire"}
    assert [one["id"] for one in site.json("dataplane", "intents", "--owner", f"ns:{OTHER[:8]}")] == [
        f"ns:{OTHER}:wire"
    ]


@pytest.mark.feature("C34")
def test_the_next_hop_is_set_by_ids_as_tables_show_them(site: Served) -> None:
    port, target = (f"ns:{ns}:wall-0:eth0" for ns in (NS[:8], OTHER[:8]))
    (hop,) = site.json("dataplane", "next", port, "--match", "tcp,tp_dst=80", "--to", target)
    assert hop["next"] == PORTS[2]
    assert target in site("dataplane", "next", f"ns:{NS[:8]}:wall").stdout
    site("dataplane", "next", f"ns:{NS[:8]}:wall", "--delete", code=3)
    site("dataplane", "next", port, "--delete")


@pytest.mark.feature("E46")
def test_what_is_gone_is_not_the_beginning_of_what_is_there(site: Served) -> None:
    spare = [{"id": id, "device": DEVICE, "side": "HOST"} for id in (f"app:{NS}", f"app:{NS}:2")]
    site("dataplane", "topology", _file(site.folder, {"ports": spare}))
    assert site.json("dataplane", "delete", "port", f"app:{NS[:8]}") == {"deleted": f"app:{NS}"}
    site("dataplane", "delete", "port", f"app:{NS[:8]}", code=3)
    assert f"app:{NS}:2" in {port["id"] for port in site.json("dataplane", "ports")}
    site("dataplane", "delete", "port", f"app:{NS}:2")
