"""Engines are found and chosen by what they can do."""

from __future__ import annotations

import pytest

from skerry.dataplane import catalogue
from skerry.dataplane.driver import Capabilities
from skerry.dataplane.flows import (
    Bucket,
    Copy,
    DeviceState,
    Field,
    Group,
    Output,
    PopNsh,
    PushVlan,
    Rule,
    Select,
    match,
)
from skerry.errors import InvalidError

STATE = DeviceState(
    device="d",
    rules=(
        Rule(
            table=0, priority=1, match=match(vlan_vid=0), actions=(Copy(actions=(PopNsh(), Output(port=1))),), cookie=1
        ),
        Rule(table=0, priority=2, match=match(in_port=1), actions=(Select(group=1),), cookie=2),
    ),
    groups=(Group(id=1, buckets=(Bucket(actions=(PushVlan(vid=1),)),)),),
)


@pytest.mark.feature("E110")
def test_what_an_engine_lacks_is_named() -> None:
    fields, actions = catalogue.needs(STATE)
    assert (fields, actions) == (
        {Field.VLAN_VID, Field.IN_PORT},
        {"copy", "popnsh", "output", "select", "pushvlan"},
    )
    able = Capabilities(fields=fields, actions=actions)
    assert catalogue.lacks(able, STATE) == []
    narrow = Capabilities(fields=frozenset({Field.IN_PORT}), actions=actions - {"popnsh"}, max_rules=1)
    assert catalogue.lacks(narrow, STATE) == [
        "cannot match vlan_vid",
        "cannot do popnsh",
        "holds 1 rules, 2 are needed",
    ]
    assert catalogue.lacks(Capabilities(fields=fields, actions=actions, missing="no root"), STATE) == ["no root"]


def test_the_preferred_engine_comes_first_and_the_simulated_one_last() -> None:
    names = ("simulated", "ovs", "other", "ebpf")
    assert catalogue.rank(names) == ["ebpf", "ovs", "other", "simulated"]
    assert catalogue.rank(names, "ovs") == ["ovs", "ebpf", "other", "simulated"]
    assert catalogue.rank(names, "simulated") == ["simulated", "ebpf", "ovs", "other"]
    assert {"simulated", "ovs", "ebpf"} <= set(catalogue.engine_types())
    with pytest.raises(InvalidError, match="cannot find the data-plane engine magic"):
        catalogue.load("magic")
