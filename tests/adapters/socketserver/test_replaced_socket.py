"""B32: ``self.socket`` is looked at when it is needed: it may be replaced, by one with TLS above all."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from .kit import ADDRESS, receive_all

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For servers, and for the clients that trust them."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def protocol(request: Any, *args: Any) -> None:
    """A handler: the version of TLS of its connection."""
    request.sendall(str(request.version()).encode())


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
@pytest.mark.parametrize("where", ["server_bind", "server_activate", "later"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_b32_the_socket_may_be_wrapped_in_tls(
    module: Any,
    make: Make,
    serving: Any,
    connect: Connect,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    name: str,
    where: str,
) -> None:
    """While the server is built or when it is; the requests are TLS sockets, of handshakes that are done."""

    def wrap(self: Any) -> None:
        self.socket = contexts[0].wrap_socket(self.socket, server_side=True)

    def hook(name: str) -> Callable[[Any], None]:
        def method(self: Any) -> None:
            getattr(super(cls, self), name)()
            if name == where:
                wrap(self)

        return method

    base = getattr(module, name)
    names = ("server_bind", "server_activate")
    cls: Any = type("Server", (base,), {name: hook(name) for name in names})
    # The client answers the end of the connection by an alert that nobody reads. A child of ours would linger
    # for it: its end of the connection is not the last, as it has inherited the client's, too.
    server = make(cls, protocol, linger_timeout=0)
    if where == "later":
        wrap(server)
    assert server.fileno() == server.socket.fileno()
    with serving(server):
        for _ in range(2):
            with contexts[1].wrap_socket(connect(server), server_hostname="localhost") as client:
                assert receive_all(client) == b"TLSv1.3"


def listening() -> socket.socket:
    """A listener of somebody else's."""
    return socket.create_server(ADDRESS)


def greet(request: Any, client_address: Any, server: Any) -> None:
    """A handler: the address of its end."""
    request.sendall(str(request.getsockname()).encode())


def test_b32_a_listener_may_be_adopted(make: Make, serving: Any, connect: Connect) -> None:
    """In place of that which the constructor made, and nobody bound."""
    server = make("TCPServer", greet, bind=False)
    server.socket.close()
    server.socket = listener = listening()
    server.server_address = listener.getsockname()
    assert server.fileno() == listener.fileno()
    with serving(server):
        assert receive_all(connect(server)) == str(listener.getsockname()).encode()
    assert listener.fileno() == -1


def test_b32_the_socket_may_be_replaced_between_two_requests(make: Make, connect: Connect) -> None:
    """The next call of ``handle_request`` is for the new one, its timeout included."""
    server = make("TCPServer", greet)
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == str(server.server_address).encode()
    server.socket.close()
    server.socket = listening()
    server.server_address = server.socket.getsockname()
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == str(server.server_address).encode()
    server.socket.settimeout(0)
    server.handle_timeout = lambda: "timed out"
    assert server.handle_request() == "timed out"


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
def test_b32_the_socket_may_be_replaced_between_two_loops(
    make: Make, call: Callable[..., Any], connect: Connect, name: str
) -> None:
    """The old one is not looked at any more, and may be served by others."""
    server = make(name, greet)
    with server.socket as old:
        for listener in (old, listening()):
            server.socket = listener
            server.server_address = listener.getsockname()
            loop = call(server.serve_forever, 0.01)
            assert receive_all(connect(server)) == str(listener.getsockname()).encode()
            server.shutdown()
            assert loop.wait() is None
        assert server.socket is not old
        assert old.fileno() != -1


def test_b32_get_request_takes_from_the_socket_of_now(make: Make, connect: Connect) -> None:
    """And closing closes that one."""
    server = make("TCPServer", greet)
    with server.socket:
        server.socket = listening()
    server.server_address = server.socket.getsockname()
    client = connect(server)
    request, address = server.get_request()
    with request:
        assert address == client.getsockname()
    server.server_close()
    assert (server.socket.fileno(), server.fileno()) == (-1, -1)
