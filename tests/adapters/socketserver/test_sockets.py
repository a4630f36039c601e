"""The sockets: the server's own, the accepted ones, and how these are closed."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from .kit import receive_all, recording

if TYPE_CHECKING:
    from collections.abc import Iterator


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


class FakeSocket:
    """Can be closed, and nothing else."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def default_timeout() -> Iterator[float]:
    """A timeout that new sockets have."""
    socket.setdefaulttimeout(7)
    yield 7
    socket.setdefaulttimeout(None)


@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer", "ThreadingTCPServer"])
def test_b08_the_server_has_a_plain_socket_that_blocks_and_is_not_inherited(make: Any, cls: str) -> None:
    """Its descriptor is the server's, until both are closed."""
    server = make(cls, handler)
    sock = server.socket
    assert type(sock) is socket.socket
    assert (sock.gettimeout(), os.get_blocking(sock.fileno()), sock.get_inheritable()) == (None, True, False)
    assert server.fileno() == sock.fileno() >= 0
    server.server_close()
    assert server.socket is sock
    assert (server.fileno(), sock.fileno()) == (-1, -1)


def test_b08_fileno_is_that_of_the_socket_that_the_server_has_now(make: Any) -> None:
    """It is asked for each time."""
    server = make("TCPServer", handler)
    with server.socket, socket.socket() as other:
        server.socket = other
        assert server.fileno() == other.fileno()


@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer"])
def test_b08_closing_the_server_asks_its_socket_to_close_and_nothing_else(make: Any, cls: str) -> None:
    """Programs and their tests put objects there that can not do much else."""
    server = make(cls, handler)
    server.socket.close()
    server.socket = FakeSocket()
    assert server.server_close() is None
    assert server.socket.closed == 1


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("how", ["handle_request", "serve_forever"])
def test_b08_serving_does_not_change_the_socket(
    module: Any, make: Any, serving: Any, connect: Any, how: str, timeout: float | None
) -> None:
    """Overrides of get_request() use it, in the way that the program has set it, while others wait for it."""
    seen: list[Any] = []

    def look(server: Any) -> None:
        seen.append((server.socket.gettimeout(), os.get_blocking(server.fileno()), type(server.socket)))

    def get_request(self: Any) -> Any:
        look(self)
        return self.socket.accept()

    cls = recording(module.TCPServer, get_request=get_request)
    server = make(cls, lambda request, address, server: look(server))
    server.socket.settimeout(timeout)
    look(server)
    client = connect(server)
    if how == "handle_request":
        server.handle_request()
    else:
        with serving(server):
            assert receive_all(client) == b""
            server.shutdown()
            look(server)
    assert len(seen) >= 3
    assert set(seen) == {(timeout, timeout is None, socket.socket)}


@pytest.mark.parametrize("timeout", [None, 5.0, 0.0])
@pytest.mark.parametrize("cls", ["TCPServer", "ThreadingTCPServer"])
def test_b19_accepted_sockets_block_whatever_the_listener_does(
    make: Any, serving: Any, connect: Any, cls: str, timeout: float | None
) -> None:
    """They are plain sockets, too, that a child process does not get."""
    seen: list[Any] = []

    def look(request: socket.socket, *args: Any) -> None:
        seen.append((type(request), request.gettimeout(), os.get_blocking(request.fileno())))
        seen.append(request.get_inheritable())

    server = make(cls, look)
    server.socket.settimeout(timeout)
    with serving(server):
        assert receive_all(connect(server)) == b""
    assert seen == [(socket.socket, None, True), False]


def test_b19_accepted_sockets_have_the_default_timeout(
    make: Any, connect: Any, default_timeout: float
) -> None:
    """That is socket.accept()'s own rule."""
    seen: list[Any] = []
    server = make("TCPServer", lambda request, *args: seen.append(request.gettimeout()))
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b""
    assert seen == [default_timeout]
