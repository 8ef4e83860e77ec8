"""Edge applications on real containers: a package goes in over Mm1, the application finds its platform, tells of itself, is
resolved by name, is told of its end and confirms it. The node is a process of its own; what is seen is seen from outside."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from skerry.packages import build
from tests.cli.conftest import start, stop
from tests.conformance.rigs import RIGS

pytestmark = pytest.mark.real
EXAMPLES = Path(__file__).parents[2] / "examples" / "mec"
LCM, PKG, SERVICES = "/app_lcm/v1", "/app_pkgm/v1", "/mec_service_mgmt/v1"
ZIP = {"Content-Type": "application/zip"}
LINGER_S = 20.0


def until(probe: Callable[[], Any], what: str) -> Any:
    """Ask again and again until the answer is something."""
    end = time.monotonic() + LINGER_S
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never seen: {what}")


class Edge:
    """A node in a process of its own with the embedded infrastructure, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.dns_port = free.getsockname()[1]
        self.settings = folder / "skerry.toml"
        self.settings.write_text(
            f'node = "ap{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"\nplain = true\nmec_dns = "builtin"\n'
            f'mec_dns_port = {self.dns_port}\n[mec_zones]\npier = ["127.0.0.0/8"]\n'
        )
        self.begin()

    def begin(self) -> None:
        vims = '[{"id": "edge", "type": "local", "zone": "pier"}]'
        self.process = start(self.folder, "--config", str(self.settings), vims=vims)
        assert self.process.stdout is not None
        endpoint = self.process.stdout.readline().strip()
        assert endpoint, (self.folder / "log").read_text()
        token = (self.folder / "data/access/admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=endpoint, headers=headers, timeout=30, trust_env=False)

    def end(self) -> None:
        self.client.close()
        stop(self.process)

    def onboard(self, name: str) -> str:
        """Of an example; the AppD's id."""
        uri = self.client.post(f"{PKG}/app_packages", json={"appPkgName": name, "appPkgVersion": "1"}).headers[
            "Location"
        ]
        content = build(EXAMPLES / name, self.folder / f"{name}.csar").read_bytes()
        put = self.client.put(f"{uri}/package_content", content=content, headers=ZIP)
        assert put.status_code == 202, put.text
        return str(self.client.get(uri).json()["appDId"])

    def create(self, app_d_id: str) -> str:
        return str(self.client.post(f"{LCM}/app_instances", json={"appDId": app_d_id}).headers["Location"])

    def does(self, uri: str, task: str, body: Any) -> float:
        """Do it and wait for its end; the seconds that it took."""
        begun = time.monotonic()
        answer = self.client.post(f"{uri}/{task}", json=body)
        assert answer.status_code == 202, answer.text
        id = answer.headers["Location"].rpartition("/")[2]
        view = self.client.get(f"/skerry/v1/operations/{id}?wait=60").json()
        assert view["operation"]["state"] == "COMPLETED", view
        return time.monotonic() - begun

    def services(self) -> list[Any]:
        return list(self.client.get(f"{SERVICES}/services").json())

    def log(self, uri: str) -> str:
        vnf = self.client.get(uri).json()["vnfInstanceId"]
        return self.client.get(f"/skerry/v1/vnfs/{vnf}/logs").text

    def resolved(self, name: str) -> list[str]:
        """The IPv4 addresses that the edge's own DNS server answers, asked by a packet of our own."""
        labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
        query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(2)
            asker.sendto(query, ("127.0.0.1", self.dns_port))
            answer = asker.recv(512)
        count = struct.unpack("!H", answer[6:8])[0]
        return [socket.inet_ntoa(answer[-4:])] if count else []


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(f"the embedded driver: {reason}")
    made = Edge(tmp_path_factory.mktemp("edge"))
    yield made
    made.end()


def containers(edge: Edge) -> int:
    """What the infrastructure has, read from its driver."""
    return len(edge.client.get("/skerry/v1/vims/edge/resources").json()["compute"])


@pytest.mark.feature("E1", "E8", "E10", "E22", "B35", "B58", "B59", "B62", "E48", "B54")
def test_a_polite_application_lives_and_ends(edge: Edge) -> None:
    uri = edge.create(edge.onboard("polite"))
    edge.does(uri, "instantiate", {"selectedMECHostInfo": [{"hostId": {"zone": "pier"}}]})
    (service,) = until(edge.services, "its service")
    shown = edge.client.get(uri).json()
    ip = shown["communicationInterface"]["ipAddresses"][0]["host"]
    assert service["transportInfo"]["endpoint"]["addresses"] == [{"host": ip, "port": 80}]
    assert edge.resolved("polite.edge.example") == [ip]
    until(lambda: "ready" in edge.log(uri), "that it is ready")
    took = edge.does(uri, "operate", {"changeStateTo": "STOPPED", "stopType": "GRACEFUL"})
    assert took < 9, "it confirmed, so nobody waited for the time to pass"
    assert edge.services() == [] or edge.services()[0]["state"] == "INACTIVE"
    assert edge.resolved("polite.edge.example") == []
    edge.does(uri, "operate", {"changeStateTo": "STARTED"})
    until(lambda: edge.resolved("polite.edge.example") == [ip], "its name again")
    until(lambda: "ready" in edge.log(uri), "that it is ready again")
    edge.does(uri, "terminate", {"terminationType": "GRACEFUL"})
    assert edge.services() == []
    assert edge.resolved("polite.edge.example") == []
    assert containers(edge) == 0
    assert edge.client.delete(uri).status_code == 204


@pytest.mark.feature("B64", "E22")
def test_applications_outlive_their_node(edge: Edge) -> None:
    """The node is killed and comes back: containers, rules and the way to the platform are as before."""
    uri = edge.create("5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e32")
    edge.does(uri, "instantiate", {})
    until(lambda: "ready" in edge.log(uri), "that it is ready")
    ip = edge.client.get(uri).json()["communicationInterface"]["ipAddresses"][0]["host"]
    path = uri[uri.index("/app_lcm") :]
    edge.client.close()
    edge.process.kill()
    edge.process.wait()
    edge.begin()
    assert containers(edge) == 1
    until(lambda: edge.resolved("polite.edge.example") == [ip], "its name after the kill")
    took = edge.does(path, "terminate", {"terminationType": "GRACEFUL"})
    assert took < 9, "it was told over the gateway of its network, and confirmed"
    assert edge.client.delete(path).status_code == 204
    assert containers(edge) == 0


def command(edge: Edge, *arguments: str) -> str:
    environment = {
        **os.environ,
        "SKERRY_DATA_DIR": str(edge.folder / "data"),
        "XDG_CONFIG_HOME": str(edge.folder / "c"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "skerry", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.feature("E22", "E37")
def test_the_command_line_runs_an_application(edge: Edge) -> None:
    command(edge, "app", "package", "onboard", str(EXAMPLES / "echo"))
    command(edge, "app", "create", "echo", "--name", "first")
    assert "instantiate COMPLETED" in command(edge, "app", "instantiate", "first", "--host", "pier")
    assert "STARTED" in command(edge, "app", "show", "first")
    assert "pier" in command(edge, "app", "list")
    assert "terminate COMPLETED" in command(edge, "app", "terminate", "first")
    command(edge, "app", "delete", "first")
    command(edge, "app", "package", "delete", "echo", "--force")
