"""What a VNF takes over of a snapshot that came in a package: its record is what the sender made of it."""

from __future__ import annotations

import msgspec
import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import DeploymentFlavour, ScalingAspect, Vdu
from skerry.model.vnf import VnfcSnapshot, VnfSnapshotInfo
from skerry.vnfm.brought import adopted
from skerry.vnfm.goal import Goal

FLAVOUR = DeploymentFlavour(
    id="default",
    vdus={"a": Vdu(id="a")},
    scaling_aspects={"more": ScalingAspect(id="more", max_scale_level=2, initial={"a": 1}, deltas={"a": (1,)})},
)
NOW = Goal(
    flavour_id="default",
    vnf_pkg_id="ours",
    scale_status={"more": 0},
    vnfcs={"a": ("a-0",)},
    placement={"a-0": "here"},
    properties={"x": 1, "sol002_password": "secret"},
    inputs={"network": "ours"},
    ssh_keys=("ours",),
)
THEN = Goal(
    flavour_id="default",
    vnf_pkg_id="theirs",
    scale_status={"more": 1},
    vnfcs={"a": ("a-0", "a-1")},
    stopped=("a-1", "stranger"),
    placement={"a-0": "their", "a-1": "their"},
    properties={"x": 2},
    images={"a-0": "of-somebody-else"},
    ssh_keys=("theirs",),
)


def info(vim: str = "here", **vnfcs: str) -> VnfSnapshotInfo:
    named = vnfcs or {"a-0": vim, "a-1": vim}
    return VnfSnapshotInfo(
        id="s", vnfcs={name: VnfcSnapshot(vim=place, image=f"snapshot:s/{name}") for name, place in named.items()}
    )


@pytest.mark.feature("A29")
def test_scale_properties_and_images_come_over_and_nothing_else() -> None:
    goal = adopted(NOW, THEN, info(), FLAVOUR)
    assert (goal.vnfcs, goal.scale_status, goal.stopped) == ({"a": ("a-0", "a-1")}, {"more": 1}, ("a-1",))
    assert goal.images == {"a-0": "snapshot:s/a-0", "a-1": "snapshot:s/a-1"}
    assert goal.placement == {"a-0": "here", "a-1": "here"}
    assert goal.properties == {"x": 2, "sol002_password": "secret"}
    assert (goal.vnf_pkg_id, goal.ssh_keys, goal.inputs) == ("ours", ("ours",), {"network": "ours"})


def test_images_that_are_elsewhere_are_all_named() -> None:
    with pytest.raises(InvalidError) as caught:
        adopted(msgspec.structs.replace(NOW, placement={"a-0": "here", "a-1": "here"}), THEN, info("far"), FLAVOUR)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale_status": {"more": 3}, "vnfcs": {"a": ("a-0", "a-1", "a-2", "a-3")}},
        {"scale_status": {"none": 1}},
        {"vnfcs": {"a": ("a-0",)}},
        {"vnfcs": {"a": ("a-0", "a-01")}},
        {"vnfcs": {"a": ("a-0", "../b")}},
        {"vnfcs": {"a": ("a-0", "a-1"), "b": ("b-0",)}},
    ],
)
def test_a_scale_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        adopted(NOW, msgspec.structs.replace(THEN, **wrong), info(), FLAVOUR)
