"""Packs programs that are installed on this host into a root file system, so that no registry is needed.

A program brings its interpreter, its libraries, the world-readable files of its Debian package (also of the part that is
kept apart for all machines, as `squid-common`; without manuals), terminal descriptions where it draws on terminals, and a
static busybox as shell. Everything is copied: a snapshot.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from skerry.errors import InvalidError, UnsupportedError

_VERSION = "2"  # a change of what is packed makes new images
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FOLDERS = [
    "dev",
    "etc",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "var/cache",
    "var/lib",
    "var/log",
    "var/spool",
    "var/tmp",
]
_ALSO = ("/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/ssl/certs/ca-certificates.crt")
_LEFT_OUT = re.compile(
    r"/usr/share/(doc|doc-base|man|info|locale|lintian|bash-completion|bug|icons|applications|pixmaps)/|/usr/include/"
    r"|/(usr/)?lib/(systemd|sysusers\.d|tmpfiles\.d)/|/etc/(init\.d|cron\.\w+|logrotate\.d|apparmor\.d|ufw)/"
)
_PARTS = ("common", "data")
_TERMINALS = ("ansi", "dumb", "linux", "screen", "vt100", "vt220", "xterm", "xterm-256color")
_TERMINFO = ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo")
_LIBRARY = re.compile(r"(/\S+) \(0x")
_SHELL = ("/bin/busybox", "/usr/bin/busybox")

_ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nwww-data:x:33:33::/var/www:/bin/false\n"
    "proxy:x:13:13::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
)
_GROUPS = "root:x:0:\ndaemon:x:1:\nadm:x:4:\nproxy:x:13:\nwww-data:x:33:\nnogroup:x:65534:\n"


class Contents(msgspec.Struct, frozen=True):
    """What is to be packed. `key` identifies it by names, sizes and times of the files that run."""

    programs: tuple[str, ...]
    files: tuple[str, ...]
    key: str

    @property
    def env(self) -> dict[str, str]:
        """What the programs need in their environment."""
        return {"TERM": "xterm"} if any("/libtinfo." in file or "/libncurses" in file for file in self.files) else {}


def shell() -> str:
    """The static busybox; "" when there is none."""
    return next((path for path in _SHELL if Path(path).is_file()), "")


def find(names: Sequence[str]) -> Contents:
    """Look the programs and their libraries up. `InvalidError` names all that are not installed."""
    programs = {name: _which(name) for name in names}
    missing = [name for name, path in programs.items() if not path]
    if missing or not names:
        raise InvalidError(
            f"cannot pack host:{','.join(names)}: not installed on this host: {', '.join(missing) or 'nothing named'}",
            suggestion="install the Debian package that has the program (apt-get install …), or use another image source",
        )
    if not shell():
        raise UnsupportedError(
            "cannot pack programs of this host: there is no busybox for the shell",
            suggestion="apt-get install busybox-static",
        )
    files = dict.fromkeys(path for program in programs.values() for path in _closure(program))
    files[shell()] = None
    marks = [_VERSION, *names]
    for path in files:
        info = Path(path).stat()
        marks.append(f"{path}:{info.st_size}:{info.st_mtime_ns}")
    key = hashlib.sha256("\n".join(marks).encode()).hexdigest()
    return Contents(tuple(programs.values()), tuple(files), key)


def pack(contents: Contents, root: Path) -> int:
    """Copy into the empty folder `root`; returns its size in bytes."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in _MERGED:
        if Path("/", name).exists() or name in {"bin", "sbin", "lib"}:
            (root / "usr" / name).mkdir(exist_ok=True)
            (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").chmod(0o1777)
    (root / "var" / "tmp").chmod(0o1777)
    (root / "var" / "run").symlink_to("/run")
    for file in contents.files:
        _copy(file, root)
    for program in contents.programs:
        _package_files(program, root)
    for file in (*_ALSO, *(_terminal_files() if contents.env else ())):
        if Path(file).is_file():
            _copy(file, root)
    _accounts(root)
    _applets(root)
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


def _which(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
    return str(Path(found)) if found and found.startswith("/") else ""


def _closure(path: str) -> Iterator[str]:
    """A program, the interpreter of a script, and every library that the loader would load."""
    yield path
    with Path(path).open("rb") as file:
        head = file.read(256)
    if head.startswith(b"#!"):
        for word in head[2:].split(b"\n", 1)[0].decode(errors="replace").split()[:2]:
            interpreter = _which(word)
            if interpreter and interpreter != path:
                yield from _closure(interpreter)
    elif head.startswith(b"\x7fELF"):
        done = subprocess.run([_which("ldd") or "ldd", path], capture_output=True, text=True, check=False)
        yield from _LIBRARY.findall(done.stdout)


def _package_files(program: str, root: Path) -> None:
    """The world-readable files of the program's Debian package, with the libraries that its modules load."""
    if not shutil.which("dpkg-query"):
        return
    spellings = {program, program.removeprefix("/usr"), str(Path(program).resolve())}
    done = subprocess.run(["dpkg-query", "-S", *spellings], capture_output=True, text=True, check=False)
    packages = {line.rsplit(": ", 1)[0] for line in done.stdout.splitlines() if not line.startswith("diversion")}
    if not packages:
        return
    packages |= _common_parts(packages)
    listing = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=False).stdout
    for path in listing.splitlines():
        if path.startswith("/") and not _LEFT_OUT.search(path + "/"):
            _package_file(path, root)


def _common_parts(packages: set[str]) -> set[str]:
    """The packages that these need and that are named after them: `squid` needs `squid-common`."""
    call = ["dpkg-query", "-W", "-f", "${Depends},${Pre-Depends},", *packages]
    told = subprocess.run(call, capture_output=True, text=True, check=False).stdout
    needed = {entry.split()[0].partition(":")[0] for entry in told.split(",") if entry.strip()}
    names = {package.partition(":")[0] for package in packages}
    return {f"{name}-{part}" for name in names for part in _PARTS} & needed


def _package_file(path: str, root: Path) -> None:
    try:
        info = Path(path).lstat()
    except OSError:
        return
    if stat.S_ISDIR(info.st_mode):
        target = _inside(path, root)
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(stat.S_IMODE(info.st_mode))
        os.chown(target, info.st_uid, info.st_gid)
    elif Path(path).is_file() and Path(path).stat().st_mode & stat.S_IROTH:
        executable = info.st_mode & 0o111 or ".so" in Path(path).name
        for needed in _closure(path) if executable else (path,):
            _copy(needed, root)


def _terminal_files() -> Iterable[str]:
    for folder in _TERMINFO:
        for terminal in _TERMINALS:
            yield f"{folder}/{terminal[0]}/{terminal}"


def _inside(path: str, root: Path) -> Path:
    """Where a path of this host goes: /bin, /lib … are links into /usr, as in Debian since 12."""
    parts = Path(os.path.normpath(path)).parts[1:]
    return root.joinpath("usr", *parts) if parts and parts[0] in _MERGED else root.joinpath(*parts)


def _copy(path: str, root: Path) -> None:
    target = _inside(path, root)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    shutil.copy2(Path(path).resolve(), target)


def _accounts(root: Path) -> None:
    for name, content in (("passwd", _ACCOUNTS), ("group", _GROUPS), ("nsswitch.conf", "hosts: files dns\n")):
        (root / "etc" / name).write_text(content)


def _applets(root: Path) -> None:
    """Busybox under each of its names, where the host's own program was not packed."""
    done = subprocess.run([shell(), "--list"], capture_output=True, text=True, check=True)
    folder = root / "usr" / "bin"
    if not (folder / "busybox").exists():
        shutil.copy2(shell(), folder / "busybox")
    for name in done.stdout.split():
        if (
            not (folder / name).is_symlink()
            and not (folder / name).exists()
            and not (root / "usr/sbin" / name).exists()
        ):
            (folder / name).symlink_to("busybox")
