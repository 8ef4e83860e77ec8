"""Terminate an application (MEC 010-2 clause 7.4.8): tell it, wait for its answer, take its rules away, free everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.meo.goal import AppGoal, patience
from skerry.meo.operation import AppOperation, require
from skerry.model.app import AppInstance
from skerry.model.operations import Operation, Step
from skerry.model.platform import Action
from skerry.model.states import AppOperationalState
from skerry.store import applications
from skerry.store.database import Transaction


class TerminateApp(AppOperation):
    """Parameters: TerminateAppRequest (6.2.2.8): `terminationType` GRACEFUL or FORCEFUL, `gracefulTerminationTimeout` in
    seconds. Also removes what an instantiation that was given up left behind."""

    name: ClassVar[str] = "app.terminate"
    revertible: ClassVar[bool] = False

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = applications.instances.get(tx, operation.subject)
        if not instance.resources:
            require(instance, self.task(operation.params))
        self.notice(instance, operation.params)

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        return AppGoal(config=instance.config)

    def notice(self, instance: AppInstance, params: Mapping[str, Any]) -> tuple[Action, float] | None:
        if params.get("terminationType") == "FORCEFUL":
            return None
        if instance.operational_state is AppOperationalState.STOPPED:
            return None  # nobody is there to answer
        config = self.desk.appd(instance).terminate_app_instance_op_config
        least = config.min_graceful_termination_timeout if config else 0.0
        recommended = config.max_recommended_graceful_termination_timeout if config else 0.0
        asked = params.get("gracefulTerminationTimeout")
        return "TERMINATING", patience(asked, least, recommended, "/gracefulTerminationTimeout")

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        if step.action != "mec.service.delete":
            return step
        args = {**step.args, "how": params.get("terminationType", "GRACEFUL")}
        return msgspec.structs.replace(step, args=args, timeout_s=86_400.0)
