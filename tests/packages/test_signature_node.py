"""What a node makes of signed packages: its policy, its records, what the APIs and the command line tell of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.packages import Signing, build, open_artifact, sign
from skerry.settings import Settings, load
from tests.api.rig import EXAMPLES, Rig, running
from tests.cli.conftest import Served, start, stop
from tests.packages.pki import Identity, needs_openssl

pytestmark = needs_openssl
ROOT = "/vnfpkgm/v2/vnf_packages"
ZIP = {"Content-Type": "application/zip"}
VNFD = "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e01"


@pytest.fixture
def signer(tmp_path: Path) -> Identity:
    """A signer, valid at the node's own time; `tmp_path/store` trusts it."""
    keys, store = tmp_path / "keys", tmp_path / "store"
    keys.mkdir()
    store.mkdir()
    made = Identity(keys, "vendor", end=datetime.now(UTC) + timedelta(days=2))
    shutil.copy(made.cert_file, store)
    return made


def packed(folder: Path, name: str, who: Identity | None, option: Any = 1) -> bytes:
    """An example package, signed if there is somebody to sign it."""
    plain = build(EXAMPLES / name, folder / f"{name}.csar")
    if who:
        signing = Signing(key=who.key_file, certificate=who.cert_file, option=option)
        sign(plain, plain, signing, now=datetime.now(UTC))
    return plain.read_bytes()


async def upload(rig: Rig, data: bytes, root: str = ROOT, content: str = "package_content") -> tuple[str, int, Any]:
    """Record id, status and body of the upload's answer."""
    id = str((await rig.client.post(root, json={})).json()["id"])
    answer = await rig.client.put(f"{root}/{id}/{content}", content=data, headers=ZIP)
    return id, answer.status_code, answer.json() if answer.content else None


async def test_manifest_is_signed(tmp_path: Path, signer: Identity) -> None:
    async with running(tmp_path, package_signatures="require", trust_store=tmp_path / "store") as rig:
        id, status, _ = await upload(rig, packed(tmp_path, "server", signer))
        assert status == 202
        record = (await rig.client.get(f"{ROOT}/{id}")).json()
        assert record["packageSecurityOption"] == "OPTION_1"
        assert "signingCertificate" not in record
        shown = (await rig.client.get(f"/skerry/v1/packages/{id}")).json()
        assert shown["signature"] == {"option": 1, "signer": "CN=vendor", "verified": True}


async def test_envelope_from_upload_to_deletion(tmp_path: Path, signer: Identity) -> None:
    data = packed(tmp_path, "server", signer, 2)
    async with running(tmp_path, package_signatures="require", trust_store=tmp_path / "store") as rig:
        id, status, _ = await upload(rig, data)
        assert status == 202
        record = (await rig.client.get(f"{ROOT}/{id}")).json()
        assert record["packageSecurityOption"] == "OPTION_2"
        assert record["signingCertificate"] == signer.pem.decode()
        assert (await rig.client.get(f"{ROOT}/{id}/package_content")).content == data
        assert "tosca_definitions_version" in (await rig.client.get(f"{ROOT}/{id}/vnfd")).text
        assert (await rig.client.get(f"{ROOT}/{id}/manifest")).text.startswith("metadata:")
        path = record["additionalArtifacts"][0]["artifactPath"]
        got = await rig.client.get(f"{ROOT}/{id}/artifacts/{path}")
        assert got.content == open_artifact(rig.node.catalogue.content(id), path)
        vnf = await rig.vnf(VNFD)
        done = await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/terminate", json={"terminationType": "FORCEFUL"})
        await rig.finished(done)
        await rig.client.delete(f"/vnflcm/v2/vnf_instances/{vnf}")
        await rig.client.patch(f"{ROOT}/{id}", json={"operationalState": "DISABLED"})
        assert (await rig.client.delete(f"{ROOT}/{id}")).status_code == 204
        assert list((tmp_path / "node" / "packages").iterdir()) == []


async def test_network_service(tmp_path: Path, signer: Identity) -> None:
    nsds = "/nsd/v2/ns_descriptors"
    async with running(tmp_path, package_signatures="require", trust_store=tmp_path / "store") as rig:
        for name in ("server", "client"):
            assert (await upload(rig, packed(tmp_path, name, signer)))[1] == 202
        data = packed(tmp_path, "service", signer, 2)
        id, status, _ = await upload(rig, data, nsds, "nsd_content")
        assert status == 204
        record = (await rig.client.get(f"{nsds}/{id}")).json()
        assert record["archiveSecurityOption"] == "OPTION_2"
        assert record["signingCertificate"] == signer.pem.decode()
        assert (await rig.client.get(f"{nsds}/{id}/nsd_content")).content == data


