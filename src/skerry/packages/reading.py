"""Reads a package as a whole: archive, metadata, digests, templates, descriptor.

Forms: with `TOSCA-Metadata/TOSCA.meta` (SOL004 clause 4.1.2), or with one YAML file in the root (clause 4.1.3; two are
tolerated as long as only one of them is no type file). SOL007 packages of NSDs have the same forms.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from skerry.errors import Fault
from skerry.model.app import AppPackage
from skerry.model.descriptors import Artifact, NsPackage, PackageSignature, PnfPackage, VnfPackage
from skerry.packages import appd
from skerry.packages.archive import Archive, opened, read_small
from skerry.packages.clicking import check_functions
from skerry.packages.imports import STANDARD_FILE, Documents
from skerry.packages.limits import Limits
from skerry.packages.manifest import Digest, Manifest, meta_digests, parse_manifest, verify
from skerry.packages.metafile import blocks, decode
from skerry.packages.nsd import make_nsd
from skerry.packages.pnfd import make_pnfd
from skerry.packages.report import Report
from skerry.packages.signature import Inspection, Manifested, Trust, inspect
from skerry.packages.signature_envelope import inside
from skerry.packages.templates import merge
from skerry.packages.types import collect_types
from skerry.packages.vnfd import make_vnfd

META = "TOSCA-Metadata/TOSCA.meta"
Package = VnfPackage | NsPackage | PnfPackage | AppPackage
"""Whatever an archive may be."""

_KINDS = (
    ("ETSI-Entry-Licenses", "licence"),
    ("ETSI-Entry-Change-Log", "changelog"),
    ("ETSI-Entry-Tests", "test"),
    ("ETSI-Entry-Certificate", "certificate"),
)
_SUFFIXES = {
    ".cert": "certificate",
    ".cms": "certificate",
    ".sm": "certificate",
    ".pem": "certificate",
    ".sh": "script",
    ".py": "script",
}


def lint(
    source: Path | bytes, *, limits: Limits | None = None, trust: Trust | None = None
) -> tuple[list[Fault], list[Fault], Package | None]:
    """Errors, warnings and, if there are no errors, the package. Never raises for bad content.

    A folder may also be the source of a package, as `build` takes it: with Definitions/ and without `TOSCA.meta`.
    Signatures are checked as `trust` says; without it they are not looked at.
    """
    limits = limits or Limits()
    report = Report(limit=limits.max_faults)
    inspection = Inspection(trust, limits, report)
    package: Package | None = None
    with opened(source, limits, report) as archive:
        if archive is not None and not report.errors:
            with inside(archive, source, inspection) as csar:
                if csar is not None:
                    entry = _source_entry(source, csar, limits, report)
                    package = Reading(csar, inspection, entry).package()
    report.documents.clear()
    return report.errors, report.warnings, None if report.errors else package


def main_template(archive: Archive, limits: Limits, report: Report) -> str:
    """The only template of Definitions/, else of the root, that no other imports by name; "" if that is not one."""
    for folder in ("Definitions", ""):
        names = [
            name
            for name in archive.sizes
            if posixpath.dirname(name) == folder
            and not appd.is_appd(archive, name, limits, report)
            and name.endswith((".yaml", ".yml"))
            and STANDARD_FILE.fullmatch(posixpath.basename(name)) is None
        ]
        texts = {
            name: (read_small(archive, name, limits.max_yaml_bytes, report) or b"").decode("utf-8", "replace")
            for name in names
        }
        tops = [
            name
            for name in names
            if not any(posixpath.basename(name) in text for other, text in texts.items() if other != name)
        ]
        if len(tops) == 1:
            return tops[0]
    described = appd.appds(archive, limits, report)
    return described[0] if len(described) == 1 else ""


def _source_entry(source: Path | bytes, archive: Archive, limits: Limits, report: Report) -> str:
    """The entry file of a folder that is the source of a package: it has Definitions/ and no TOSCA.meta yet. Else ""."""
    if isinstance(source, bytes) or not source.is_dir() or META in archive.sizes:
        return ""
    inside = any(name.startswith("Definitions/") for name in archive.sizes)
    return main_template(archive, limits, report) if inside else ""


def read(source: Path | bytes, *, limits: Limits | None = None, trust: Trust | None = None) -> Package:
    """The package in a zip file, its bytes, or a directory; its signatures are checked as `trust` says, if it is given.

    Raises `InvalidError` with every fault (file, line, column, path, code, what to do) at once. Nothing stays on the disk.
    """
    errors, _, package = lint(source, limits=limits, trust=trust)
    report = Report(limit=len(errors) + 1)
    report.extend(errors)
    report.raise_errors(f"package {source.name}" if isinstance(source, Path) else "the package")
    assert package is not None  # noqa: S101 - without errors there is a package
    return package


def read_archive(archive: Archive, limits: Limits, report: Report, *, entry: str = "") -> Package | None:
    """The package in an open archive, or None; faults go to the report. `entry` overrides what `TOSCA.meta` says."""
    return Reading(archive, Inspection(None, limits, report), entry).package()


class Reading:
    """One reading of one package. After `package()`, `manifested` is what its manifest says and `sums` SHA-256 by file."""

    def __init__(self, archive: Archive, inspection: Inspection, entry: str = "") -> None:
        self.archive = archive
        self.limits = inspection.limits
        self.entry = entry
        self.report = inspection.report
        self.inspection = inspection
        self.main = ""
        self.meta: dict[str, str] = {}
        self.manifest = Manifest()
        self.sums: dict[str, str] = {}
        self.signature = PackageSignature()
        self.digests: list[Digest] = []
        self.manifested = Manifested(
            name="", data=b"", metadata={}, digests=[], meta_name=META, meta=self.meta, meta_digests=[]
        )

    def package(self) -> Package | None:
        """The package, or None; faults go to the report."""
        main = self.main = self._entry()
        if not self.entry:
            self._read_manifest(main)
            found = inspect(self.inspection, self.archive, self.manifested)
            self.signature = self.inspection.settle(found, self.manifested.name)
        self.digests = self.manifested.meta_digests + self.manifested.digests
        self.sums = verify(self.archive, self.digests, self.report)
        if not main:
            return None
        described = appd.entry(self.archive, self.meta, main, self.limits, self.report)
        found_nfv = None if described == main else self._nfv(main)
        return self._with_appd(described, found_nfv) if described else found_nfv

    def _with_appd(self, name: str, nfv: VnfPackage | NsPackage | PnfPackage | None) -> AppPackage | None:
        """The package with its MEC part. Only a VNFD may be its NFV part."""
        read = appd.read_appd(self.archive, name, self.limits, self.report)
        if nfv is not None and not isinstance(nfv, VnfPackage):
            self.report.error("appd-beside", "cannot have an AppD beside this descriptor", file=name, fix="remove one")
            return None
        if read is None:
            return None
        artifacts, metadata = self._artifacts(self.sums), self.manifest.metadata
        return AppPackage(appd=read, nfv=nfv, artifacts=artifacts, manifest=metadata, signature=self.signature)

    def _nfv(self, main: str) -> VnfPackage | NsPackage | PnfPackage | None:
        """What the templates of the package describe, or None."""
        documents = Documents(self.archive, self.limits, self.report)
        documents.load(main)
        if main not in documents.files:
            return None
        templates = merge(
            documents.files, main, collect_types(documents.files, self.report), self.archive.sizes, self.report
        )
        if templates is None:
            return None
        artifacts, metadata = self._artifacts(self.sums), self.manifest.metadata
        if templates.kind == "nsd":
            nsd = make_nsd(templates, self.report)
            if nsd is None:
                return None
            return NsPackage(
                nsd=nsd, artifacts=artifacts, manifest=metadata, templates=templates.data, signature=self.signature
            )
        if templates.kind == "pnfd":
            pnfd = make_pnfd(templates, self.report)
            if pnfd is None:
                return None
            return PnfPackage(pnfd=pnfd, artifacts=artifacts, manifest=metadata, signature=self.signature)
        vnfd = make_vnfd(templates, self.report)
        if vnfd is None:
            self.report.error(
                "no-vnf-or-ns",
                "cannot find the VNF's template",
                file=main,
                fix="add substitution_mappings or a VNF node",
            )
            return None
        check_functions(vnfd, self.archive, self.report)
        return VnfPackage(
            vnfd=vnfd, artifacts=artifacts, manifest=metadata, templates=templates.data, signature=self.signature
        )

    def _entry(self) -> str:
        """The name of the entry file; empty, with a fault, if there is none."""
        if self.entry:
            return self.entry
        if META in self.archive.sizes:
            self._read_meta()
            entry = self.meta.get("Entry-Definitions", "")
            if not entry:
                self.report.error(
                    "no-entry", "cannot find Entry-Definitions", file=META, fix="add `Entry-Definitions: FILE`"
                )
            elif entry not in self.archive.sizes:
                self.report.error(
                    "missing-file",
                    f"cannot find the entry file {entry[:200]}",
                    file=META,
                    fix="correct Entry-Definitions or add the file",
                )
            return entry if entry in self.archive.sizes else ""
        roots = [name for name in self.archive.sizes if "/" not in name and name.endswith((".yaml", ".yml"))]
        templates = [name for name in roots if STANDARD_FILE.fullmatch(name) is None]
        if len(templates) == 1:
            return templates[0]
        if not templates and (described := appd.appds(self.archive, self.limits, self.report)):
            return described[0]
        found = "no YAML file" if not templates else f"{len(templates)} YAML files"
        self.report.error(
            "no-entry",
            f"cannot tell the entry file: there is no {META} and {found} in the root",
            fix=f"add {META} with `Entry-Definitions: FILE`",
        )
        return ""

    def _text(self, name: str) -> str | None:
        data = read_small(self.archive, name, self.limits.max_meta_bytes, self.report)
        return None if data is None else decode(data, name, self.report)

    def _read_meta(self) -> None:
        text = self._text(META)
        found = blocks(text or "", META, self.report)
        for block in found:
            for entry in block:
                self.meta.setdefault(entry.key, entry.value)
        self.manifested.meta_digests = meta_digests(found, META, self.report)

    def _read_manifest(self, main: str) -> None:
        name = self.meta.get("ETSI-Entry-Manifest") or self.meta.get("Entry-Manifest") or self._find_manifest(main)
        if not name:
            self.report.warning(
                "no-manifest",
                "the package has no manifest: nothing proves that it is whole",
                fix="add a manifest with digests",
            )
        elif name not in self.archive.sizes:
            message = f"cannot find the manifest {name[:200]}"
            self.report.error("missing-file", message, file=META, fix="correct ETSI-Entry-Manifest or add the file")
        else:
            data = read_small(self.archive, name, self.limits.max_meta_bytes, self.report) or b""
            self.manifest = parse_manifest(decode(data, name, self.report) or "", name, self.report)
            self.manifested.name, self.manifested.data = name, data
            self.manifested.metadata, self.manifested.digests = self.manifest.metadata, self.manifest.digests

    def _find_manifest(self, main: str) -> str:
        """The manifest that nothing names: it has the name of the entry file, or is the only one in the root."""
        if main:
            stem = posixpath.splitext(main)[0]
            for name in (f"{stem}.mf", f"{posixpath.basename(stem)}.mf"):
                if name in self.archive.sizes:
                    return name
        roots = sorted(name for name in self.archive.sizes if "/" not in name and name.endswith(".mf"))
        if roots and META not in self.archive.sizes:
            self.report.error(
                "manifest-name",
                f"cannot use the manifest {roots[0]}: without TOSCA.meta it must have the name of the entry file",
                file=roots[0],
                fix=f"rename it to {posixpath.splitext(main)[0] or 'NAME'}.mf",
            )
        return roots[0] if len(roots) == 1 else ""

    def _artifacts(self, sums: dict[str, str]) -> tuple[Artifact, ...]:
        images = {digest.source for digest in self.digests}
        return tuple(
            Artifact(
                path=name,
                size_bytes=self.archive.sizes[name],
                checksum=sums[name],
                checksum_algorithm="sha-256",
                kind=self._kind(name, images),
            )
            for name in sorted(self.archive.sizes)
        )

    def _kind(self, name: str, images: set[str]) -> str:
        for key, kind in _KINDS:
            entry = self.meta.get(key, "").rstrip("/")
            if entry and (name == entry or name.startswith(f"{entry}/")):
                return kind
        if (
            name == META
            or name.endswith(".mf")
            or (name.endswith((".yaml", ".yml")) and name.startswith("Definitions/"))
        ):
            return "definition"
        if self.manifest.sets.get(name):
            return self.manifest.sets[name]
        folder = f"/{posixpath.dirname(name).lower()}/"
        if "/images/" in folder:
            return "image"
        if "/licenses/" in folder or "/licences/" in folder:
            return "licence"
        return _SUFFIXES.get(posixpath.splitext(name)[1], "other")
