"""MEC 010-2: application packages (Mm1, Mm3), application life-cycle (Mm1, Mm3), granting (Mm3)."""

from skerry.api.mec010 import app_instances, app_operations, app_packages, app_subscriptions, granting
from skerry.api.route import Api

APP_PKGM = Api(
    "app_pkgm",
    "MEC 010-2 application package management",
    {1: "3.1.1"},
    (*app_packages.ROUTES, *app_subscriptions.PACKAGE_ROUTES),
)
APP_LCM = Api(
    "app_lcm",
    "MEC 010-2 application life-cycle management",
    {1: "3.1.1"},
    (*app_instances.ROUTES, *app_operations.ROUTES, *app_subscriptions.INSTANCE_ROUTES),
)
GRANTING = Api("granting", "MEC 010-2 application granting", {1: "3.1.1"}, granting.ROUTES)

NOT_SERVED = {
    "/user_defined_notification": "stands for the subscriber's own address, which the node calls",
}
"""Paths of the official files that no node serves, and why."""
