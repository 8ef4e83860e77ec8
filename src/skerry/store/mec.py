"""The collections of the MEC platform."""

from __future__ import annotations

from collections.abc import Callable

from skerry.model.mec import App, DnsZone, Rule, Service
from skerry.store.database import Transaction
from skerry.store.documents import Collection

apps = Collection("mec_apps", App, "application instance")
services = Collection("mec_services", Service, "service", {"app": lambda doc: doc.app_id})
rules = Collection("mec_rules", Rule, "rule", {"app": lambda doc: doc.app_id, "kind": lambda doc: doc.kind})
zones = Collection("dns_zones", DnsZone, "DNS zone")


def require_app(tx: Transaction, id: str, tenant: str) -> None:
    """`NotFoundError` where an application is not there, or another tenant's."""
    if not tx.execute("SELECT 1 FROM mec_apps WHERE id = ? AND tenant = ?", (id, tenant)).fetchall():
        raise apps.missing(id)


Change = Callable[[Transaction], App]
"""A change of an application inside a transaction."""
