"""Draws a table of allowed moves as SVG: states in columns by their distance from the first one, moves as arrows."""

from __future__ import annotations

from collections.abc import Mapping, Set
from html import escape
from typing import TypeVar

S = TypeVar("S", bound=str)

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN, BESIDE = 168, 40, 84, 44, 24, 14
STYLE = """\
<style>
  text { font: 13px system-ui, sans-serif; fill: #1b2a33; text-anchor: middle; }
  rect { fill: #e8f1f5; stroke: #2b6777; stroke-width: 1.5; }
  rect.end { fill: #f3efe4; stroke: #8a7340; }
  path { fill: none; stroke: #52616b; stroke-width: 1.4; marker-end: url(#tip); }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">
<polygon points="0,0 8,4 0,8" fill="#52616b"/></marker></defs>"""


def drawing(title: str, moves: Mapping[S, Set[S]]) -> str:
    """The SVG. The first key is the first state; states without a way out are drawn as ends."""
    places = _places(moves)
    width = max(x for x, _ in places.values()) + WIDTH + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    order = list(moves).index
    arrows = [
        f'<path d="{_arrow(places[start], places[end])}"/>'
        for start, ends in moves.items()
        for end in sorted(ends, key=order)
    ]
    boxes = [_box(state, places[state], end=not ends) for state, ends in moves.items()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    ground = f'<rect x="0" y="0" width="{width}" height="{height}" style="fill:#ffffff;stroke:none"/>'
    return "\n".join([head, STYLE, ground, *arrows, *boxes, "</svg>"]) + "\n"


def _places(moves: Mapping[S, Set[S]]) -> dict[S, tuple[int, int]]:
    columns = _distances(moves)
    rows: dict[int, int] = {}
    places: dict[S, tuple[int, int]] = {}
    for state in moves:
        column = columns[state]
        row = rows.setdefault(column, 0)
        rows[column] += 1
        places[state] = (MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y))
    return places


def _distances(moves: Mapping[S, Set[S]]) -> dict[S, int]:
    first = next(iter(moves))
    found: dict[S, int] = {first: 0}
    edge = [first]
    while edge:
        state = edge.pop(0)
        for end in sorted(moves[state], key=list(moves).index):
            if end not in found:
                found[end] = found[state] + 1
                edge.append(end)
    return {state: found.get(state, 0) for state in moves}


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """The path from one box to another. The way back is a little beside the way there."""
    (x1, y1), (x2, y2) = start, end
    if x2 == x1:
        down = y2 > y1
        x = x1 + WIDTH // 2 + (-BESIDE if down else BESIDE)
        return f"M{x},{y1 + HEIGHT if down else y1} L{x},{y2 if down else y2 + HEIGHT}"
    right = x2 > x1
    a, b = (x1 + WIDTH, x2) if right else (x1, x2 + WIDTH)
    shift = -BESIDE // 2 if right else BESIDE // 2
    high, low, middle = y1 + HEIGHT // 2 + shift, y2 + HEIGHT // 2 + shift, (a + b) // 2
    return f"M{a},{high} C{middle},{high} {middle},{low} {b},{low}"


def _box(state: str, place: tuple[int, int], *, end: bool) -> str:
    x, y = place
    kind = ' class="end"' if end else ""
    return (
        f'<rect{kind} x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 5}">{escape(state)}</text>'
    )
