"""The manifest (SOL004 clause 4.3.2) and the digests that it and `TOSCA.meta` give.

The metadata keys, the `Source`/`Algorithm`/`Hash` entries and the non-MANO artifact sets are read; a CMS signature at the
end is left for `signature`. An entry whose digest is named but incomplete, unknown or different refuses the package;
an entry without any digest is allowed, as the standard allows it where the package as a whole is signed.
"""

from __future__ import annotations

import hashlib

import msgspec

from skerry.packages.archive import BROKEN, Archive, chunks, unreadable
from skerry.packages.metafile import Entry
from skerry.packages.report import Report

_ALGORITHMS = {"SHA-224": "sha224", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_KEYS = {
    "vnf": ("vnf_product_name", "vnf_provider_id", "vnf_package_version", "vnf_release_date_time"),
    "ns": ("nsd_designer", "nsd_invariant_id", "nsd_name", "nsd_file_structure_version"),
    "app": ("app_product_name", "app_provider_id", "app_package_version", "app_release_date_time"),
    "pnf": ("pnfd_name", "pnfd_provider", "pnfd_archive_version", "pnfd_release_date_time"),
}
_SECTION_ENTRIES = ("Source", "Algorithm", "Hash", "Signature", "Certificate", "Name", "Content-Type")


class Digest(msgspec.Struct):
    """What is said of one file: digest algorithm and value (lower-case hex), and where it is said.

    `signature` and `certificate` are the files with its own signature and the certificate of that.
    """

    source: str
    file: str
    line: int
    algorithm: str = ""
    hash: str = ""
    signature: str = ""
    certificate: str = ""


class Manifest(msgspec.Struct):
    """Metadata, digests and the artifact set (such as `onap_others`) of each file."""

    metadata: dict[str, str] = {}
    digests: list[Digest] = []
    sets: dict[str, str] = {}


def parse_manifest(text: str, file: str, report: Report) -> Manifest:
    """Read a manifest. Faults go to the report."""
    manifest = Manifest()
    state = _State(manifest, file, report)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("-----BEGIN"):
            break
        if line.strip() and not line.lstrip().startswith("#"):
            state.take(line, number)
    manifest.digests = [digest for digest in manifest.digests if _complete(digest, report)]
    _check_metadata(manifest, file, report)
    return manifest


class _State:
    def __init__(self, manifest: Manifest, file: str, report: Report) -> None:
        self.manifest = manifest
        self.file = file
        self.report = report
        self.section = ""
        self.set_name = ""

    def take(self, line: str, number: int) -> None:
        key, colon, value = line.strip().partition(":")
        key, value = key.strip().lstrip("-").strip(), value.strip()
        if not colon:
            self.report.error(
                "manifest-syntax",
                f"cannot read line {number}: it is no `key: value`",
                file=self.file,
                fix="write `key: value`",
            )
        elif key in _SECTION_ENTRIES:
            self._entry(key, value, number)
        elif not value:
            self._section(key)
        else:
            self.manifest.metadata[key] = value

    def _section(self, key: str) -> None:
        if key in ("metadata", "non_mano_artifact_sets"):
            self.section, self.set_name = key, ""
        elif self.section == "non_mano_artifact_sets":
            self.set_name = key
        else:
            self.manifest.metadata[key] = ""

    def _entry(self, key: str, value: str, number: int) -> None:
        digests = self.manifest.digests
        if self.section == "non_mano_artifact_sets" and key == "Source":
            self.manifest.sets[value] = self.set_name
        if key in ("Source", "Name"):
            digests.append(Digest(value, self.file, number))
        elif not digests:
            self.report.error(
                "manifest-syntax",
                f"cannot use {key} in line {number} without a Source before it",
                file=self.file,
                fix="begin the entry with Source",
            )
        elif key == "Algorithm":
            digests[-1].algorithm = value or "-"
        elif key == "Hash":
            digests[-1].hash = value.lower() or "-"
        elif key == "Signature":
            digests[-1].signature = value
        elif key == "Certificate":
            digests[-1].certificate = value


def meta_digests(blocks: list[list[Entry]], file: str, report: Report) -> list[Digest]:
    """The digests that blocks with `Name` of a `TOSCA.meta` give."""
    found: list[Digest] = []
    for block in blocks:
        values = {entry.key: entry for entry in block}
        if "Name" not in values or not ({"Algorithm", "Hash"} & values.keys()):
            continue
        digest = Digest(values["Name"].value, file, values["Name"].line)
        if "Algorithm" in values:
            digest.algorithm = values["Algorithm"].value or "-"
        if "Hash" in values:
            digest.hash = values["Hash"].value.lower() or "-"
        if _complete(digest, report):
            found.append(digest)
    return found


def _complete(digest: Digest, report: Report) -> bool:
    where = f"entry {digest.source or '(unnamed)'} in line {digest.line}"
    if not digest.source:
        report.error(
            "manifest-entry",
            f"cannot use the {where}: it names no file",
            file=digest.file,
            fix="give the path of the file",
        )
        return False
    if bool(digest.algorithm) != bool(digest.hash) or "-" in (digest.algorithm, digest.hash):
        lacking = "Algorithm" if digest.algorithm in ("", "-") else "Hash"
        report.error(
            "manifest-entry",
            f"cannot check the {where}: it has no {lacking}",
            file=digest.file,
            fix=f"add `{lacking}:` with its value",
        )
        return False
    if digest.algorithm and digest.algorithm.upper() not in _ALGORITHMS:
        report.error(
            "manifest-algorithm",
            f"cannot use the algorithm {digest.algorithm[:40]} of the {where}",
            file=digest.file,
            fix="use one of " + ", ".join(_ALGORITHMS),
        )
        return False
    size = hashlib.new(_ALGORITHMS[digest.algorithm.upper()]).digest_size * 2 if digest.algorithm else 0
    if len(digest.hash) != size or not set(digest.hash) <= set("0123456789abcdef"):
        report.error(
            "manifest-hash",
            f"cannot use the Hash of the {where}: it is no {digest.algorithm} of {size} hexadecimal digits",
            file=digest.file,
            fix="make the manifest again",
        )
        return False
    return True


def _check_metadata(manifest: Manifest, file: str, report: Report) -> None:
    kind = next(
        (kind for kind in ("ns", "pnf") if any(key.startswith(f"{kind}d_") for key in manifest.metadata)),
        "app" if any(key.startswith("app_") for key in manifest.metadata) else "vnf",
    )
    lacking = [key for key in _KEYS[kind] if not manifest.metadata.get(key)]
    if lacking:
        report.warning(
            "manifest-metadata", "the manifest lacks " + ", ".join(lacking), file=file, fix="add them under `metadata:`"
        )


def verify(archive: Archive, digests: list[Digest], report: Report) -> dict[str, str]:
    """SHA-256 of every file (lower-case hex); every digest that differs, or names a file that is not there, is a fault.

    Reads the package once, in pieces, whatever the number of digests.
    """
    wanted: dict[str, list[Digest]] = {}
    for digest in digests:
        if digest.source in archive.sizes:
            wanted.setdefault(digest.source, []).append(digest)
        elif "://" not in digest.source:
            report.error(
                "manifest-source",
                f"cannot find {digest.source[:200]}, which line {digest.line} lists",
                file=digest.file,
                fix="add the file or remove the entry",
            )
    return {name: _verify_file(archive, name, wanted.get(name, []), report) for name in archive.sizes}


def _verify_file(archive: Archive, name: str, digests: list[Digest], report: Report) -> str:
    names = {"sha256"} | {_ALGORITHMS[digest.algorithm.upper()] for digest in digests if digest.algorithm}
    sums = {algorithm: hashlib.new(algorithm) for algorithm in names}
    try:
        for piece in chunks(archive, name):
            for each in sums.values():
                each.update(piece)
    except BROKEN as error:
        unreadable(name, error, report)
        return ""
    for digest in digests:
        if digest.algorithm and sums[_ALGORITHMS[digest.algorithm.upper()]].hexdigest() != digest.hash:
            report.error(
                "manifest-hash",
                f"cannot accept {name}: its {digest.algorithm} differs from line {digest.line}",
                file=digest.file,
                fix="restore the file or make the manifest again",
            )
    return sums["sha256"].hexdigest()
