"""Which services a query or a subscription means (MEC 011 8.2.3.3.1 and 8.1.3.2). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from skerry.errors import Fault, MalformedError
from skerry.model.mec import CategoryRef, LocalityType, Mec, Service, ServiceInfo, ServiceState

EXCLUSIVE = ("ser_instance_id", "ser_name", "ser_category_id")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of `GET …/services`. The first three are alternatives; None is "not asked"."""

    ser_instance_id: frozenset[str] = frozenset()
    ser_name: frozenset[str] = frozenset()
    ser_category_id: str = ""
    scope_of_locality: LocalityType | None = None
    consumed_local_only: bool | None = None
    is_local: bool | None = None

    def matches(self, service: Service) -> bool:
        """Whether the query means this service."""
        info = service.info
        category = info.ser_category.id if info.ser_category else ""
        return (
            (not self.ser_instance_id or service.id in self.ser_instance_id)
            and (not self.ser_name or info.ser_name in self.ser_name)
            and (not self.ser_category_id or category == self.ser_category_id)
            and (self.scope_of_locality is None or info.scope_of_locality is self.scope_of_locality)
            and (self.consumed_local_only is None or info.consumed_local_only is self.consumed_local_only)
            and (self.is_local is None or info.is_local is self.is_local)
        )


EVERY = Query()


def query(pairs: Iterable[tuple[str, str]]) -> Query:
    """The query of these parameters; a list is written with commas or by repeating. `MalformedError` names every fault."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in Query.__struct_fields__:
            given.setdefault(name, []).extend(part for part in value.split(",") if part)
    faults: list[Fault] = []
    exclusive = [name for name in EXCLUSIVE if name in given]
    if len(exclusive) > 1:
        faults.append(_fault(exclusive[1], f"{' and '.join(exclusive)} exclude each other", "keep one of them"))
    chosen = Query(
        ser_instance_id=frozenset(given.get("ser_instance_id", ())),
        ser_name=frozenset(given.get("ser_name", ())),
        ser_category_id=_single("ser_category_id", given, faults),
        scope_of_locality=_locality(given, faults),
        consumed_local_only=_boolean("consumed_local_only", given, faults),
        is_local=_boolean("is_local", given, faults),
    )
    if faults:
        raise MalformedError(
            "cannot use the query: " + "; ".join(fault.message for fault in faults),
            faults=faults,
            suggestion="correct every parameter named in faults",
        )
    return chosen


def _fault(name: str, message: str, fix: str) -> Fault:
    return Fault(message=message, code="query", path=f"?{name}", fix=fix)


def _single(name: str, given: Mapping[str, list[str]], faults: list[Fault]) -> str:
    values = given.get(name)
    if values is None:
        return ""
    if len(values) != 1:
        faults.append(_fault(name, f"{name} has {len(values)} values", "give one"))
        return ""
    return values[0]


def _boolean(name: str, given: Mapping[str, list[str]], faults: list[Fault]) -> bool | None:
    text = _single(name, given, faults).lower()
    if text and text not in ("true", "false"):
        faults.append(_fault(name, f"{name} is {text[:20]}", "say true or false"))
    return text == "true" if text else None


def _locality(given: Mapping[str, list[str]], faults: list[Fault]) -> LocalityType | None:
    text = _single("scope_of_locality", given, faults)
    if text and text not in LocalityType.__members__:
        known = ", ".join(LocalityType)
        faults.append(_fault("scope_of_locality", f"scope_of_locality is {text[:40]}", f"say one of {known}"))
        return None
    return LocalityType(text) if text else None


class Criteria(Mec, frozen=True, kw_only=True):
    """filteringCriteria of SerAvailabilityNotificationSubscription (MEC 011 8.1.3.2)."""

    ser_instance_ids: tuple[str, ...] | None = None
    ser_names: tuple[str, ...] | None = None
    ser_categories: tuple[CategoryRef, ...] | None = None
    states: tuple[ServiceState, ...] | None = None
    is_local: bool | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("ser_instance_ids", "ser_names", "ser_categories") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError("serInstanceIds, serNames and serCategories exclude each other")


def filter_of(criteria: Criteria | None) -> dict[str, Any]:
    """The criteria as a subscription's filter. Categories are compared by their ids."""
    if criteria is None:
        return {}
    plain: dict[str, Any] = msgspec.to_builtins(criteria)
    if criteria.ser_categories:
        plain["serCategoryIds"] = [category.id for category in criteria.ser_categories]
    return {name: value for name, value in plain.items() if value is not None}


def subject_of(id: str, info: ServiceInfo) -> dict[str, Any]:
    """What filters of subscriptions look at."""
    return {
        "serInstanceId": id,
        "serName": info.ser_name,
        "serCategoryId": info.ser_category.id if info.ser_category else "",
        "state": info.state.value,
        "isLocal": info.is_local,
    }
