"""Filters: a table of cases, and a naive oracle for whatever comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.model.notifications import Message
from skerry.notifications import filters
from skerry.notifications.filters import matches

VNF = {
    "vnfInstanceId": "i1",
    "vnfInstanceName": "one",
    "vnfdId": "d1",
    "vnfProvider": "acme",
    "vnfProductName": "sip",
    "vnfSoftwareVersion": "1.0",
    "vnfdVersion": "2.0",
}
OPERATION = {**VNF, "operation": "HEAL", "operationState": "FAILED"}


def message(api: str, type: str, subject: dict[str, Any]) -> Message:
    return Message(id="m", api=api, type=type, time="", resource="r", subject=subject)


def provider(*products: Any, name: str = "acme", key: str = "vnfProducts") -> dict[str, Any]:
    listed = [{"vnfProductName": n, **({"versions": v} if v else {})} for n, v in products]
    return {"vnfProductsFromProviders": [{"vnfProvider": name, **({key: listed} if listed else {})}]}


def version(software: str, *vnfds: str) -> dict[str, Any]:
    return {"vnfSoftwareVersion": software, **({"vnfdVersions": list(vnfds)} if vnfds else {})}


def nested(**filter: Any) -> dict[str, Any]:
    return {"vnfInstanceSubscriptionFilter": filter}


VNF_CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"notificationTypes": []}, True),
    ({"notificationTypes": ["VnfLcmOperationOccurrenceNotification"]}, True),
    ({"notificationTypes": ["VnfIdentifierCreationNotification"]}, False),
    ({"operationTypes": ["HEAL", "SCALE"]}, True),
    ({"operationTypes": ["SCALE"]}, False),
    ({"operationStates": ["FAILED"]}, True),
    ({"operationStates": ["COMPLETED"]}, False),
    ({"operationTypes": ["HEAL"], "operationStates": ["COMPLETED"]}, False),
    (nested(), True),
    (nested(vnfdIds=["d0", "d1"]), True),
    (nested(vnfdIds=["d0"]), False),
    (nested(vnfInstanceIds=["i1"]), True),
    (nested(vnfInstanceIds=["i2"]), False),
    (nested(vnfInstanceNames=["one"]), True),
    (nested(vnfInstanceNames=["two"]), False),
    (nested(vnfdIds=["d1"], vnfInstanceIds=["i2"]), False),
    (nested(**provider()), True),
    (nested(**provider(name="other")), False),
    (nested(**provider(("sip", None))), True),
    (nested(**provider(("dns", None))), False),
    (nested(**provider(("dns", None), ("sip", None))), True),
    (nested(**provider(("sip", [version("1.0")]))), True),
    (nested(**provider(("sip", [version("0.9")]))), False),
    (nested(**provider(("sip", [version("1.0", "2.0", "3.0")]))), True),
    (nested(**provider(("sip", [version("1.0", "3.0")]))), False),
    (nested(**provider(("sip", [version("0.9", "2.0"), version("1.0", "2.0")]))), True),
]


@pytest.mark.feature("A41")
@pytest.mark.parametrize(("filter", "wanted"), VNF_CASES)
def test_a_vnf_operation(filter: dict[str, Any], wanted: bool) -> None:
    assert matches(filter, message("vnflcm", filters.VNF_OPERATION, OPERATION)) is wanted


@pytest.mark.feature("A41")
def test_only_its_type_restricts_what_is_about_no_instance() -> None:
    rebuilt = message("vnffm", filters.ALARMS_REBUILT, {})
    assert matches({}, rebuilt)
    assert matches(
        {"notificationTypes": [filters.ALARMS_REBUILT], **nested(vnfInstanceIds=["i2"], **provider())}, rebuilt
    )
    assert not matches({"notificationTypes": [filters.ALARM]}, rebuilt)


def test_attributes_of_operations_do_not_restrict_identifiers() -> None:
    created = message("vnflcm", filters.VNF_CREATION, VNF)
    assert matches({"operationTypes": ["SCALE"], "operationStates": ["FAILED"]}, created)
    assert not matches({"operationTypes": ["SCALE"], **nested(vnfdIds=["d2"])}, created)


NS = {
    "nsInstanceId": "n1",
    "nsInstanceName": "sip",
    "nsdId": "s1",
    "vnfdIds": ["d1", "d2"],
    "operation": "SCALE",
    "operationState": "PROCESSING",
}
CHANGE = {
    **{key: NS[key] for key in ("nsInstanceId", "nsInstanceName", "nsdId")},
    "vnfdIds": ["d1"],
    "nsComponentType": "VNF",
    "lcmOpNameImpactingNsComponent": "VNF_HEAL",
    "lcmOpOccStatusImpactingNsComponent": "START",
}


def ns(**filter: Any) -> dict[str, Any]:
    return {"nsInstanceSubscriptionFilter": filter}


@pytest.mark.parametrize(
    ("type", "filter", "wanted"),
    [
        (filters.NS_OPERATION, ns(nsdIds=["s1"]), True),
        (filters.NS_OPERATION, ns(nsdIds=["s2"]), False),
        (filters.NS_OPERATION, ns(vnfdIds=["d2"]), True),
        (filters.NS_OPERATION, ns(vnfdIds=["d3"]), False),
        (filters.NS_OPERATION, ns(pnfdIds=["p"]), False),
        (filters.NS_OPERATION, ns(nsInstanceNames=["sip"]), True),
        (filters.NS_OPERATION, ns(nsInstanceIds=["n2"]), False),
        (filters.NS_OPERATION, {"affectedNsInstanceIds": ["n2"]}, False),
        (filters.NS_OPERATION, {"notificationTypes": ["NsLcmOperationOccurenceNotification"]}, True),
        (filters.NS_OPERATION, {"notificationTypes": ["NsLcmOperationOccurrenceNotification"]}, True),
        (filters.NS_OPERATION, {"nsComponentTypes": ["PNF"]}, True),
        (filters.NS_OPERATION, {"operationTypes": ["HEAL"]}, False),
        (filters.NS_CHANGE, {"nsComponentTypes": ["PNF"]}, False),
        (filters.NS_CHANGE, {"nsComponentTypes": ["VNF"], "operationTypes": ["HEAL"]}, True),
        (filters.NS_CHANGE, {"lcmOpNameImpactingNsComponent": ["VNF_HEAL"]}, True),
        (filters.NS_CHANGE, {"lcmOpOccStatusImpactingNsComponent": ["COMPLETED"]}, False),
    ],
)
def test_network_services(type: str, filter: dict[str, Any], wanted: bool) -> None:
    subject = CHANGE if type == filters.NS_CHANGE else NS
    assert matches(filter, message("nslcm", type, subject)) is wanted


PACKAGE = {**VNF, "vnfPkgId": "p1", "operationalState": "ENABLED", "usageState": "NOT_IN_USE", "vnfmInfo": ["x", "y"]}


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        ({"notificationTypes": "VnfPackageChangeNotification"}, True),
        ({"notificationTypes": "VnfPackageOnboardingNotification"}, False),
        ({"notificationTypes": ["VnfPackageChangeNotification"]}, True),
        ({"vnfdId": ["d1"]}, True),
        ({"vnfPkgId": ["p2"]}, False),
        ({"vnfmInfo": ["y"]}, True),
        ({"vnfmInfo": ["z"]}, False),
        ({"operationalState": ["DISABLED"]}, False),
        ({"usageState": ["NOT_IN_USE"]}, True),
        (provider(("sip", None), key="vnfProductsFromProviders"), True),
        (provider(("dns", None), key="vnfProductsFromProviders"), False),
    ],
)
def test_packages(filter: dict[str, Any], wanted: bool) -> None:
    assert matches(filter, message("vnfpkgm", filters.PACKAGE_CHANGE, PACKAGE)) is wanted


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        ({"notificationTypes": ["NsdOnBoardingFailureNotification"]}, True),
        ({"notificationTypes": ["NsdOnboardingFailureNotification"]}, True),
        ({"notificationTypes": ["NsdChangeNotification"]}, False),
        ({"nsdInfoId": ["x"]}, True),
        ({"nsdId": ["s1"]}, False),  # it has none: its descriptor was never read
        ({"pnfdName": ["p"]}, False),
    ],
)
def test_descriptors(filter: dict[str, Any], wanted: bool) -> None:
    assert matches(filter, message("nsd", filters.NSD_FAILURE, {"nsdInfoId": "x"})) is wanted


NAMES = {
    "vnfdIds": "vnfdId",
    "vnfInstanceIds": "vnfInstanceId",
    "vnfInstanceNames": "vnfInstanceName",
}
word = st.sampled_from(["a", "b", "c"])
words = st.lists(word, max_size=3)
subjects = st.fixed_dictionaries(
    dict.fromkeys((*NAMES.values(), *VNF), word), optional={"operation": word, "operationState": word}
)
versions = st.lists(st.fixed_dictionaries({"vnfSoftwareVersion": word}, optional={"vnfdVersions": words}), max_size=2)
products = st.lists(st.fixed_dictionaries({"vnfProductName": word}, optional={"versions": versions}), max_size=2)
providers = st.lists(st.fixed_dictionaries({"vnfProvider": word}, optional={"vnfProducts": products}), max_size=2)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "operationTypes": words,
        "operationStates": words,
        "notificationTypes": st.lists(st.sampled_from([filters.VNF_OPERATION, filters.VNF_CREATION]), max_size=2),
        "vnfInstanceSubscriptionFilter": st.fixed_dictionaries(
            {}, optional={**dict.fromkeys(NAMES, words), "vnfProductsFromProviders": providers}
        ),
    },
)


def rows(providers: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Every (provider, product, software, vnfd) that a list of providers allows; None stands for any."""
    found: list[tuple[Any, ...]] = []
    for one in providers:
        for product in one.get("vnfProducts") or [{}]:
            for each in product.get("versions") or [{}]:
                for vnfd in each.get("vnfdVersions") or [None]:
                    row = (one["vnfProvider"], product.get("vnfProductName"), each.get("vnfSoftwareVersion"), vnfd)
                    found.append(row)
    return found


