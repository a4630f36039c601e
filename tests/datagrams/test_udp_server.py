"""`UDPServer`: datagrams as requests, addresses, options."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import client_of, echo


async def test_datagram_when_sent_then_is_a_request_of_data_and_socket() -> None:
    """The request is a tuple, as in the stdlib, and has names for its parts."""
    seen: list[Any] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        data, sock = request
        seen.append((request, client_address, server))
        await sock.sendto(data.upper(), client_address)

    async with trioserver.UDPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await client.ask(b"hello") == b"HELLO"
            ((request, client_address, given),) = seen
            assert isinstance(request, tuple)
            assert isinstance(request, trioserver.Datagram)
            assert (request.data, request.truncated, request.bytes_received) == (b"hello", False, 5)
            assert request.socket.getsockname() == server.server_address
            assert client_address == client.name
            assert given is server
    assert server.statistics().bytes_received == 5


async def test_datagram_when_empty_then_is_a_request() -> None:
    """An empty datagram is no end of anything."""
    async with trioserver.UDPServer(("127.0.0.1", 0), echo).running() as server:
        async with client_of(server) as client:
            assert await client.ask(b"") == b""
            assert await client.ask(b"more") == b"more"
        assert server.statistics().accepted == 2


@pytest.mark.parametrize(("length", "truncated"), [(99, False), (100, False), (101, True), (5000, True)])
async def test_datagram_when_longer_than_max_packet_size_then_is_flagged(
    length: int, truncated: bool
) -> None:
    """The beginning is the request, and it says that it is not all."""

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        await request.socket.sendto(b"%d %r" % (len(request.data), request.truncated), client_address)

    server = trioserver.UDPServer(("127.0.0.1", 0), handler, max_packet_size=100)
    async with server.running(), client_of(server) as client:
        assert await client.ask(b"x" * length) == b"%d %r" % (min(length, 100), truncated)


async def test_datagram_when_the_longest_then_is_whole_by_default() -> None:
    """65507 bytes, the most that IPv4 carries, arrive and go back in one piece."""
    async with trioserver.UDPServer(("127.0.0.1", 0), echo).running() as server:
        async with client_of(server) as client:
            assert await client.ask(b"x" * 65507) == b"x" * 65507


async def test_all_addresses_when_asked_for_then_both_families_share_a_port() -> None:
    """Each address has a socket, and the reply comes from the one that was asked."""
    server = trioserver.UDPServer(("localhost", 0), echo, all_addresses=True)
    async with server.running():
        addresses = server.server_addresses
        assert len({address[1] for address in addresses}) == 1
        for sock, address in zip(server.sockets, addresses, strict=True):
            with trio.socket.socket(sock.family, socket.SOCK_DGRAM) as client:
                await client.connect(address)
                await client.send(b"hello")
                with trio.fail_after(5):
                    assert await client.recv(10) == b"hello"


async def test_sockets_when_one_is_busy_then_the_others_are_served_in_turn() -> None:
    """A flood on one socket does not keep the datagrams of another waiting."""
    socks = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    names = [sock.getsockname() for sock in socks]
    order: list[bytes] = []

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        order.append(request.data)

    server = trioserver.UDPServer(None, handler, sock=socks)
    async with server:
        with trio.socket.socket(type=socket.SOCK_DGRAM) as client:
            for _ in range(20):
                await client.sendto(b"flood", names[0])
            await client.sendto(b"other", names[1])
        async with server.running():
            while len(order) < 21:
                await trio.lowlevel.checkpoint()
    assert order.index(b"other") <= 1


@pytest.mark.parametrize("form", ["socket", "descriptor", "trio"])
async def test_sock_when_given_then_is_served_and_closed(form: str) -> None:
    """A bound socket of any kind is adopted, and belongs to the server from then on."""
    given: Any = socket.socket(type=socket.SOCK_DGRAM)
    given.bind(("127.0.0.1", 0))
    if form == "descriptor":
        given = given.detach()
    elif form == "trio":
        given = trio.socket.from_stdlib_socket(given)
    server = trioserver.UDPServer(None, echo, sock=given)
    async with server.running(), client_of(server) as client:
        assert await client.ask(b"hello") == b"hello"
    assert server.fileno() == -1


async def test_sock_when_it_is_a_stream_socket_then_is_refused_and_left_open() -> None:
    """A ConfigError that says which type is right."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = trioserver.UDPServer(None, echo, sock=listener)
        with pytest.raises(trioserver.ConfigError, match="SOCK_DGRAM"):
            await server.serve_forever()
        assert listener.fileno() != -1


