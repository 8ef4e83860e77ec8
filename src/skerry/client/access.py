"""Clients of a node's access, as the API shows them and the command line asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.client.http import Http
from skerry.client.views import View

CLIENTS = "/skerry/v1/access/clients"


class ClientView(View, frozen=True, kw_only=True):
    """A client; `scopes` empty means all that its role allows, `rate_per_s` 0 the node's setting."""

    id: str
    name: str
    tenant: str
    role: str
    scopes: tuple[str, ...] = ()
    rate_per_s: float = 0.0
    created_at: str = ""
    certificates: int = 0


class ClientSecret(View, frozen=True, kw_only=True):
    """A client with its secret, which is shown this once."""

    client: ClientView
    client_secret: str


class ClientCertificate(View, frozen=True, kw_only=True):
    """A certificate for a client, its key, and the authority that a client of the node trusts; all PEM."""

    certificate: str
    key: str
    ca: str


class Caller(View, frozen=True, kw_only=True):
    """Who calls. `scopes` is left out where everything is allowed that the role allows."""

    name: str
    tenant: str
    role: str
    client: str = ""
    scopes: tuple[str, ...] | None = None


class AccessClient:
    """What a node can be asked about access."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def me(self) -> Caller:
        """Who I am for the node."""
        return self.http.get("/skerry/v1/access/me", Caller)

    def all(self) -> list[ClientView]:
        """Clients of the caller's tenant; for the node's own administrators, of all tenants."""
        return self.http.every(CLIENTS, ClientView)

    def create(self, request: Mapping[str, Any]) -> ClientSecret:
        """Make a client."""
        return msgspec.json.decode(self.http.post(CLIENTS, request).content, type=ClientSecret)

    def rotate(self, id: str) -> ClientSecret:
        """Replace a client's secret."""
        return msgspec.json.decode(self.http.post(f"{CLIENTS}/{id}/rotate", {}).content, type=ClientSecret)

    def certify(self, id: str) -> ClientCertificate:
        """Issue a certificate to a client."""
        return msgspec.json.decode(self.http.post(f"{CLIENTS}/{id}/certificate", {}).content, type=ClientCertificate)

    def delete(self, id: str) -> None:
        """Forget a client."""
        self.http.send("DELETE", f"{CLIENTS}/{id}")
