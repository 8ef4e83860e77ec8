"""Rules of the contract as rules of the switch, without one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.dataplane.flows import (
    Bucket,
    Change,
    DecTtl,
    Field,
    Group,
    GtpEncap,
    Match,
    Output,
    Police,
    SetField,
    Way,
    match,
)
from skerry.dataplane.ovs import layout, matches, openflow, oxm, pipeline
from skerry.dataplane.ovs.openflow import FlowStats
from skerry.errors import InvalidError, UnsupportedError
from tests.dataplane.ovs.lab import DEVICE, rule

TTL = rule(match(), DecTtl(), Output(port=2))


def _stats(table: pipeline.Table) -> list[FlowStats]:
    """What a switch would have."""
    flows = {flow.key: flow for part in table.parts.values() for flow in part}
    return [FlowStats(f.table, f.priority, f.cookie, 0, 0, f.match, f.instructions) for f in flows.values()]


def _change(*rules: object, **fields: object) -> Change:
    return Change(device=DEVICE, revision=1, put_rules=tuple(rules), **fields)  # type: ignore[arg-type]


def test_an_action_that_needs_more_than_is_known_is_told_apart_by_cases() -> None:
    own, *rest = pipeline.rule_flows(TTL)
    assert own.table == layout.number(0)
    assert sorted((flow.table, flow.priority) for flow in rest) == [
        (layout.REST, 1),
        (layout.REST, 2),
        (layout.REST, 2),
    ]
    types = {oxm.conditions(flow.match)[0] for flow in rest if flow.priority == 2}  # type: ignore[index]
    assert types == {("eth_type", 0x0800, None), ("eth_type", 0x86DD, None)}
    [alone] = pipeline.rule_flows(rule(match(eth_type=0x0800), DecTtl(), Output(port=2)))
    assert alone.match == oxm.condition("eth_type", 0x0800)


def test_rests_are_shared_and_go_with_the_last_rule_that_needs_them() -> None:
    table = pipeline.Table()
    other = rule(match(in_port=3), DecTtl(), Output(port=2), priority=5)
    assert len(pipeline.plan(table, _change(TTL)).bundle) == 5
    assert len(pipeline.plan(table, _change(other)).bundle) == 1
    assert len(pipeline.plan(table, _change(drop_rules=(TTL,))).bundle) == 1
    assert len(pipeline.plan(table, _change(drop_rules=(other,))).bundle) == 4
    assert {key[0] for key in table.installed} == {layout.STATE}


def test_a_meter_in_the_middle_stands_before_a_list_of_its_own() -> None:
    _, rest = pipeline.rule_flows(rule(match(), Output(port=1), Police(meter=7), Output(port=2)))
    assert rest.instructions[:8] == bytes.fromhex("0006000800000007")


def test_what_is_read_back_is_what_was_put() -> None:
    table = pipeline.Table()
    group = Group(id=3, buckets=(Bucket(actions=(Output(port=1),), weight=3), Bucket(actions=(Output(port=2),))))
    pipeline.plan(table, _change(TTL, put_groups=(group,)))
    read, revision, found = pipeline.read(_stats(table), pipeline.Table())
    assert revision == 1
    assert [one.rule for one in found] == [TTL]
    assert read.values["group", 3] == group


@pytest.mark.parametrize("lost", ["own", "rest"])
def test_a_rule_of_which_the_switch_lacks_a_part_is_not_believed(lost: str) -> None:
    table = pipeline.Table()
    pipeline.plan(table, _change(TTL))
    stats = _stats(table)
    gone = next(one for one in stats if (one.table == layout.REST) == (lost == "rest") and one.table != layout.STATE)
    stats.remove(gone)
    _, _, found = pipeline.read(stats, table)
    assert [one.rule.actions for one in found] == ([()] if lost == "rest" else [])


@pytest.mark.parametrize(("weights", "slots"), [((1, 1), 2), ((10, 30), 4), ((0, 5), 1), ((1, 1000), 257), ((7,), 1)])
def test_weights_become_slots(weights: tuple[int, ...], slots: int) -> None:
    group = Group(id=1, buckets=tuple(Bucket(actions=(Output(port=n),), weight=w) for n, w in enumerate(weights, 1)))
    assert sum(flow.table == layout.BUCKET for flow in pipeline.group_flows(group)) == slots


def test_what_the_switch_cannot_do_is_refused_with_a_way_out() -> None:
    with pytest.raises(UnsupportedError, match="cannot do GtpEncap") as refused:
        pipeline.rule_flows(rule(match(), GtpEncap(way=Way.UP)))
    assert "ebpf" in refused.value.suggestion
    with pytest.raises(UnsupportedError, match="cannot set gtp_teid"):
        pipeline.rule_flows(rule(match(), SetField(field=Field.GTP_TEID, value=1)))
    with pytest.raises(UnsupportedError, match="cannot match gtp_type, gtp_teid"):
        pipeline.rule_flows(rule((*match(gtp_type=255), *match(gtp_teid=1)[-1:])))
    with pytest.raises(InvalidError, match="without TCP, UDP or SCTP"):
        pipeline.rule_flows(rule(match(l4_dst=5)))
    with pytest.raises(InvalidError, match="no bucket of a weight"):
        pipeline.group_flows(Group(id=1, buckets=(Bucket(actions=(), weight=0),)))


_VALUES = {
    "in_port": st.integers(1, 65279),
    "eth_src": st.integers(0, (1 << 48) - 1),
    "vlan_vid": st.integers(0x1000, 0x1FFF),
    "ip_dscp": st.integers(0, 63),
    "ip_frag": st.integers(0, 2),
    "l4_src": st.integers(0, 65535),
    "reg1": st.integers(0, (1 << 32) - 1),
    "pin": st.integers(0, (1 << 32) - 1),
}


@given(st.fixed_dictionaries({}, optional=_VALUES), st.sampled_from([6, 17, 132]), st.booleans())
def test_every_match_is_read_as_it_was_written(values: dict[str, int], proto: int, six: bool) -> None:
    made: Match = match(**values, ip_proto=proto, eth_type=0x86DD if six else 0x0800)
    body = matches.encode(made)
    assert matches.decode(oxm.conditions(body)) == made


def test_a_message_is_made_for_each_rule_alone() -> None:
    rules = [rule(match(in_port=number), Output(port=1), cookie=number) for number in range(1, 50)]
    plan = pipeline.plan(pipeline.Table(), _change(*rules))
    assert [openflow.head(one)[0] for one in plan.bundle] == [openflow.FLOW_MOD] * 50
