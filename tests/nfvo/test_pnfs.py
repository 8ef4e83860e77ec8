"""Physical functions of a network service over SOL005: they come, change and go, members are told their addresses, traffic is
led through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from skerry.api import body
from skerry.api.sol005 import forwarding
from skerry.api.sol005 import types as wire
from skerry.api.sol005.requests import normal
from skerry.errors import ConflictError, InvalidError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.pnfs import Pnf, PnfPoint, pnfs_of
from skerry.model.states import OperationState, UsageState
from skerry.nfvo.pnf_steps import cabled
from skerry.notifications import affected
from skerry.store import aggregates
from tests.nfvo.looking import check, machine_of, members
from tests.nfvo.machines import at, onboard_pnf, pnf, with_machines
from tests.nfvo.paths import with_paths
from tests.nfvo.test_forwarding import HOST, way
from tests.vnfm.builder import Lab, csar, lab, ns_folder, vnf_folder

VNF = """
id: panel
vdus: {box: {nics: {eth: ext}, env: {PRESS: {get_property: [SELF, configurable_properties, press]}}}}
properties: {press: none}
"""
FACTORY = """
id: factory
vnfs:
  panel: {vnfd: panel, links: {eth: floor}, values: {press: {get_attribute: [plc, lan, ip_address]}}, max: 3}
links: {floor: 10.82.0.0/24}
"""
PLC = {"plc": {"pnfd": "plc", "links": {"lan": "floor"}}}
PORTS = ("plc-7/lan", "plc-8/lan", "plc-7/left", "plc-7/right")
VIM = {"sim": {"latency": {"*": 0.1}, "ports": PORTS}}


def site(work: Callable[[Lab], Awaitable[None]], vims: Any = VIM) -> None:
    lab(work, vims)


async def onboarded(it: Lab, text: str = FACTORY, **machines: Any) -> str:
    """The record's id of the PNFD."""
    await it.onboard(csar(vnf_folder(VNF)))
    id = await onboard_pnf(it, "plc", *machines.get("points", ["lan"]))
    await it.onboard_ns(csar(with_machines(ns_folder(text), PLC)))
    return id


async def deployed(it: Lab, *pnfs: dict[str, Any]) -> NsInstance:
    await onboarded(it)
    ns = await it.ns(FACTORY, instantiate=False)
    request = {"nsFlavourId": "default", "addpnfData": list(pnfs)}
    await it.done("ns.instantiate", ns.id, normal(body.params(request, wire.InstantiateNsRequest)))
    return it.node.nfvo.instance(ns.id)


async def updated(it: Lab, ns: NsInstance, kind: str, **data: Any) -> Operation:
    """An update once it is over; the request is one that the API takes."""
    request = {"updateType": kind, **data}
    return await it.run("ns.update", ns.id, normal(body.params(request, wire.UpdateNsRequest)))


def there(it: Lab, ns: NsInstance) -> dict[str, Pnf]:
    return dict(pnfs_of(it.node.nfvo.instance(ns.id).resources))


def plugged(it: Lab) -> dict[str, tuple[str, ...]]:
    """Port → the addresses of who is plugged there, as the infrastructure has it."""
    return {port: spec.ips for port, spec in it.world.has.plugged.items()}


def told(it: Lab, ns: NsInstance, name: str = "panel-0") -> str:
    """The address of the press that a member knows."""
    return str(members(it, ns)[name].vnf_configurable_properties["press"])


@pytest.mark.feature("A24", "C21")
def test_a_machine_is_part_of_the_service_from_the_beginning() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2", mac="02:00:00:00:00:07")))
        network = ns.resources["network:floor@sim"].spec["name"]
        joined = PnfPoint(
            id="lan", cpd="lan", mac="02:00:00:00:00:07", ips=("10.82.0.2",), link="floor", vim="sim",
            port="plc-7/lan", network=network,
        )  # fmt: skip
        info = it.node.catalogue.pnfds()[0]
        expected = Pnf(profile="plc", pnfd_id="plc", pnfd_info_id=info.id, name="press", points=(joined,))
        assert there(it, ns) == {"plc-7": expected}
        assert it.world.has.plugged["plc-7/lan"].network == network
        assert machine_of(it, members(it, ns)["panel-0"]).nics[0].ip == "10.82.0.3"
        assert told(it, ns) == "10.82.0.2"
        assert info.usage_state is UsageState.IN_USE
        with pytest.raises(ConflictError, match="in use"):
            await it.node.catalogue.delete_pnfd(info.id)
        await it.restart()
        await it.done("ns.terminate", ns.id)
        assert it.world.inventory() == {"compute": [], "network": [], "port": [], "image": ["host:sh"]}
        assert there(it, ns) == {}

    site(work)


