"""Two loops of one server that begin at once."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from trioserver_adapters import socketserver

from .kit import SECONDS, Call

ADDRESS = ("127.0.0.1", 0)


def test_server_close_when_two_loops_take_their_first_requests_then_both_are_waited_for(
    monkeypatch: Any,
) -> None:
    """The list of threads is made once."""
    from trioserver_adapters._socketserver import threads

    class Slow(threads.Threads):
        def __init__(self) -> None:
            super().__init__()
            both.wait(SECONDS)  # the other one is about to make its own

    monkeypatch.setattr(threads, "Threads", Slow)
    both = threading.Barrier(2)
    ended: list[int] = []

    def handler(*args: Any) -> None:
        time.sleep(0.2)
        ended.append(1)

    def begin(request: Any) -> None:
        server.process_request(request, "client")

    server = socketserver.ThreadingTCPServer(ADDRESS, handler)
    pairs = [socket.socketpair() for _ in range(2)]
    calls = [Call(begin, pair[0]) for pair in pairs]
    for call in calls:
        call.wait()
    kept = len(server._threads)
    server.server_close()
    for pair in pairs:
        pair[1].close()
    assert (kept, len(ended)) == (2, 2)
