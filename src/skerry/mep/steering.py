"""What the platform needs of a data plane: traffic rules of applications put in force, and the proof of it.

The rules of an application are one owner's: all of them are put at once, so that whatever was there of it before is replaced,
and putting the same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from skerry.errors import UnavailableError, UnsupportedError
from skerry.model.mec import App, TrafficRule
from skerry.model.platform import Managers


class UndecidedError(UnavailableError):
    """The node stops while others are changing the rules; they go on when it is back, and so does who asked."""


class Steering(Protocol):
    """A data plane as the platform sees it."""

    @property
    def able(self) -> bool:
        """Whether any rule can be in force here now."""
        ...

    async def put(self, app: App, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Make exactly these rules of an application effective; returns when they are. The answer says of each rule whether
        its effect was read back. `UnsupportedError` or `InvalidError` where one cannot be; then nothing was changed."""
        ...

    async def owners(self) -> Sequence[str]:
        """The applications that have rules in force."""
        ...

    async def remove(self, app_id: str) -> None:
        """Nothing of an application stays in force. Succeeds when there is nothing."""
        ...

    def durable(self, app: App) -> bool:
        """Whether somebody else keeps this application's rules in force, also while the platform is away."""
        ...


class ManagedSteering:
    """Rules of applications that the NFVO has deployed go to the platform manager of their zone (Mm5), those of others straight
    to the data plane. `managers` is None while there is nobody to ask."""

    def __init__(self, direct: Steering) -> None:
        self._direct = direct
        self.managers: Managers | None = None

    @property
    def able(self) -> bool:
        """As the data plane is."""
        return self._direct.able

    def durable(self, app: App) -> bool:
        """Those that are paths of a network service."""
        return self.managers is not None and self.managers.at(app.zone).manages(app.id)

    async def put(self, app: App, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Ask the manager, or the data plane."""
        if self.managers is None or not self.durable(app):
            return await self._direct.put(app, rules)
        return await self.managers.at(app.zone).redirect(app.id, rules)

    async def owners(self) -> Sequence[str]:
        """Those whose rules went straight there."""
        return await self._direct.owners()

    async def remove(self, app_id: str) -> None:
        """Of what went straight there; the paths of a network service go with it."""
        await self._direct.remove(app_id)


class SimulatedSteering:
    """Rules kept in memory: for planning and simulation. `refused` are ids of rules that fail."""

    able = True

    def __init__(self) -> None:
        self.in_force: dict[str, tuple[TrafficRule, ...]] = {}
        self.refused: set[str] = set()

    async def put(self, app: App, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Keep them."""
        for rule in rules:
            if rule.traffic_rule_id in self.refused:
                raise UnsupportedError(
                    f"cannot put the traffic rule {rule.traffic_rule_id} in force: it is refused here"
                )
        self.in_force[app.id] = tuple(rules)
        if not rules:
            self.in_force.pop(app.id)
        return {rule.traffic_rule_id: True for rule in rules}

    async def owners(self) -> Sequence[str]:
        """Who has some."""
        return list(self.in_force)

    async def remove(self, app_id: str) -> None:
        """Forget them."""
        self.in_force.pop(app_id, None)

    def durable(self, app: App) -> bool:
        """Memory is not."""
        return False