@pytest.mark.feature("A24", "C21")
def test_machines_come_change_and_go() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        done = await updated(it, ns, "ADD_PNF", addPnfData=[pnf("plc-8", at("10.82.0.9"), name="drill")])
        assert done.state is OperationState.COMPLETED
        assert plugged(it) == {"plc-7/lan": ("10.82.0.2",), "plc-8/lan": ("10.82.0.9",)}
        (line,) = affected.of_ns(done, done.state, it.node.nfvo.instance(ns.id), {})["affectedPnf"]
        assert line == {
            "pnfId": "plc-8", "pnfdId": "plc", "pnfProfileId": "plc", "pnfName": "drill", "cpInstanceId": ["lan"],
            "changeType": "ADD", "changeResult": "COMPLETED",
        }  # fmt: skip
        moved = {"pnfId": "plc-7", "pnfName": "big press", "cpData": [at("10.82.0.7", cpInstanceId="lan")]}
        del moved["cpData"][0]["cpdId"]  # type: ignore[attr-defined]
        done = await updated(it, ns, "MODIFY_PNF", modifyPnfData=[moved])
        assert done.state is OperationState.COMPLETED
        assert plugged(it)["plc-7/lan"] == ("10.82.0.7",)
        assert there(it, ns)["plc-7"].name == "big press"
        assert told(it, ns) == "10.82.0.7"
        renamed = [{"pnfId": "plc-7", "pnfName": "press"}]
        assert (await updated(it, ns, "MODIFY_PNF", modifyPnfData=renamed)).state is OperationState.COMPLETED
        assert plugged(it)["plc-7/lan"] == ("10.82.0.7",)
        done = await updated(it, ns, "REMOVE_PNF", removePnfId=["plc-7"])
        assert done.state is OperationState.COMPLETED
        (line,) = affected.of_ns(done, done.state, it.node.nfvo.instance(ns.id), {})["affectedPnf"]
        assert (line["pnfId"], line["changeType"]) == ("plc-7", "REMOVE")
        assert plugged(it) == {"plc-8/lan": ("10.82.0.9",)}
        assert told(it, ns) == "10.82.0.9"
        check(it, ns.id)

    site(work)


@pytest.mark.feature("C21")
def test_a_machine_that_cannot_be_connected_leaves_all_as_it_was() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        before = it.node.nfvo.instance(ns.id).resources
        taken = machine_of(it, members(it, ns)["panel-0"]).nics[0].ip
        done = await updated(it, ns, "ADD_PNF", addPnfData=[pnf("plc-8", at(taken))])
        assert done.state is OperationState.ROLLED_BACK
        assert "is taken" in done.error
        moved = [{"pnfId": "plc-7", "cpData": [at("10.83.0.1")]}]
        assert (await updated(it, ns, "MODIFY_PNF", modifyPnfData=moved)).state is OperationState.ROLLED_BACK
        assert plugged(it) == {"plc-7/lan": ("10.82.0.2",)}
        assert it.node.nfvo.instance(ns.id).resources == before
        assert told(it, ns) == "10.82.0.2"

    site(work)


@pytest.mark.feature("C21")
def test_all_that_is_wrong_with_machines_is_told_at_once() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        wrong = [
            pnf("plc-7"),
            pnf("plc-8", profile="crane"),
            {**pnf("plc-9"), "pnfdId": "crane"},
            pnf("plc-8", at("10.82.0.300", mac="x"), at("10.82.0.3", cpd="wan")),
        ]
        with pytest.raises(InvalidError) as refusal:
            await updated(it, ns, "ADD_PNF", addPnfData=wrong)
        assert [fault.path for fault in refusal.value.faults] == [
            "/addPnfData/0/pnfId",
            "/addPnfData/1/pnfProfileId",
            "/addPnfData/2/pnfdId",
            "/addPnfData/3/cpData/0/cpProtocolData/0/ipOverEthernet/macAddress",
            "/addPnfData/3/cpData/0/cpProtocolData/0/ipOverEthernet/ipAddresses/0/fixedAddresses",
            "/addPnfData/3/cpData/1/cpdId",
        ]
        with pytest.raises(InvalidError, match="no PNF 'plc-8'; there are: plc-7"):
            await updated(it, ns, "REMOVE_PNF", removePnfId=["plc-8"])
        with pytest.raises(InvalidError, match="no PNF 'plc-8'; there are: plc-7"):
            await updated(it, ns, "MODIFY_PNF", modifyPnfData=[{"pnfId": "plc-8", "pnfName": "drill"}])
        with pytest.raises(InvalidError, match="needs addPnfData"):
            await updated(it, ns, "ADD_PNF")

    site(work)


@pytest.mark.feature("C21")
def test_a_machine_that_is_cabled_nowhere_is_refused() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        done = await updated(it, ns, "ADD_PNF", addPnfData=[pnf("plc-9")])
        assert done.state is not OperationState.COMPLETED
        assert "no infrastructure has a port plc-9/lan" in done.error
        assert set(there(it, ns)) == {"plc-7"}

    site(work)


