"""Virtual links that are made and deleted while the NS runs: a VNF moves to one, and nothing is deleted below somebody."""

from __future__ import annotations

import pytest

from skerry.errors import ConflictError, InvalidError
from skerry.model.ns import NsInstance
from skerry.model.states import OperationState
from skerry.notifications import affected
from tests.nfvo.looking import check, machine_of, members, ns_scale
from tests.vnfm.builder import Lab, csar, lab, ns_folder, vnf_folder

HOST = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
SERVICE = """
id: office
vnfs: {desk: {vnfd: host, links: {eth: lan}, max: 3}}
links: {lan: 10.84.0.0/24, spare: 10.85.0.0/24}
aspects: {desks: {desk: [1, 2]}}
levels: {start: {desk: 1}}
"""


async def deployed(it: Lab) -> NsInstance:
    await it.onboard(csar(vnf_folder(HOST)))
    await it.onboard_ns(csar(ns_folder(SERVICE)))
    return await it.ns(SERVICE)


async def created(it: Lab, ns: NsInstance, *profiles: str) -> OperationState:
    data = [{"nsVirtualLinkProfileId": profile} for profile in profiles]
    return await it.updated(ns, "CREATE_NS_VIRTUAL_LINK", addNsVirtualLinkData=data)


def links(it: Lab, ns: NsInstance) -> list[str]:
    return sorted(it.node.nfvo.instance(ns.id).resources.keys() - {"vnf:desk-0", "vnf:desk-1"})


@pytest.mark.feature("A28")
def test_a_vnf_moves_to_a_link_that_was_made_for_it() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it)
        assert await created(it, ns, "spare", "lan") is OperationState.COMPLETED
        assert links(it, ns) == ["network:lan-2@sim", "network:lan@sim", "network:spare@sim"]
        check(it, ns.id)
        spare = it.node.nfvo.instance(ns.id).resources["network:spare@sim"]
        vnf = members(it, ns)["desk-0"]
        link = {"id": "x", "resourceId": spare.outputs["id"], "extCps": [{"cpdId": "eth"}]}
        entry = {"vnfInstanceId": vnf.id, "extVirtualLinks": [link]}
        done = await it.update(ns, "CHANGE_EXTERNAL_VNF_CONNECTIVITY", changeExtVnfConnectivityData=[entry])
        assert done.state is OperationState.COMPLETED, done.error
        (nic,) = machine_of(it, members(it, ns)["desk-0"]).nics
        assert (nic.network, nic.ip[:8]) == (spare.spec["name"], "10.85.0.")
        with pytest.raises(ConflictError, match="there are desk-0 on spare@sim"):
            await it.update(ns, "DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["spare@sim"])
        with pytest.raises(ConflictError, match="there are desk-0 on lan@sim"):
            await it.update(ns, "DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["lan@sim"])
        done = await it.update(ns, "DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["lan-2@sim"])
        (line,) = affected.of_ns(done, done.state, it.node.nfvo.instance(ns.id), {})["affectedVl"]
        assert line == {
            "nsVirtualLinkInstanceId": "lan-2@sim", "nsVirtualLinkDescId": "lan", "vlProfileId": "lan",
            "changeType": "DELETE", "changeResult": "COMPLETED",
        }  # fmt: skip
        assert links(it, ns) == ["network:lan@sim", "network:spare@sim"]
        await it.restart()
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT", "desks"))
        assert links(it, ns) == ["network:lan@sim", "network:spare@sim"]
        await it.done("ns.terminate", ns.id)
        assert it.world.inventory()["network"] == []

    lab(work)


@pytest.mark.feature("A28")
def test_a_link_that_cannot_be_made_or_deleted_leaves_all_as_it_was() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it)
        it.world.fail("create_network", times=3)  # as often as a step is tried
        assert await created(it, ns, "spare") is OperationState.ROLLED_BACK
        assert links(it, ns) == ["network:lan@sim"]
        assert await created(it, ns, "spare") is OperationState.COMPLETED
        it.world.fail("delete_network", times=3)
        done = await it.update(ns, "DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["spare@sim"])
        assert done.state is OperationState.ROLLED_BACK
        assert links(it, ns) == ["network:lan@sim", "network:spare@sim"]
        check(it, ns.id)

    lab(work)


@pytest.mark.feature("A28")
def test_all_that_is_wrong_with_links_is_told_at_once() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it)
        with pytest.raises(InvalidError) as refusal:
            await created(it, ns, "wan", "lan", "dmz")
        paths = [f"/addNsVirtualLinkData/{number}/nsVirtualLinkProfileId" for number in (0, 2)]
        assert [fault.path for fault in refusal.value.faults] == paths
        with pytest.raises(InvalidError, match="no virtual link 'spare@sim'; there are: lan@sim"):
            await it.update(ns, "DELETE_NS_VIRTUAL_LINK", deleteNsVirtualLinkId=["spare@sim"])
        with pytest.raises(InvalidError, match="needs addNsVirtualLinkData"):
            await it.update(ns, "CREATE_NS_VIRTUAL_LINK")

    lab(work)


@pytest.mark.feature("A28")
def test_an_infrastructure_that_only_links_are_on_stays() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await created(it, ns, "spare")
        (vnf,) = (member.vnf_instance_id for member in it.node.nfvo.instance(ns.id).members.values())
        await it.update(ns, "REMOVE_VNF", removeVnfInstanceId=[vnf])
        for vim in it.node.nfvo.vims():
            with pytest.raises(ConflictError, match="virtual links are on"):
                await it.node.nfvo.delete_vim(vim.id)
        await it.done("ns.terminate", ns.id, {})
        assert it.nothing_left()

    lab(body)
