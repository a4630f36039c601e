"""Every workload by its name: what it is, how it is measured, what we want of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import fair, idle, load, memory
from benchmarks.workload import Workload

if TYPE_CHECKING:
    from benchmarks.server import Mode

RATES = (1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000)
"""Lines a second, of which `rate...` has a workload each."""


def _echo(
    name: str,
    connections: int,
    depth: int = 1,
    target: float | None = None,
    seconds: float = Workload.round_seconds,
) -> Workload:
    deep = f", {depth} lines at a time" if depth > 1 else ""
    return Workload(
        name=name,
        about=f"echo of 64-byte lines, {connections} connection{'s' * (connections > 1)}{deep}",
        metrics=load.METRICS,
        measure=load.measure_load("echo", connections=connections, depth=depth, bytes=64),
        spins=connections == 1,
        targets={} if target is None else {load.CPU.key: target},
        round_seconds=seconds,
    )


def _ping(name: str, connections: int, depth: int = 1) -> Workload:
    deep = f", {depth} at a time" if depth > 1 else ""
    return Workload(
        name=name,
        about=f"PING as redis has it, {connections} connection{'s' * (connections > 1)}{deep}",
        metrics=load.METRICS,
        measure=load.measure_load("echo", connections=connections, depth=depth, ping=1),
        spins=connections == 1,
        mode="ping",
        against="redis",
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


def _idle(name: str, connections: int) -> Workload:
    return Workload(
        name=name,
        about=f"{connections:,} connections that have each exchanged a line",
        metrics=idle.METRICS,
        measure=idle.measure_idle(connections),
        targets={idle.MEMORY.key: 1.0, idle.SHUTDOWN.key: 1.0},
        uses_up_server=True,
        rounds_divisor=4,
        round_seconds=connections / 1000,
    )


def _rate(rate: int) -> Workload:
    return Workload(
        name=f"rate{rate}",
        about=f"{rate:,} lines a second on 50 connections, answered or not",
        metrics=(load.CPU, load.P50, load.P99),
        measure=load.measure_load("rate", connections=50, bytes=64, rate=rate, warm=0.1, window=0.5),
        round_seconds=0.8,
    )


def _growth(name: str, about: str, growth: memory.Growth) -> Workload:
    return Workload(
        name=name,
        about=f"memory from {growth.first:,} {about} to {growth.last:,}",
        metrics=(memory.GROWTH,),
        measure=growth.measure,
        uses_up_server=True,
        rounds_divisor=100,
        round_seconds=20.0,
    )


_ALL = (
    _echo("echo1", 1, target=1.1),
    _echo("echo10", 10),
    _echo("echo50", 50, target=2.4),
    # Slower servers than ours take seconds to accept so many, and to digest their end.
    _echo("echo500", 500, target=2.5, seconds=1.1),
    _echo("echo2000", 2000, target=2.5, seconds=1.8),
    _echo("echo10000", 10_000, seconds=6.0),
    _echo("pipe16", 50, depth=16, target=8.0),
    Workload(
        name="churn",
        about="connect, one line, close; 32 at a time",
        metrics=load.METRICS,
        measure=load.measure_load("churn", connections=32, bytes=64),
        targets={load.CPU.key: 2.8},
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
        targets={load.CPU.key: 2.4},
    ),
    _ping("ping1", 1),
    _ping("ping50", 50),
    _ping("ping16", 50, depth=16),
    Workload(
        name="tls50",
        about="echo of 64-byte lines through TLS, 50 connections",
        metrics=load.METRICS,
        measure=load.measure_load("echo", connections=50, bytes=64, tls=1),
        mode="tls",
    ),
    _udp("udp", "a handler that is called in place", mode="udp", target=1.0),
    _udp("udptask", "a task for each", mode="udptask", target=1 / 2.5),
    _idle("idle", 2000),
    _idle("idle10k", 10_000),
    Workload(
        name="fair",
        about=f"one client beside {fair.GREEDY_CONNECTIONS} with {fair.GREEDY_DEPTH:,} lines each",
        metrics=fair.METRICS,
        measure=fair.measure_fair,
        rounds_divisor=4,
        round_seconds=1.2,
    ),
    *map(_rate, RATES),
    Workload(
        name="workers",
        about="50 connections, 0.3 ms of work for each line, on both CPUs",
        metrics=(load.RATE,),
        measure=load.measure_load("echo", connections=50, bytes=64, warm=0.3, window=0.7),
        mode="work",
        targets={load.RATE.key: 1.6},
        against="trioserver_one_worker",
        round_seconds=1.1,
    ),
    _growth("grow", "lines", memory.Growth("echo", 100_000, 1_000_000, connections=50, depth=16, bytes=64)),
    _growth("growchurn", "connections", memory.Growth("churn", 10_000, 100_000, connections=32, bytes=64)),
)

WORKLOADS = {workload.name: workload for workload in _ALL}
USUAL = ("echo1", "echo50", "echo500", "pipe16", "churn", "churn1", "bulk", "udp", "udptask", "idle", "fair")
"""Those that are measured unless others are asked for."""