@pytest.mark.feature("C21")
def test_a_machine_is_its_tenants() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        own = await it.node.nfvo.desk.database.write(
            lambda tx: aggregates.ns_instances.change(
                tx, ns.id, lambda one: msgspec.structs.replace(one, tenant="acme")
            )
        )
        machine = Pnf(
            profile="plc",
            pnfd_id="plc",
            pnfd_info_id="",
            name="",
            points=(PnfPoint(id="lan", cpd="lan", link="floor"),),
        )
        with pytest.raises(InvalidError, match="no infrastructure has a port acme:plc-8/lan"):
            await cabled(it.node.nfvo.desk, own, {"plc-8": machine})
        placed = await cabled(it.node.nfvo.desk, own, {"plc-9": machine})
        assert placed["plc-9"].points[0].port == "acme:plc-9/lan"

    site(work, {"sim": {"ports": [*PORTS, "acme:plc-9/lan"]}})


@pytest.mark.feature("C21")
def test_members_are_placed_where_the_machine_is() -> None:
    async def work(it: Lab) -> None:
        ns = await deployed(it, pnf("plc-7", at("10.82.0.2")))
        assert set(members(it, ns)["panel-0"].vim_ids) == {"plant"}
        done = await updated(it, ns, "ADD_PNF", addPnfData=[pnf("plc-8", at("10.82.0.9"))])
        assert done.state is not OperationState.COMPLETED
        assert "it is cabled to office, the VNFs on floor are on plant" in done.error

    site(work, {"office": {"ports": ["plc-8/lan"]}, "plant": {"ports": ["plc-7/lan"]}})


@pytest.mark.feature("C21", "A57")
def test_traffic_is_led_through_a_machine() -> None:
    async def work(it: Lab) -> None:
        await it.onboard(csar(vnf_folder(HOST)))
        await onboard_pnf(it, "plc", "left", "right")
        rules = {"web": {"ether_type": "ipv4", "protocol": "tcp", "destination_port_range": [80, 80]}}
        over = {"through": {"over": [["client"], ["plc", "left", "right"], ["server"]], "rules": rules}}
        machines = {"plc": {"pnfd": "plc", "links": {"left": "lan", "right": "lan"}}}
        await it.onboard_ns(csar(with_machines(with_paths(GUARDED, over), machines)))
        ns = await it.ns(GUARDED, instantiate=False)
        await it.done("ns.instantiate", ns.id, {"addPnfData": [{**pnf("plc-7"), "cpData": []}]})
        assert await way(it, ns, 80) == ["plc-7", "server-0"]
        assert "plc-7" not in await way(it, ns, 443)
        with pytest.raises(ConflictError, match="forwarding paths lead over them: through"):
            await updated(it, ns, "REMOVE_PNF", removePnfId=["plc-7"])
        await it.restart()
        assert await way(it, ns, 80) == ["plc-7", "server-0"]
        rule = {"protocol": "TCP", "destinationPortRange": {"lowerPort": 443, "upperPort": 443}}
        groups = [
            {"cpPairInfo": [pair]}
            for pair in ({"vnfExtCpIds": ["client-0/eth"]}, MIDDLE, {"vnfExtCpIds": ["server/eth"]})
        ]
        path = {"nfpName": "tls", "cpGroup": groups, "nfpRule": rule}
        done = await updated(it, ns, "UPDATE_VNFFG", updateVnffg=[{"vnffgInfoId": "graph", "nfp": [path]}])
        assert done.state is OperationState.COMPLETED
        assert await way(it, ns, 443) == ["plc-7", "server-0"]
        (graph,) = forwarding.shown(it.node.nfvo.desk.flavour(ns), it.node.nfvo.instance(ns.id)) or ()
        assert graph.pnf_info_id == ["plc-7"]
        shown = [
            [pair for group in nfp.cp_group for pair in group.cp_pair_info or ()][1] for nfp in graph.nfp_info or ()
        ]
        assert [pair.pnf_ext_cp_ids for pair in shown] == [["plc/left", "plc/right"]] * 2
        wrong = {**path, "nfpName": "other", "cpGroup": [{"cpPairInfo": [{"pnfExtCpIds": ["crane/left"]}]}]}
        with pytest.raises(InvalidError, match="crane/left is no connection point of a PNF"):
            await updated(it, ns, "UPDATE_VNFFG", updateVnffg=[{"vnffgInfoId": "graph", "nfp": [wrong]}])
        await it.done("ns.terminate", ns.id)
        assert it.node.dataplane.ports() == []
        assert plugged(it) == {}

    site(work)


MIDDLE = {"pnfExtCpIds": ["plc-7/left", "plc-7/right"]}
GUARDED = """
id: guarded
vnfs: {client: {vnfd: host, links: {eth: lan}}, server: {vnfd: host, links: {eth: lan}}}
links: {lan: 10.80.0.0/24}
"""
