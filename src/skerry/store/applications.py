"""The collections of the orchestrator of applications."""

from __future__ import annotations

from skerry.model.app import AppGrant, AppInstance, AppPkgInfo, MecHost
from skerry.store.documents import Collection

packages = Collection(
    "app_packages",
    AppPkgInfo,
    "application package",
    {"app_d_id": lambda doc: doc.app_d_id, "master": lambda doc: doc.master},
)
instances = Collection(
    "app_instances",
    AppInstance,
    "application instance",
    {"app_pkg_id": lambda doc: doc.app_pkg_id, "ns_id": lambda doc: doc.ns_id},
)
hosts = Collection("mec_hosts", MecHost, "MEC host", {"zone": lambda doc: doc.zone})
grants = Collection("app_grants", AppGrant, "grant", {"app_instance_id": lambda doc: doc.app_instance_id})
