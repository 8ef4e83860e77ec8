"""VNFs move from one network service to another, and are that one's in every respect."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.ns import NsInstance
from skerry.model.states import FINAL, InstantiationState, OperationState
from skerry.notifications import affected
from tests.nfvo.looking import check, members, ns_scale
from tests.nfvo.nesting import UNIT, onboard, service
from tests.nfvo.test_forwarding import SERVICE, deployed, way
from tests.nfvo.test_nested import give_away, record, update
from tests.vnfm.builder import Lab, csar, lab, vnf_folder
from tests.vnfm.crashes import Camera, effects, reborn

S = OperationState
LAMP = "{id: lamp, vdus: {box: {nics: {tap: ext}}}, properties: {seen: nothing}, requires: {post: [here]}}"
POST = """
id: post
vdus: {box: {nics: {tap: ext}}}
provides: {here: {get_attribute: [tap, ip_address]}}
"""
OLD = """
id: old
vnfs: {post: {vnfd: post, links: {tap: core}}, lamp: {vnfd: lamp, links: {tap: core}}}
links: {core: 10.76.0.0/24}
aspects: {size: {post: [1, 2]}}
"""
NEW = """
id: new
vnfs: {mast: {vnfd: post, links: {tap: yard}, count: 0}, lamp: {vnfd: lamp, links: {tap: yard}}}
links: {yard: 10.77.0.0/24}
"""


async def both(it: Lab) -> tuple[NsInstance, NsInstance]:
    """A service with a post, and one without that could have one."""
    for vnf in (POST, LAMP):
        await it.onboard(csar(vnf_folder(vnf)))
    await onboard(it, OLD, NEW)
    return await service(it, "old"), await service(it, "new")


def move(target: NsInstance | str, *vnfs: str) -> dict[str, Any]:
    id = target if isinstance(target, str) else target.id
    return update("MOVE_VNF", moveVnfInstanceData=[{"targetNsInstanceId": id, "vnfInstanceId": list(vnfs)}])


def networks(it: Lab) -> dict[str, list[str]]:
    """VNF -> the address ranges that its instances are in."""
    found: dict[str, list[str]] = {}
    for machine in it.machines().values():
        found.setdefault(machine.owner, []).extend(str(nic.ip).rpartition(".")[0] for nic in machine.nics)
    return found


@pytest.mark.feature("A28")
def test_a_vnf_moves_with_its_connections_and_is_removed_with_its_new_service() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        post = members(it, old)["post-0"]
        assert networks(it)[post.id] == ["10.76.0"]
        done = await it.done("ns.update", old.id, move(new, post.id))
        told = affected.of_ns(done, done.state, record(it, old), {})["affectedVnf"]
        assert [one["changeType"] for one in told if one["vnfInstanceId"] == post.id] == ["REMOVE"]
        assert {name: vnf.id for name, vnf in members(it, new).items()}["mast-0"] == post.id
        assert networks(it)[post.id] == ["10.77.0"]
        assert members(it, new)["lamp-0"].dependencies["mast"]["here"].startswith("10.77.0.")
        assert it.node.vnfm.instance(post.id).ns_id == new.id
        check(it, old.id)
        check(it, new.id)
        left = record(it, old)
        assert post.id not in str(left), "the service that it left keeps no trace"
        await it.done("ns.terminate", old.id)
        assert networks(it)[post.id] == ["10.77.0"]
        await it.done("ns.terminate", new.id)
        assert it.nothing_left()
        assert it.node.vnfm.instances() == []

    lab(body)


@pytest.mark.feature("A28")
def test_the_service_that_a_vnf_left_gets_another_in_its_place() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        post = members(it, old)["post-0"]
        await it.done("ns.update", old.id, move(new, post.id))
        await it.done("ns.scale", old.id, ns_scale("SCALE_OUT"))
        names = members(it, old)
        assert set(names) == {"post-0", "post-1", "lamp-0"}
        assert post.id not in {vnf.id for vnf in names.values()}
        check(it, old.id)
        await it.done("ns.update", new.id, move(old, post.id))
        assert post.id in {vnf.id for vnf in members(it, old).values()}
        assert networks(it)[post.id] == ["10.76.0"]
        check(it, old.id)
        await it.done("ns.terminate", old.id)
        assert [vnf.vnfd_id for vnf in it.node.vnfm.instances()] == ["lamp"]
        await it.done("ns.terminate", new.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A28")
def test_a_vnf_that_was_there_before_stays_so_wherever_it_moves() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        own = await it.vnf(POST)
        add = update("ADD_VNF", addVnfInstance=[{"vnfInstanceId": own.id, "vnfProfileId": "post"}])
        await it.done("ns.update", old.id, update("REMOVE_VNF", removeVnfInstanceId=[members(it, old)["post-0"].id]))
        await it.done("ns.update", old.id, add)
        await it.done("ns.update", old.id, move(new, own.id))
        await it.done("ns.terminate", new.id)
        await it.done("ns.terminate", old.id)
        assert [vnf.id for vnf in it.node.vnfm.instances()] == [own.id]
        assert it.node.vnfm.instance(own.id).instantiation_state is InstantiationState.INSTANTIATED
        await it.done("vnf.terminate", own.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A28")
def test_what_cannot_move_is_told_at_once() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        bare = await service(it, "new", instantiate=False)
        post, lamp = members(it, old)["post-0"].id, members(it, new)["lamp-0"].id
        before = (record(it, old), record(it, new))
        for request, kind, why in (
            (move("nowhere", post), NotFoundError, "cannot find NS instance nowhere"),
            (move(old, post), InvalidError, "in this NS already"),
            (move(new, lamp), InvalidError, f"VNF {lamp} is not in this NS"),
            (move(new, post, post), InvalidError, "cannot move twice"),
            (move(new), InvalidError, "no VNF is named"),
            (move(bare, post), ConflictError, "is NOT_INSTANTIATED"),
        ):
            with pytest.raises(kind, match=why):
                await it.run("ns.update", old.id, request)
        await it.onboard(csar(vnf_folder(UNIT.replace("post", "pole"))))
        await onboard(it, "{id: poles, vnfs: {pole: {vnfd: pole, links: {tap: net}}}, links: {net: 10.78.0.0/24}}")
        poles = await service(it, "poles")
        with pytest.raises(InvalidError, match="has no profile for VNFD post") as refusal:
            await it.run("ns.update", old.id, move(poles, post, "nobody"))
        assert [fault.path for fault in refusal.value.faults] == [
            "/moveVnfInstanceData/0/vnfInstanceId/0",
            "/moveVnfInstanceData/0/vnfInstanceId/1",
        ]
        assert (record(it, old), record(it, new)) == before

    lab(body)


@pytest.mark.feature("A28", "D36")
def test_a_service_of_another_tenant_is_not_there() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        await it.node.store.write(lambda tx: give_away(tx, new.id))
        with pytest.raises(NotFoundError, match=f"cannot find NS instance {new.id}"):
            await it.run("ns.update", old.id, move(new, members(it, old)["post-0"].id))
        check(it, old.id)

    lab(body)


@pytest.mark.feature("A28")
def test_a_move_that_fails_leaves_both_services_as_they_were() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        post = members(it, old)["post-0"]
        before = shape(it)
        await it.start("ns.heal", new.id, {})
        busy = await it.run("ns.update", old.id, move(new, post.id))
        assert busy.state is S.ROLLED_BACK
        assert "ns.heal" in busy.error
        it.world.fail("create_compute", times=3)  # as often as a step is tried
        ended = await it.run("ns.update", old.id, move(new, post.id))
        assert ended.state is S.ROLLED_BACK, ended.state
        assert shape(it) == before
        check(it, old.id)
        check(it, new.id)
        assert all(one.state in FINAL for one in it.node.engine.operations())
        await it.done("ns.update", old.id, move(new, post.id))
        check(it, new.id)

    lab(body)


@pytest.mark.feature("A28")
def test_a_move_that_fails_after_it_came_to_its_end_is_taken_back() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        lamp, post = members(it, old)["lamp-0"], members(it, old)["post-0"]
        before = shape(it)
        it.world.fail("delete_network", times=100)
        ended = await it.run("ns.update", old.id, move(new, lamp.id, post.id))
        assert ended.state is S.ROLLED_BACK, f"{ended.state} {ended.error}"
        it.world.troubles.clear()
        assert shape(it) == before
        assert networks(it)[post.id] == ["10.76.0"]
        check(it, old.id)
        check(it, new.id)

    lab(body)


@pytest.mark.feature("A28", "A57")
def test_forwarding_paths_follow_a_function_that_moves() -> None:
    async def body(it: Lab) -> None:
        old = await deployed(it)
        new = await it.ns(SERVICE, name="other")
        await it.done("ns.scale", old.id, ns_scale("SCALE_OUT", "walls"))

        async def walls(ns: NsInstance) -> set[str]:
            return {(await way(it, ns, 80, source))[0] for source in range(40_000, 40_040)}

        assert (await walls(old), await walls(new)) == ({"wall-0", "wall-1"}, {"wall-0"})
        wall = members(it, old)["wall-1"].id
        it.world.fail("delete_compute", times=100)
        ended = await it.run("ns.update", old.id, move(new, wall))
        assert ended.state is S.ROLLED_BACK, f"{ended.state} {ended.error}"
        it.world.troubles.clear()
        assert (await walls(old), await walls(new)) == ({"wall-0", "wall-1"}, {"wall-0"})
        await it.done("ns.update", old.id, move(new, wall))
        assert (await walls(old), await walls(new)) == ({"wall-0"}, {"wall-0", "wall-1"})
        await it.done("ns.terminate", old.id)
        assert await walls(new) == {"wall-0", "wall-1"}
        await it.done("ns.terminate", new.id)
        assert it.nothing_left()
        assert it.node.dataplane.intents() == []

    lab(body)


def shape(it: Lab) -> dict[str, Any]:
    """What matters of both services and of the infrastructure at the end."""
    return {
        "services": {
            ns.id: (
                ns.ns_state,
                dict(ns.members),
                {p: n for p, n in ns.counts.items() if n},
                ns.failed,
                sorted(ns.resources),
            )
            for ns in it.node.nfvo.instances()
        },
        "vnfs": {vnf.id: (vnf.ns_id, vnf.instantiation_state, vnf.failed) for vnf in it.node.vnfm.instances()},
        "given": {vnf.id: sorted(vnf.dependencies) for vnf in it.node.vnfm.instances()},
        "machines": {name: [str(nic.ip).rpartition(".")[0] for nic in one.nics] for name, one in it.machines().items()},
        "networks": sorted(it.world.has.networks),
    }


STRIDE = 17
"""A move has some hundred moments; those in between are alike."""


@pytest.mark.feature("A87", "A28")
def test_a_crash_at_every_kind_of_moment() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        going = [vnf.id for vnf in members(it, old).values()]
        camera = Camera(it)
        await it.done("ns.update", old.id, move(new, *going))
        expected, happened = shape(it), effects(it.world)
        for moment in camera.moments[::9]:
            for again in reborn(it, moment):
                await again.node.start()
                newest = again.node.engine.newest(old.id)
                if newest is not None and newest.kind == "ns.update":
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.COMPLETED, f"{moment.name}: {ended.error}"
                    assert shape(again) == expected, moment.name
                    now = effects(again.world).items()
                    more = {key for key, n in now if n > happened.get(key, 0) and key[0] not in ("started", "exited")}
                    assert not more, moment.name
                    assert all(one.state in FINAL for one in again.node.engine.operations())
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A87", "A28")
def test_a_crash_while_a_failed_move_is_taken_back() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        before = shape(it)
        going = [vnf.id for vnf in members(it, old).values()]
        it.world.fail("delete_network", times=100)
        camera = Camera(it)
        ended = await it.run("ns.update", old.id, move(new, *going))
        assert ended.state is S.ROLLED_BACK
        assert shape(it) == before
        for moment in camera.moments[::STRIDE]:
            for again in reborn(it, moment):
                again.world.fail("delete_network", times=100)
                await again.node.start()
                newest = again.node.engine.newest(old.id)
                if newest is not None and newest.kind == "ns.update":
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    if ended.state is S.FAILED_TEMP:  # the process died before it began to roll back: people decide
                        await again.node.engine.rollback(ended.id)
                        ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.ROLLED_BACK, f"{moment.name}: {ended.error}"
                    assert shape(again) == before, moment.name
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A69", "A87")
def test_after_a_crash_in_any_moment_both_services_can_be_discarded() -> None:
    async def body(it: Lab) -> None:
        old, new = await both(it)
        camera = Camera(it)
        await it.done("ns.update", old.id, move(new, members(it, old)["post-0"].id))
        for number, moment in enumerate(camera.moments[::STRIDE]):
            for again in reborn(it, moment):
                await again.node.start()
                first, second = (old, new) if number % 2 else (new, old)
                await again.node.nfvo.discard(first.id)
                await again.node.nfvo.discard(second.id)
                assert again.nothing_left(), moment.name
                assert again.node.vnfm.instances() == [], moment.name
                await again.node.stop()

    lab(body)
