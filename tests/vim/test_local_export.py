"""Images of the embedded driver as files: what an overlay means is in there, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from skerry.errors import TooLargeError
from skerry.vim.driver import ImageSpec
from skerry.vim.local.images import Images, StoredImage

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def opened(folder: Path) -> Images:
    made = Images(folder, max_bytes=1 << 24, max_files=100, tls_verify=True)
    made.open()
    return made


def layered(images: Images, folder: Path) -> StoredImage:
    """An image with a layer that deletes, replaces, links and marks."""
    root, upper = folder / "root", folder / "upper"
    (root / "etc").mkdir(parents=True)
    (root / "etc/one").write_text("one\n")
    images.ensure(ImageSpec(name="base", source=str(root)))
    (upper / "etc").mkdir(parents=True)
    os.setxattr(upper / "etc", "trusted.overlay.opaque", b"y")
    (upper / "etc/two").write_text("two\n")
    os.chown(upper / "etc/two", 12, 34)
    (upper / "etc/two").chmod(0o4750)
    os.link(upper / "etc/two", upper / "etc/same")
    os.symlink("/etc/two", upper / "link")
    os.mkfifo(upper / "pipe")
    os.mknod(upper / "gone", stat.S_IFCHR, os.makedev(0, 0))
    base = images.get("base")
    taken = StoredImage(name="taken", source="", stamp="", layers=base.layers, command=("/bin/x", "y"), env={"A": "b"})
    return images.snapshot(taken, upper)


@pytest.mark.feature("A29")
def test_a_file_holds_what_the_layers_mean(tmp_path: Path) -> None:
    here, there = opened(tmp_path / "here"), opened(tmp_path / "there")
    layered(here, tmp_path)
    for name in ("first.tar", "second.tar"):
        here.export("taken", tmp_path / name, 1 << 24)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes(), "the same gives the same"
    brought = there.ensure(ImageSpec(name="brought", source=str(tmp_path / "first.tar")))
    assert (brought.command, brought.env, len(brought.layers)) == (("/bin/x", "y"), {"A": "b"}, 2)
    lower, top = (there.layer(key) for key in brought.layers)
    assert (lower / "etc/one").read_text() == "one\n"
    two = (top / "etc/two").stat()
    assert (two.st_uid, two.st_gid, stat.S_IMODE(two.st_mode), two.st_nlink) == (12, 34, 0o4750, 2)
    assert os.path.samefile(top / "etc/two", top / "etc/same")
    assert (top / "link").readlink() == Path("/etc/two")
    assert stat.S_ISFIFO((top / "pipe").lstat().st_mode)
    whiteout = (top / "gone").lstat()
    assert (stat.S_ISCHR(whiteout.st_mode), whiteout.st_rdev) == (True, 0)
    assert os.getxattr(top / "etc", "trusted.overlay.opaque") == b"y"
    assert list((tmp_path / "here/work").iterdir()) == []


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    here = opened(tmp_path / "here")
    layered(here, tmp_path)
    with pytest.raises(TooLargeError):
        here.export("taken", tmp_path / "file", 100)
    assert list((tmp_path / "here/work").iterdir()) == []
