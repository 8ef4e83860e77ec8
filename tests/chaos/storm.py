"""A storm: operations of all kinds at random, on infrastructure that fails, hangs, answers late and twice, under a node that
is killed again and again. All of it follows from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from skerry.errors import SkerryError
from skerry.model.states import FINAL, InstantiationState, OperationState
from tests.chaos import packages
from tests.chaos.arena import Arena, Life
from tests.chaos.cases import instantiated, ns_scale, packages_only, scale
from tests.chaos.checks import faults

VIMS: Mapping[str, Mapping[str, Any]] = {
    "one": {"latency": {"*": 0.2}, "jitter": 1.0},
    "two": {"latency": {"*": 0.1}, "jitter": 1.0},
}
CHANGES = (
    "create_network",
    "create_compute",
    "set_environment",
    "start_compute",
    "stop_compute",
    "delete_compute",
    "exec",
    "snapshot_compute",
    "delete_image",
)
SNAPSHOTS = 4


class Storm:
    """`kills` is how many lives end by a kill. `acknowledged` has every operation that somebody was told of."""

    def __init__(self, seed: int, kills: int) -> None:
        self.random = random.Random(seed)
        self.arena = Arena(VIMS, seed=seed)
        self.kills = kills
        self.acknowledged: set[str] = set()
        self.kinds: set[str] = set()

    def run(self) -> list[str]:
        """Everything that is wrong at its end."""
        self.arena.live(self.found)
        while self.arena.kills < self.kills:
            self.arena.live(self._stir)
        found = self.arena.live(self.calm)
        self.arena.close()
        assert found is not None
        return found

    async def found(self, life: Life) -> None:
        """What there is before the storm."""
        await packages_only(life)
        for number in range(2):
            await life.node.vnfm.create("web", name=f"web {number}")
        for _ in range(SNAPSHOTS):
            await life.node.vnfm.snapshots.create(tenant="")
        await life.vnf(packages.DB, name="db")
        await life.ns(packages.SHOP, instantiate=False)

    # -- one life -----------------------------------------------------------------------------------------------------

    async def _stir(self, life: Life) -> None:
        """Do this and that until the kill comes."""
        self.arena.arm(self.random.randint(1, 120))
        while True:
            self._trouble(life)
            for _ in range(self.random.randint(1, 3)):
                await self._act(life)
            await asyncio.sleep(self.random.uniform(0.0, 3.0))
            await self._decide(life)

    def _trouble(self, life: Life) -> None:
        one = self.random.choice(list(life.worlds.values()))
        verb = self.random.choice(CHANGES)
        match self.random.randint(0, 9):
            case 0:
                one.fail(verb, transient=True, times=self.random.randint(1, 4), after_effect=self.random.random() < 0.5)
            case 1:
                one.fail(verb, transient=False, after_effect=self.random.random() < 0.5)
            case 2:
                one.hang(verb, after_effect=self.random.random() < 0.5)
            case 3:
                one.late(verb, self.random.uniform(1.0, 30.0))
            case 4:
                one.twice(verb, times=3)
            case 5 if one.has.machines:
                one.kill(self.random.choice(sorted(one.has.machines)))

    async def _act(self, life: Life) -> None:
        kind, subject, params = self._choice(life)
        try:
            operation = await life.start(kind, subject, params)
        except SkerryError:
            return  # refused: it is held, or not in the state for it
        self.acknowledged.add(operation.id)
        self.kinds.add(kind)

    def _choice(self, life: Life) -> tuple[str, str, dict[str, Any]]:
        node, pick = life.node, self.random.choice
        subjects: list[Any] = [*node.vnfm.instances(), *node.nfvo.instances()]
        chosen = pick(subjects)
        if chosen in node.nfvo.instances():
            if chosen.ns_state is InstantiationState.NOT_INSTANTIATED:
                return "ns.instantiate", chosen.id, {}
            name = pick(("ns.scale", "ns.heal", "ns.update", "ns.terminate", "ns.scale"))
            members = [member.vnf_instance_id for member in chosen.members.values()] or ["none"]
            if name != "ns.update":
                return name, chosen.id, self.ns_request(name)
            entry = {"vnfInstanceId": pick(members), "changeStateTo": pick(("STARTED", "STOPPED"))}
            return name, chosen.id, {"updateType": "OPERATE_VNF", "operateVnfData": [entry]}
        if chosen.instantiation_state is InstantiationState.NOT_INSTANTIATED:
            return (
                "vnf.instantiate",
                chosen.id,
                {"flavourId": pick(("default", "wide")) if chosen.vnfd_id == "web" else ""},
            )
        kind, params = pick(self.requests(life, chosen.id))
        return kind, chosen.id, params

    def ns_request(self, kind: str) -> dict[str, Any]:
        """Parameters of an operation on the NS."""
        params: Mapping[str, dict[str, Any]] = {
            "ns.scale": ns_scale(self.random.choice(("SCALE_OUT", "SCALE_IN"))),
            "ns.heal": {"healNsData": {"degreeHealing": "HEAL_RESTORE"}},
        }
        return params.get(kind, {})

    def requests(self, life: Life, vnf: str) -> list[tuple[str, dict[str, Any]]]:
        """Operations on a VNF that runs, with parameters."""
        pick = self.random.choice
        every = life.node.vnfm.snapshots.all(tenant="")
        snapshots = [each.id for each in every]
        taken = [each.id for each in every if each.finished_at and each.vnf_instance_id == vnf]
        back = [("vnf.revert_to_snapshot", {"vnfSnapshotInfoId": pick(taken)})] * 3 if taken else []
        return [
            *back,
            ("vnf.scale", scale("SCALE_OUT")),
            ("vnf.scale", scale("SCALE_IN")),
            ("vnf.scale_to_level", {"instantiationLevelId": pick(("small", "large"))}),
            ("vnf.operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"}),
            ("vnf.operate", {"changeStateTo": "STARTED"}),
            ("vnf.heal", {"cause": "storm"}),
            ("vnf.modify", {"vnfConfigurableProperties": {"mode": pick(("calm", "wild"))}}),
            ("vnf.change_flavour", {"newFlavourId": pick(("default", "wide"))}),
            ("vnf.change_package", {"vnfdId": pick(("web2", "bad"))}),
            ("vnf.create_snapshot", {"vnfSnapshotInfoId": pick(snapshots)}),
            ("vnf.terminate", {"terminationType": pick(("GRACEFUL", "FORCEFUL"))}),
        ]

    async def _decide(self, life: Life) -> None:
        """What people do about operations: now this, now that, sometimes twice at once."""
        engine = life.node.engine
        for operation in engine.operations():
            if operation.state in FINAL or self.random.random() < 0.4:
                continue
            waiting = operation.state is OperationState.FAILED_TEMP
            words = ("retry", "rollback", "fail") if waiting else ("GRACEFUL", "FORCEFUL", "", "", "")
            word = self.random.choice(words)
            try:
                if waiting:
                    self.arena.decisions += 1
                    await {"retry": engine.retry, "rollback": engine.rollback, "fail": engine.fail}[word](operation.id)
                elif word:
                    await engine.cancel(operation.id, word)
            except SkerryError:
                continue  # it moved meanwhile, or its parent is at it

    # -- the end ------------------------------------------------------------------------------------------------------

    async def calm(self, life: Life) -> list[str]:
        """No more trouble: everything ends, or is brought to its end by what people can do. Then nothing may be left."""
        for one in life.worlds.values():
            one.troubles.clear()
        await life.quiet()
        await life.node.watch.sweep()
        await life.quiet()
        found = await faults(life, self.acknowledged)
        await self._finish(life)
        await life.node.watch.sweep()
        found += [each for each in await faults(life, self.acknowledged) if each not in found]
        for subject in instantiated(life):
            if subject in instantiated(life):
                kind = "ns.terminate" if any(ns.id == subject for ns in life.node.nfvo.instances()) else "vnf.terminate"
                ended = await life.run(kind, subject, {"terminationType": "FORCEFUL"})
                if ended.state is not OperationState.COMPLETED:
                    return [*found, f"{kind} ended {ended.state}: {ended.error}"]
        for snapshot in life.node.vnfm.snapshots.all(tenant=""):
            await life.node.vnfm.snapshots.delete(snapshot.id, tenant="")
        kept = [name for one in life.worlds.values() for name in one.has.images if name.startswith("snapshot:")]
        found += [f"image {name} is left" for name in kept]
        if not life.nothing_left():
            found.append(f"left: {[one.inventory() for one in life.worlds.values()]}")
        return found

    async def _finish(self, life: Life) -> None:
        """Retry or give up what failed, parents first."""
        engine = life.node.engine
        for word in (engine.retry, engine.rollback, engine.fail):
            for operation in engine.operations():
                if engine.operation(operation.id).state is OperationState.FAILED_TEMP and not operation.parent:
                    self.arena.decisions += 1
                    try:
                        await word(operation.id)
                    except SkerryError:
                        continue
                    await life.quiet()
        for operation in engine.operations():
            if engine.operation(operation.id).state is OperationState.FAILED_TEMP:
                await engine.fail(operation.id)
