"""Micro network functions as people see them, and the part of the client that asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.client.http import Http
from skerry.client.views import View

ROOT = "/skerry/v1/lvnfs"


class LvnfView(View, frozen=True, kw_only=True):
    """A micro network function; `name` is VNF/VNFC.

    `times_ms` says how long it last was in each state that it has left, `downtime_ms` how long it stood still when it last
    moved; `why` has the reasons for its back end; `handlers` are its descriptor's names of handlers. `configuration` is there
    where one function is read.
    """

    id: str
    name: str
    vnf: str
    vnf_name: str
    vnfc: str
    vim: str
    state: str
    since: str = ""
    backend: str = ""
    why: Sequence[str] = ()
    times_ms: Mapping[str, float] = {}
    downtime_ms: float | None = None
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    rx_packets: Mapping[str, int] = {}
    tx_packets: Mapping[str, int] = {}
    addresses: Sequence[str] = ()
    handlers: Mapping[str, str] = {}
    state_handlers: Sequence[str] = ()
    configuration: str = ""
    problem: str = ""


class HandlerView(View, frozen=True, kw_only=True):
    """A handler; `kind` is read, write or both."""

    handler: str
    kind: str


class HandlerValue(View, frozen=True, kw_only=True):
    """The value of a handler."""

    handler: str
    value: str


class LvnfClient:
    """What a node can be asked about micro network functions."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self) -> list[LvnfView]:
        """Those that the caller may see."""
        return self._http.every(ROOT, LvnfView)

    def get(self, id: str) -> LvnfView:
        """One of them."""
        return self._http.get(f"{ROOT}/{id}", LvnfView)

    def handlers(self, id: str) -> list[HandlerView]:
        """Its handlers."""
        return self._http.get(f"{ROOT}/{id}/handlers", list[HandlerView])

    def read(self, id: str, handler: str) -> str:
        """The value of a handler."""
        return self._http.get(f"{ROOT}/{id}/value", HandlerValue, handler=handler).value

    def write(self, id: str, handler: str, value: str) -> None:
        """Write a handler."""
        self._http.send("PUT", f"{ROOT}/{id}/value", json={"handler": handler, "value": value})

    def swap(self, id: str, configuration: str) -> LvnfView:
        """Exchange its configuration."""
        body = {"configuration": configuration}
        return msgspec.json.decode(
            self._http.send("PUT", f"{ROOT}/{id}/configuration", json=body).content, type=LvnfView
        )

    def migrate(self, id: str, params: Mapping[str, Any]) -> str:
        """Move it; the operation's id."""
        return self._http.post(f"{ROOT}/{id}/migrate", params).headers["Location"].rpartition("/")[2]
