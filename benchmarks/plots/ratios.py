"""How one of ours compares: a row for each of the others, a column for each workload."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.names import is_ours, title
from benchmarks.plots.axes import Log
from benchmarks.plots.svg import Page
from benchmarks.suite import COLUMNS

if TYPE_CHECKING:
    from benchmarks.report import Quartiles
    from benchmarks.results import Results

NAMES = 176.0
"""The width of the rows' names, on the left."""
COLUMN = 136.0
BAR_WIDTH = 90.0
TOP = 112.0
ROW = 24.0

HEADS = {
    "echo1": ("1 connection", "a line at a time"),
    "echo50": ("50 connections", "a line at a time"),
    "echo500": ("500 connections", "a line at a time"),
    "echo2000": ("2,000 connections", "a line at a time"),
    "pipe16": ("pipelining", "16 lines at a time"),
    "churn": ("short-lived", "connect, line, close"),
    "bulk": ("bulk", "64 KiB at a time"),
}


def ratios(results: Results, ours: str, machine: str) -> Page | None:
    """Bars from 1, to the right where ours is cheaper, with the figures beside."""
    columns = [name for name in COLUMNS if ours in results.servers(name)]
    servers = dict.fromkeys(
        server for name in columns for server in results.servers(name) if not is_ours(server)
    )
    if not columns or not servers:
        return None
    table = {
        (server, name): results.ratio(name, load.CPU, ours, server) for server in servers for name in columns
    }
    figures = [ratio.median for ratio in table.values() if ratio is not None]
    # The same to both sides of 1 looks like the same; and a few more octaves to the right.
    low = 2.0 ** math.floor(math.log2(min(0.5, *figures)))
    high = 2.0 ** math.ceil(math.log2(max(2.0, *figures)))
    bottom = TOP + ROW * len(servers)
    page = Page(
        NAMES + COLUMN * len(columns) + 16,
        bottom + 62,
        f"{title(ours)}: how much less CPU an operation costs than with others",
        "Ratio of server CPU, median and quartiles; to the right and more than 1: ours is cheaper.",
        machine,
    )
    for place, name in enumerate(columns):
        left = NAMES + COLUMN * place
        axis = Log(low, high, left, left + BAR_WIDTH)
        head, below = HEADS[name]
        page.text(left, TOP - 36, head, "strong")
        page.text(left, TOP - 21, below, "dim small")
        for tick in (low, 1.0, high) if low < 0.5 else (1.0, high):  # room for the label
            page.text(axis(tick), bottom + 14, f"{tick:g}", "dim small", "middle")
        for row, server in enumerate(servers):
            _cell(page, axis, TOP + ROW * row, table[server, name])
        page.path([(axis(1), TOP - 8), (axis(1), bottom)], "axis")
    for row, server in enumerate(servers):
        page.text(NAMES - 14, TOP + ROW * row + 12, title(server), "", "end")
    return page


def _cell(page: Page, axis: Log, y: float, ratio: Quartiles | None) -> None:
    if ratio is None:
        page.text(axis.end + 10, y + 12, "-", "dim")
        return
    one, end = axis(1), axis(ratio.median)
    page.bar(min(one, end), y + 2, abs(end - one), 12, "better" if end >= one else "worse")
    page.path([(axis(ratio.low), y + 8), (axis(ratio.high), y + 8)], "whisker")
    page.text(
        axis.end + 36,
        y + 12,
        f"{ratio.median:.2f}" if ratio.median < 9.95 else f"{ratio.median:.1f}",
        "",
        "end",
    )
