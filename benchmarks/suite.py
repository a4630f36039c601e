"""What ``--all`` measures: which workloads, with which servers, how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.peers import PEERS
from benchmarks.workloads import RATES, WORKLOADS

if TYPE_CHECKING:
    from benchmarks.workload import Workload

OURS = ("trioserver", "trioserver_callbacks", "trioserver_portable")
THEIRS = (
    "trio_serve_tcp",
    "anyio_trio",
    "asyncio_streams",
    "uvloop_streams",
    "asyncio_protocol",
    "uvloop_protocol",
    "gevent",
    "socketserver_threading",
    "socketserver_threading_nodelay",
    "bare_epoll",
)
STREAMS = OURS + THEIRS
# A line in a plot needs room, and ten thousand threads more memory than a small machine has.
CURVES = (
    "trioserver",
    "trioserver_callbacks",
    "trio_serve_tcp",
    "asyncio_streams",
    "uvloop_streams",
    "asyncio_protocol",
    "uvloop_protocol",
    "bare_epoll",
)
TLS = ("trioserver", "trioserver_callbacks", "trio_serve_tcp", "asyncio_streams", "uvloop_streams")
PING = (*OURS, "asyncio_protocol", "uvloop_protocol", "bare_epoll", "redis")
DATAGRAMS = (
    "trioserver",
    "trioserver_datagram_tasks",
    "socketserver_udp",
    "anyio_trio",
    "asyncio_protocol",
    "uvloop_protocol",
    "gevent",
    "bare_epoll",
)
WORKERS = ("trioserver_two_workers", "trioserver_one_worker")
GROWTH = ("trioserver", "trioserver_callbacks")

COLUMNS = ("echo1", "echo50", "echo500", "echo2000", "pipe16", "churn", "bulk")
"""The workloads of stream servers, all against all."""

QUICK_PACE = 0.4
"""Of the usual lengths of windows, in the quick run."""

FULL_BUDGET = 24 * 60.0
QUICK_BUDGET = 110.0
"""Seconds for all rounds. On a slow machine there are fewer of them, and it does not take longer."""


@dataclass(frozen=True)
class Stage:
    """One workload, with who takes part in it."""

    workload: Workload
    servers: tuple[str, ...]
    rounds: int

    def seconds(self, pace: float) -> float:
        """About what it will take."""
        return self.rounds * len(self.servers) * self.workload.seconds(pace)


def plan(quick: bool, rounds: int | None) -> list[Stage]:
    """The stages of a run, each with no more than so many *rounds*."""
    stages = _quick() if quick else _full()
    most = rounds or max(stage.rounds for stage in stages)
    return [Stage(stage.workload, stage.servers, min(stage.rounds, most)) for stage in stages]


def _full() -> list[Stage]:
    """About 25 minutes."""
    stages = [_stage(name, STREAMS, 14) for name in COLUMNS]
    stages += [_stage("echo10", CURVES, 8), _stage("echo10000", CURVES, 4)]
    stages += [_stage(name, PING, 10) for name in ("ping1", "ping50", "ping16")]
    stages += [_stage("tls50", TLS, 12), _stage("udp", DATAGRAMS, 14)]
    stages += [_stage(f"rate{rate}", CURVES, 3) for rate in RATES]
    stages += [_stage("idle", STREAMS, 3), _stage("idle10k", CURVES, 3), _stage("fair", STREAMS, 4)]
    return [*stages, _stage("workers", WORKERS, 8), _stage("grow", GROWTH, 1), _stage("growchurn", GROWTH, 1)]


def _quick() -> list[Stage]:
    """About two minutes: every server once, the long workloads not at all."""
    few = ("trioserver", "trioserver_callbacks", "trio_serve_tcp", "asyncio_streams", "uvloop_protocol")
    stages = [_stage(name, STREAMS, 3) for name in COLUMNS if name != "echo2000"]
    stages += [_stage("ping50", PING, 2), _stage("tls50", TLS, 2), _stage("udp", DATAGRAMS, 3)]
    stages += [_stage(f"rate{rate}", few, 1) for rate in (5_000, 20_000, 40_000)]
    return [*stages, _stage("idle", few, 1), _stage("fair", few, 2), _stage("workers", WORKERS, 2)]


def _stage(name: str, servers: tuple[str, ...], rounds: int) -> Stage:
    return Stage(WORKLOADS[name], servers, rounds)


def available(stages: list[Stage]) -> tuple[list[Stage], list[str]]:
    """The same without those servers that need what is not installed, and a sentence on each of these."""
    missing = {
        (server, stage.workload.mode): PEERS[server].missing(stage.workload.mode)
        for stage in stages
        for server in stage.servers
    }
    kept = [
        Stage(
            stage.workload,
            tuple(server for server in stage.servers if not missing[server, stage.workload.mode]),
            stage.rounds,
        )
        for stage in stages
    ]
    sentences = [
        f"{server} ({mode}) left out: {', '.join(lacks)} not installed"
        for (server, mode), lacks in missing.items()
        if lacks
    ]
    return [stage for stage in kept if stage.servers], sentences
