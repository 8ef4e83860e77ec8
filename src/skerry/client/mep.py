"""The MEC platform of a node, as its operator sees it."""

from __future__ import annotations

from skerry.client.http import Http
from skerry.client.views import View

ROOT = "/skerry/v1/mep"


class AppView(View, frozen=True, kw_only=True):
    """An application at the platform."""

    id: str
    name: str
    provider: str = ""
    state: str
    zone: str = ""
    by_mec: bool = False
    services: int = 0
    subscriptions: int = 0


class PlatformView(View, frozen=True, kw_only=True):
    """The platform of a zone with its manager (MEPM-V), and how much of the tenant's it has. Applications that came by
    themselves and named no zone are at the one of zone ""."""

    id: str
    zone: str
    manager: str
    orchestrator: str = ""
    apps: int = 0
    services: int = 0
    traffic_rules: int = 0
    dns_rules: int = 0


class ServiceView(View, frozen=True, kw_only=True):
    """A service; `interval_s` 0 where no signs of life are expected, `heard_at` the last one (RFC 3339)."""

    id: str
    name: str
    version: str
    state: str
    app: str
    category: str = ""
    transport: str = ""
    endpoint: str = ""
    interval_s: int = 0
    heard_at: str = ""


class RuleView(View, frozen=True, kw_only=True):
    """A traffic rule. `verified`: its effect was read back and probed; `changing`: a change is under way."""

    app: str
    id: str
    state: str
    verified: bool
    changing: bool = False
    zone: str = ""
    priority: int
    action: str
    filters: list[str]
    to: str = ""


class NameView(View, frozen=True, kw_only=True):
    """A DNS rule. `verified`: the server said that it gives this answer."""

    app: str
    id: str
    state: str
    verified: bool
    changing: bool = False
    name: str
    address: str
    ttl: int | None = None
    zone: str = ""


class NamesView(View, frozen=True, kw_only=True):
    """Every DNS rule, and where names are resolved ("" while nothing is)."""

    server: str = ""
    rules: list[NameView]


class Mep:
    """What the platform knows."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def platforms(self) -> list[PlatformView]:
        """The platforms, one for each zone."""
        return self._http.get(f"{ROOT}/platforms", list[PlatformView])

    def apps(self) -> list[AppView]:
        """Applications."""
        return self._http.get(f"{ROOT}/apps", list[AppView])

    def services(self) -> list[ServiceView]:
        """Services."""
        return self._http.get(f"{ROOT}/services", list[ServiceView])

    def rules(self) -> list[RuleView]:
        """Traffic rules."""
        return self._http.get(f"{ROOT}/traffic_rules", list[RuleView])

    def names(self) -> NamesView:
        """DNS rules."""
        return self._http.get(f"{ROOT}/dns_rules", NamesView)
