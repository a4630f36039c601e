"""Rounds in random order, all servers up at once: noise hits every side alike.

The speed of a shared machine changes by factors within seconds. So figures are only compared
within a round, whose sides are measured within a second of each other, and the order is drawn anew
each time, so that none of them always comes after the one that heats the caches.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.sample import Sample
from benchmarks.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.loadgen import Loadgen
    from benchmarks.progress import Progress
    from benchmarks.workloads import Workload

Rounds = list[dict[str, Sample]]
"""For each round, the sample of each side."""


def run_rounds(
    workload: Workload,
    sides: Mapping[str, str],
    *,
    rounds: int,
    loadgen: Loadgen,
    server_cpu: int,
    progress: Progress,
) -> Rounds:
    """Measure *workload* on all *sides*, which maps labels to names of ``peers.py``."""

    def start(label: str) -> Server:
        return Server(sides[label], workload.mode, cpu=server_cpu)

    results: Rounds = []
    with ExitStack() as stack:
        # A server without clients costs nothing, so all of them stay up beside the measured one.
        standing: dict[str, Server] = {}
        if not workload.uses_up_server:
            standing = {label: stack.enter_context(start(label)) for label in sides}
        for number in range(1, rounds + 1):
            samples = {}
            for label in random.sample(list(sides), len(sides)):
                what = f"{workload.name}, round {number} of {rounds}: {label}"
                progress.step(what, workload.round_seconds)
                if workload.uses_up_server:
                    with start(label) as server:
                        samples[label] = workload.measure(loadgen, server)
                else:
                    samples[label] = workload.measure(loadgen, standing[label])
                    standing[label].quiesce()
            results.append({label: samples[label] for label in sides})
    return results
