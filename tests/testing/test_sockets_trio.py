"""trio's own servers, streams and checks on simulated sockets."""

from __future__ import annotations

import itertools
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme

from trioserver.testing import Network

from .sockets_kit import pair, receive_exactly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def receive_exactly_from(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many bytes of a stream."""
    data = b""
    while len(data) < count:
        data += await stream.receive_some()
    return data


async def test_trio_when_serving_tls_then_a_client_talks_to_it(
    network: Network, autojump_clock: MockClock
) -> None:
    """trio.serve_ssl_over_tcp and trio.open_ssl_over_tcp_stream, and the close_notify at the end."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("server").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def handler(stream: Any) -> None:
        async with stream:
            async for data in stream:
                await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        with network.host("server"):
            await nursery.start(trio.serve_ssl_over_tcp, handler, 443, server_context)
        with network.host("client"):
            stream = await trio.open_ssl_over_tcp_stream("server", 443, ssl_context=client_context)
        async with stream:
            await stream.send_all(bytes(100_000))
            assert await receive_exactly_from(stream, 100_000) == bytes(100_000)
        nursery.cancel_scope.cancel()


async def test_streams_when_checked_by_trio_then_they_keep_its_rules(
    network: Network, autojump_clock: MockClock
) -> None:
    """Between hosts, with latency."""
    ports = itertools.count(80)

    async def make() -> tuple[trio.SocketStream, trio.SocketStream]:
        client, server = await pair(network, port=next(ports))  # that of the last is in TIME_WAIT
        return trio.SocketStream(client), trio.SocketStream(server)

    async def clogged() -> tuple[trio.SocketStream, trio.SocketStream]:
        left, right = await make()
        for stream in (left, right):
            with trio.move_on_after(1):
                while True:
                    await stream.send_all(bytes(65536))
        return left, right

    await trio.testing.check_half_closeable_stream(make, clogged)


async def test_listener_when_opened_by_trio_then_connecting_to_it_works(
    network: Network, autojump_clock: MockClock
) -> None:
    """For IPv4 and IPv6, at ports that are chosen."""
    listeners = await trio.open_tcp_listeners(0)
    assert [listener.socket.family for listener in listeners] == [socket.AF_INET, socket.AF_INET6]
    for listener in listeners:
        client = await trio.testing.open_stream_to_socket_listener(listener)
        server = await listener.accept()
        await client.send_all(b"hello")
        assert await receive_exactly(server.socket, 5) == b"hello"
