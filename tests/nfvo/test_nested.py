"""Network services inside network services: made, taken in, scaled, healed and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from skerry.api import body
from skerry.api.sol005 import types as wire
from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.ns import NsInstance
from skerry.model.states import FINAL, InstantiationState, OperationState
from skerry.notifications import affected
from skerry.store import aggregates
from skerry.store.database import Transaction
from tests.nfvo.looking import ns_scale
from tests.nfvo.nesting import BRANCH, CAMPUS, UNIT, onboard, running, service
from tests.vnfm.builder import Lab, csar, lab, vnf_folder
from tests.vnfm.crashes import Camera, effects, reborn

S = OperationState
FORCED = {"additionalParams": {"terminationType": "FORCEFUL"}}


def record(it: Lab, ns: NsInstance) -> NsInstance:
    return it.node.nfvo.instance(ns.id)


def inside(it: Lab, ns: NsInstance) -> list[str]:
    """The NSs that are nested in it."""
    return [inner.ns_instance_id for inner in record(it, ns).nested.values()]


def update(kind: str, **data: Any) -> dict[str, Any]:
    """A request that the API takes."""
    request = {"updateType": kind, **data}
    body.params(request, wire.UpdateNsRequest)
    return request


def taking(*ids: str, profile: str = "wing") -> dict[str, Any]:
    data = [{"nestedNsInstanceId": id, "nsProfileId": profile} for id in ids]
    return update("ADD_NESTED_NS", addNestedNsData=data)


@pytest.mark.feature("D49")
def test_a_service_is_made_with_the_services_inside_it_and_takes_them_along() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        campus = await service(it, "campus")
        (branch,) = inside(it, campus)
        assert running(it) == {campus.id: 1, branch: 1}
        inner = it.node.nfvo.instance(branch)
        assert (inner.nsd_id, inner.ns_instance_name, inner.users) == ("branch", "campus-wing-0", (campus.id,))
        with pytest.raises(ConflictError, match=f"it is nested in NS {campus.id}"):
            await it.run("ns.terminate", branch)
        with pytest.raises(ConflictError, match="nested in"):
            await it.node.nfvo.discard(branch)
        assert running(it) == {campus.id: 1, branch: 1}
        ended = await it.done("ns.terminate", campus.id)
        (told,) = affected.of_ns(ended, ended.state, record(it, campus), {})["affectedNs"]
        assert told == {
            "nsInstanceId": branch,
            "nsdId": "branch",
            "changeType": "TERMINATE",
            "changeResult": "COMPLETED",
        }
        assert it.nothing_left()
        assert [ns.id for ns in it.node.nfvo.instances()] == [campus.id]

    lab(body)


@pytest.mark.feature("D49")
def test_a_service_that_was_there_before_is_used_and_left() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        old = await service(it, "branch")
        campus = await service(it, "campus", nestedNsInstanceData=[{"nestedNsInstanceId": old.id}])
        assert inside(it, campus) == [old.id]
        assert running(it) == {campus.id: 1, old.id: 1}
        for kind in ("ns.terminate", "delete"):
            with pytest.raises(ConflictError, match="nested in"):
                await (it.run(kind, old.id) if kind == "ns.terminate" else it.node.nfvo.delete(old.id))
        await it.done("ns.terminate", campus.id)
        assert running(it) == {campus.id: 0, old.id: 1}
        assert record(it, old).users == ()
        await it.done("ns.terminate", old.id)
        await it.node.nfvo.delete(old.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("D49")
def test_a_service_that_others_use_too_is_not_taken_from_them() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        one, two = await service(it, "campus"), await service(it, "campus")
        (shared,) = inside(it, one)
        await it.done("ns.update", two.id, taking(shared))
        for kind, request in (
            ("ns.terminate", {}),
            ("ns.update", update("REMOVE_NESTED_NS", removeNestedNsId=[shared])),
        ):
            with pytest.raises(ConflictError, match=f"it is nested in NS {two.id}"):
                await it.run(kind, one.id, request)
        assert running(it)[shared] == 1
        await it.done("ns.update", two.id, update("REMOVE_NESTED_NS", removeNestedNsId=[shared]))
        await it.done("ns.terminate", one.id)
        await it.done("ns.terminate", two.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("D49")
def test_services_are_added_to_a_running_one_and_removed_from_it() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        old = await service(it, "branch")
        campus = await service(it, "campus")
        (made,) = inside(it, campus)
        added = await it.done("ns.update", campus.id, taking(old.id))
        assert affected.of_ns(added, added.state, campus, {})["affectedNs"][0]["changeType"] == "ADD"
        assert inside(it, campus) == [made, old.id]
        assert running(it) == {campus.id: 1, made: 1, old.id: 1}
        both = {"removeNestedNsId": [made, old.id]}
        await it.done("ns.update", campus.id, update("REMOVE_NESTED_NS", **both))
        assert inside(it, campus) == []
        assert running(it) == {campus.id: 1, old.id: 1}
        with pytest.raises(InvalidError) as refusal:
            await it.run("ns.update", campus.id, update("REMOVE_NESTED_NS", **both))
        assert [fault.path for fault in refusal.value.faults] == ["/removeNestedNsId/0", "/removeNestedNsId/1"]
        await it.done("ns.terminate", old.id)

    lab(body)


@pytest.mark.feature("D49")
def test_what_cannot_be_nested_is_told_at_once() -> None:
    async def body(it: Lab) -> None:
        other = {**CAMPUS, "id": "other", "nested": {"wing": {"nsd": "campus", "count": 0}}}
        await onboard(it, BRANCH, CAMPUS, other)
        campus, outer = await service(it, "campus"), await service(it, "other")
        bare = await service(it, "branch", instantiate=False)
        foreign = await it.node.nfvo.create("branch", id="1f0c6f8e-0000-4000-8000-000000000001")
        before = record(it, campus)
        with pytest.raises(NotFoundError) as missing:
            await it.run("ns.update", campus.id, taking("nowhere", foreign.id, "neither"))
        assert [fault.path.split("/")[2] for fault in missing.value.faults] == ["0", "2"]
        with pytest.raises(InvalidError, match="of NSD other, not of branch") as wrong:
            await it.run("ns.update", campus.id, taking(outer.id, bare.id, profile="wing"))
        assert len(wrong.value.faults) == 1
        with pytest.raises(InvalidError, match="no NS profile 'roof'; there are: wing"):
            await it.run("ns.update", campus.id, taking(bare.id, profile="roof"))
        with pytest.raises(InvalidError, match="nested in this NS already"):
            await it.run("ns.update", campus.id, taking(*inside(it, campus)))
        with pytest.raises(ConflictError, match=f"NS {bare.id} is NOT_INSTANTIATED"):
            await it.run("ns.update", campus.id, taking(bare.id))
        assert record(it, campus) == before

    lab(body)


@pytest.mark.feature("D49", "D36")
def test_a_service_of_another_tenant_is_not_there() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        campus, theirs = await service(it, "campus"), await service(it, "branch")
        await it.node.store.write(lambda tx: give_away(tx, theirs.id))
        with pytest.raises(NotFoundError, match=f"cannot find NS instance {theirs.id}"):
            await it.run("ns.update", campus.id, taking(theirs.id))
        assert inside(it, campus) != [theirs.id]

    lab(body)


def give_away(tx: Transaction, id: str) -> None:
    """The NS is another tenant's."""
    aggregates.ns_instances.change(tx, id, lambda ns: msgspec.structs.replace(ns, tenant="someone else"))


