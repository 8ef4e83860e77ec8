"""Start or stop an application (MEC 010-2 clause 7.4.7). Its record, addresses and platform registration stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.meo.goal import AppGoal, current, patience
from skerry.meo.operation import AppOperation
from skerry.model.app import AppInstance
from skerry.model.operations import Step
from skerry.model.platform import Action


class OperateApp(AppOperation):
    """Parameters: OperateAppRequest (6.2.2.7): `changeStateTo` STARTED or STOPPED, `stopType` GRACEFUL or FORCEFUL,
    `gracefulStopTimeout` in seconds."""

    name: ClassVar[str] = "app.operate"

    def task(self, params: Mapping[str, Any]) -> str:
        return "stop" if params["changeStateTo"] == "STOPPED" else "start"

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        self.notice(instance, params)
        return msgspec.structs.replace(current(instance), running=params["changeStateTo"] == "STARTED")

    def notice(self, instance: AppInstance, params: Mapping[str, Any]) -> tuple[Action, float] | None:
        if params["changeStateTo"] == "STARTED" or params.get("stopType") == "FORCEFUL":
            return None
        config = self.desk.appd(instance).change_app_instance_state_op_config
        least = config.min_graceful_stop_timeout if config else 0.0
        recommended = config.max_recommended_graceful_stop_timeout if config else 0.0
        return "STOPPING", patience(params.get("gracefulStopTimeout"), least, recommended, "/gracefulStopTimeout")

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        if step.action != "mec.service.update":
            return step
        return msgspec.structs.replace(step, args={**step.args, "how": params.get("stopType", "GRACEFUL")})
