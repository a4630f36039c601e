"""What begins and ends while trio does not run."""

from __future__ import annotations

import select
import socket
import weakref
from typing import Any

from trioserver_adapters import socketserver

from .kit import SECONDS, Flag, wait_until

ADDRESS = ("127.0.0.1", 0)


def test_requests_that_have_ended_when_trio_never_ran_then_they_are_not_kept() -> None:
    """Those that were there at once do not need it."""
    kept: list[Any] = []

    def handler(request: Any, *args: Any) -> None:
        kept.append(weakref.ref(request))

    server = socketserver.ThreadingTCPServer(ADDRESS, handler)
    with server:
        for _ in range(3):
            with socket.create_connection(server.server_address) as client:
                select.select([server], [], [], SECONDS)
                server.handle_request()
                assert client.recv(1) == b""
        wait_until(lambda: len(kept) == 3 and not any(reference() for reference in kept))


def test_a_request_that_runs_when_trio_starts_then_it_gets_a_task() -> None:
    """Without another request that asks for one."""
    from trioserver_adapters._socketserver.companion import companion_of

    released = Flag()
    server = socketserver.ThreadingTCPServer(ADDRESS, lambda *args: released.block())
    with server, socket.create_connection(server.server_address):
        select.select([server], [], [], SECONDS)
        server.handle_request()
        server.timeout = 0.4
        server.handle_request()
        try:
            assert not companion_of(server)._pending
        finally:
            released.set()