def ranges(it: Lab, ns: str) -> set[str]:
    """The address ranges that the members of an NS are in."""
    owners = {member.vnf_instance_id for member in it.node.nfvo.instance(ns).members.values()}
    nics = [nic for one in it.machines().values() if one.owner in owners for nic in one.nics]
    return {str(nic.ip).rpartition(".")[0] for nic in nics}


@pytest.mark.feature("D49")
def test_what_is_behind_an_access_point_is_on_the_link_of_the_service_around_it() -> None:
    async def body(it: Lab) -> None:
        wide = {
            "id": "wide",
            "vnfs": {"gate": {"vnfd": "post", "links": {"tap": "east"}}},
            "links": {"east": "10.73.0.0/24", "west": "10.79.0.0/24"},
            "nested": {
                "one": {"nsd": "branch", "links": {"door": "west"}},
                "two": {"nsd": "branch", "links": {"virtual_link": "west"}},
                "three": {"nsd": "branch", "links": {"virtual_link": "east"}},
                "alone": {"nsd": "branch"},
            },
        }
        over = {**wide, "id": "over", "nested": {"one": {"nsd": "branch", "links": {"door": "west", "roof": "east"}}}}
        await onboard(it, BRANCH, wide, over)
        place = {"nsProfileId": "one", "locationConstraints": {"vimId": "b"}}
        ns = await service(
            it, "wide", nestedNsLocationConstraints=[{**place, "nsProfileId": p} for p in ("one", "two")]
        )
        inner = {one.profile: one.ns_instance_id for one in record(it, ns).nested.values()}
        found = {profile: ranges(it, id) for profile, id in inner.items()}
        assert found == {"one": {"10.79.0"}, "two": {"10.79.0"}, "three": {"10.73.0"}, "alone": {"10.72.0"}}
        assert {network.cidr for network in it.worlds["b"].has.networks.values()} >= {"10.79.0.0/24"}
        again = await it.done("ns.heal", ns.id, {})
        assert again.plan is not None
        assert again.plan.steps == ()
        await it.done("ns.update", ns.id, update("REMOVE_NESTED_NS", removeNestedNsId=[inner["one"]]))
        assert ranges(it, inner["two"]) == {"10.79.0"}
        await it.done("ns.update", ns.id, update("REMOVE_NESTED_NS", removeNestedNsId=[inner["two"]]))
        assert "10.79.0.0/24" not in {n.cidr for one in it.worlds.values() for n in one.has.networks.values()}
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()
        wrong = await service(it, "over", instantiate=False)
        with pytest.raises(InvalidError, match="2 links for the service access points door"):
            await it.run("ns.instantiate", wrong.id)

    lab(body, {"a": {}, "b": {}})


