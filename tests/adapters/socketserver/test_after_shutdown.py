"""What shutdown() leaves behind: a server that can go on, and what was asked for while nothing served."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from .kit import Call, Flag, ask_to_stop, names, of_request, receive_all, recording


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def serves(server: Any, connect: Any) -> bool:
    """Whether serve_forever() serves a client that waits for it; otherwise it ended at once."""
    served = len(of_request(server))
    client = connect(server)
    server.RequestHandlerClass = lambda request, address, server: ask_to_stop(server)
    Call(server.serve_forever, 0.01).wait()
    client.close()
    return len(of_request(server)) > served


def holding() -> tuple[Any, Flag, Flag]:
    """A handler, the flag that it sets, and the flag that it waits for then."""
    began, go_on = Flag(), Flag()

    def hold(*args: Any) -> None:
        began.set()
        go_on.block()

    return hold, began, go_on


@pytest.fixture
def server(module: Any, make: Any) -> Any:
    """A server that records."""
    return make(recording(module.TCPServer), handler)


def test_b24_after_shutdown_before_the_loop_the_loop_ends_at_once(
    server: Any, connect: Any, call: Any, is_ours: bool
) -> None:
    """And takes no request; the one after that serves. The stdlib's shutdown() waits for that loop."""
    shutdown = call(server.shutdown)
    if is_ours:
        assert shutdown.wait() is None
    else:
        assert shutdown.goes_on()
    assert not serves(server, connect)
    assert shutdown.wait() is None
    assert serves(server, connect)


def test_b24_shutdown_after_the_loop_returns_at_once_and_ends_the_next(
    server: Any, connect: Any, call: Any
) -> None:
    """Once, however often it was called."""
    assert serves(server, connect)
    for _ in range(3):
        assert call(server.shutdown).wait() is None
    assert not serves(server, connect)
    assert serves(server, connect)


def test_b24_shutdown_after_the_loop_may_be_forgotten(
    server: Any, connect: Any, call: Any, is_ours: bool
) -> None:
    """Ours has a setting for that, read from the server; the stdlib knows none."""
    assert getattr(server, "forget_late_shutdown", None) is (False if is_ours else None)
    server.forget_late_shutdown = True
    assert serves(server, connect)
    call(server.shutdown).wait()
    assert serves(server, connect) is is_ours


def test_b24_several_may_shut_down_at_the_same_time(server: Any, connect: Any, call: Any) -> None:
    """Each waits for the end; the loop after that is not ended."""
    server.RequestHandlerClass, began, go_on = holding()
    loop = call(server.serve_forever, 0.01)
    connect(server)
    began.block()
    shutdowns = [call(server.shutdown) for _ in range(3)]
    assert [each.goes_on() for each in shutdowns] == [True] * 3
    go_on.set()
    assert [each.wait() for each in shutdowns] == [None] * 3
    loop.wait()
    assert serves(server, connect)


def test_b25_b59_shutdown_closes_nothing(module: Any, make: Any, connect: Any, call: Any) -> None:
    """Clients can still connect, and are served by whoever serves next."""
    cls = recording(module.TCPServer)
    server = make(cls, lambda request, *args: request.sendall(b"served"))
    sock, fd = server.socket, server.fileno()
    loop = call(server.serve_forever, 0.01)
    assert receive_all(connect(server)) == b"served"
    call(server.shutdown).wait()
    loop.wait()
    assert (server.socket, server.fileno()) == (sock, fd)
    assert "server_close" not in names(server)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    clients = [connect(server), connect(server)]
    server.handle_request()
    assert receive_all(clients[0]) == b"served"
    loop = call(server.serve_forever, 0.01)
    assert receive_all(clients[1]) == b"served"
    call(server.shutdown).wait()
    loop.wait()


def test_b25_b59_after_shutdown_was_called_no_more_requests_are_taken(
    server: Any, connect: Any, call: Any
) -> None:
    """Not even those that were there before; they stay in the queue."""
    server.RequestHandlerClass, began, go_on = holding()
    first, second = connect(server), connect(server)
    loop = call(server.serve_forever, 0.01)
    began.block()
    ask_to_stop(server)
    shutdown = call(server.shutdown)
    assert shutdown.goes_on()
    go_on.set()
    shutdown.wait()
    loop.wait()
    assert receive_all(first) == b""
    assert names(server).count("get_request") == 1
    second.setblocking(False)
    with pytest.raises(BlockingIOError):
        second.recv(1)
