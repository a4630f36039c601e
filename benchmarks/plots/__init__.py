"""Plots of the results as SVG, drawn by hand: readable in light and dark, named where the lines are.

- ``svg``: a page, its styles, labels that do not overlap.
- ``axes``: logarithmic axes.
- ``ratios``, ``curves``, ``latencies``: the plots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.plots.curves import connections, rates
from benchmarks.plots.latencies import latencies
from benchmarks.plots.ratios import ratios

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.plots.svg import Page
    from benchmarks.results import Results


def draw(results: Results) -> dict[str, Page]:
    """Every plot that there are figures for, by the end of its file's name."""
    machine = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    pages = {
        "ratio": ratios(results, "trioserver", machine),
        "ratio-plain": ratios(results, "trioserver_callbacks", machine),
        "connections": connections(results, machine),
        "latency": latencies(results, machine),
        "rate": rates(results, machine),
    }
    return {name: page for name, page in pages.items() if page is not None}


def write_files(results: Results, folder: Path) -> None:
    """Write ``performance-NAME.svg`` for each of them."""
    for name, page in draw(results).items():
        (folder / f"performance-{name}.svg").write_text(str(page))
