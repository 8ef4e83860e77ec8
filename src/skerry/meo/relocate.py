"""Relocate an application: bring it up on another MEC host, lead its rules there, then remove it where it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import InvalidError
from skerry.meo.goal import RULES, SERVICES, AppGoal, current, service_id
from skerry.meo.instantiate import InstantiateApp
from skerry.meo.placement import Wish
from skerry.meo.state import transfers
from skerry.model.app import AppInstance
from skerry.model.operations import Step


class RelocateApp(InstantiateApp):
    """Parameters: as for an instantiation; without hosts to choose from, all but the one where it is (own: the standard leaves
    this between the orchestrator and its platform managers). Files below `MEC_STATE_DIR` of a running application move with it
    where its AppD says that its user context can be transferred; nothing else that it has stored does."""

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

    def between(self, instance: AppInstance, goal: AppGoal, steps: list[Step]) -> list[Step]:
        """State is carried over when the new instances run and before traffic is led to them."""
        if not goal.running or not transfers(self.desk.appd(instance)):
            return steps
        carry = Step(
            key="carry:state",
            action="mec.state",
            note="files of the application move along",
            needs=(f"create:{SERVICES}{goal.host}",),
            args={"from": instance.ns_id, "to": service_id(instance.id, goal.host)},
            timeout_s=600.0,
        )
        led = (
            msgspec.structs.replace(step, needs=(*step.needs, carry.key)) if step.key == f"update:{RULES}" else step
            for step in steps
        )
        return [*led, carry]
