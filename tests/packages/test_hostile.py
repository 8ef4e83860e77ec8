"""Hostile packages: refused with a reason, in bounded memory, with nothing left on disk."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest

from skerry.errors import InvalidError
from skerry.packages import Limits, extract_artifact, lint, open_artifact, read
from tests.packages import samples

MIB = 1024 * 1024


def entry(
    name: str, content: bytes = b"x", *, mode: int = 0, method: int = zipfile.ZIP_DEFLATED
) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.compress_type = method
    info.external_attr = mode << 16
    return info, content


def crafted(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO(samples.service_zip())
    with zipfile.ZipFile(stream, "a") as archive:
        for info, content in entries:
            with warnings.catch_warnings(action="ignore"):
                archive.writestr(info, content)
    return stream.getvalue()


def bomb(size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("service.yaml", samples.SERVICE)
        with archive.open("zeros.bin", "w", force_zip64=True) as target:
            for _ in range(size // MIB):
                target.write(bytes(MIB))
    return stream.getvalue()


def lying_size(data: bytes, name: bytes) -> bytes:
    """The archive with an entry whose records say one byte less than it unpacks to."""
    changed = bytearray(data)
    for magic, at_size, at_name in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        at = changed.find(magic)
        while changed[at + at_name : at + at_name + len(name)] != name:
            at = changed.find(magic, at + 1)
        (size,) = struct.unpack_from("<L", changed, at + at_size)
        struct.pack_into("<L", changed, at + at_size, size - 1)
    return bytes(changed)


def overlapping() -> bytes:
    """Two directory entries over the same bytes."""
    data = bytearray(crafted(entry("a.bin", b"a" * 50), entry("b.bin", b"a" * 50)))
    first = data.find(b"a.bin") - 30
    central = data.rfind(b"b.bin") - 46
    struct.pack_into("<L", data, central + 42, first)
    return bytes(data)


def many_entries(count: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(count):
            archive.writestr(f"f{number}", b"")
    return stream.getvalue()


def encrypted() -> bytes:
    data = bytearray(crafted(entry("secret.bin")))
    data[data.find(b"secret.bin") - 30 + 6] |= 1
    data[data.rfind(b"secret.bin") - 46 + 8] |= 1
    return bytes(data)


def damaged() -> bytes:
    data = bytearray(crafted(entry("data.bin", bytes(range(256)) * 40, method=zipfile.ZIP_STORED)))
    at = data.find(b"data.bin") + 100
    data[at] ^= 0xFF
    return bytes(data)


def directory_lie() -> bytes:
    """An end record that claims a central directory of 3 GiB."""
    data = bytearray(samples.service_zip())
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<L", data, at + 12, 3 * 1024 * MIB)
    return bytes(data)


def decoy_directory() -> bytes:
    """Two end records of ZIP64: the locator names a small directory, before the locator stands one of 8 MiB."""
    record = struct.Struct("<4sQ2H2L4Q")
    central = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, *[0] * 8, 1, *[0] * 6) + b"f"
    directory = central * (8 * MIB // len(central))
    decoy = record.pack(b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(central), 30)
    size = len(directory) + len(decoy)
    real = record.pack(b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 30)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 30 + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0, 0, 0)
    return b"PK\3\4" + bytes(26) + directory + decoy + real + locator + end


def small_bombs() -> bytes:
    """Entries that are each too small for a ratio of their own."""
    return crafted(*(entry(f"zeros{number}", bytes(MIB)) for number in range(100)))


HOSTILE = {
    "zip slip": (crafted(entry("../../etc/cron.d/evil")), "unsafe-path"),
    "slip inside": (crafted(entry("a/../../b")), "unsafe-path"),
    "absolute": (crafted(entry("/etc/passwd")), "unsafe-path"),
    "drive": (crafted(entry("C:/windows")), "unsafe-path"),
    "backslash": (crafted(entry("..\\evil")), "unsafe-path"),
    "control characters": (crafted(entry("a\nb")), "unsafe-path"),
    "long path": (crafted(entry("a" * 2000)), "unsafe-path"),
    "symlink": (crafted(entry("link", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)), "link-or-device"),
    "fifo": (crafted(entry("pipe", mode=stat.S_IFIFO | 0o600)), "link-or-device"),
    "duplicate": (crafted(entry("twice"), entry("twice", b"other")), "duplicate-entry"),
    "file and folder": (crafted(entry("a"), entry("a/b")), "duplicate-entry"),
    "dot duplicate": (crafted(entry("./service.yaml")), "unsafe-path"),
    "bomb": (bomb(64 * MIB), "zip-bomb"),
    "many small bombs": (small_bombs(), "zip-bomb"),
    "decoy directory": (decoy_directory(), "too-many-entries"),
    "overlap": (overlapping(), "overlapping-entries"),
    "too many": (many_entries(10_001), "too-many-entries"),
    "huge directory": (directory_lie(), "too-many-entries"),
    "encrypted": (encrypted(), "encrypted-entry"),
    "bzip2": (crafted(entry("a.bin", b"a" * 100, method=zipfile.ZIP_BZIP2)), "compression-method"),
    "damaged": (damaged(), "damaged-entry"),
    "size lie": (lying_size(crafted(entry("data.bin", b"abc" * 500)), b"data.bin"), "damaged-entry"),
    "cut off": (samples.service_zip()[:-30], "not-a-zip"),
    "no zip": (b"hello", "not-a-zip"),
    "empty": (b"", "not-a-zip"),
    "empty zip": (many_entries(0), "no-entry"),
}

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + step)}: &{chr(98 + step)} [{', '.join(['*' + chr(97 + step)] * 9)}]\n" for step in range(9)
)
REF = "{get_property: [NEXT, v]}"
DOUBLING = "".join(
    f"    n{step}: {{type: tosca.nodes.Root, properties: {{v: [{REF}, {REF}]}}}}\n".replace("NEXT", f"n{step + 1}")
    for step in range(40)
)
YAML = {
    "alias bomb": (ALIASES, "too-many-nodes"),
    "recursive alias": ("a: &a [*a]\n", "recursive-alias"),
    "unknown alias": ("a: *b\n", "unknown-alias"),
    "deep flow": ("a: " + "[" * 5000, "too-deep"),
    "deep block": ("".join("  " * depth + "a:\n" for depth in range(200)), "too-deep"),
    "deep through aliases": (
        "a0: &a0 [" * 1 + "x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 90)),
        "too-deep",
    ),
    "many nodes": ("a: [" + "x," * 200_000 + "]\n", "too-many-nodes"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", "duplicate-key"),
    "tab": ("a:\n\tb: 1\n", "yaml-syntax"),
    "not UTF-8": (b"a: \xff\xfe\n", "not-utf8"),
    "UTF-16": ("a: 1".encode("utf-16"), "not-utf8"),
    "control": (b"a: \x01\n", "yaml-syntax"),
    "python tag": ("a: !!python/object/apply:os.system [id]\n", "yaml-tag"),
    "key is a map": ("? {a: b}\n: c\n", "key-not-scalar"),
    "two documents": ("a: 1\n---\nb: 2\n", "several-documents"),
    "a list": ("- a\n", "not-a-template"),
    "nothing": ("", "empty-file"),
    "large": ("a: " + " ".join(str(n * n) for n in range(300_000)), "file-too-large"),
    "unclosed": ("a: {b: [c\n", "yaml-syntax"),
    "missing import": ("imports: [other.yaml]\n", "missing-import"),
    "import from outside": ("imports: [../../../../etc/passwd]\n", "missing-import"),
    "import by URL": ("imports: ['https://example.org/types.yaml']\n", "missing-import"),
    "cyclic import": ("imports: [service.yaml]\n", "cyclic-import"),
    "odd imports": ("imports: {a: [1]}\n", "bad-import"),
    "doubling references": (
        "topology_template:\n  substitution_mappings: {node_type: tosca.nodes.nfv.VNF}\n  node_templates:\n" + DOUBLING,
        "too-many-references",
    ),
    "types in a circle": (
        "node_types: {a: {derived_from: b}, b: {derived_from: a}}\ntopology_template: {node_templates: {x: {type: a}}}\n",
        "no-vnf-or-ns",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused(name: str) -> None:
    data, code = HOSTILE[name]
    errors, _, package = lint(data)
    assert package is None
    assert code in {fault.code for fault in errors}, errors
    assert all(fault.fix and fault.message.startswith("cannot ") for fault in errors)
    with pytest.raises(InvalidError):
        read(data)


@pytest.mark.parametrize("name", YAML)
def test_hostile_yaml_is_refused(name: str) -> None:
    content, code = YAML[name]
    errors, _, package = lint(samples.zipped({"service.yaml": content}))
    assert package is None
    assert code in {fault.code for fault in errors}, errors


@pytest.mark.parametrize("name", ["bomb", "huge directory", "decoy directory", "too many", "overlap"])
def test_hostile_archive_costs_little_memory(name: str) -> None:
    data, _ = HOSTILE[name]
    assert peak_of(data) < 24 * MIB


@pytest.mark.parametrize("name", YAML)
def test_hostile_yaml_costs_little_memory(name: str) -> None:
    assert peak_of(samples.zipped({"service.yaml": YAML[name][0]})) < 64 * MIB


def peak_of(data: bytes) -> int:
    tracemalloc.start()
    try:
        lint(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_entries_are_streamed() -> None:
    noise = bytes(range(256)) * 4096
    data = samples.zipped({"service.yaml": samples.SERVICE, **{f"part{n}.bin": noise for n in range(40)}})
    limits = Limits(max_ratio=10_000)
    tracemalloc.start()
    errors, _, package = lint(data, limits=limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (errors, package is None) == ([], False)
    assert peak < 12 * MIB, "40 MiB of entries must not be held in memory"


def test_totals_and_sizes_are_bounded() -> None:
    data = samples.zipped({"service.yaml": samples.SERVICE, "a.bin": b"a" * 2000, "b.bin": b"b" * 2000})
    for limits, code in (
        (Limits(max_total_bytes=3000), "package-too-large"),
        (Limits(max_entry_bytes=1500), "entry-too-large"),
        (Limits(max_yaml_bytes=100), "file-too-large"),
        (Limits(max_imports=0), "too-many-imports"),
    ):
        errors, _, _ = lint(data, limits=limits)
        assert code in {fault.code for fault in errors}


def test_faults_are_bounded_in_number() -> None:
    keys = "".join(f"k{n % 3}: 1\n" for n in range(50_000))
    errors, _, _ = lint(samples.zipped({"service.yaml": keys}))
    assert 100 < len(errors) <= Limits().max_faults


def test_directory_with_a_link_is_refused(tmp_path: Path) -> None:
    samples.written(tmp_path, {"service.yaml": samples.SERVICE})
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    errors, _, package = lint(tmp_path)
    assert package is None
    assert [fault.code for fault in errors] == ["link-or-device", "link-or-device"]


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    csar = tmp_path / "evil.csar"
    for name, (data, _) in HOSTILE.items():
        csar.write_bytes(data)
        lint(csar)
        with pytest.raises(InvalidError):
            extract_artifact(
                csar, "data.bin" if "damaged" in name or "lie" in name else "zeros.bin", tmp_path / "copy.bin"
            )
        with pytest.raises(InvalidError):
            open_artifact(csar, "data.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.csar"]


def test_damaged_artifact_leaves_nothing(tmp_path: Path) -> None:
    csar = tmp_path / "package.csar"
    csar.write_bytes(damaged())
    with pytest.raises(InvalidError, match=r"data\.bin"):
        extract_artifact(csar, "data.bin", tmp_path / "copy.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["package.csar"]


def test_nested_archives_are_left_alone() -> None:
    inner = bomb(64 * MIB)
    errors, _, package = lint(samples.zipped({"service.yaml": samples.SERVICE, "inner.csar": inner}))
    assert errors == []
    assert package is not None
    assert [artifact.size_bytes for artifact in package.artifacts if artifact.path == "inner.csar"] == [len(inner)]


def test_duplicate_key_names_both_lines() -> None:
    errors, _, _ = lint(samples.zipped({"service.yaml": "a: 1\nb:\n  c: 1\n  c: 2\n"}))
    fault = next(fault for fault in errors if fault.code == "duplicate-key")
    assert (fault.file, fault.line, fault.column) == ("service.yaml", 4, 3)
    assert "first in line 3" in fault.message


def test_cyclic_import_prints_the_cycle() -> None:
    files = {
        "service.yaml": "imports: [b.yaml]\n",
        "b.yaml": "imports: [c/d.yaml]\n",
        "c/d.yaml": "imports: [../b.yaml]\n",
    }
    files["TOSCA-Metadata/TOSCA.meta"] = "Entry-Definitions: service.yaml\n"
    errors, _, _ = lint(samples.zipped(files))
    fault = next(fault for fault in errors if fault.code == "cyclic-import")
    assert "b.yaml -> c/d.yaml -> b.yaml" in fault.message
    assert (fault.file, fault.line) == ("c/d.yaml", 1)
