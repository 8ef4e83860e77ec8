"""One private Open vSwitch for each network namespace that has devices: its database server and its userspace switch.

Everything is found by name: the folder below `/run/skerry/ovs` is derived from node and namespace, the processes are those
whose pid files are in it. They are no children of Skerry, so they go on when it is killed, and the next start adopts them.
The machine's own Open vSwitch, if there is one, has other folders and is not touched. Two userspace switches in one
namespace would fight for the same tap device; hence one for each namespace, with a bridge for each device.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from skerry.dataplane.driver import resource_name
from skerry.dataplane.ovs.jsonrpc import Peer
from skerry.errors import DriverError, NotFoundError, SkerryError, UnavailableError
from skerry.linux import namespaces

RUN = Path("/run/skerry/ovs")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd")
_SEARCH = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin"
_DAEMONS = ("ovs-vswitchd", "ovsdb-server")
_CHANGING = threading.Lock()
"""A thread that starts a switch goes on when the task that waits for it is cancelled: who stops it has to wait."""
_START_S = 20.0
_STOP_S = 5.0
_POLL_S = 0.02


class Owner(msgspec.Struct, frozen=True):
    """Whose instance this is, as its folder says."""

    node: str
    namespace: str


def missing() -> str:
    """What the machine lacks to run Open vSwitch; "" when it has all."""
    lacking = [one for one in PROGRAMS if not program(one)]
    if lacking or not SCHEMA.exists():
        return "is not installed (apt-get install openvswitch-switch)"
    return "" if os.geteuid() == 0 else "needs root"


def program(name: str) -> str:
    """Where a program is; "" when it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SEARCH}") or ""


