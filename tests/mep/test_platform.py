"""The platform as the orchestrator of applications calls it, and the pure parts beneath it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.engine.clock import Virtual, run_virtual
from skerry.errors import ConflictError, MalformedError, NotFoundError, UnauthorizedError, UnsupportedError
from skerry.mep import timing
from skerry.mep.apps import SCOPES, scopes_for
from skerry.mep.liveness import Liveness
from skerry.mep.selection import Query, query
from skerry.mep.steering import SimulatedSteering
from skerry.mep.topics import Topics, checked, matches
from skerry.model import appd, mec
from skerry.model.mec import (
    APP_MOVES,
    AppState,
    CategoryRef,
    LocalityType,
    OperationAction,
    SerializerType,
    Service,
    ServiceInfo,
    ServiceState,
)
from skerry.model.platform import AppAddress, HostedApp
from tests.api.rig import Rig, running
from tests.api.test_mec011 import asked, offered

CONFIG = appd.PlatformPart(
    app_service_required=(appd.ServiceDependency(ser_name="RNIS", version="2"),),
    app_traffic_rule=(
        appd.TrafficRule(
            traffic_rule_id="users",
            filter_type=mec.FilterType.FLOW,
            priority=3,
            traffic_filter=(appd.TrafficFilter(src_address=("10.45.0.0/16",)),),
            action=mec.TrafficAction.FORWARD_DECAPSULATED,
        ),
    ),
    app_dns_rule=(
        appd.DnsRule(
            dns_rule_id="name",
            domain_name="video.example.com",
            ip_address_type=mec.IpAddressType.IP_V4,
            ip_address="10.0.0.9",
            ttl=30,
        ),
    ),
)
HOSTED = HostedApp(
    app_instance_id="6e9a2f0c-0000-4000-8000-000000000001",
    app_d_id="appd-1",
    app_name="video",
    tenant="default",
    client_id="6e9a2f0c-0000-4000-8000-000000000001",
    client_secret="the-secret-of-the-tests",
    config=CONFIG,
)
ADDRESSES = (AppAddress(cpd_id="cp", ip="10.0.0.9"),)


@pytest.fixture
async def plane() -> SimulatedSteering:
    return SimulatedSteering()


@pytest.fixture
async def rig(tmp_path: Path, plane: SimulatedSteering) -> AsyncGenerator[Rig]:
    async with running(tmp_path, steering=plane, mec_dns="builtin", mec_endpoint="https://10.0.0.1:8443") as started:
        yield started


@pytest.mark.feature("B35", "B53", "B54", "E8")
async def test_an_application_comes_and_goes_and_each_call_may_be_repeated(rig: Rig, plane: SimulatedSteering) -> None:
    mep = rig.node.mep
    for _ in range(2):
        access = await mep.admit(HOSTED)
    assert (access.mp1_endpoint, access.token_endpoint) == (
        "https://10.0.0.1:8443",
        "https://10.0.0.1:8443/oauth2/token",
    )
    for _ in range(2):
        await mep.activate(HOSTED, ADDRESSES)
    (rule,) = plane.in_force[HOSTED.app_instance_id]
    assert rule.interfaces[0].dst_ip_address == "10.0.0.9", "without a destination, traffic goes to the application"
    server = await mep.names.start()
    assert await asked(server, "video.example.com") == ["10.0.0.9"]
    made = await offered(rig, HOSTED.app_instance_id)
    for _ in range(2):
        await mep.deactivate(HOSTED.app_instance_id)
    assert plane.in_force == {}
    assert await asked(server, "video.example.com") == []
    known = mep.services.get(made["serInstanceId"], tenant="default")
    assert known.info.state is ServiceState.INACTIVE
    other = msgspec.structs.replace(CONFIG, app_traffic_rule=())
    await mep.activate(msgspec.structs.replace(HOSTED, config=other), ADDRESSES)
    assert plane.in_force == {}
    assert mep.rules.all("traffic", app_id=HOSTED.app_instance_id) == [], "what is not named any more is gone"
    for _ in range(2):
        await mep.forget(HOSTED.app_instance_id)
    assert await asked(server, "video.example.com") == []
    with pytest.raises(NotFoundError):
        mep.apps.get(HOSTED.app_instance_id, tenant="default")
    assert await mep.ask_to_stop(HOSTED.app_instance_id, "TERMINATING", 5), "nobody is there to be asked"


@pytest.mark.feature("B56")
async def test_the_orchestrators_secret_opens_the_door_until_the_end(rig: Rig) -> None:
    mep = rig.node.mep
    await mep.admit(HOSTED)
    client = rig.node.clients.authenticate(HOSTED.client_id, HOSTED.client_secret)
    assert set(client.scopes) == {*SCOPES, "rni:v2:all"}
    await mep.admit(msgspec.structs.replace(HOSTED, client_secret="another-one"))
    with pytest.raises(UnauthorizedError):
        rig.node.clients.authenticate(HOSTED.client_id, HOSTED.client_secret)
    await mep.forget(HOSTED.app_instance_id)
    with pytest.raises(UnauthorizedError):
        rig.node.clients.authenticate(HOSTED.client_id, "another-one")


async def test_a_descriptors_application_has_the_descriptors_rules_and_no_others(rig: Rig) -> None:
    await rig.node.mep.admit(HOSTED)
    await rig.node.mep.activate(HOSTED, ADDRESSES)
    own = f"/mec_app_support/v1/applications/{HOSTED.app_instance_id}/dns_rules"
    known = (await rig.client.get(f"{own}/name")).json()
    assert (await rig.client.put(f"{own}/name", json={**known, "state": "INACTIVE"})).status_code == 200
    assert (await rig.client.put(f"{own}/mine", json={**known, "dnsRuleId": "mine"})).status_code == 404
    told = {"appName": "video", "appInstanceId": HOSTED.app_instance_id, "isInsByMec": True}
    assert (await rig.client.post("/mec_app_support/v1/registrations", json=told)).status_code == 201
    assert (await rig.client.post("/mec_app_support/v1/registrations", json=told)).status_code == 409
    other = {**told, "appName": "audio"}
    one = f"/mec_app_support/v1/registrations/{HOSTED.app_instance_id}"
    assert (await rig.client.put(one, json=other)).status_code == 400
    assert (await rig.client.delete(one)).status_code == 204
    assert rig.node.mep.apps.get(HOSTED.app_instance_id, tenant="default"), "the orchestrator's application stays known"


async def test_filters_that_no_data_plane_sees_are_refused(rig: Rig) -> None:
    await rig.node.mep.admit(HOSTED)
    rule = msgspec.structs.replace(CONFIG.app_traffic_rule[0], traffic_filter=(appd.TrafficFilter(uri=("http://a",)),))
    hosted = msgspec.structs.replace(HOSTED, config=msgspec.structs.replace(CONFIG, app_traffic_rule=(rule,)))
    with pytest.raises(UnsupportedError, match="uri"):
        await rig.node.mep.activate(hosted, ADDRESSES)


async def test_an_offer_tells_what_is_active(rig: Rig) -> None:
    await rig.node.mep.admit(HOSTED)
    await offered(rig, HOSTED.app_instance_id, serName="shown")
    await offered(rig, HOSTED.app_instance_id, serName="hidden", state="INACTIVE")
    offer = await rig.node.mep.offer()
    assert [one.name for one in offer.services] == ["shown"]
    assert offer.enforces == ("traffic", "dns")
    assert mec.TransportType.MB_TOPIC_BASED in offer.transports


@pytest.mark.feature("B34", "B35")
async def test_states_move_as_the_table_says(rig: Rig) -> None:
    mep = rig.node.mep
    await mep.admit(HOSTED)
    app = mep.apps.get(HOSTED.app_instance_id, tenant="default")
    assert (await mep.apps.confirm_ready(app)).state is AppState.READY
    assert await mep.ask_to_stop(app.id, "STOPPING", 5)
    assert mep.apps.get(app.id, tenant="default").state is AppState.STOPPED
    with pytest.raises(ConflictError):
        await mep.apps.confirm_ready(mep.apps.get(app.id, tenant="default"))
    await mep.admit(HOSTED)
    assert mep.apps.get(app.id, tenant="default").state is AppState.PREPARED, "started anew"
    assert await mep.ask_to_stop(app.id, "TERMINATING", 5)
    now = mep.apps.get(app.id, tenant="default")
    with pytest.raises(ConflictError):
        await mep.apps.ask_to_end(now, OperationAction.STOPPING, 5, told=False)


def test_every_state_can_be_left_but_the_last() -> None:
    assert set(APP_MOVES) == set(AppState)
    assert [state for state, moves in APP_MOVES.items() if not moves] == [AppState.TERMINATED]


def test_scopes_follow_what_a_descriptor_depends_on() -> None:
    assert scopes_for(["LocationService", "RNIS", "rnis", "something-else"]) == (
        *SCOPES,
        "location:v2:all",
        "rni:v2:all",
    )


# -- selection ------------------------------------------------------------------------------------------------------------


def one(id: str, name: str, category: str, local: bool) -> Service:
    ref = CategoryRef(href="/c", id=category, name=category, version="1") if category else None
    info = ServiceInfo(
        ser_name=name,
        version="1",
        state=ServiceState.ACTIVE,
        serializer=SerializerType.JSON,
        ser_category=ref,
        is_local=local,
    )
    return Service(id=id, app_id="a", info=info)


SERVICES = [
    one(f"{number}", name, category, number % 2 == 0)
    for number, (name, category) in enumerate([("a", ""), ("b", "x"), ("a", "x"), ("c", "y")])
]


@pytest.mark.feature("B44")
@given(
    st.sets(st.sampled_from("abc"), min_size=1),
    st.none() | st.booleans(),
    st.none() | st.sampled_from(list(LocalityType)),
)
def test_a_query_is_the_conjunction_of_its_parts(
    names: set[str], local: bool | None, scope: LocalityType | None
) -> None:
    pairs = [("ser_name", ",".join(sorted(names)))]
    pairs += [("is_local", str(local).lower())] if local is not None else []
    pairs += [("scope_of_locality", scope.value)] if scope else []
    found = [service.id for service in SERVICES if query(pairs).matches(service)]
    expected = [
        service.id
        for service in SERVICES
        if service.info.ser_name in names
        and local in (None, service.info.is_local)
        and scope in (None, LocalityType.MEC_HOST)
    ]
    assert found == expected


def test_nothing_asked_is_everything() -> None:
    assert query([("filter", "(eq,a,b)"), ("fields", "a")]) == Query()
    with pytest.raises(MalformedError) as refused:
        query([("ser_name", "a"), ("ser_category_id", "b"), ("is_local", "1"), ("consumed_local_only", "x")])
    assert len(refused.value.faults) == 3


# -- topics, signs of life, time ------------------------------------------------------------------------------------------


@pytest.mark.feature("B46")
@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("+/b", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "anything/at/all", True),
        ("a/+/c", "a/b/d", False),
    ],
)
def test_patterns(pattern: str, topic: str, expected: bool) -> None:
    assert matches(checked(pattern, pattern=True), checked(topic, pattern=False)) == expected


@pytest.mark.parametrize("text", ["", "a/#/b", "a+/b", "a\n", "x" * 300])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        checked(text, pattern=True)


def test_a_listener_hears_each_message_once_and_only_of_its_tenant() -> None:
    topics: Topics[str] = Topics()
    for pattern in ("a/#", "a/b"):
        topics.add("blue", pattern, "me")
    topics.add("red", "a/b", "other")
    assert list(topics.listeners("blue", "a/b")) == ["me"]
    topics.remove("blue", "a/#", "me")
    topics.remove("blue", "a/b", "me")
    assert list(topics.listeners("blue", "a/b")) == []


def test_only_silence_is_told_and_each_silence_once() -> None:
    async def life(virtual: Virtual) -> list[tuple[float, str]]:
        import asyncio

        told: list[tuple[float, str]] = []

        async def silent(id: str) -> None:
            told.append((virtual.clock.monotonic(), id))

        watch = Liveness(virtual.clock, silent)
        await watch.start()
        watch.watch("loud", 10)
        watch.watch("quiet", 4)
        for _ in range(20):
            await asyncio.sleep(5)
            watch.beat("loud")
        watch.beat("quiet")
        await asyncio.sleep(20)
        await watch.stop()
        return told

    assert run_virtual(life) == [(5.0, "quiet"), (105.0, "quiet"), (112.5, "loud")]


@pytest.mark.feature("B55")
def test_time_servers_are_those_of_the_machines_files(tmp_path: Path) -> None:
    for name, text in {
        "etc/chrony/chrony.conf": "# none\nserver ntp.example minpoll 4 maxpoll 8 prefer key 7\npool 192.0.2.1 iburst\n",
        "etc/chrony/sources.d/more.sources": "peer 2001:db8::1\n",
        "etc/systemd/timesyncd.conf": "[Time]\nNTP=time.example 192.0.2.9\n",
        "etc/linuxptp/ptp4l.conf": "[unicast_master_table]\nUDPv4 192.0.2.50\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = timing.sources(tmp_path)
    assert [(one.address, one.address_type) for one in found.ntp] == [
        ("ntp.example", "DNS_NAME"),
        ("192.0.2.1", "IP_ADDRESS"),
        ("2001:db8::1", "IP_ADDRESS"),
        ("time.example", "DNS_NAME"),
        ("192.0.2.9", "IP_ADDRESS"),
    ]
    first = found.ntp[0]
    assert (first.min_poll, first.max_poll, first.preferred, first.key) == (4, 8, True, 7)
    assert [one.address for one in found.ptp] == ["192.0.2.50"]
    assert timing.sources(tmp_path / "nowhere") == timing.Sources()


@pytest.mark.feature("B55")
def test_the_kernel_says_whether_its_clock_is_led() -> None:
    assert timing.traceable() in (True, False)
    seconds, nanoseconds = timing.current()
    assert abs(seconds + nanoseconds / 1e9 - datetime.now(UTC).timestamp()) < 0.005


async def test_a_caller_that_is_cut_off_leaves_memory_and_store_alike(rig: Rig) -> None:
    import asyncio

    await rig.node.mep.admit(HOSTED)
    info = ServiceInfo(
        ser_name="cut",
        version="1",
        state=ServiceState.ACTIVE,
        serializer=SerializerType.JSON,
        transport_id="skerry-rest",
    )
    adding = asyncio.create_task(rig.node.mep.services.add(HOSTED.app_instance_id, info, tenant="default"))
    await asyncio.sleep(0)
    adding.cancel()
    await asyncio.wait({adding})
    for _ in range(100):
        if found := rig.node.mep.services.all(tenant="default"):
            break
        await asyncio.sleep(0.01)
    assert [service.info.ser_name for service in found] == ["cut"]
