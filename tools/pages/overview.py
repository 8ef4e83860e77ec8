"""The picture of the architecture, drawn by hand: a test checks that each box names a package."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 920, 624
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
    (40, 20, 265, 50, "cli", "commands for people and scripts", SAND),
    (328, 20, 265, 50, "your program", "any ETSI client", "#ffffff"),
    (616, 20, 264, 50, "mecapp", "for edge applications: library, bus", SAND),
    (40, 120, 840, 54, "api", "SOL002 · SOL003 · SOL005 · MEC 010-2 · MEC 011 · our own: decode, call, encode", PALE),
    (40, 204, 195, 60, "meo", "edge applications", PALE),
    (255, 204, 195, 60, "nfvo", "network services, grants", PALE),
    (470, 204, 195, 60, "vnfm", "VNFs: goal, graph, scripts", PALE),
    (685, 204, 195, 60, "mep", "platform: services, rules", PALE),
    (40, 294, 195, 50, "packages", "CSAR, TOSCA, signatures", PALE),
    (255, 294, 195, 50, "placement", "pure solver", PALE),
    (470, 294, 195, 50, "policy", "alarms, thresholds, healing", PALE),
    (685, 294, 195, 50, "notifications", "callbacks, in order", PALE),
    (40, 374, 553, 60, "engine", "desired state → plan → steps with undo, journalled", FOAM),
    (616, 374, 264, 60, "store", "SQLite: records, journal, events", FOAM),
    (40, 464, 553, 50, "vim", "one contract, a catalogue that finds drivers", PALE),
    (616, 464, 264, 50, "dataplane", "intents → rules, proven and probed", PALE),
    (40, 544, 124, 60, "local", "runc, conmon", SAND),
    (183, 544, 124, 60, "docker", "Docker Engine", SAND),
    (326, 544, 124, 60, "lvnf", "micro functions", SAND),
    (469, 544, 124, 60, "simulated", "world in memory", SAND),
    (616, 544, 122, 60, "ebpf", "in the kernel", SAND),
    (758, 544, 122, 60, "ovs", "Open vSwitch", SAND),
)
ARROWS = (
    *(f"M{x},70 L{x},118" for x in (172, 460, 748)),
    *(f"M{x},174 L{x},202" for x in (137, 352, 567, 782)),
    *(f"M{x},234 L{x + 18},234" for x in (235, 450)),
    *(f"M{x},264 L{x},292" for x in (137, 352, 567, 782)),
    *(f"M{x},344 L{x},372" for x in (316, 748)),
    "M593,404 L614,404",
    "M316,434 L316,462",
    "M593,489 L614,489",
    *(f"M{x},514 L{x},542" for x in (102, 245, 388, 531, 677, 819)),
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
    return '<text class="small" x="316" y="95">HTTPS, JSON</text>'
