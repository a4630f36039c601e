"""Servers that serve in a handler of another one."""

from __future__ import annotations

import socket
from typing import Any

from trioserver_adapters import socketserver

from .kit import Flag

ADDRESS = ("127.0.0.1", 0)


def test_server_close_when_called_in_a_nested_request_then_it_does_not_wait_for_its_own_thread() -> None:
    """A handler of one serves a request of another one, whose handler closes the first."""
    closed = Flag()

    class Inline(socketserver.ThreadingTCPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            self.process_request_thread(request, client_address)

    def close(*args: Any) -> None:
        outer.server_close(0.05)
        closed.set()

    class Outer(socketserver.ThreadingTCPServer):
        block_on_close = False

    outer = Outer(ADDRESS, lambda *args: inner.handle_request())
    inner = Inline(ADDRESS, close)
    with (
        inner,
        socket.create_connection(inner.server_address),
        socket.create_connection(outer.server_address),
    ):
        outer.handle_request()
        closed.block()
