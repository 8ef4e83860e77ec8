"""Traffic rules in force on the node's data plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from skerry.dataplane.intents import Chain, Device, Intents, Port, Steering
from skerry.dataplane.parts import declared
from skerry.dataplane.views import DeviceView, RuleState, RuleView
from skerry.errors import UnavailableError, UnsupportedError
from skerry.mep import translate
from skerry.model.mec import App, TrafficRule


class Plane(Protocol):
    """What is needed of a data plane; `skerry.dataplane.service.DataPlane` fits it."""

    def ports(self, *, tenant: str | None = None) -> list[Port]: ...
    def devices(self) -> list[DeviceView]: ...
    def intents(self, *, tenant: str | None = None, owner: str = "") -> list[Intents]: ...
    async def replace_owner(self, owner: str, intents: Sequence[Intents]) -> None: ...
    async def rules(self, *, tenant: str | None = None, device: str = "", owner: str = "") -> list[RuleView]: ...


class PlaneSteering:
    """Fits `skerry.mep.steering.Steering`. The data plane proves, applies, reads back and probes; the intents of an application
    change as a whole."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    @property
    def able(self) -> bool:
        """Whether there is a port that traffic can go through."""
        return bool(declared(self._plane.ports(), (), ()))

    def _devices(self) -> list[Device]:
        return [view.device for view in self._plane.devices()]

    async def put(self, app: App, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Translate and replace; a rule is verified when every flow of its intents was. One that another rule overrules is in
        force and cannot be verified."""
        ports = declared(self._plane.ports(tenant=app.tenant), self._devices(), [app.zone])
        if rules and not ports:
            raise UnsupportedError(
                "cannot put a traffic rule in force: the data plane of this node has no ports",
                suggestion="add the device and its ports, or leave the rule INACTIVE",
            )
        made = {rule.traffic_rule_id: translate.intents(rule, app, ports) for rule in rules}
        intents = translate.deciding([intent for several in made.values() for intent in several])
        owner = translate.owner_of(app.id)
        before = self._plane.intents(owner=owner)
        await self._plane.replace_owner(owner, intents)
        try:
            return proof(made, await self._plane.rules() if intents else ())
        except UnavailableError:
            await self._plane.replace_owner(owner, before)
            raise

    async def owners(self) -> Sequence[str]:
        """The applications that own intents."""
        owners = {intent.owner for intent in self._plane.intents()}
        return sorted(one.removeprefix(translate.PREFIX) for one in owners if one.startswith(translate.PREFIX))

    async def remove(self, app_id: str) -> None:
        """Nothing stays."""
        if app_id in await self.owners():
            await self._plane.replace_owner(translate.owner_of(app_id), ())

    def durable(self, app: App) -> bool:
        """The platform itself sees to it."""
        return False


def proof(made: Mapping[str, Sequence[Steering | Chain]], views: Sequence[RuleView]) -> dict[str, bool]:
    """Whether each rule is verified, by its id: every flow of its intents was. `UnavailableError` for one that is not even in
    force. Pure."""
    there = {intent.id for intent in translate.deciding([intent for several in made.values() for intent in several])}
    states: dict[str, list[RuleState]] = {}
    for view in views:
        states.setdefault(view.rule.owner, []).append(view.state)
    for id, several in made.items():
        mine = [intent.id for intent in several if intent.id in there]
        found = [state for id in mine for state in states.get(id, ())]
        if mine and (not found or RuleState.REQUESTED in found):
            raise UnavailableError(
                f"cannot put the traffic rule {id} in force: no device has all of its flows",
                suggestion="see `skerry dataplane` for devices in trouble, or filter what comes in at a port there",
            )
    return {id: _verified(states, [intent.id for intent in several]) for id, several in made.items()}


def _verified(states: Mapping[str, Sequence[RuleState]], ids: Sequence[str]) -> bool:
    found = [state for id in ids for state in states.get(id, ())]
    return bool(found) and all(state is RuleState.VERIFIED for state in found)
