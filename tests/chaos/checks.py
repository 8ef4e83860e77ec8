"""What must hold after any crash: nothing lost, nothing repeated that was complete, no orphan, nothing stuck, and records
that are the truth."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from skerry.engine.explain import explain
from skerry.model.operations import Operation
from skerry.model.resources import ResourceState
from skerry.model.states import FINAL, OperationState, StepState
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ComputeState
from skerry.vim.simulated.world import Machine
from tests.chaos.arena import Arena, Life

DONE = {OperationState.COMPLETED: {StepState.DONE}, OperationState.ROLLED_BACK: {StepState.UNDONE, StepState.PENDING}}
MOMENTS = frozenset({"started_at", "created_at", "pid", "state", "exit_code"})


async def faults(life: Life, acknowledged: set[str]) -> list[str]:
    """Everything that is wrong. `acknowledged` are the operations that somebody was told of."""
    found = list(life.arena.faults)
    operations = {each.id: each for each in life.node.engine.operations()}
    found += [f"operation {id} is lost" for id in sorted(acknowledged - operations.keys())]
    for operation in operations.values():
        found += _stuck(life, operation)
        found += _journal(life, operation)
    found += _repeated(life.arena)
    found += await _orphans(life)
    for vnf in life.node.vnfm.instances():
        if not life.node.engine.operations(subject=vnf.id)[-1:] or _last(life, vnf.id).state in FINAL:
            found += truth(life, vnf)
    return found


def _last(life: Life, subject: str) -> Operation:
    return life.node.engine.operations(subject=subject)[-1]


def _stuck(life: Life, operation: Operation) -> list[str]:
    if operation.state in FINAL:
        return []
    kind = life.node.engine.kind(operation.kind)
    told = explain(operation, life.node.engine.steps(operation.id), revertible=kind.revertible)
    if operation.state is not OperationState.FAILED_TEMP or not {"retry", "fail"} <= set(told.options):
        return [f"{operation.kind} {operation.id} is stuck in {operation.state}: {told.summary}"]
    return [] if told.summary and operation.error else [f"{operation.kind} {operation.id} does not say why it failed"]


def _journal(life: Life, operation: Operation) -> list[str]:
    """The journal of an ended operation says so of each of its steps."""
    allowed = DONE.get(operation.state)
    if allowed is None:
        return []
    return [
        f"{operation.kind} is {operation.state} and its step {record.key} is {record.state}"
        for record in life.node.engine.steps(operation.id)
        if record.state not in allowed
    ]


def _repeated(arena: Arena) -> list[str]:
    """Each step was begun once, and once more for each kill, failure that was retried, or decision at most; each script ran
    once."""
    found = [
        f"step {key[1]} was begun {count} times in {arena.restarts} lives"
        for key, count in arena.begun.items()
        if count > arena.restarts + arena.decisions
    ]
    steps = Counter(arena.touched(key) for key in arena.begun if key[1].startswith("script:"))
    runs = Counter(run.instance for run in arena.scripts.runs)
    return found + [
        f"{count} scripts ran in {name} for {steps[name]} steps"
        for name, count in runs.items()
        if count > steps[name] + arena.script_failures
    ]


async def _orphans(life: Life) -> list[str]:
    there = await life.node.orphans.find()
    found = [f"{each.what} {each.kind} {each.name} ({each.instance})" for each in there.orphans]
    return found + [f"VIM {vim} does not answer: {why}" for vim, why in there.unanswered.items()]


def truth(life: Life, vnf: VnfInstance) -> list[str]:
    """Where the record of a VNF and the infrastructure disagree."""
    found: list[str] = []
    machines = {name: machine for one in life.worlds.values() for name, machine in one.has.machines.items()}
    for key, resource in vnf.resources.items():
        if resource.state is ResourceState.PLANNED and _settled(life, vnf.id):
            found.append(f"{key} of {vnf.id} is still {resource.state}")
        if resource.kind == "compute" and resource.state is ResourceState.PRESENT:
            machine = machines.get(resource.spec["name"])
            if machine is None:
                found.append(f"{key} of {vnf.id} is recorded and gone")
                continue
            powered = f"power:{key.removeprefix('compute:')}" in vnf.resources
            if powered != (machine.compute.state is ComputeState.RUNNING) and _settled(life, vnf.id):
                found.append(f"{key} is {machine.compute.state} and its power is recorded {powered}")
            if list(msgspec.to_builtins(machine.compute.nics)) != resource.outputs["nics"]:
                found.append(f"{key} has other interfaces than recorded")
            if resource.outputs["id"] != machine.compute.id:
                found.append(f"{key} has another id than recorded")
    if _settled(life, vnf.id):
        names = {f"compute:{name}" for group in vnf.everybody.values() for name in group}
        have = {key for key, each in vnf.resources.items() if each.kind == "compute"}
        if names != have:
            found.append(f"VNF {vnf.id} names {sorted(names)} and has {sorted(have)}")
    return found


def _settled(life: Life, subject: str) -> bool:
    """Whether the last operation ended as it was meant to; one that was given up leaves what there is."""
    mine = life.node.engine.operations(subject=subject)
    return all(each.state in (OperationState.COMPLETED, OperationState.ROLLED_BACK) for each in mine[-1:]) and all(
        each.state is not OperationState.FAILED for each in mine
    )


def picture(life: Life) -> dict[str, Any]:
    """Records and infrastructure, without what differs from run to run (moments, process numbers, revisions)."""
    node = life.node
    return {
        "vnfs": {vnf.id: _record(msgspec.to_builtins(vnf)) for vnf in node.vnfm.instances()},
        "apps": {app.id: _record(msgspec.to_builtins(app)) for app in node.meo.instances()},
        "platform": {app.id: _record(msgspec.to_builtins(app)) for app in node.mep.apps.all(tenant="")},
        "nss": {ns.id: _record(msgspec.to_builtins(ns)) for ns in node.nfvo.instances()},
        "machines": {
            f"{id}/{name}": _machine(machine)
            for id, one in life.worlds.items()
            for name, machine in sorted(one.has.machines.items())
        },
        "networks": {
            f"{id}/{name}": msgspec.to_builtins(network)
            for id, one in life.worlds.items()
            for name, network in sorted(one.has.networks.items())
        },
        "ports": {id: msgspec.to_builtins(one.has.plugged) for id, one in life.worlds.items()},
        "snapshots": {
            each.id: {
                "of": each.vnf_instance_id,
                "images": sorted(one.image for one in each.vnfcs.values()),
                "finished": bool(each.finished_at),
            }
            for each in node.vnfm.snapshots.all(tenant="")
        },
        "snapshot images": {
            id: sorted(name for name in one.has.images if name.startswith("snapshot:"))
            for id, one in life.worlds.items()
        },
    }


def _machine(machine: Machine) -> dict[str, Any]:
    """An instance as it is; whether its addresses were asked for or found does not matter."""
    spec = msgspec.to_builtins(machine.spec)
    return {**spec, "nics": msgspec.to_builtins(machine.compute.nics), "state": machine.compute.state.value}


def _record(document: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in document.items() if key not in ("rev", "created_at")}
    kept["resources"] = {
        key: {
            **{name: value for name, value in resource.items() if name != "created_at"},
            "outputs": {name: value for name, value in resource.get("outputs", {}).items() if name not in MOMENTS},
        }
        for key, resource in sorted(document.get("resources", {}).items())
    }
    return kept


def difference(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two pictures differ, for people."""
    if isinstance(one, dict) and isinstance(other, dict):
        found: list[str] = []
        for key in sorted(one.keys() | other.keys()):
            found += difference(one.get(key), other.get(key), f"{path}/{key}")
        return found
    return [] if one == other else [f"{path}: {one!r} is not {other!r}"]
