"""Bug 14: the stdlib's loop goes on when its server is closed, on a descriptor that may be another's."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .kit import (
    SECONDS,
    ask,
    bounded,
    client_of,
    echo,
    echo_until_the_end,
    isolated,
    receive,
    start,
    variant,
    wait_until,
)

ADDRESS = ("127.0.0.1", 0)
POLL_INTERVAL = 10.0
NAMES = ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"]


@pytest.mark.parametrize("name", NAMES)
@isolated
def test_server_close_when_another_thread_serves_then_serve_forever_returns(
    module: Any, patience: float, name: str
) -> None:
    """At once, and without an error: it is an end like any other."""
    server = getattr(module, name)(ADDRESS, echo)
    results: list[Any] = []
    unwrapped = server.serve_forever

    def serve_forever(poll_interval: float) -> None:
        results.append(unwrapped(poll_interval))

    server.serve_forever = serve_forever
    thread = start(server, POLL_INTERVAL)
    assert ask(server, b"hello") == b"hello"
    bounded(SECONDS, server.server_close)
    bounded(patience, thread.join)
    assert results == [None]
    bounded(SECONDS, server.server_close)


@isolated
def test_server_close_when_a_udp_server_serves_then_serve_forever_returns(
    module: Any, patience: float
) -> None:
    """Whatever the kind of its socket."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        request[1].sendto(request[0], client_address)

    server = module.UDPServer(ADDRESS, handler)
    thread = start(server, POLL_INTERVAL)
    assert ask(server, b"hello") == b"hello"
    bounded(SECONDS, server.server_close)
    bounded(patience, thread.join)


@isolated
def test_server_close_when_a_with_block_ends_while_serving_then_serve_forever_returns(
    module: Any, patience: float
) -> None:
    """The end of the block is all that such a program needs."""
    with module.TCPServer(ADDRESS, echo) as server:
        thread = start(server, POLL_INTERVAL)
        assert ask(server, b"hello") == b"hello"
    bounded(patience, thread.join)


@isolated
def test_server_close_when_the_loop_looks_just_then_serve_forever_returns(
    module: Any, patience: float
) -> None:
    """Between two looks at the descriptor, or right after the last: it is no error of the loop's."""
    for number in range(2, 6):
        looks: list[int] = []

        def fileno(self: Any, looks: list[int] = looks, number: int = number) -> int:
            looks.append(1)
            if len(looks) == number:
                bounded(SECONDS, self.server_close)
            return int(module.TCPServer.fileno(self))

        server = variant(module.TCPServer, fileno=fileno)(ADDRESS, echo)
        errors: list[BaseException] = []
        thread = threading.Thread(target=serve, args=(server, errors), daemon=True)
        thread.start()
        wait_until(lambda looks=looks: looks)  # type: ignore[misc]
        server.server_close()
        bounded(patience, thread.join)
        assert errors == []


def serve(server: Any, errors: list[BaseException]) -> None:
    """Serve, and keep what comes of it."""
    try:
        server.serve_forever(POLL_INTERVAL)
    except BaseException as exc:
        errors.append(exc)


@isolated
def test_server_close_when_the_loop_is_about_to_start_then_it_does_not_serve_for_ever(
    module: Any, patience: float
) -> None:
    """Fifty times, with nothing in between; where it comes first, there is nothing to serve on."""
    for _ in range(50):
        server = module.TCPServer(ADDRESS, echo)
        errors: list[BaseException] = []
        thread = threading.Thread(target=serve, args=(server, errors), daemon=True)
        thread.start()
        bounded(SECONDS, server.server_close)
        bounded(patience, thread.join)
        assert [type(error) for error in errors] in ([], [ValueError])
    server = module.TCPServer(ADDRESS, echo)
    thread = start(server, POLL_INTERVAL)
    assert ask(server, b"hello") == b"hello"
    bounded(SECONDS, server.server_close)
    bounded(patience, thread.join)


@isolated
def test_server_close_when_requests_run_then_the_loop_ends_and_they_are_waited_for(
    module: Any, patience: float
) -> None:
    """The loop does not wait for them, ``server_close()`` does, as ever; a grace period is theirs."""
    server = variant(module.ThreadingTCPServer, grace_period=0.1)(ADDRESS, echo_until_the_end)
    with client_of(server) as client:
        thread = start(server, POLL_INTERVAL)
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        bounded(patience, server.server_close)
        bounded(patience, thread.join)
        assert receive(client) == b""


@pytest.mark.parametrize("module", ["trioserver_adapters.socketserver"], indirect=True)
@isolated
def test_shutdown_when_the_server_was_closed_while_serving_then_returns(module: Any, patience: float) -> None:
    """A program that does both does not hang; with the standard library it does, but not always."""
    server = module.ThreadingTCPServer(ADDRESS, echo)
    thread = start(server, POLL_INTERVAL)
    assert ask(server, b"hello") == b"hello"
    bounded(SECONDS, server.server_close)
    bounded(patience, server.shutdown)
    bounded(patience, thread.join)
