"""A VNF's own SOL002 interfaces, or those of its element manager: indicators, configuration, LCM coordination.

The VNF says where they are: its property `sol002_endpoint` (a configurable property, extension or metadata) is the apiRoot;
`sol002_user` and `sol002_password` are for HTTP basic authentication there. What applies to addresses of subscribers applies
to this one: `notification_targets` of the node's settings decides whether it may be called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from skerry.errors import UnavailableError
from skerry.model.notifications import Authentication, Basic
from skerry.model.vnf import VnfInstance

ENDPOINT, USER, PASSWORD = "sol002_endpoint", "sol002_user", "sol002_password"
VERSIONS: Mapping[str, str] = {"vnfind": "1.4.0", "vnfconfig": "1.3.0", "lcmcoord": "1.1.0"}
MERGE_PATCH = "application/merge-patch+json"


class Answer(Protocol):
    """What came back."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Caller(Protocol):
    """Speaks HTTP to addresses that the settings allow."""

    async def call(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, who: Authentication
    ) -> Answer: ...


class Told(NamedTuple):
    """An answer of a VNF, read."""

    status: int
    headers: Mapping[str, str]
    body: Any


def endpoint_of(vnf: VnfInstance) -> str:
    """The apiRoot of the VNF's own interfaces; "" where it has none."""
    return str(_told(vnf, ENDPOINT) or "").rstrip("/")


def _told(vnf: VnfInstance, name: str) -> Any:
    places = (vnf.vnf_configurable_properties, vnf.extensions, vnf.metadata)
    return next((place[name] for place in places if place.get(name)), None)


class Elements:
    """Asks VNFs."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def ask(self, vnf: VnfInstance, method: str, path: str, body: Any = None, *, root: str = "") -> Told:
        """One request; `path` such as `/vnfind/v1/indicators`. `root` is another apiRoot than that of the VNF.
        `UnavailableError` where nobody answers or the answer cannot be read."""
        uri = path if "://" in path else f"{root or endpoint_of(vnf)}{path}"
        api = next((name for name in VERSIONS if f"/{name}/" in uri), "")
        headers = {"Accept": "application/json", **({"Version": VERSIONS[api]} if api else {})}
        raw = b""
        if body is not None:
            raw = msgspec.json.encode(body)
            headers["Content-Type"] = MERGE_PATCH if method == "PATCH" else "application/json"
        answer = await self._caller.call(method, uri, headers, raw, _who(vnf))
        try:
            read = msgspec.json.decode(answer.body) if answer.body else None
        except msgspec.DecodeError as error:
            raise UnavailableError(
                f"cannot use the answer of VNF {vnf.id} to {method} {path}: it is no JSON",
                suggestion=f"look at what {ENDPOINT} of the VNF names",
            ) from error
        return Told(answer.status, {name.lower(): value for name, value in answer.headers.items()}, read)


def _who(vnf: VnfInstance) -> Authentication:
    user = _told(vnf, USER)
    if user is None:
        return Authentication()
    return Authentication(basic=Basic(user_name=str(user), password=str(_told(vnf, PASSWORD) or "")))
