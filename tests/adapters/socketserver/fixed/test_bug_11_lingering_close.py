"""Bug 11: the stdlib closes with unread input: the system resets, and the end of the reply is lost."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import (
    SECONDS,
    ask,
    bounded,
    client_of,
    isolated,
    receive,
    receive_all,
    serving,
    variant,
    wait_until,
)

if TYPE_CHECKING:
    import socket

ADDRESS = ("127.0.0.1", 0)
REPLY = b"x" * 200_000
UNREAD = b"y" * 50_000
CLIENTS = 10
NAMES = ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"]


def reply(request: Any, client_address: Any, server: Any) -> None:
    """Read a little, and say much."""
    request.recv(10)
    request.sendall(REPLY)


def make(base: Any, **options: Any) -> tuple[Any, int]:
    """A server, and a pipe that has a byte for each request that is about to be closed."""
    reader, writer = os.pipe()

    def shutdown_request(self: Any, request: Any) -> None:
        os.write(writer, b"!")
        base.shutdown_request(self, request)

    server = variant(base, shutdown_request=shutdown_request, request_queue_size=20, **options)(
        ADDRESS, reply
    )
    return server, reader


def wait_for(reader: int) -> None:
    """Until a request is about to be closed."""
    assert select.select([reader], [], [], SECONDS)[0]
    os.read(reader, 1)


def was_reset(client: socket.socket) -> bool:
    """Whether it is, or is within the moment in which it would be."""
    poll = select.poll()
    poll.register(client, select.POLLHUP)
    return bool(poll.poll(20))


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_reply_when_the_client_has_sent_more_than_was_read_then_it_gets_all_of_it(
    module: Any, name: str
) -> None:
    """Ten of ten, although they read only when the server has closed."""
    server, reader = make(getattr(module, name))
    with serving(server):
        lengths = []
        for _ in range(CLIENTS):
            with client_of(server) as client:
                client.sendall(UNREAD)
                wait_for(reader)
                was_reset(client)
                lengths.append(len(receive_all(client)))
        assert lengths == [len(REPLY)] * CLIENTS


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_reply_when_the_client_goes_on_sending_then_it_gets_all_of_it(module: Any, name: str) -> None:
    """What comes after the half-close is thrown away, and is no reason for a reset either."""
    server, reader = make(getattr(module, name))
    with serving(server), client_of(server) as client:
        client.sendall(UNREAD)
        wait_for(reader)
        with contextlib.suppress(ConnectionError):  # by the stdlib's
            for _ in range(10):
                client.sendall(UNREAD)
                was_reset(client)
        assert len(receive_all(client)) == len(REPLY)


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_reply_when_the_client_does_not_close_then_nobody_waits_for_that(
    module: Any, patience: float, name: str
) -> None:
    """The loop of a synchronous server, above all: others are served while the connection is drained."""
    server, reader = make(getattr(module, name), linger_timeout=60.0)
    with serving(server), contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(client_of(server)) for _ in range(3)]
        for client in open_ones:
            client.sendall(UNREAD)
            wait_for(reader)
            was_reset(client)
            assert len(receive_all(client)) == len(REPLY)
        with client_of(server, patience) as other:
            other.sendall(b"request")
            assert len(receive_all(other)) == len(REPLY)
        bounded(patience, server.shutdown)


@isolated
def test_linger_timeout_when_it_has_passed_then_the_connection_is_closed(module: Any) -> None:
    """A client that never closes does not keep a descriptor for longer than that."""
    server, reader = make(module.TCPServer, linger_timeout=0.1)
    with serving(server), client_of(server) as client:
        client.sendall(UNREAD)
        wait_for(reader)
        was_reset(client)
        assert len(receive_all(client)) == len(REPLY)

        def is_closed() -> bool:
            try:
                client.send(b"z")
            except ConnectionError:
                return True
            return False

        wait_until(is_closed)


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
@isolated
def test_close_when_no_descriptor_is_left_then_the_server_goes_on(either: Any, name: str) -> None:
    """The contract: whatever it takes to linger, a request that can not have it is closed without that."""
    resource = pytest.importorskip("resource")
    errors: list[object] = []
    opened: list[int] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        if request.recv(10) == b"last":
            request.sendall(b"done")
            return
        resource.setrlimit(resource.RLIMIT_NOFILE, (request.fileno() + 20, most))
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.dup(0))

    def shutdown_request(self: Any, request: Any) -> None:
        try:
            base.shutdown_request(self, request)
        finally:
            while opened:
                os.close(opened.pop())

    base = getattr(either, name)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    handle_error = lambda self, *args: errors.append(sys.exc_info())  # noqa: E731
    cls = variant(base, shutdown_request=shutdown_request, handle_error=handle_error)
    with serving(server := cls(ADDRESS, handler)):
        with client_of(server) as client:
            client.sendall(UNREAD)
            receive_all(client)
        assert ask(server, b"last") == b"done"
    assert errors == []


@isolated
def test_linger_timeout_when_zero_then_connections_are_closed_as_the_stdlib_does(either: Any) -> None:
    """The contract, for those who ask for it."""
    server, reader = make(either.ThreadingTCPServer, linger_timeout=0)
    with serving(server), client_of(server) as client:
        client.sendall(UNREAD)
        wait_for(reader)
        assert was_reset(client)
        assert len(receive_all(client)) < len(REPLY)


@isolated
def test_close_when_all_input_was_read_then_it_is_at_once(either: Any) -> None:
    """The contract: the ordinary case costs no linger; the client may keep its side open."""
    closed = threading.Event()

    def close_request(self: Any, request: Any) -> None:
        either.ThreadingTCPServer.close_request(self, request)
        if request.fileno() == -1:
            closed.set()

    server = variant(either.ThreadingTCPServer, close_request=close_request)(ADDRESS, reply)
    with serving(server), client_of(server) as client:
        client.sendall(b"request")
        assert len(receive_all(client)) == len(REPLY)
        assert closed.wait(SECONDS)
        assert receive(client) == b""
