"""Images of the embedded driver: archives, layouts, directories, programs of the host; hostile layers."""

from __future__ import annotations

import concurrent.futures
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import DriverError, InvalidError, NotFoundError, SkerryError, TooLargeError, UnsupportedError
from skerry.vim.driver import ImageSpec
from skerry.vim.local import hostpack, unpack
from skerry.vim.local.images import Images
from tests.vim.registry import contents, registry

pytestmark = pytest.mark.real

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIG = {
    "Entrypoint": ["/bin/app"],
    "Cmd": ["-d"],
    "Env": ["LANG=C", "X=1"],
    "WorkingDir": "/srv",
    "User": "7:8",
    "StopSignal": "SIGINT",
}

Entry = tuple[str, Any]


def layer(*entries: Entry) -> bytes:
    """A tar of (name, bytes) files, (name, None) folders or (name, TarInfo changes)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, what in entries:
            info = tarfile.TarInfo(name)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, Mapping):
                for key, value in what.items():
                    setattr(info, key, value)
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return made.getvalue()


LOW = layer(("bin", None), ("bin/app", b"one"), ("etc", None), ("etc/old", b"x"), ("var", None), ("var/a", b"a"))
HIGH = layer(("bin/app", b"two"), ("etc/.wh.old", b""), ("var/.wh..wh..opq", b""), ("var/b", b"b"))


def blob(folder: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    target = folder / "blobs" / "sha256"
    target.mkdir(parents=True, exist_ok=True)
    (target / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": "x"}


def layout(folder: Path, *layers: bytes, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """An OCI layout with an index in an index and a foreign variant."""
    folder.mkdir(parents=True)
    config = {"config": CONFIG, "rootfs": {"diff_ids": []}}
    manifest = {"layers": [blob(folder, gzip.compress(one)) for one in layers]}
    manifest["config"] = blob(folder, json.dumps(config).encode())
    change(manifest)
    own = blob(folder, json.dumps(manifest).encode()) | {"platform": {"architecture": ARCHITECTURE, "os": "linux"}}
    foreign = {"digest": "sha256:" + "0" * 64, "platform": {"architecture": "pdp11", "os": "linux"}}
    inner = blob(folder, json.dumps({"manifests": [foreign, own]}).encode())
    (folder / "index.json").write_text(json.dumps({"manifests": [inner]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def packed(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as tar:
        tar.add(folder, ".")
    return target


def docker_tar(target: Path, *layers: bytes, config: Mapping[str, Any] | None = None) -> Path:
    identities = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
    document = config if config is not None else {"config": CONFIG, "rootfs": {"diff_ids": identities}}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": names}]
    files = {"manifest.json": json.dumps(manifest).encode(), "c.json": json.dumps(document).encode()}
    files |= dict(zip(names, layers, strict=True))
    target.write_bytes(layer(*files.items()))
    return target


@pytest.fixture
def images(tmp_path: Path) -> Images:
    made = Images(tmp_path / "images", max_bytes=1 << 20, max_files=100, tls_verify=True)
    made.open()
    return made


def sources(folder: Path) -> dict[str, Path]:
    made = layout(folder / "layout", LOW, HIGH)
    return {
        "layout": made,
        "oci-archive": packed(made, folder / "oci.tar"),
        "docker-tar": docker_tar(folder / "docker.tar", LOW, HIGH),
    }


@pytest.mark.feature("A76", "A80")
@pytest.mark.parametrize("kind", ["layout", "oci-archive", "docker-tar"])
def test_layers_and_configuration_are_taken_over(images: Images, tmp_path: Path, kind: str) -> None:
    image = images.ensure(ImageSpec(name="app", source=str(sources(tmp_path)[kind])))
    assert (image.entrypoint, image.command, image.folder, image.user) == (("/bin/app",), ("-d",), "/srv", "7:8")
    assert (image.env, image.stop_signal) == ({"LANG": "C", "X": "1"}, 2)
    assert image.public().command == ("/bin/app", "-d")
    low, high = (images.layer(key) for key in image.layers)
    assert (low / "bin/app").read_bytes() == b"one"
    assert (high / "bin/app").read_bytes() == b"two"
    hidden = (high / "etc/old").lstat()
    assert stat.S_ISCHR(hidden.st_mode)
    assert hidden.st_rdev == 0
    assert os.getxattr(high / "var", "trusted.overlay.opaque") == b"y"


def test_equal_layers_are_stored_once(images: Images, tmp_path: Path) -> None:
    made = sources(tmp_path)
    first = images.ensure(ImageSpec(name="a", source=str(made["layout"])))
    second = images.ensure(ImageSpec(name="b", source=str(made["oci-archive"])))
    assert first.layers == second.layers
    assert first.public().id == second.public().id
    images.delete("a", ())
    assert all(images.layer(key).is_dir() for key in second.layers)
    images.delete("b", second.layers[:1])
    assert [images.layer(key).is_dir() for key in second.layers] == [True, False]
    with pytest.raises(NotFoundError):
        images.get("a")


def test_making_the_same_image_available_at_once_gives_one(images: Images, tmp_path: Path) -> None:
    source = str(sources(tmp_path)["docker-tar"])
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda number: images.ensure(ImageSpec(name=f"n{number % 2}", source=source)), range(6)))
    assert len({image.layers for image in made}) == 1
    assert [image.name for image in images.all()] == ["n0", "n1"]
    assert os.listdir(tmp_path / "images" / "work") == []


def test_a_directory_is_copied_and_copied_again_when_it_has_changed(images: Images, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("one")
    spec = ImageSpec(name="dir", source=str(root))
    first = images.ensure(spec)
    assert images.ensure(spec) == first
    (root / "file").write_text("three")
    second = images.ensure(spec)
    assert second.layers != first.layers
    assert (images.layer(first.layers[0]) / "file").read_text() == "one"
    assert (images.layer(second.layers[0]) / "file").read_text() == "three"


def test_an_image_outlives_its_source(images: Images, tmp_path: Path) -> None:
    source = sources(tmp_path)["docker-tar"]
    spec = ImageSpec(name="app", source=str(source))
    first = images.ensure(spec)
    source.unlink()
    assert images.ensure(spec) == first


@pytest.mark.feature("A80")
def test_an_absent_image_is_pulled_once(tmp_path: Path) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("needs skopeo")
    made = Images(tmp_path / "images", max_bytes=1 << 20, max_files=100, tls_verify=False)
    made.open()
    with registry(contents("app", LOW, ARCHITECTURE, CONFIG)) as (address, asked):
        spec = ImageSpec(name="app", source=f"docker://{address}/app:1")
        image = made.ensure(spec)
        assert (image.entrypoint, image.env["LANG"]) == (("/bin/app",), "C")
        assert (made.layer(image.layers[0]) / "bin/app").read_bytes() == b"one"
        fetched = len(asked)
        assert made.ensure(spec) == image
        assert len(asked) == fetched, "one that is there is not fetched again"
        with pytest.raises(DriverError, match="cannot pull"):
            made.ensure(ImageSpec(name="other", source=f"docker://{address}/app:2"))
    assert os.listdir(tmp_path / "images" / "work") == []


@pytest.mark.feature("A80")
def test_a_registry_that_cannot_be_reached_is_a_clear_error(images: Images) -> None:
    with pytest.raises(SkerryError, match=r"cannot pull docker://127\.0\.0\.1:9/none:1") as caught:
        images.ensure(ImageSpec(name="x", source="docker://127.0.0.1:9/none:1"))
    assert caught.value.suggestion
    assert isinstance(caught.value, DriverError | UnsupportedError)
    assert images.all() == []


@pytest.mark.parametrize(
    ("name", "head"),
    {"qcow2": b"QFI\xfb\0\0\0\3", "vmdk": b"KDMV\1", "raw": b"\0" * 510 + b"\x55\xaa"}.items(),
)
def test_the_disk_of_a_virtual_machine_is_refused_clearly(
    images: Images, tmp_path: Path, name: str, head: bytes
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(head + b"\0" * 4096)
    with pytest.raises(UnsupportedError, match=rf"disk of a virtual machine \({name}\)") as caught:
        images.ensure(ImageSpec(name="x", source=str(disk)))
    assert "container image" in caught.value.suggestion
    assert images.all() == []


def test_what_is_no_archive_is_told_in_one_line(images: Images, tmp_path: Path) -> None:
    (tmp_path / "noise.tar").write_bytes(b"\xde\xad" * 2000)
    with pytest.raises(InvalidError, match=r"cannot read the image noise\.tar") as caught:
        images.ensure(ImageSpec(name="x", source=str(tmp_path / "noise.tar")))
    assert "\n" not in str(caught.value.detail)


def test_the_checksum_of_the_package_is_verified(images: Images, tmp_path: Path) -> None:
    source = sources(tmp_path)["docker-tar"]
    right = hashlib.sha512(source.read_bytes()).hexdigest()
    with pytest.raises(InvalidError, match="checksum"):
        images.ensure(ImageSpec(name="x", source=str(source), checksum="0" * 64))
    with pytest.raises(UnsupportedError, match="crc7"):
        images.ensure(ImageSpec(name="x", source=str(source), checksum=right, checksum_algorithm="crc7"))
    assert images.ensure(ImageSpec(name="x", source=str(source), checksum=right, checksum_algorithm="SHA-512"))


def wrong_digest(manifest: dict[str, Any]) -> None:
    manifest["layers"][0]["digest"] = "sha256:../../../../etc/passwd"


def no_layers(manifest: dict[str, Any]) -> None:
    del manifest["layers"]


@pytest.mark.parametrize("change", [wrong_digest, no_layers])
def test_a_manifest_that_lies_is_refused(
    images: Images, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(InvalidError):
        images.ensure(ImageSpec(name="x", source=str(layout(tmp_path / "l", LOW, change=change))))


def test_a_changed_layer_is_refused(images: Images, tmp_path: Path) -> None:
    made = layout(tmp_path / "l", LOW)
    largest = max((made / "blobs/sha256").iterdir(), key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b")
    largest.write_bytes(gzip.compress(HIGH))
    with pytest.raises(InvalidError, match="digest"):
        images.ensure(ImageSpec(name="x", source=str(made)))
    config = {"config": {}, "rootfs": {"diff_ids": ["sha256:" + "1" * 64]}}
    with pytest.raises(InvalidError, match="digest"):
        images.ensure(ImageSpec(name="y", source=str(docker_tar(tmp_path / "d.tar", LOW, config=config))))
    assert images.all() == []


@pytest.mark.parametrize("content", [b"no tar at all", layer(("some", b"file")), b""])
def test_what_is_no_image_is_refused(images: Images, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(InvalidError, match="cannot read the image"):
        images.ensure(ImageSpec(name="x", source=str(path)))
    assert os.listdir(tmp_path / "images" / "layers") == []


LINK: Mapping[str, Any] = {"type": tarfile.SYMTYPE, "linkname": ".."}


@pytest.mark.parametrize(
    "entries",
    [
        [("../escaped", b"x")],
        [("a/../../escaped", b"x")],
        [("out", LINK), ("out/escaped", b"x")],
        [("a", None), ("a/out", {"type": tarfile.SYMTYPE, "linkname": "../.."}), ("a/out/escaped", b"x")],
        [("out", {"type": tarfile.LNKTYPE, "linkname": "../victim"})],
        [("out", LINK), ("in", {"type": tarfile.LNKTYPE, "linkname": "out/victim"})],
        [("out", LINK), ("out/.wh.victim", b"")],
        [("file", b"x"), ("file/escaped", b"x")],
    ],
)
def test_no_layer_leads_outside(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "victim").write_text("safe")
    folder = tmp_path / "layer"
    folder.mkdir()
    with pytest.raises((InvalidError, FileNotFoundError)):
        unpack.unpack(io.BytesIO(layer(*entries)), folder, max_bytes=1 << 20, max_files=100)
    assert (tmp_path / "victim").read_text() == "safe"
    assert sorted(os.listdir(tmp_path)) == ["layer", "victim"]


def test_links_inside_modes_and_replaced_entries(tmp_path: Path) -> None:
    data = layer(
        ("a", b"1"),
        ("/abs", b"2"),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "a"}),
        ("soft", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("soft", b"now a file"),
        ("tool", {"mode": 0o4755, "uid": 5, "gid": 6}),
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
    )
    unpack.unpack(io.BytesIO(data), tmp_path, max_bytes=1 << 20, max_files=100)
    assert sorted(os.listdir(tmp_path)) == ["a", "abs", "hard", "pipe", "soft", "tool"]
    assert (tmp_path / "hard").stat().st_ino == (tmp_path / "a").stat().st_ino
    assert (tmp_path / "soft").read_text() == "now a file"
    tool = (tmp_path / "tool").stat()
    assert (stat.S_IMODE(tool.st_mode), tool.st_uid, tool.st_gid) == (0o4755, 5, 6)


@pytest.mark.parametrize("limits", [{"max_bytes": 100, "max_files": 100}, {"max_bytes": 1 << 20, "max_files": 2}])
def test_what_unpacks_too_large_is_refused(tmp_path: Path, limits: dict[str, int]) -> None:
    data = gzip.compress(layer(("a", bytes(60)), ("b", bytes(60)), ("c", b"")))
    with pytest.raises(TooLargeError):
        unpack.unpack(io.BytesIO(data), tmp_path, **limits)


def test_zstd_is_refused_with_a_way_out() -> None:
    with pytest.raises(UnsupportedError) as caught:
        unpack.refuse_zstd(b"\x28\xb5\x2f\xfd....")
    assert "gzip" in caught.value.suggestion


@pytest.mark.feature("A3")
def test_programs_of_the_host_are_packed_with_what_they_load(images: Images) -> None:
    spec = ImageSpec(name="tools", source="host:bash,ip")
    big = Images(images.layer("x").parent.parent, max_bytes=1 << 30, max_files=10_000, tls_verify=True)
    image = big.ensure(spec)
    root = big.layer(image.layers[0])
    assert big.ensure(spec) == image
    assert image.public().command == (hostpack.find(["bash"]).programs[0],)
    assert (root / "bin").is_symlink()
    for path in ("usr/bin/busybox", "usr/bin/sh", "usr/bin/bash", "etc/passwd", "etc/nsswitch.conf"):
        assert (root / path).exists(), path
    assert (root / "usr/bin/bash").is_file()
    assert not (root / "usr/bin/bash").is_symlink()
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert not (root / "usr/share/doc/bash").exists()
    if image.env.get("TERM"):
        assert list(root.rglob("terminfo/x/xterm"))


@pytest.mark.real
@pytest.mark.feature("C40")
@pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="needs squid")
def test_the_part_of_a_package_for_all_machines_is_packed_too(tmp_path: Path) -> None:
    hostpack.pack(hostpack.find(["squid"]), tmp_path)
    assert (tmp_path / "usr/sbin/squid").is_file()
    assert (tmp_path / "usr/share/squid/mime.conf").is_file(), "of squid-common"
    assert not (tmp_path / "usr/share/doc").exists()


def test_programs_that_are_not_installed_are_all_named(images: Images) -> None:
    with pytest.raises(InvalidError, match="no-such-a, no-such-b"):
        images.ensure(ImageSpec(name="x", source="host:no-such-a,bash,no-such-b"))
    with pytest.raises(InvalidError, match="nothing named"):
        images.ensure(ImageSpec(name="x", source="host:"))
