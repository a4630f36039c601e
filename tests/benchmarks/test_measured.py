"""The load generator and real servers, for a moment each: that it works, and not how fast it is."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from benchmarks.interleave import Bench, run_rounds
from benchmarks.loadgen import Loadgen, build
from benchmarks.machine import Cpus
from benchmarks.progress import Progress
from benchmarks.server import Server
from benchmarks.standing import Standing
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.loadgen import LoadResult
    from benchmarks.server import Mode

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which(os.environ.get("CC", "gcc")) is None,
    reason="needs Linux and a C compiler",
)


@pytest.fixture(scope="module")
def loadgen(tmp_path_factory: pytest.TempPathFactory) -> Loadgen:
    return Loadgen(build(tmp_path_factory.mktemp("loadgen")), cpu(), pace=0.1)


def cpu() -> int:
    """One that we may use; here it does not matter if all share it."""
    return min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def bare() -> Iterator[dict[Mode, Server]]:
    """The server that is up at once, in the modes that it has."""
    modes: tuple[Mode, ...] = ("line", "raw", "udp", "ping")
    with ExitStack() as stack:
        yield {mode: stack.enter_context(Server("bare_epoll", mode, cpu=cpu())) for mode in modes}


@pytest.mark.parametrize(
    ("mode", "command", "options"),
    [
        ("line", "echo", {"connections": 3, "bytes": 64}),
        ("line", "echo", {"connections": 2, "depth": 2000, "bytes": 64}),
        ("line", "rate", {"connections": 3, "rate": 2000, "bytes": 64}),
        ("line", "churn", {"connections": 3, "bytes": 64}),
        ("raw", "bulk", {"bytes": 65536}),
        ("udp", "udp", {"connections": 3, "depth": 2, "bytes": 64}),
        ("ping", "echo", {"connections": 3, "depth": 4, "ping": 1}),
    ],
)
def test_the_load_generator_gets_what_it_asked_for(
    loadgen: Loadgen, bare: dict[Mode, Server], mode: Mode, command: str, options: dict[str, float]
) -> None:
    """Every reply is compared with what was sent: no error means that all of them were right."""

    def ask() -> LoadResult:
        return loadgen.run(command, bare[mode], warm=0.01, seconds=0.05, **options)

    result, attempts = ask(), 1
    while (result.errors or not result.operations) and attempts < 5:
        result, attempts = ask(), attempts + 1  # a machine that stalls for half a second is no mistake here
    assert result.errors == 0
    assert result.operations > 0
    assert result.server_cpu > 0
    assert 0 < result.p50_us <= result.p90_us <= result.p99_us <= result.p999_us


def test_a_rate_is_kept_and_the_latency_of_what_is_never_answered_counts(loadgen: Loadgen) -> None:
    """A server that reads nothing does not look fast: half of the lines waited for half of the window."""
    with Server("bare_epoll", "raw", cpu=cpu()) as server:
        os.kill(server.pid, signal.SIGSTOP)  # the kernel still accepts, and nobody answers
        stopped = loadgen.run("rate", server, warm=0.0, seconds=0.2, connections=2, rate=1000, bytes=64)
        os.kill(server.pid, signal.SIGCONT)
    assert stopped.operations == 0
    assert stopped.p50_us > 50_000


def test_rounds_of_ours_and_another_server(loadgen: Loadgen) -> None:
    """Two servers, each its own process, measured twice; with spinners where there is one connection."""
    cpus = Cpus(cpu(), cpu())
    with Standing(cpus) as standing:
        bench = Bench(loadgen, cpus, standing, Progress(1.0), failures=[])
        sides = {"ours": "trioserver", "theirs": "trio_serve_tcp"}
        for name in ("echo1", "echo50", "churn"):
            for samples in run_rounds(WORKLOADS[name], sides, 2, bench):
                assert list(samples) == ["ours", "theirs"]
                assert all(sample.figures["cpu_us"] > 0 for sample in samples.values())
        assert bench.failures == []