class Instance:
    """The processes and the folder of one namespace's switch. The methods that block run in threads of their own."""

    def __init__(self, node: str, namespace: str) -> None:
        self.owner = Owner(node, namespace)
        self.folder = RUN / resource_name(node, f"netns/{namespace}")
        self.database = self.folder / "db.sock"
        self.control = self.folder / "vswitchd.ctl"

    def management(self, bridge: str) -> Path:
        """The socket on which a bridge speaks OpenFlow."""
        return self.folder / f"{bridge}.mgmt"

    @property
    def running(self) -> bool:
        """Whether both processes answer, in the namespace that has the name now."""
        return all(self._pid(name) and _answers(place) for name, place in self._doors()) and not self._misplaced()

    def _doors(self) -> Sequence[tuple[str, Path]]:
        return ("ovs-vswitchd", self.control), ("ovsdb-server", self.database)

    async def ensure(self) -> None:
        """Start what does not run. A switch that died gets its ports back from the database, but no rules."""
        if not self.running:
            await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """End both processes, with the interfaces that the switch made, and remove the folder."""
        if self._pid("ovs-vswitchd"):
            with contextlib.suppress(SkerryError):
                await self.command("exit", "--cleanup")
        await asyncio.to_thread(self._remove)

    async def command(self, name: str, *arguments: str) -> str:
        """What the switch answers to a command of `ovs-appctl`."""
        peer = await Peer.open(self.control, "the switch")
        try:
            return str(await peer.call(name, *arguments))
        finally:
            await peer.close()

    def enter(self) -> contextlib.AbstractContextManager[object]:
        """The calling thread is in the instance's network namespace within the block."""
        if not self.owner.namespace:
            return contextlib.nullcontext()
        place = namespaces.place(self.owner.namespace)
        if not namespaces.pinned(place):
            raise NotFoundError(f"cannot find the network namespace {self.owner.namespace}")
        return namespaces.inside(place)

    def _start(self) -> None:
        lacks = missing()
        if lacks:
            raise UnavailableError(
                f"cannot start Open vSwitch: {lacks}", suggestion="apt-get install openvswitch-switch"
            )
        database = self.folder / "conf.db"
        with _CHANGING, self.enter():
            if self._misplaced():
                self._kill(*_DAEMONS)
                shutil.rmtree(self.folder)
            self._kill(*(name for name, place in self._doors() if not _answers(place)))
            self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            (self.folder / "owner.json").write_bytes(msgspec.json.encode(self.owner))
            if not database.exists():
                self._create(database)
            if not self._pid("ovsdb-server"):
                remote = f"--remote=punix:{self.database}"
                self._run("ovsdb-server", str(database), remote, *self._daemon("ovsdb-server"))
            if not self._pid("ovs-vswitchd"):
                self.control.unlink(missing_ok=True)
                self._run("ovs-vsctl", f"--db=unix:{self.database}", "--no-wait", "init", *_settings())
                self._run("ovs-vswitchd", f"unix:{self.database}", *self._daemon("ovs-vswitchd"))
        _until(lambda: _answers(self.control), _START_S)

    def _create(self, database: Path) -> None:
        """A database that is there is whole: a crash leaves none that is half made."""
        new = database.with_suffix(".new")
        new.unlink(missing_ok=True)
        self._run("ovsdb-tool", "create", str(new), str(SCHEMA))
        new.rename(database)

    def _misplaced(self) -> bool:
        """Whether the switch runs elsewhere than the namespace's name leads to: one of that name may have been made anew."""
        here = namespaces.place(self.owner.namespace) if self.owner.namespace else Path("/proc/self/ns/net")
        try:
            return here.stat().st_ino != Path(f"/proc/{self._pid('ovs-vswitchd')}/ns/net").stat().st_ino
        except FileNotFoundError:
            return False

    def _daemon(self, name: str) -> Sequence[str]:
        control = self.control if name == "ovs-vswitchd" else self.folder / "ovsdb.ctl"
        return (
            f"--pidfile={self.folder}/{name}.pid",
            f"--unixctl={control}",
            f"--log-file={self.folder}/{name}.log",
            "-vconsole:off",
            "-vsyslog:off",
            "--no-chdir",
            "--detach",
        )

    def _run(self, name: str, *arguments: str) -> None:
        call = [program(name), *arguments]
        try:
            done = subprocess.run(
                call, env=self._environment(), capture_output=True, text=True, check=False, timeout=_START_S
            )
        except subprocess.TimeoutExpired as late:
            raise DriverError(
                f"cannot run {name}: it is not done after {_START_S:.0f} s", call=" ".join(call), transient=True
            ) from late
        if done.returncode:
            answer = (done.stderr or done.stdout).strip()
            raise DriverError(f"cannot run {name}: {answer[-300:]}", call=" ".join(call), answer=answer, transient=True)

    def _environment(self) -> Mapping[str, str]:
        places = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        return {"PATH": f"{os.environ.get('PATH', '')}:{_SEARCH}", **dict.fromkeys(places, str(self.folder))}

    def _pid(self, name: str) -> int:
        """The process of the pid file, if it is still that program; else 0."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            return pid if Path(f"/proc/{pid}/comm").read_text().strip() == name[:15] and _lives(pid) else 0
        except (OSError, ValueError):
            return 0

    def _kill(self, *names: str) -> None:
        """End processes that are there: all, or those of these names."""
        pids = [pid for name in names if (pid := self._pid(name))]
        for pid in pids:
            _signal(pid, signal.SIGTERM)
        with contextlib.suppress(DriverError):
            _until(lambda: not any(_lives(pid) for pid in pids), _STOP_S)
        for pid in pids:
            _signal(pid, signal.SIGKILL)

    def _remove(self) -> None:
        with _CHANGING:
            with contextlib.suppress(DriverError):
                _until(lambda: not self._pid("ovs-vswitchd"), _STOP_S)
            self._kill(*_DAEMONS)
            shutil.rmtree(self.folder, ignore_errors=True)


def instances(node: str) -> Iterator[Instance]:
    """Every instance of a node that has a folder on this machine."""
    for file in sorted(RUN.glob("*/owner.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            owner = msgspec.json.decode(file.read_bytes(), type=Owner)
            if owner.node == node:
                yield Instance(node, owner.namespace)


def _settings() -> Sequence[str]:
    """One thread for each duty, and the first VLAN tag alone is looked through."""
    values = ("vlan-limit=1", "n-handler-threads=1", "n-revalidator-threads=1")
    return ("--", "set", "Open_vSwitch", ".", *(f"other_config:{one}" for one in values))


def _answers(place: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(str(place))
        except OSError:
            return False
    return True


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if _lives(pid):
            os.kill(pid, number)


def _until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for what the processes of the switch do by themselves; `DriverError` when it takes too long."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise DriverError("cannot start or stop Open vSwitch in time", transient=True)
        time.sleep(_POLL_S)
