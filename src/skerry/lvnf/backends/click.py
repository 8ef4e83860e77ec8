"""The back end `click`: the Click modular router of this machine, where there is one, as a process of user level.

It reads the configuration itself and serves ControlSocket by itself; this side is a client of that.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError
from skerry.lvnf.backend import Handler, HandlerKind, Place, Usage
from skerry.lvnf.backends import process, talk
from skerry.lvnf.backends.files import CONTROL, LOG, PROCESS, Identity, identify
from skerry.lvnf.graph import Graph

SCRIPT = "function.click"
_START_S = 10.0
_KINDS = {"r": HandlerKind.READ, "w": HandlerKind.WRITE, "rw": HandlerKind.BOTH}


@functools.cache
def program() -> str:
    """Where the Click modular router is; "" where there is none. Another program has the same name."""
    found = shutil.which("click")
    if not found:
        return ""
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=10)
    return found if told.stdout.startswith("click (Click)") else ""


class ClickRunning:
    """A function that runs in Click (fits `backend.Running`)."""

    def __init__(self, place: Place, identity: Identity, graph: Graph) -> None:
        self._place, self._identity, self._graph = place, identity, graph

    @property
    def graph(self) -> Graph:
        return self._graph

    def handlers(self) -> Sequence[Handler]:
        found: list[Handler] = []
        for element in self._graph.elements:
            for line in self.read(element, "handlers").splitlines():
                name, _, kind = line.partition("\t")
                if handler := _KINDS.get("".join(letter for letter in kind if letter in "rw")):
                    found.append(Handler(element=element, name=name, kind=handler))
        return found

    def read(self, element: str, handler: str) -> str:
        name, _, argument = handler.partition(" ")
        return self._said(f"READ {_full(element, name)} {argument}".rstrip(), b"")

    def write(self, element: str, handler: str, value: str) -> None:
        data = value.encode()
        self._said(f"WRITEDATA {_full(element, handler)} {len(data)}", data)

    def replace(self, graph: Graph) -> None:
        data = graph.text.encode()
        self._said(f"WRITEDATA hotconfig {len(data)}", data)
        (self._place.folder / SCRIPT).write_bytes(data)
        self._graph = graph

    def _said(self, command: str, data: bytes) -> str:
        try:
            with talk.connect(self._place.folder, CONTROL) as line, line.makefile("rwb") as file:
                file.readline()
                file.write(command.encode() + b"\r\n" + data)
                file.flush()
                answer = file.readline().decode(errors="replace").rstrip()
                said = [answer]
                while answer[3:4] == "-":
                    answer = file.readline().decode(errors="replace").rstrip()
                    said.append(answer)
                if answer.startswith("2") and command.startswith("READ "):
                    return file.read(int(file.readline().split()[1])).decode(errors="replace")
        except OSError as gone:
            raise ConflictError("cannot reach the function: it has stopped", suggestion="start it again") from gone
        if answer.startswith("2"):
            return ""
        error = NotFoundError if answer.startswith("51") else InvalidError
        raise error(f"cannot {command.split(' ', maxsplit=1)[0].lower()} it: {'; '.join(line[4:] for line in said)}")

    def alive(self) -> bool:
        return identify(self._identity.pid) == self._identity

    def usage(self) -> Usage:
        return process.usage_of(self._identity.pid)

    def stop(self) -> None:
        process.kill(self._identity)
        for name in (PROCESS, CONTROL):
            (self._place.folder / name).unlink(missing_ok=True)

    def detach(self) -> None:
        """There is nothing to let go of."""


class ClickBackend:
    """Runs graphs in Click (fits `backend.Backend`)."""

    name = "click"

    def refusals(self, graph: Graph) -> Sequence[str]:
        return () if program() else ("the Click modular router is not installed",)

    def start(self, graph: Graph, place: Place) -> ClickRunning:
        if not program():
            raise DriverError(f"cannot start {place.name}: the Click modular router is not installed")
        if any(device != interface for device, interface in place.devices.items()):
            raise InvalidError(f"cannot start {place.name}: Click takes devices by their own names")
        place.folder.mkdir(parents=True, exist_ok=True)
        process.clear(place.folder)
        (place.folder / SCRIPT).write_text(graph.text)
        enter = [*("nsenter", f"--net={place.namespace}")] if place.namespace else []
        with (place.folder / LOG).open("ab") as log:
            made = subprocess.Popen(
                [*enter, program(), "-R", "-f", SCRIPT, "-u", CONTROL],
                cwd=place.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        identity = identify(made.pid)
        if identity:
            (place.folder / PROCESS).write_bytes(msgspec.json.encode(identity))
        deadline = time.monotonic() + _START_S
        while made.poll() is None and identity and time.monotonic() < deadline:
            running = ClickRunning(place, identity, graph)
            with contextlib.suppress(ConflictError):
                running.read("", "version")
                return running
            time.sleep(0.002)
        said = (place.folder / LOG).read_text(errors="replace")[-500:].strip()
        raise DriverError(f"cannot start {place.name}: {said or 'Click does not answer'}", answer=said)

    def adopt(self, place: Place) -> ClickRunning | None:
        from skerry.lvnf.checking import read  # noqa: PLC0415 - only after a restart

        identity = process.recorded(place.folder)
        if identity is None or identify(identity.pid) != identity:
            return None
        return ClickRunning(place, identity, read(Path(place.folder, SCRIPT).read_text()))


def _full(element: str, handler: str) -> str:
    return f"{element}.{handler}" if element else handler
