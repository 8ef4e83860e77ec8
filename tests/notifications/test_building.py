"""What an event is worth: pure functions on records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.model.notifications import Subscription
from skerry.model.ns import Member, NsInstance
from skerry.model.operations import Change, Event, Operation, Plan, Step
from skerry.model.resources import Resource
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.notifications import backoff, facts
from skerry.notifications.building import Scene, messages, notification

VNF = VnfInstance(
    id="v1",
    tenant="t",
    vnfd_id="d1",
    vnf_pkg_id="p1",
    vnf_instance_name="one",
    ns_id="n1",
    resources={
        "compute:server-0": Resource(
            key="compute:server-0",
            kind="compute",
            spec={"vim": "sim", "name": "sk-server-0", "vdu": "server"},
            outputs={"id": "c0"},
        ),
        "network:lan@sim": Resource(key="network:lan@sim", kind="network", spec={"vim": "sim", "name": "sk-lan"}),
    },
)
NS = NsInstance(
    id="n1",
    tenant="t",
    nsd_id="s1",
    nsd_info_id="i1",
    ns_instance_name="sip",
    members={"server-0": Member(profile="server", vnf_instance_id="v1")},
)


def plan(*lines: tuple[str, str]) -> Plan:
    steps = tuple(
        Step(
            key=f"{effect}:{resource}",
            action="x",
            resource=resource,
            args={"spec": {"vim": "sim", "name": f"sk-{resource}", "vdu": "server"}},
        )
        for resource, effect in lines
    )
    return Plan(steps=steps, changes=tuple(Change(resource=resource, effect=effect) for resource, effect in lines))


def operation(kind: str, *lines: tuple[str, str], **more: Any) -> Operation:
    return Operation(id="o1", kind=kind, subject="v1", tenant="t", plan=plan(*lines), **more)


def event(kind: str, state: str, **more: Any) -> Event:
    return Event(seq=7, time="2030-01-01T00:00:00.000Z", kind=kind, subject="v1", state=state, **more)


def subscription(api: str = "vnflcm", **more: Any) -> Subscription:
    return Subscription(id="s1", api=api, version="2.3.0", callback_uri="http://a/n", root="https://node:8443", **more)


def vnf_operation(state: str, op: Operation, vnf: VnfInstance | None = VNF, **more: Any) -> dict[str, Any]:
    begun = frozenset(step.resource for step in op.plan.steps) if op.plan else frozenset()
    scene = Scene(facts=facts.of_vnf(VNF), operation=op, vnf=vnf, begun=more.pop("begun", begun))
    told = event("operation", state, operation=op.id, name=op.kind, **more)
    (made,) = [message for message in messages(told, scene, "m1") if message.api == "vnflcm"]
    return notification(made, subscription())


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("STARTING", "START"),
        ("PROCESSING", "START"),
        ("ROLLING_BACK", "START"),
        ("COMPLETED", "RESULT"),
        ("FAILED_TEMP", "RESULT"),
        ("FAILED", "RESULT"),
        ("ROLLED_BACK", "RESULT"),
    ],
)
def test_start_and_result(state: str, status: str) -> None:
    body = vnf_operation(state, operation("vnf.heal", ("compute:server-0", "replace")), detail="broken")
    assert (body["operationState"], body["notificationStatus"], body["operation"]) == (state, status, "HEAL")
    assert ("affectedVnfcs" in body) is (status == "RESULT")
    assert ("error" in body) is (state in ("FAILED_TEMP", "FAILED", "ROLLED_BACK"))
    if "error" in body:
        assert body["error"]["detail"] == "broken"


def test_the_whole_body() -> None:
    lines = (("compute:server-0", "create"), ("power:server-0", "create"), ("network:lan@sim", "create"))
    assert vnf_operation("COMPLETED", operation("vnf.instantiate", *lines)) == {
        "id": "m1",
        "notificationType": "VnfLcmOperationOccurrenceNotification",
        "subscriptionId": "s1",
        "timeStamp": "2030-01-01T00:00:00.000Z",
        "notificationStatus": "RESULT",
        "operationState": "COMPLETED",
        "vnfInstanceId": "v1",
        "operation": "INSTANTIATE",
        "isAutomaticInvocation": False,
        "vnfLcmOpOccId": "o1",
        "verbosity": "FULL",
        "affectedVnfcs": [
            {
                "id": "server-0",
                "vduId": "server",
                "changeType": "ADDED",
                "computeResource": {
                    "vimConnectionId": "sim",
                    "resourceId": "c0",
                    "vimLevelResourceType": "compute",
                },
            }
        ],
        "affectedVirtualLinks": [
            {
                "id": "lan@sim",
                "vnfVirtualLinkDescId": "lan",
                "changeType": "ADDED",
                "networkResource": {
                    "vimConnectionId": "sim",
                    "resourceId": "sk-lan",
                    "vimLevelResourceType": "network",
                },
            }
        ],
        "_links": {
            "subscription": {"href": "https://node:8443/vnflcm/v2/subscriptions/s1"},
            "vnfInstance": {"href": "https://node:8443/vnflcm/v2/vnf_instances/v1"},
            "vnfLcmOpOcc": {"href": "https://node:8443/vnflcm/v2/vnf_lcm_op_occs/o1"},
        },
    }


@pytest.mark.parametrize(
    ("line", "begun", "type"),
    [
        (("compute:server-0", "create"), True, "ADDED"),
        (("compute:server-1", "create"), True, "TEMPORARY"),  # made and removed again
        (("compute:server-1", "create"), False, None),  # planned only
        (("compute:server-1", "delete"), True, "REMOVED"),
        (("compute:server-0", "delete"), True, "MODIFIED"),  # made again by a rollback
        (("compute:server-0", "update"), True, "MODIFIED"),
        (("compute:server-0", "replace"), True, "MODIFIED"),
        (("compute:server-0", "reuse"), True, None),
    ],
)
def test_how_a_resource_changed(line: tuple[str, str], begun: bool, type: str | None) -> None:
    body = vnf_operation(
        "FAILED_TEMP", operation("vnf.scale", line), begun=frozenset({line[0]}) if begun else frozenset()
    )
    assert [entry["changeType"] for entry in body.get("affectedVnfcs", [])] == ([type] if type else [])


def test_what_was_removed_is_named_as_the_plan_knew_it() -> None:
    body = vnf_operation("COMPLETED", operation("vnf.terminate", ("compute:server-1", "delete")), vnf=None)
    (one,) = body["affectedVnfcs"]
    assert one["computeResource"]["resourceId"] == "sk-compute:server-1"
    assert one["vduId"] == "server"


def test_modified_information_is_told() -> None:
    op = operation("vnf.modify", params={"vnfInstanceName": "two", "vnfdId": "x"})
    assert vnf_operation("COMPLETED", op)["changedInfo"] == {"vnfInstanceName": "two"}
    assert "changedInfo" not in vnf_operation("FAILED", op)


def test_a_short_notification_spares_the_details() -> None:
    op = operation("vnf.scale", ("compute:server-0", "create"))
    scene = Scene(facts=facts.of_vnf(VNF), operation=op, vnf=VNF, begun=frozenset({"compute:server-0"}))
    made = messages(event("operation", "COMPLETED", operation="o1", name="vnf.scale"), scene, "m1")[0]
    short = notification(made, subscription(verbosity="SHORT"))
    assert short["verbosity"] == "SHORT"
    assert "affectedVnfcs" not in short
    assert short["operationState"] == "COMPLETED"


def test_operations_of_others_are_automatic() -> None:
    assert vnf_operation("STARTING", operation("vnf.heal", parent="o0"))["isAutomaticInvocation"]
    assert vnf_operation("STARTING", operation("vnf.heal", automatic=True))["isAutomaticInvocation"]


def ns_states(*moves: tuple[str, str]) -> list[tuple[str, str]]:
    op = operation("ns.scale")
    scene = Scene(facts=facts.of_ns(NS, ("d1",)), operation=op, ns=NS, vnfs={"v1": VNF})
    found = []
    for before, state in moves:
        told = event("operation", state, operation="o1", name="ns.scale", data={"from": before})
        found += [(m.body["notificationStatus"], m.body["operationState"]) for m in messages(told, scene, "m1")]
    return found


def test_a_network_service_has_no_starting() -> None:
    moves = [("", "STARTING"), ("STARTING", "PROCESSING"), ("PROCESSING", "FAILED_TEMP"), ("FAILED_TEMP", "PROCESSING")]
    assert ns_states(*moves) == [("START", "PROCESSING"), ("RESULT", "FAILED_TEMP"), ("START", "PROCESSING")]


def test_what_an_operation_on_a_network_service_affected() -> None:
    op = operation("ns.instantiate", ("vnf:server-0", "create"), ("network:lan", "create"), ("vnf:gone", "create"))
    scene = Scene(facts=facts.of_ns(NS), operation=op, ns=NS, vnfs={"v1": VNF})
    told = event("operation", "ROLLED_BACK", operation="o1", name="ns.instantiate")
    (made,) = messages(told, scene, "m1")
    body = notification(made, subscription("nslcm"))
    assert [(one["vnfInstanceId"], one["changeType"], one["changeResult"]) for one in body["affectedVnf"]] == [
        ("v1", "INSTANTIATE", "ROLLED_BACK")
    ]
    assert [(one["nsVirtualLinkInstanceId"], one["changeType"]) for one in body["affectedVl"]] == [("lan", "ADD")]
    assert "timestamp" in body


@pytest.mark.parametrize("state", [state.value for state in OperationState])
def test_a_network_service_changes_by_its_vnfs(state: str) -> None:
    op = operation("vnf.scale")
    scene = Scene(facts=facts.of_vnf(VNF), operation=op, vnf=VNF, ns=NS)
    made = messages(event("operation", state, operation="o1", name="vnf.scale"), scene, "m1")
    changes = [message for message in made if message.api == "nslcm"]
    assert len(changes) == (state in ("STARTING", "COMPLETED", "PARTIALLY_COMPLETED", "FAILED", "ROLLED_BACK"))
    for change in changes:
        assert change.resource == change.body["nsInstanceId"] == "n1"
        assert change.body["lcmOpNameImpactingNsComponent"] == "VNF_SCALE"


@pytest.mark.parametrize(
    ("name", "state", "data", "type"),
    [
        ("VNF package", "CREATED", {}, None),
        ("VNF package", "ERROR", {}, None),
        ("VNF package", "DELETED", {}, None),  # never onboarded: nothing to name
        ("VNF package", "ONBOARDED", {"vnfdId": "d"}, "VnfPackageOnboardingNotification"),
        ("VNF package", "DISABLED", {"vnfdId": "d"}, "VnfPackageChangeNotification"),
        ("VNF package", "DELETED", {"vnfdId": "d"}, "VnfPackageChangeNotification"),
        ("NSD", "CREATED", {}, None),
        ("NSD", "ERROR", {}, "NsdOnboardingFailureNotification"),
        ("NSD", "ONBOARDED", {"nsdId": "s"}, "NsdOnBoardingNotification"),
        ("NSD", "ENABLED", {"nsdId": "s"}, "NsdChangeNotification"),
        ("NSD", "DELETED", {"nsdId": "s"}, "NsdDeletionNotification"),
        ("NSD", "DELETED", {}, None),
    ],
)
def test_packages_and_descriptors(name: str, state: str, data: dict[str, Any], type: str | None) -> None:
    told = event("package", state, name=name, data=data)
    assert [made.type for made in messages(told, Scene(facts=data), "m1")] == ([type] if type else [])


@pytest.mark.parametrize("kind", ["step", "audit", "alarm", "subscription", "script"])
def test_other_events_are_worth_nothing(kind: str) -> None:
    assert messages(event(kind, "DONE", name="vnf.heal"), Scene(facts={}), "m1") == []


def test_messages_survive_the_store() -> None:
    op = operation("vnf.scale", ("compute:server-0", "create"))
    scene = Scene(facts=facts.of_vnf(VNF), operation=op, vnf=VNF, begun=frozenset({"compute:server-0"}))
    for made in messages(event("operation", "COMPLETED", operation="o1", name="vnf.scale"), scene, "m1"):
        again = msgspec.json.decode(msgspec.json.encode(made), type=type(made))
        assert notification(again, subscription()) == notification(made, subscription())


@given(st.integers(0, 10_000), st.floats(0, 1e6))
def test_pauses_grow_and_stay_bounded(attempts: int, asked: float) -> None:
    pause = backoff.delay(attempts, asked)
    assert backoff.FIRST_S <= pause <= backoff.LONGEST_S
    assert pause <= backoff.delay(attempts + 1, asked)
    assert pause >= min(asked, backoff.LONGEST_S)
