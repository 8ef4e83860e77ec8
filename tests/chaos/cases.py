"""Every operation type as a case: what there is before it, and the request that starts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from skerry.model.app import AppPkgInfo
from skerry.model.states import InstantiationState
from tests.chaos import packages
from tests.chaos.arena import Life
from tests.meo.packages import appd, archive, service
from tests.nfvo.machines import at, onboard_pnf, pnf, with_machines
from tests.nfvo.paths import with_paths
from tests.nfvo.saps import with_saps
from tests.vnfm.builder import csar, ns_folder, vnf_folder

Before = Callable[[Life], Awaitable[str]]
Request = Callable[[Life, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """`before` makes the instance and answers its id; `request` has the parameters. With `mends` the situation before is
    broken, so that undoing does not bring it back; `ends` is the state in which it ends undisturbed."""

    name: str
    kind: str
    before: Before
    request: Request
    mends: bool = False
    ends: str = "COMPLETED"

    def __str__(self) -> str:
        return self.name


def asks(params: Mapping[str, Any]) -> Request:
    return lambda _life, _id: params


# -- situations -------------------------------------------------------------------------------------------------------


async def packages_only(life: Life) -> None:
    await life.onboard(packages.two_flavours())
    for one in (packages.WEB2, packages.BAD, packages.DB):
        await life.onboard(csar(vnf_folder(one)))


async def created(life: Life) -> str:
    await packages_only(life)
    return (await life.node.vnfm.create("web", name="web")).id


async def running(life: Life) -> str:
    id = await created(life)
    await life.done("vnf.instantiate", id, {"flavourId": "default"})
    return id


async def large(life: Life) -> str:
    id = await running(life)
    await life.done("vnf.scale", id, scale("SCALE_OUT"))
    return id


async def stopped(life: Life) -> str:
    id = await running(life)
    await life.done("vnf.operate", id, {"changeStateTo": "STOPPED"})
    return id


async def crashed(life: Life) -> str:
    id = await running(life)
    life.world.kill(life.node.vnfm.instance(id).resources["compute:front-0"].spec["name"])
    return id


async def paired(life: Life) -> str:
    """A VNF with a standby."""
    return (await life.vnf(packages.PAIR)).id


async def with_empty_snapshot(life: Life) -> str:
    id = await running(life)
    await life.node.vnfm.snapshots.create(tenant="")
    return id


async def with_snapshot(life: Life) -> str:
    """A VNF that has grown since its snapshot was taken, and whose VNFCs all know the new one."""
    id = await with_empty_snapshot(life)
    await life.done("vnf.create_snapshot", id, in_snapshot(life, id))
    await life.done("vnf.scale", id, scale("SCALE_OUT"))
    for state in ("STOPPED", "STARTED"):
        await life.done("vnf.operate", id, {"changeStateTo": state})
    return id


async def replaced_while_stopped(life: Life) -> str:
    """A VNF whose VNFC has not run its first scripts yet."""
    id = await stopped(life)
    await life.done("vnf.heal", id, {"vnfcInstanceId": ["front-0"]})
    return id


async def shop_created(life: Life) -> str:
    await packages_only(life)
    return (await life.ns(packages.SHOP, instantiate=False)).id


async def shop(life: Life) -> str:
    id = await shop_created(life)
    await life.done("ns.instantiate", id)
    return id


async def shop_large(life: Life) -> str:
    id = await shop(life)
    await life.done("ns.scale", id, ns_scale("SCALE_OUT"))
    return id


async def shop_crashed(life: Life) -> str:
    id = await shop(life)
    life.world.kill(next(name for name in life.machines() if name.endswith("store-0")))
    return id


async def shop_beside_db(life: Life) -> str:
    """An NS that is not instantiated, and a VNF that it shall use."""
    id = await shop_created(life)
    await life.vnf(packages.DB, name="old")
    return id


async def lone_beside_db(life: Life) -> str:
    """An NS of one DB, and a second DB that was there before."""
    await packages_only(life)
    ns = await life.ns(packages.LONE)
    await life.vnf(packages.DB, name="old")
    return ns.id


async def open_shop(life: Life) -> str:
    """An NS with a SAP, and a path between its VNFs, which is laid again with every change of a SAP."""
    await packages_only(life)
    files = with_saps(with_paths(packages.SHOP, packages.VISITS), {"door": "net"})
    await life.onboard_ns(csar(files))
    id = (await life.ns(packages.SHOP, instantiate=False)).id
    await life.done("ns.instantiate", id)
    return id


TILLS = {"till": {"pnfd": "plc", "links": {"lan": "net"}}}
TILL = at("10.8.0.200")


async def shop_with_tills(life: Life) -> str:
    """An NS that is not instantiated, and may have PNFs."""
    await packages_only(life)
    await onboard_pnf(life, "plc", "lan")
    await life.onboard_ns(csar(with_machines(ns_folder(packages.SHOP), TILLS)))
    return (await life.ns(packages.SHOP, instantiate=False)).id


async def shop_with_till(life: Life) -> str:
    """An NS with a PNF."""
    id = await shop_with_tills(life)
    await life.done("ns.instantiate", id, {"addPnfData": [pnf("till-1", TILL, profile="till")]})
    return id


# -- requests ---------------------------------------------------------------------------------------------------------


def scale(how: str) -> dict[str, Any]:
    return {"type": how, "aspectId": "fronts", "numberOfSteps": 1}


def ns_scale(how: str) -> dict[str, Any]:
    steps = {"scalingDirection": how, "aspectId": "size", "numberOfSteps": 1}
    return {"scaleType": "SCALE_NS", "scaleNsData": {"scaleNsByStepsData": steps}}


def in_snapshot(life: Life, _id: str) -> Mapping[str, Any]:
    """The parameters that name the one snapshot that there is."""
    return {"vnfSnapshotInfoId": life.node.vnfm.snapshots.all(tenant="")[0].id}


def member(life: Life, ns: str, name: str) -> str:
    return life.node.nfvo.instance(ns).members[name].vnf_instance_id


def old(life: Life) -> str:
    return next(vnf.id for vnf in life.node.vnfm.instances() if vnf.vnf_instance_name == "old")


def scale_member(life: Life, id: str) -> Mapping[str, Any]:
    data = {"aspectId": "fronts", "numberOfSteps": 1}
    entry = {"vnfInstanceId": member(life, id, "web-0"), "scaleVnfType": "SCALE_OUT", "scaleByStepData": data}
    return {"scaleType": "SCALE_VNF", "scaleVnfData": [entry]}


def heal_member(life: Life, id: str) -> Mapping[str, Any]:
    return {"healVnfData": [{"vnfInstanceId": member(life, id, "db-0"), "cause": "asked"}]}


def use_old(life: Life, id: str) -> Mapping[str, Any]:
    return {"vnfInstanceData": [{"vnfInstanceId": old(life), "vnfProfileId": "db"}]}


def one_more(life: Life, id: str) -> Mapping[str, Any]:
    return {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfdId": "db", "vnfProfileId": "db"}]}


def add_old(life: Life, id: str) -> Mapping[str, Any]:
    return {"updateType": "ADD_VNF", "addVnfInstance": [{"vnfInstanceId": old(life), "vnfProfileId": "db"}]}


def remove_member(life: Life, id: str) -> Mapping[str, Any]:
    return {"updateType": "REMOVE_VNF", "removeVnfInstanceId": [member(life, id, "web-1")]}


def operate_member(life: Life, id: str) -> Mapping[str, Any]:
    entry = {"vnfInstanceId": member(life, id, "web-0"), "changeStateTo": "STOPPED"}
    return {"updateType": "OPERATE_VNF", "operateVnfData": [entry]}


def modify_member(life: Life, id: str) -> Mapping[str, Any]:
    entry = {"vnfInstanceId": member(life, id, "web-0"), "vnfConfigurableProperties": {"mode": "wild"}}
    return {"updateType": "MODIFY_VNF_INFORMATION", "modifyVnfInfoData": [entry]}


def rename_member(life: Life, id: str) -> Mapping[str, Any]:
    entry = {"vnfInstanceId": member(life, id, "db-0"), "vnfInstanceName": "other", "metadata": {"a": "b"}}
    return {"updateType": "MODIFY_VNF_INFORMATION", "modifyVnfInfoData": [entry]}


# -- applications -----------------------------------------------------------------------------------------------------

RULED = appd(appServiceOptional=[service("cache")], terminateAppInstanceOpConfig={"minGracefulTerminationTimeout": 5})


async def app_created(life: Life) -> str:
    """An application whose package is onboarded, with the ways of the NFVO to it."""
    node = life.node
    info = await node.applications.create(AppPkgInfo(id="", name="app"))
    await node.applications.upload(info.id, archive(RULED))
    return (await node.meo.create("app-1", name="app")).id


async def app_running(life: Life) -> str:
    id = await app_created(life)
    await life.done("app.instantiate", id)
    return id


async def app_stopped(life: Life) -> str:
    id = await app_running(life)
    await life.done("app.operate", id, {"changeStateTo": "STOPPED"})
    return id


SAP = {"sapdId": "door", "sapName": "back door", "description": ""}

LINK = {"addNsVirtualLinkData": [{"nsVirtualLinkProfileId": "net"}]}


SECOND = pnf("till-2", at("10.8.0.201"), profile="till")
MOVED = {"pnfId": "till-1", "cpData": [at("10.8.0.210")]}

CONFIGURED = {"appServiceOptional": [service("other")], "appTrafficRule": []}

APPLICATIONS = (
    Case("app-instantiate", "app.instantiate", app_created, asks({})),
    Case("app-stop", "app.operate", app_running, asks({"changeStateTo": "STOPPED"})),
    Case("app-start", "app.operate", app_stopped, asks({"changeStateTo": "STARTED"})),
    Case("app-configure", "app.configure", app_running, asks(CONFIGURED)),
    Case("app-configure-idle", "app.configure", app_created, asks(CONFIGURED)),
    Case("app-terminate", "app.terminate", app_running, asks({"terminationType": "GRACEFUL"})),
    Case("app-terminate-stopped", "app.terminate", app_stopped, asks({"terminationType": "FORCEFUL"})),
)

CASES = (
    Case("vnf-instantiate", "vnf.instantiate", created, asks({"flavourId": "default"})),
    Case("vnf-scale-out", "vnf.scale", running, asks(scale("SCALE_OUT"))),
    Case("vnf-scale-in", "vnf.scale", large, asks(scale("SCALE_IN"))),
    Case("vnf-to-level", "vnf.scale_to_level", running, asks({"instantiationLevelId": "large"})),
    Case("vnf-stop", "vnf.operate", running, asks({"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})),
    Case("vnf-start", "vnf.operate", stopped, asks({"changeStateTo": "STARTED"})),
    Case("vnf-heal-broken", "vnf.heal", crashed, asks({"cause": "it died"}), mends=True),
    Case("vnf-heal-one", "vnf.heal", running, asks({"vnfcInstanceId": ["back-0"]})),
    Case("vnf-heal-switch", "vnf.heal", paired, asks({"vnfcInstanceId": ["one-0"]}), mends=True),
    Case("vnf-terminate", "vnf.terminate", large, asks({"terminationType": "FORCEFUL"})),
    Case(
        "vnf-modify", "vnf.modify", running, asks({"vnfConfigurableProperties": {"mode": "wild"}, "metadata": {"a": 1}})
    ),
    Case("vnf-modify-idle", "vnf.modify", created, asks({"vnfInstanceName": "other"})),
    Case("vnf-flavour", "vnf.change_flavour", running, asks({"newFlavourId": "wide"})),
    Case("vnf-package", "vnf.change_package", running, asks({"vnfdId": "web2"})),
    Case("vnf-package-bad", "vnf.change_package", running, asks({"vnfdId": "bad"}), ends="ROLLED_BACK"),
    Case("vnf-start-late", "vnf.operate", replaced_while_stopped, asks({"changeStateTo": "STARTED"}), mends=True),
    Case("vnf-snapshot", "vnf.create_snapshot", with_empty_snapshot, in_snapshot),
    Case("vnf-to-snapshot", "vnf.revert_to_snapshot", with_snapshot, in_snapshot),
    Case("ns-instantiate", "ns.instantiate", shop_created, asks({})),
    Case("ns-instantiate-old", "ns.instantiate", shop_beside_db, use_old),
    Case("ns-scale-out", "ns.scale", shop, asks(ns_scale("SCALE_OUT"))),
    Case("ns-scale-in", "ns.scale", shop_large, asks(ns_scale("SCALE_IN"))),
    Case("ns-scale-member", "ns.scale", shop, scale_member),
    Case(
        "ns-heal-broken", "ns.heal", shop_crashed, asks({"healNsData": {"degreeHealing": "HEAL_RESTORE"}}), mends=True
    ),
    Case("ns-heal-member", "ns.heal", shop, heal_member),
    Case("ns-update-more", "ns.update", shop, one_more),
    Case("ns-update-add", "ns.update", lone_beside_db, add_old),
    Case("ns-update-remove", "ns.update", shop_large, remove_member),
    Case("ns-update-operate", "ns.update", shop, operate_member),
    Case("ns-update-modify", "ns.update", shop, modify_member),
    Case("ns-update-rename", "ns.update", shop, rename_member),
    Case("ns-update-add-sap", "ns.update", open_shop, asks({"updateType": "ADD_SAP", "addSap": [SAP]})),
    Case("ns-update-remove-sap", "ns.update", open_shop, asks({"updateType": "REMOVE_SAP", "removeSapId": ["door"]})),
    Case("ns-update-add-pnf", "ns.update", shop_with_till, asks({"updateType": "ADD_PNF", "addPnfData": [SECOND]})),
    Case(
        "ns-update-modify-pnf",
        "ns.update",
        shop_with_till,
        asks({"updateType": "MODIFY_PNF", "modifyPnfData": [MOVED]}),
    ),
    Case(
        "ns-update-remove-pnf",
        "ns.update",
        shop_with_till,
        asks({"updateType": "REMOVE_PNF", "removePnfId": ["till-1"]}),
    ),
    Case("ns-update-add-link", "ns.update", shop, asks({"updateType": "CREATE_NS_VIRTUAL_LINK", **LINK})),
    Case("ns-terminate", "ns.terminate", shop, asks({})),
)


def instantiated(life: Life) -> list[str]:
    """The VNFs and NSs that still have something, NSs first: what has to be terminated to leave nothing."""
    found = [
        ns.id for ns in life.node.nfvo.instances() if ns.ns_state is InstantiationState.INSTANTIATED or ns.resources
    ]
    vnfs = life.node.vnfm.instances()
    found = [app.id for app in life.node.meo.instances() if app.host or app.resources] + found
    return [*found, *(v.id for v in vnfs if v.instantiation_state is InstantiationState.INSTANTIATED or v.resources)]
