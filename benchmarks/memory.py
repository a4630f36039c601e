"""Does a server's memory grow with what it has served?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.child import BenchmarkError
from benchmarks.sample import Metric, Sample

if TYPE_CHECKING:
    from benchmarks.loadgen import Loadgen
    from benchmarks.server import Server

SLICE = 1.0
"""Seconds between two looks at how far it is."""

GROWTH = Metric("growth_kib", "memory grown, KiB")


class Growth:
    """How to measure what the resident memory grows by, from the *first* operation that counts to the *last*.

    The first ones are left out: with them caches fill, and the allocator takes what it then keeps.
    """

    def __init__(self, mode: str, first: int, last: int, **options: float) -> None:
        self.mode = mode
        self.first = first
        self.last = last
        self._options = options

    def measure(self, loadgen: Loadgen, server: Server) -> Sample:
        """Have a fresh *server* serve them all."""
        done = self._serve(loadgen, server, self.first)
        early = server.resident_kib()
        done += self._serve(loadgen, server, self.last - done)
        late = server.resident_kib()
        return Sample(
            {GROWTH.key: late - early}, 0, {"operations": done, "first_kib": early, "last_kib": late}
        )

    def _serve(self, loadgen: Loadgen, server: Server, wanted: float) -> float:
        done = 0.0
        while done < wanted:
            result = loadgen.run(self.mode, server, warm=0.0, seconds=SLICE, **self._options)
            if result.errors or not result.operations:
                raise BenchmarkError(f"{server.name}: {result.errors} error(s) after {done:,.0f} operations")
            done += result.operations
            server.quiesce()
        return done
