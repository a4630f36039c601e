"""Latency while as much is asked as is answered: how long one waits for five hundred others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.names import title
from benchmarks.plots.axes import around, microseconds
from benchmarks.plots.svg import Page, family

if TYPE_CHECKING:
    from benchmarks.results import Results

WIDTH = 960.0
NAMES = 196.0
TOP = 80.0
ROW = 26.0
WORKLOAD = "echo500"
RADII = {"p50_us": 5.0, "p90_us": 3.2, "p99_us": 3.2, "p999_us": 2.2}
"""Of the percentiles' dots, in pixels."""


def latencies(results: Results, machine: str) -> Page | None:
    """A row for each server, from its median to its 99.9th percentile."""
    servers = sorted(results.servers(WORKLOAD), key=lambda each: results.median(WORKLOAD, "p50_us", each))
    if not servers:
        return None
    table = {server: [results.median(WORKLOAD, key, server) for key in RADII] for server in servers}
    bottom = TOP + ROW * len(servers)
    page = Page(
        WIDTH,
        bottom + 84,
        "Latency under full load",
        "500 connections, each with one line on its way all the time: the large dot is the"
        " median, then come 90 %, 99 % and 99.9 %.",
        machine,
    )
    axis = around((figure for figures in table.values() for figure in figures), NAMES, WIDTH - 40)
    for tick in axis.ticks():
        page.path([(axis(tick), TOP - 8), (axis(tick), bottom)], "grid")
        page.text(axis(tick), bottom + 18, microseconds(tick), "dim", "middle")
    page.text((NAMES + axis.end) / 2, bottom + 38, "latency", "", "middle")
    for row, server in enumerate(servers):
        y = TOP + ROW * row + 10
        colour = family(server)
        page.text(NAMES - 16, y + 4, title(server), f"{colour}{' strong' if colour == 'ours' else ''}", "end")
        places = [axis(figure) for figure in table[server]]
        page.path([(places[0], y), (places[-1], y)], f"line {colour}")
        for x, radius in zip(places, RADII.values(), strict=True):
            page.dot(x, y, radius, colour)
    return page
