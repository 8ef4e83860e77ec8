"""The figures of the README: ratios and sizes out of `benchmarks/latest.json`, which `make bench` writes."""

from __future__ import annotations

import json
from pathlib import Path

from tools.pages import table

ROOT = Path(__file__).resolve().parents[2]
LATEST = ROOT / "benchmarks" / "latest.json"
BEGIN, END = "<!-- figures: made by `make reference` from benchmarks/latest.json -->", "<!-- end of figures -->"
FIGURES = (
    (
        "instantiate.ratio_docker",
        "Instantiate a VNF with two networks, against `docker run` of the same image",
        " times",
    ),
    ("instantiate.overhead_ms", "The same, over networks and container made by hand with the bare runtime", " ms"),
    ("instantiate50.ratio", "Fifty VNFs at once, against fifty bare runs", " times"),
    ("idle.rss_mb", "Memory of an idle node", " MB"),
    ("idle.first_request_s", "From start to the first answer", " s"),
    ("engine.ops_per_s", "Operations of ten steps a second, journalled", ""),
    ("engine.recover_1k_s", "Restart with a thousand operations pending, until all run", " s"),
    (
        "lgw.decap_ratio_veth",
        "GTP-U taken off on the way, packets a second against a bare pair of interfaces",
        " times",
    ),
    ("rules.apply_10k_s", "Ten thousand rules applied at one moment", " s"),
    ("rules.verify_10k_s", "The proof that ten thousand rules do what they shall", " s"),
    ("rule.divert_p50_ms", "From the rule of an application to its user's first packet there", " ms"),
    ("mecapp.ready_p50_s", "From the request to an application that runs and is registered", " s"),
    ("lvnf.boot_ebpf_ms", "A micro network function in the kernel, from its start to its first packet", " ms"),
    ("lvnf.boot_process_ms", "The same in a process", " ms"),
    ("lvnf.boot_500_s", "Five hundred of them on one machine", " s"),
    ("mep.post_rps_c16", "Services registered a second on the MEC platform, durably, by 16 clients", ""),
    ("cache.origin_ms", "A page from its origin, 30 ms behind the core of a mobile network", " ms"),
    ("cache.hit_ms", "The same page from a cache between base station and core", " ms"),
    ("api.get_rps", "Requests a second of one process", ""),
)
"""Key of a figure, what it means, its unit."""


def figures(readme: str, latest: Path = LATEST) -> str:
    """The README with its figures brought up to date; as it was where nothing was measured or no place is marked."""
    if not latest.is_file() or BEGIN not in readme:
        return readme
    measured = json.loads(latest.read_text())
    rows = [(text, f"{_rounded(measured[key])}{unit}") for key, text, unit in FIGURES if key in measured]
    head, _, rest = readme.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n\n{table(('What', 'Figure'), rows)}\n\n{END}{tail}"


def _rounded(figure: float) -> str:
    """Three digits that count, written out."""
    return f"{float(f'{figure:.3g}'):,g}"
