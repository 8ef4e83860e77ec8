"""The kernel's bpf(2) by ctypes: maps, programs, links at interfaces, pins. Only system calls; knows no engine.

Objects are closed with `close` or by `with`; what is pinned in a BPF file system, or attached by a pinned link, stays when the
process ends. Attaching at an interface (`Link.attach`) means an interface of the calling thread's network namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.dataplane.ebpf.assembler import disassemble
from skerry.errors import DriverError, UnsupportedError

SYS_BPF = {"x86_64": 321, "aarch64": 280}
BPFFS = Path("/sys/fs/bpf")
BPFFS_MAGIC = 0xCAFE4A11
LOG_SIZE = 1 << 22
BATCH = 4096


class Command(enum.IntEnum):
    """Commands of bpf(2) that are used."""

    MAP_CREATE = 0
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    MAP_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_FD_BY_ID = 13
    OBJ_INFO = 15
    PROG_QUERY = 16
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


class MapKind(enum.IntEnum):
    """Kinds of maps that are used."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LPM_TRIE = 11
    RINGBUF = 27


class ProgramKind(enum.IntEnum):
    """Kinds of programs that are used."""

    SOCKET_FILTER = 1
    SCHED_CLS = 3


TCX_INGRESS = 46
_MOST_LINKS = 64
NO_PREALLOC = 1
MMAPABLE = 1 << 10
_PER_CPU = frozenset({MapKind.PERCPU_ARRAY})

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: Command, attributes: bytes) -> int:
    """The call itself; `OSError` when it fails."""
    number = SYS_BPF.get(platform.machine())
    if number is None:
        raise UnsupportedError(
            f"cannot use eBPF on {platform.machine()}", suggestion="use a machine of x86_64 or aarch64"
        )
    size = max(len(attributes), 128)
    buffer = ctypes.create_string_buffer(attributes, size)
    found = _libc.syscall(number, int(command), buffer, size)
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(found)


def _address(buffer: Any) -> int:
    return ctypes.addressof(buffer)


def _failed(what: str, error: OSError, answer: str = "") -> DriverError:
    hint = "run Skerry as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN" if error.errno == errno.EPERM else ""
    transient = error.errno in (errno.EBUSY, errno.EAGAIN, errno.ENOMEM)
    return DriverError(
        f"cannot {what}: {error.strerror}", transient=transient, call="bpf(2)", answer=answer, suggestion=hint
    )


