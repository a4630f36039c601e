"""Servers at work: processor time for each operation, and operations a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.child import BenchmarkError
from benchmarks.sample import Metric, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.loadgen import Loadgen
    from benchmarks.server import Server

# A quarter of a second is many thousand operations, and short enough that the speed of a shared
# machine, which drifts within seconds, is the same for all sides of one round.
WARM = 0.06
WINDOW = 0.25

CPU = Metric("cpu_us", "server CPU, us/op")
RATE = Metric("rate", "throughput, op/s", more_is_better=True)
P50 = Metric("p50_us", "median latency, us")
P99 = Metric("p99_us", "99th percentile, us")
METRICS = (CPU, RATE)
PERCENTILES = ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")


def measure_load(
    mode: str, *, warm: float = WARM, window: float = WINDOW, **options: float
) -> Callable[[Loadgen, Server], Sample]:
    """How to measure one round of the load generator's *mode* with these *options*."""

    def measure(loadgen: Loadgen, server: Server) -> Sample:
        seconds = window * loadgen.pace
        result = loadgen.run(mode, server, warm=warm, seconds=seconds, **options)
        if not result.operations:
            raise BenchmarkError(
                f"{server.name}: not one operation of {mode} in {seconds:g} s, {result.errors} error(s)"
            )
        figures = {
            CPU.key: result.server_cpu / result.operations * 1e6,
            RATE.key: result.operations / result.seconds,
            P50.key: result.p50_us,
            P99.key: result.p99_us,
        }
        extra = {
            "client_busy": result.client_cpu / result.seconds,
            "server_busy": result.server_cpu / result.seconds,
        }
        if mode != "bulk":  # a stream of bytes has no single reply to wait for
            extra |= {name: getattr(result, name) for name in PERCENTILES}
        return Sample(figures, result.errors, extra)

    return measure
