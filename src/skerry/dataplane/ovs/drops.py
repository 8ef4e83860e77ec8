"""Why frames were dropped, from what a bridge counts. Where they came in is known of rules that say it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from skerry.dataplane.flows import TABLES, Dropped, Field, Reason, Rule
from skerry.dataplane.ovs import layout
from skerry.dataplane.ovs.openflow import FlowStats

_OF_TABLES = {layout.CONNECT: Reason.UNTRACKED, layout.REST: Reason.EXHAUSTED}


def of_service(stats: Iterable[FlowStats]) -> dict[Reason, int]:
    """Frames that ended in tables that serve the contract's: at rules there that do nothing."""
    found: Counter[Reason] = Counter()
    for one in stats:
        reason = _OF_TABLES.get(one.table)
        if reason is not None and not one.instructions and not (one.table == layout.REST and one.priority):
            found[reason] += one.packets
    return dict(found)


def dropped(
    rules: Iterable[tuple[Rule, int]], service: Mapping[Reason, int], missed: Mapping[int, int], metered: int
) -> tuple[Dropped, ...]:
    """All of a device. `rules` with their packets, `missed` frames by table of the bridge, `metered` by all meters."""
    found: Counter[tuple[int, Reason]] = Counter()
    for rule, packets in rules:
        if not rule.actions:
            port = next((term.value for term in rule.match if term.field is Field.IN_PORT), 0)
            found[port, Reason.POLICY] += packets
    for reason, packets in service.items():
        found[0, reason] += packets
    found[0, Reason.NO_MATCH] += sum(missed.get(layout.number(table), 0) for table in range(TABLES))
    found[0, Reason.METER] += metered
    return tuple(
        Dropped(port=port, reason=reason, packets=packets)
        for (port, reason), packets in sorted(found.items())
        if packets
    )
