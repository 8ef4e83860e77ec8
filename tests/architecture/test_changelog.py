"""Fragments of the changelog can be gathered."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.sources import ROOT
from tools import changelog


def test_every_fragment_has_a_kind_and_a_text() -> None:
    files = changelog.fragments(ROOT / "changelog")
    assert [file.name for file in files if not changelog.kind(file) or not file.read_text().strip()] == []


def test_fragments_become_a_section(tmp_path: Path) -> None:
    (tmp_path / "a.fixed.md").write_text("Mended\nthis.\n")
    (tmp_path / "b.added.md").write_text("New that.\n")
    (tmp_path / "README.md").write_text("not a fragment")
    made = changelog.section("1.0", "2030-01-02", changelog.fragments(tmp_path))
    assert made == "## 1.0 (2030-01-02)\n\n### Added\n\n- New that.\n\n### Fixed\n\n- Mended this.\n"
