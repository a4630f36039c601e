"""Packets as arrows, in SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._svg_page import INDENT, WIDEST
from ._svg_parts import fit, line, number, write_over
from ._time_axis import ARRIVAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._scene_packets import Arrow
    from ._svg_page import Page

LOST_AT = 0.55
"""The part of its way after which the arrow of a packet ends that is dropped or held."""


def draw_arrow(arrow: Arrow, page: Page) -> Iterator[str]:
    """An arrow with its label, which begins where the arrow does: there each has a line of its own."""
    start, end = page.lanes[arrow.source], page.lanes[arrow.destination]
    top = page.start_of(arrow)
    tip = "\n".join(arrow.texts) + ("\n..." if arrow.count > len(arrow.texts) else "")
    if start == end:
        yield from _loop(arrow, start, top, page)
        text = fit(arrow.label, page.width - start - 3 * INDENT)
        yield write_over(start + 20 + INDENT / 2, top + 4, text, tip=tip)
        return
    if arrow.arrival is None:
        yield from _lost(arrow, start, start + (end - start) * LOST_AT, top)
    elif arrow.last > arrow.time:
        yield from _run(arrow, start, end, top, page)
    else:
        kind = "arrow" if arrow.count == 1 else "arrow many"
        yield line(start, top, end, page.end_of(arrow), kind)
        yield _head(start, top, end, page.end_of(arrow))
    way, anchor = (1, "") if end > start else (-1, "end")
    room = (page.width - start if way > 0 else start) - 2 * INDENT
    label = fit(arrow.label, min(room, WIDEST))
    yield write_over(start + way * INDENT, top - 5, label, anchor=anchor, tip=tip)


def _run(arrow: Arrow, start: float, end: float, top: float, page: Page) -> Iterator[str]:
    """Several packets: an area from the first to the last, which is the arrow."""
    first = max(page.axis.first(arrow.first_arrival or 0.0), top)
    last = max(page.axis.first(arrow.last), top)
    bottom = page.end_of(arrow)
    points = _points((start, top), (end, first), (end, bottom), (start, last))
    yield f'<polygon class="run" points="{points}"/>'
    yield line(start, last, end, bottom, "arrow")
    yield _head(start, last, end, bottom)


def _lost(arrow: Arrow, start: float, end: float, top: float) -> Iterator[str]:
    """A packet that does not arrive."""
    bottom = top + 10
    if arrow.fate == "held":
        yield line(start, top, end, bottom, "held")
        yield f'<circle class="late" cx="{number(end)}" cy="{number(bottom)}" r="3.5"/>'
        return
    yield line(start, top, end, bottom, "dropped")
    yield line(end - 5, bottom - 5, end + 5, bottom + 5, "dropped")
    yield line(end - 5, bottom + 5, end + 5, bottom - 5, "dropped")


def _loop(arrow: Arrow, x: float, top: float, page: Page) -> Iterator[str]:
    """A packet from a host to itself."""
    bottom = top + ARRIVAL if arrow.arrival is None else max(page.end_of(arrow), top + ARRIVAL)
    kind = {"delivered": "arrow", "held": "held"}.get(arrow.fate, "dropped")
    yield f'<path class="{kind}" d="M{number(x)} {number(top)}h20V{number(bottom)}h-14"/>'
    if arrow.arrival is not None:
        yield _head(x + 20, bottom, x, bottom)


def _head(x1: float, y1: float, x2: float, y2: float) -> str:
    """The head of an arrow, a triangle: an SVG marker can not have the colour of its line everywhere."""
    dx, dy = x2 - x1, y2 - y1
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    dx, dy = dx / length, dy / length
    x, y = x2 - 9 * dx, y2 - 9 * dy
    points = _points((x2, y2), (x - 4 * dy, y + 4 * dx), (x + 4 * dy, y - 4 * dx))
    return f'<polygon class="head" points="{points}"/>'


def _points(*corners: tuple[float, float]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in corners)
