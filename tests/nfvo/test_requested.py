"""What requests of NS operations say of VNFs is obeyed: names, values, places, who comes, who goes, and how."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.api.sol005.ns_instances import TASKS
from skerry.api.sol005.requests import checked
from skerry.errors import InvalidError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.states import OperationState
from tests.nfvo.looking import members
from tests.vnfm.builder import Lab, lab

VNF = """
id: web
inputs: {colour: {type: string, default: grey}}
vdus: {box: {nics: {eth: ext}, env: {COLOUR: {get_input: colour}}}}
"""
SERVICE = """
id: shop
vnfs: {web: {vnfd: web, links: {eth: lan}, max: 4}}
links: {lan: 10.82.0.0/24}
aspects: {size: {web: [1, 2, 3]}}
levels: {start: {web: 1}}
"""
TWO = {"here": {"latency": {"*": 0.1}}, "there": {"latency": {"*": 0.1}}}


async def asked(it: Lab, ns: NsInstance, task: str, **request: Any) -> Operation:
    """A request of SOL005, as the API takes it."""
    return await it.run(f"ns.{task}", ns.id, checked(task, request, TASKS[task]))


async def done(it: Lab, ns: NsInstance, task: str, **request: Any) -> None:
    over = await asked(it, ns, task, **request)
    assert over.state is OperationState.COMPLETED, over.error


async def made(it: Lab) -> NsInstance:
    return await it.ns(SERVICE, VNF, instantiate=False)


def out(steps: int = 1, **data: Any) -> dict[str, Any]:
    by = {"scalingDirection": "SCALE_OUT", "aspectId": "size", "numberOfSteps": steps}
    return {"scaleType": "SCALE_NS", "scaleNsData": {"scaleNsByStepsData": by, **data}}


def colours(it: Lab) -> list[str]:
    return sorted(str(machine.env["COLOUR"]) for machine in it.machines().values())


@pytest.mark.feature("A26", "A28")
def test_vnfs_are_made_as_the_request_says() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        said = {
            "vnfProfileId": "web",
            "vnfInstanceName": "front",
            "vnfInstanceDescription": "what customers see",
            "metadata": {"owner": "shop"},
            "extensions": {"tier": 1},
            "additionalParams": {"colour": "red"},
        }
        await done(it, ns, "instantiate", nsFlavourId="default", additionalParamsForVnf=[said])
        first = members(it, ns)["web-0"]
        assert (first.vnf_instance_name, first.vnf_instance_description) == ("front", "what customers see")
        assert (first.metadata["owner"], first.extensions["tier"]) == ("shop", 1)
        await done(it, ns, "scale", **out())
        assert members(it, ns)["web-1"].vnf_instance_name == "front-1"
        assert colours(it) == ["red", "red"]
        entry = {"vnfProfileId": "web", "vnfInstanceName": "side", "additionalParams": {"colour": "blue"}}
        await done(it, ns, "update", updateType="INSTANTIATE_VNF", instantiateVnfData=[entry])
        there = {name: vnf.vnf_instance_name for name, vnf in members(it, ns).items()}
        assert there == {"web-0": "front", "web-1": "front-1", "web-2": "side"}
        assert colours(it) == ["blue", "red", "red"]
        await done(it, ns, "terminate")
        await done(it, ns, "instantiate", nsFlavourId="default")
        assert colours(it) == ["grey"]

    lab(body)


@pytest.mark.feature("A26", "A30")
def test_what_is_said_when_scaling_is_of_the_vnfs_that_come() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        constraint = {"vnfProfileId": "web", "locationConstraints": {"vimId": "here"}}
        await done(it, ns, "instantiate", nsFlavourId="default", locationConstraints=[constraint])
        said = {"vnfProfileId": "web", "vnfInstanceName": "late", "additionalParams": {"colour": "green"}}
        elsewhere = {"vnfProfileId": "web", "locationConstraints": {"vimId": "there"}}
        await done(it, ns, "scale", **out(2, additionalParamsForVnf=[said], locationConstraints=[elsewhere]))
        assert colours(it) == ["green", "green", "grey"]
        assert (len(it.machines("here")), len(it.machines("there"))) == (1, 2)
        assert {name: vnf.vnf_instance_name for name, vnf in members(it, ns).items()} == {
            "web-0": "shop-web-0",
            "web-1": "late-1",
            "web-2": "late-2",
        }
        back = {"scalingDirection": "SCALE_IN", "aspectId": "size"}
        data = {"scaleNsByStepsData": back, "additionalParamsForVnf": [said]}
        with pytest.raises(InvalidError, match="no VNF of profile 'web' is made"):
            await asked(it, ns, "scale", scaleType="SCALE_NS", scaleNsData=data)

    lab(body, TWO)


@pytest.mark.feature("A31", "A28")
def test_the_named_vnfs_go_and_existing_ones_come() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        await done(it, ns, "instantiate", nsFlavourId="default")
        await done(it, ns, "scale", **out(2))
        there = {name: vnf.id for name, vnf in members(it, ns).items()}
        back = {"scalingDirection": "SCALE_IN", "aspectId": "size"}
        data = {"scaleNsByStepsData": back, "vnfInstanceToBeRemoved": [there["web-0"]]}
        both = {**data, "vnfInstanceToBeRemoved": [there["web-0"], there["web-1"]]}
        with pytest.raises(InvalidError, match="1 of web go, and 2 are named"):
            await asked(it, ns, "scale", scaleType="SCALE_NS", scaleNsData=both)
        await done(it, ns, "scale", scaleType="SCALE_NS", scaleNsData=data)
        assert {vnf.id for vnf in members(it, ns).values()} == {there["web-1"], there["web-2"]}
        network = next(one for one in it.world.has.networks)
        link = {"id": "lan", "resourceId": network, "extCps": [{"cpdId": "eth"}]}
        alone = await it.node.vnfm.create("web", name="alone")
        await it.done("vnf.instantiate", alone.id, {"extVirtualLinks": [link]})
        added = [{"vnfInstanceId": alone.id, "vnfProfileId": "web"}]
        await done(it, ns, "scale", **out(vnfInstanceToBeAdded=added))
        assert alone.id in {vnf.id for vnf in members(it, ns).values()}
        assert len(it.machines()) == 3
        unwanted = {"scaleNsByStepsData": back, "vnfInstanceToBeAdded": added}
        with pytest.raises(InvalidError, match="no VNF of profile 'web' comes"):
            await asked(it, ns, "scale", scaleType="SCALE_NS", scaleNsData=unwanted)

    lab(body)


@pytest.mark.feature("A27")
def test_each_vnf_ends_as_the_request_says() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        await done(it, ns, "instantiate", nsFlavourId="default")
        await done(it, ns, "scale", **out())
        first, second = (members(it, ns)[name].id for name in ("web-0", "web-1"))
        own = {"vnfInstanceId": first, "terminationType": "FORCEFUL"}
        with pytest.raises(InvalidError, match="cannot find VNF nobody"):
            await asked(it, ns, "terminate", terminateVnfData=[{**own, "vnfInstanceId": "nobody"}])
        rest = {"additionalParamsforNs": {"terminationType": "GRACEFUL", "gracefulTerminationTimeout": 7}}
        await done(it, ns, "terminate", terminateVnfData=[own], terminateNsData=rest)
        ended = {one.subject: one.params for one in it.node.engine.operations() if one.kind == "vnf.terminate"}
        assert ended == {
            first: {"terminationType": "FORCEFUL"},
            second: {"terminationType": "GRACEFUL", "gracefulTerminationTimeout": 7},
        }

    lab(body)


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "degree": ("heal", {"healNsData": {"degreeHealing": "HEAL_QOS"}}, "/healNsData/degreeHealing"),
    "heal": (
        "heal",
        {"healNsData": {"degreeHealing": "HEAL_RESTORE", "additionalParamsforNs": {"speed": 1}}},
        "/healNsData/additionalParamsforNs/speed",
    ),
    "nothing": ("scale", {"scaleType": "SCALE_NS", "scaleNsData": {}}, "/scaleNsData"),
    "level": (
        "scale",
        {
            "scaleType": "SCALE_NS",
            "scaleNsData": {
                "scaleNsToLevelData": {"nsScaleInfo": [{"nsScalingAspectId": "size", "nsScaleLevelId": "x"}]}
            },
        },
        "/scaleNsData/scaleNsToLevelData/nsScaleInfo/0/nsScaleLevelId",
    ),
    "flavour": (
        "update",
        {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": "web", "vnfFlavourId": "huge"}]},
        "/instantiateVnfData/0/vnfFlavourId",
    ),
    "profile": (
        "update",
        {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfdId": "nobody"}]},
        "/instantiateVnfData/0/vnfProfileId",
    ),
}


@pytest.mark.feature("B33")
def test_what_cannot_be_obeyed_is_refused_at_its_place() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        with pytest.raises(InvalidError, match="no VNF profile 'other'") as refusal:
            await asked(
                it, ns, "instantiate", nsFlavourId="default", additionalParamsForVnf=[{"vnfProfileId": "other"}]
            )
        assert [fault.path for fault in refusal.value.faults] == ["/additionalParamsForVnf/0/vnfProfileId"]
        await done(it, ns, "instantiate", nsFlavourId="default")
        for name, (task, request, path) in WRONG.items():
            with pytest.raises(InvalidError) as refusal:
                await asked(it, ns, task, **request)
            assert [fault.path for fault in refusal.value.faults] == [path], name

    lab(body)


@pytest.mark.feature("A29", "A32")
def test_operations_on_members_get_all_that_the_request_says() -> None:
    async def body(it: Lab) -> None:
        ns = await made(it)
        await done(it, ns, "instantiate", nsFlavourId="default")
        id = members(it, ns)["web-0"].id
        stop = {"vnfInstanceId": id, "changeStateTo": "STOPPED", "additionalParam": {"why": "night"}}
        await done(it, ns, "update", updateType="OPERATE_VNF", operateVnfData=[stop])
        start = {"vnfInstanceId": id, "changeStateTo": "STARTED"}
        await done(it, ns, "update", updateType="OPERATE_VNF", operateVnfData=[start])
        await done(it, ns, "heal", healVnfData=[{"vnfInstanceId": id, "additionalParams": {"why": "dust"}}])
        told = [one.params.get("additionalParams") for one in it.node.engine.operations(subject=id)]
        assert told[1:] == [{"why": "night"}, None, {"why": "dust"}]
        (network,) = it.world.has.networks
        link = {"extVirtualLinkId": "mine", "resourceId": network, "vimId": "sim", "extCps": [{"cpdId": "eth"}]}
        data = [{"vnfInstanceId": id, "extVirtualLinks": [link]}]
        await done(it, ns, "update", updateType="CHANGE_EXTERNAL_VNF_CONNECTIVITY", changeExtVnfConnectivityData=data)
        (shown,) = members(it, ns)["web-0"].ext_links.values()
        assert (shown.link_id, shown.vim, shown.network) == ("mine", "sim", network)

    lab(body)
