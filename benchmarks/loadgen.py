"""The load generator: compiled for the run, and started once a measurement."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.child import BenchmarkError, Child

if TYPE_CHECKING:
    from benchmarks.server import Server

SOURCES = Path(__file__).with_name("clients")
SLACK = 15.0
"""Seconds beyond its measured window in which it connects, warms up and reports."""


@dataclass(frozen=True)
class LoadResult:
    """What the load generator saw in its window; see the head of ``clients/main.c``."""

    operations: float
    seconds: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    client_cpu: float
    server_cpu: float
    errors: int


def build(folder: Path) -> Path:
    """Compile it into *folder*: a second for each run, and never a stale binary.

    Raises:
      BenchmarkError: There is no C compiler, or it does not like the source.
    """
    program = folder / "loadgen"
    compiler = os.environ.get("CC", "gcc")
    sources = map(str, sorted(SOURCES.glob("*.c")))
    command = [compiler, "-O2", "-Wall", "-o", str(program), *sources, "-lm", "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise BenchmarkError(f"no C compiler ({compiler}); name another one in CC") from None
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{SOURCES} does not compile:\n{error.stderr}") from None
    return program


@dataclass(frozen=True)
class Loadgen:
    """The compiled program and its CPU.

    Attributes:
      pace: What the usual lengths of windows are multiplied with.
    """

    program: Path
    cpu: int
    pace: float = 1.0

    def start(self, mode: str, server: Server, **options: float) -> Child:
        """Start it and return at once; the caller owns the process."""
        words = [f"--{name}={value}" for name, value in options.items()]
        command = [str(self.program), mode, f"--port={server.port}", *words]
        return Child(command, cpu=self.cpu)

    def spin(self, cpu: int, seconds: float) -> Child:
        """Keep *cpu* awake, with a process that gives way to any other; the caller owns it."""
        return Child([str(self.program), "spin", f"--seconds={seconds}"], cpu=cpu)

    def run(self, mode: str, server: Server, *, seconds: float, **options: float) -> LoadResult:
        """Run it to its end, which is *seconds* after its warm-up."""
        with self.start(mode, server, seconds=seconds, pid=server.pid, **options) as child:
            return read_result(child, seconds)


def read_result(child: Child, seconds: float) -> LoadResult:
    """What a generator that was started for a window of *seconds* has to report."""
    return LoadResult(**json.loads(child.read_line(seconds + SLACK)))
