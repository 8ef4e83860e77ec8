"""Measured objects and their parts, as the life-cycle APIs call them."""

from __future__ import annotations

from typing import Any

from skerry.model.descriptors import ConnectionPoint, DeploymentFlavour, NsDeploymentFlavour, Sap, Vdu
from skerry.model.ns import Member, NsInstance
from skerry.model.performance import ObjectType
from skerry.model.resources import Resource, ResourceState
from skerry.model.vnf import VnfInstance
from skerry.policy import objects
from skerry.policy.measures import EXTERNAL, INTERNAL, SERVICE

FLAVOUR = DeploymentFlavour(
    id="default",
    vdus={"front": Vdu(id="front", cps=("inner", "pub"))},
    cps={
        "pub": ConnectionPoint(id="pub", vdu="front", external="outside", order=0),
        "inner": ConnectionPoint(id="inner", vdu="front", virtual_link="lan", order=1),
    },
)


def compute(name: str, **more: Any) -> Resource:
    nics = [{"device": "eth0", "network": "out"}, {"device": "eth1", "network": f"lan-{name}"}]
    spec = {"vim": "sim", "name": f"x-{name}", "vdu": "front", "vcpus": 1.0, "memory_bytes": 5}
    return Resource(key=f"compute:{name}", kind="compute", spec=spec, outputs={"nics": nics}, **more)


def vnf(id: str, *computes: Resource) -> VnfInstance:
    return VnfInstance(id=id, vnfd_id="d", vnf_pkg_id="p", resources={one.key: one for one in computes})


def devices(shares: tuple[objects.Share, ...], group: str) -> list[tuple[str, str, str]]:
    return [(*share.target.key, device) for share in shares for device in share.devices.get(group, ())]


def test_a_vnf_is_its_whole_and_its_vnfcs() -> None:
    gone = compute("front-2", state=ResourceState.FAILED)
    parts = objects.of_vnf(vnf("v", compute("front-0"), compute("front-1"), gone), FLAVOUR, ObjectType.VNF)
    assert list(parts) == ["", "front-0", "front-1"]
    assert devices(parts[""], EXTERNAL) == [("v", "front-0", "eth0"), ("v", "front-1", "eth0")]
    assert devices(parts["front-1"], INTERNAL) == [("v", "front-1", "eth1")]
    target = parts["front-0"][0].target
    assert (target.vim, target.name, target.vcpus, target.memory_bytes) == ("sim", "x-front-0", 1.0, 5)


def test_connection_points_are_called_as_everywhere() -> None:
    one = vnf("v", compute("front-0"))
    outside = objects.of_vnf(one, FLAVOUR, ObjectType.EXT_CP)
    assert {part: devices(shares, EXTERNAL) for part, shares in outside.items()} == {
        "front-0:outside:ext": [("v", "front-0", "eth0")]
    }
    inside = objects.of_vnf(one, FLAVOUR, ObjectType.INT_CP)
    assert list(inside) == ["front-0:inner"]
    # without a descriptor every interface is the VNF's own
    assert list(objects.of_vnf(one, None, ObjectType.INT_CP)) == ["front-0:eth0", "front-0:eth1"]


def test_a_service_access_point_is_what_is_on_its_link() -> None:
    network = Resource(key="network:net@sim", kind="network", spec={"vim": "sim", "name": "out"})
    ns = NsInstance(
        id="n",
        nsd_id="d",
        nsd_info_id="i",
        members={"a-0": Member(profile="a", vnf_instance_id="v")},
        resources={network.key: network},
    )
    flavour = NsDeploymentFlavour(
        id="default", saps={"door": Sap(id="door", virtual_link="net"), "shut": Sap(id="shut", virtual_link="else")}
    )
    member = (vnf("v", compute("front-0")), FLAVOUR)
    saps = objects.of_ns(ns, flavour, [member], ObjectType.SAP)
    assert {sap: devices(shares, SERVICE) for sap, shares in saps.items()} == {
        "door": [("v", "front-0", "eth0")],
        "shut": [],
    }
    whole = objects.of_ns(ns, flavour, [member], ObjectType.NS)
    assert list(whole) == ["", "v"]
    assert devices(whole[""], SERVICE) == [("v", "front-0", "eth0")]
    assert devices(whole["v"], INTERNAL) == [("v", "front-0", "eth1")]