def oracle(filter: dict[str, Any], type: str, subject: dict[str, Any]) -> bool:
    inner = filter.get("vnfInstanceSubscriptionFilter", {})
    checks = [not inner.get(name) or subject.get(attribute) in inner[name] for name, attribute in NAMES.items()]
    if filter.get("notificationTypes"):
        checks.append(type in filter["notificationTypes"])
    if type == filters.VNF_OPERATION:
        for name, attribute in (("operationTypes", "operation"), ("operationStates", "operationState")):
            checks.append(not filter.get(name) or subject.get(attribute) in filter[name])
    if inner.get("vnfProductsFromProviders"):
        own = tuple(subject[name] for name in ("vnfProvider", "vnfProductName", "vnfSoftwareVersion", "vnfdVersion"))
        checks.append(
            any(
                all(wish in (None, have) for wish, have in zip(row, own, strict=True))
                for row in rows(inner["vnfProductsFromProviders"])
            )
        )
    return all(checks)


@given(filter=wishes, type=st.sampled_from([filters.VNF_OPERATION, filters.VNF_CREATION]), subject=subjects)
def test_a_naive_oracle_agrees(filter: dict[str, Any], type: str, subject: dict[str, Any]) -> None:
    assert matches(filter, message("vnflcm", type, subject)) is oracle(filter, type, subject)


@given(filter=wishes, subject=subjects, name=st.sampled_from(list(NAMES)), values=st.lists(word, min_size=1))
def test_one_more_attribute_never_lets_more_pass(
    filter: dict[str, Any], subject: dict[str, Any], name: str, values: list[str]
) -> None:
    inner = filter.get("vnfInstanceSubscriptionFilter", {})
    if name in inner:
        return
    narrower = {**filter, "vnfInstanceSubscriptionFilter": {**inner, name: values}}
    told = message("vnflcm", filters.VNF_OPERATION, subject)
    assert not matches(narrower, told) or matches(filter, told)
