"""Makes a CSAR from a folder: `TOSCA-Metadata/TOSCA.meta` and a manifest with digests are generated, the rest is taken as is.

The same folder always gives the same bytes: names are sorted, times and rights fixed.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from skerry.errors import InvalidError
from skerry.model.app import AppPackage
from skerry.model.descriptors import PnfPackage, VnfPackage
from skerry.packages import appd
from skerry.packages.archive import Archive, chunks, opened, read_small, replacing
from skerry.packages.limits import Limits
from skerry.packages.metafile import blocks, decode
from skerry.packages.reading import META, Package, main_template, read_archive
from skerry.packages.report import Report

_TIME = (1980, 1, 1, 0, 0, 0)
RELEASE = "1980-01-01T00:00:00Z"
_MODE = 0o100644 << 16
_ENTRIES = {
    "ETSI-Entry-Change-Log": ("ChangeLog.txt", "Files/ChangeLog.txt", "Artifacts/ChangeLog.txt"),
    "ETSI-Entry-Licenses": ("Licenses", "Files/Licenses", "Artifacts/Licenses"),
    "ETSI-Entry-Tests": ("Tests", "Files/Tests", "Artifacts/Tests"),
}


def build(folder: Path, dest: Path, *, entry: str = "", release: str = RELEASE, limits: Limits | None = None) -> Path:
    """Make the CSAR `dest` from a folder with Definitions/, Files/, Scripts/ …

    `entry` is the entry file; empty: the one that the folder's own `TOSCA.meta` names, else the only template of Definitions/
    (or of the root) that is not imported by name. `release` is the release time in the manifest. Raises `InvalidError` with
    every fault of the package that it would be; `dest` appears whole or not at all.
    """
    limits = limits or Limits()
    report = Report(limit=limits.max_faults)
    with opened(folder, limits, report) as archive:
        report.raise_errors(f"folder {folder.name}")
        assert archive is not None  # noqa: S101 - without archive the report has an error
        main = entry or _entry(archive, limits, report)
        package = read_archive(archive, limits, report, entry=main)
        report.raise_errors(f"folder {folder.name}")
        assert package is not None  # noqa: S101 - without package the report has an error
        beside = [name for name in appd.appds(archive, limits, report) if name != main]
        _write(archive, dest, package, main, beside, release)
    return dest


def _entry(archive: Archive, limits: Limits, report: Report) -> str:
    if META in archive.sizes:
        text = decode(read_small(archive, META, limits.max_meta_bytes, report) or b"", META, report)
        named = [
            item.value
            for block in blocks(text or "", META, report)
            for item in block
            if item.key == "Entry-Definitions"
        ]
        if named and named[0] in archive.sizes:
            return named[0]
    found = main_template(archive, limits, report)
    if not found:
        raise InvalidError(
            "cannot tell the entry file of the package",
            suggestion="name it, or add TOSCA-Metadata/TOSCA.meta with Entry-Definitions",
        )
    return found


def _write(archive: Archive, dest: Path, package: Package, main: str, beside: list[str], release: str) -> None:
    manifest = f"{Path(main).stem.removesuffix('.vnfd').removesuffix('.nsd')}.mf"
    names = sorted(name for name in archive.sizes if name != META and not ("/" not in name and name.endswith(".mf")))
    digests: dict[str, str] = {}
    with replacing(dest) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        digests[META] = put(target, META, _meta(names, main, manifest, beside).encode())
        for name in names:
            digests[name] = copy(archive, target, name)
        put(target, manifest, manifest_text(package, digests, release).encode())


def zip_info(name: str) -> zipfile.ZipInfo:
    """An entry whose time and rights are always the same."""
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = _MODE
    info.create_system = 3
    return info


def put(target: zipfile.ZipFile, name: str, data: bytes) -> str:
    """Add a file; the answer is its SHA-256."""
    target.writestr(zip_info(name), data)
    return hashlib.sha256(data).hexdigest()


def copy(archive: Archive, target: zipfile.ZipFile, name: str) -> str:
    """Add a file of an archive; the answer is its SHA-256."""
    digest = hashlib.sha256()
    info = zip_info(name)
    info.file_size = archive.sizes[name]
    with target.open(info, "w") as stream:
        for piece in chunks(archive, name):
            digest.update(piece)
            stream.write(piece)
    return digest.hexdigest()


def _meta(names: list[str], main: str, manifest: str, beside: list[str]) -> str:
    lines = [
        "TOSCA-Meta-File-Version: 1.1",
        "CSAR-Version: 1.1",
        "Created-By: skerry",
        f"Entry-Definitions: {main}",
        f"ETSI-Entry-Manifest: {manifest}",
        *(f"{appd.ENTRY}: {name}" for name in beside),
    ]
    for key, places in _ENTRIES.items():
        found = [place for place in places if any(name == place or name.startswith(f"{place}/") for name in names)]
        lines += [f"{key}: {place}" for place in found[:1]]
    return "\n".join(lines) + "\n"


def digest_entry(name: str, digest: str) -> list[str]:
    """The lines of a manifest about one file, with its SHA-256."""
    return ["", f"Source: {name}", "Algorithm: SHA-256", f"Hash: {digest}"]


def manifest_text(package: Package, digests: dict[str, str], release: str) -> str:
    """The manifest of a package: metadata, then a digest (SHA-256) of each file."""
    if isinstance(package, VnfPackage):
        vnfd = package.vnfd
        metadata = {
            "vnfd_id": vnfd.id,
            "vnf_product_name": vnfd.product_name,
            "vnf_provider_id": vnfd.provider,
            "vnf_software_version": vnfd.software_version,
            "vnf_package_version": vnfd.version,
            "vnf_release_date_time": release,
        }
    elif isinstance(package, AppPackage):
        metadata = {
            "app_product_name": package.appd.app_name,
            "app_provider_id": package.appd.app_provider,
            "app_package_version": package.appd.app_d_version,
            "app_release_date_time": release,
        }
    elif isinstance(package, PnfPackage):
        metadata = {
            "pnfd_name": package.pnfd.name,
            "pnfd_provider": package.pnfd.provider,
            "pnfd_archive_version": package.pnfd.version,
            "pnfd_release_date_time": release,
        }
    else:
        nsd = package.nsd
        metadata = {
            "nsd_designer": nsd.designer,
            "nsd_invariant_id": nsd.invariant_id,
            "nsd_name": nsd.name,
            "nsd_release_date_time": release,
            "nsd_file_structure_version": nsd.version,
        }
    lines = ["metadata:", *(f"  {key}: {value}" for key, value in metadata.items())]
    for name, digest in digests.items():
        lines += digest_entry(name, digest)
    return "\n".join(lines) + "\n"
