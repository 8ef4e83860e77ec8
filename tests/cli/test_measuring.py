"""Measuring from the command line, on a node of its own process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder


@pytest.fixture
def vnf(served: Served, onboarded: Callable[[str], str]) -> Iterator[str]:
    onboarded("server")
    id = str(served.json("vnf", "create", "sipp-server", "--name", "measured")["id"])
    served("vnf", "instantiate", "measured")
    yield id
    served("vnf", "discard", "measured", "--yes")


def test_measure_and_read_what_was_measured(served: Served, vnf: str) -> None:
    made = served("pm", "measure", "measured", "--period", "1", "--report", "1", "--metric", "VCpuUsageMeanVnf")
    id = made.stdout.strip()
    (job,) = served.json("pm", "jobs")
    assert (job["id"], job["objects"], job["metrics"]) == (id, [vnf], ["VCpuUsageMeanVnf"])
    assert "measured" in served("pm", "jobs").stdout
    for _ in range(50):
        if found := served.json("pm", "reports", id[:8]):
            break
        time.sleep(0.1)
    assert {value["metric"] for value in found} == {"VCpuUsageMeanVnf"}
    assert len(served.json("pm", "reports", id, "--last", "1")) == 1
    assert "VCpuUsageMeanVnf" in served("pm", "reports", id).stdout
    served("pm", "delete", id)
    assert served.json("pm", "jobs") == []


def test_a_threshold(served: Served, vnf: str) -> None:
    made = served.json("pm", "watch", "measured", "VMemoryUsagePeakVnf", "0", "--type", "Vnfc", "--part", "server-0")
    (shown,) = served.json("pm", "thresholds")
    assert shown == made
    assert (shown["object"], shown["parts"], shown["value"]) == (vnf, ["server-0"], 0.0)
    assert "VMemoryUsagePeakVnf" in served("pm", "thresholds").stdout
    served("pm", "delete", made["id"])
    assert served.json("pm", "thresholds") == []


def test_what_is_used_now(served: Served, vnf: str) -> None:
    rows = served.json("top", "--every", "0.2")
    (row,) = [row for row in rows if row["vnf"] == "measured"]
    assert (row["vnfc"], row["vim"]) == ("server-0", "sim")
    assert row["vcpus"] == pytest.approx(0.001, abs=0.0005)
    assert row["memory_mb"] > 0
    assert "server-0" in served("top", "--every", "0.1").stdout


def test_what_cannot_be_measured_is_said(served: Served, vnf: str) -> None:
    told = served("pm", "measure", "measured", "--metric", "Loudness", code=5)
    assert "Loudness is no metric of a Vnf" in told.stderr
    assert "cannot find" in served("pm", "reports", "nothing", code=3).stderr
    assert "cannot find" in served("pm", "delete", "nothing", code=3).stderr


def test_indicators_are_shown_and_told(served: Served, tmp_path: Path) -> None:
    package = {"id": "pulse", "vdus": {"one": {"nics": {"pub": "ext"}}}, "indicators": {"mood": {}}}
    served("package", "onboard", str(csar(watched_folder(package))))
    served("vnf", "create", "pulse", "--name", "telling")
    served("vnf", "instantiate", "telling")
    for _ in range(50):
        if found := served.json("indicators", "telling"):
            break
        time.sleep(0.1)
    (one,) = found
    assert (one["indicator"], one["vnf_name"], one.get("value")) == ("mood", "telling", None)
    (told,) = served.json("indicators", "telling", "--tell", "mood=calm")
    assert told["value"] == "calm"
    assert "calm" in served("indicators").stdout
    assert "cannot find the indicator" in served("indicators", "telling", "--tell", "noise=1", code=3).stderr
    served("vnf", "discard", "telling", "--yes")
