"""Many connections that say nothing: the memory each one holds, and how long they take to go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.sample import Metric, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.loadgen import Loadgen
    from benchmarks.server import Server

HOLD = 90.0
CONNECT_TIMEOUT = 60.0

MEMORY = Metric("kib_per_connection", "memory, KiB/connection")
SHUTDOWN = Metric("shutdown_ms", "time to shut down, ms")
METRICS = (MEMORY, SHUTDOWN)


def measure_idle(connections: int) -> Callable[[Loadgen, Server], Sample]:
    """How to fill a fresh server with *connections*, and have it shut down with all of them open.

    Each connection exchanges a line first. One that was only accepted owns no buffer yet, and its
    task may not even have started: it would look cheaper than any real connection is.
    """

    def measure(loadgen: Loadgen, server: Server) -> Sample:
        # What the server allocates once (imports, the first nursery) belongs to no connection.
        loadgen.run("echo", server, connections=4, warm=0.05, seconds=0.1)
        server.quiesce()
        before = server.resident_kib()
        with loadgen.start("idle", server, connections=connections, seconds=HOLD) as clients:
            clients.read_line(CONNECT_TIMEOUT)
            server.quiesce()
            grown = server.resident_kib() - before
            milliseconds = server.shut_down()
            seen = json.loads(clients.read_line(HOLD))
        figures = {MEMORY.key: grown / connections, SHUTDOWN.key: milliseconds}
        # A server that does not close its connections is not fast at shutting down.
        left_open = connections - seen["closed"]
        return Sample(figures, left_open, {"closed_ms": seen["first_to_last_close_ms"]})

    return measure
