"""Finding drivers without importing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from skerry.engine.clock import SystemClock
from skerry.errors import InvalidError
from skerry.vim import catalogue, drivers
from skerry.vim.driver import DriverContext


@pytest.mark.feature("A76", "D58")
def test_every_module_of_the_folder_is_a_driver() -> None:
    folder = Path(drivers.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    types = catalogue.driver_types()
    assert modules <= {name.lower() for name in types}
    assert "SIMULATED" in types


@pytest.mark.parametrize("type_", sorted(catalogue.driver_types()))
def test_a_driver_is_what_its_name_says(type_: str) -> None:
    driver = catalogue.load(type_)
    assert driver.type == type_
    assert issubclass(driver.settings_type, msgspec.Struct)
    assert driver.settings_type.__struct_config__.frozen
    assert catalogue.load(type_.lower()) is driver


@pytest.mark.parametrize("type_", sorted(catalogue.driver_types()))
def test_settings_are_decoded_strictly(type_: str) -> None:
    settings = catalogue.load(type_).settings_type
    with pytest.raises(msgspec.ValidationError, match="no-such-key"):
        msgspec.convert({"no-such-key": 1}, settings)


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(InvalidError) as caught:
        catalogue.load("ABACUS")
    assert "ABACUS" in str(caught.value)
    assert "SIMULATED" in caught.value.suggestion


def test_looking_for_drivers_imports_none() -> None:
    code = (
        "import sys; from skerry.vim import catalogue; types = catalogue.driver_types();"
        "loaded = [m for m in sys.modules if m.startswith('skerry.vim.drivers.') or m in ('httpx', 'asyncssh')];"
        "assert types and not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_abilities_come_from_the_protocols(tmp_path: Path) -> None:
    cls = catalogue.load("SIMULATED")
    made = cls(cls.settings_type(), DriverContext(node="n", data_dir=tmp_path, clock=SystemClock()))
    assert catalogue.abilities(made) == {
        "cabled",
        "events",
        "exec",
        "exports",
        "logs",
        "resize",
        "snapshots",
        "stats",
        "taps",
        "strangers",
        "written",
    }
    assert catalogue.abilities(cls) == catalogue.abilities(made)
    assert catalogue.abilities(object()) == frozenset()
