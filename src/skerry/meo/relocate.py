"""Relocate an application: bring it up on another MEC host, lead its rules there, then remove it where it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import InvalidError
from skerry.meo.goal import AppGoal, current
from skerry.meo.instantiate import InstantiateApp
from skerry.meo.placement import Wish
from skerry.model.app import AppInstance


class RelocateApp(InstantiateApp):
    """Parameters: as for an instantiation; without hosts to choose from, all but the one where it is (own: the standard leaves
    this between the orchestrator and its platform managers). What it has stored itself does not move."""

    name: ClassVar[str] = "app.relocate"

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        self.wish(instance, params)
        return current(instance)

    def wish(self, instance: AppInstance, params: Mapping[str, Any]) -> Wish:
        free = msgspec.structs.replace(instance, wanted_host="")
        wished = super().wish(free, params)
        others = tuple(host.id for host in self.desk.hosts.all() if host.id != instance.host)
        hosts = tuple(id for id in wished.hosts if id != instance.host) if wished.hosts else others
        if not hosts:
            raise InvalidError(
                f"cannot relocate application {instance.id}: there is no host but {instance.host}",
                suggestion="name another host, or register an infrastructure in another zone",
            )
        return msgspec.structs.replace(wished, hosts=hosts)
