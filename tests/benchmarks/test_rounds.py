"""Rounds: who is measured how often, and what becomes of those that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from benchmarks.child import BenchmarkError
from benchmarks.interleave import Bench, run_rounds
from benchmarks.progress import Progress
from benchmarks.sample import Metric, Sample
from benchmarks.workload import Workload

if TYPE_CHECKING:
    from benchmarks.loadgen import Loadgen
    from benchmarks.server import Server

COST = Metric("cost", "cost")


class Standing:
    """Servers that are only names."""

    def __init__(self) -> None:
        self.discarded: list[str] = []

    def get(self, name: str, mode: str) -> Standing:
        self.name = name
        return self

    def quiesce(self) -> None:
        """It is quiet."""

    def discard(self, name: str) -> None:
        self.discarded.append(name)


class FakeLoadgen:
    pace = 1.0


def bench(failures: list[str] | None = None) -> Bench:
    return Bench(
        cast("Any", FakeLoadgen()), cast("Any", (0, 1)), cast("Any", Standing()), Progress(1.0), failures
    )


def workload(*failing: str) -> Workload:
    """One whose measurements are done at once; each in *failing* fails so often."""
    left = list(failing)

    def measure(loadgen: Loadgen, server: Server) -> Sample:
        if server.name in left:
            left.remove(server.name)
            raise BenchmarkError("it broke\nfor a reason")
        return Sample({"cost": 1.0})

    return Workload(name="work", about="", metrics=(COST,), measure=measure)


SIDES = {"ours": "trioserver", "theirs": "gevent"}


def test_every_side_is_measured_in_every_round() -> None:
    """In the order of the sides, whatever the order in which it was done."""
    rounds = run_rounds(workload(), SIDES, 3, bench())
    assert [list(samples) for samples in rounds] == [["ours", "theirs"]] * 3


def test_a_failure_ends_the_measurement() -> None:
    """Unless failures are collected."""
    with pytest.raises(BenchmarkError, match="it broke"):
        run_rounds(workload("gevent"), SIDES, 3, bench())


def test_a_side_that_fails_once_is_measured_again() -> None:
    """With a new server, and nothing is said: the machine looked away."""
    shared = bench([])
    rounds = run_rounds(workload("gevent"), SIDES, 3, shared)
    assert [list(samples) for samples in rounds] == [["ours", "theirs"]] * 3
    assert shared.failures == []


def test_a_side_that_fails_twice_is_left_out_and_the_others_are_kept() -> None:
    """Of the rounds before, too, since ratios are made within one round."""
    shared = bench([])
    rounds = run_rounds(workload("gevent", "gevent"), SIDES, 3, shared)
    assert [list(samples) for samples in rounds] == [["ours"]] * 3
    assert shared.failures == ["work: theirs left out: for a reason"]


def test_when_the_time_is_over_no_other_round_begins() -> None:
    """But the first is always measured."""
    assert len(run_rounds(workload(), SIDES, 3, bench(), until=0.0)) == 1
