"""unbound as the platform's DNS server: a process of its own with a configuration of its own, changed through its control
socket while it answers.

Every zone with subnets is a view. Where other servers are configured, the name of a rule is a zone of its own, so that a
removed answer is asked of them again, and a transparent one, so that the names below it are not hidden; where none are, the
root is one static zone and all other names do not exist.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from skerry.errors import DriverError, UnavailableError
from skerry.mep.dns.contract import Record, View

GREETING = b"UBCT1 "
READY_S = 5.0
CALL_S = 5.0
MANY = 64
"""From so many records on they are sent as one list."""

SERVER = """\
server:
  interface: {host}@{port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  logfile: "{folder}/unbound.log"
  verbosity: 0
  num-threads: 1
  module-config: "iterator"
  msg-cache-size: 1m
  rrset-cache-size: 2m
  outgoing-range: 256
  num-queries-per-thread: 128
  do-not-query-localhost: no
  hide-identity: yes
  hide-version: yes
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
"""
CONTROL = """\
remote-control:
  control-enable: yes
  control-use-cert: no
  control-interface: {folder}/control.sock
"""


def program() -> str:
    """Where unbound is, "" where it is not installed."""
    return shutil.which("unbound", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def configuration(folder: Path, host: str, port: int, views: Sequence[View], forward: Sequence[str]) -> str:
    """The text of the configuration. Pure."""
    lines = [SERVER.format(folder=folder, host=host, port=port)]
    # A subnet without its own view must not fall into that of a wider one; unbound takes the longest by itself.
    lines += [f"  access-control-view: {subnet} {_view(view.zone)}\n" for view in views for subnet in view.subnets]
    if not forward:
        lines.append('  local-zone: "." static\n')
    lines += [f'view:\n  name: "{_view(view.zone)}"\n  view-first: yes\n' for view in views]
    if forward:
        lines.append('forward-zone:\n  name: "."\n')
        lines += [f"  forward-addr: {server.replace('#', '@')}\n" for server in forward]
    return "".join(lines) + CONTROL.format(folder=folder)


def _view(zone: str) -> str:
    # Names of zones are free texts; those of views are words of the configuration.
    return f"zone-{zone.encode().hex()}"


class Unbound:
    """Fits `contract.Server`. `folder` is private to it; `namespace` is the network namespace in which it runs ("" = the
    node's own). `port` 0 is not possible here: unbound tells nobody which port it took."""

    def __init__(
        self,
        folder: Path,
        host: str,
        port: int,
        *,
        views: Sequence[View] = (),
        forward: Sequence[str] = (),
        namespace: str = "",
    ) -> None:
        self._folder = folder.absolute()
        self._address = (host, port)
        self._views = tuple(views)
        self._zones = {view.zone for view in views}
        self._forward = tuple(forward)
        self._namespace = namespace
        self._process: asyncio.subprocess.Process | None = None
        self._served: dict[tuple[str, str], dict[Record, None]] = {}

    @property
    def address(self) -> tuple[str, int]:
        """Where it answers."""
        return self._address

    async def start(self) -> None:
        """Start the process; one that an earlier node left is replaced, since what it serves is not known."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(self._end_earlier)
        text = configuration(self._folder, *self._address, self._views, self._forward)
        config = self._folder / "unbound.conf"
        await asyncio.to_thread(config.write_text, text)
        command = ["ip", "netns", "exec", self._namespace] if self._namespace else []
        self._process = await asyncio.create_subprocess_exec(
            *command,
            program(),
            "-d",
            "-c",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        await self._wait_until_ready()

    async def ended(self) -> None:
        """When the process is gone."""
        if self._process:
            await self._process.wait()

    async def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(CALL_S):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
        self._served.clear()

    async def change(self, add: Iterable[Record], remove: Iterable[Record]) -> None:
        """Remove, then add. A name keeps its other records."""
        for record in remove:
            await self._remove(record)
        new = [record for record in add if record not in self._served.get(self._key(record), {})]
        if len(new) >= MANY:
            await self._add_many([record for record in new if record.zone not in self._zones])
            new = [record for record in new if record.zone in self._zones]
        for record in new:
            await self._add(record)

    async def holds(self, record: Record) -> bool:
        """Ask the process for what it serves."""
        verb = f"view_list_local_data {_view(record.zone)}" if record.zone in self._zones else "list_local_data"
        wanted = [record.name + ".", str(record.ttl), "IN", record.type, record.address]
        return any(line.split() == wanted for line in (await self._call(verb)).splitlines())

    # -- one record ---------------------------------------------------------------------------------------------------

    def _key(self, record: Record) -> tuple[str, str]:
        return record.zone if record.zone in self._zones else "", record.name

    def _verb(self, record: Record, verb: str) -> str:
        return f"view_{verb} {_view(record.zone)}" if record.zone in self._zones else verb

    def _own_zone(self, record: Record) -> bool:
        """Whether the name needs a zone of its own to be ours alone."""
        return bool(self._forward) or record.zone in self._zones

    async def _add(self, record: Record) -> None:
        there = self._served.setdefault(self._key(record), {})
        if not there and self._own_zone(record):
            await self._call(f"{self._verb(record, 'local_zone')} {record.name}. transparent")
        await self._call(f"{self._verb(record, 'local_data')} {_text(record)}")
        there[record] = None

    async def _add_many(self, records: Sequence[Record]) -> None:
        """One call for all; those of views are few."""
        if self._forward:
            await self._call("local_zones", "".join(f"{record.name}. transparent\n" for record in records))
        await self._call("local_datas", "".join(f"{_text(record)}\n" for record in records))
        for record in records:
            self._served.setdefault(self._key(record), {})[record] = None

    async def _remove(self, record: Record) -> None:
        there = self._served.get(self._key(record), {})
        if record not in there:
            return
        del there[record]
        if not there and self._own_zone(record):
            await self._call(f"{self._verb(record, 'local_zone_remove')} {record.name}.")
            del self._served[self._key(record)]
            return
        # The server removes all records of a name at once: the others come back at once.
        await self._call(f"{self._verb(record, 'local_data_remove')} {record.name}.")
        for other in there:
            await self._call(f"{self._verb(other, 'local_data')} {_text(other)}")
        if not there:
            del self._served[self._key(record)]

    # -- the process --------------------------------------------------------------------------------------------------

    async def _call(self, command: str, lines: str = "") -> str:
        """One command over the control socket; `lines` are what some read until a line with the byte 4 alone."""
        try:
            async with asyncio.timeout(CALL_S):
                reader, writer = await asyncio.open_unix_connection(str(self._folder / "control.sock"))
                writer.write(GREETING + command.encode() + b"\n" + lines.encode() + (b"\x04\n" if lines else b""))
                answer = (await reader.read()).decode(errors="replace")
                writer.close()
        except (OSError, TimeoutError) as error:
            raise DriverError(
                f"cannot reach unbound: {error or 'no answer'}", transient=True, call=command.partition(" ")[0]
            ) from error
        if answer.startswith("error"):
            raise DriverError(f"cannot change unbound: {answer.strip()[:200]}", call=command, answer=answer[:2000])
        return answer

    async def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101  # just made
        try:
            async with asyncio.timeout(READY_S):
                while process.returncode is None:
                    try:
                        await self._call("status")
                    except DriverError:
                        await asyncio.sleep(0.01)  # the socket appears when it appears
                    else:
                        return
        except TimeoutError:
            await self.stop()
        said = (await process.stderr.read()).decode(errors="replace") if process.stderr else ""
        self._process = None
        raise UnavailableError(
            f"cannot start unbound on {self._address[0]} port {self._address[1]}: {said.strip()[-300:] or 'no answer'}",
            suggestion="choose another address or port with mec_dns_listen and mec_dns_port, or mec_dns = builtin",
        )

    def _end_earlier(self) -> None:
        """End the process that an earlier node started here. The file alone is no proof: the number may be somebody else's."""
        try:
            pid = int((self._folder / "unbound.pid").read_text())
            mine = str(self._folder / "unbound.conf") in Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            return
        if not mine:
            return
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                _ended(descriptor)
            finally:
                os.close(descriptor)


def _ended(descriptor: int) -> None:
    """Wait until the process of a pidfd is gone."""
    import select  # noqa: PLC0415

    select.select([descriptor], [], [], CALL_S)


def _text(record: Record) -> str:
    return f"{record.name}. {record.ttl} IN {record.type} {record.address}"
