"""Finds the engines of the data plane and chooses between them by what the machine lets them do, never by name."""

from __future__ import annotations

import builtins
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module

from skerry.dataplane import drivers
from skerry.dataplane.driver import Capabilities, Driver
from skerry.dataplane.flows import Action, Copy, DeviceState, Field
from skerry.errors import DriverError, InvalidError

PREFERENCE = ("ebpf", "ovs")
"""Engines that forward real packets, the faster one first."""
SIMULATED = "simulated"


@cache
def engine_types() -> Mapping[str, str]:
    """The name of every engine and of its module."""
    return {one.name: f"{drivers.__name__}.{one.name}" for one in pkgutil.iter_modules(drivers.__path__)}


def load(type: str) -> builtins.type[Driver]:
    """The class of an engine. `InvalidError` for a name that nothing has, `DriverError` if its module cannot be used."""
    module = engine_types().get(type)
    if module is None:
        raise InvalidError(
            f"cannot find the data-plane engine {type}", suggestion=f"the engines are: {', '.join(engine_types())}"
        )
    try:
        found: builtins.type[Driver] = import_module(module).Driver
    except ImportError as missing:
        raise DriverError(
            f"cannot load the data-plane engine {type}: {missing}", suggestion="install what the engine needs"
        ) from missing
    return found


def lacks(capabilities: Capabilities, state: DeviceState) -> list[str]:
    """What a state needs and an engine has not got, in words; empty if it can do all."""
    if capabilities.missing:
        return [capabilities.missing]
    fields, actions = needs(state)
    missing = [f"cannot match {Field(field).name.lower()}" for field in sorted(fields - capabilities.fields)]
    missing += [f"cannot do {action}" for action in sorted(actions - capabilities.actions)]
    if len(state.rules) > capabilities.max_rules:
        missing.append(f"holds {capabilities.max_rules} rules, {len(state.rules)} are needed")
    return missing


def needs(state: DeviceState) -> tuple[frozenset[Field], frozenset[str]]:
    """The fields that a state matches and the actions that it does."""
    fields = {term[0] for rule in state.rules for term in rule.match}
    actions = {name for rule in state.rules for name in _names(rule.actions)}
    actions |= {name for group in state.groups for bucket in group.buckets for name in _names(bucket.actions)}
    return frozenset(fields), frozenset(actions)


def _names(actions: Iterable[Action]) -> Iterable[str]:
    for action in actions:
        yield str(action.__struct_config__.tag)
        if isinstance(action, Copy):
            yield from _names(action.actions)


def rank(names: Iterable[str], preferred: str = "") -> Sequence[str]:
    """Engines in the order in which they are tried."""
    wished = [preferred, *(name for name in PREFERENCE if name != preferred)]
    order = {name: place for place, name in enumerate(wished)}
    return sorted(names, key=lambda name: (name == SIMULATED and name != preferred, order.get(name, len(order)), name))
