"""What the project asks of itself: ratios that are to be reached, and bounds that are to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import fair, idle, load, memory
from benchmarks.names import title
from benchmarks.report import TARGETS_ARE_AGAINST, Quartiles
from benchmarks.suite import COLUMNS
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.results import Results
    from benchmarks.sample import Metric

ASYNC, PLAIN = "trioserver", "trioserver_callbacks"

RATIOS: dict[tuple[str, str], tuple[float | None, ...]] = {
    # By ours and theirs: for each of suite.COLUMNS, in processor time for each operation.
    (ASYNC, TARGETS_ARE_AGAINST): tuple(WORKLOADS[name].targets[load.CPU.key] for name in COLUMNS),
    (ASYNC, "asyncio_streams"): (1.0, 1.5, 1.4, 1.4, 3.5, 1.6, 2.8),
    (ASYNC, "uvloop_streams"): (0.85, 1.1, 1.1, 1.1, 3.5, 1.4, 3),
    (ASYNC, "asyncio_protocol"): (0.8, 0.95, 0.95, 0.95, 2.8, 1.2, 0.8),
    (PLAIN, "uvloop_protocol"): (0.95, 1.0, 1.2, 1.2, 1.0, 1.25, None),
    (PLAIN, "bare_epoll"): (0.85, 0.85, 0.95, 0.95, 0.9, 0.9, None),
}


@dataclass(frozen=True)
class Floor:
    """A ratio that is to be reached."""

    workload: str
    metric: Metric
    ours: str
    theirs: str
    wanted: float


@dataclass(frozen=True)
class Bound:
    """A figure of ours that is not to be exceeded."""

    workload: str
    metric: Metric
    ours: str
    most: float


FLOORS = [
    Floor(workload, load.CPU, ours, theirs, wanted)
    for (ours, theirs), row in RATIOS.items()
    for workload, wanted in zip(COLUMNS, row, strict=True)
    if wanted is not None
] + [
    Floor("udp", load.CPU, ASYNC, "socketserver_udp", 1.0),
    Floor("tls50", load.CPU, ASYNC, "asyncio_streams", 1.0),
    Floor("workers", load.RATE, "trioserver_two_workers", "trioserver_one_worker", 1.6),
]
BOUNDS = [
    Bound(workload, metric, ours, most)
    for workload, metric, most in (
        ("fair", fair.MEDIAN, 1000.0),
        ("idle10k", idle.MEMORY, 4.0),
        ("idle10k", idle.SHUTDOWN, 1000.0),
        ("grow", memory.GROWTH, 512.0),
        ("growchurn", memory.GROWTH, 512.0),
    )
    for ours in (ASYNC, PLAIN)
]


@dataclass(frozen=True)
class Verdict:
    """One of them, and what was measured."""

    ours: str
    against: str
    workload: str
    what: str
    wanted: str
    measured: Quartiles
    met: bool


def verdicts(results: Results) -> Iterator[Verdict]:
    """All those whose servers were measured."""
    for floor in FLOORS:
        ratio = results.ratio(floor.workload, floor.metric, floor.ours, floor.theirs)
        if ratio is not None:
            yield Verdict(
                ours=title(floor.ours),
                against=title(floor.theirs),
                workload=floor.workload,
                what=floor.metric.label.partition(",")[0],
                wanted=f"{floor.wanted:g}",
                measured=ratio,
                met=ratio.median >= floor.wanted,
            )
    for bound in BOUNDS:
        if bound.ours in results.servers(bound.workload):
            figures = Quartiles.of(results.figures(bound.workload, bound.metric.key, bound.ours))
            yield Verdict(
                ours=title(bound.ours),
                against="",
                workload=bound.workload,
                what=bound.metric.label,
                wanted=f"at most {bound.most:,g}",
                measured=figures,
                met=figures.median <= bound.most,
            )
