"""``handle_request`` and ``fileno``: for programs that have a loop of their own."""

from __future__ import annotations

import os
import select
import selectors
import socket
from typing import TYPE_CHECKING, Any

import pytest
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, SECONDS, Call, Held, ask, client_of, receive_all, tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeCall = Callable[..., Call]


def sent(server: BlockingServer[Any], line: bytes) -> socket.socket:
    """A client that has sent a line, and no more."""
    client = client_of(server)
    client.sendall(line)
    client.shutdown(socket.SHUT_WR)
    return client


def test_handle_request_when_two_wait_then_serves_one_to_its_end() -> None:
    """The first; the other one waits for the next call."""
    with tcp() as server, sent(server, b"one\n") as one, sent(server, b"two\n") as two:
        server.handle_request()
        assert receive_all(one) == b"one\n"
        two.setblocking(False)
        with pytest.raises(BlockingIOError):
            two.recv(1)
        two.settimeout(SECONDS)
        server.handle_request()
        assert receive_all(two) == b"two\n"


def test_handle_request_when_none_comes_in_time_then_calls_handle_timeout() -> None:
    """After the server's ``timeout``."""

    class Server(trioserver.TCPServer):
        timeout = 0.001
        timeouts = 0

        async def handle_timeout(self) -> None:
            self.timeouts += 1

    with BlockingServer(Server(LOOPBACK, Echo)) as server:
        server.handle_request()
        server.handle_request()
        assert server.server.timeouts == 2
        with sent(server, b"hello\n") as client:
            server.handle_request()
            assert receive_all(client) == b"hello\n"
        assert server.server.timeouts == 2


def test_handle_request_when_shut_down_then_returns(call: MakeCall) -> None:
    """While it waits for a request, and while it serves one."""
    handler = Held()
    with tcp(handler) as server:
        waits = call(server.handle_request)
        assert waits.goes_on()
        server.shutdown()
        waits.wait()
        serves = call(server.handle_request)
        with client_of(server) as client:
            handler.begun.block()
            assert server.shutdown().cancelled == 1
            serves.wait()
            assert receive_all(client) == b"r"


def test_fileno_when_asked_then_opens_the_server_and_is_its_socket() -> None:
    """The same one each time, until it is closed."""
    server = tcp()
    fd = server.fileno()
    assert fd == server.fileno() == server.server.socket.fileno()
    with socket.socket(fileno=os.dup(fd)) as copy:
        assert copy.getsockname() == server.server_address
    server.server_close()
    assert server.fileno() == -1


def test_fileno_when_it_is_no_socket_then_is_none() -> None:
    """Of a server that takes its requests from elsewhere."""

    async def handler(request: Any, client_address: Any, server: Any) -> None: ...

    with BlockingServer(trioserver.BaseServer(None, handler)) as server:
        assert server.fileno() == -1


def test_fileno_when_served_or_stopped_then_is_there_as_long_as_the_server_is_open() -> None:
    """A shutdown does not close what was opened before."""
    with tcp() as server:
        fd = server.fileno()
        server.start()
        assert server.fileno() == fd
        server.stop()
        assert server.fileno() == fd
        server.start()
        assert ask(server) == b"hello\n"


@pytest.fixture
def two() -> Iterator[list[BlockingServer[Any]]]:
    """Two servers, with replies of their own."""

    def make(name: bytes) -> Any:
        async def reply(request: Any, client_address: Any, server: Any) -> None:
            await request.send_all(name)

        return tcp(reply)

    with make(b"one") as one, make(b"two") as other:
        yield [one, other]


def test_select_when_a_client_comes_then_names_the_server_that_has_it(
    two: list[BlockingServer[Any]],
) -> None:
    """Several servers in one process, and one thread of the program's for all."""
    assert select.select(two, [], [], 0)[0] == []
    for server, reply in zip(two, (b"one", b"two"), strict=True):
        with client_of(server) as client:
            assert select.select(two, [], [], SECONDS)[0] == [server]
            server.handle_request()
            assert receive_all(client) == reply
            assert select.select(two, [], [], 0)[0] == []


def test_selectors_when_clients_come_to_both_then_serve_each(two: list[BlockingServer[Any]]) -> None:
    """With ``selectors``, which asks for the descriptor once."""
    with selectors.DefaultSelector() as selector:
        for server in two:
            selector.register(server, selectors.EVENT_READ)
        with client_of(two[0]) as one, client_of(two[1]) as other:
            replies: set[bytes] = set()
            while len(replies) < 2:
                for key, _ in selector.select(SECONDS):
                    served: Any = key.fileobj
                    served.handle_request()
                    replies.add(receive_all(one if served is two[0] else other))
            assert replies == {b"one", b"two"}


def test_select_when_a_datagram_comes_then_it_is_served() -> None:
    """UDP servers, too."""

    def reply(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        request.socket.sendto_nowait(request.data, client_address)

    with (
        BlockingServer(trioserver.UDPServer(LOOPBACK, reply)) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(SECONDS)
        client.sendto(b"hello", server.server_address)
        assert select.select([server], [], [], SECONDS)[0] == [server]
        server.handle_request()
        assert client.recv(100) == b"hello"