@pytest.mark.feature("D49")
def test_services_that_contain_each_other_are_refused() -> None:
    async def body(it: Lab) -> None:
        egg = {**CAMPUS, "id": "egg", "aspects": {}, "nested": {"hen": {"nsd": "hen"}}}
        hen = {**CAMPUS, "id": "hen", "aspects": {}, "nested": {"egg": {"nsd": "egg"}, "gone": {"nsd": "nothing"}}}
        await onboard(it, egg, hen)
        first = await service(it, "egg", instantiate=False)
        with pytest.raises(InvalidError, match="nested in a circle: egg -> hen -> egg") as refusal:
            await it.run("ns.instantiate", first.id)
        assert [fault.code for fault in refusal.value.faults] == ["cycle", "nsd"]
        assert it.nothing_left()
        ring = {**CAMPUS, "id": "ring", "aspects": {}, "nested": {"next": {"nsd": "ring", "count": 0}}}
        await onboard(it, ring)
        one, two, three = [await service(it, "ring") for _ in range(3)]
        await it.done("ns.update", one.id, taking(two.id, profile="next"))
        await it.done("ns.update", two.id, taking(three.id, profile="next"))
        with pytest.raises(InvalidError, match="nested in itself"):
            await it.run("ns.update", three.id, taking(one.id, profile="next"))
        with pytest.raises(InvalidError, match="nested in itself"):
            await it.run("ns.update", three.id, taking(three.id, profile="next"))

    lab(body)