async def test_port_when_taken_then_is_not_stolen() -> None:
    """A second server on the port fails, and the first one keeps its clients: no SO_REUSEADDR by default."""
    async with trioserver.UDPServer(("127.0.0.1", 0), echo).running() as first:
        with pytest.raises(OSError, match="in use") as caught:
            await trioserver.UDPServer(first.server_address, echo).serve_forever()
        assert caught.value.errno == errno.EADDRINUSE
        async with client_of(first) as client:
            assert await client.ask(b"hello") == b"hello"


@pytest.mark.parametrize("option", ["allow_reuse_address", "allow_reuse_port"])
async def test_reuse_options_when_set_then_two_servers_share_a_port(option: str) -> None:
    """Receivers of multicast need the one, and several processes on a port the other."""
    options: Any = {option: True}
    async with trioserver.UDPServer(("127.0.0.1", 0), echo, **options) as first:
        async with trioserver.UDPServer(first.server_address, echo, **options) as second:
            assert second.server_address == first.server_address


@pytest.mark.parametrize(
    ("options", "named"),
    [({"max_packet_size": 0}, "max_packet_size"), ({"address_family": socket.AF_UNIX}, "address_family")],
)
def test_option_when_unusable_then_the_error_names_it(options: Any, named: str) -> None:
    """At construction, before anything is bound."""
    with pytest.raises(trioserver.ConfigError, match=named):
        trioserver.UDPServer(("127.0.0.1", 0), echo, **options)
    with pytest.raises(trioserver.ConfigError, match="server_address"):
        trioserver.UDPServer("127.0.0.1", echo)  # type: ignore[arg-type]


async def test_server_when_not_bound_then_its_socket_is_a_lifecycle_error() -> None:
    """The message says what to do; binding twice is refused, too."""
    server = trioserver.UDPServer(("127.0.0.1", 0), echo)
    with pytest.raises(trioserver.LifecycleError, match="async with"):
        _ = server.socket
    assert (server.sockets, server.server_addresses, server.fileno()) == ((), (), -1)
    async with server:
        assert server.fileno() == server.socket.fileno()
        with pytest.raises(trioserver.LifecycleError, match="server_bind"):
            await server.server_bind()


async def test_datagram_server_when_used_by_itself_then_says_that_it_is_abstract() -> None:
    """There is nothing that it could bind."""
    with pytest.raises(NotImplementedError, match="bind"):
        await trioserver.DatagramServer("somewhere", echo).serve_forever()


async def test_handle_request_when_called_then_serves_one_datagram() -> None:
    """And gives up after ``timeout``."""
    server = trioserver.UDPServer(("127.0.0.1", 0), echo, timeout=0)
    async with server, client_of(server) as client:
        await server.handle_request()
        assert server.statistics().accepted == 0
        server.timeout = None
        await client.send(b"one", b"two")
        await server.handle_request()
        assert (await client.receive(), server.statistics().accepted) == (b"one", 1)
        await server.handle_request()
        assert (await client.receive(), server.statistics().accepted) == (b"two", 2)


async def test_server_when_served_again_then_serves_again() -> None:
    """Inside ``async with`` the socket stays; without, each run has its own."""
    server = trioserver.UDPServer(("127.0.0.1", 0), echo)
    async with server:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                address = await nursery.start(server.serve_forever)
                assert address == server.server_address
                async with client_of(server) as client:
                    assert await client.ask(b"hello") == b"hello"
                await server.shutdown()
    server = trioserver.UDPServer(("127.0.0.1", 0), echo)
    for _ in range(2):
        async with server.running(), client_of(server) as client:
            assert await client.ask(b"hello") == b"hello"
        assert server.fileno() == -1


async def test_socket_when_closed_by_somebody_else_then_the_server_stops_with_an_error() -> None:
    """It is not mistaken for a quiet network."""
    server = trioserver.UDPServer(("127.0.0.1", 0), echo)
    with pytest.raises(OSError, match="closed") as caught:
        async with server.running():
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(server.socket)
            server.socket.close()
            await trio.sleep_forever()
    assert caught.value.errno == errno.EBADF
