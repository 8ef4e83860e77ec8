"""A running network service gets another flavour, or another version, of its descriptor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from skerry.errors import ConflictError, InvalidError
from skerry.model.ns import NsInstance
from skerry.model.states import FINAL, OperationState
from skerry.model.time import stamp
from tests.nfvo.looking import members, ns_scale
from tests.nfvo.nesting import BRANCH, UNIT, nesting_folder, onboard, running, service
from tests.nfvo.test_nested import inside, record, shape, update
from tests.vnfm.builder import Lab, csar, lab, loaded, vnf_folder
from tests.vnfm.crashes import Camera, effects, reborn

S = OperationState
WIDE = {"more": {"max": 3, "deltas": {"box": [1]}}}
POST = {**loaded(UNIT), "aspects": WIDE, "levels": {"one": {"more": 0}, "two": {"more": 1}}}
LAMP = UNIT.replace("post", "lamp")
LAMP2 = {**loaded(LAMP), "id": "lamp-2", "product": "lamp"}
SMALL: Mapping[str, Any] = {
    "id": "street",
    "vnfs": {
        "gate": {"vnfd": "post", "links": {"tap": "core"}, "level": "one"},
        "hut": {"vnfd": "lamp", "links": {"tap": "core"}},
    },
    "links": {"core": "10.74.0.0/24"},
}
LARGE: Mapping[str, Any] = {
    **SMALL,
    "vnfs": {
        "gate": {"vnfd": "post", "links": {"tap": "core"}, "level": "two"},
        "tower": {"vnfd": "lamp", "links": {"tap": "sky"}},
    },
    "links": {"core": "10.74.0.0/24", "sky": "10.75.0.0/24"},
    "levels": {"few": {"gate": 1, "tower": 1}, "many": {"gate": 2, "tower": 2}},
    "nested": {"wing": {"nsd": "branch"}},
}


def flavours(**each: Mapping[str, Any]) -> dict[str, str]:
    """The files of a package with these flavours of one NS, each written in the short form."""
    files: dict[str, str] = {}
    for flavour, text in each.items():
        ((name, content),) = nesting_folder(text).items()
        template = json.loads(content)
        template["topology_template"]["node_templates"]["ns"]["properties"]["flavour_id"] = flavour
        files[name.replace(".yaml", f"-{flavour}.yaml")] = json.dumps(template)
    first, *others = files
    main = json.loads(files[first])
    main["imports"] += [one.rpartition("/")[2] for one in others]
    return {first: json.dumps(main), **{name: files[name] for name in others}}


def version(text: Mapping[str, Any], id: str, invariant: str = "street") -> dict[str, str]:
    """The files of a package of another version of an NSD."""
    ((name, content),) = nesting_folder({**text, "id": id}).items()
    template = json.loads(content)
    template["topology_template"]["node_templates"]["ns"]["properties"]["invariant_id"] = invariant
    return {name: json.dumps(template)}


async def prepare(it: Lab, *packages: Mapping[str, str]) -> None:
    for vnf in (POST, LAMP, LAMP2):
        await it.onboard(csar(vnf_folder(vnf)))
    await onboard(it, BRANCH)
    for files in packages:
        await it.onboard_ns(csar(files))


def change(flavour: str, **more: str) -> dict[str, Any]:
    return update("CHANGE_NS_DF", changeNsFlavourData={"newNsFlavourId": flavour, **more})


def follow(nsd: str, **more: bool) -> dict[str, Any]:
    return update("ASSOC_NEW_NSD_VERSION", assocNewNsdVersionData={"newNsdId": nsd, **more})


def sizes(it: Lab, ns: NsInstance) -> dict[str, int]:
    """Member -> how many instances the infrastructure has of it."""
    owners = [machine.owner for machine in it.machines().values()]
    return {name: owners.count(vnf.id) for name, vnf in members(it, ns).items()}


def links(it: Lab, ns: NsInstance) -> set[str]:
    return {one.cidr for one in it.world.has.networks.values() if one.owner == ns.id}


@pytest.mark.feature("A28")
def test_another_flavour_keeps_what_both_have() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, flavours(small=SMALL, large=LARGE))
        ns = await service(it, "street", nsFlavourId="small")
        gate = members(it, ns)["gate-0"]
        assert sizes(it, ns) == {"gate-0": 1, "hut-0": 1}
        await it.done("ns.update", ns.id, change("large"))
        assert sizes(it, ns) == {"gate-0": 2, "tower-0": 1}
        assert members(it, ns)["gate-0"].id == gate.id
        assert gate.vnfcs["box"][0] in members(it, ns)["gate-0"].vnfcs["box"]
        assert links(it, ns) == {"10.74.0.0/24", "10.75.0.0/24"}
        (branch,) = inside(it, ns)
        assert running(it)[branch] == 1
        assert record(it, ns).flavour_id == "large"
        await it.done("ns.update", ns.id, change("small"))
        assert sizes(it, ns) == {"gate-0": 1, "hut-0": 1}
        assert members(it, ns)["gate-0"].id == gate.id
        assert links(it, ns) == {"10.74.0.0/24"}
        await it.done("ns.update", ns.id, change("large", instantiationLevelId="many"))
        assert sizes(it, ns) == {"gate-0": 2, "gate-1": 2, "tower-0": 1, "tower-1": 1}
        assert record(it, ns).level_id == "many"
        await it.done("ns.terminate", ns.id)
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A28")
def test_a_flavour_that_cannot_be_had_leaves_everything_as_it_was() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, flavours(small=SMALL, large=LARGE))
        ns = await service(it, "street", nsFlavourId="small")
        before, there = record(it, ns), sorted(it.machines())
        for wrong, why in (
            (change("huge"), "there is no NS flavour 'huge'; there are: large, small"),
            (change("small"), "the NS has flavour 'small' already"),
            (change("large", instantiationLevelId="most"), "there is no level 'most'; there are: few, many"),
        ):
            with pytest.raises(InvalidError, match=why):
                await it.run("ns.update", ns.id, wrong)
        assert record(it, ns) == before
        it.world.fail("create_network", times=100)
        ended = await it.run("ns.update", ns.id, change("large"))
        assert ended.state is S.ROLLED_BACK, ended.state
        assert sorted(it.machines()) == there
        after = record(it, ns)
        assert (after.flavour_id, after.members, after.counts) == (before.flavour_id, before.members, before.counts)
        assert after.resources.keys() == before.resources.keys()
        assert all(one.state in FINAL for one in it.node.engine.operations())

    lab(body)


NEW: Mapping[str, Any] = {
    **SMALL,
    "vnfs": {
        "gate": {"vnfd": "post", "links": {"tap": "core"}, "level": "one"},
        "hut": {"vnfd": "lamp-2", "links": {"tap": "core"}},
        "mast": {"vnfd": "lamp", "links": {"tap": "sky"}},
    },
    "links": {"core": "10.74.0.0/24", "sky": "10.75.0.0/24"},
    "aspects": {"size": {"gate": [1, 2]}},
}


@pytest.mark.feature("A28")
def test_a_service_becomes_what_the_next_version_says() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, version(SMALL, "street"), version(NEW, "street-2"))
        ns = await service(it, "street")
        before = members(it, ns)
        await it.done("ns.update", ns.id, follow("street-2", sync=True))
        after = members(it, ns)
        assert sizes(it, ns) == {"gate-0": 1, "hut-0": 1, "mast-0": 1}
        assert {name: vnf.id for name, vnf in before.items()}.items() <= {n: v.id for n, v in after.items()}.items()
        assert (before["hut-0"].vnfd_id, after["hut-0"].vnfd_id) == ("lamp", "lamp-2")
        assert record(it, ns).nsd_id == "street-2"
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT"))
        assert sizes(it, ns)["gate-1"] == 1
        await it.done("ns.update", ns.id, follow("street", sync=True))
        assert sizes(it, ns) == {"gate-0": 1, "gate-1": 1, "hut-0": 1}
        assert members(it, ns)["hut-0"].vnfd_id == "lamp"
        await forget(it, "street-2")

    lab(body)


async def forget(it: Lab, nsd: str) -> None:
    """Delete an NSD."""
    id = next(info.id for info in it.node.catalogue.nsds() if info.nsd_id == nsd)
    await it.node.catalogue.update_nsd(id, operational_state="DISABLED")
    await it.node.catalogue.delete_nsd(id)


@pytest.mark.feature("A28")
def test_the_version_that_a_service_may_have_to_go_back_to_stays() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, version(SMALL, "street"), version(NEW, "street-2"))
        ns = await service(it, "street")
        operation = await it.start("ns.update", ns.id, follow("street-2", sync=True))
        while it.node.engine.operation(operation.id).state is not S.PROCESSING:
            await asyncio.sleep(0.01)
        with pytest.raises(ConflictError, match="in use"):
            await forget(it, "street")
        await it.node.engine.cancel(operation.id)
        await it.node.engine.wait(operation.id, 1000)
        await it.node.engine.rollback(operation.id)
        assert (await it.node.engine.wait(operation.id, 1000)).state is S.ROLLED_BACK
        assert record(it, ns).nsd_id == "street"
        assert sizes(it, ns) == {"gate-0": 1, "hut-0": 1}

    lab(body)


@pytest.mark.feature("A28")
def test_the_version_that_a_service_waits_for_stays() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, version(SMALL, "street"), version(NEW, "street-2"))
        ns = await service(it, "street")
        at = stamp(it.node.engine.clock.now() + timedelta(seconds=100))
        operation = await it.start("ns.update", ns.id, {**follow("street-2", sync=True), "updateTime": at})
        await asyncio.sleep(10)
        for nsd in ("street", "street-2"):
            with pytest.raises(ConflictError, match="in use"):
                await forget(it, nsd)
        assert record(it, ns).nsd_id == "street"
        assert (await it.node.engine.wait(operation.id, 1000)).state is S.COMPLETED
        assert record(it, ns).nsd_id == "street-2"

    lab(body)


@pytest.mark.feature("A28")
def test_without_sync_the_next_version_is_for_what_comes() -> None:
    async def body(it: Lab) -> None:
        wider = {**NEW, "links": {"core": "10.90.0.0/24", "sky": "10.75.0.0/24"}}
        slim = {**SMALL, "vnfs": {"gate": NEW["vnfs"]["gate"]}}
        await prepare(it, version(SMALL, "street"), version(wider, "street-2"), version(slim, "street-3"))
        ns = await service(it, "street")
        before, there = members(it, ns), sorted(it.machines())
        done = await it.done("ns.update", ns.id, follow("street-2"))
        assert done.plan is not None
        assert done.plan.steps == ()
        await forget(it, "street")
        assert sorted(it.machines()) == there
        more = {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "mast"}]}
        await it.done("ns.update", ns.id, more)
        assert sizes(it, ns) == {"gate-0": 1, "hut-0": 1, "mast-0": 1}
        assert set(there) < set(it.machines())
        assert links(it, ns) == {"10.74.0.0/24", "10.75.0.0/24"}
        assert members(it, ns)["hut-0"].vnfd_id == "lamp"
        with pytest.raises(ConflictError, match="not in step with street-2 yet"):
            await it.run("ns.update", ns.id, follow("street-3", sync=True))
        await it.done("ns.update", ns.id, follow("street-2", sync=True))
        assert links(it, ns) == {"10.90.0.0/24", "10.75.0.0/24"}
        assert members(it, ns)["hut-0"].vnfd_id == "lamp-2"
        assert members(it, ns)["gate-0"].id == before["gate-0"].id
        assert record(it, ns).kept is None

    lab(body)


@pytest.mark.feature("A28")
def test_only_a_version_of_the_same_descriptor_is_taken() -> None:
    async def body(it: Lab) -> None:
        await prepare(
            it, version(SMALL, "street"), version(NEW, "road", "road"), flavours(other={**SMALL, "id": "lane"})
        )
        ns = await service(it, "street")
        before = record(it, ns)
        for nsd, why in (
            ("road", "NSD road is no version of street but of road"),
            ("street", "the NS follows NSD street already"),
            ("nowhere", "there is no enabled NSD nowhere"),
        ):
            with pytest.raises(InvalidError, match=why):
                await it.run("ns.update", ns.id, follow(nsd, sync=True))
        assert record(it, ns) == before

    lab(body)


CASES: Mapping[str, Mapping[str, Any]] = {
    "flavour": change("large"),
    "version": follow("street-2", sync=True),
    "association": follow("street-2"),
}


@pytest.mark.feature("A87", "A28")
@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_every_kind_of_moment(case: str) -> None:
    async def body(it: Lab) -> None:
        await prepare(it, flavours(small=SMALL, large=LARGE) if case == "flavour" else version(SMALL, "street"))
        await it.onboard_ns(csar(version(NEW, "street-2")))
        ns = await service(it, "street", nsFlavourId="small" if case == "flavour" else "default")
        camera = Camera(it)
        await it.done("ns.update", ns.id, CASES[case])
        expected, happened = shape(it), effects(it.world)
        design = (record(it, ns).nsd_id, record(it, ns).flavour_id)
        for moment in camera.moments[::11]:
            for again in reborn(it, moment):
                await again.node.start()
                newest = again.node.engine.newest(ns.id)
                if newest is not None and newest.kind == "ns.update":
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.COMPLETED, f"{moment.name}: {ended.error}"
                    assert shape(again) == expected, moment.name
                    assert (record(again, ns).nsd_id, record(again, ns).flavour_id) == design
                    assert all(effects(again.world)[key] <= count for key, count in happened.items()), moment.name
                    assert all(one.state in FINAL for one in again.node.engine.operations())
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A87", "A28")
def test_a_crash_while_a_failed_change_is_rolled_back() -> None:
    async def body(it: Lab) -> None:
        await prepare(it, flavours(small=SMALL, large=LARGE))
        ns = await service(it, "street", nsFlavourId="small")
        before = shape(it)
        it.world.fail("create_network", times=100)
        camera = Camera(it)
        assert (await it.run("ns.update", ns.id, change("large"))).state is S.ROLLED_BACK
        assert shape(it) == before
        for moment in camera.moments[::11]:
            for again in reborn(it, moment):
                again.world.fail("create_network", times=100)
                await again.node.start()
                newest = again.node.engine.newest(ns.id)
                if newest is not None and newest.state is S.ROLLING_BACK:
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.ROLLED_BACK, f"{moment.name}: {ended.error}"
                    assert shape(again) == before, moment.name
                await again.node.stop()

    lab(body)
