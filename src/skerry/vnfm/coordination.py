"""LCM coordination (SOL002 clause 10): before an operation changes a VNF, the VNF or its EM is asked whether it may.

The VNFD says which actions belong to which operation (`LcmCoordinationsForLcmOperation`), the VNF where to ask
(`vnfm.element`). An instantiation asks at its end, when there is somebody to answer. A forceful termination does not ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import SkerryError
from skerry.model.operations import Step
from skerry.model.states import lcm_operation_type
from skerry.model.vnf import VnfInstance
from skerry.vnfm.desk import Desk
from skerry.vnfm.element import Elements, Told, endpoint_of

ACTION = "coordinate.ask"
PATH = "/lcmcoord/v1/coordinations"
PATIENCE_S = 3600.0
LONGEST_PAUSE_S = 60.0


def coordinated(
    steps: Sequence[Step], kind: str, vnf: VnfInstance, actions: Mapping[str, tuple[str, ...]]
) -> tuple[Step, ...]:
    """A plan with the coordination that the VNFD wants, each action after the one before. Pure."""
    named = actions.get(lcm_operation_type(kind).lower(), ()) if endpoint_of(vnf) else ()
    if not named:
        return tuple(steps)
    last = kind == "vnf.instantiate"
    needs = tuple(step.key for step in steps) if last else ()
    asked: list[Step] = []
    for name in named:
        asked.append(
            Step(
                key=f"coordinate:{name}",
                action=ACTION,
                note=f"coordinate {name}",
                args={"action": name, "operation": lcm_operation_type(kind)},
                needs=needs,
                timeout_s=PATIENCE_S,
            )
        )
        needs = (asked[-1].key,)
    if last:
        return (*steps, *asked)
    return (*asked, *(_after(step, asked[-1].key) for step in steps))


def _after(step: Step, key: str) -> Step:
    return step if step.needs else msgspec.structs.replace(step, needs=(key,))


class Coordinator:
    """Asks. `root` is this node's address as VNFs see it."""

    def __init__(self, desk: Desk, elements: Elements, root: str) -> None:
        self._desk = desk
        self._elements = elements
        self._root = root

    def register(self, engine: Engine) -> None:
        """Do the steps of this kind."""
        engine.add_handler(ACTION, self.ask)

    async def ask(self, context: StepContext) -> Mapping[str, Any]:
        """Ask until there is an answer. A VNF that answers ABORT or CANCELLED stops the operation."""
        vnf = self._desk.instance(context.operation.subject)
        name = context.args["action"]
        told = await self._asked(vnf, self._request(vnf, context))
        while told.status == 202:
            place = told.headers.get("location", "")
            await asyncio.sleep(_pause(told))
            told = await self._elements.ask(vnf, "GET", _own(place, vnf) if place else PATH)
        answer = told.body if isinstance(told.body, dict) else {}
        result = answer.get("coordinationResult")
        if told.status in (200, 201) and result == "CONTINUE":
            kept = {key: answer[key] for key in ("id", "outputParams", "warnings") if key in answer}
            return {"action": name, "result": result, **kept}
        error = answer.get("error") if told.status in (200, 201) else answer
        detail = error.get("detail", "") if isinstance(error, dict) else ""
        raise SkerryError(
            f"cannot go on: VNF {vnf.id} answers {result or told.status} to {name}" + (f": {detail}" if detail else ""),
            suggestion="retry the operation when the VNF is ready, or roll it back",
        )

    async def _asked(self, vnf: VnfInstance, body: Mapping[str, Any]) -> Told:
        """The first answer that is not "later"."""
        while True:
            told = await self._elements.ask(vnf, "POST", PATH, body)
            if told.status != 503 or "retry-after" not in told.headers:
                return told
            await asyncio.sleep(_pause(told))

    def _request(self, vnf: VnfInstance, context: StepContext) -> dict[str, Any]:
        """LcmCoordRequest (10.5.2.2)."""
        operation = context.operation.id
        return {
            "vnfInstanceId": vnf.id,
            "vnfLcmOpOccId": operation,
            "lcmOperationType": context.args["operation"],
            "coordinationActionName": context.args["action"],
            "_links": {
                "vnfLcmOpOcc": {"href": f"{self._root}/vnflcm/v2/vnf_lcm_op_occs/{operation}"},
                "vnfInstance": {"href": f"{self._root}/vnflcm/v2/vnf_instances/{vnf.id}"},
            },
        }


def _own(location: str, vnf: VnfInstance) -> str:
    """A place that the VNF named, on the VNF's own address: what we say to it is for nobody else."""
    mine, parts = urlsplit(endpoint_of(vnf)), urlsplit(location)
    query = f"?{parts.query}" if parts.query else ""
    # Without its slash a path such as "@elsewhere/" would become a part of the address.
    return f"{mine.scheme}://{mine.netloc}/{parts.path.lstrip('/')}{query}"


def _pause(told: Told) -> float:
    """How long the VNF wants us to wait."""
    text = told.headers.get("retry-after", "")
    return min(max(float(text) if text.isdigit() else 1.0, 0.1), LONGEST_PAUSE_S)
