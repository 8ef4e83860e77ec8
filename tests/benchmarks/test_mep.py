"""The harness of the MEC platform's benchmark, with few requests: both servers answer what is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import divert, mec, mep
from benchmarks.__main__ import LATEST
from benchmarks.figures import Scale, beyond


async def test_both_servers_do_what_is_compared(tmp_path: Path) -> None:
    async with mep.node(tmp_path) as ours, mep.bare(tmp_path) as theirs:
        for target in (ours, theirs):
            assert mep.one_caller(target.port, target.post, 5) > 0
            assert mep.one_caller(target.port, target.get, 5) > 0
        rate, times = await mep.many_callers(ours.port, ours.post, 40)
        assert rate > 0
        assert len(times) == 40
        path = ours.get.split()[1].decode()
        assert len(ours.ask("GET", path)) == len(theirs.ask("GET", "/services")) == 10


async def test_a_dns_rule_is_measured_until_it_is_answered(tmp_path: Path) -> None:
    ((name, value),) = await mep.dns(tmp_path, Scale(rounds=1), lambda _: None)
    assert name == "dns.activate_p50_ms"
    assert 0 < value < 1000


def test_every_promised_figure_has_its_bound() -> None:
    promised = {
        "mep.post_ratio_bare": 0.6,
        "mep.get_ratio_bare": 0.6,
        "mep.post_rps_c1": 900,
        "mep.post_rps_c16": 2500,
        "mep.get_rps_c1": 5000,
        "mep.p99_ms_c16": 20,
        "mep.fanout_s": 2,
        "dns.activate_p50_ms": 5,
        "rule.divert_p50_ms": 100,
    }
    assert {name: mec.FIGURES[name].least or mec.FIGURES[name].most for name in promised} == promised
    assert set(divert.FIGURES) <= set(mec.FIGURES)


@pytest.mark.feature("B78")
def test_the_committed_figures_are_ten_times_those_of_a_common_platform_and_within_their_bounds() -> None:
    """It serves 90 and 88 POSTs a second to one and to sixteen callers, 480 GETs of ten services, in up to 55 MB."""
    committed = json.loads(LATEST.read_text())
    common = {"mep.post_rps_c1": 90, "mep.post_rps_c16": 88, "mep.get_rps_c1": 480}
    assert {name: committed[name] for name, rate in common.items() if committed[name] < 10 * rate} == {}
    assert committed["idle.rss_mb"] <= 60
    assert beyond({name: committed[name] for name in mep.FIGURES}, mep.FIGURES) == []
