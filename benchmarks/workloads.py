"""Every workload by its name: what it is, how it is measured, what we want of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import fair, idle, load
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
    """Whom the targets are set against. Where that is not the usual one it is the only one that is measured:
    the others do not do this kind of work."""

    uses_up_server: bool = False
    """Each round needs a server of its own, because measuring ends it."""

    rounds_divisor: int = 1
    """Rounds of this one are longer, so it makes do with fewer."""

    round_seconds: float = 0.4
    """About what one server takes in one round: only to say how long it will all take."""

    def rounds(self, asked: int) -> int:
        """How many to measure; three at least, or there is no median to speak of."""
        return max(3, asked // self.rounds_divisor)


def _echo(name: str, connections: int, depth: int = 1, target: float | None = None) -> Workload:
    deep = f", {depth} lines at a time" if depth > 1 else ""
    return Workload(
        name=name,
        about=f"echo of 64-byte lines, {connections} connection{'s' * (connections > 1)}{deep}",
        metrics=load.METRICS,
        measure=load.measure_load("echo", connections=connections, depth=depth, bytes=64),
        targets={} if target is None else {load.CPU.key: target},
    )


def _udp(name: str, handler: str, *, mode: Mode, target: float) -> Workload:
    return Workload(
        name=name,
        about=f"echo of 64-byte datagrams, 8 sockets with 4 each; {handler}",
        metrics=load.METRICS,
        measure=load.measure_load("udp", connections=8, depth=4, bytes=64),
        mode=mode,
        targets={load.CPU.key: target},
        against="socketserver_udp",
    )


_ALL = (
    _echo("echo1", 1),
    _echo("echo50", 50, target=1.5),
    _echo("echo500", 500),
    _echo("pipe16", 50, depth=16, target=3.0),
    Workload(
        name="churn",
        about="connect, one line, close; 32 at a time",
        metrics=load.METRICS,
        measure=load.measure_load("churn", connections=32, bytes=64),
        targets={load.CPU.key: 2.5},
    ),
    Workload(
        name="churn1",
        about="connect, one line, close; one at a time",
        metrics=load.METRICS,
        measure=load.measure_load("churn", connections=1, bytes=64),
    ),
    Workload(
        name="bulk",
        about="one connection, chunks of 64 KiB; one op is a megabyte",
        metrics=load.METRICS,
        measure=load.measure_load("bulk", bytes=65536),
        mode="raw",
    ),
    _udp("udp", "a handler that is called in place", mode="udp", target=1.0),
    _udp("udptask", "a task for each", mode="udptask", target=1 / 2.5),
    Workload(
        name="idle",
        about=f"{idle.CONNECTIONS:,} connections that have each exchanged a line",
        metrics=idle.METRICS,
        measure=idle.measure_idle,
        targets={idle.MEMORY.key: 1.0, idle.SHUTDOWN.key: 1.0},
        uses_up_server=True,
        rounds_divisor=4,
        round_seconds=2.0,
    ),
    Workload(
        name="fair",
        about=f"one client beside {fair.GREEDY_CONNECTIONS} with {fair.GREEDY_DEPTH:,} lines each",
        metrics=fair.METRICS,
        measure=fair.measure_fair,
        rounds_divisor=4,
        round_seconds=1.2,
    ),
)

WORKLOADS = {workload.name: workload for workload in _ALL}
