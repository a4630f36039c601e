"""What the tests of the benchmarks share: the checkout on the path, and results that nobody measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# At the end: when the wheel is tested, everything but the benchmarks has to come from there.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import suite
from benchmarks.results import Results
from benchmarks.sample import Sample

if TYPE_CHECKING:
    from benchmarks.interleave import Rounds

COST = {"trioserver_callbacks": 10.0, "trioserver": 20.0, "bare_epoll": 10.0, "trio_serve_tcp": 50.0}


def invent(workload: str, server: str, number: int) -> Sample:
    """A sample of round *number*: each round is slower than the one before, for all alike."""
    cost = COST.get(server, 30.0) * (1 + number / 10)
    load = 0 if not workload.startswith("rate") else int(workload[4:]) * cost / 1e6
    latency = 100.0 if load < 1 else 1e5
    figures = {"cpu_us": cost, "rate": 1e6 / cost, "p50_us": latency, "p99_us": 3 * latency}
    figures |= {"kib_per_connection": cost / 10, "shutdown_ms": cost, "growth_kib": 0.0}
    figures |= {"polite_p50_us": cost, "polite_p99_us": cost, "greedy_rate": 1e6 / cost}
    return Sample(figures, 0, {"p90_us": 2 * latency, "p999_us": 4 * latency})


def rounds_of(workload: str, servers: tuple[str, ...], count: int) -> Rounds:
    """The rounds of one workload."""
    return [{server: invent(workload, server, number) for server in servers} for number in range(count)]


@pytest.fixture
def results() -> Results:
    """A whole run."""
    rounds = {
        stage.workload.name: rounds_of(stage.workload.name, stage.servers, stage.rounds)
        for stage in suite.plan(quick=False, rounds=None)
    }
    return Results({"cpu": "Abacus", "python": "CPython 3.11"}, rounds)