class _Object:
    """A file descriptor of the kernel."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Let go of it; what is pinned or attached stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def pin(self, path: Path) -> None:
        """Give it a name in the BPF file system, which keeps it alive."""
        name = ctypes.create_string_buffer(os.fsencode(path))
        try:
            _bpf(Command.OBJ_PIN, struct.pack("<QI", _address(name), self.fd))
        except OSError as error:
            raise _failed(f"pin an object at {path}", error) from error


def _opened(path: Path) -> int:
    name = ctypes.create_string_buffer(os.fsencode(path))
    try:
        return _bpf(Command.OBJ_GET, struct.pack("<QI", _address(name), 0))
    except OSError as error:
        raise _failed(f"open the pinned object {path}", error) from error


def used(fd: int) -> tuple[int, int]:
    """What the kernel accounts for a map or program: bytes of memory, and nanoseconds that a program has run (0 unless the
    kernel keeps statistics)."""
    lines = Path(f"/proc/thread-self/fdinfo/{fd}").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return int(found.get("memlock", 0)), int(found.get("run_time_ns", 0))


def _info(fd: int, size: int) -> bytes:
    buffer = ctypes.create_string_buffer(size)
    _bpf(Command.OBJ_INFO, struct.pack("<IIQ", fd, size, _address(buffer)))
    return buffer.raw


def possible_cpus() -> int:
    """How many processors the kernel keeps per-CPU values for."""
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1].split(",")[-1]
    return int(last) + 1


class Map(_Object):
    """A map. Keys and values are bytes of exactly `key_size` and `value_size`."""

    def __init__(self, fd: int, kind: MapKind, key_size: int, value_size: int, entries: int) -> None:
        super().__init__(fd)
        self.kind, self.key_size, self.value_size, self.entries = kind, key_size, value_size, entries
        self._cpus = possible_cpus() if kind in _PER_CPU else 1
        self._stride = (value_size + 7 & ~7) if kind in _PER_CPU else value_size

    @classmethod
    def create(cls, kind: MapKind, key_size: int, value_size: int, entries: int, name: str, flags: int = 0) -> Map:
        """A new map. `name` is what tools show, at most 15 letters, digits and `_`."""
        if kind is MapKind.LPM_TRIE:
            flags |= NO_PREALLOC
        head = struct.pack("<IIIIIII", kind, key_size, value_size, entries, flags, 0, 0)
        try:
            fd = _bpf(Command.MAP_CREATE, head + _name(name))
        except OSError as error:
            raise _failed(f"create the map {name}", error) from error
        return cls(fd, kind, key_size, value_size, entries)

    @classmethod
    def open(cls, path: Path) -> Map:
        """A pinned map."""
        fd = _opened(path)
        kind, _, key_size, value_size, entries = struct.unpack_from("<IIIII", _info(fd, 80))
        return cls(fd, MapKind(kind), key_size, value_size, entries)

    def put(self, key: bytes, value: bytes) -> None:
        """Add or replace an entry. For a per-CPU map the value is put on each processor."""
        data = value.ljust(self._stride, b"\0") * self._cpus
        self._element(Command.MAP_UPDATE, key, data, "write to")

    def put_each(self, key: bytes, value: bytes) -> None:
        """Add or replace an entry of a per-CPU map: the value on the first processor, zeros on the others."""
        stride = self._stride
        self._element(Command.MAP_UPDATE, key, value.ljust(stride * self._cpus, b"\0"), "write to")

    def get(self, key: bytes) -> bytes | None:
        """The value, None if there is none. For a per-CPU map those of all processors, one after the other."""
        return self._read(Command.MAP_LOOKUP, key, self._stride * self._cpus)

    def delete(self, key: bytes) -> None:
        """Remove an entry; succeeds when there is none."""
        try:
            self._element(Command.MAP_DELETE, key, b"", "delete from")
        except KeyError:
            return

    def _element(self, command: Command, key: bytes, value: bytes, what: str) -> None:
        keys, values = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value) or 1)
        try:
            _bpf(command, struct.pack("<IIQQQ", self.fd, 0, _address(keys), _address(values) if value else 0, 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise KeyError(key) from None
            raise _failed(f"{what} a map", error) from error

    def _read(self, command: Command, key: bytes | None, size: int) -> bytes | None:
        keys = ctypes.create_string_buffer(key, len(key)) if key is not None else None
        values = ctypes.create_string_buffer(size)
        try:
            _bpf(command, struct.pack("<IIQQQ", self.fd, 0, _address(keys) if keys else 0, _address(values), 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise _failed("read a map", error) from error
        return values.raw

    def keys(self) -> Iterator[bytes]:
        """Every key. Entries that come or go meanwhile may be missed."""
        key = self._read(Command.MAP_NEXT_KEY, None, self.key_size)
        while key is not None:
            yield key
            key = self._read(Command.MAP_NEXT_KEY, key, self.key_size)

    def items(self) -> list[tuple[bytes, bytes]]:
        """Every entry."""
        if self.kind is MapKind.LPM_TRIE:
            return [(key, value) for key in list(self.keys()) if (value := self.get(key)) is not None]
        return list(self._batches())

    def _batches(self) -> Iterator[tuple[bytes, bytes]]:
        size, step = self._stride * self._cpus, min(self.entries, BATCH)
        token, again = ctypes.create_string_buffer(max(self.key_size, 8)), False
        while True:
            keys, values = ctypes.create_string_buffer(self.key_size * step), ctypes.create_string_buffer(size * step)
            count, done, wanted = self._batch(token, again, keys, values, step)
            if wanted:
                step = wanted
                continue
            known, found = keys.raw, values.raw
            for at in range(count):
                yield known[at * self.key_size : (at + 1) * self.key_size], found[at * size : (at + 1) * size]
            if done:
                return
            again = True

    def _batch(self, token: Any, again: bool, keys: Any, values: Any, step: int) -> tuple[int, bool, int]:
        """One call: how many there are, whether these were the last, and a larger step if that one was too small."""
        head = struct.pack(
            "<QQQQI", _address(token) if again else 0, _address(token), _address(keys), _address(values), step
        )
        attributes = ctypes.create_string_buffer(head + struct.pack("<IQQ", self.fd, 0, 0), 128)
        number = SYS_BPF[platform.machine()]
        found = _libc.syscall(number, int(Command.MAP_LOOKUP_BATCH), attributes, 128)
        code = ctypes.get_errno() if found < 0 else 0
        count = int(struct.unpack_from("<I", attributes.raw, 32)[0])
        if code == errno.ENOSPC:
            return 0, False, step * 4
        if code not in (0, errno.ENOENT):
            raise _failed("read a map", OSError(code, os.strerror(code)))
        return count, code == errno.ENOENT, 0

    def put_many(self, items: Mapping[bytes, bytes]) -> None:
        """Add or replace many entries with few calls."""
        if self.kind is MapKind.LPM_TRIE or self.kind in _PER_CPU:
            for key, value in items.items():
                self.put(key, value)
            return
        every = list(items.items())
        for at in range(0, len(every), BATCH):
            part = every[at : at + BATCH]
            keys = ctypes.create_string_buffer(b"".join(key for key, _ in part))
            values = ctypes.create_string_buffer(b"".join(value for _, value in part))
            head = struct.pack("<QQQQI", 0, 0, _address(keys), _address(values), len(part))
            try:
                _bpf(Command.MAP_UPDATE_BATCH, head + struct.pack("<IQQ", self.fd, 0, 0))
            except OSError as error:
                raise _failed(f"write {len(part)} entries to a map", error) from error


def _name(name: str) -> bytes:
    return name.encode()[:15].ljust(16, b"\0")


class Program(_Object):
    """A loaded program."""

    @classmethod
    def load(cls, code: bytes, name: str, kind: ProgramKind = ProgramKind.SCHED_CLS) -> Program:
        """Have the kernel verify and load a program. `DriverError` with the end of the verifier's log when it refuses."""
        try:
            return cls(_load(code, name, kind, None))
        except OSError as error:
            log = ctypes.create_string_buffer(LOG_SIZE)
            with contextlib.suppress(OSError):
                return cls(_load(code, name, kind, log))
            raise _failed(f"load the program {name}", error, _told(log.value.decode(errors="replace"), code)) from error

    @classmethod
    def open(cls, path: Path) -> Program:
        """A pinned program."""
        return cls(_opened(path))

    @classmethod
    def numbered(cls, id: int) -> Program:
        """The program of a number."""
        try:
            return cls(_bpf(Command.PROG_FD_BY_ID, struct.pack("<III", id, 0, 0)))
        except OSError as error:
            raise _failed(f"open the program number {id}", error) from error

    @staticmethod
    def lives(id: int) -> bool:
        """Whether the kernel still has the program of a number."""
        try:
            os.close(_bpf(Command.PROG_FD_BY_ID, struct.pack("<III", id, 0, 0)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise _failed(f"look for the program number {id}", error) from error
        return True

    @property
    def id(self) -> int:
        """The number by which the kernel knows it."""
        return int(struct.unpack_from("<I", _info(self.fd, 64), 4)[0])

    def run(self, frame: bytes, *, cb: Sequence[int] = (), ifindex: int = 0, room: int = 16384) -> tuple[int, bytes]:
        """Run it once on a frame that nothing sends (BPF_PROG_TEST_RUN): its result and the frame as it is then."""
        data, out = ctypes.create_string_buffer(frame, len(frame)), ctypes.create_string_buffer(room)
        context = ctypes.create_string_buffer(_skb(cb, ifindex), 192)
        attributes = struct.pack(
            "<IIIIQQIIIIQQ",
            self.fd,
            0,
            len(frame),
            room,
            _address(data),
            _address(out),
            1,
            0,
            192,
            0,
            _address(context),
            0,
        )
        buffer = ctypes.create_string_buffer(attributes, 128)
        if _libc.syscall(SYS_BPF[platform.machine()], int(Command.PROG_TEST_RUN), buffer, 128) < 0:
            code = ctypes.get_errno()
            raise _failed("run a program on a frame", OSError(code, os.strerror(code)))
        result, _, size = struct.unpack_from("<III", buffer.raw, 4)
        return int(result), out.raw[:size]


def _skb(cb: Sequence[int], ifindex: int) -> bytes:
    """The context of a run: `struct __sk_buff` with `ifindex` and `cb`."""
    words = [0] * 48
    words[10] = ifindex
    words[12 : 12 + len(cb)] = cb
    return struct.pack("<48I", *words)


def _load(code: bytes, name: str, kind: ProgramKind, log: Any) -> int:
    license_text, text = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(code, len(code))
    logging = (1, LOG_SIZE, _address(log)) if log is not None else (0, 0, 0)
    head = struct.pack("<IIQQIIQII", kind, len(code) // 8, _address(text), _address(license_text), *logging, 0, 0)
    return _bpf(Command.PROG_LOAD, head + _name(name))


def _told(log: str, code: bytes) -> str:
    """The end of the verifier's log, with the instructions around the one it refused."""
    lines = [line for line in log.splitlines() if line.strip()][-40:]
    numbers = [int(line.split(":")[0]) for line in lines if line.split(":")[0].isdigit()]
    if numbers:
        text = disassemble(code)
        low = max(0, numbers[-1] - 12)
        lines += [f"{at:5}  {text[at]}" for at in range(low, min(len(text), numbers[-1] + 4))]
    return "\n".join(lines)


class Link(_Object):
    """A program at the ingress of an interface (TCX)."""

    @classmethod
    def attach(cls, program: Program, ifindex: int) -> Link:
        """Attach a program to an interface of this namespace."""
        try:
            return cls(_bpf(Command.LINK_CREATE, struct.pack("<IIII", program.fd, ifindex, TCX_INGRESS, 0)))
        except OSError as error:
            raise _failed(f"attach a program to interface number {ifindex}", error) from error

    @classmethod
    def open(cls, path: Path) -> Link:
        """A pinned link."""
        return cls(_opened(path))

    def replace(self, program: Program) -> None:
        """Another program in its place, at one moment."""
        try:
            _bpf(Command.LINK_UPDATE, struct.pack("<IIII", self.fd, program.fd, 0, 0))
        except OSError as error:
            raise _failed("replace an attached program", error) from error

    @property
    def id(self) -> int:
        """The number by which the kernel knows it."""
        return int(struct.unpack_from("<I", _info(self.fd, 64), 4)[0])

    @property
    def ends(self) -> tuple[int, int]:
        """The numbers of its program and of its interface; the latter is 0 when that is gone."""
        info = _info(self.fd, 64)
        return int(struct.unpack_from("<I", info, 8)[0]), int(struct.unpack_from("<I", info, 16)[0])

    def detach(self) -> None:
        """Take the program off the interface at once, whoever still holds the link."""
        try:
            _bpf(Command.LINK_DETACH, struct.pack("<I", self.fd))
        except OSError as error:
            raise _failed("detach a program", error) from error

    def serves(self, ifindex: int) -> bool:
        """Whether it is attached to an interface of this namespace; numbers are the same in others."""
        ids = (ctypes.c_uint32 * _MOST_LINKS)()
        programs = (ctypes.c_uint32 * _MOST_LINKS)()
        head = struct.pack("<IIIIQII", ifindex, TCX_INGRESS, 0, 0, _address(programs), _MOST_LINKS, 0)
        try:
            _bpf(Command.PROG_QUERY, head + struct.pack("<QQQQ", 0, _address(ids), 0, 0))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return False
            raise _failed(f"ask what is attached to interface number {ifindex}", error) from error
        return self.id in list(ids)


def ensure_bpffs(root: Path = BPFFS) -> None:
    """Mount the BPF file system where it is not."""
    if file_system(root) == BPFFS_MAGIC:
        return
    if _libc.mount(b"bpf", os.fsencode(root), b"bpf", 0, b"mode=0700") < 0:
        code = ctypes.get_errno()
        raise _failed(f"mount the BPF file system at {root}", OSError(code, os.strerror(code)))


def file_system(path: Path) -> int:
    """The magic number of the file system of a path, 0 if there is no such path."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.statfs(os.fsencode(path), buffer) < 0:
        return 0
    return int(struct.unpack_from("<q", buffer.raw)[0]) & 0xFFFFFFFF
