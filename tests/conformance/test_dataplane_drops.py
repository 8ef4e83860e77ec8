"""Frames that are dropped are counted, with the reason, on every engine as far as it can tell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP

from skerry.dataplane.flows import (
    Connect,
    DecNshTtl,
    DecTtl,
    Goto,
    GtpDecap,
    GtpEncap,
    Meter,
    Output,
    Police,
    PopNsh,
    Reason,
    Track,
    Way,
    match,
)
from tests.conformance.dataplane_rigs import DEVICE, Rig
from tests.conformance.test_dataplane import frame, gpdu, put, raw, rule

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNTOLD = {"ovs": {Reason.TTL, Reason.NSH}}
"""What engines drop without saying so."""
NOWHERE = {"ovs": {Reason.NO_MATCH, Reason.METER, Reason.UNTRACKED, Reason.EXHAUSTED}}
"""What they tell of a device as a whole."""


async def counted(rig: Rig) -> Counter[tuple[int, Reason]]:
    dropped = (await rig.engine.read_back(DEVICE)).dropped
    return Counter({(one.port, one.reason): one.packets for one in dropped})


NSH_SHORT = b"\x02" * 12 + b"\x89\x4f" + b"\x0f\xc6\x01\x01" + b"\0\0\7\xff" + bytes(16) + bytes(20)
"""NSH with IPv4 inside, which is no frame."""
ROWS: tuple[tuple[Reason, Any, bytes, dict[str, Any]], ...] = (
    (Reason.NO_MATCH, (rule(match(in_port=2), Output(port=1)),), raw(frame()), {}),
    (Reason.POLICY, (rule(match(in_port=1)),), raw(frame()), {}),
    (Reason.TTL, (rule(match(in_port=1), DecTtl(), Output(port=2)),), raw(frame(IP(ttl=1) / UDP())), {}),
    (
        Reason.TTL,
        (rule(match(in_port=1, nsh_spi=7), DecNshTtl(), Output(port=2)),),
        NSH_SHORT[:14] + b"\x00\x46" + NSH_SHORT[16:],
        {},
    ),
    (Reason.NSH, (rule(match(in_port=1, nsh_spi=7), PopNsh(), Output(port=2)),), NSH_SHORT, {}),
    (Reason.GTP, (rule(match(in_port=1), GtpDecap(eth_src=1, eth_dst=2), Output(port=2)),), raw(frame()), {}),
    (Reason.GTP, (rule(match(in_port=1), GtpDecap(eth_src=1, eth_dst=2)),), raw(gpdu(IP() / UDP()))[:52], {}),
    (Reason.NO_SESSION, (rule(match(in_port=1), GtpEncap(way=Way.DOWN), Output(port=2)),), raw(frame()), {}),
    (
        Reason.METER,
        (rule(match(in_port=1), Police(meter=3), Output(port=2)),),
        raw(frame(IP() / UDP() / (b"x" * 1300))),
        {"meters": (Meter(id=3, rate_bps=1000, burst_bits=1000),)},
    ),
    (
        Reason.UNTRACKED,
        (
            rule(match(in_port=1, eth_type=0x800), Track(zone=9001), Goto(table=1)),
            rule(match(in_port=1, eth_type=0x800, ip_proto=6), Connect(zone=9001), Output(port=2), table=1),
        ),
        raw(frame(IP() / TCP(flags="SA"))),
        {},
    ),
)


@pytest.mark.feature("E46")
@pytest.mark.parametrize(("reason", "rules", "sent", "parts"), ROWS, ids=[str(row[0]) for row in ROWS])
async def test_dropped_frames_are_counted_by_reason(
    engine: Rig, reason: Reason, rules: Any, sent: bytes, parts: dict[str, Any]
) -> None:
    await put(engine, *rules, **parts)
    before = await counted(engine)
    for _ in range(3):
        assert await engine.send(1, sent, expect=0) == []
    new = await counted(engine) - before
    told = reason not in UNTOLD.get(engine.type, ())
    port = 0 if reason in NOWHERE.get(engine.type, ()) else 1
    assert new == (Counter({(port, reason): 3}) if told else Counter())


@pytest.mark.feature("E46")
async def test_exhausted_ports_are_counted(engine: Rig) -> None:
    source = Connect(zone=9002, source="198.51.100.7/32", low=40000, high=40000)
    await put(
        engine,
        rule(match(in_port=1, eth_type=0x800), Track(zone=9002), Goto(table=1)),
        rule(match(in_port=1), source, Output(port=2), table=1),
    )
    first, second = (frame(IP(src="10.0.0.1", dst="203.0.113.1") / UDP(sport=port, dport=53)) for port in (1, 2))
    assert len(await engine.send(1, raw(first))) == 1
    before = await counted(engine)
    assert await engine.send(1, raw(second), expect=0) == []
    port = 0 if engine.type in NOWHERE else 1
    assert await counted(engine) - before == Counter({(port, Reason.EXHAUSTED): 1})


@pytest.mark.feature("E46")
async def test_what_passes_is_not_counted_as_dropped(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1), Output(port=2), Output(port=3)))
    before = await counted(engine)
    assert len(await engine.send(1, raw(frame()), expect=2)) == 2
    assert await counted(engine) - before == Counter()
