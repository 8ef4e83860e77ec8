"""Runs a bundle with an OCI runtime under `conmon`, which outlives Skerry; finds, signals and removes what runs.

The functions block for tens of milliseconds: call them in a worker thread.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgspec

from skerry.errors import DriverError
from skerry.vim.local import cgroups
from skerry.vim.local.records import Process

BUNDLE = "config.json"
"""What the runtime reads of an instance's folder (OCI runtime specification)."""

_CREATE_S = 30.0
_RELEASE_S = 5.0
_SHIM_PATIENCE_S = 1.0
_DESTROY_S = 10.0


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """The programs that run instances. `state` is the runtime's own folder, `cgroup` the parent of all groups."""

    runtime: str
    shim: str
    state: Path
    cgroup: str
    groups: cgroups.Layout

    def group(self, instance: str) -> str:
        return f"{self.cgroup}/{instance}"


def launch(runner: Runner, instance: str, folder: Path) -> tuple[Process, Process]:
    """Create and start the bundle in `folder`; returns the instance's first process and its shim.

    `DriverError` with what the runtime said; nothing is left running then.
    """
    exit_file(folder, instance).unlink(missing_ok=True)
    try:
        pid = _create(runner, instance, folder)
        process = _identified(pid, instance)
        _start(runner, instance)
    except DriverError:
        destroy(runner, instance, folder, None)
        raise
    return process, _shim_of(folder, instance) or process


def _identified(pid: int, instance: str) -> Process:
    process = identify(pid)
    if process is None:
        raise DriverError(f"cannot start {instance}: its first process ended at once", transient=True)
    return process


def _create(runner: Runner, instance: str, folder: Path) -> int:
    read_end, write_end = os.pipe()
    shim = subprocess.Popen(
        [
            *(runner.shim, "--api-version", "1", "-c", instance, "-u", instance, "-n", instance),
            *("-r", runner.runtime, "--runtime-arg", f"--root={runner.state}", "-b", str(folder)),
            *(
                "-p",
                str(folder / "pid"),
                "--conmon-pidfile",
                str(folder / "shim.pid"),
                "--exit-dir",
                str(folder / "exit"),
            ),
            *("-l", f"k8s-file:{folder / 'log'}", "--log-size-max", str(64 << 20), "--log-level", "error"),
            *("--socket-dir-path", str(folder), "--full-attach"),
        ],
        pass_fds=[write_end],
        env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin"), "TZ": "UTC", "_OCI_SYNCPIPE": str(write_end)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    os.close(write_end)
    try:
        answer = _answer(read_end)
    finally:
        os.close(read_end)
        shim.wait()
    pid = answer.get("data", answer.get("pid", -1))
    if not isinstance(pid, int) or pid <= 0:
        said = str(answer.get("message", "") or "the supervisor ended without an answer").strip()
        raise DriverError(f"cannot create {instance}: {said}", call=f"{runner.runtime} create {instance}", answer=said)
    return pid


def _answer(descriptor: int) -> dict[str, object]:
    """The one line of JSON that the shim writes when the container exists or could not be made."""
    deadline, data = time.monotonic() + _CREATE_S, b""
    while b"\n" not in data:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, 65536) if ready else b""
        if not chunk:
            break
        data += chunk
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError):
        return {"message": data.decode(errors="replace")}


