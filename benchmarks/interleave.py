"""Rounds in random order, all servers up at once: noise hits every side alike.

The speed of a shared machine changes by factors within seconds. So figures are only compared
within a round, whose sides are measured within a second of each other, and the order is drawn anew
each time, so that none of them always comes after the one that heats the caches.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.child import BenchmarkError
from benchmarks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.loadgen import Loadgen
    from benchmarks.machine import Cpus
    from benchmarks.progress import Progress
    from benchmarks.standing import Standing
    from benchmarks.workload import Workload

Rounds = list[dict[str, Sample]]
"""For each round, the sample of each side."""

SPIN_SLACK = 60.0
"""Seconds beyond what a workload should take in which its spinners still run, unless they are ended."""


@dataclass
class Bench:
    """What all workloads share.

    Attributes:
      failures: Where it is given, a side that fails is entered and left out from then on; else that is the
        end of the measurement.
    """

    loadgen: Loadgen
    cpus: Cpus
    standing: Standing
    progress: Progress
    failures: list[str] | None = None


def run_rounds(
    workload: Workload, sides: Mapping[str, str], rounds: int, bench: Bench, until: float = math.inf
) -> Rounds:
    """Measure *workload* on all *sides*, which maps labels to names of ``benchmarks.peers``.

    Args:
      workload: What to do to them.
      sides: Who takes part.
      rounds: How often at most.
      bench: What all workloads share.
      until: The time of `time.monotonic` from which on no other round begins, but for the first.

    Raises:
      BenchmarkError: A side failed, and there is no list of failures.
    """
    results: Rounds = []
    left = dict(sides)
    with ExitStack() as stack:
        if workload.spins:
            seconds = rounds * len(sides) * workload.round_seconds + SPIN_SLACK
            for cpu in bench.cpus:
                stack.enter_context(bench.loadgen.spin(cpu, seconds))
        for number in range(1, rounds + 1):
            if results and time.monotonic() > until:
                break
            samples = {}
            for label in random.sample(list(left), len(left)):
                what = f"{workload.name}, round {number} of {rounds}: {label}"
                bench.progress.step(what, workload.seconds(bench.loadgen.pace))
                try:
                    samples[label] = _measure_or_try_again(workload, left[label], bench)
                except BenchmarkError as error:
                    if bench.failures is None:
                        raise
                    why = str(error).splitlines()[-1]  # what a traceback ends with
                    bench.failures.append(f"{workload.name}: {label} left out: {why}")
                    bench.standing.discard(left.pop(label))
            results.append(samples)
    return [{label: samples[label] for label in left} for samples in results]


def _measure_or_try_again(workload: Workload, name: str, bench: Bench) -> Sample:
    """Where failures are collected, one in which the machine looked away for a moment does not count."""
    if bench.failures is not None:
        with contextlib.suppress(BenchmarkError):
            return _measure(workload, name, bench)
        bench.standing.discard(name)
    return _measure(workload, name, bench)


def _measure(workload: Workload, name: str, bench: Bench) -> Sample:
    """One round of one side."""
    if workload.uses_up_server:
        with bench.standing.start(name, workload.mode) as server:
            return workload.measure(bench.loadgen, server)
    server = bench.standing.get(name, workload.mode)
    sample = workload.measure(bench.loadgen, server)
    server.quiesce()
    return sample
