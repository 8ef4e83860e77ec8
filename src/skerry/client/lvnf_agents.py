"""Agents and their functions, as the API shows them and the command line asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from skerry.client.http import Http
from skerry.client.views import View
from skerry.lvnf.agent.messages import PortStatus

ROOT = "/skerry/v1/lvnf-agents"


class AgentShown(View, frozen=True, kw_only=True):
    """An agent. `state` is UP, or DOWN once it has missed more than three heartbeats; `cpu_busy` is the share (0 to 1) of its
    machine's processors that was busy at the last one."""

    id: str
    state: str
    connected: bool
    since: str
    seen_at: str = ""
    functions: int = 0
    backends: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    bridge: str = ""
    program: str = ""
    cpu_busy: float = 0.0
    cpu_count: int = 0
    load: float = 0.0
    memory_bytes: int = 0
    memory_free_bytes: int = 0


class FunctionShown(View, frozen=True, kw_only=True):
    """A function at an agent; `times_ms` has how long its last start and stop took."""

    id: str
    state: str
    backend: str = ""
    why: tuple[str, ...] = ()
    ports: tuple[PortStatus, ...] = ()
    times_ms: Mapping[str, float] = {}
    trouble: str = ""


class StatsShown(View, frozen=True, kw_only=True):
    """What a function uses: memory in bytes, processor seconds since its start, processes."""

    memory_bytes: int
    cpu_seconds: float
    pids: int
    uptime_s: float


class HandlerShown(View, frozen=True, kw_only=True):
    """The value of a handler."""

    handler: str
    value: str


class LvnfAgentsClient:
    """Calls of the API about agents."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def agents(self) -> list[AgentShown]:
        """All agents."""
        return self._http.every(ROOT, AgentShown)

    def forget(self, agent: str) -> None:
        """Forget one that is down."""
        self._http.send("DELETE", _at(agent))

    def functions(self, agent: str) -> list[FunctionShown]:
        """Its functions."""
        return self._http.every(f"{_at(agent)}/lvnfs", FunctionShown)

    def add(self, agent: str, name: str, wanted: Mapping[str, Any]) -> FunctionShown:
        """Run a function, or change its configuration."""
        answer = self._http.send("PUT", _at(agent, name), json=dict(wanted))
        return msgspec.json.decode(answer.content, type=FunctionShown)

    def remove(self, agent: str, name: str) -> None:
        """Delete a function."""
        self._http.send("DELETE", _at(agent, name))

    def stats(self, agent: str, name: str) -> StatsShown:
        """What it uses."""
        return self._http.get(f"{_at(agent, name)}/stats", StatsShown)

    def get(self, agent: str, name: str, handler: str) -> str:
        """A handler's value."""
        return self._http.get(f"{_at(agent, name)}/handlers", HandlerShown, handler=handler).value

    def set(self, agent: str, name: str, handler: str, value: str) -> None:
        """Write a handler."""
        self._http.send("PUT", f"{_at(agent, name)}/handlers", json={"handler": handler, "value": value})


def _at(agent: str, function: str = "") -> str:
    place = f"{ROOT}/{quote(agent, safe='')}"
    return f"{place}/lvnfs/{quote(function, safe='')}" if function else place
