"""Requests that are ended though their threads are late, or their subclass serves them itself."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from trioserver_adapters import socketserver

from .kit import MOMENT, Call, Flag

ADDRESS = ("127.0.0.1", 0)


def until_the_end(request: Any, client_address: Any, server: Any) -> None:
    """Read until the client goes, or is cut off."""
    while request.recv(100):
        pass


def close_when_taken(server: Any, moment: float = MOMENT) -> None:
    """Take a request, and close the server with a short grace period."""
    with socket.create_connection(server.server_address):
        server.handle_request()
        time.sleep(moment)
        Call(server.server_close, 0.05).wait()


def test_grace_period_when_an_override_takes_its_time_before_super_then_the_request_is_ended() -> None:
    """A thread that begins to serve after the grace period."""

    class Server(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            time.sleep(0.3)
            super().process_request_thread(request, client_address)

    close_when_taken(Server(ADDRESS, until_the_end))


def test_grace_period_when_an_override_serves_by_itself_then_the_request_is_ended() -> None:
    """Without calling ours."""

    class Server(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)

    close_when_taken(Server(ADDRESS, until_the_end))


def test_grace_period_when_an_override_wraps_in_what_is_no_socket_then_the_request_is_ended() -> None:
    """What was inside is known."""

    class Wrapped:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    class Server(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            super().process_request_thread(Wrapped(request), client_address)

    close_when_taken(Server(ADDRESS, until_the_end))


def test_server_close_when_a_request_begins_after_it_then_a_second_one_ends_that() -> None:
    """The first had ended the owner; the second waited for it, without end, and with all of a processor."""
    released = Flag()
    begun = Flag()
    late: list[Call] = []

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True  # the first request goes on, whatever is closed

        def process_request(self, request: Any, client_address: Any) -> None:
            requests.append((request, client_address))
            if len(requests) == 1:
                super().process_request(request, client_address)

    def handler(request: Any, client_address: Any, server: Any) -> None:
        if request is requests[0][0]:
            released.block()
        else:
            begun.set()
            until_the_end(request, client_address, server)

    requests: list[Any] = []
    server = Server(ADDRESS, handler)
    with socket.create_connection(server.server_address), socket.create_connection(server.server_address):
        server.handle_request()
        server.handle_request()
        try:
            Call(server.server_close, 0.05).wait()
            late.append(Call(server.process_request_thread, *requests[1]))  # a pool does
            begun.block()
            Call(server.server_close, 0.05).wait()
            late[0].wait()
        finally:
            released.set()


def test_grace_period_when_no_thread_can_be_started_then_nothing_is_counted(monkeypatch: Any) -> None:
    """The request that was owned already has ended."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = socketserver.ThreadingTCPServer(ADDRESS, until_the_end)
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    with socket.create_connection(server.server_address) as client:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            server.handle_request()
        assert client.recv(1) == b""
        Call(server.server_close, 0.05).wait()
