"""Our own API: what ETSI's do not have, and views made for people."""

from skerry.api.own import (
    access,
    applications,
    backup,
    dataplane,
    events,
    indicators,
    instances,
    mep,
    node,
    operations,
    orphans,
    packages,
    performance,
    snapshots,
)
from skerry.api.route import Api

ROUTES = (
    *node.ROUTES,
    *packages.ROUTES,
    *operations.ROUTES,
    *events.ROUTES,
    *instances.ROUTES,
    *applications.ROUTES,
    *orphans.ROUTES,
    *backup.ROUTES,
    *snapshots.ROUTES,
    *performance.ROUTES,
    *indicators.ROUTES,
    *dataplane.ROUTES,
    *mep.ROUTES,
    *access.ROUTES,
)
API = Api("skerry", "Skerry", {1: "1.0.0"}, ROUTES)
