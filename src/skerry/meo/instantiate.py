"""Instantiate an application (MEC 010-2 clause 7.4.6): choose its host, make it known there, bring it up, enforce its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import Fault, InvalidError, RejectedError
from skerry.meo.goal import AppGoal, effective
from skerry.meo.operation import AppOperation
from skerry.meo.placement import Wish, judged
from skerry.model.app import AppInstance
from skerry.model.operations import Verdict


class InstantiateApp(AppOperation):
    """Parameters: InstantiateAppRequest (6.2.2.6). `selectedMECHostInfo` are the hosts to choose from, `locationConstraints`
    restricts them by country and civic address."""

    name: ClassVar[str] = "app.instantiate"

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        self.wish(instance, params)
        return AppGoal(running=True, config=instance.config)

    async def located(
        self, instance: AppInstance, goal: AppGoal, params: Mapping[str, Any]
    ) -> tuple[AppGoal, tuple[Verdict, ...]]:
        return await self.place(instance, goal, params)

    async def place(
        self, instance: AppInstance, goal: AppGoal, params: Mapping[str, Any]
    ) -> tuple[AppGoal, tuple[Verdict, ...]]:
        """The best host that has what is required and room for it. `InvalidError` tells for every host why not,
        `RejectedError` which quota of the tenant is too small."""
        self.desk.require_quota(instance)
        config = effective(self.desk.appd(instance), goal.config)
        hosts = {host.id: host for host in await self.desk.hosts.candidates()}
        fitting, verdicts = judged(config, list(hosts.values()), self.wish(instance, params))
        said = {verdict.site: verdict for verdict in verdicts}
        for id in fitting:
            for vim in hosts[id].vims:
                try:
                    await self.desk.capacity(instance, vim)
                except RejectedError as error:
                    said[id] = msgspec.structs.replace(said[id], fits=False, reason=error.detail)
                    continue
                said[id] = msgspec.structs.replace(said[id], fits=True, chosen=True)
                found = msgspec.structs.replace(goal, host=id, zone=hosts[id].zone, vim=vim)
                return found, tuple(said.values())
        raise unplaced(instance, list(said.values()))

    def wish(self, instance: AppInstance, params: Mapping[str, Any]) -> Wish:
        """What the request says of the place. `NotFoundError` for a host that there is not."""
        named = tuple(self.desk.hosts.named(entry) for entry in params.get("selectedMECHostInfo", ()))
        if instance.wanted_host and named and instance.wanted_host not in named:
            raise InvalidError(
                f"cannot put application {instance.id} on {', '.join(named)}: it was created for {instance.wanted_host}"
            )
        place = params.get("locationConstraints", {})
        if "area" in place:
            fault = Fault(message="areas are not known", path="/locationConstraints/area", code="area")
            raise InvalidError("cannot place by area: the hosts have no geographical position", faults=[fault])
        civic = {str(one["caType"]): str(one["caValue"]) for one in place.get("civicAddressElement", ())}
        hosts = (instance.wanted_host,) if instance.wanted_host else named
        return Wish(hosts=hosts, country=place.get("countryCode", ""), civic_address=civic)


def unplaced(instance: AppInstance, verdicts: list[Verdict]) -> InvalidError:
    """Nothing fits: the reasons, host by host."""
    faults = [
        Fault(
            message=verdict.reason, path=verdict.site, code="host", fix="choose another host or give it what it lacks"
        )
        for verdict in verdicts
    ]
    told = "; ".join(f"{verdict.site}: {verdict.reason}" for verdict in verdicts) or "there is no MEC host"
    return InvalidError(
        f"cannot place application {instance.app_name}: {told}",
        faults=faults,
        suggestion="start what it requires on a host, or register a host that has it (see `skerry doctor`)",
    )
