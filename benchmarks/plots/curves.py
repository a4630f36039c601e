"""Plots with a line for each server, whose names stand at the lines' ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.names import title
from benchmarks.plots.axes import Linear, Log, around, microseconds
from benchmarks.plots.svg import CHARACTER, Flag, Label, Page, family, line_class, raise_flags, spread
from benchmarks.workloads import RATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.results import Results

WIDTH = 960.0
LEFT, TOP = 76.0, 92.0
BELOW = 78.0
"""Of the axis: its figures, its unit, the machine."""
PLOT = 370.0
"""The height of the plot itself."""
GAP = 16.0
HOPELESS = 50_000.0
"""Microseconds of the 99th percentile, beyond which a server does not keep up: its line leaves the page."""


@dataclass(frozen=True)
class Curve:
    """The points of one server, in the units of the axes."""

    server: str
    points: list[tuple[float, float]]
    leaves: bool = False
    """Whether the last point is where its line leaves the page."""


def connections(results: Results, machine: str) -> Page | None:
    """Processor time for each line, from one connection to ten thousand."""
    counts = [1, 10, 50, 500, 2000, 10_000]
    measured = [count for count in counts if f"echo{count}" in results.rounds]
    curves = [
        Curve(
            server,
            [
                (count, results.median(f"echo{count}", "cpu_us", server))
                for count in measured
                if server in results.servers(f"echo{count}")
            ],
        )
        # Those that have the longest lines.
        for server in results.servers(f"echo{measured[-1]}" if measured else "")
    ]
    if len(measured) < 2 or not curves:
        return None
    page = Page(
        WIDTH,
        TOP + PLOT + BELOW,
        "What a line costs, by the number of connections",
        "Server CPU for an echo of 64 bytes; less is better. Each connection has one line on its way.",
        machine,
    )
    x = Log(measured[0], measured[-1], LEFT, _right(curves))
    y = around((figure for curve in curves for _, figure in curve.points), TOP + PLOT, TOP)
    _draw(page, curves, x, y, measured, "connections")
    return page


def rates(results: Results, machine: str) -> Page | None:
    """The 99th percentile of the latency, by the rate at which lines come."""
    measured = [rate for rate in RATES if f"rate{rate}" in results.rounds]
    if len(measured) < 2:
        return None
    curves = []
    for server in results.servers(f"rate{measured[0]}"):
        points = list(_until_hopeless(results, server, measured))
        curves.append(Curve(server, points, leaves=points[-1][1] == HOPELESS))
    x = Linear(measured[-1], LEFT, _right(curves))
    top = TOP + GAP * max((flag.row for flag in _flags(curves, x)), default=0)
    page = Page(
        WIDTH,
        top + PLOT + BELOW,
        "Latency by the rate of requests",
        "99th percentile, from the moment each line was due; 50 connections. A line leaves the page"
        " where its server no longer keeps up.",
        machine,
    )
    figures = [figure for curve in curves for _, figure in curve.points]
    y = Log(around(figures, 0, 1).low, HOPELESS, top + PLOT, top)
    every = 10_000 if measured[-1] > 20_000 else 1_000
    _draw(page, curves, x, y, list(range(0, measured[-1] + 1, every)), "lines a second")
    return page


def _until_hopeless(results: Results, server: str, measured: list[int]) -> Iterator[tuple[float, float]]:
    """The points of a server's line, to where it leaves the page."""
    before: tuple[float, float] | None = None
    for rate in measured:
        if server not in results.servers(f"rate{rate}"):
            return
        figure = results.median(f"rate{rate}", "p99_us", server)
        if figure > HOPELESS:
            if before is None:
                yield rate, HOPELESS
            else:
                share = math.log(HOPELESS / before[1]) / math.log(figure / before[1])
                yield before[0] + share * (rate - before[0]), HOPELESS
            return
        before = rate, figure
        yield before


def _right(curves: list[Curve]) -> float:
    """Where the lines end, so that the names find room."""
    return WIDTH - 60 - CHARACTER * 1.05 * max(len(title(curve.server)) for curve in curves)


def _draw(page: Page, curves: list[Curve], x: Log | Linear, y: Log, ticks: list[int], unit: str) -> None:
    for tick in y.ticks():
        page.path([(LEFT, y(tick)), (x.end, y(tick))], "grid")
        page.text(LEFT - 8, y(tick) + 4, microseconds(tick), "dim", "end")
    for count in ticks:
        page.path([(x(count), y.end), (x(count), y.start)], "grid")
        page.text(x(count), y.start + 18, f"{count:,}", "dim", "middle")
    page.path([(LEFT, y.start), (x.end, y.start)], "axis")
    page.text((LEFT + x.end) / 2, y.start + 38, unit, "", "middle")
    page.text(20, y.end - 14, "CPU for a line" if unit == "connections" else "99 %")
    labels = []
    for curve in sorted(curves, key=lambda curve: family(curve.server) == "ours"):  # ours on top
        points = [(x(at), y(figure)) for at, figure in curve.points]
        page.path(points, line_class(curve.server))
        for point in points[:-1] if curve.leaves else points:
            page.dot(*point, 3 if family(curve.server) == "ours" else 2.2, family(curve.server))
        if not curve.leaves:
            labels.append((points[-1], Label(title(curve.server), _style(curve.server), points[-1][1])))
    for flag in _flags(curves, x):
        top = y.end - 12 - GAP * flag.row
        page.path([(flag.x, y.end), (flag.x, top - 8)], "lead")
        page.text(flag.x + 5, top, flag.text, flag.style)
    spread([label for _, label in labels], GAP, y.end, y.start)
    for (at, figure), label in labels:
        page.path([(at + 5, figure), (x.end + 12, label.place), (x.end + 22, label.place)], "lead")
        page.text(x.end + 27, label.place + 4, label.text, label.style)


def _flags(curves: list[Curve], x: Log | Linear) -> list[Flag]:
    """The names of those that leave the page, above it."""
    leaving = [curve for curve in curves if curve.leaves]
    return raise_flags(
        Flag(title(each.server), _style(each.server), x(each.points[-1][0])) for each in leaving
    )


def _style(server: str) -> str:
    return family(server) + (" strong" if family(server) == "ours" else "")
