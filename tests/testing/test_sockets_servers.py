"""Unchanged servers and clients on simulated sockets: ours and trio's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo

import trioserver
from trioserver.testing import Network

from .sockets_kit import address, udp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_tcp_server_when_served_then_it_echoes_and_drains(
    network: Network, autojump_clock: MockClock
) -> None:
    """A hundred clients of another host; one that is idle is cancelled at the end of the grace period."""
    with network.host("server"):
        server = trioserver.TCPServer(("0.0.0.0", 80), Echo)
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(server.serve_forever)

        async def client(number: int) -> None:
            async with await trio.open_tcp_stream("server", 80) as stream:
                await stream.send_all(b"hello %d\n" % number)
                assert await stream.receive_some() == b"hello %d\n" % number

        with network.host("client"):
            async with trio.open_nursery() as clients:
                for number in range(100):
                    clients.start_soon(client, number)
            idle = await trio.open_tcp_stream("server", 80)
        await trio.sleep(3600)
        report = await server.shutdown(grace_period=1)
        assert await idle.receive_some() == b""
    assert (report.accepted, report.finished, report.cancelled) == (101, 100, 1)
    await trio.sleep(1)
    assert not network.host("server").sockets


async def test_tcp_server_when_a_reply_is_long_then_the_client_gets_its_end(
    network: Network, autojump_clock: MockClock
) -> None:
    """Also when it has sent something that nobody reads: closing waits for what is not acknowledged."""

    async def handler(stream: Any, client_address: Any, server: Any) -> None:
        await stream.send_all(bytes(300_000))

    for name in ("server", "client"):
        network.host(name)
    network.link("server", "client", bandwidth=100_000)
    with network.host("server"):
        server = trioserver.TCPServer(("0.0.0.0", 80), handler)
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(server.serve_forever)
        with network.host("client"):
            stream = await trio.open_tcp_stream("server", 80)
        await stream.send_all(b"nobody reads this")
        assert sum([len(part) async for part in stream]) == 300_000
        await stream.aclose()
        await server.shutdown()


async def test_udp_server_when_served_then_it_answers(network: Network, autojump_clock: MockClock) -> None:
    """To the address that a datagram came from."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await request.socket.sendto(request.data.upper(), client_address)

    with network.host("server"):
        server = trioserver.UDPServer(("0.0.0.0", 53), handler)
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(server.serve_forever)
        client = udp(network, "client")
        await client.connect(address(network, port=53))
        await client.send(b"hello")
        assert await client.recv(100) == b"HELLO"
        await server.shutdown()


async def test_udp_session_server_when_served_then_each_peer_has_its_session(
    network: Network, autojump_clock: MockClock
) -> None:
    """Which ends when the peer has said nothing for a while."""

    async def handler(session: Any, client_address: Any, server: Any) -> None:
        count = 0
        async for _ in session:
            count += 1
            await session.send(b"%d" % count)

    with network.host("server"):
        server = trioserver.UDPSessionServer(("::", 53), handler, session_timeout=60)
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(server.serve_forever)
        clients = [udp(network, f"client{number}") for number in range(3)]
        for _ in range(3):
            for client in clients:
                await client.sendto(b"x", address(network, port=53))
        for client in clients:
            assert [await client.recv(10) for _ in range(3)] == [b"1", b"2", b"3"]
        assert len(server.requests) == 3
        await trio.sleep(61)
        assert len(server.requests) == 0
        await server.shutdown()


async def test_unix_servers_when_served_then_they_answer(network: Network, autojump_clock: MockClock) -> None:
    """Streams and datagrams, at paths that are on no file system."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await request.socket.sendto(request.data.upper(), client_address)

    stream_server = trioserver.UnixStreamServer("/no/such/folder/stream", Echo)
    datagram_server = trioserver.UnixDatagramServer("/no/such/folder/datagrams", handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(stream_server.serve_forever)
        await nursery.start(datagram_server.serve_forever)
        client: Any = trio.socket.socket(socket.AF_UNIX)
        await client.connect("/no/such/folder/stream")
        async with trio.SocketStream(client) as stream:
            await stream.send_all(b"hello\n")
            assert await stream.receive_some() == b"hello\n"
        client = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        await client.bind("/no/such/folder/client")
        await client.sendto(b"hello", "/no/such/folder/datagrams")
        assert await client.recv(100) == b"HELLO"
        client.close()
        await stream_server.shutdown()
        await datagram_server.shutdown()
