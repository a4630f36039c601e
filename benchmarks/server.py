"""A server under measurement: started from ``peers.py``, watched through ``/proc``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Literal

from benchmarks.child import BenchmarkError, Child
from benchmarks.machine import ROOT

Mode = Literal["line", "raw", "tls", "ping", "udp", "udptask", "work"]
"""What it serves: lines, one write for each; bytes, as they come; lines through TLS; the line ``PING``;
datagrams, where those who can make a task for each do so for ``udptask``; or lines that cost some work."""

START_TIMEOUT = 10.0
SHUTDOWN_TIMEOUT = 30.0

QUIET_SLICE = 0.02
QUIET_CPU_NS = 200_000
QUIET_TIMEOUT = 5.0


class Server(Child):
    """One of the servers of ``benchmarks.peers``, which listens once this is constructed."""

    def __init__(self, name: str, mode: Mode, *, cpu: int | None) -> None:
        # -P: the folder of the script must not come first on the path, where a file of ours could
        # hide one of the standard library; the checkout must, so that it is what we measure.
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(ROOT), inherited] if inherited else [str(ROOT)])
        super().__init__(
            [sys.executable, "-P", "-m", "benchmarks.peers", name, "0", mode],
            cpu=cpu,
            environment={**os.environ, "PYTHONPATH": path},
        )
        self.name = name
        try:
            self.port = int(self._read_word("READY", START_TIMEOUT))
        except BaseException:
            self.stop()
            raise

    def shut_down(self) -> float:
        """Ask it to close everything and end; the milliseconds it took, by its own clock."""
        self.terminate()
        return float(self._read_word("SHUTDOWN", SHUTDOWN_TIMEOUT))

    def cpu_ns(self) -> int:
        """Processor time it has used so far."""
        # The clock id that clock_getcpuclockid(3) computes, which Python only has for threads: the
        # process id in the upper bits, "scheduler time of a whole process" (2) in the lower three.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def resident_kib(self) -> int:
        """Memory that is really there, as opposed to reserved."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise BenchmarkError(f"{self.name}: /proc says nothing of its memory")

    def quiesce(self) -> None:
        """Wait until it does nothing any more.

        After a round it still digests hundreds of closed connections. Until it is done it takes
        the CPU from whichever server is measured next, and the slow one does so for longer: the
        error would favour the slow one.
        """
        deadline = time.monotonic() + QUIET_TIMEOUT
        before = self.cpu_ns()
        while time.monotonic() < deadline:
            time.sleep(QUIET_SLICE)
            after = self.cpu_ns()
            if after - before < QUIET_CPU_NS:
                return
            before = after
        raise BenchmarkError(f"{self.name}: still busy {QUIET_TIMEOUT:g} s after its clients left")

    def _read_word(self, label: str, timeout: float) -> str:
        words = self.read_line(timeout).split()
        if len(words) != 2 or words[0] != label:
            raise BenchmarkError(f"{self.name}: printed {words}, not {label} and a number")
        return words[1]
