"""Configure the platform for an application (MEC 010-2 clause 7.4.9): before it is instantiated, or while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.meo.goal import AppGoal, current, effective, overridden
from skerry.meo.operation import AppOperation
from skerry.model.app import AppInstance


class ConfigureApp(AppOperation):
    """Parameters: ConfigPlatformForAppRequest (6.2.2.28). Attributes that it has replace those of the descriptor."""

    name: ClassVar[str] = "app.configure"

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        base = effective(self.desk.appd(instance), instance.config)
        return msgspec.structs.replace(current(instance), config=overridden(base, params))
