"""Durable delivery, in virtual time: hours of trouble take no time."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc

import pytest

from skerry.engine.clock import Virtual, run_virtual
from skerry.errors import InvalidError, NotFoundError, RejectedError
from skerry.notifications.delivery import BATCH
from skerry.notifications.sending import Outcome
from tests.notifications.bench import Bench

DOWN = Outcome(ok=False, detail="POST answers 500 instead of 204")


@pytest.mark.feature("A41")
def test_every_event_reaches_every_subscriber_in_order() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        for name in ("a", "b"):
            await bench.subscribe(f"http://{name}/n")
        for number in range(100):
            await bench.create(f"vnf-{number % 7}-{number:03}")
            await bench.delete(f"vnf-{number % 7}-{number:03}")
        await asyncio.sleep(1)
        for name in ("a", "b"):
            bodies = bench.world.received[f"http://{name}/n"]
            assert len(bodies) == 200
            for number in range(100):
                id = f"vnf-{number % 7}-{number:03}"
                types = [body["notificationType"] for body in bodies if body["vnfInstanceId"] == id]
                assert types == ["VnfIdentifierCreationNotification", "VnfIdentifierDeletionNotification"]
        one, two = bench.world.received.values()
        assert sorted(body["id"] for body in one) == sorted(body["id"] for body in two)
        assert {body["subscriptionId"] for body in one}.isdisjoint(body["subscriptionId"] for body in two)
        await bench.service.stop()

    run_virtual(story)


@pytest.mark.feature("A41")
def test_a_filter_picks_by_instance() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe(filter={"vnfInstanceSubscriptionFilter": {"vnfInstanceIds": ["b", "c"]}})
        for id in "abcd":
            await bench.create(id)
        await asyncio.sleep(1)
        assert sorted(bench.told()) == ["b", "c"]
        await bench.service.stop()

    run_virtual(story)


def test_what_happened_before_a_subscription_is_not_told() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.create("before-all")
        await bench.subscribe("http://a/n")
        await bench.create("between")
        await bench.subscribe("http://b/n")
        await bench.create("after")
        await asyncio.sleep(1)
        assert sorted(bench.told("http://a/n")) == ["after", "between"]
        assert bench.told("http://b/n") == ["after"]
        await bench.restart()
        await asyncio.sleep(1)
        assert len(bench.told("http://a/n")) == 2
        assert len(bench.told("http://b/n")) == 1
        await bench.service.stop()

    run_virtual(story)


def test_another_tenant_hears_nothing() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe()
        await bench.create("theirs", tenant="other")
        await bench.create("ours")
        await asyncio.sleep(1)
        assert bench.told() == ["ours"]
        await bench.service.stop()

    run_virtual(story)


@pytest.mark.feature("A41")
def test_trouble_is_retried_with_growing_pauses_and_nothing_is_lost() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        made = await bench.subscribe()
        bench.world.fail("http://a/n", DOWN)
        await bench.create("a")
        await bench.delete("a")
        await asyncio.sleep(1000)
        tried = bench.world.tried["http://a/n"]
        pauses = [round(b - a) for a, b in itertools.pairwise(tried)]
        assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        (standing,) = bench.service.standings(tenant="t")
        assert (standing.state, standing.waiting, standing.error) == ("FAILING", 2, DOWN.detail)
        assert standing.subscription.id == made.id
        bench.world.mend("http://a/n")
        await asyncio.sleep(300)
        assert bench.told() == ["a", "a"]
        (standing,) = bench.service.standings(tenant="t")
        assert (standing.state, standing.waiting, standing.error) == ("ACTIVE", 0, "")
        await bench.service.stop()

    run_virtual(story)


def test_a_subscriber_may_ask_for_a_longer_pause() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe()
        bench.world.fail("http://a/n", Outcome(ok=False, detail="busy", retry_after_s=120))
        await bench.create("a")
        await asyncio.sleep(100)
        assert len(bench.world.tried["http://a/n"]) == 1
        await asyncio.sleep(50)
        assert len(bench.world.tried["http://a/n"]) == 2
        await bench.service.stop()

    run_virtual(story)


@pytest.mark.feature("A41")
def test_a_dead_subscriber_is_parked_and_reported_and_can_be_resumed() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, park_after_s=3600)
        await bench.start()
        made = await bench.subscribe()
        bench.world.fail("http://a/n", DOWN)
        await bench.create("a")
        await asyncio.sleep(7200)
        (standing,) = bench.service.standings(tenant="t")
        assert standing.state == "PARKED"
        assert standing.parked_at
        assert bench.said() == ["PARKED"]
        tries = len(bench.world.tried["http://a/n"])
        await bench.create("b")
        await bench.restart()
        await asyncio.sleep(7200)
        assert len(bench.world.tried["http://a/n"]) == tries  # parked over a restart, too
        bench.world.mend("http://a/n")
        assert bench.service.standings(tenant="other") == []
        with pytest.raises(NotFoundError):
            await bench.service.resume(made.id, tenant="other")
        assert (await bench.service.resume(made.id, tenant="t")).state == "ACTIVE"
        await asyncio.sleep(1)
        assert sorted(bench.told()) == ["a", "b"]
        assert bench.said() == ["PARKED", "RESUMED"]
        await bench.service.stop()

    run_virtual(story)


def test_the_time_of_trouble_counts_over_restarts() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, park_after_s=3600)
        await bench.start()
        await bench.subscribe()
        bench.world.fail("http://a/n", DOWN)
        await bench.create("a")
        for _ in range(8):
            await asyncio.sleep(500)
            await bench.restart()
        assert bench.service.standings(tenant="t")[0].state == "PARKED"
        await bench.service.stop()

    run_virtual(story)


def test_subscribing_again_resumes_a_parked_subscription() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, park_after_s=10)
        await bench.start()
        made = await bench.subscribe()
        bench.world.fail("http://a/n", DOWN)
        await bench.create("a")
        await asyncio.sleep(60)
        bench.world.mend("http://a/n")
        assert (await bench.subscribe()).id == made.id
        await asyncio.sleep(1)
        assert bench.told() == ["a"]
        await bench.service.stop()

    run_virtual(story)


@pytest.mark.feature("A41")
def test_a_crash_repeats_little_and_loses_nothing() -> None:
    """Stop at every moment of a slow delivery, and start again."""

    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        bench.world.delay_s = 0.03
        await bench.start()
        await bench.subscribe()
        for number in range(60):
            await bench.create(f"{number:02}")
            await bench.delete(f"{number:02}")
            await asyncio.sleep(0.004)
            if number % 5 == 0:
                await bench.restart()
        await asyncio.sleep(10)
        bodies = bench.world.received["http://a/n"]
        for number in range(60):
            types = [body["notificationType"] for body in bodies if body["vnfInstanceId"] == f"{number:02}"]
            firsts = list(dict.fromkeys(types))
            assert firsts == ["VnfIdentifierCreationNotification", "VnfIdentifierDeletionNotification"]
        await bench.service.stop()

    run_virtual(story)


def test_events_that_were_written_while_nobody_captured_are_told_after_the_start() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe()
        await bench.create("a")
        await asyncio.sleep(1)
        await bench.service.stop()
        await bench.create("b")
        await bench.restart()
        await asyncio.sleep(1)
        assert bench.told() == ["a", "b"]
        await bench.service.stop()

    run_virtual(story)


def test_a_refused_notification_does_not_hold_up_the_others_for_ever() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe()
        bench.world.fail("http://a/n", Outcome(ok=False, detail="POST answers 400", refused=True))
        await bench.create("a")
        await asyncio.sleep(10)
        bench.world.mend("http://a/n")
        await bench.create("b")
        await asyncio.sleep(10)
        assert bench.told() == ["b"]
        assert bench.said() == ["REFUSED"]
        await bench.service.stop()

    run_virtual(story)


def test_no_more_are_under_way_than_allowed() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, slots=10)
        bench.world.delay_s = 1.0
        await bench.start()
        for number in range(50):
            await bench.subscribe(f"http://{number}/n", tenant=f"t{number % 2}")
        await bench.create("a", tenant="t0")
        await bench.create("b", tenant="t1")
        await asyncio.sleep(7)
        assert bench.world.most_at_once == 10
        assert sum(len(got) for got in bench.world.received.values()) == 50
        await bench.service.stop()

    run_virtual(story)


def test_subscribers_that_let_the_node_wait_hold_up_no_other_tenant() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, slots=8)
        await bench.start()
        for number in range(500):
            await bench.subscribe(f"http://{number}/n", tenant="hostile")
        await bench.subscribe("http://good/n")
        bench.world.delay_s = 10.0
        await bench.create("a", tenant="hostile")
        await asyncio.sleep(1)
        await bench.create("b")
        await asyncio.sleep(10.5)
        assert bench.told("http://good/n") == ["b"]
        await bench.service.stop()

    run_virtual(story)


def test_what_waits_for_dead_subscribers_fills_no_memory() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        for number in range(200):
            await bench.subscribe(f"http://{number}/n")
            bench.world.fail(f"http://{number}/n", DOWN)
        tracemalloc.start()
        for number in range(BATCH):
            await bench.create(str(number), vnfInstanceName=f"{number}" * 2000)
        await asyncio.sleep(100)
        held, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(bench.world.tried["http://7/n"]) > 2
        assert held < 200 * BATCH * 2000 / 8, (held, most)
        await bench.service.stop()

    run_virtual(story)


def test_a_tenant_has_so_many_subscriptions_and_no_more() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, most=3)
        await bench.start()
        for number in range(3):
            await bench.subscribe(f"http://{number}/n")
        with pytest.raises(RejectedError, match="has 3 subscriptions"):
            await bench.subscribe("http://4/n")
        await bench.subscribe("http://2/n")  # it is there already
        await bench.subscribe("http://4/n", tenant="other")
        await bench.service.stop()

    run_virtual(story)


def test_nothing_arrives_after_unsubscribing() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        bench.world.delay_s = 1.0
        await bench.start()
        made = await bench.subscribe()
        await bench.create("a")
        await asyncio.sleep(0.5)
        await bench.service.unsubscribe(made.id, "vnflcm", tenant="t")
        await bench.create("b")
        await asyncio.sleep(100)
        assert bench.told() == []
        with pytest.raises(NotFoundError):
            await bench.service.unsubscribe(made.id, "vnflcm", tenant="t")
        await bench.service.stop()

    run_virtual(story)


def test_what_everybody_has_is_forgotten_and_a_parked_subscriber_keeps_its_own() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, park_after_s=5, keep_events=10)
        await bench.start()
        await bench.subscribe()
        await bench.create("a")
        await asyncio.sleep(1)
        assert await bench.service.prune() == 1
        bench.world.fail("http://a/n", DOWN)
        await bench.create("b")
        await asyncio.sleep(100)
        assert await bench.service.prune() == 0
        for number in range(20):
            await bench.create(str(number))
        await asyncio.sleep(1)
        await bench.service.prune()
        (standing,) = bench.service.standings(tenant="t")
        assert 0 < standing.waiting <= 11  # bounded, whatever happens
        await bench.service.stop()

    run_virtual(story)


def test_an_idle_subscriber_holds_nothing_back() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        await bench.subscribe("http://a/n")
        await bench.subscribe("http://b/n", {"notificationTypes": ["VnfIdentifierDeletionNotification"]})
        for number in range(10):
            await bench.create(str(number))
        await asyncio.sleep(1)
        assert "http://b/n" not in bench.world.tried
        assert await bench.service.prune() == 10
        await bench.service.stop()

    run_virtual(story)


def test_an_address_that_does_not_answer_is_no_subscription() -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids)
        await bench.start()
        bench.world.fail("http://a/n", Outcome(ok=False, detail="GET answers 404 instead of 204"))
        with pytest.raises(InvalidError, match="GET answers 404"):
            await bench.subscribe()
        assert bench.service.subscriptions("vnflcm", tenant="t") == []
        await bench.service.stop()
        trusting = Bench(virtual.clock, virtual.ids, test=False, sender=bench.world)
        await trusting.start()
        assert await trusting.subscribe()
        await trusting.service.stop()

    run_virtual(story)


@pytest.mark.parametrize("allowed", [False, True])
def test_the_same_subscription_twice(allowed: bool) -> None:
    async def story(virtual: Virtual) -> None:
        bench = Bench(virtual.clock, virtual.ids, duplicates=allowed)
        await bench.start()
        first = await bench.subscribe()
        again = await bench.subscribe()
        other = await bench.subscribe(filter={"operationStates": ["FAILED"]})
        assert (again.id == first.id) is not allowed
        assert other.id != first.id
        await bench.service.stop()

    run_virtual(story)
