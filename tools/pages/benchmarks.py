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
)
"""Key of a figure, what it means, its unit."""


def figures(readme: str, latest: Path = LATEST) -> str:
    """The README with its figures brought up to date; as it was where nothing was measured or no place is marked."""
    if not latest.is_file() or BEGIN not in readme:
        return readme
    measured = json.loads(latest.read_text())
    rows = [(text, f"{measured[key]:.3g}{unit}") for key, text, unit in FIGURES if key in measured]
    head, _, rest = readme.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n\n{table(('What', 'Figure'), rows)}\n\n{END}{tail}"
