"""Our own API: what ETSI's do not have, and views made for people."""

from skerry.api.own import (
    access,
    applications,
    backup,
    dataplane,
    events,
    images,
    indicators,
    instances,
    keys,
    lvnf_agents,
    lvnfs,
    mep,
    node,
    operations,
    orphans,
    packages,
    performance,
    snapshots,
    subscribers,
    vims,
)
from skerry.api.route import Api

ROUTES = (
    *node.ROUTES,
    *vims.ROUTES,
    *images.ROUTES,
    *keys.ROUTES,
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
    *subscribers.ROUTES,
    *dataplane.ROUTES,
    *lvnf_agents.ROUTES,
    *lvnfs.ROUTES,
    *mep.ROUTES,
    *access.ROUTES,
)
API = Api("skerry", "Skerry", {1: "1.0.0"}, ROUTES)
