"""What a measurement yields."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metric:
    """One figure that a workload has for each server.

    Every ratio is turned so that more than 1 means "ours is better", whichever way it counts.
    """

    key: str
    label: str
    more_is_better: bool = False

    def ratio(self, ours: float, theirs: float) -> float:
        better, worse = (ours, theirs) if self.more_is_better else (theirs, ours)
        return better / worse if worse else float("inf")


@dataclass(frozen=True)
class Sample:
    """The figures of one server in one round, by the keys of the workload's metrics."""

    figures: dict[str, float]
    errors: int = 0
    extra: dict[str, float] = field(default_factory=dict)
    """Not compared, only kept: latencies, the load generator's own processor time."""