@pytest.mark.feature("D49")
def test_nested_services_come_and_go_as_the_service_is_scaled() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        old = await service(it, "branch")
        campus = await service(it, "campus", nestedNsInstanceData=[{"nestedNsInstanceId": old.id}])
        out = ns_scale("SCALE_OUT", "wings")
        out["scaleNsData"]["nestedNsLocationConstraints"] = [{"nsProfileId": "roof", "locationConstraints": {}}]
        with pytest.raises(InvalidError, match="no NS profile 'roof'"):
            await it.run("ns.scale", campus.id, out)
        await it.done("ns.scale", campus.id, ns_scale("SCALE_OUT", "wings"))
        made = next(id for id in inside(it, campus) if id != old.id)
        assert running(it) == {campus.id: 1, old.id: 1, made: 1}
        await it.done("ns.scale", made, ns_scale("SCALE_OUT"))
        assert running(it)[made] == 2
        await it.done("ns.scale", campus.id, ns_scale("SCALE_IN", "wings"))
        assert running(it) == {campus.id: 1, old.id: 1}

    lab(body)


@pytest.mark.feature("D49")
def test_healing_a_service_heals_what_is_broken_inside_it() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        campus = await service(it, "campus")
        (branch,) = inside(it, campus)
        (member,) = it.node.nfvo.instance(branch).members.values()
        name = next(name for name, one in it.machines().items() if one.owner == member.vnf_instance_id)
        it.world.kill(name)
        assert it.node.nfvo.status(campus.id) == "ACTIVE"
        healed = await it.done("ns.heal", campus.id, {"healNsData": {"degreeHealing": "HEAL_RESTORE"}})
        assert affected.of_ns(healed, healed.state, campus, {})["affectedNs"][0]["changeType"] == "HEAL"
        assert it.machines()[name].state == "RUNNING"
        again = await it.done("ns.heal", campus.id, {"healNsData": {"degreeHealing": "HEAL_RESTORE"}})
        assert again.plan is not None
        assert again.plan.steps == ()

    lab(body)


@pytest.mark.feature("D49")
def test_nested_services_get_their_own_parameters() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        campus = await service(
            it, "campus", nestedNsLocationConstraints=[{"nsProfileId": "wing", "locationConstraints": {"vimId": "b"}}]
        )
        (branch,) = inside(it, campus)
        (member,) = it.node.nfvo.instance(branch).members.values()
        assert [one.owner for one in it.machines("b").values()] == [member.vnf_instance_id]
        other = await service(it, "campus", instantiate=False)
        with pytest.raises(InvalidError, match="no NS profile 'roof'; there are: wing"):
            await it.run("ns.instantiate", other.id, {"additionalParamsForNestedNs": [{"nsProfileId": "roof"}]})

    lab(body, {"a": {}, "b": {}})


@pytest.mark.feature("D49")
def test_a_service_inside_that_cannot_be_made_leaves_nothing() -> None:
    async def body(it: Lab) -> None:
        broken = UNIT.replace("post", "broken").replace("}}}}", "}}}, scripts: {instantiate_end: {run: break it}}}")
        await it.onboard(csar(vnf_folder(broken)))
        await onboard(
            it,
            {
                **CAMPUS,
                "id": "branch",
                "vnfs": {"u": {"vnfd": "broken", "links": {"tap": "core"}}},
                "nested": {},
                "saps": {"door": "core"},
                "aspects": {},
            },
        )
        await it.onboard(csar(vnf_folder(UNIT)))
        await onboard(it, CAMPUS)
        it.scripts.fails["break it"] = 100
        campus = await service(it, "campus", instantiate=False)
        ended = await it.run("ns.instantiate", campus.id, {"additionalParamsForNs": {"rollbackOnFailure": True}})
        assert ended.state is S.ROLLED_BACK
        assert it.nothing_left()
        assert [ns.id for ns in it.node.nfvo.instances()] == [campus.id]
        assert all(one.state in FINAL for one in it.node.engine.operations())

    lab(body)


CASES: Mapping[str, str] = {
    "instantiate": "ns.instantiate",
    "add": "ns.update",
    "remove": "ns.update",
    "terminate": "ns.terminate",
}


