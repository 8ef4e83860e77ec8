"""Runs the suites over every driver and every engine of the data plane that the catalogues find."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from skerry.dataplane import catalogue as engine_catalogue
from skerry.engine.clock import SystemClock
from skerry.vim import catalogue
from skerry.vim.driver import DriverContext
from tests.conformance import dataplane_rigs
from tests.conformance.bench import Bench
from tests.conformance.rigs import RIGS, Rig


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        chosen = []
        for type_ in catalogue.driver_types():
            marks = [pytest.mark.real] if type_ not in RIGS or RIGS[type_].real else []
            chosen.append(pytest.param(type_, id=type_.lower(), marks=marks))
        metafunc.parametrize("rig", chosen, indirect=True, scope="session")
    if "engine" in metafunc.fixturenames:
        engines = [
            pytest.param(type_, id=type_, marks=[pytest.mark.real] if type_ != engine_catalogue.SIMULATED else [])
            for type_ in engine_catalogue.engine_types()
        ]
        metafunc.parametrize("engine", engines, indirect=True, scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dataplane_rigs.Rig]:
    """An engine of the data plane with a device of five ports."""
    reason = dataplane_rigs.lacking(request.param)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    made = dataplane_rigs.rig_of(request.param, tmp_path_factory.mktemp(request.param))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    type_ = request.param
    if type_ not in RIGS:
        pytest.fail(f"the driver {type_} has no rig: add a class and an entry to RIGS in tests/conformance/rigs.py")
    reason = RIGS[type_].missing()
    if reason:
        pytest.skip(f"{type_}: {reason}")
    made = RIGS[type_](tmp_path_factory.mktemp(type_.lower()))
    yield made
    made.stop()


@pytest.fixture
async def bench(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """An open driver on a node of its own; afterwards nothing of that node may be left on the machine."""
    type_ = request.node.callspec.params["rig"]
    driver_class = catalogue.load(type_)
    node = f"cf{uuid.uuid4().hex[:8]}"
    folder = rig.folder / node
    folder.mkdir()
    settings = msgspec.convert(rig.settings(), driver_class.settings_type)
    context = DriverContext(node=node, data_dir=folder, clock=SystemClock())
    made = Bench(rig, node, lambda: driver_class(settings, context))
    await made.open()
    yield made
    await made.clear()
    await made.driver.close()
    assert list(rig.leftovers(node)) == []


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder that instances may mount."""
    tmp_path.chmod(0o755)
    return tmp_path
