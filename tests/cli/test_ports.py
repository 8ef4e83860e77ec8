"""One command is the whole node: a process whose ports are all named by its environment, and every service at its port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import stop
from tests.mep.test_dns import dig, needs_dig

SERVICES = {
    "orchestrator of applications (Mm1)": "/app_lcm/v1/app_instances",
    "packages of applications (Mm1)": "/app_pkgm/v1/app_packages",
    "platform manager (Mm5)": "/mm5/v1/platforms/default/offer",
    "platform (Mp1)": "/mec_service_mgmt/v1/services",
    "its transports": "/mec_service_mgmt/v1/transports",
    "its clock": "/mec_app_support/v1/timing/current_time",
    "DNS support": "/dns_support/v1/api",
    "orchestrator of network services": "/nslcm/v2/ns_instances",
    "VNF manager": "/vnflcm/v2/vnf_instances",
}
ZONE = {"records": [{"name": "www.all.example", "ipAddress": "10.9.8.7", "ttl": 12}]}


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, for TCP and UDP."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            stream = held.enter_context(socket.socket())
            stream.bind(("127.0.0.1", 0))
            datagram = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                datagram.bind(stream.getsockname())
            except OSError:
                continue
            found.append(stream.getsockname()[1])
        return found


def started(folder: Path, **settings: str) -> subprocess.Popen[str]:
    """`skerry up` without an option: its settings are in the environment."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
    wanted = {f"SKERRY_{key.upper()}": value for key, value in settings.items()}
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "skerry", "up"],
            env={
                **env,
                "SKERRY_DATA_DIR": str(folder / "data"),
                "SKERRY_VIMS": '[{"id": "sim", "type": "simulated"}]',
                "XDG_CONFIG_HOME": str(folder / "config"),
                **wanted,
            },
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@pytest.fixture
def ports() -> list[int]:
    return free_ports(5)


@pytest.fixture
def node(tmp_path: Path, ports: list[int]) -> Iterator[str]:
    own, *more, dns = ports
    process = started(
        tmp_path,
        port=str(own),
        more_ports=",".join(map(str, more)),
        mec_dns="builtin",
        mec_dns_port=str(dns),
        plain="true",
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        assert stop(process) == 0


@needs_dig
@pytest.mark.feature("B68")
async def test_one_command_starts_every_service_at_its_port(tmp_path: Path, ports: list[int], node: str) -> None:
    own, *more, dns = ports
    assert node == f"http://127.0.0.1:{own}", (tmp_path / "log").read_text()
    token = (tmp_path / "data/access/admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    for port in (own, *more):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            made = client.post(
                "/skerry/v1/access/clients", json={"name": f"at{port}", "role": "admin"}, headers=headers
            )
            credentials = (made.json()["client"]["id"], made.json()["client_secret"])
            granted = client.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=credentials)
            assert granted.status_code == 200, granted.text
            bearer = {"Authorization": f"Bearer {granted.json()['access_token']}"}
            for what, path in SERVICES.items():
                answer = client.get(path, headers=bearer)
                assert answer.status_code == 200, (what, port, answer.text)
    httpx.post(
        f"http://127.0.0.1:{more[-1]}/dns_support/v1/api/all.example", json=ZONE, headers=headers, trust_env=False
    )
    for transport in ("+notcp", "+tcp"):
        answered = await dig(("127.0.0.1", dns), transport, "www.all.example")
        assert answered == ["NOERROR", "12 A 10.9.8.7"]


@pytest.mark.feature("B68")
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Nothing is served half: the node does not start, and says which port is in its way."""
    own, taken = free_ports(2)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen()
        process = started(tmp_path, port=str(own), more_ports=str(taken), plain="true")
        assert process.wait(60) != 0
    assert process.stdout is not None
    process.stdout.close()
    assert f"cannot listen on 127.0.0.1 port {taken}" in (tmp_path / "log").read_text()


@pytest.mark.feature("B68")
@pytest.mark.parametrize("wrong", ["8443", "9000,9000", "0", "70000", "http"])
def test_wrong_ports_are_refused(tmp_path: Path, wrong: str) -> None:
    process = started(tmp_path, port="8443", more_ports=wrong)
    assert process.wait(60) == 5
    assert process.stdout is not None
    process.stdout.close()
    said = (tmp_path / "log").read_text()
    assert "cannot use these settings" in said
    assert "SKERRY_MORE_PORTS" in said
