"""From samples to ratios, and from ratios to a table or JSON."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.interleave import Rounds
    from benchmarks.sample import Metric
    from benchmarks.workload import Workload

OURS = "ours"
"""The label of the side that all others are compared with."""

TARGETS_ARE_AGAINST = "trio_serve_tcp"
"""Unless a workload says otherwise."""

_COLUMNS = "{:<9}{:<28}{:>11}{:>11}   {:>7}  {:<14}{}"


@dataclass(frozen=True)
class Quartiles:
    """A median, and the range in which the middle half of the figures lies."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Quartiles:
        figures = list(values)
        if len(figures) == 1:
            return cls(*figures * 3)
        return cls(*statistics.quantiles(figures, n=4, method="inclusive"))


@dataclass(frozen=True)
class Row:
    """One metric of one workload, ours against one other server.

    The ratio is the median of the ratios of each round, not the ratio of the two medians: the sides
    of one round had the same machine, those of different rounds had not.
    """

    workload: str
    metric: str
    label: str
    peer: str
    theirs: Quartiles
    ours: Quartiles
    ratio: Quartiles
    target: float | None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return f"{'ok' if self.ratio.median >= self.target else 'MISSED'}, want {self.target:g}"

    def __str__(self) -> str:
        spread = f"{self.ratio.low:.2f}..{self.ratio.high:.2f}"
        theirs, ours = short(self.theirs.median), short(self.ours.median)
        ratio = f"{self.ratio.median:.2f}"
        line = _COLUMNS.format(self.workload, self.label, theirs, ours, ratio, spread, self.verdict)
        return line.rstrip()


def header(peer: str, subject: str) -> str:
    """The head of a table of rows against one *peer*."""
    titles = ("workload", "median of", "theirs", "ours", "ratio", "quartiles", "target")
    headline = f"{subject} against {peer} (ratio over 1: {subject} is better)"
    return f"{headline}\n{_COLUMNS.format(*titles)}"


def rows(workload: Workload, rounds: Rounds) -> Iterator[Row]:
    """Compare our side with each of the others, peer by peer."""
    for peer in rounds[0]:
        if peer == OURS:
            continue
        for metric in workload.metrics:
            target = workload.targets.get(metric.key) if peer == workload.against else None
            yield _row(workload.name, metric, peer, rounds, target)


def _row(workload: str, metric: Metric, peer: str, rounds: Rounds, target: float | None) -> Row:
    theirs = [samples[peer].figures[metric.key] for samples in rounds]
    ours = [samples[OURS].figures[metric.key] for samples in rounds]
    return Row(
        workload=workload,
        metric=metric.key,
        label=metric.label,
        peer=peer,
        theirs=Quartiles.of(theirs),
        ours=Quartiles.of(ours),
        ratio=Quartiles.of(map(metric.ratio, ours, theirs)),
        target=target,
    )


def count_errors(rounds: Rounds) -> dict[str, int]:
    """What went wrong on each side: a figure beside an error is worth nothing."""
    labels = rounds[0]
    return {label: sum(samples[label].errors for samples in rounds) for label in labels}


def as_json(
    machine: dict[str, str], sides: dict[str, str], table: Sequence[Row], raw: dict[str, Rounds]
) -> dict[str, Any]:
    """Everything, the single samples too, so that a plot needs no second run."""
    rounds = {
        name: [{label: asdict(sample) for label, sample in samples.items()} for samples in rounds]
        for name, rounds in raw.items()
    }
    rows = [asdict(row) for row in table]
    return {"machine": machine, "sides": sides, "rows": rows, "rounds": rounds}


def short(value: float) -> str:
    """Three figures that mean something, thousands apart."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