def _start(runner: Runner, instance: str) -> None:
    fifo = runner.state / instance / "exec.fifo"
    if Path(runner.runtime).name == "runc" and _released(fifo):
        return
    call = [runner.runtime, f"--root={runner.state}", "start", instance]
    done = subprocess.run(call, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DriverError(f"cannot start {instance}: {said}", call=" ".join(call), answer=said)


def _released(fifo: Path) -> bool:
    """Do what `runc start` does, without the 8 ms that one more process costs: the created program waits for a reader.

    False when it did not answer; the command then finds out why.
    """
    try:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        ready, _, _ = select.select([reader], [], [], _RELEASE_S)
        if not ready or not os.read(reader, 1):
            return False
    finally:
        os.close(reader)
    fifo.unlink(missing_ok=True)
    return True


def exit_file(folder: Path, instance: str) -> Path:
    """Where the shim writes the exit code."""
    return folder / "exit" / instance


def exit_code(folder: Path, instance: str) -> int | None:
    """The code of the last end; None while there is none."""
    try:
        return int(exit_file(folder, instance).read_text())
    except (FileNotFoundError, ValueError):
        return None


def boot() -> str:
    """The machine's present boot: process numbers and start times of another one say nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """A living process, recognisable later; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Process(pid=pid, started=int(fields[19]))


def alive(process: Process | None) -> bool:
    """True while exactly this process runs."""
    return process is not None and identify(process.pid) == process


def descriptor(process: Process) -> int | None:
    """A pidfd of exactly this process; None when it is gone. It becomes readable when the process ends."""
    try:
        opened = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if alive(process):
        return opened
    os.close(opened)
    return None


def send(process: Process | None, number: int) -> bool:
    """Signal exactly this process; False when it is gone."""
    opened = descriptor(process) if process else None
    if opened is None:
        return False
    try:
        signal.pidfd_send_signal(opened, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(opened)
    return True


def found(runner: Runner, instance: str, folder: Path) -> tuple[Process, Process] | None:
    """An instance that was started by a Skerry which died before it could write that down."""
    pid = _number(folder / "pid")
    process = identify(pid) if pid in cgroups.processes(runner.groups, runner.group(instance)) else None
    if process is None or (runner.state / instance / "exec.fifo").exists():
        return None
    return process, _shim_of(folder, instance) or process


def _shim_of(folder: Path, instance: str) -> Process | None:
    pid = _number(folder / "shim.pid")
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return identify(pid) if instance.encode() in command else None


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def destroy(runner: Runner, instance: str, folder: Path, shim: Process | None) -> None:
    """Kill whatever runs of an instance, in every state of its making, and remove its groups and runtime state.

    Without a known `shim` a start may have been cut short: its processes are searched by the instance's name.
    """
    search = shim is None and exit_code(folder, instance) is None
    if search:
        _spoil(folder)
    patience, deadline = time.monotonic() + _SHIM_PATIENCE_S, time.monotonic() + _DESTROY_S
    while True:
        makers = _makers(instance) if search else []
        for maker in makers:
            _end(maker)
        members = cgroups.processes(runner.groups, runner.group(instance))
        for pid in members:
            _kill(pid)
        if alive(shim) and time.monotonic() > patience:
            send(shim, signal.SIGKILL)
        if not members and not makers and not alive(shim):
            break
        if time.monotonic() > deadline:
            raise DriverError(f"cannot end {instance}: {len(members)} processes do not die", transient=True)
        time.sleep(0.001)
    left = cgroups.remove(runner.groups, runner.group(instance))
    if left:
        raise DriverError(f"cannot remove the control groups of {instance}: {', '.join(left)}", transient=True)
    shutil.rmtree(runner.state / instance, ignore_errors=True)


def _spoil(folder: Path) -> None:
    """Nothing can be made of the bundle any more: a process shows no arguments while it becomes the runtime.

    Such a one is not found; it has not read the bundle yet either, and ends when it does. The file stays as the sign
    that a start was tried.
    """
    bundle = folder / BUNDLE
    if bundle.exists():
        bundle.write_bytes(b"")


def _end(process: Process) -> None:
    """Kill a process and wait for all of its threads, of which one may be in the middle of making a folder."""
    opened = descriptor(process)
    if opened is None:
        return
    try:
        signal.pidfd_send_signal(opened, signal.SIGKILL)
        select.select([opened], [], [], _SHIM_PATIENCE_S)
    except ProcessLookupError:
        return
    finally:
        os.close(opened)


def _makers(instance: str) -> list[Process]:
    """The shim and the runtime's commands that have this instance as an argument."""
    name, found = instance.encode(), list[Process]()
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = Path(entry.path, "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        process = identify(int(entry.name)) if name in arguments else None
        if process is not None:
            found.append(process)
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
