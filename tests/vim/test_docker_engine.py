"""The docker driver on an Engine of its own: TLS, images from archives and this host, interruptions."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import platform
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.engine.clock import SystemClock
from skerry.errors import DriverError, InvalidError, UnauthorizedError
from skerry.vim.docker import shape
from skerry.vim.driver import (
    ComputeSpec,
    ComputeState,
    DriverContext,
    ImageSpec,
    NetworkSpec,
    NicSpec,
    Port,
    VimEvent,
)
from skerry.vim.drivers.docker import DockerSettings, Driver
from tests.conformance.bench import eventually
from tests.conformance.rigs import busybox_root, lacking
from tests.real.dockerd import Dockerd
from tests.vim.registry import contents, registry

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(lacking("dockerd", "docker", "ip", "busybox")), reason="needs root and docker.io"),
]

FOREVER = ("sleep", "100000")


class Authority:
    """A certificate authority, for the length of a test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = self._write("ca", self._certificate(self._subject, self._key, None))

    def issue(self, name: str, address: str = "") -> tuple[str, str]:
        """Certificate and key files; for a server when it has an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, address)
        path = self.folder / f"{self.name}-{name}.key"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(key.private_bytes(*form))
        return self._write(name, certificate), str(path)

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, address: str | None
    ) -> x509.Certificate:
        now = SystemClock().now()
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        )
        if address is not None:
            use = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
            made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            made = made.add_extension(names, critical=False)
        return made.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> str:
        path = self.folder / f"{self.name}-{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    made = Dockerd(tmp_path_factory.mktemp("engine"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busybox_root(tmp_path_factory.mktemp("root"))


def make(folder: Path, node: str = "dk", **settings: str) -> Driver:
    chosen = DockerSettings(**settings)  # type: ignore[arg-type]
    return Driver(chosen, DriverContext(node=node, data_dir=folder, clock=SystemClock()))


@pytest.fixture
async def driver(engine: Dockerd, root: Path, tmp_path: Path) -> AsyncIterator[Driver]:
    made = make(tmp_path / "data", endpoint=engine.endpoint)
    await made.open()
    await made.ensure_image(ImageSpec(name="bb", source=str(root)))
    yield made
    for compute in await made.list_compute():
        await made.delete_compute(compute.name)
    for network in await made.list_networks():
        await made.delete_network(network.name)
    await made.close()
    assert engine.docker("ps", "-aq", "--filter", "label=skerry.node=dk") == ""


def spec(name: str = "a", **changes: object) -> ComputeSpec:
    given = {"name": name, "owner": "o", "image": "bb", "command": FOREVER, "grace_s": 0.1}
    return ComputeSpec(**{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.feature("A78")
async def test_mutual_tls_is_accepted_and_a_wrong_ca_refused(tmp_path: Path, root: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = Dockerd(tmp_path / "dockerd", linked=True)
    certificate, key = ours.issue("server", server.address)
    files = ["--tlscacert", ours.path, "--tlscert", certificate, "--tlskey", key]
    server.options += ["--tlsverify", *files, "-H", f"tcp://{server.address}:2376"]
    server.start()
    try:
        endpoint = f"tcp://{server.address}:2376"
        mine, stranger = ours.issue("client"), theirs.issue("client")
        good = make(tmp_path / "data", endpoint=endpoint, tls_ca=ours.path, tls_cert=mine[0], tls_key=mine[1])
        await good.open()
        await good.ensure_image(ImageSpec(name="bb", source=str(root)))
        await good.create_compute(spec())
        await good.start_compute("a")
        assert (await good.exec("a", ["cat"], stdin=b"x" * 300_000)).stdout == b"x" * 300_000
        assert (await good.exec("a", ["sh", "-c", "exit 5"])).exit_code == 5
        await good.delete_compute("a")
        await good.close()
        for ca, pair in ((theirs.path, mine), (ours.path, stranger), (ours.path, ("", ""))):
            with pytest.raises(UnauthorizedError, match="certificates"):
                await make(tmp_path, endpoint=endpoint, tls_ca=ca, tls_cert=pair[0], tls_key=pair[1]).open()
    finally:
        server.stop()


@pytest.mark.feature("A80")
async def test_a_docker_archive_keeps_its_command_and_environment(
    driver: Driver, engine: Dockerd, tmp_path: Path
) -> None:
    await saved(driver, engine, tmp_path / "saved.tar")
    image = await driver.ensure_image(ImageSpec(name="from-docker", source=str(tmp_path / "saved.tar")))
    assert image.command == ("sleep", "77")
    assert image.env["FROM"] == "image"
    await driver.create_compute(spec(image="from-docker", command=()))
    await driver.start_compute("a")
    assert b"sleep 77" in (await driver.exec("a", ["ps"])).stdout
    await driver.delete_compute("a")
    await driver.delete_image("from-docker")


@pytest.mark.feature("A80")
@pytest.mark.skipif(bool(lacking("skopeo")), reason="needs skopeo")
@pytest.mark.parametrize("form", ["oci-archive", "oci"])
async def test_oci_archives_and_layouts(driver: Driver, engine: Dockerd, tmp_path: Path, form: str) -> None:
    await saved(driver, engine, tmp_path / "saved.tar")
    target = tmp_path / "image"
    call = ["skopeo", "copy", "--quiet", f"docker-archive:{tmp_path}/saved.tar", f"{form}:{target}:latest"]
    subprocess.run(call, check=True, capture_output=True)
    image = await driver.ensure_image(ImageSpec(name=f"from-{form}", source=str(target)))
    assert (image.command, image.env["FROM"]) == (("sleep", "77"), "image")
    await driver.delete_image(f"from-{form}")


async def saved(driver: Driver, engine: Dockerd, target: Path) -> None:
    """What `docker save` writes of an image with a command and an environment."""
    await driver.create_compute(spec("seed"))
    identity = (await driver.get_compute("seed")).id
    change = ["--change", 'ENTRYPOINT ["sleep"]', "--change", 'CMD ["77"]', "--change", "ENV FROM=image"]
    engine.docker("commit", *change, identity, "made:1")
    engine.docker("save", "-o", str(target), "made:1")
    await driver.delete_compute("seed")
    engine.docker("rmi", "made:1")


async def test_a_broken_archive_is_refused(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_bytes(b"nonsense")
    with pytest.raises(InvalidError):
        await driver.ensure_image(ImageSpec(name="no", source=str(tmp_path / "no.tar")))
    with tarfile.open(tmp_path / "empty.tar", "w") as tar:
        tar.add(tmp_path / "no.tar", arcname="x")
    with pytest.raises(InvalidError, match=r"index\.json"):
        await driver.ensure_image(ImageSpec(name="no", source=str(tmp_path / "empty.tar")))


@pytest.mark.feature("A80")
async def test_programs_of_this_host_are_packed(driver: Driver) -> None:
    image = await driver.ensure_image(ImageSpec(name="host:ip", source="host:ip"))
    assert image.command[0].endswith("/ip")
    await driver.create_compute(spec(image="host:ip", command=("ip", "-V")))
    await driver.start_compute("a")

    async def ended() -> bool:
        return (await driver.get_compute("a")).state is ComputeState.EXITED

    await eventually(ended)
    assert any("iproute2" in line.text for line in [line async for line in driver.logs("a")])


@pytest.mark.feature("A80")
async def test_an_absent_image_is_pulled_and_runs(driver: Driver, engine: Dockerd, root: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(root, ".")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    image = contents("bb", layer.read_bytes(), architecture, {"Cmd": list(FOREVER), "Env": ["PULLED=yes"]})
    with registry(image, engine.namespace) as (address, asked):
        await driver.ensure_image(ImageSpec(name="pulled", source=f"docker://{address}/bb:1"))
        assert any("/blobs/" in path for path in asked)
    await driver.create_compute(spec(image="pulled"))
    await driver.start_compute("a")
    answer = await driver.exec("a", ["sh", "-c", "echo $PULLED"])
    assert answer.stdout.strip() == b"yes"
    await driver.delete_compute("a")
    await driver.delete_image("pulled")


@pytest.mark.feature("A80")
async def test_a_registry_out_of_reach_is_a_clear_error(driver: Driver) -> None:
    with pytest.raises(DriverError, match="cannot pull docker://localhost:1/none:1") as caught:
        await driver.ensure_image(ImageSpec(name="none", source="docker://localhost:1/none:1"))
    assert caught.value.transient
    assert "archive" in caught.value.suggestion


@pytest.mark.feature("A4")
async def test_docker_kill_is_seen_within_a_second(driver: Driver, engine: Dockerd) -> None:
    seen: list[VimEvent] = []

    async def watch() -> None:
        async for event in driver.events():
            seen.append(event)  # noqa: PERF401 - read while it grows

    watching = asyncio.ensure_future(watch())
    await driver.create_compute(spec())
    made = await driver.start_compute("a")

    async def has(action: str) -> bool:
        return action in [event.action for event in seen]

    if not await has("started"):
        await driver.stop_compute("a")
        await driver.start_compute("a")
    await eventually(lambda: has("started"))
    engine.docker("kill", made.id)
    await eventually(lambda: has("killed"), limit_s=1)
    assert (await driver.get_compute("a")).state is ComputeState.FAILED
    watching.cancel()


async def test_a_network_that_was_half_made_is_made_anew(driver: Driver, engine: Dockerd) -> None:
    for name in ("n1", "n2"):
        await driver.create_network(NetworkSpec(name=name, owner="o"))
    made = await driver.create_compute(spec(nics=(NicSpec(network="n2"), NicSpec(network="n1"))))
    await driver.start_compute("a")
    await driver.stop_compute("a")
    keeper = engine.docker("ps", "-q", "--filter", "label=skerry.role=holder").split()
    engine.docker("rm", "-f", *keeper)
    started = await driver.start_compute("a")
    assert started.nics == made.nics
    address = await driver.exec("a", ["cat", "/sys/class/net/eth1/address"])
    assert address.stdout.decode().strip() == made.nics[1].mac


async def test_a_start_that_was_cut_off_after_the_network_is_finished_by_the_next(driver: Driver) -> None:
    for name in ("n1", "n2"):
        await driver.create_network(NetworkSpec(name=name, owner="o"))
    await driver.create_compute(spec(nics=(NicSpec(network="n1"), NicSpec(network="n2"))))
    labels = (await driver._inspect("a"))["Config"]["Labels"]
    await driver._holders.have(shape.nested_of(labels))
    await driver._holders.complete(shape.nested_of(labels))
    await driver.start_compute("a")
    shown = await driver.exec("a", ["ls", "/sys/class/net"])
    assert {"eth0", "eth1"} <= set(shown.stdout.decode().split())


async def test_limits_that_were_changed_before_the_start_hold_after_it(driver: Driver, engine: Dockerd) -> None:
    for name in ("n1", "n2"):
        await driver.create_network(NetworkSpec(name=name, owner="o"))
    await driver.create_compute(spec(nics=(NicSpec(network="n1"), NicSpec(network="n2")), memory_bytes=64 << 20))
    await driver.resize("a", memory_bytes=96 << 20)
    started = await driver.start_compute("a")
    assert engine.docker("inspect", "-f", "{{.HostConfig.Memory}}", started.id).strip() == str(96 << 20)


@pytest.mark.feature("A82", "A83")
async def test_a_published_port_answers_on_the_host(driver: Driver, engine: Dockerd) -> None:
    await driver.create_network(NetworkSpec(name="n1", owner="o"))
    text = "while true; do echo hello | nc -l -p 80; done"
    await driver.create_compute(
        spec(nics=(NicSpec(network="n1"),), ports=(Port(host=18080, instance=80),), command=("sh", "-c", text))
    )
    await driver.start_compute("a")

    async def answers() -> bool:
        return "hello" in engine.in_namespace(
            "busybox", "sh", "-c", "busybox nc -w 1 192.168.241.1 18080 </dev/null; true"
        )

    await eventually(answers)
    await driver.delete_compute("a")
    assert json.loads(engine.docker("network", "inspect", "bridge"))[0]["Name"] == "bridge"
    assert engine.docker("network", "ls", "-q", "--filter", "label=skerry.role=publish") == ""


@pytest.mark.feature("A83")
async def test_an_exposed_port_is_bound_to_no_port_of_the_host(driver: Driver, engine: Dockerd) -> None:
    await driver.create_network(NetworkSpec(name="n1", owner="o"))
    await driver.create_compute(spec(nics=(NicSpec(network="n1"),), ports=(Port(host=0, instance=80),)))
    await driver.start_compute("a")
    names = engine.docker("ps", "--format", "{{.Names}}").split()
    assert names
    assert not any(engine.docker("port", name).strip() for name in names)
    assert engine.docker("network", "ls", "-q", "--filter", "label=skerry.role=publish") == ""


async def test_events_go_on_after_the_engine_came_back(root: Path, tmp_path: Path) -> None:
    own = Dockerd(tmp_path / "dockerd")
    own.start()
    driver = make(tmp_path / "data", endpoint=own.endpoint)
    seen: list[VimEvent] = []

    async def watch() -> None:
        async for event in driver.events():
            seen.append(event)  # noqa: PERF401 - read while it grows

    try:
        await driver.open()
        await driver.ensure_image(ImageSpec(name="bb", source=str(root)))
        watching = asyncio.ensure_future(watch())
        await driver.create_compute(spec("before"))
        await asyncio.to_thread(own.restart)
        await driver.create_compute(spec("after"))

        async def told() -> bool:
            return "after" in [event.name for event in seen]

        await eventually(told)
        watching.cancel()
        for name in ("before", "after"):
            await driver.delete_compute(name)
        await driver.close()
    finally:
        own.stop()
