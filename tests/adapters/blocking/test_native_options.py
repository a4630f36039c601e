"""The options of native servers work through `BlockingServer`."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from harness import Echo, Recorder

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, SECONDS, Held, ask, client_of, receive_all, tcp, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]


def test_max_requests_when_reached_then_no_more_are_accepted() -> None:
    """And it can be changed while it serves, through ``call``."""
    handler = Held()
    with tcp(handler, max_requests=1) as server, client_of(server) as one, client_of(server) as other:
        server.start()
        assert one.recv(1) == b"r"
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)
        other.settimeout(SECONDS)

        async def raise_limit() -> None:
            server.server.max_requests = 2

        server.call(raise_limit)
        assert other.recv(1) == b"r"


def test_request_timeout_when_it_is_over_then_the_request_is_cancelled() -> None:
    """In real time."""
    handler = Held()
    with tcp(handler, request_timeout=0.01) as server, client_of(server) as client:
        server.start()
        assert receive_all(client) == b"r"
        assert server.stop(None).cancelled == 1


def test_sock_when_adopted_then_is_served_and_closed() -> None:
    """One that the program has bound."""
    with socket.socket() as sock:
        sock.bind(LOOPBACK)
        sock.listen()
        address = sock.getsockname()
        with BlockingServer(trioserver.TCPServer(None, Echo, sock=sock)) as server:
            server.start()
            assert server.server_address == address
            assert ask(server) == b"hello\n"


def test_sock_when_the_server_was_never_served_then_server_close_closes_it() -> None:
    """Which is why it starts the loop, if it has to."""
    sock = socket.socket()
    sock.bind(LOOPBACK)
    sock.listen()
    server = BlockingServer(trioserver.TCPServer(None, Echo, sock=sock))
    server.server_close()
    sock.close()


@pytest.mark.parametrize("cls", [trioserver.TCPServer, trioserver.ThreadingTCPServer])
def test_ssl_context_when_given_then_the_handshake_is_the_native_servers(cls: Any) -> None:
    """With a real client."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)

    async def reply(request: Any, client_address: Any, server: Any) -> None:
        await request.send_all(b"hello")

    def reply_in_thread(request: Any, client_address: Any, server: Any) -> None:
        request.sendall(b"hello")

    handler: Any = reply if cls is trioserver.TCPServer else reply_in_thread
    with BlockingServer(cls(LOOPBACK, handler, ssl_context=ours)) as server:
        server.start()
        with client_of(server) as plain, theirs.wrap_socket(plain, server_hostname="localhost") as client:
            assert client.recv(100) == b"hello"


def test_wait_request_when_the_server_drains_then_an_idle_connection_ends() -> None:
    """So that a shutdown without a bound ends."""

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline())

    with tcp(KeepAlive) as server, client_of(server) as client:
        server.start()
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        server.request_shutdown(None)
        assert receive_all(client) == b""
        client.close()
        assert server.stop(None).finished == 1


def test_observers_when_added_then_are_told_of_every_serve(call: MakeCall) -> None:
    """In the loop's thread, in order."""
    with tcp() as server:
        server.server.add_observer(recorder := Recorder())
        for _ in range(2):
            server.start()
            assert ask(server) == b"hello\n"
            server.stop(None)
    a_serve = ["ServerStarted", "RequestAccepted", "RequestEnded", "ServerDraining", "ServerStopped"]
    assert sorted(recorder.names()) == sorted(2 * a_serve)


def test_sessions_when_served_then_each_peer_has_its_task() -> None:
    """UDP, with a conversation."""

    async def count(session: Any, client_address: Any, server: Any) -> None:
        number = 0
        async for data in session:
            number += 1
            await session.send(b"%d %s" % (number, data))

    with (
        BlockingServer(trioserver.UDPSessionServer(LOOPBACK, count)) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.start()
        client.settimeout(SECONDS)
        client.connect(server.server_address)
        for reply in (b"1 x", b"2 x"):
            client.send(b"x")
            assert client.recv(100) == reply
        wait_until(lambda: server.server.statistics().active == 1)
