"""Sockets that somebody else made: all kinds are taken, and what is refused is left as it was."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver import ConfigError
from trioserver._transports.adopt import adopt_endpoints
from trioserver._transports.endpoint import KernelListener

if TYPE_CHECKING:
    from pathlib import Path

    from .kit import FakeEndpoint

STREAM = socket.SOCK_STREAM


def make(kind: str) -> Any:
    """A bound socket, as one of the things that can be adopted."""
    sock = socket.create_server(("127.0.0.1", 0))
    if kind == "stdlib socket":
        return sock
    if kind == "descriptor":
        return sock.detach()
    wrapped = trio.socket.from_stdlib_socket(sock)
    return wrapped if kind == "trio socket" else trio.SocketListener(wrapped)


@pytest.mark.parametrize("kind", ["stdlib socket", "descriptor", "trio socket", "trio listener"])
@pytest.mark.parametrize("several", [False, True])
async def test_adopt_when_given_a_bound_socket_then_it_can_be_served(kind: str, several: bool) -> None:
    """Each kind, alone or in a list, becomes a listening endpoint that owns the socket."""
    given = make(kind)
    (endpoint,) = adopt_endpoints([given] if several else given, STREAM)
    endpoint.listen(5)
    with pytest.raises(BlockingIOError):  # it was made non-blocking
        endpoint.accept_nowait()
    with socket.create_connection(endpoint.socket.getsockname()):
        await endpoint.wait_readable()
        accepted, _ = endpoint.accept_nowait()
        accepted.close()
    endpoint.close()
    assert endpoint.socket.fileno() == -1


async def test_adopt_when_given_several_then_they_come_in_order() -> None:
    """A mixed list gives one endpoint for each, in its order."""
    given = [make("descriptor"), make("trio socket"), make("stdlib socket")]
    expected = [socket.socket(fileno=os.dup(given[0])), given[1], given[2]]
    names = [sock.getsockname() for sock in expected]
    expected[0].close()
    endpoints = adopt_endpoints(given, STREAM)
    assert [endpoint.socket.getsockname() for endpoint in endpoints] == names
    for endpoint in endpoints:
        endpoint.close()


async def test_adopt_when_one_is_unusable_then_none_is_touched() -> None:
    """With one wrong socket in a list the others are neither closed nor made non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as good, socket.socket() as unbound:
        wrapped = trio.socket.from_stdlib_socket(socket.create_server(("127.0.0.1", 0)))
        with pytest.raises(ConfigError, match="bound"):
            adopt_endpoints([good, wrapped, unbound], STREAM)
        assert good.getblocking()
        assert wrapped.fileno() != -1
        wrapped.close()
        assert unbound.fileno() != -1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
async def test_adopt_when_it_is_not_bound_then_config_error(family: int) -> None:
    """A socket without an address can not be served."""
    with socket.socket(family) as sock:
        for given in (sock, sock.fileno()):
            with pytest.raises(ConfigError, match="bound"):
                adopt_endpoints(given, STREAM)
        assert sock.getblocking()


async def test_adopt_when_a_unix_socket_is_bound_then_it_is_taken(tmp_path: Path) -> None:
    """Bound to a path is bound."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    (endpoint,) = adopt_endpoints(sock, STREAM)
    assert endpoint.socket.getsockname() == str(tmp_path / "s")
    endpoint.close()


async def test_adopt_when_it_is_of_another_type_then_config_error() -> None:
    """A datagram socket is no stream socket, and the message has both names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match=r"SOCK_STREAM.*SOCK_DGRAM"):
            adopt_endpoints(sock, STREAM)
        assert sock.fileno() != -1


async def test_adopt_when_it_is_closed_then_config_error() -> None:
    """A closed socket is refused, and a number that is no socket too."""
    with socket.socket() as sock:
        pass
    with pytest.raises(ConfigError, match="closed"):
        adopt_endpoints(sock, STREAM)
    with open(os.devnull) as file:  # noqa: ASYNC230  it does not block
        with pytest.raises(ConfigError, match="not a socket"):
            adopt_endpoints(file.fileno(), STREAM)
        assert os.fstat(file.fileno())
    with pytest.raises(ConfigError, match="not a socket"):
        adopt_endpoints(1_000_000, STREAM)


@pytest.mark.parametrize("wrong", [[], ["localhost"], "localhost", [True], [None], 1.5, object()])
async def test_adopt_when_it_is_no_socket_at_all_then_config_error(wrong: Any) -> None:
    """Other things are refused by name."""
    with pytest.raises(ConfigError, match="sock must"):
        adopt_endpoints(wrong, STREAM)


async def test_listener_when_no_endpoint_can_be_made_then_the_connection_is_closed() -> None:
    """P2: what was accepted is never left to the garbage collector."""

    def fail(sock: socket.socket) -> FakeEndpoint:
        raise MemoryError

    listener = KernelListener(socket.create_server(("127.0.0.1", 0)))
    listener.make = fail
    with socket.create_connection(listener.socket.getsockname()) as client:
        await listener.wait_readable()
        with pytest.raises(MemoryError):
            listener.accept_nowait()
        assert client.recv(1) == b""
    listener.close()
