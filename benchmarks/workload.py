"""What one workload is; the table of them is in ``workloads``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.load import WINDOW
from benchmarks.report import TARGETS_ARE_AGAINST

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.loadgen import Loadgen
    from benchmarks.sample import Metric, Sample
    from benchmarks.server import Mode, Server


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is done to each server in each round."""

    name: str
    about: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Loadgen, Server], Sample]

    mode: Mode = "line"

    targets: dict[str, float] = field(default_factory=dict)
    """The ratios that we want against `against`, by metric."""

    against: str = TARGETS_ARE_AGAINST
    """Whom the targets are set against, and who is measured unless others are asked for."""

    uses_up_server: bool = False
    """Each round needs a server of its own, because measuring ends it."""

    spins: bool = False
    """Both CPUs are kept awake meanwhile. With one line on its way they would fall asleep after each, and
    what a virtual machine takes to wake them up would be most of what is measured."""

    rounds_divisor: int = 1
    """Rounds of this one are longer, so it makes do with fewer."""

    round_seconds: float = 0.4
    """About what one server takes in one round: only to say how long it will all take."""

    def seconds(self, pace: float) -> float:
        """The same where windows are *pace* times as long as usual."""
        return self.round_seconds - WINDOW * (1 - pace)

    def rounds(self, asked: int) -> int:
        """How many to measure; three at least, or there is no median to speak of."""
        return max(3, asked // self.rounds_divisor)
