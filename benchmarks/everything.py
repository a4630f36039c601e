"""One run of the whole suite, from which the documents are made."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import loadgen, machine, suite
from benchmarks.interleave import Bench, run_rounds
from benchmarks.progress import Progress
from benchmarks.results import Results
from benchmarks.standing import Standing


def measure_everything(quick: bool = False, rounds: int | None = None) -> Results:
    """Measure every stage, one after the other, with at most so many *rounds* of each.

    A server that fails is left out of the rest of its stage, with a sentence in `Results.left_out`: after
    twenty minutes the others' figures should not be lost.

    Raises:
      BenchmarkError: Nothing can be measured here at all.
    """
    stages, left_out = suite.available(suite.plan(quick, rounds))
    results = Results(machine.describe(), left_out=left_out, quick=quick)
    pace = suite.QUICK_PACE if quick else 1.0
    planned = [stage.seconds(pace) for stage in stages]
    progress = Progress(sum(planned))
    ends = time.monotonic() + (suite.QUICK_BUDGET if quick else suite.FULL_BUDGET)
    cpus = machine.choose_cpus()
    with tempfile.TemporaryDirectory() as folder, Standing(cpus) as standing:
        generator = loadgen.Loadgen(loadgen.build(Path(folder)), cpus.loadgen, pace)
        bench = Bench(generator, cpus, standing, progress, failures=results.left_out)
        try:
            for place, stage in enumerate(stages):
                progress.begin(f"{stage.workload.name}: {stage.workload.about}")
                now = time.monotonic()
                share = planned[place] / sum(planned[place:])  # of the time that is left
                measured = run_rounds(
                    stage.workload,
                    {name: name for name in stage.servers},
                    stage.rounds,
                    bench,
                    until=now + (ends - now) * share,
                )
                progress.reach(sum(planned[: place + 1]))
                if measured[0]:
                    results.rounds[stage.workload.name] = measured
        finally:
            progress.clear()
    return results
