"""Packing a folder into a package archive, repeatably: the same files give the same bytes. Needs no node."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

from skerry.errors import InvalidError, NotFoundError

EPOCH = (1980, 1, 1, 0, 0, 0)
IGNORED = frozenset({".git", "__pycache__", ".DS_Store"})
_ALGORITHMS = {"SHA-256": "sha256", "SHA-512": "sha512"}
_NS_TYPE = re.compile(
    r"(?:type|derived_from|node_type)\s*:\s*[\"']?tosca\.nodes\.nfv\.NS[\"']?\s*(?:#.*)?$", re.MULTILINE
)


def files(folder: Path) -> list[Path]:
    """Every file of a package folder, sorted. `InvalidError` for a link that leads outside."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or IGNORED & set(path.relative_to(folder).parts):
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InvalidError(
                f"cannot pack {path}: it links outside of the folder", suggestion="copy the file instead"
            )
        found.append(path)
    return found


def pack(folder: Path, target: Path) -> None:
    """Write the archive. Digests in the manifest (`*.mf`) are brought up to date first, in the archive only."""
    if not folder.is_dir():
        raise NotFoundError(f"cannot pack {folder}: it is no folder", suggestion="name the folder of the package")
    members = files(folder)
    if not members:
        raise InvalidError(
            f"cannot pack {folder}: it is empty", suggestion="put a service template and TOSCA-Metadata in it"
        )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in members:
            name = path.relative_to(folder).as_posix()
            data = path.read_bytes()
            if name.endswith(".mf"):
                data = fresh_manifest(data.decode(), folder).encode()
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            archive.writestr(entry, data)


def fresh_manifest(text: str, folder: Path) -> str:
    """The manifest with the digest of every `Source:` computed anew."""
    lines: list[str] = []
    source, algorithm = "", "SHA-256"
    for line in text.splitlines():
        key, _, value = line.partition(":")
        name = key.strip().lower()
        if name == "source":
            source, algorithm = value.strip(), "SHA-256"
        elif name == "algorithm":
            algorithm = value.strip()
        elif name == "hash" and (folder / source).is_file() and algorithm.upper() in _ALGORITHMS:
            digest = hashlib.new(_ALGORITHMS[algorithm.upper()], (folder / source).read_bytes()).hexdigest()
            line = f"{key}: {digest}"  # noqa: PLW2901  # the line as it goes out
        lines.append(line)
    return "\n".join(lines) + "\n"


def kind(archive: Path) -> str:
    """`ns` for the archive of an NSD, `vnf` for that of a VNFD: by its manifest, else by its main template."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            for name in names:
                if name.endswith(".mf") and "/" not in name.removeprefix("TOSCA-Metadata/"):
                    text = opened.read(name).decode(errors="replace")
                    if re.search(r"^\s*(nsd_|ns_product)", text, re.MULTILINE):
                        return "ns"
                    if re.search(r"^\s*vnf_", text, re.MULTILINE):
                        return "vnf"
            templates = [opened.read(n).decode(errors="replace") for n in _templates(opened, names)]
    except (OSError, zipfile.BadZipFile) as error:
        raise InvalidError(
            f"cannot read {archive} as a package: {error}",
            suggestion="name a .zip or .csar file, or the package's folder",
        ) from error
    return "ns" if any(_NS_TYPE.search(text) for text in templates) else "vnf"


def _templates(opened: zipfile.ZipFile, names: list[str]) -> list[str]:
    """The main template and those beside it; files of type definitions mention every type and tell nothing."""
    entry = ""
    if "TOSCA-Metadata/TOSCA.meta" in names:
        found = re.search(
            r"^Entry-Definitions\s*:\s*(\S+)", opened.read("TOSCA-Metadata/TOSCA.meta").decode(), re.MULTILINE
        )
        entry = found[1] if found else ""
    folder = entry.rpartition("/")[0]
    return [
        name
        for name in names
        if name.endswith((".yaml", ".yml"))
        and name.rpartition("/")[0] == folder
        and "types" not in name.rpartition("/")[2]
    ]
