"""How long ``shutdown()`` takes, from synchronous code: ``python -m benchmarks.shutdown``.

Three idle servers in turn, each served in a thread and shut down at a random moment of the poll interval:
``BlockingServer``, the drop-in's ``TCPServer``, and the standard library's.
"""

from __future__ import annotations

import random
import socketserver as stdlib
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import trioserver
from benchmarks import machine
from trioserver_adapters import socketserver
from trioserver_adapters.blocking import BlockingServer

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = ("127.0.0.1", 0)
ROUNDS = 40


async def handler(request: object, client_address: object, server: object) -> None:
    """Never called."""


def measure(server: Any) -> float:
    """Milliseconds of one shutdown."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    time.sleep(random.uniform(0.05, 0.5))
    began = time.perf_counter()
    server.shutdown()
    took = time.perf_counter() - began
    thread.join()
    server.server_close()
    return took * 1e3


def main() -> None:
    """Measure and print the medians and the worst."""
    print(", ".join(f"{key} {value}" for key, value in machine.describe().items()))
    makers: dict[str, Callable[[], Any]] = {
        "BlockingServer": lambda: BlockingServer(trioserver.TCPServer(ADDRESS, handler)),
        "drop-in TCPServer": lambda: socketserver.TCPServer(ADDRESS, lambda *_: None),
        "stdlib TCPServer": lambda: stdlib.TCPServer(ADDRESS, lambda *_: None),  # type: ignore[arg-type]
    }
    results: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            results[name].append(measure(make()))
    for name, times in results.items():
        print(f"{name:<18} median {statistics.median(times):7.2f} ms, worst {max(times):7.2f} ms")


if __name__ == "__main__":
    main()
