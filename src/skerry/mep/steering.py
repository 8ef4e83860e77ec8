"""What the platform needs of a data plane: traffic rules of applications put in force, and the proof of it.

The rules of an application are one owner's: all of them are put at once, so that whatever was there of it before is replaced,
and putting the same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from skerry.errors import UnsupportedError
from skerry.model.mec import App, TrafficRule


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
