"""TOSCA functions in values."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.packages import resolve
from skerry.packages.functions import evaluate, has_function, references

KNOWN = {
    ("get_attribute", "server", "address"): "10.0.0.9",
    ("get_property", "server", "port"): 5060,
    ("get_input", "names"): ["a", "b"],
}


def lookup(function: str, arguments: tuple[Any, ...]) -> Any:
    return KNOWN[(function, *arguments)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ({"get_attribute": ["server", "address"]}, "10.0.0.9"),
        ({"get_input": "names"}, ["a", "b"]),
        (
            {"concat": [{"get_attribute": ["server", "address"]}, ":", {"get_property": ["server", "port"]}]},
            "10.0.0.9:5060",
        ),
        ({"concat": [["a"], ["b", "c"]]}, ["a", "b", "c"]),
        ({"join": [{"get_input": "names"}, "-"]}, "a-b"),
        ({"join": [["x", 1, True]]}, "x1true"),
        ({"token": ["a.b:c", ".:", 2]}, "c"),
        ({"token": [{"get_attribute": ["server", "address"]}, ".", 3]}, "9"),
        ([{"k": {"get_input": "names"}}], [{"k": ["a", "b"]}]),
        ({"get_input": "names", "other": 1}, {"get_input": "names", "other": 1}),
    ],
)
@pytest.mark.feature("A52")
def test_resolve(value: Any, expected: Any) -> None:
    assert resolve(value, lookup) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"get_input": "none"},
        {"token": ["a", ".", 5]},
        {"token": ["a"]},
        {"token": ["a", ".", -1]},
        {"join": "x"},
        {"concat": "x"},
        {"concat": ["x" * 600_000] * 2},
    ],
)
def test_wrong_functions_are_faults(value: Any) -> None:
    with pytest.raises(InvalidError, match="cannot resolve") as caught:
        resolve(value, lookup)
    assert len(caught.value.faults) == 1


def test_every_unknown_reference_is_named_at_once() -> None:
    with pytest.raises(InvalidError) as caught:
        resolve({"a": {"get_input": "x"}, "b": [{"get_attribute": ["y", "z"]}, {"get_input": "names"}]}, lookup)
    assert [fault.code for fault in caught.value.faults] == ["unresolved", "unresolved"]


def test_evaluate_keeps_what_is_unknown() -> None:
    value = {"concat": ["http://", {"get_attribute": ["later", "address"]}]}
    assert evaluate(value, lookup) == value
    assert has_function([value])
    assert references(value) == [("get_attribute", ("later", "address"))]