def shape(it: Lab) -> dict[str, Any]:
    """What matters of all NSs and of the infrastructure at the end."""
    return {
        "services": {
            ns.id: (ns.ns_state, ns.members, ns.nested, ns.users, ns.failed, sorted(ns.resources))
            for ns in it.node.nfvo.instances()
        },
        "vnfs": {vnf.id: (vnf.instantiation_state, vnf.failed) for vnf in it.node.vnfm.instances()},
        "machines": sorted(it.machines()),
        "networks": sorted(it.world.has.networks),
    }


@pytest.mark.feature("A87", "D49")
@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_every_kind_of_moment(case: str) -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, {**CAMPUS, "nested": {"wing": {"nsd": "branch", "count": 2}}, "aspects": {}})
        old = await service(it, "branch")
        campus = await service(it, "campus", instantiate=case in {"remove", "terminate", "add"})
        first = {"nestedNsInstanceData": [{"nestedNsInstanceId": old.id, "nsProfileId": "wing"}]}
        if case in ("remove", "terminate"):
            await it.done("ns.update", campus.id, taking(old.id))
        made = [one.ns_instance_id for one in record(it, campus).nested.values() if not one.existing]
        asked = {
            "instantiate": first,
            "add": taking(old.id),
            "remove": update("REMOVE_NESTED_NS", removeNestedNsId=[*made[:1], old.id]),
            "terminate": FORCED,
        }
        camera = Camera(it)
        await it.done(CASES[case], campus.id, asked[case])
        expected, happened = shape(it), effects(it.world)
        for moment in camera.moments[::5]:
            for again in reborn(it, moment):
                await again.node.start()
                newest = again.node.engine.newest(campus.id)
                if newest is not None and newest.kind == CASES[case] and newest.params == asked[case]:
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.COMPLETED, f"{moment.name}: {ended.error}"
                    assert shape(again) == expected, moment.name
                    assert all(effects(again.world)[key] <= count for key, count in happened.items()), moment.name
                    assert all(one.state in FINAL for one in again.node.engine.operations())
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A87", "D49")
def test_an_existing_service_survives_whatever_happens_to_the_one_that_uses_it() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, CAMPUS)
        old = await service(it, "branch")
        campus = await service(it, "campus", instantiate=False)
        camera = Camera(it)
        await it.done("ns.instantiate", campus.id, {"nestedNsInstanceData": [{"nestedNsInstanceId": old.id}]})
        for moment in camera.moments[::5]:
            for again in reborn(it, moment):
                await again.node.start()
                await again.node.nfvo.discard(campus.id)
                assert running(again) == {old.id: 1}, moment.name
                left = again.node.nfvo.instance(old.id)
                assert (left.users, left.ns_state) == ((), InstantiationState.INSTANTIATED), moment.name
                await again.node.nfvo.discard(old.id)
                assert again.nothing_left(), moment.name
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A87", "D49")
def test_a_crash_while_nested_services_are_taken_back() -> None:
    async def body(it: Lab) -> None:
        await onboard(it, BRANCH, {**CAMPUS, "nested": {"wing": {"nsd": "branch", "count": 2}}, "aspects": {}})
        old = await service(it, "branch")
        campus = await service(it, "campus", instantiate=False)
        before = shape(it)
        asked = {
            "nestedNsInstanceData": [{"nestedNsInstanceId": old.id}],
            "additionalParamsForNs": {"rollbackOnFailure": True},
        }
        it.world.fail("create_compute", times=1000, transient=False)
        camera = Camera(it)
        assert (await it.run("ns.instantiate", campus.id, asked)).state is S.ROLLED_BACK
        assert shape(it) == before
        for moment in camera.moments[::9]:
            for again in reborn(it, moment):
                again.world.fail("create_compute", times=1000, transient=False)
                await again.node.start()
                newest = again.node.engine.newest(campus.id)
                if newest is not None:
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    if ended.state is S.FAILED_TEMP:  # the process died before it began to roll back: people decide
                        await again.node.engine.rollback(ended.id)
                        ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.ROLLED_BACK, f"{moment.name}: {ended.error}"
                    assert shape(again) == before, moment.name
                await again.node.stop()

    lab(body)
