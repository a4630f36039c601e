"""An event log as a picture: a sequence diagram in which time goes down, an SVG file without scripts.

Each arrow, mark and change has a line of its own, so that no text is above another; the place on the
page follows the order of time, and between two lines its length, up to a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._scene import build
from ._scene_packets import Arrow
from ._svg_arrows import draw_arrow
from ._svg_page import AXIS, INDENT, WIDEST, Page
from ._svg_parts import STYLE, box, fit, line, number, seconds, width, write, write_over

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._events import Event
    from ._scene_states import Band, Mark

COLOURS = {"fault": "bad", "note": "said", "server": "late"}
"""The classes of marks; others are dim."""
LINE = 16.0
"""The height of a line of the remarks."""


def svg(log: Iterable[Event]) -> str:
    """Draw an event log as a sequence diagram; returns the text of an SVG file.

    Hosts are vertical lines, time goes down, in virtual seconds: long times in which nothing happens are
    shortened, and dotted. Packets are arrows from when they were sent to when they arrive, those that are
    dropped end in a cross, data that follow each other are one arrow. Requests are bars at their server's
    line; partitions, holds, crashes and shutdowns are coloured areas. With more than 300 arrows and marks it
    is a summary: a remark at the bottom says what was joined or left out. Texts that are cut, and the words
    of the log, are shown when the mouse is over them.

    Args:
      log: The events: an `EventLog`, or some of it: ``svg(log[100:200])``.
    """
    page = Page(build(log))
    parts = [*_bands(page), *_lanes(page), *_bars(page)]
    for item in page.scene.items:
        parts += draw_arrow(item, page) if isinstance(item, Arrow) else _mark(item, page)
    parts += _axis(page)
    remarks = [text for remark in _remarks(page) for text in _wrapped(remark, page.width - 24)]
    parts += [write(12, page.bottom + 24 + LINE * index, text, "dim") for index, text in enumerate(remarks)]
    wide, high = number(page.width), number(page.bottom + 24 + LINE * len(remarks))
    size = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>What happened on the network</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{wide}" height="{high}"/>',
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def _bands(page: Page) -> Iterator[str]:
    for band in page.scene.bands:
        places = sorted({page.lanes[host]: None for host in band.hosts if host in page.lanes})
        if len(places) == 2 and places[1] - places[0] <= page.spacing:
            yield _band(band, places[0], places[1] - places[0], page)
        else:
            for x in places:  # hosts in between have no part in it
                yield _band(band, x - 12, 24, page)


def _band(band: Band, x: float, wide: float, page: Page) -> str:
    top = page.axis.first(band.start)
    bottom = page.bottom if band.end is None else page.axis.last(band.end)
    until = "the end" if band.end is None else f"{seconds(band.end)} s"
    tip = f"{band.kind} {', '.join(band.hosts)} from {seconds(band.start)} s to {until}"
    return box(x, top, wide, max(bottom - top, 4), band.kind, tip=tip)


def _lanes(page: Page) -> Iterator[str]:
    for name, x in page.lanes.items():
        wide = min(width(name) * 1.2 + 20, page.spacing - 8)
        yield box(x - wide / 2, 16, wide, 26, "box")
        yield write(x, 34, fit(name, wide / 1.15), "name", anchor="middle", tip=name)
        y = 42.0
        for start, end, _ in page.axis.breaks:
            yield line(x, y, x, start + 10, "lane")
            yield line(x, start + 10, x, end - 10, "lane gap")
            y = end - 10
        yield line(x, y, x, page.bottom, "lane")


def _bars(page: Page) -> Iterator[str]:
    taken: dict[str, list[float]] = {}  # until where each column of bars is, by host
    for bar in page.scene.bars:
        top = page.axis.first(bar.start)
        bottom = page.bottom if bar.end is None else page.axis.last(bar.end)
        columns = taken.setdefault(bar.host, [])
        column = next((index for index, end in enumerate(columns) if end <= top), len(columns))
        columns[column : column + 1] = [bottom]
        # Those that go on at the same time lie beside each other, from the sixth on above each other.
        x = page.lanes[bar.host] - 4 + 5 * min(column, 5)
        yield box(x, top, 8, max(bottom - top, 4), bar.outcome or "open", tip=bar.text)


def _mark(mark: Mark, page: Page) -> Iterator[str]:
    y = page.start_of(mark)
    colour = COLOURS.get(mark.kind, "dim")
    if mark.host not in page.lanes:
        middle = (AXIS + page.width) / 2
        text = fit(mark.text, page.width - AXIS - 2 * INDENT)
        half = width(text) / 2 + 6
        yield line(AXIS, y, middle - half, y, "rule")
        yield line(middle + half, y, page.width - 8, y, "rule")
        yield write_over(middle, y + 4, text, colour, anchor="middle", tip=mark.text)
        return
    x = page.lanes[mark.host]
    yield f'<circle class="{colour}" cx="{number(x)}" cy="{number(y)}" r="3.5"/>'
    text = fit(mark.text, min(page.width - x - INDENT, WIDEST))
    yield write_over(x + INDENT, y + 4, text, colour, tip=mark.text)


def _axis(page: Page) -> Iterator[str]:
    for time, y in page.axis.ticks():
        yield write(AXIS - 8, y + 4, f"{seconds(time)} s", "dim", anchor="end")
    for start, end, length in page.axis.breaks:
        yield write(AXIS - 8, (start + end) / 2 + 4, f"+{length:.4g} s", "dim", anchor="end")


def _remarks(page: Page) -> list[str]:
    found = ["Time goes down, in virtual seconds; where lines are dotted, some was left out."]
    if any(isinstance(item, Arrow) and item.connection is not None for item in page.scene.items):
        found.append("#N is the number of a connection.")
    return found + page.scene.remarks


def _wrapped(text: str, pixels: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and width(f"{lines[-1]} {word}") <= pixels:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
