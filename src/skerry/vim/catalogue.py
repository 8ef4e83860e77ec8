"""Finds VIM drivers: the modules of `skerry.vim.drivers`, and entry points of the group `skerry.vim_drivers`.

A driver is not imported before it is used. Its type is its module's name in upper case, or the entry point's name.
"""

from __future__ import annotations

import builtins
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from skerry.errors import DriverError, InvalidError
from skerry.vim import drivers
from skerry.vim.cabling import Cabled
from skerry.vim.driver import (
    Driver,
    Events,
    Exec,
    Exports,
    Functions,
    Inward,
    Logs,
    Present,
    Resize,
    Snapshots,
    Stats,
    Strangers,
    Taps,
    Written,
)

GROUP = "skerry.vim_drivers"

_ABILITIES: Mapping[str, type] = {
    "cabled": Cabled,
    "events": Events,
    "exec": Exec,
    "exports": Exports,
    "functions": Functions,
    "inward": Inward,
    "logs": Logs,
    "present": Present,
    "resize": Resize,
    "snapshots": Snapshots,
    "strangers": Strangers,
    "stats": Stats,
    "taps": Taps,
    "written": Written,
}


@cache
def driver_types() -> Mapping[str, str]:
    """SOL003 vimType -> the name of the module that serves it. Our own drivers win over entry points of their name."""
    found = {point.name.upper(): point.value.partition(":")[0] for point in entry_points(group=GROUP)}
    own = {one.name.upper(): f"{drivers.__name__}.{one.name}" for one in pkgutil.iter_modules(drivers.__path__)}
    return dict(sorted({**found, **own}.items()))


def load(type: str) -> builtins.type[Driver]:
    """The driver class of a vimType. `InvalidError` for a type that nothing serves."""
    module = driver_types().get(type.upper())
    if module is None:
        raise InvalidError(
            f"cannot find a VIM driver for the type {type}", suggestion=f"the types are: {', '.join(driver_types())}"
        )
    try:
        found: builtins.type[Driver] = import_module(module).Driver
    except ImportError as missing:
        raise DriverError(
            f"cannot load the VIM driver {type} ({module}): {missing}", suggestion="install what the driver needs"
        ) from missing
    return found


def abilities(driver: object) -> frozenset[str]:
    """The optional abilities of a driver (or of its class): cabled, events, exec, exports, functions, logs, present, resize,
    snapshots, stats, strangers, taps, written."""
    return frozenset(name for name, protocol in _ABILITIES.items() if _has(driver, protocol))


def _has(driver: object, protocol: type) -> bool:
    return issubclass(driver, protocol) if isinstance(driver, type) else isinstance(driver, protocol)
