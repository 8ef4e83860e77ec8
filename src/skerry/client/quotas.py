"""Quotas of tenants, as the API shows them and the command line asks for them."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from skerry.client.http import Http
from skerry.client.views import View
from skerry.model.quotas import Limits, TenantUsage

QUOTAS = "/skerry/v1/access/quotas"


class QuotaView(View, frozen=True, kw_only=True):
    """What a tenant may have at most (what is left out is not limited), and what counts towards that now."""

    tenant: str
    limits: Limits
    usage: TenantUsage


class QuotaClient:
    """What a node can be asked about quotas."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def all(self) -> list[QuotaView]:
        """Every tenant that has limits."""
        return self._http.every(QUOTAS, QuotaView)

    def get(self, tenant: str) -> QuotaView:
        """The limits of a tenant, if it has any, and what it uses."""
        return self._http.get(_path(tenant), QuotaView)

    def put(self, tenant: str, limits: Limits) -> QuotaView:
        """These are the tenant's limits now."""
        answer = self._http.send("PUT", _path(tenant), json=msgspec.to_builtins(limits))
        return msgspec.json.decode(answer.content, type=QuotaView)

    def delete(self, tenant: str) -> None:
        """The tenant has no limits any more."""
        self._http.send("DELETE", _path(tenant))


def _path(tenant: str) -> str:
    return f"{QUOTAS}/{quote(tenant, safe='')}"
