"""Everything that one run measured: kept as JSON, so that documents and plots need no second run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.report import Quartiles
from benchmarks.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.interleave import Rounds
    from benchmarks.sample import Metric


@dataclass
class Results:
    """The rounds of each workload.

    Attributes:
      machine: What was measured on, and with which versions.
      rounds: By the name of the workload; labels are the names of the servers.
      left_out: Sentences on what was not measured, and why.
      quick: Whether it was the short run, which is too short for figures to keep.
    """

    machine: dict[str, str]
    rounds: dict[str, Rounds] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    quick: bool = False

    def servers(self, workload: str) -> list[str]:
        """Who took part, in the order of the plan."""
        rounds = self.rounds.get(workload)
        return list(rounds[0]) if rounds else []

    def figures(self, workload: str, key: str, server: str) -> list[float]:
        """One figure of each round, which may also be one of those that are only kept."""
        samples = [samples[server] for samples in self.rounds[workload]]
        return [{**sample.extra, **sample.figures}[key] for sample in samples]

    def median(self, workload: str, key: str, server: str) -> float:
        """Its median."""
        return Quartiles.of(self.figures(workload, key, server)).median

    def ratio(self, workload: str, metric: Metric, ours: str, theirs: str) -> Quartiles | None:
        """How much better *ours* is, round by round; ``None`` if one of them was not measured."""
        if not {ours, theirs} <= set(self.servers(workload)):
            return None
        pairs = zip(
            self.figures(workload, metric.key, ours),
            self.figures(workload, metric.key, theirs),
            strict=True,
        )
        return Quartiles.of(metric.ratio(*pair) for pair in pairs)

    def errors(self) -> list[str]:
        """A sentence for each server that made errors: a figure beside one is worth nothing."""
        return [
            f"{workload}: {server} made {count} error(s): do not trust its figures"
            for workload, rounds in self.rounds.items()
            for server in self.servers(workload)
            if (count := sum(samples[server].errors for samples in rounds))
        ]

    def save(self, path: Path) -> None:
        """Write all of it."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` has written."""
        raw: dict[str, Any] = json.loads(path.read_text())
        rounds = raw.pop("rounds")
        decoded = {
            name: [{server: Sample(**sample) for server, sample in samples.items()} for samples in each]
            for name, each in rounds.items()
        }
        return cls(rounds=decoded, **raw)
