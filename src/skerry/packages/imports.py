"""Follows the `imports` of service templates without ever using the network.

A file is looked for beside the importing file, then from the root of the package. The standard's own type files, named by
URL (any release) or by their file name, are taken from the package when it carries them anywhere, else from the types that
Skerry knows itself. Any other URL must be carried too. Cycles and missing files are faults.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from skerry.packages.archive import Archive, read_small
from skerry.packages.limits import Limits
from skerry.packages.report import PathParts, Report
from skerry.packages.yaml_nodes import Budget, parse

STANDARD_FILE = re.compile(r"etsi_nfv_sol001_(common|vnfd|nsd|pnfd)_(\d+_\d+_\d+_)?types\.ya?ml")


class Documents:
    """The service templates that an entry file reaches, in the order in which they are first imported."""

    def __init__(self, archive: Archive, limits: Limits, report: Report) -> None:
        self._archive = archive
        self._limits = limits
        self._report = report
        self._budget = Budget(limits)
        self._open: list[str] = []
        self.files: dict[str, dict[str, Any]] = {}

    def load(self, file: str) -> None:
        """Read a file and everything that it imports."""
        if file in self.files:
            return
        if len(self.files) + len(self._open) >= self._limits.max_imports:
            self._report.error(
                "too-many-imports",
                f"cannot read more than {self._limits.max_imports} files of definitions",
                file=file,
                fix="join some files",
            )
            return
        document = self._read(file)
        if document is None:
            return
        self._open.append(file)
        for path, target in _imports(document, file, self._report):
            self._follow(file, path, target)
        self._open.pop()
        self.files[file] = document

    def _read(self, file: str) -> dict[str, Any] | None:
        data = read_small(self._archive, file, self._limits.max_yaml_bytes, self._report)
        if data is None:
            return None
        document, faults = parse(data, file, self._budget)
        self._report.extend(faults)
        if document is None:
            if not faults:
                self._report.error(
                    "empty-file", "cannot use an empty file of definitions", file=file, fix="write a service template"
                )
            return None
        if not isinstance(document, dict):
            self._report.error(
                "not-a-template",
                "cannot read a service template that is no map",
                file=file,
                fix="begin with `tosca_definitions_version:`",
            )
            return None
        self._report.documents[file] = document
        if "tosca_definitions_version" not in document:
            self._report.warning(
                "no-version",
                "the file does not say its `tosca_definitions_version`",
                file=file,
                fix="add tosca_simple_yaml_1_3",
            )
        return document

    def _follow(self, importer: str, path: PathParts, target: str) -> None:
        found = self._find(importer, target)
        if found is None:
            if STANDARD_FILE.fullmatch(posixpath.basename(target)) is None:
                self._report.error(
                    "missing-import",
                    f"cannot find the import {target[:200]}",
                    file=importer,
                    path=path,
                    fix="put the file into the package: nothing is fetched from the network",
                )
        elif found in self._open:
            cycle = " -> ".join([*self._open[self._open.index(found) :], found])
            self._report.error(
                "cyclic-import",
                f"cannot follow imports in a circle: {cycle}",
                file=importer,
                path=path,
                fix="remove one of these imports",
            )
        else:
            self.load(found)

    def _find(self, importer: str, target: str) -> str | None:
        if "://" not in target:
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))
            for name in (beside, posixpath.normpath(target)):
                if name in self._archive.sizes:
                    return name
        base = posixpath.basename(target)
        if "://" in target or STANDARD_FILE.fullmatch(base):
            carried = sorted(name for name in self._archive.sizes if posixpath.basename(name) == base)
            near = [name for name in carried if posixpath.dirname(name) == posixpath.dirname(importer)]
            return next(iter(near + carried), None)
        return None


def _imports(document: dict[str, Any], file: str, report: Report) -> list[tuple[PathParts, str]]:
    """Every import with its place, in all the forms of TOSCA 1.0 to 1.3."""
    found: list[tuple[PathParts, str]] = []
    listed = document.get("imports") or []
    if isinstance(listed, dict):
        listed = [{name: value} for name, value in listed.items()]
    if not isinstance(listed, list):
        report.error(
            "bad-import",
            "cannot read `imports`: it is no list",
            file=file,
            path=("imports",),
            fix="write a list of file names",
        )
        return found
    for index, item in enumerate(listed):
        target = _import_target(item)
        if target is None:
            report.error(
                "bad-import",
                "cannot read this import",
                file=file,
                path=("imports", index),
                fix="write a file name, or `file: NAME`",
            )
        else:
            found.append((("imports", index), target))
    return found


def _import_target(item: Any) -> str | None:
    if isinstance(item, dict) and "file" not in item and len(item) == 1:
        item = next(iter(item.values()))
    if isinstance(item, dict):
        item = item.get("file")
    return item if isinstance(item, str) and item else None
