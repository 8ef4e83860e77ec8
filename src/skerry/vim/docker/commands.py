"""Runs commands inside containers: standard input, both outputs, exit code, deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from skerry.errors import DriverError, NotFoundError
from skerry.vim.docker.engine import Engine
from skerry.vim.docker.frames import frames, pieces
from skerry.vim.docker.holder import Holders
from skerry.vim.driver import ExecResult

_NOT_THERE = (126, 127)
_CHUNK = 1 << 16


class Commands:
    """`tls` connections cannot be closed in one direction: there a shell of the instance cuts the input."""

    def __init__(self, engine: Engine, holders: Holders, *, tls: bool) -> None:
        self._engine, self._holders, self._tls = engine, holders, tls

    async def run(
        self, container: str, argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str], timeout_s: float
    ) -> ExecResult:
        """Run a command to its end. `DriverError` when it is not done in time; it is killed then."""
        command = ["sh", "-c", 'head -c "$0" | "$@"', str(len(stdin)), *argv] if stdin and self._tls else list(argv)
        body = {
            "Cmd": command,
            "Env": [f"{key}={value}" for key, value in env.items()],
            "AttachStdin": bool(stdin),
            "AttachStdout": True,
            "AttachStderr": True,
        }
        made = (await self._engine.post(f"/containers/{container}/exec", body))["Id"]
        try:
            async with asyncio.timeout(timeout_s):
                outputs = await self._outputs(made, stdin)
        except TimeoutError as late:
            await self._kill(made)
            raise DriverError(
                f"cannot wait longer for {argv[0]}: not done after {timeout_s:g} s; it was killed",
                call=" ".join(argv),
                suggestion="give it more time",
            ) from late
        except (DriverError, NotFoundError) as failed:
            found = await self._engine.get(f"/exec/{made}/json")
            if found.get("ExitCode") in _NOT_THERE or "exec failed" in failed.detail:
                return ExecResult(exit_code=found.get("ExitCode") or 127, stderr=failed.detail.encode())
            raise
        found = await self._ended(made)
        return ExecResult(exit_code=found["ExitCode"], stdout=bytes(outputs["stdout"]), stderr=bytes(outputs["stderr"]))

    async def _outputs(self, made: str, stdin: bytes) -> Mapping[str, bytearray]:
        outputs = {"stdout": bytearray(), "stderr": bytearray()}
        start = {"Detach": False, "Tty": False}
        path = f"/exec/{made}/start"
        if not stdin:
            async with self._engine.stream("POST", path, body=start) as answer:
                async for stream, data in frames(answer):
                    outputs[stream] += data
            return outputs
        reader, writer = await self._engine.hijack(path, start)
        feeding = asyncio.ensure_future(_feed(writer, stdin, close=not self._tls))
        try:
            async for stream, data in frames(pieces(reader)):
                outputs[stream] += data
            await feeding
        finally:
            feeding.cancel()
            writer.close()
        return outputs

    async def _ended(self, made: str) -> Any:
        """The outputs end a moment before the Engine knows the exit code."""
        while True:
            found = await self._engine.get(f"/exec/{made}/json")
            if not found["Running"]:
                return found
            await asyncio.sleep(0.01)

    async def _kill(self, made: str) -> None:
        """Kill the command's process group on the Engine's machine."""
        found = await self._engine.get(f"/exec/{made}/json")
        if found["Running"] and found["Pid"]:
            script = f"kill -9 -{found['Pid']} || kill -9 {found['Pid']}"
            host = {"PidMode": "host", "CapAdd": ["KILL"], "NetworkMode": "none"}
            await self._holders.once(["/bin/busybox", "sh", "-c", script], host)


async def _feed(writer: asyncio.StreamWriter, data: bytes, *, close: bool) -> None:
    try:
        for at in range(0, len(data), _CHUNK):
            writer.write(data[at : at + _CHUNK])
            await writer.drain()
        if close:
            writer.write_eof()
    except ConnectionError:
        return  # the command ended without reading all
