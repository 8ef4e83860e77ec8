"""Service access points that are added and removed while the NS runs, over SOL005: traffic that enters at one follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import Vnfd
from skerry.model.ns import NsInstance
from skerry.model.performance import ObjectType
from skerry.model.saps import access_points
from skerry.model.states import OperationState
from skerry.notifications import affected
from skerry.policy import objects
from tests.nfvo.looking import machine_of, members, ns_scale
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


def names(it: Lab, ns: NsInstance) -> dict[str, str]:
    """The SAPs of an NS: identifier -> name."""
    record = it.node.nfvo.instance(ns.id)
    points = access_points(it.node.nfvo.desk.flavour(record), record.saps)
    return {id: point.name for id, point in points.items()}


BACKWARDS = {"minAddress": "10.80.0.9", "maxAddress": "10.80.0.8"}
RANGE = {"minAddress": "10.80.0.8", "maxAddress": "10.80.0.9"}


def protocol(type: str = "IPV4", mac: str = "", **entry: Any) -> list[dict[str, Any]]:
    """CpProtocolData with one entry of addresses, and a MAC address."""
    over = {**({"macAddress": mac} if mac else {}), **({"ipAddresses": [{"type": type, **entry}]} if entry else {})}
    return [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}]


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
            await it.updated(ns, "UPDATE_VNFFG", updateVnffg=over("door-2", 443))
        assert await it.updated(ns, "ADD_SAP", addSap=[DOOR]) is OperationState.COMPLETED
        assert names(it, ns) == {"door": "door", "door-2": "front door"}
        assert "wall-0" not in await way(it, ns, 443)
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=over("door-2", 443)) is OperationState.COMPLETED
        assert await way(it, ns, 443) == ["wall-0", "server-0"]
        with pytest.raises(ConflictError, match="paths begin or end there: from-door-2"):
            await it.updated(ns, "REMOVE_SAP", removeSapId=["door-2"])
        await it.restart()
        assert await way(it, ns, 443) == ["wall-0", "server-0"]
        gone = [{"vnffgInfoId": "graph", "nfpInfoId": ["from-door-2"]}]
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=gone) is OperationState.COMPLETED
        assert await it.updated(ns, "REMOVE_SAP", removeSapId=["door-2", "door"]) is OperationState.COMPLETED
        assert names(it, ns) == {}
        assert await way(it, ns, 80) == ["wall-0", "server-0"]
        assert await it.updated(ns, "ADD_SAP", addSap=[DOOR]) is OperationState.COMPLETED
        assert names(it, ns) == {"door": "front door"}
        await it.done("ns.terminate", ns.id)
        await it.done("ns.instantiate", ns.id)
        assert names(it, ns) == {"door": "door"}

    lab(body)


def addresses(it: Lab, ns: NsInstance) -> set[str]:
    """Those that the instances of an NS have."""
    return {machine_of(it, vnf).nics[0].ip for vnf in members(it, ns).values()}


@pytest.mark.feature("A41", "A57")
def test_addresses_at_access_points_are_nobody_elses() -> None:
    async def body(it: Lab) -> None:
        for vnf in (HOST, WALL):
            await it.onboard(csar(vnf_folder(vnf)))
        await it.onboard_ns(csar(with_saps(with_paths(SERVICE, PATHS), {"door": "lan", "gate": "lan"})))
        first = {**DOOR, "sapProtocolData": protocol(fixedAddresses=["10.80.0.3"])}
        second = {**DOOR, "sapName": "side door", "sapProtocolData": protocol(numDynamicAddresses=1)}
        ns = await it.ns(SERVICE, sapData=[first, second])
        assert names(it, ns) == {"gate": "gate", "door": "front door", "door-2": "side door"}
        points = it.node.nfvo.instance(ns.id).saps or {}
        assert {id: (one.addresses, one.dynamic) for id, one in points.items() if one.addresses} == {
            "door": (("10.80.0.3",), False),
            "door-2": (("10.80.0.2",), True),
        }
        assert not addresses(it, ns) & {"10.80.0.2", "10.80.0.3"}
        third = {**DOOR, "sapName": "back door", "sapProtocolData": protocol(addressRange=RANGE)}
        assert await it.updated(ns, "ADD_SAP", addSap=[third]) is OperationState.COMPLETED
        await it.done("ns.scale", ns.id, ns_scale("SCALE_OUT", "walls"))
        there = [nic.ip for one in it.machines().values() for nic in one.nics]
        assert len(there) == 6
        assert not {"10.80.0.2", "10.80.0.3", "10.80.0.8", "10.80.0.9"} & set(there)
        await it.done("vnf.heal", members(it, ns)["client-0"].id, {"vnfcInstanceId": ["box-0"]})
        again = await it.run("ns.update", ns.id, {"updateType": "REMOVE_SAP", "removeSapId": ["door"]})
        assert again.state is OperationState.COMPLETED

    lab(body)


@pytest.mark.feature("A57")
def test_a_path_leads_only_what_who_is_connected_at_its_access_point_sends() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        known = {**DOOR, "sapProtocolData": protocol(fixedAddresses=["10.80.0.77", "10.80.0.78"])}
        assert await it.updated(ns, "ADD_SAP", addSap=[known]) is OperationState.COMPLETED
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=over("door-2", 443)) is OperationState.COMPLETED
        for sender in ("10.80.0.77", "10.80.0.78"):
            assert await way(it, ns, 443, sender=sender) == ["wall-0", "server-0"]
        for sender in ("", "10.80.0.79"):
            assert "wall-0" not in await way(it, ns, 443, sender=sender)
        (graph,) = over("door-2", 22)
        rule = {**graph["nfp"][0]["nfpRule"], "sourceIpAddressPrefix": "10.80.0.128/25"}
        other = {**graph, "nfp": [{**graph["nfp"][0], "nfpName": "odd", "nfpRule": rule}]}
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=[other]) is OperationState.ROLLED_BACK
        mac = machine_of(it, members(it, ns)["client-0"]).nics[0].mac
        routed = {**DOOR, "sapName": "router", "sapProtocolData": protocol(mac=mac)}
        assert await it.updated(ns, "ADD_SAP", addSap=[routed]) is OperationState.COMPLETED
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=over("door-3", 22)) is OperationState.COMPLETED
        assert await way(it, ns, 22, sender="192.0.2.1") == ["wall-0", "server-0"]

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
            {**DOOR, "sapName": "door"},
            {**DOOR, "sapProtocolData": protocol(fixedAddresses=["10.80.0.2", "10.81.0.9", "10.80.0.1", "x"])},
            {**DOOR, "sapName": "a", "sapProtocolData": protocol("IPV6", numDynamicAddresses=1)},
            {**DOOR, "sapName": "b", "sapProtocolData": protocol(numDynamicAddresses=1, subnetId="lan")},
            {**DOOR, "sapName": "c", "sapProtocolData": protocol(numDynamicAddresses=257)},
            {**DOOR, "sapName": "d", "sapProtocolData": protocol(numDynamicAddresses=252)},
            {**DOOR, "sapName": "e", "sapProtocolData": protocol(addressRange=BACKWARDS, mac="01:00:00:00:00:01")},
        ]
        with pytest.raises(InvalidError) as refusal:
            await it.updated(ns, "ADD_SAP", addSap=wrong)
        own = "sapProtocolData/0/ipOverEthernet"
        paths = [
            "/addSap/0/sapdId",
            "/addSap/1/sapName",
            *(f"/addSap/2/{own}/ipAddresses/0/fixedAddresses/{number}" for number in range(4)),
            f"/addSap/3/{own}/ipAddresses/0/type",
            f"/addSap/4/{own}/ipAddresses/0/subnetId",
            f"/addSap/5/{own}/ipAddresses/0/numDynamicAddresses",
            f"/addSap/6/{own}/ipAddresses/0/numDynamicAddresses",
            f"/addSap/7/{own}/macAddress",
            f"/addSap/7/{own}/ipAddresses/0/addressRange",
        ]
        assert [fault.path for fault in refusal.value.faults] == paths
        with pytest.raises(InvalidError) as refusal:
            await it.updated(ns, "REMOVE_SAP", removeSapId=["a", "door", "b"])
        assert [fault.path for fault in refusal.value.faults] == ["/removeSapId/0", "/removeSapId/2"]
        with pytest.raises(InvalidError, match="needs addSap"):
            await it.updated(ns, "ADD_SAP")
        assert it.node.nfvo.instance(ns.id) == before

    lab(body)


@pytest.mark.feature("A57")
def test_traffic_is_measured_at_the_access_points_that_there_are() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        await it.updated(ns, "ADD_SAP", addSap=[DOOR])
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
            await it.updated(ns, "ADD_SAP", addSap=[DOOR])

    lab(body)