@pytest.mark.parametrize("option", [1, 2])
async def test_wrong_signature_is_refused_and_leaves_nothing(tmp_path: Path, signer: Identity, option: int) -> None:
    stranger = Identity(tmp_path / "keys", "stranger", end=datetime.now(UTC) + timedelta(days=2))
    async with running(tmp_path, trust_store=tmp_path / "store") as rig:
        id, status, problem = await upload(rig, packed(tmp_path, "server", stranger, option))
        assert 400 <= status < 500
        assert "CN=stranger leads to no certificate of the trust store" in str(problem)
        record = (await rig.client.get(f"{ROOT}/{id}")).json()
        assert record["onboardingState"] == "ERROR"
        assert "CN=stranger" in str(record["onboardingFailureDetails"])
        assert "packageSecurityOption" not in record
        assert not list((tmp_path / "node").glob("packages/*"))
        again = await rig.client.put(
            f"{ROOT}/{id}/package_content", content=packed(tmp_path, "server", signer, option), headers=ZIP
        )
        assert again.status_code == 202


async def test_unsigned_by_policy(tmp_path: Path, signer: Identity) -> None:
    data = packed(tmp_path, "server", None)
    async with running(tmp_path, package_signatures="require", trust_store=tmp_path / "store") as rig:
        _, status, problem = await upload(rig, data)
        assert 400 <= status < 500
        assert "not signed" in str(problem)
    async with running(tmp_path / "second") as rig:
        id, status, _ = await upload(rig, data)
        assert status == 202
        assert "packageSecurityOption" not in (await rig.client.get(f"{ROOT}/{id}")).json()
        shown = (await rig.client.get(f"/skerry/v1/packages/{id}")).json()
        assert shown["signature"]["warning"].startswith("the package is not signed")


async def test_off_takes_everything(tmp_path: Path, signer: Identity) -> None:
    stranger = Identity(tmp_path / "keys", "stranger", end=datetime.now(UTC) + timedelta(days=2))
    data = packed(tmp_path, "server", stranger, 2)
    async with running(tmp_path, package_signatures="off", trust_store=tmp_path / "store") as rig:
        id, status, _ = await upload(rig, data)
        assert status == 202
        assert (await rig.client.get(f"{ROOT}/{id}")).json()["packageSecurityOption"] == "OPTION_2"


def test_settings(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).package_signatures == "warn"
    env = {"SKERRY_PACKAGE_SIGNATURES": "require", "SKERRY_DATA_DIR": str(tmp_path)}
    with pytest.raises(InvalidError) as caught:
        load(None, {**env, "XDG_CONFIG_HOME": str(tmp_path)})
    [fault] = caught.value.faults
    assert "trust_store names no folder" in fault.message
    found = load(None, {**env, "SKERRY_TRUST_STORE": str(tmp_path / "store"), "XDG_CONFIG_HOME": str(tmp_path)})
    assert found.trust_store == tmp_path / "store"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Served]:
    """A node as its own process, with a trust store and the default policy."""
    (tmp_path / "settings.toml").write_text(f'trust_store = "{tmp_path / "store"}"\n')
    process = start(tmp_path, "--config", str(tmp_path / "settings.toml"))
    try:
        yield Served(tmp_path, process)
    finally:
        assert stop(process) == 0


def test_command_line_tells_of_signatures(signer: Identity, node: Served, tmp_path: Path) -> None:
    (tmp_path / "server.zip").write_bytes(packed(tmp_path, "server", signer, 2))
    id = node.json("package", "onboard", str(tmp_path / "server.zip"))["id"]
    assert "option 2 by CN=vendor, verified" in node("package", "show", id).stdout
    assert node.json("package", "show", id)["signature"] == {"option": 2, "signer": "CN=vendor", "verified": True}
    node("package", "download", id, "-o", str(tmp_path / "copy.zip"))
    assert (tmp_path / "copy.zip").read_bytes() == (tmp_path / "server.zip").read_bytes()
    told = node("package", "onboard", str(EXAMPLES / "client"))
    assert "warning: the package is not signed" in told.output
    listed = {entry["kind"]: entry["id"] for entry in node.json("package", "list") if entry["id"] != id}
    assert "none" in node("package", "show", listed["vnf"]).stdout
