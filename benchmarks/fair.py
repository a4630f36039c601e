"""One polite client beside four greedy ones: does the server let it wait?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.loadgen import read_result
from benchmarks.sample import Metric, Sample

if TYPE_CHECKING:
    from benchmarks.loadgen import Loadgen
    from benchmarks.server import Server

GREEDY_CONNECTIONS = 4
GREEDY_DEPTH = 2000
GREEDY_SECONDS = 0.9
POLITE_SECONDS = 0.5
START = 0.2
"""Seconds in which the greedy clients get going before the polite one counts."""

MEDIAN = Metric("polite_p50_us", "polite median, us")
TAIL = Metric("polite_p99_us", "polite 99th percentile, us")
GREEDY_RATE = Metric("greedy_rate", "greedy throughput, op/s", more_is_better=True)
METRICS = (MEDIAN, TAIL, GREEDY_RATE)


def measure_fair(loadgen: Loadgen, server: Server) -> Sample:
    """The latency of one connection with one line at a time, beside thousands of lines.

    A server that answers all it finds in one connection's buffer before it looks at the next one
    has a fine throughput, and makes the polite client wait for 8,000 lines. So both are reported.
    """
    greedy_seconds, polite_seconds = GREEDY_SECONDS * loadgen.pace, POLITE_SECONDS * loadgen.pace
    greedy = loadgen.start(
        "echo",
        server,
        connections=GREEDY_CONNECTIONS,
        depth=GREEDY_DEPTH,
        warm=START / 2,
        seconds=greedy_seconds,
    )
    with greedy:
        polite = loadgen.run("echo", server, warm=START, seconds=polite_seconds)
        pushed = read_result(greedy, greedy_seconds)
    figures = {
        MEDIAN.key: polite.p50_us,
        TAIL.key: polite.p99_us,
        GREEDY_RATE.key: pushed.operations / pushed.seconds,
    }
    extra = {"polite_max_us": polite.max_us, "polite_rate": polite.operations / polite.seconds}
    return Sample(figures, polite.errors + pushed.errors, extra)
