"""On which host an application may run: all that its descriptor asks, one by one, and the order of those that fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skerry.meo.placement import Host, Wish, at_least, judged
from skerry.model.appd import PlatformPart
from skerry.model.mec import SerializerType, TransportType
from skerry.model.platform import Offer, OfferedService
from tests.meo.packages import TRANSPORT, dns, service, traffic

REST = {TransportType.REST_HTTP: (SerializerType.JSON,)}


def config(**asked: Any) -> PlatformPart:
    return msgspec.convert(asked, PlatformPart)


def host(id: str, *services: str, **more: Any) -> Host:
    """A host with services `name:version`."""
    offered = tuple(OfferedService(name=one.split(":")[0], version=one.split(":")[1]) for one in services)
    offer = Offer(
        services=offered, **{key: more.pop(key) for key in ("features", "transports", "enforces") if key in more}
    )
    return Host(id=id, zone=id, vims=("v",), offer=offer, **more)


def best(asked: PlatformPart, *hosts: Host, wish: Wish | None = None) -> list[str]:
    return judged(asked, hosts, wish or Wish())[0]


@pytest.mark.feature("E4")
def test_a_required_service_must_be_there() -> None:
    asked = config(appServiceRequired=[service("rni", "2.1")])
    assert best(asked, host("a"), host("b", "rni:2.2"), host("c", "rni:3.0"), host("d", "rni:2.0")) == ["b"]
    _, verdicts = judged(asked, [host("a")], Wish())
    assert verdicts[0].reason == "no service rni 2.1"


@pytest.mark.feature("E4", "E6")
def test_optional_things_decide_between_those_that_fit() -> None:
    asked = config(
        appServiceOptional=[service("location")], appFeatureOptional=[{"featureName": "BWM", "version": "1"}]
    )
    rich = host("z", "location:1.0", features={"BWM": "1.1"})
    assert best(asked, host("a"), host("b", "location:1.0"), rich) == ["z", "b", "a"]


@pytest.mark.feature("E6")
def test_a_required_feature_must_be_there() -> None:
    asked = config(appFeatureRequired=[{"featureName": "UserApps", "version": "2"}])
    assert best(asked, host("a", features={"UserApps": "1"}), host("b", features={"UserApps": ""})) == ["b"]


@pytest.mark.feature("E7")
def test_one_whole_group_of_transports_is_enough() -> None:
    bus = {**TRANSPORT, "type": "MB_TOPIC_BASED", "protocol": "MQTT"}
    both = [
        {"transport": TRANSPORT, "serializers": ["JSON"], "labels": ["x"]},
        {"transport": bus, "serializers": ["PROTOBUF3"], "labels": ["x", "y"]},
    ]
    mqtt = {TransportType.MB_TOPIC_BASED: (SerializerType.PROTOBUF3,)}
    asked = config(transportDependencies=both)
    assert best(asked, host("a", transports=REST), host("b", transports=mqtt), host("c", transports=REST | mqtt)) == [
        "b",
        "c",
    ]
    wrong = {TransportType.MB_TOPIC_BASED: (SerializerType.XML,)}
    assert best(asked, host("a", transports=wrong)) == []


@pytest.mark.feature("E4", "E7")
def test_a_service_over_another_transport_does_not_serve() -> None:
    need = {"transport": {**TRANSPORT, "type": "WEBSOCKET"}, "serializers": ["JSON"], "labels": ["x"]}
    asked = config(appServiceRequired=[service("rni", "1.0", serTransportDependencies=[need])])
    socket = OfferedService(name="rni", version="1.0", transport=TransportType.WEBSOCKET)
    there = Host(id="b", vims=("v",), offer=Offer(services=(socket,)))
    assert best(asked, host("a", "rni:1.0"), there) == ["b"]


@pytest.mark.feature("E9")
def test_a_host_too_far_away_is_not_chosen() -> None:
    asked = config(appLatency={"maxLatency": 5_000_000})
    far, near, nearest = (
        host("a", latency_ns=20_000_000),
        host("b", latency_ns=4_000_000),
        host("c", latency_ns=900_000),
    )
    assert best(asked, far, near, nearest, host("d")) == ["c", "b"]
    _, verdicts = judged(asked, [far, host("d")], Wish())
    assert [verdict.reason for verdict in verdicts] == [
        "it is 20 ms away, at most 5 ms are tolerated",
        "it is at an unknown distance, at most 5 ms are tolerated",
    ]


@pytest.mark.feature("E8")
def test_rules_need_a_platform_that_enforces_them() -> None:
    asked = config(appTrafficRule=[traffic()], appDNSRule=[dns()])
    assert best(asked, host("a"), host("b", enforces=("dns",)), host("c", enforces=("traffic", "dns"))) == ["c"]


@pytest.mark.feature("E20")
def test_the_request_chooses_hosts_and_places() -> None:
    hosts = (host("a", country="DE"), host("b", country="FR", civic_address={"3": "Paris"}), host("c"))
    assert best(config(), *hosts, wish=Wish(hosts=("c",))) == ["c"]
    assert best(config(), *hosts, wish=Wish(country="FR", civic_address={"3": "Paris"})) == ["b"]
    assert best(config(), *hosts, wish=Wish(country="FR", civic_address={"3": "Lyon"})) == []
    assert best(config(), Host(id="empty")) == []


@pytest.mark.feature("E4")
@pytest.mark.parametrize(
    ("offered", "wanted", "serves"),
    [("2.1", "2.0", True), ("2.0", "2.1", False), ("3.0", "2.0", False), ("v2.1.3", "2.1", True), ("", "9", True)],
)
def test_versions(offered: str, wanted: str, serves: bool) -> None:
    assert at_least(offered, wanted) is serves
