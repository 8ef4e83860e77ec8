"""Service access points that are added and removed while the NS runs, over SOL005: traffic that enters at one follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from skerry.api import body
from skerry.api.sol005 import types as wire
from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import Vnfd
from skerry.model.ns import NsInstance
from skerry.model.performance import ObjectType
from skerry.model.saps import access_points
from skerry.model.states import OperationState
from skerry.notifications import affected
from skerry.policy import objects
from tests.nfvo.paths import with_paths
from tests.nfvo.saps import with_saps
from tests.nfvo.test_forwarding import HOST, SERVICE, WALL, way
from tests.nfvo.test_vnffgs import GROUPS
from tests.vnfm.builder import Lab, csar, lab, vnf_folder

DOOR = {"sapdId": "door", "sapName": "front door", "description": "for customers"}


async def deployed(it: Lab) -> NsInstance:
    """A client, a wall and a server on one virtual link, with a SAP on it and a forwarding graph without paths."""
    for vnf in (HOST, WALL):
        await it.onboard(csar(vnf_folder(vnf)))
    await it.onboard_ns(csar(with_saps(with_paths(SERVICE, PATHS), {"door": "lan"})))
    return await it.ns(SERVICE)


PATHS = {
    "web": {
        "over": [["client"], ["wall", "left", "right"], ["server"]],
        "rules": {"port80": {"ether_type": "ipv4", "protocol": "tcp", "destination_port_range": [80, 80]}},
    }
}


async def updated(it: Lab, ns: NsInstance, kind: str, **data: Any) -> OperationState:
    """The state of an update once it is over; the request is one that the API takes."""
    request = {"updateType": kind, **data}
    body.params(request, wire.UpdateNsRequest)
    return (await it.run("ns.update", ns.id, request)).state


def names(it: Lab, ns: NsInstance) -> dict[str, str]:
    """The SAPs of an NS: identifier -> name."""
    record = it.node.nfvo.instance(ns.id)
    points = access_points(it.node.nfvo.desk.flavour(record), record.saps)
    return {id: point.name for id, point in points.items()}


def over(sap: str, port: int) -> list[Mapping[str, Any]]:
    """UpdateVnffgData: what enters at a SAP for this port goes through the wall."""
    rule = {"protocol": "TCP", "destinationPortRange": {"lowerPort": port, "upperPort": port}}
    groups = [{"cpPairInfo": [{"sapIds": [sap]}]}, *GROUPS[1:]]
    return [{"vnffgInfoId": "graph", "nfp": [{"nfpName": f"from-{sap}", "cpGroup": groups, "nfpRule": rule}]}]


@pytest.mark.feature("A57")
def test_what_enters_at_a_new_access_point_is_led() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        assert names(it, ns) == {"door": "door"}
        with pytest.raises(InvalidError, match="the NS has no SAP door-2"):
            await updated(it, ns, "UPDATE_VNFFG", updateVnffg=over("door-2", 443))
        assert await updated(it, ns, "ADD_SAP", addSap=[DOOR]) is OperationState.COMPLETED
        assert names(it, ns) == {"door": "door", "door-2": "front door"}
        assert "wall-0" not in await way(it, ns, 443)
        assert await updated(it, ns, "UPDATE_VNFFG", updateVnffg=over("door-2", 443)) is OperationState.COMPLETED
        assert await way(it, ns, 443) == ["wall-0", "server-0"]
        with pytest.raises(ConflictError, match="paths begin or end there: from-door-2"):
            await updated(it, ns, "REMOVE_SAP", removeSapId=["door-2"])
        await it.restart()
        assert await way(it, ns, 443) == ["wall-0", "server-0"]
        gone = [{"vnffgInfoId": "graph", "nfpInfoId": ["from-door-2"]}]
        assert await updated(it, ns, "UPDATE_VNFFG", updateVnffg=gone) is OperationState.COMPLETED
        assert await updated(it, ns, "REMOVE_SAP", removeSapId=["door-2", "door"]) is OperationState.COMPLETED
        assert names(it, ns) == {}
        assert await way(it, ns, 80) == ["wall-0", "server-0"]
        assert await updated(it, ns, "ADD_SAP", addSap=[DOOR]) is OperationState.COMPLETED
        assert names(it, ns) == {"door": "front door"}
        await it.done("ns.terminate", ns.id)
        await it.done("ns.instantiate", ns.id)
        assert names(it, ns) == {"door": "door"}

    lab(body)


@pytest.mark.feature("A57")
def test_access_points_stay_as_they_were_when_the_paths_cannot_be_laid_again() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        it.world.fail("taps", times=3)  # as often as a step is tried
        ended = await it.run("ns.update", ns.id, {"updateType": "ADD_SAP", "addSap": [DOOR]})
        assert ended.state is OperationState.ROLLED_BACK
        (told,) = affected.of_ns(ended, ended.state, ns, {})["affectedSap"]
        assert (told["sapInstanceId"], told["changeType"], told["changeResult"]) == ("door-2", "ADD", "ROLLED_BACK")
        assert names(it, ns) == {"door": "door"}
        assert it.node.nfvo.instance(ns.id).saps is None

    lab(body)


@pytest.mark.feature("A57")
def test_all_that_is_wrong_with_access_points_is_told_at_once() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        before = it.node.nfvo.instance(ns.id)
        wrong = [
            {**DOOR, "sapdId": "window"},
            {**DOOR, "sapName": "door", "sapProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET"}]},
        ]
        with pytest.raises(InvalidError) as refusal:
            await updated(it, ns, "ADD_SAP", addSap=wrong)
        paths = ["/addSap/0/sapdId", "/addSap/1/sapName", "/addSap/1/sapProtocolData"]
        assert [fault.path for fault in refusal.value.faults] == paths
        with pytest.raises(InvalidError) as refusal:
            await updated(it, ns, "REMOVE_SAP", removeSapId=["a", "door", "b"])
        assert [fault.path for fault in refusal.value.faults] == ["/removeSapId/0", "/removeSapId/2"]
        with pytest.raises(InvalidError, match="needs addSap"):
            await updated(it, ns, "ADD_SAP")
        assert it.node.nfvo.instance(ns.id) == before

    lab(body)


@pytest.mark.feature("A57")
def test_traffic_is_measured_at_the_access_points_that_there_are() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await updated(it, ns, "ADD_SAP", addSap=[DOOR])
        record = it.node.nfvo.instance(ns.id)
        flavour = it.node.nfvo.desk.flavour(record)
        vnfs = [it.node.vnfm.instance(member.vnf_instance_id) for member in record.members.values()]
        described = {vnf.id: _described(it, vnf.vnfd_id).flavours["default"] for vnf in vnfs}
        parts = objects.of_ns(record, flavour, [(vnf, described[vnf.id]) for vnf in vnfs], ObjectType.SAP)
        assert parts["door"] == parts["door-2"]
        assert any(devices for share in parts["door-2"] for devices in share.devices.values())

    lab(body)


def _described(it: Lab, vnfd_id: str) -> Vnfd:
    return it.node.nfvo.desk.vnfd(vnfd_id, "")


def test_a_service_without_access_points_in_its_descriptor_gets_none() -> None:
    async def body(it: Lab) -> None:
        for vnf in (HOST, WALL):
            await it.onboard(csar(vnf_folder(vnf)))
        ns = await it.ns(SERVICE)
        with pytest.raises(InvalidError, match="the NSD has no SAPD 'door'; there are: none"):
            await updated(it, ns, "ADD_SAP", addSap=[DOOR])

    lab(body)
