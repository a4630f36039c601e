"""The machine: two CPUs to work on, and what belongs beside every figure measured there."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from benchmarks.child import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout whose servers are measured."""


class Cpus(NamedTuple):
    """Which CPU serves and which one asks; sharing one would measure the scheduler."""

    server: int
    loadgen: int


def choose_cpus() -> Cpus:
    """The first two CPUs that this process may use.

    Raises:
      BenchmarkError: This is not Linux, or there is only one.
    """
    if sys.platform != "linux":
        raise BenchmarkError("the benchmarks need Linux: epoll, CPU affinity, /proc")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchmarkError("the benchmarks need two CPUs: one serves, the other one asks")
    return Cpus(*usable[:2])


def describe() -> dict[str, str]:
    """What a reader must know to compare two sets of figures."""
    return {
        "cpu": _cpu_model(),
        "cpus": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "trio": metadata.version("trio"),
        "trioserver": _commit(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Versions of a library under work are too coarse, so name the commit."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
