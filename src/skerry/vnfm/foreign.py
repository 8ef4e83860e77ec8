"""What talking to the NFVO or to VNF managers of others has in common (SOL003 as a client)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import msgspec

from skerry.notifications.wire import Answer


class Exchange(Protocol):
    """One authorized request: method, absolute URI, headers, body."""

    async def __call__(self, method: str, uri: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


def place(url: str, location: str) -> str:
    """What a `Location` names, on the address that was asked whatever host it names: what we show there is for nobody else."""
    named = urlsplit(urljoin(url, location))
    return urlsplit(url)._replace(path=named.path, query=named.query).geturl()


def next_page(url: str, headers: Mapping[str, str]) -> str:
    """Where a list goes on (SOL013 5.4.2.3), on the address that was asked; "" at its end."""
    found = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', headers.get("link", ""))
    return place(url, found[1]) if found else ""


def reason_of(told: Any) -> str:
    """The `detail` of problem details; "" where there are none."""
    return str(told.get("detail") or "") if isinstance(told, Mapping) else ""


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object of an answer; empty for anything else."""
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
