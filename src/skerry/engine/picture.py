"""Draws a plan as SVG: steps as boxes from left to right, arrows for what waits for what. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from skerry.model.operations import Plan, Step

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 260, 44, 60, 18, 16
COLOURS = {"create": "#2e7d32", "update": "#f9a825", "delete": "#c62828", "script": "#1565c0", "image": "#6a1b9a"}
OTHER = "#546e7a"


def picture(plan: Plan) -> str:
    """The plan as an SVG document that needs nothing from elsewhere."""
    columns = _columns(plan.steps)
    place = {
        key: (MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y))
        for column, keys in enumerate(columns)
        for row, key in enumerate(keys)
    }
    width = 2 * MARGIN + max(len(columns), 1) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max((len(keys) for keys in columns), default=1) * (HEIGHT + GAP_Y) - GAP_Y
    arrows = [_arrow(place[need], place[step.key]) for step in plan.steps for need in step.needs if need in place]
    boxes = [_box(step, place[step.key]) for step in plan.steps]
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
            ),
            (
                '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                '<path d="M0,0 L8,4 L0,8 z" fill="#78909c"/></marker></defs>'
            ),
            *arrows,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _columns(steps: Sequence[Step]) -> list[list[str]]:
    """Keys by depth: a step stands right of everything that it waits for."""
    needs: Mapping[str, tuple[str, ...]] = {step.key: step.needs for step in steps}
    depth: dict[str, int] = {}

    def measure(key: str) -> int:
        if key not in depth:
            depth[key] = 0
            depth[key] = 1 + max((measure(need) for need in needs[key] if need in needs), default=-1)
        return depth[key]

    for step in steps:
        measure(step.key)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for step in steps:
        columns[depth[step.key]].append(step.key)
    return columns


def _box(step: Step, at: tuple[int, int]) -> str:
    x, y = at
    colour = COLOURS.get(step.key.split(":", 1)[0], OTHER)
    title, note = escape(_cut(step.key)), escape(_cut(step.note))
    return (
        f"<g><title>{escape(step.key)}: {escape(step.note)}</title>"
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="white" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{x + 10}" y="{y + 18}" fill="{colour}" font-weight="bold">{title}</text>'
        f'<text x="{x + 10}" y="{y + 34}" fill="#37474f">{note}</text></g>'
    )


def _cut(text: str, most: int = 34) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + WIDTH, start[1] + HEIGHT // 2
    x2, y2 = end[0], end[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    return (
        f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}" fill="none" stroke="#78909c" '
        'stroke-width="1.5" marker-end="url(#a)"/>'
    )
