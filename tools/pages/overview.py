"""The picture of the architecture, drawn by hand: a test checks that each box names a package."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 920, 560
INK, LINE = "#1b2a33", "#2b6777"
PALE, SAND, FOAM = "#e8f1f5", "#f6efdd", "#e4f2ea"
STYLE = f"""\
<style>
  text {{ font: 14px system-ui, sans-serif; fill: {INK}; text-anchor: middle; }}
  .small {{ font-size: 12px; fill: #52616b; }}
  .name {{ font-weight: 600; }}
  rect {{ stroke: {LINE}; stroke-width: 1.4; }}
  path {{ fill: none; stroke: #52616b; stroke-width: 1.6; marker-end: url(#tip); }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">
<polygon points="0,0 8,4 0,8" fill="#52616b"/></marker></defs>"""

Box = tuple[int, int, int, int, str, str, str]
BOXES: Sequence[Box] = (
    (40, 20, 250, 50, "cli", "commands for people and scripts", SAND),
    (320, 20, 250, 50, "your program", "any ETSI client", "#ffffff"),
    (40, 120, 840, 54, "api", "SOL003 · SOL005 · our own: decode, call, encode", PALE),
    (40, 204, 265, 60, "nfvo", "network services, catalogue, grants", PALE),
    (328, 204, 265, 60, "vnfm", "VNFs: goal, graph, scripts", PALE),
    (616, 204, 122, 60, "packages", "CSAR, TOSCA", PALE),
    (758, 204, 122, 60, "placement", "pure solver", PALE),
    (40, 296, 553, 66, "engine", "desired state → plan → steps with undo, journalled", FOAM),
    (616, 296, 264, 66, "store", "SQLite: records, journal, events", FOAM),
    (40, 392, 840, 50, "vim", "one contract, a catalogue that finds drivers", PALE),
    (40, 470, 265, 60, "local", "runc + conmon, no daemon", SAND),
    (328, 470, 265, 60, "docker", "Docker Engine API", SAND),
    (616, 470, 264, 60, "simulated", "a world in memory, with faults", SAND),
)
ARROWS = (
    "M165,70 L165,118",
    "M445,70 L445,118",
    "M172,174 L172,202",
    "M460,174 L460,202",
    "M305,234 L326,234",
    "M593,234 L614,234",
    "M172,264 L172,294",
    "M460,264 L460,294",
    "M593,329 L614,329",
    "M316,362 L316,390",
    "M172,442 L172,468",
    "M460,442 L460,468",
    "M748,442 L748,468",
)


def architecture() -> str:
    """The SVG."""
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Architecture of a node"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" style="fill:#ffffff;stroke:none"/>'
    arrows = [f'<path d="{path}"/>' for path in ARROWS]
    return "\n".join([head, STYLE, ground, *arrows, *map(_box, BOXES), _tls(), "</svg>"]) + "\n"


def _box(box: Box) -> str:
    x, y, width, height, name, text, fill = box
    middle = x + width // 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}"/>'
        f'<text class="name" x="{middle}" y="{y + height // 2 - 5}">{escape(name)}</text>'
        f'<text class="small" x="{middle}" y="{y + height // 2 + 15}">{escape(text)}</text>'
    )


def _tls() -> str:
    return '<text class="small" x="305" y="95">HTTPS, JSON</text>'
