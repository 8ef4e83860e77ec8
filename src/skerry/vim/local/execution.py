"""What is done to a running instance: commands inside, counters, new limits."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterable
from pathlib import Path

import msgspec

from skerry.errors import DriverError, InvalidError
from skerry.vim.driver import ComputeSpec, ComputeStats, ExecResult
from skerry.vim.local import cgroups, oci
from skerry.vim.local.supervise import Runner

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_RUNTIME_FAILED = re.compile(rb"(exec failed|unable to start container process|crun: )")
_DIED_S = 5.0


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command for the inside of an instance."""

    argv: tuple[str, ...]
    stdin: bytes
    env: dict[str, str]
    timeout_s: float


async def run(runner: Runner, instance: str, folder: Path, command: Command) -> ExecResult:
    """Run a command; one that is not found or cannot be run gives 127 or 126, as in a shell.

    `DriverError` (transient) when it takes longer than its time; it is killed then.
    """
    if not command.argv:
        raise InvalidError("cannot run a command: it is empty")
    note = folder / f"exec-{uuid.uuid4().hex}.pid"
    variables = [part for name, value in command.env.items() for part in ("--env", f"{name}={value}")]
    call = [runner.runtime, f"--root={runner.state}", "exec", "--pid-file", str(note), *variables, instance]
    process = await asyncio.create_subprocess_exec(
        *call,
        *command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(command.stdin), command.timeout_s)
    except TimeoutError as wrong:
        raise DriverError(
            f"cannot finish {command.argv[0]} in {instance} within {command.timeout_s:g} s",
            transient=True,
            call=" ".join(command.argv),
            suggestion="give it more time",
        ) from wrong
    finally:
        await _ended(process, note)
    return ExecResult(exit_code=_code(process.returncode or 0, stderr), stdout=stdout, stderr=stderr)


async def _ended(process: asyncio.subprocess.Process, note: Path) -> None:
    """Leave nothing of a command that was given up: neither the program inside nor the runtime that waits for it."""
    if process.returncode is None:
        if not _killed(note):
            process.kill()
        try:
            await asyncio.wait_for(process.wait(), _DIED_S)
        except TimeoutError:
            process.kill()
    _forget(note)


def _killed(note: Path) -> bool:
    try:
        os.kill(int(note.read_text()), signal.SIGKILL)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


def _forget(note: Path) -> None:
    note.unlink(missing_ok=True)


def _code(code: int, stderr: bytes) -> int:
    if code in {1, 255} and _RUNTIME_FAILED.search(stderr):
        missing = b"not found" in stderr or b"no such file" in stderr.lower()
        return _NOT_FOUND if missing else _NOT_EXECUTABLE
    return code


def stats(runner: Runner, instance: str, pid: int) -> ComputeStats:
    """The counters of an instance whose first process is `pid`."""
    try:
        used = cgroups.counters(runner.groups, runner.group(instance))
        devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except (FileNotFoundError, ProcessLookupError) as wrong:
        raise DriverError(f"cannot measure {instance}: it just ended", transient=True) from wrong
    return counted(devices, used.cpu_seconds, used.memory_bytes, used.pids)


def counted(devices: Iterable[str], cpu_seconds: float, memory_bytes: int, pids: int) -> ComputeStats:
    """Counters with those of interfaces, in the lines of /proc/net/dev without its head."""
    table = {
        name.strip(): [int(value) for value in values.split()]
        for name, _, values in (d.partition(":") for d in devices)
    }
    table.pop("lo", None)
    return ComputeStats(
        cpu_seconds=cpu_seconds,
        memory_bytes=memory_bytes,
        pids=pids,
        rx_bytes={name: values[0] for name, values in table.items()},
        rx_packets={name: values[1] for name, values in table.items()},
        tx_bytes={name: values[8] for name, values in table.items()},
        tx_packets={name: values[9] for name, values in table.items()},
    )


def written(upper: Path) -> int:
    """The bytes on disk below the writable layer of an instance. What goes away meanwhile does not count."""
    total = 0
    folders = [str(upper)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue
    return total


def resize(runner: Runner, instance: str, spec: ComputeSpec) -> None:
    """Give a running instance the limits of this specification."""
    limits = oci.resources(spec, runner.groups.swap)
    limits.pop("devices")
    limits.pop("pids", None)
    call = [runner.runtime, f"--root={runner.state}", "update", "--resources", "-", instance]
    done = subprocess.run(call, input=msgspec.json.encode(limits), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise DriverError(f"cannot resize {instance}: {said}", call=" ".join(call), answer=said)
