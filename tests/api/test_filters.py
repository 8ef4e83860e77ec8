"""Attribute filters and selectors (SOL013 5.2, 5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.api import filters
from skerry.errors import MalformedError

THING: dict[str, Any] = {
    "id": "1",
    "name": "it's (one), two",
    "size": 10,
    "on": True,
    "list": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    "data": {"k/1": "v", "deep": {"er": 3}},
    "_links": {"self": {"href": "u"}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(eq,id,1)", True),
        ("(eq,id,2)", False),
        ("(neq,id,2)", True),
        ("(eq,size,10)", True),
        ("(eq,size,10.0)", True),
        ("(gt,size,9);(lt,size,11)", True),
        ("(gte,size,11)", False),
        ("(lte,size,10)", True),
        ("(in,id,3,1)", True),
        ("(nin,id,3,1)", False),
        ("(cont,name,one)", True),
        ("(ncont,name,three,four)", True),
        ("(eq,on,true)", True),
        ("(eq,list/b,y)", True),
        ("(neq,list/b,y)", False),
        ("(eq,data/k~11,v)", True),
        ("(eq,data/@key,deep)", True),
        ("(eq,data/deep/er,3)", True),
        ("(eq,name,'it''s (one), two')", True),
        ("(eq,missing,1)", False),
        ("(neq,missing,1)", True),
        ("(gt,size,big)", False),
        ("(in,size,big,10)", True),
        ("(nin,size,big,10)", False),
    ],
)
def test_filter(text: str, expected: bool) -> None:
    assert filters.matches(THING, filters.parse(text)) is expected


@pytest.mark.parametrize(
    "text", ["(", "eq,a,b", "(like,a,b)", "(eq,a)", "(gt,a,1,2)", "(eq,a,b)x", "(eq,a,b)(eq,c,d)", "(eq,a,b);"]
)
def test_broken_filter(text: str) -> None:
    with pytest.raises(MalformedError, match="cannot"):
        filters.parse(text)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"id", "name", "size", "on", "list", "_links"}),
        ({"all_fields": ""}, {"id", "name", "size", "on", "list", "data", "_links"}),
        ({"fields": "name"}, {"id", "name", "_links"}),
        ({"exclude_fields": "name,list"}, {"id", "size", "on", "data", "_links"}),
        ({"exclude_default": ""}, {"id", "name", "size", "on", "list", "_links"}),
        ({"exclude_default": "", "fields": "data"}, {"id", "name", "size", "on", "list", "data", "_links"}),
    ],
)
def test_selection(query: dict[str, str], shown: set[str]) -> None:
    assert set(filters.select(THING, filters.selection(query, ["data"]))) == shown


def test_selection_inside() -> None:
    assert filters.select(THING, filters.selection({"fields": "list/a,data/deep/er"}, [])) == {
        "id": "1",
        "list": [{"a": 1}, {"a": 2}],
        "data": {"deep": {"er": 3}},
        "_links": THING["_links"],
    }
    without = filters.select(THING, filters.selection({"exclude_fields": "list/a,data/deep"}, []))
    assert without["list"] == [{"b": "x"}, {"b": "y"}]
    assert without["data"] == {"k/1": "v"}
    assert THING["list"][0] == {"a": 1, "b": "x"}
