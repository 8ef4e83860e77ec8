"""The end of an application that was announced: its confirmation and the end of its time come at once, or clocks are set."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from skerry.engine.clock import EPOCH, VirtualClock, VirtualLoop
from skerry.errors import ConflictError
from skerry.model.mec import App, AppInfo, AppState, OperationAction
from tests.vnfm.builder import Lab, lab

STOPPING = OperationAction.STOPPING


async def registered(it: Lab, name: str = "video") -> App:
    return await it.node.mep.apps.register(AppInfo(app_name=name), tenant="")


@pytest.mark.feature("E10")
def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_announced() -> None:
    async def body(it: Lab) -> None:
        app = await registered(it)
        asking = asyncio.create_task(it.node.mep.apps.ask_to_end(app, STOPPING, 20, told=True))
        await asyncio.sleep(1)
        asking.cancel()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        it.virtual.clock = VirtualClock(loop, EPOCH - timedelta(hours=1))
        await it.restart()
        begun = loop.time()
        known = it.node.mep.apps.get(app.id, tenant="")
        assert not await it.node.mep.apps.ask_to_end(known, STOPPING, 20, told=True)
        assert loop.time() - begun <= 21

    lab(body)


@pytest.mark.feature("E10")
def test_of_a_confirmation_and_the_end_of_its_time_exactly_one_counts() -> None:
    async def confirm(it: Lab, app: App, after_s: float) -> bool:
        await asyncio.sleep(after_s)
        try:
            await it.node.mep.apps.confirm_end(it.node.mep.apps.get(app.id, tenant=""), STOPPING)
        except ConflictError:
            return False
        return True

    async def body(it: Lab) -> None:
        results = set()
        for number, after_s in enumerate((1.9, 1.999, 2.0, 2.0, 2.001, 2.1)):
            app = await registered(it, f"video {number}")
            confirmed, told = await asyncio.gather(
                it.node.mep.apps.ask_to_end(app, STOPPING, 2, told=True), confirm(it, app, after_s)
            )
            assert confirmed == told
            results.add(told)
            now = it.node.mep.apps.get(app.id, tenant="")
            assert (now.state, now.ending) == (AppState.STOPPED, None)
            ends = [one for one in it.node.engine.events.since(0, subject=app.id) if one.state == "STOPPED"]
            assert len(ends) == 1
        assert results == {True, False}

    lab(body)


@pytest.mark.feature("E10")
def test_who_takes_back_its_registration_meanwhile_has_nothing_to_confirm() -> None:
    async def body(it: Lab) -> None:
        app = await registered(it)
        asking = asyncio.create_task(it.node.mep.apps.ask_to_end(app, STOPPING, 2, told=True))
        await asyncio.sleep(1)
        await it.node.mep.deregister(it.node.mep.apps.get(app.id, tenant=""))
        assert await asking

    lab(body)
