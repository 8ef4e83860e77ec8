"""Operations on applications, killed at every point of them, of the network service and of the VNF below."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from skerry.errors import ConflictError
from skerry.model.app import AppPkgInfo
from skerry.model.states import OnboardingState, OperationState
from tests.chaos.arena import Arena, Life
from tests.chaos.cases import APPLICATIONS, Case, app_created
from tests.chaos.checks import faults
from tests.chaos.decisions import DECISIONS
from tests.chaos.test_every_point import FULL, killed_everywhere
from tests.chaos.trial import PLAIN
from tests.meo.packages import appd, archive


@pytest.mark.feature("A87", "E22")
@pytest.mark.parametrize("case", APPLICATIONS, ids=str)
def test_killed_at_every_point(case: Case) -> None:
    killed_everywhere(case, PLAIN, each=1 if FULL else 2)


@pytest.mark.feature("A87", "E22")
@pytest.mark.parametrize("name", ["fail", "cancel"])
def test_killed_while_people_decide(name: str) -> None:
    """Instantiation is the longest: what is given up or cut off on its way leaves nothing."""
    case = APPLICATIONS[0]
    decision = next(one for word, one in DECISIONS.items() if word.startswith(name))
    killed_everywhere(case, decision, each=1 if FULL else 8)


@pytest.mark.feature("A87", "E18")
def test_onboarding_killed_at_every_point_is_repeated_and_doubles_nothing() -> None:
    arena = Arena()
    content = archive(appd())

    async def created(life: Life) -> str:
        return (await life.node.applications.create(AppPkgInfo(id="", name="app"))).id

    id = arena.live(created)
    assert id is not None
    start = arena.save()

    async def upload(life: Life) -> None:
        await life.node.applications.upload(id, content)

    async def again(life: Life) -> None:
        if life.node.applications.package(id).onboarding_state is not OnboardingState.ONBOARDED:
            await life.node.applications.upload(id, content)
        else:
            with pytest.raises(ConflictError):
                await life.node.applications.upload(id, content)
        assert len(life.node.catalogue.vnf_packages()) == len(life.node.catalogue.nsds()) == 1
        made = await life.node.meo.create("app-1")
        await life.done("app.instantiate", made.id)

    arena.arm(0)
    arena.live(upload)
    points = len(arena.points)
    assert points > 10
    for point in range(1, points + 1):
        arena.back_to(start)

        async def killed(life: Life, at: int = point) -> None:
            life.arena.arm(at)
            await upload(life)

        assert arena.live(killed) is None, f"no such point: {point}"
        assert arena.live(_whole(again)), f"killed at {point}"
    arena.close()


def _whole(body: Callable[[Life], Awaitable[None]]) -> Callable[[Life], Awaitable[bool]]:
    async def run(life: Life) -> bool:
        await body(life)
        return True

    return run


@pytest.mark.feature("A87", "E21")
def test_a_relocation_killed_at_every_point_ends_on_one_host() -> None:
    vims = {"east": {"latency": {"*": 0.1}}, "west": {"latency": {"*": 0.1}}}
    arena = Arena(vims)
    arena.vims = tuple(msgspec.structs.replace(vim, zone=vim.id) for vim in arena.vims)

    async def running(life: Life) -> str:
        id = await app_created(life)
        await life.done("app.instantiate", id, {"selectedMECHostInfo": [{"hostId": "east"}]})
        return id

    id = arena.live(running)
    assert id is not None
    start = arena.save()

    async def relocate(life: Life) -> None:
        await life.start("app.relocate", id)
        await life.quiet()

    async def after(life: Life) -> bool:
        await life.quiet()
        begun = [one for one in life.node.engine.operations(subject=id) if one.kind == "app.relocate"]
        host = life.node.meo.instance(id).host
        assert await faults(life, set()) == []
        assert host == ("west" if begun and begun[-1].state is OperationState.COMPLETED else "east")
        assert [vim for vim, one in life.worlds.items() for _ in one.has.machines] == [host]
        assert len(life.node.nfvo.instances()) == 1
        await life.done("app.terminate", id, {"terminationType": "FORCEFUL"})
        return life.machines() == {}

    arena.arm(0)
    arena.live(relocate)
    points = len(arena.points)
    assert points > 60
    for point in range(1, points + 1, 1 if FULL else 4):
        arena.back_to(start)

        async def killed(life: Life, at: int = point) -> None:
            life.arena.arm(at)
            await relocate(life)

        assert arena.live(killed) is None, f"no such point: {point}"
        assert arena.live(after), f"killed at {point}"
    arena.close()
